"""Estimates beside measurements of the same quantity, and all families by open synthesis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nacsr.archive import Archive
from nacsr.design import Setting
from nacsr.entry import Entry
from nacsr.fronts import finalists, front
from nacsr.measure import ESTIMATED, HARDWARE, METRICS, OPEN, VERILOG, Basis, Measurement
from nacsr.report.findings import winners
from nacsr.report.rows import ABOUT, Row, quality, rows
from nacsr.report.table import FORMULA, count, with_error
from nacsr.spec import StudySpec
from nacsr.synthesis import available

PAIRS: Mapping[Basis, tuple[Basis, ...]] = {
    OPEN: (VERILOG, Basis("da", "pnr")),
    Basis("vitis", "csynth"): (ESTIMATED,),
    Basis("vitis", "cosim"): (ESTIMATED,),
    Basis("vivado", "vsynth"): (Basis("analytic", "vsynth"), VERILOG, OPEN),
    Basis("vivado", "pnr"): (VERILOG, OPEN, Basis("da", "pnr")),
}
"""For every measurement what speaks of the same quantity: estimates, and what is closest to it."""

OF_VERILOG = frozenset({VERILOG, OPEN, Basis("da", "pnr")})
"""What speaks of our Verilog; the others, of what HLS makes of our C++."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric of one design: what was expected, and what was measured."""

    id: str
    family: str
    title: str
    expected: Measurement
    measured: Measurement

    @property
    def ratio(self) -> float | None:
        """Measured over expected, or None where nothing was expected."""
        return self.measured.value / self.expected.value if self.expected.value else None

    @property
    def inside(self) -> bool | None:
        """Whether the measurement lies in the estimate's band, or None where it has none."""
        if self.expected.error is None:
            return None
        return abs(self.measured.value - self.expected.value) <= self.expected.error


def compared(entries: Sequence[Entry]) -> list[Compared]:
    """Every pair of an estimate and a measurement of a design, in the order of ``PAIRS``."""
    found = []
    for measured, estimates in PAIRS.items():
        for expected in estimates:
            for entry in entries:
                found += _of(entry, expected, measured)
    return found


def _of(entry: Entry, expected: Basis, measured: Basis) -> list[Compared]:
    pairs = [(entry.find(m, *expected), entry.find(m, *measured)) for m in HARDWARE]
    candidate = entry.candidate
    return [
        Compared(entry.id, candidate.family, candidate.title, e, m)
        for e, m in pairs
        if e is not None and m is not None and e.target == m.target and _fits(expected, m)
    ]


def _fits(expected: Basis, measured: Measurement) -> bool:
    """Whether an estimate speaks of the flow that was measured; reports name theirs."""
    named = re.search(r"\bflow (\w+)", measured.flags)
    flow = named[1] if named else "rtl" if measured.method == OPEN.method else ""
    return bool(flow) and (flow == "rtl") == (expected in OF_VERILOG)


def summary(pairs: Sequence[Compared]) -> list[str]:
    """One line for each metric and pair of methods: median ratio, range, how many in the band."""
    groups: dict[tuple[str, str, str], list[Compared]] = {}
    for pair in pairs:
        e, m = pair.expected, pair.measured
        key = (m.metric, str(Basis(m.method, m.stage)), str(Basis(e.method, e.stage)))
        groups.setdefault(key, []).append(pair)
    return [_line(*key, group) for key, group in groups.items()]


def _line(metric: str, measured: str, expected: str, group: Sequence[Compared]) -> str:
    ratios = [p.ratio for p in group if p.ratio is not None]
    said = f"{METRICS[metric].unit}: {measured} / {expected}: "
    if ratios:
        said += f"median {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    else:
        said += f"none expected, {'some' if any(p.measured.value for p in group) else 'none'} found"
    said += f", {len(group)} design{'s' if len(group) > 1 else ''}"
    banded = [p.inside for p in group if p.inside is not None]
    return said + (f", {sum(banded)} of {len(banded)} in the band" if banded else "")


@dataclass(frozen=True, slots=True)
class OpenFront:
    """The comparison of all families by open synthesis.

    Attributes:
        rows: the designs that no other one dominates by it.
        estimates: LUTs expected of those, by id: at csynth and as RTL.
        lines: what it says, and what is missing.
    """

    rows: tuple[Row, ...]
    estimates: Mapping[str, tuple[float | None, float | None]]
    lines: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"rows": [r.to_dict() for r in self.rows], "notes": list(self.lines)}


def open_front(archive: Archive, spec: StudySpec, setting: Setting) -> OpenFront:
    """All families ranked by open synthesis, or why they are not."""
    found = front(archive, spec, OPEN)
    shown = rows(found, setting, (OPEN,))
    caveat = [ABOUT[OPEN].caveat for _ in shown[:1]]
    lines = [*winners(archive, spec, shown, spec.objectives), *caveat, *_missing(archive, spec)]
    lines += summary(compared([e for e in archive.entries(designs_only=True) if not e.failed]))
    expected = {e.id: (_luts(e, ESTIMATED), _luts(e, VERILOG)) for e in found}
    return OpenFront(tuple(shown), expected, tuple(lines))


def _luts(entry: Entry, basis: Basis) -> float | None:
    found = entry.find("luts", *basis)
    return None if found is None else found.value


def _missing(archive: Archive, spec: StudySpec) -> list[str]:
    """Which designs of the front were not synthesised, and why none was."""
    if spec.verify != "open":
        return [f"No open synthesis, as the study says (verify: {spec.verify})."]
    wanted = finalists(archive, spec)
    absent = [e.id for e in wanted if e.find("luts", *OPEN) is None]
    if not absent:
        return []
    reason = available(OPEN.method) or "too large, or it failed; nacsr synth RUN:ID says more"
    if len(absent) == len(wanted):
        return [f"Open synthesis is unavailable, so families are not compared by it: {reason}."]
    which = ", ".join(absent)
    return [f"Not synthesised, so not compared: {which} ({reason})."]


def table(found: OpenFront) -> Group:
    """The comparison for a terminal."""
    lines = [Text(line) for line in found.lines]
    if not found.rows:
        return Group(*lines)
    title = f"All families by open synthesis: {len(found.rows)} designs"
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("id", "family", "formula or architecture"):
        shown.add_column(name, no_wrap=True)
    estimates = ("LUT csynth est.", "LUT rtl est.")
    numbers = ("LUT", "DSP", "FF", "cycles")
    for name in ("val.", f"test {quality(found.rows)}", *estimates, *numbers):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        title = row.title if len(row.title) <= FORMULA else row.title[: FORMULA - 1] + "…"
        measured = (row.luts, row.dsps, row.ffs, row.latency_cycles)
        shown.add_row(
            row.id,
            row.family,
            title,
            with_error(row.validation, None),
            with_error(row.test, row.test_error),
            *(count(n) for n in (*found.estimates[row.id], *measured)),
        )
    return Group(shown, *lines)
