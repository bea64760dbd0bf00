"""Which designs a study ranks, and which of them it ends with."""

from __future__ import annotations

from nacsr.archive import Archive
from nacsr.entry import Entry
from nacsr.measure import ESTIMATED, VERILOG, Basis
from nacsr.spec import StudySpec
from nacsr.targets import RESOURCES, target


def limits(spec: StudySpec) -> dict[str, float]:
    """Upper limits by metric name: the device's capacities, and the study's constraints."""
    device = target(spec.target)
    top = {name: float(getattr(device, name)) for name in RESOURCES}
    for name, value in spec.constraints.model_dump().items():
        if value is not None:
            top[name] = min(top.get(name, float("inf")), float(value))
    return top


def front(archive: Archive, spec: StudySpec, basis: Basis = ESTIMATED) -> list[Entry]:
    """The designs that no other one dominates by a study's objectives and within its limits, best
    in the first objective first."""
    return archive.front(spec.objectives, *basis, limits(spec))


def contenders(archive: Archive, spec: StudySpec) -> list[Entry]:
    """The best of each family by estimates of C-synthesis, which rank a family among itself well.

    Between families they do not, and they overstate LUTs, so of these the Verilog is estimated,
    too, whether or not they are within the study's limits.
    """
    families = sorted({e.candidate.family for e in archive.entries(designs_only=True)})
    return [e for family in families for e in archive.front(spec.objectives, family=family)]


def finalists(archive: Archive, spec: StudySpec) -> list[Entry]:
    """What is emitted, verified and measured: whatever is on the front of one estimate, that of
    C-synthesis or that of Verilog."""
    found = {e.id: e for b in (ESTIMATED, VERILOG) for e in front(archive, spec, b)}
    return list(found.values())
