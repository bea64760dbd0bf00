"""Vivado's ``report_timing_summary``: slack of every clock, and how fast each could run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ReportError
from nacsr.tools.reports.text import header, number, read, version
from nacsr.tools.reports.utilisation import FINAL, stage_of

NETS = {"routed": "Routed", "estimated": "Fully Placed", "unplaced": "Synthesized"}
"""What a path's nets are called in a design of that state, the furthest first."""

_AGAIN = "write it again with report_timing_summary"


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock: its period, and the worst slack of paths inside it (None if there is no path)."""

    name: str
    period_ns: float
    slack_ns: float | None

    @property
    def fmax_mhz(self) -> float | None:
        """The clock at which the worst path would just fit: ``1 / (period - slack)``."""
        if self.slack_ns is None or self.slack_ns >= self.period_ns:
            return None
        return 1000.0 / (self.period_ns - self.slack_ns)


@dataclass(frozen=True, slots=True)
class TimingReport:
    """Timing of a netlist.

    Attributes:
        path: the file.
        version: Vivado's release, or "".
        design: name of the top module.
        part: device as the report names it.
        state: ``Design State``; releases that do not say it tell it by the nets of their paths,
            and it is "" if there are none of these either.
        slack_ns: worst negative slack (WNS) of setup paths; None if nothing was constrained.
        hold_ns: worst hold slack (WHS); None likewise.
        clocks: those with a period.
    """

    path: Path
    version: str
    design: str
    part: str
    state: str
    slack_ns: float | None
    hold_ns: float | None
    clocks: tuple[Clock, ...]

    @property
    def tool(self) -> str:
        """The program."""
        return "Vivado"

    @property
    def stage(self) -> str:
        """``vsynth`` or ``pnr``, or "" where the report does not say."""
        place = stage_of(self.state)
        return "" if place is None else place[0]

    @property
    def progress(self) -> int:
        """How far the design had come, a number that only grows; -1 where that is not known."""
        place = stage_of(self.state)
        return -1 if place is None else place[1]

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before using the numbers."""
        found = [] if self.clocks else ["no clock constrained"]
        if self.stage == "pnr" and self.progress < FINAL:
            found.append("placed, not routed")
        for name, slack in (("timing", self.slack_ns), ("hold", self.hold_ns)):
            if slack is not None and slack < 0:
                found.append(f"{name} not met: slack {slack:g} ns")
        return tuple(found)


def read_timing(path: Path) -> TimingReport:
    """Read a timing summary.

    Raises:
        ReportError: if it is cut off before its summary, or is another report.
    """
    text = read(path)
    text = text[: text.rfind("\n") + 1]  # a last line without an end may be cut inside a number
    facts = header(text)
    summary = next(_rows(_section(text, "Design Timing Summary")), None)
    if summary is None:
        msg = f"{path}: no 'Design Timing Summary' with numbers; is it cut off? {_AGAIN}"
        raise ReportError(msg)
    slacks = {row["Clock"]: row for row in _rows(_section(text, "Intra Clock Table"))}
    periods = re.findall(
        r"^\s*(\S+)\s+\{[^}]*\}\s+(\d+\.\d+)\s+\d+\.\d+\s*$",
        _section(text, "Clock Summary"),
        re.MULTILINE,
    )
    clocks = tuple(
        Clock(name, float(period), number(slacks.get(name, {}).get("WNS(ns)", "")))
        for name, period in periods
    )
    return TimingReport(
        path,
        version(facts.get("Tool Version", "")),
        facts.get("Design", ""),
        _device(facts),
        facts.get("Design State", "") or _state(text),
        number(summary.get("WNS(ns)", "")),
        number(summary.get("WHS(ns)", "")),
        clocks,
    )


def _state(text: str) -> str:
    """The state that the nets of a report's paths are in."""
    for words, state in NETS.items():
        if re.search(rf"\bnet \(fo=\d+, {words}\)", text):
            return state
    return ""


def _device(facts: dict[str, str]) -> str:
    """The device; timing reports give the speed grade on a line of its own."""
    device = facts.get("Device", "")
    grade = facts.get("Speed File", "").split(" ")[0]
    return device if re.search(r"-\d", device) or not grade else f"{device}{grade}"


def _section(text: str, title: str) -> str:
    """The lines between a title and the next one; "" if there is none."""
    found = re.search(
        rf"^\| {re.escape(title)}\n\| -+\n-+\n(.*?)(?=^-{{20,}}\n\| |\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return found[1] if found else ""


def _rows(section: str) -> Iterator[dict[str, str]]:
    """Rows under the first ruler of a section, by the names above it.

    Cells may be blank, so each word goes to the column whose end is nearest to its own.
    """
    lines = section.splitlines()
    ruler = next((i for i, line in enumerate(lines) if re.fullmatch(r"\s*-[- ]+", line)), 0)
    if ruler == 0:
        return
    columns = [
        (lines[ruler - 1][m.start() : m.end() + 2].strip(), m.end())
        for m in re.finditer(r"-+", lines[ruler])
    ]
    named = columns[0][0].startswith("Clock")
    for line in lines[ruler + 1 :]:
        words = list(re.finditer(r"\S+", line))
        if not words:
            return
        row = {}
        if named:
            row["Clock"], words = words[0][0], words[1:]
        for word in words:
            place = min(columns[named:], key=lambda c: abs(c[1] - word.end()))
            row[place[0]] = word[0]
        yield row
