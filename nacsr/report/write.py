"""Write the report files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nacsr.archive import Archive
from nacsr.compiler import setting_of
from nacsr.fronts import limits
from nacsr.measure import tool_name
from nacsr.report.findings import findings
from nacsr.report.formulas import described
from nacsr.report.measured import OpenFront, compared, open_front
from nacsr.report.page import page
from nacsr.report.picture import picture
from nacsr.report.references import described as described_reference
from nacsr.report.rows import Row, beyond, either
from nacsr.spec import StudySpec
from nacsr.targets import target as find_target


def report(archive: Archive, spec: StudySpec, rows: Sequence[Row], out: Path) -> OpenFront:
    """Write ``report.html`` and ``front.png`` into the run folder.

    Returns:
        All families by open synthesis, as the report has it.
    """
    setting, counts = setting_of(archive), archive.counts()
    device = find_target(spec.target)
    about = {
        "study": spec.name,
        "dataset": archive.meta("dataset") or spec.dataset.source,
        "device": f"{device.part} at {spec.clock_mhz:g} MHz",
        "precision of expressions": spec.precision,
        "input scaling": setting.scaling.mode,
        "objectives": ", ".join(spec.objectives),
        "seed": str(spec.seed),
        "budget": spec.budget,
        "candidates": f"{counts['candidates']}, of which {counts['designs']} designs, "
        f"{counts['failed']} failed",
        "made by": tool_name(),
    }
    left_out = {e.id: e.failed for e in archive.entries() if e.failed}
    left_out |= beyond(archive, setting, limits(spec))
    names = [f.name for f in setting.features]
    opened = open_front(archive, spec, setting)
    entries = [archive.entry(row.id) for row in either(rows, opened.rows)]
    formulas = described(entries, spec, names)
    references = {e.id: said for e in entries if (said := described_reference(e))}
    pairs = compared([e for e in archive.entries(designs_only=True) if not e.failed])
    page(
        rows,
        setting,
        findings(archive, spec, rows),
        left_out,
        about,
        formulas,
        references,
        opened,
        pairs,
        out / "report.html",
    )
    picture([opened.rows, rows], spec.name, out / "front.png")
    return opened
