"""Vivado's ``report_utilization``, flat or by hierarchy, of a design in any state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ReportError
from nacsr.tools.reports.text import Table, count, header, over, read, tables, version

SITES: Mapping[str, tuple[str, ...]] = {
    "luts": ("CLB LUTs", "Slice LUTs"),
    "ffs": ("CLB Registers", "Slice Registers"),
    "dsps": ("DSPs", "DSP Slices"),
    "brams": ("Block RAM Tile",),
    "urams": ("URAM",),
}
"""Rows of the flat report: UltraScale+ says CLB, 7-series says Slice."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "luts": ("Total LUTs",),
    "ffs": ("FFs",),
    "dsps": ("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
    "urams": ("URAM",),
}
"""Columns of the report by hierarchy; block RAMs are two columns."""

STATES: Mapping[str, tuple[str, int]] = {
    "synthesized": ("vsynth", 0),
    "optimized": ("vsynth", 1),
    "fully placed": ("pnr", 2),
    "physopt postplace": ("pnr", 3),
    "routed": ("pnr", 4),
    "fully routed": ("pnr", 4),
    "physopt postroute": ("pnr", 5),
}
"""Stage of a ``Design State``, and how far the design had come."""
FINAL = 4

_AGAIN = "write it again with report_utilization"


def stage_of(state: str) -> tuple[str, int] | None:
    """Stage (``vsynth`` or ``pnr``) and progress of a ``Design State``; None if it is unknown."""
    return STATES.get(" ".join(state.lower().split()))


@dataclass(frozen=True, slots=True)
class UtilisationReport:
    """What a netlist takes of a device.

    Attributes:
        path: the file.
        version: Vivado's release, or "".
        design: name of the top module.
        part: device as the report names it.
        state: ``Design State``, such as ``Routed``.
        stage: ``vsynth`` or ``pnr``.
        progress: how far the design had come, a number that only grows.
        used: ``luts``, ``dsps``, ``ffs``, ``brams`` (18-kbit blocks: twice the 36-kbit tiles),
            ``urams`` as given.
        available: the same of the device; empty in a report by hierarchy.
        command: how it was made.
    """

    path: Path
    version: str
    design: str
    part: str
    state: str
    stage: str
    progress: int
    used: dict[str, float]
    available: dict[str, float]
    command: str = ""

    @property
    def tool(self) -> str:
        """The program."""
        return "Vivado"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before using the numbers."""
        found = list(over(self.used, self.available))
        found += [f"no row of {name}" for name in ("dsps", "ffs", "brams") if name not in self.used]
        if self.stage == "pnr" and self.progress < FINAL:
            found.append("placed, not routed")
        if re.search(r"-(cells|pblocks)\b", self.command):
            found.append("of some cells only")
        return tuple(found)


def read_utilisation(path: Path) -> UtilisationReport:
    """Read a utilisation report.

    Raises:
        ReportError: if it is cut off before its LUTs, has no known state, or is another report.
    """
    text = read(path)
    facts = header(text)
    flat, deep = _sites(text, path), _hierarchy(text, path)
    used, available = flat if flat[0] else (deep, {})
    if "luts" not in used:
        msg = f"{path}: no row 'CLB LUTs' or 'Slice LUTs' under 'Used'; is it cut off? {_AGAIN}"
        raise ReportError(msg)
    state = facts.get("Design State", "")
    place = stage_of(state)
    if place is None:
        known = ", ".join(s.capitalize() for s in STATES)
        msg = f"{path}: Design State is {state!r}, expected one of {known}; {_AGAIN}"
        raise ReportError(msg)
    return UtilisationReport(
        path,
        version(facts.get("Tool Version", "")),
        facts.get("Design", ""),
        facts.get("Device", ""),
        state,
        *place,
        used,
        available,
        facts.get("Command", ""),
    )


def _sites(text: str, where: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Used and available by site type; sections move between releases, names do not."""
    used: dict[str, float] = {}
    available: dict[str, float] = {}
    for table in tables(text):
        if table.columns[:2] != ("Site Type", "Used"):
            continue  # such as the sites by super logic region, which repeat the names
        for row in table.rows():
            site = row["Site Type"].rstrip("* ")
            name = next((n for n, names in SITES.items() if site in names), None)
            if name is None or name in used:
                continue
            each = 2 if name == "brams" else 1  # a tile is two blocks of 18 kbit
            for found, column in ((used, "Used"), (available, "Available")):
                value = count(row.get(column), f"{column} of {site}", where)
                if value is not None:
                    found[name] = each * value
    return used, available


def _hierarchy(text: str, where: Path) -> dict[str, float]:
    """Used by the top instance, which is the first row."""
    for table in tables(text):
        row = next(table.rows(), None)
        if "Total LUTs" in table.columns and row is not None:
            found = {n: _cell(row, names, where) for n, names in COLUMNS.items()}
            found["brams"] = _blocks(table, row, where)
            return {n: v for n, v in found.items() if v is not None}
    return {}


def _cell(row: Mapping[str, str], names: tuple[str, ...], where: Path) -> float | None:
    column = next((n for n in names if n in row), None)
    return None if column is None else count(row[column], f"{column} of the top", where)


def _blocks(table: Table, row: Mapping[str, str], where: Path) -> float | None:
    if not {"RAMB36", "RAMB18"} <= set(table.columns):
        return None
    large, small = (count(row[n], f"{n} of the top", where) or 0.0 for n in ("RAMB36", "RAMB18"))
    return 2 * large + small
