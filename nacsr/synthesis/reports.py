"""From reports of vendor tools to measurements of a design, after checking that they are of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nacsr.errors import ReportError
from nacsr.measure import Measurement
from nacsr.tools.reports import (
    CosimReport,
    CsynthReport,
    Report,
    TimingReport,
    UtilisationReport,
    find,
    read_report,
    same_part,
)

RESOURCES = ("luts", "dsps", "ffs", "brams")
OURS = "vivado_timing.rpt"
"""What the emitted scripts call the timing report of the routed design."""
CLOSE_NS = 0.01
"""Reports print a period to two decimals."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The design that reports should be of.

    Attributes:
        name: for messages.
        digest: of its graph.
        tops: names that its top function may have.
        part: device.
        clock_mhz: clock.
        flow: back end that made the sources, or "" if it is not known.
        usual_flow: back end that makes C++ of it unless told otherwise.
    """

    name: str
    digest: str
    tops: tuple[str, ...]
    part: str
    clock_mhz: float
    flow: str = ""
    usual_flow: str = ""


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of one design, at most one of a kind and stage.

    Attributes:
        csynth: of C synthesis.
        cosim: of co-simulation.
        utilisation: by stage, ``vsynth`` or ``pnr``.
        timing: by stage.
        notes: what was left out, and why, a line each.
    """

    csynth: CsynthReport | None
    cosim: CosimReport | None
    utilisation: dict[str, UtilisationReport]
    timing: dict[str, TimingReport]
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Report, ...]:
        """The reports, in order of stage."""
        hls = tuple(r for r in (self.csynth, self.cosim) if r is not None)
        return (*hls, *self.utilisation.values(), *self.timing.values())


def collect(folder: Path, tops: Sequence[str] = ()) -> Reports:
    """Find and read the reports under a folder.

    Vitis HLS writes a report for every function: those of ``tops`` are meant, or, where none of
    these is there, the only function there is.

    Raises:
        ReportError: for a report that is not whole, two of a stage that disagree, no report, or
            several functions none of which is of ``tops``.
    """
    read = [r for r in map(read_report, _wanted(find(folder), tops)) if r is not None]
    if not read:
        msg = (
            f"{folder}: no report here; expected *_csynth.xml, *_cosim.rpt, or what "
            "report_utilization and report_timing_summary wrote (*.rpt)"
        )
        raise ReportError(msg)
    csynth = _of_top([r for r in read if isinstance(r, CsynthReport)], tops, folder)
    if csynth is not None and not tops:
        tops = (csynth.top,)
    cosims = [r for r in read if isinstance(r, CosimReport) and (not tops or r.top in tops)]
    uses: dict[str, UtilisationReport] = {}
    for use in (r for r in read if isinstance(r, UtilisationReport)):
        uses[use.stage] = _further(uses.get(use.stage), use)
    timing, notes = _timing([r for r in read if isinstance(r, TimingReport)], uses)
    order = [s for s in ("vsynth", "pnr") if s in uses]
    return Reports(
        csynth, cosims[0] if cosims else None, {s: uses[s] for s in order}, timing, tuple(notes)
    )


def _wanted(paths: Sequence[Path], tops: Sequence[str]) -> list[Path]:
    """Without reports of other functions where that of the top is there, and without the .rpt of
    C synthesis beside its .xml: they may be odd without harm."""
    names = {f"{top}_csynth" for top in tops} & {p.stem for p in paths}
    known = set(paths)
    return [
        p
        for p in paths
        if not p.stem.endswith("_csynth")
        or (
            (not names or p.stem in names)
            and (p.suffix == ".xml" or p.with_suffix(".xml") not in known)
        )
    ]


def _of_top(found: list[CsynthReport], tops: Sequence[str], folder: Path) -> CsynthReport | None:
    """The report of the top function; the .xml where the .rpt is there as well."""
    found = sorted(found, key=lambda r: r.path.suffix != ".xml")
    names = sorted({r.top for r in found})
    wanted = [r for r in found if r.top in tops] or (found if len(names) == 1 else [])
    if found and not wanted:
        listed = ", ".join(names)
        msg = f"{folder}: reports of {listed}; expected one of {', '.join(tops) or 'one function'}"
        raise ReportError(msg)
    for other in wanted[1:]:
        if (other.used, other.latency) != (wanted[0].used, wanted[0].latency):
            raise ReportError(_disagree(wanted[0], other))
    return wanted[0] if wanted else None


def _further(known: UtilisationReport | None, new: UtilisationReport) -> UtilisationReport:
    """Of two reports of a stage the one of the further design."""
    if known is None or new.progress > known.progress:
        return new
    if new.progress == known.progress and any(
        new.used[n] != known.used[n] for n in RESOURCES if n in new.used and n in known.used
    ):
        raise ReportError(_disagree(known, new))
    # the one by hierarchy has no capacities, and a flat one has
    return new if new.progress == known.progress and not known.available else known


def _disagree(one: Report, other: Report) -> str:
    return f"{one.path} and {other.path} are of one stage and disagree; remove one of them"


def _timing(
    found: list[TimingReport], uses: dict[str, UtilisationReport]
) -> tuple[dict[str, TimingReport], list[str]]:
    """By stage; where neither header nor paths say it, names and neighbours do."""
    kept: dict[str, TimingReport] = {}
    notes = []
    for report in found:
        stage = report.stage or _guessed(report.path.name, uses)
        if not stage:
            notes.append(f"{report.path.name}: does not say its Design State; left out")
        elif stage not in kept or report.progress > kept[stage].progress:
            kept[stage] = report
        elif report.progress == kept[stage].progress and report.slack_ns != kept[stage].slack_ns:
            raise ReportError(_disagree(kept[stage], report))
    return kept, notes


def _guessed(name: str, uses: dict[str, UtilisationReport]) -> str:
    if name == OURS:
        return "pnr"
    for word, stage in (("synth", "vsynth"), ("rout", "pnr"), ("place", "pnr"), ("impl", "pnr")):
        if word in name:
            return stage
    return next(iter(uses)) if len(uses) == 1 else ""


def differences(reports: Reports, subject: Subject) -> list[str]:
    """How the reports do not fit the design, a line each; none if they do."""
    found = []
    for report in reports.all:
        name = report.path.name
        top = report.design if isinstance(report, _VIVADO) else report.top
        if top and top not in subject.tops:
            found.append(f"{name} is of {top}, not of {' or '.join(subject.tops)}")
        if not isinstance(report, CosimReport):
            if report.part and not same_part(report.part, subject.part):
                found.append(f"{name} is for {report.part}, not {subject.part}")
    period = 1000.0 / subject.clock_mhz
    for name, periods in _periods(reports):
        if periods and min(abs(p - period) for p in periods) > CLOSE_NS:
            shown = ", ".join(f"{p:g}" for p in periods)
            found.append(f"{name} has a clock of {shown} ns, not {period:.3f} ns")
    return found


_VIVADO = (UtilisationReport, TimingReport)


def _periods(reports: Reports) -> Iterator[tuple[str, list[float]]]:
    if reports.csynth is not None and reports.csynth.target_ns is not None:
        yield reports.csynth.path.name, [reports.csynth.target_ns]
    for report in reports.timing.values():
        yield report.path.name, [c.period_ns for c in report.clocks]


def measurements(
    reports: Reports, subject: Subject, told: str = "", warned: Sequence[str] = ()
) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """What reports measured of a design, and what a reader should know, a line each.

    Args:
        reports: of the design; where they name another part or clock, the numbers are of that.
        subject: the design.
        told: what the tool was told, if it was run here.
        warned: what else the flags of every measurement should hold.

    Every measurement's flags hold those of its report. Latency and interval that a tool could not
    determine, and those of a co-simulation that failed, are no measurements.
    """
    made: list[Measurement] = []
    notes = list(reports.notes)
    mhz = _clock(reports, subject)
    for report, stage, values in _values(reports, mhz):
        method = "vitis" if isinstance(report, CsynthReport | CosimReport) else "vivado"
        part = "" if isinstance(report, CosimReport) else report.part
        part = subject.part if not part or same_part(part, subject.part) else part
        extra = _extra(report)
        flags = [f"flow {subject.flow}"] if subject.flow else []
        flags += [told] if told and method == "vivado" else []
        flags += [*extra, *report.flags, *_about(report, reports, warned)]
        flags += [] if any(p for _, p in _periods(reports)) else ["clock not stated"]
        notes += [f"{report.path.name}: {flag}" for flag in report.flags]
        made += [
            Measurement(
                metric,
                value,
                method,
                stage,
                _tool(report, reports),
                f"{part} @ {mhz:g} MHz",
                subject.digest,
                flags="; ".join(flags),
            )
            for metric, value in values.items()
        ]
    return tuple(made), tuple(dict.fromkeys(notes))


def _about(report: Report, reports: Reports, warned: Sequence[str]) -> list[str]:
    """The warnings that are not of another report alone; a clock is that of all of them."""
    others = tuple(f"{r.path.name} is " for r in reports.all if r.path != report.path)
    return [w.removeprefix(f"{report.path.name} is ") for w in warned if not w.startswith(others)]


def _clock(reports: Reports, subject: Subject) -> float:
    """The clock that the numbers are of: the design's, unless the reports name another."""
    period = 1000.0 / subject.clock_mhz
    for _, periods in _periods(reports):
        if periods:
            nearest = min(periods, key=lambda p: abs(p - period))
            return subject.clock_mhz if abs(nearest - period) <= CLOSE_NS else 1000.0 / nearest
    return subject.clock_mhz


def _values(reports: Reports, mhz: float) -> Iterator[tuple[Report, str, dict[str, float]]]:
    if (csynth := reports.csynth) is not None:
        found = {n: csynth.used[n] for n in RESOURCES if n in csynth.used}
        found |= _cycles(csynth)
        if csynth.estimated_ns:
            found["fmax_mhz"] = 1000.0 / csynth.estimated_ns
        yield csynth, "csynth", found
    if reports.cosim is not None:
        yield reports.cosim, "cosim", _cycles(reports.cosim) if reports.cosim.passed else {}
    for stage, use in reports.utilisation.items():
        yield use, stage, {n: use.used[n] for n in RESOURCES if n in use.used}
    for stage, timing in reports.timing.items():
        clocks = sorted(timing.clocks, key=lambda c: abs(c.period_ns - 1000.0 / mhz))
        fmax = clocks[0].fmax_mhz if clocks else None
        yield timing, stage, {} if fmax is None else {"fmax_mhz": fmax}


def _cycles(report: CsynthReport | CosimReport) -> dict[str, float]:
    """The largest latency and interval, where they are known."""
    ends = {"latency_cycles": report.latency, "ii_cycles": report.interval}
    return {name: float(found.high) for name, found in ends.items() if found is not None}


def _extra(report: Report) -> list[str]:
    """What a tool was told, as far as its report says."""
    if isinstance(report, CsynthReport):
        kept = report.uncertainty_ns
        return [] if kept is None else [f"clock uncertainty {kept:g} ns"]
    if isinstance(report, CosimReport):
        return [report.language]
    return [report.state] if report.state else []


def _tool(report: Report, reports: Reports) -> str:
    """Program and release; a report of co-simulation names neither, its neighbour does."""
    if isinstance(report, CosimReport):
        return "HLS co-simulation" if reports.csynth is None else _tool(reports.csynth, reports)
    return f"{report.tool} {report.version}".strip()
