"""Write the report files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nacsr.archive import Archive
from nacsr.measure import tool_name
from nacsr.report.page import page
from nacsr.report.picture import picture
from nacsr.report.rows import Row, beyond, setting_of
from nacsr.spec import StudySpec
from nacsr.targets import target as find_target


def report(archive: Archive, spec: StudySpec, rows: Sequence[Row], out: Path) -> None:
    """Write ``report.html`` and ``front.png`` into the run folder."""
    setting, counts = setting_of(archive), archive.counts()
    device = find_target(spec.target)
    about = {
        "study": spec.name,
        "dataset": archive.meta("dataset") or spec.dataset.source,
        "device": f"{device.part} at {spec.clock_mhz:g} MHz",
        "precision of expressions": spec.precision,
        "input scaling": setting.scaling,
        "objectives": ", ".join(spec.objectives),
        "seed": str(spec.seed),
        "budget": spec.budget,
        "candidates": f"{counts['candidates']}, of which {counts['designs']} designs, "
        f"{counts['failed']} failed",
        "made by": tool_name(),
    }
    left_out = {e.id: e.failed for e in archive.entries() if e.failed}
    constraints = {n: v for n, v in spec.constraints.model_dump().items() if v is not None}
    left_out |= beyond(archive, setting, constraints, "analytic", "csynth")
    page(rows, left_out, about, setting.classes, out / "report.html")
    picture(rows, spec.name, out / "front.png")
