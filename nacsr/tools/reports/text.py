"""What the text reports of vendor tools have in common: a header, tables of ASCII, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ReportError

LARGEST = 256 * 2**20
"""Bytes of the largest report that is read: paths of a whole chip make tens of megabytes."""


def read(path: Path) -> str:
    """The text of a report.

    Raises:
        ReportError: if it cannot be read, is empty, or is far larger than any report.
    """
    try:
        if path.stat().st_size > LARGEST:
            msg = f"{path}: too large for a report; give the tool's own report file"
            raise ReportError(msg)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); give a report file"
        raise ReportError(msg) from None
    if not text.strip():
        msg = f"{path}: empty; the tool was stopped before it wrote the report, run it again"
        raise ReportError(msg)
    return text


def header(text: str) -> dict[str, str]:
    """The lines ``| Device : xcvu9p...`` above a Vivado report's tables.

    >>> header("| Tool Version : Vivado v.2020.1 (lin64)")
    {'Tool Version': 'Vivado v.2020.1 (lin64)'}
    """
    found: dict[str, str] = {}
    for match in re.finditer(r"^\| ([A-Z][A-Za-z ]*?)\s*: (.*)$", text, re.MULTILINE):
        found.setdefault(match[1], match[2].strip())
    return found


def version(text: str) -> str:
    """The release in a line that names one: ``2020.1``, or "" if there is none.

    >>> version("Vivado v.2022.1.2 (lin64) Build 3605665")
    '2022.1.2'
    """
    found = re.search(r"\bv?\.?(20\d\d\.\d(?:\.\d+)?)\b", text)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table drawn with ``+``, ``-`` and ``|``: its heading rows and its body, as cells."""

    heading: tuple[tuple[str, ...], ...]
    body: tuple[tuple[str, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The last heading row, which names every column."""
        return self.heading[-1] if self.heading else ()

    def rows(self) -> Iterator[dict[str, str]]:
        """The body rows by column name; rows of another length are left out."""
        for cells in self.body:
            if len(cells) == len(self.columns):
                yield dict(zip(self.columns, cells, strict=True))


def tables(text: str) -> Iterator[Table]:
    """The tables of a report, in its order."""
    block: list[str] = []
    for line in (*text.splitlines(), ""):
        line = line.strip()
        if line[:1] in ("|", "+"):
            block.append(line)
        elif block:
            yield _table(block)
            block = []


def _table(lines: Sequence[str]) -> Table:
    parts: list[list[tuple[str, ...]]] = [[]]
    for line in lines:
        if re.fullmatch(r"\+[-+]*", line):
            if parts[-1]:
                parts.append([])
        elif line.startswith("|") and line.endswith("|"):  # a line that is cut off has no end
            parts[-1].append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    heading, *body = parts
    return Table(tuple(heading), tuple(row for part in body for row in part))


def number(cell: str) -> float | None:
    """The number that a cell begins with; None for blanks, ``-``, ``NA``, ``undef``, ``?``.

    >>> number("1,234"), number("12(0.3%)"), number("4.37 ns"), number("undef")
    (1234.0, 12.0, 4.37, None)
    """
    found = re.match(r"[<~]?(-?\d[\d,]*(?:\.\d+)?|-?\.\d+)(?![\w.])", cell.strip())
    if found is None:
        united = re.match(r"(-?\d+(?:\.\d+)?)\s*[a-zA-Z]+$", cell.strip())
        return float(united[1]) if united else None
    return float(found[1].replace(",", ""))


NOTHING = ("", "-", "NA", "N/A", "undef", "?", "inf")
"""What tools write where there is no number."""


def count(cell: str | None, what: str, where: Path | str) -> float | None:
    """A quantity that is not negative; None where the tool wrote that there is none.

    Raises:
        ReportError: for anything else.
    """
    if cell is None or cell.strip() in NOTHING:
        return None
    found = number(cell)
    if found is None or found < 0:
        msg = f"{where}: {what} is {cell.strip()!r}, expected a number; run the tool again"
        raise ReportError(msg)
    return found


@dataclass(frozen=True, slots=True)
class Range:
    """Least and largest number of clock cycles."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.high) if self.low == self.high else f"{self.low}..{self.high}"


def cycles(low: str | None, high: str | None, what: str, where: Path | str) -> Range | None:
    """A range of cycles, None if the tool could not determine one of its ends.

    Raises:
        ReportError: for text that is neither a number nor a sign for none, or ends in reverse.
    """
    first, last = count(low, what, where), count(high, what, where)
    if first is None or last is None:
        return None
    if first > last or first != int(first) or last != int(last):
        msg = f"{where}: {what} is {low}..{high}, expected cycles in order; run the tool again"
        raise ReportError(msg)
    return Range(int(first), int(last))


def over(used: dict[str, float], available: dict[str, float]) -> tuple[str, ...]:
    """A flag for every resource of which a design takes more than the device has."""
    found = []
    for name, value in used.items():
        room = available.get(name)
        if room is not None and value > room:
            share = f"{100 * value / room:.0f} %" if room else f"{value:g} of 0"
            found.append(f"over-utilised: {NAMES[name]} {share}")
    return tuple(found)


NAMES = {"luts": "LUT", "dsps": "DSP", "ffs": "FF", "brams": "BRAM18", "urams": "URAM"}
"""Resources as people call them."""


def same_part(one: str, other: str) -> bool:
    """Whether two names mean one device: older reports leave out ``xc``, hyphens and the grade.

    >>> same_part("xcvu9p-flga2577-2-e", "xcvu9pflga2577-2")
    True
    >>> same_part("7z020clg400-1", "xc7z020-clg400-1")
    True
    >>> same_part("xcvu9p-flga2577-2-e", "xcvu9p-flga2577-1-e")
    False
    """
    short, long = sorted((_plain(one), _plain(other)), key=len)
    return bool(short) and long.startswith(short) and len(long) - len(short) <= 1


def _plain(part: str) -> str:
    return re.sub(r"[^a-z0-9]", "", part.lower()).removeprefix("xc")
