"""The front as rows of plain values: every view (table, page, picture, JSON) shows these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nacsr.archive import Archive
from nacsr.cost import share, within
from nacsr.design import Setting
from nacsr.emit import default_flow
from nacsr.entry import Entry, value_of
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.measure import ESTIMATED, HARDWARE, OPEN, QUALITY, VERILOG, Basis, Measurement
from nacsr.targets import target as find_target

REFERENCE_FAMILIES = tuple(REFERENCES)
"""Families that anyone would try first."""
SEARCHED_FAMILIES = ("expression", "network")
"""The others, which references are compared with."""


FLOW = r"\bflow \w+"
"""What a report was made of."""


@dataclass(frozen=True, slots=True)
class About:
    """What the numbers of a method and stage mean.

    Attributes:
        check: method and stage of the comparison with the interpreter.
        lines: for people, a line each.
        caveat: what to keep in mind before ranking by them.
    """

    check: tuple[str, str]
    lines: tuple[str, ...]
    caveat: str


_C, _VERILOG = ("g++", "csim"), ("simulation", "rtlsim")
_WRONG_C = "wrong: output words of the emitted C++ that differ from the interpreter."
_WRONG_VERILOG = "wrong: output words of the simulated Verilog that differ from the interpreter."
_PORT_TO_PORT = "cycles: from port to port of the Verilog, registers at both included."
_ONE_FLOW = (
    "All families went through one flow: unrolled, constants as shared additions, scheduled for "
    "the clock."
)
_CSYNTH = About(
    _C,
    (
        "cycles: csynth's latency; 0 means that the design fits into one clock period. "
        "BRAM: 18-kbit blocks.",
        _WRONG_C,
    ),
    "LUTs at csynth stage overstate what a placed design needs, expressions (3-5x) more than "
    "networks (about 2x): ranking families by them favours networks. References, of which no "
    "report is known, are estimated at 1 to 20 times the LUTs of their Verilog.",
)
_OTHER = About(_C, (_WRONG_C,), "LUTs of different methods and stages are different quantities.")
ABOUT: Mapping[Basis, About] = {
    ESTIMATED: _CSYNTH,
    Basis("vitis", "csynth"): _CSYNTH,
    VERILOG: About(
        _VERILOG,
        (_PORT_TO_PORT, _WRONG_VERILOG),
        f"{_ONE_FLOW} LUTs are those of its operators before logic synthesis.",
    ),
    OPEN: About(
        _VERILOG,
        (_PORT_TO_PORT, _WRONG_VERILOG),
        f"{_ONE_FLOW} LUTs and FFs are what yosys made of the Verilog, products and tables of more "
        "than 64 words by rule, cycles as simulated. No open tool can be believed about fmax.",
    ),
}


def about(rows: Sequence[Row]) -> About:
    """What the numbers of these rows mean."""
    return ABOUT.get(rows[0].basis, _OTHER) if rows else _CSYNTH


@dataclass(frozen=True, slots=True)
class Row:
    """One design of a front.

    Numbers are None where nothing measured them. ``quality`` is the metric of ``validation``,
    which selected the design, and of ``test``, read afterwards. AUCs by class and ``further``
    metrics (a regression's relative errors) are of the test events where those were read, of
    the validation events otherwise (``auc_stage``). ``hardware`` says which method,
    stage, part and clock the resources speak of; ``bands`` are their known half-widths.
    """

    id: str
    family: str
    title: str
    flow: str
    quality: str
    validation: float | None
    validation_error: float | None
    test: float | None
    test_error: float | None
    auc: Mapping[str, float]
    auc_error: Mapping[str, float]
    auc_stage: str
    further: Mapping[str, float]
    further_error: Mapping[str, float]
    luts: float | None
    dsps: float | None
    ffs: float | None
    brams: float | None
    latency_cycles: float | None
    ii_cycles: float | None
    bands: Mapping[str, float]
    percent: Mapping[str, float]
    method: str
    stage: str
    hardware: str
    scaling: str
    mismatches: int | None
    verified: str
    digest: str

    @property
    def basis(self) -> Basis:
        """Method and stage of the hardware numbers."""
        return Basis(self.method, self.stage)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def either(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """The rows of two fronts, each design once."""
    known = {r.id for r in first}
    return [*first, *(r for r in second if r.id not in known)]


def mixed(rows: Sequence[Row]) -> str:
    """A warning where rows have numbers of several methods, stages or flows, or ""."""
    flows = [re.findall(FLOW, r.hardware) for r in rows]
    counts = Counter(
        " ".join([str(r.basis), *sorted(set(f))]) for r, f in zip(rows, flows, strict=True)
    )
    if len(counts) < 2:
        return ""
    which = ", ".join(f"{n} by {name}" for name, n in sorted(counts.items()))
    return f"Mixed, and not the same quantity: {which}."


def quality(rows: Sequence[Row]) -> str:
    """The metric that the designs of a front are ranked by."""
    return rows[0].quality if rows else QUALITY["classification"][0]


def labels(rows: Sequence[Row], classes: Sequence[str]) -> list[str]:
    """The classes that have an AUC: all, only the second of two, or none in a regression."""
    return [c for c in classes if any(c in r.auc for r in rows)]


def rows(
    front: Sequence[Entry],
    setting: Setting,
    bases: Sequence[Basis] = (ESTIMATED,),
    ranked_by: Sequence[str] = ("luts", "dsps", "latency_cycles"),
) -> list[Row]:
    """Rows for the designs of a front, in its order.

    Args:
        front: the designs.
        setting: ports, device and clock of their run.
        bases: how hardware numbers may have been obtained; of a design, the first in which all
            that it was ranked by is known.
        ranked_by: objectives, and metrics that have limits.
    """
    found = [entry.basis(ranked_by, bases, setting.place) or bases[0] for entry in front]
    return [_row(entry, setting, basis) for entry, basis in zip(front, found, strict=True)]


def beyond(archive: Archive, setting: Setting, limits: Mapping[str, float]) -> dict[str, str]:
    """Designs that the front may not hold because they break a limit: id -> which, in words."""
    found = {}
    for entry in archive.entries(designs_only=True):
        broken = within(_values(_hardware(entry, setting)), find_target(setting.target), limits)
        if broken:
            found[entry.id] = f"{entry.candidate.title}: {'; '.join(broken)}"
    return found


def unknown_to(
    archive: Archive, objectives: Sequence[str], limits: Iterable[str], bases: Sequence[Basis]
) -> str:
    """Which objectives or limits no design has a number of, and what to do; "" if none is such.

    Args:
        archive: of the run.
        objectives: metrics of the front.
        limits: metrics that are limited.
        bases: methods and stages whose hardware numbers count.
    """
    entries, own = archive.entries(designs_only=True), archive.place()

    def known(name: str, place: str = own) -> bool:
        return any(value_of(e, name, b, place) is not None for e in entries for b in bases)

    lacking = [n for n in objectives if not known(n)]
    limited = [n for n in limits if n not in lacking and not known(n)]
    missing = (*lacking, *limited)
    if not entries or not missing:
        return ""
    at = f" on {own}, the run's part and clock" if any(known(n, "") for n in missing) else ""
    why = f"{' or '.join(map(str, bases))} has no {', '.join(missing)} of any design{at}"
    rest = [n for n in objectives if n not in lacking] or [n for n in ("luts",) if known(n)]
    if rest and not limited:
        return f"{why}; use --objectives {','.join(rest)}"
    reason = f", and the study limits {', '.join(limited)}" if limited else ""
    return f"{why}{reason}; choose another method or stage"


def _row(entry: Entry, setting: Setting, basis: Basis) -> Row:
    metric, *others = _qualities(entry)
    validation = entry.find(metric, "interpreter", "validation")
    test = entry.find(metric, "interpreter", "test")
    events = "validation" if test is None else "test"
    known = _hardware(entry, setting, basis)
    values = _values(known)
    aucs = _found({c: entry.find("auc", "interpreter", events, c) for c in setting.classes})
    further = _found({name: entry.find(name, "interpreter", events) for name in others})
    compared = ABOUT.get(basis, _OTHER).check
    check = entry.find("mismatches", *compared)
    graph = entry.graph
    return Row(
        id=entry.id,
        family=entry.candidate.family,
        title=entry.candidate.title,
        flow="rtl" if compared == _VERILOG else default_flow(graph),
        quality=metric,
        validation=None if validation is None else validation.value,
        validation_error=None if validation is None else validation.error,
        test=None if test is None else test.value,
        test_error=None if test is None else test.error,
        auc=_values(aucs),
        auc_error=_errors(aucs),
        auc_stage=events,
        further=_values(further),
        further_error=_errors(further),
        bands=_errors(known),
        percent=share(values, find_target(setting.target)),
        method=basis.method,
        stage=basis.stage,
        hardware="; ".join(sorted({_source(m) for m in known.values()})),
        scaling=setting.scaling.mode,
        mismatches=None if check is None else int(check.value),
        verified="" if check is None else f"{check.target}, {check.tool}",
        digest=graph.digest,
        **{name: values.get(name) for name in HARDWARE},
    )


def _hardware(entry: Entry, setting: Setting, basis: Basis = ESTIMATED) -> dict[str, Measurement]:
    return _found({m: entry.find(m, *basis, target=setting.place) for m in HARDWARE})


def _qualities(entry: Entry) -> tuple[str, ...]:
    """The metrics of the task that a design was made for."""
    known = {m.metric for m in entry.measurements}
    return next((q for q in QUALITY.values() if q[0] in known), QUALITY["classification"])


def _found(asked: Mapping[str, Measurement | None]) -> dict[str, Measurement]:
    return {name: m for name, m in asked.items() if m is not None}


def _values(known: Mapping[str, Measurement]) -> dict[str, float]:
    return {name: m.value for name, m in known.items()}


def _errors(known: Mapping[str, Measurement]) -> dict[str, float]:
    return {name: m.error for name, m in known.items() if m.error is not None}


def _source(m: Measurement) -> str:
    """Without a tool's options, which differ by design: ``nacsr show`` has them."""
    flow = re.findall(FLOW, m.flags)
    return ", ".join((m.method, m.stage, m.tool, m.target, *flow))
