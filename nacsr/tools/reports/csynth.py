"""C-synthesis reports of Vivado HLS and Vitis HLS: ``<top>_csynth.xml``, or the .rpt beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from nacsr.errors import ReportError
from nacsr.tools.reports.text import Range, Table, count, cycles, number, over, read, tables

RESOURCES: Mapping[str, tuple[str, ...]] = {
    "luts": ("LUT",),
    "dsps": ("DSP", "DSP48E"),
    "ffs": ("FF",),
    "brams": ("BRAM_18K",),
    "urams": ("URAM",),
}
"""Names of a resource in reports: Vivado HLS writes DSP48E, Vitis HLS writes DSP."""

_AGAIN = "was synthesis interrupted? run csynth_design again"
_WHAT = "is this <top>_csynth.xml of Vitis HLS?"


@dataclass(frozen=True, slots=True)
class CsynthReport:
    """What C-synthesis estimates for a design.

    Attributes:
        path: the file.
        tool: ``Vivado HLS`` or ``Vitis HLS``.
        version: its release, or "" if the report does not say.
        top: name of the top function, or "".
        part: device, or "".
        target_ns: clock period that was asked for, in ns.
        estimated_ns: clock period that it expects to reach, in ns; None if not given.
        uncertainty_ns: part of the period kept free for routing, in ns; None if not given.
        latency: clock cycles; None if undetermined.
        interval: clock cycles between events; None if undetermined.
        used: ``luts``, ``dsps``, ``ffs``, ``brams`` (18-kbit blocks), ``urams`` as given.
        available: the same of the device.
    """

    path: Path
    tool: str
    version: str
    top: str
    part: str
    target_ns: float | None
    estimated_ns: float | None
    uncertainty_ns: float | None
    latency: Range | None
    interval: Range | None
    used: dict[str, float]
    available: dict[str, float]

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before using the numbers."""
        found = list(over(self.used, self.available))
        for name, value in (("latency", self.latency), ("interval", self.interval)):
            if value is None:
                found.append(f"{name} undetermined")
            elif value.low != value.high:
                found.append(f"{name} {value} cycles")
        found += [
            f"no number of {name}" for name in ("dsps", "ffs", "brams") if name not in self.used
        ]
        if self.estimated_ns is not None and self.target_ns is not None:
            if self.estimated_ns > self.target_ns:
                found.append(f"timing not met: {self.estimated_ns:g} of {self.target_ns:g} ns")
        return tuple(found)


def read_xml(path: Path) -> CsynthReport:
    """Read ``<top>_csynth.xml``.

    Raises:
        ReportError: if it is not whole, not such a report, or declares entities.
    """
    text = read(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # no tool writes them; they could expand
        msg = f"{path}: has a DOCTYPE, which no csynth report has; {_WHAT}"
        raise ReportError(msg)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        msg = f"{path}: not whole XML ({error}); {_AGAIN}"
        raise ReportError(msg) from None
    if root.tag != "profile":
        msg = f"{path}: its root is <{root.tag}>, expected <profile>; {_WHAT}"
        raise ReportError(msg)
    resources = root.find("AreaEstimates/Resources")
    if resources is None:
        msg = f"{path}: no <AreaEstimates><Resources>; {_AGAIN}"
        raise ReportError(msg)
    given = {child.tag: child.text or "" for child in resources}
    room = root.find("AreaEstimates/AvailableResources")
    summary = "PerformanceEstimates/SummaryOfOverallLatency/"
    return CsynthReport(
        path,
        _tool(given),
        _text(root, "ReportVersion/Version"),
        _text(root, "UserAssignments/TopModelName"),
        _text(root, "UserAssignments/Part"),
        _ns(_text(root, "UserAssignments/TargetClockPeriod"), path),
        _ns(_text(root, "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"), path),
        _ns(_text(root, "UserAssignments/ClockUncertainty"), path),
        cycles(
            _text(root, summary + "Best-caseLatency"),
            _text(root, summary + "Worst-caseLatency"),
            "latency",
            path,
        ),
        cycles(
            _text(root, summary + "Interval-min"),
            _text(root, summary + "Interval-max"),
            "interval",
            path,
        ),
        _resources(given, path, needed=True),
        {} if room is None else _resources({c.tag: c.text or "" for c in room}, path),
    )


def read_rpt(path: Path) -> CsynthReport:
    """Read ``<top>_csynth.rpt``, for where the .xml is lost.

    Raises:
        ReportError: if it is not whole, or not such a report.
    """
    text = read(path)
    title = re.search(r"^== (Vivado|Vitis) HLS Report for '([^']+)'", text, re.MULTILINE)
    if title is None:
        msg = f"{path}: no line \"== Vitis HLS Report for '...'\"; is this <top>_csynth.rpt?"
        raise ReportError(msg)
    facts = dict(re.findall(r"^\* ([A-Z][\w ]*?):\s+(.*?)\s*$", text, re.MULTILINE))
    clock = _first(text, "Clock", path)
    ends = _latency(text, path)
    used, available = _totals(text, path)
    return CsynthReport(
        path,
        f"{title[1]} HLS",
        str(facts.get("Version", "")).split(" ")[0],
        title[2],
        str(facts.get("Target device", "")),
        _ns(clock.get("Target", ""), path),
        _ns(clock.get("Estimated", ""), path),
        _ns(clock.get("Uncertainty", ""), path),
        cycles(ends[0], ends[1], "latency", path),
        cycles(ends[2], ends[3], "interval", path),
        used,
        available,
    )


def _text(root: ElementTree.Element, place: str) -> str:
    return (root.findtext(place) or "").strip()


def _tool(given: Mapping[str, str]) -> str:
    return "Vivado HLS" if "DSP48E" in given else "Vitis HLS"


def _ns(cell: str, where: Path) -> float | None:
    return count(cell, "a clock period", where)


def _resources(given: Mapping[str, str], where: Path, needed: bool = False) -> dict[str, float]:
    found = {}
    for name, aliases in RESOURCES.items():
        cell = next((given[a] for a in aliases if a in given), None)
        value = count(cell, f"the number of {aliases[0]}", where)
        if value is not None:
            found[name] = value
    if needed and "luts" not in found:
        msg = f"{where}: no number of LUT under Resources; {_AGAIN}"
        raise ReportError(msg)
    return found


def _first(text: str, column: str, where: Path) -> dict[str, str]:
    """The first row of the first table whose first column has a name."""
    for table in tables(text):
        if table.columns[:1] == (column,):
            return next(table.rows(), {})
    msg = f"{where}: no table of {column}; {_AGAIN}"
    raise ReportError(msg)


def _latency(text: str, where: Path) -> tuple[str | None, str | None, str | None, str | None]:
    """Least and largest latency and interval; the first and the last pair of min and max."""
    for table in tables(text):
        places = [i for i, name in enumerate(table.columns) if name in ("min", "max")]
        if _is_summary(table) and len(places) >= 4 and table.body:
            row = table.body[0]
            first, second, *_, third, last = (row[i] if i < len(row) else None for i in places)
            return first, second, third, last
    msg = f"{where}: no summary of latency; {_AGAIN}"
    raise ReportError(msg)


def _is_summary(table: Table) -> bool:
    """The design's own latency; the tables of instances and loops name those first."""
    return len(table.heading) == 2 and table.columns[0] == "min"


def _totals(text: str, where: Path) -> tuple[dict[str, float], dict[str, float]]:
    for table in tables(text):
        rows = {row["Name"]: row for row in table.rows() if "LUT" in row and "Name" in row}
        if "Total" in rows and "Available" in rows:
            return _resources(rows["Total"], where, needed=True), _resources(
                rows["Available"], where
            )
    msg = f"{where}: no table of utilization with a row Total; {_AGAIN}"
    raise ReportError(msg)


__all__ = ["CsynthReport", "number", "read_rpt", "read_xml"]
