"""C/RTL co-simulation reports of Vivado HLS and Vitis HLS: ``<top>_cosim.rpt``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ReportError
from nacsr.tools.reports.text import Range, cycles, read, tables

_AGAIN = "run cosim_design again"


@dataclass(frozen=True, slots=True)
class CosimReport:
    """What simulating the synthesised RTL on the testbench measured.

    Attributes:
        path: the file.
        top: name of the top function, by the file's name.
        language: of the RTL that ran: ``Verilog`` or ``VHDL``.
        passed: whether the testbench was content.
        latency: clock cycles; None if not measured.
        interval: clock cycles between events; None if not measured (a single event).
    """

    path: Path
    top: str
    language: str
    passed: bool
    latency: Range | None
    interval: Range | None

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before using the numbers."""
        found = [] if self.passed else ["co-simulation failed"]
        for name, value in (("latency", self.latency), ("interval", self.interval)):
            if value is None:
                found.append(f"{name} not measured")
            elif value.low != value.high:
                found.append(f"{name} {value} cycles")
        return tuple(found)


def read_cosim(path: Path) -> CosimReport:
    """Read a co-simulation report.

    Raises:
        ReportError: if no language was simulated, or it is another report.
    """
    for table in tables(read(path)):
        if not table.heading or not any("Latency" in c for c in table.heading[0]):
            continue
        names = next(
            (row for part in (table.heading, table.body) for row in part if "avg" in row), ()
        )
        for row in table.body:
            if len(row) > 2 and row[0] in ("Verilog", "VHDL") and row[1] != "NA":
                return _report(path, row, names)
    msg = f"{path}: no language with a status other than NA; {_AGAIN}"
    raise ReportError(msg)


def _report(path: Path, row: tuple[str, ...], names: tuple[str, ...]) -> CosimReport:
    places = [i for i, name in enumerate(names) if name in ("min", "max")]
    if len(places) != 4 or places[-1] >= len(row):
        msg = f"{path}: expected min and max of latency and interval, found {row}; {_AGAIN}"
        raise ReportError(msg)
    ends = [row[i] for i in places]
    return CosimReport(
        path,
        re.sub(r"_cosim$", "", path.stem),
        row[0],
        row[1].lower() == "pass",
        cycles(ends[0], ends[1], "latency", path),
        cycles(ends[2], ends[3], "interval", path),
    )
