"""What a search is for: objectives by name, and limits beyond which a design is of no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nacsr.measure import Measurement, minimised
from nacsr.targets import target

AREA = "area"


@dataclass(frozen=True, slots=True)
class Score:
    """How good a candidate is.

    Attributes:
        objectives: all minimised.
        excess: by how much of each limit the candidate is beyond it, summed; 0: within all.
    """

    objectives: tuple[float, ...]
    excess: float = 0.0


@dataclass(frozen=True, slots=True)
class Goals:
    """The objectives of a study, in its order, and its limits.

    LUTs and DSPs are one objective where both are named, in the place of the first: the area in
    LUTs, where a DSP counts as many as the device has for each of its DSPs. With one objective
    more nearly every candidate would be on the front, and selection could not choose.

    Attributes:
        objectives: names of metrics; their sense is in ``METRICS``.
        target: name of the device.
        limits: upper limits by metric name.
    """

    objectives: tuple[str, ...]
    target: str
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[str, ...]:
        """What a score's objectives are."""
        merged = ("luts", "dsps") if {"luts", "dsps"} <= set(self.objectives) else ()
        return tuple(dict.fromkeys(AREA if n in merged else n for n in self.objectives))

    def score(self, measured: Sequence[Measurement]) -> Score | None:
        """The score of a candidate; None if an objective was not measured.

        A limit of what was not measured is kept.
        """
        value = {m.metric: m.value for m in measured if not m.label}
        if {"luts", "dsps"} <= value.keys():
            value[AREA] = target(self.target).area(value["luts"], value["dsps"])
        if not value.keys() >= set(self.axes):
            return None
        excess = sum(beyond(value[n], top) for n, top in self.limits.items() if n in value)
        return Score(tuple(minimised(n, value[n]) for n in self.axes), excess)


def beyond(value: float, top: float) -> float:
    """By which share of a limit a value is beyond it; of a limit of zero, by how much."""
    return max(value - top, 0.0) / max(top, 1.0)
