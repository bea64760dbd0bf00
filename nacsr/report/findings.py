"""What a front says about families, in words: where references win, and who is not on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nacsr.archive import Archive
from nacsr.entry import Entry, value_of
from nacsr.fronts import limits
from nacsr.measure import ARCHITECTURE, HARDWARE, METRICS, QUALITY, Basis, minimised
from nacsr.report.rows import REFERENCE_FAMILIES, SEARCHED_FAMILIES, Row
from nacsr.report.table import count
from nacsr.spec import StudySpec


def findings(
    archive: Archive, spec: StudySpec, rows: Sequence[Row], objectives: Sequence[str] = ()
) -> list[str]:
    """All of them, a line each.

    Args:
        archive: of the run.
        spec: its study.
        rows: the front.
        objectives: what it is ranked by; those of the study if left.
    """
    names = objectives or spec.objectives
    return [*winners(archive, spec, rows, names), *absent(archive, spec, rows, names)]


def winners(
    archive: Archive, spec: StudySpec, rows: Sequence[Row], objectives: Sequence[str]
) -> list[str]:
    """Whether references of a front win against networks and formulas, in a sentence or two.

    They are compared with all designs of the run that have numbers of the same method and stage,
    on the front or not, by validation and by LUTs, or by the first objective of the hardware where
    LUTs are none. Nothing is said where there is nothing to compare with.
    """
    qualities = {name for names in QUALITY.values() for name in names}
    metric = next((n for n in objectives if n in qualities), "")
    cost = next((n for n in ("luts", *objectives) if n in objectives and n in HARDWARE), "")
    if not metric or not cost:
        return []
    said = []
    bases = list(dict.fromkeys(r.basis for r in rows))
    for basis in bases:
        ids = [r.id for r in rows if r.basis == basis and r.family in REFERENCE_FAMILIES]
        others = [
            entry
            for family in (SEARCHED_FAMILIES if ids else ())
            for entry in archive.front((metric, cost), *basis, limits(spec), family=family)
        ]
        about = metric, cost, basis, archive.place()
        own = standings(map(archive.entry, ids), *about)
        lines = argued(own, standings(others, *about), metric, cost)
        said += [f"Of those by {basis}: {line}" if len(bases) > 1 else line for line in lines]
    return said


@dataclass(frozen=True, slots=True)
class Standing:
    """A design in the two metrics that are argued by.

    Attributes:
        name: family and id.
        quality: by validation, to be minimised.
        error: of the quality.
        cost: of the hardware.
        said: all of them, in words.
    """

    name: str
    quality: float
    error: float
    cost: float
    said: str

    def as_good_as(self, other: Standing) -> bool:
        """Within the errors of both, which is wider than the error of their difference, as both
        were read on the same events."""
        return self.quality - other.quality <= math.hypot(self.error, other.error)

    def replaces(self, other: Standing) -> bool:
        """Whether it is as good and as small; of equals one does."""
        mine, its = ((s.quality, s.cost, s.name) for s in (self, other))
        return mine < its and self.cost <= other.cost


def standings(
    entries: Iterable[Entry], metric: str, cost: str, basis: Basis, place: str
) -> list[Standing]:
    """Of the designs whose numbers and error are known: what is not known is not perfect."""
    found = []
    for entry in entries:
        read = entry.find(metric, "interpreter", "validation")
        taken, dsps = (value_of(entry, name, basis, place) for name in (cost, "dsps"))
        if read is None or read.error is None or taken is None:
            continue
        said = f"{read.value:.4g} ± {read.error:.2g} in {count(taken)} {METRICS[cost].unit}"
        more = f" and {count(dsps)} DSP" if dsps and cost != "dsps" else ""
        name = f"{entry.candidate.family} {entry.id}"
        quality = minimised(metric, read.value)
        found.append(Standing(name, quality, read.error, taken, said + more))
    return found


def argued(
    references: Sequence[Standing], others: Sequence[Standing], metric: str, cost: str
) -> list[str]:
    """A sentence for references that are better, beyond the error, than all other designs as small;
    one for those that are as good, within it, as the smallest that is as good, and smaller. Where
    there are none of either, one for the best of those that no other design is as small as.

    Args:
        references: of the front; of those that another one replaces nothing is said.
        others: designs of other families; [] gives no sentence.
        metric: what ``quality`` is.
        cost: what ``cost`` is.
    """
    named = [r for r in references if not any(o.replaces(r) for o in references)]
    if not named or not others:
        return []
    unit = METRICS[cost].unit
    units, by = unit if unit.endswith("s") else f"{unit}s", f"by validation {metric}"
    better: list[tuple[Standing, Standing]] = []
    equal: list[tuple[Standing, Standing]] = []
    alone: list[Standing] = []
    for one in sorted(named, key=lambda s: s.quality):
        rivals = [o for o in others if o.as_good_as(one)]
        small = [o for o in others if o.cost <= one.cost]
        if any(o in rivals for o in small):
            continue
        rival = min(rivals, key=lambda s: s.cost, default=None)
        if rival is not None and one.as_good_as(rival):
            equal.append((one, rival))
        elif small:
            better.append((one, min(small, key=lambda s: s.quality)))
        else:
            alone.append(one)
    equal.sort(key=lambda pair: pair[0].cost / max(pair[1].cost, 1.0))
    said = [
        f"A reference wins {by}: {one.name} with {one.said}, beyond the error better than every "
        f"network or formula of at most as many {units}; the nearest of these is {other.name} "
        f"with {other.said}.{_likewise(better)}"
        for one, other in better[:1]
    ]
    said += [
        f"A reference is as good {by}, within the error, as a network or formula of more {units}: "
        f"{one.name} with {one.said}, {other.name} with {other.said}.{_likewise(equal)}"
        for one, other in equal[:1]
    ]
    if not said and alone:
        one, other = alone[0], min(others, key=lambda s: s.cost)
        said.append(
            f"A reference wins where no network or formula is as small: {one.name} with "
            f"{one.said} {by}; the smallest of them is {other.name} with {other.said}."
        )
    if not said:
        said.append(
            "No reference wins on this front: for each a network or formula of at most its "
            f"{units} is as good {by}, within the error."
        )
    return said


def _likewise(pairs: Sequence[tuple[Standing, Standing]]) -> str:
    return f" Likewise: {', '.join(r.name for r, _ in pairs[1:])}." if len(pairs) > 1 else ""


def absent(
    archive: Archive, spec: StudySpec, rows: Sequence[Row], objectives: Sequence[str]
) -> list[str]:
    """Why a family is not on a front, a line each: a finding, not to be hidden."""
    entries = archive.entries()
    wanted = {*SEARCHED_FAMILIES, *spec.families.references, *(e.candidate.family for e in entries)}
    only = next((n for n in objectives if n in ARCHITECTURE), "")
    return [
        f"No {family} design is on this front: "
        f"{_why([e for e in entries if e.candidate.family == family], family, only)}."
        for family in sorted(wanted - {r.family for r in rows})
    ]


def _why(entries: Sequence[Entry], family: str, only: str) -> str:
    """Why none of these is on a front, which is ranked by what ``only`` networks have or by ""."""
    if only and family != "network" and (entries or family in REFERENCE_FAMILIES):
        return f"it has no {only}, an objective, which only networks have"
    if not entries:
        return "that family was not searched"
    designs = sum(e.graph_text is not None for e in entries)
    if designs:
        return f"all {designs} designs are dominated, failed or beyond a limit"
    [(reason, _)] = Counter(e.failed for e in entries).most_common(1)
    return f"none of the {len(entries)} candidates became a design, most often because {reason}"
