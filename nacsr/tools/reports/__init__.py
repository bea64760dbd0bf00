"""Reports of vendor tools as plain data: whatever the release, by names and not by positions."""

from __future__ import annotations

import re
from pathlib import Path

from nacsr.tools.reports.cosim import CosimReport, read_cosim
from nacsr.tools.reports.csynth import CsynthReport, read_rpt, read_xml
from nacsr.tools.reports.text import read, same_part
from nacsr.tools.reports.timing import Clock, TimingReport, read_timing
from nacsr.tools.reports.utilisation import UtilisationReport, read_utilisation

__all__ = [
    "Clock",
    "CosimReport",
    "CsynthReport",
    "Report",
    "TimingReport",
    "UtilisationReport",
    "find",
    "read_report",
    "same_part",
]

Report = CsynthReport | UtilisationReport | TimingReport | CosimReport

_HEAD = 20_000
"""Characters in which a report says what it is."""


def read_report(path: Path) -> Report | None:
    """A report of whatever kind; None for a file of another kind.

    Raises:
        ReportError: for a report that is not whole or not well formed.
    """
    if path.suffix == ".xml":
        return read_xml(path) if path.name.endswith("_csynth.xml") else None
    head = read(path)[:_HEAD]
    if path.name.endswith("_cosim.rpt"):
        return read_cosim(path)
    if re.search(r"^== (Vivado|Vitis) HLS Report for '", head, re.MULTILINE):
        return read_rpt(path)
    command = re.search(r"^\| Command\s*: (report_\w+)", head, re.MULTILINE)
    kind = command[1] if command else ""
    if kind == "report_utilization" or "\nUtilization Design Information" in head:
        return read_utilisation(path)
    if kind == "report_timing_summary" or "\nTiming Summary Report" in head:
        return read_timing(path)
    return None


def find(folder: Path) -> list[Path]:
    """The files under a folder that may be reports, in order: ``*_csynth.xml`` and ``*.rpt``."""
    if folder.is_file():
        return [folder]
    return sorted(p for p in folder.rglob("*") if _may_be_report(p))


def _may_be_report(path: Path) -> bool:
    return path.is_file() and (path.name.endswith("_csynth.xml") or path.suffix == ".rpt")
