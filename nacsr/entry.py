"""A candidate with what is known of it, as an archive keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nacsr.errors import ArchiveError
from nacsr.ir import Graph, parse
from nacsr.measure import ARCHITECTURE, HARDWARE, TIMING, Basis, Measurement
from nacsr.records import Candidate


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate of the archive with all its measurements."""

    candidate: Candidate
    measurements: tuple[Measurement, ...]
    graph_text: str | None

    @property
    def id(self) -> str:
        """The candidate's id."""
        return self.candidate.id

    @property
    def graph(self) -> Graph:
        """The lowered design.

        Raises:
            ArchiveError: if the candidate was never lowered.
        """
        if self.graph_text is None:
            msg = f"{self.id} is a candidate of the search, not a design; choose one of the front"
            raise ArchiveError(msg)
        return parse(self.graph_text)

    def find(
        self, metric: str, method: str, stage: str, label: str = "", target: str = ""
    ) -> Measurement | None:
        """The latest measurement of that kind, on that target if one is named."""
        for m in reversed(self.measurements):
            if (m.metric, m.method, m.stage, m.label) == (metric, method, stage, label):
                if not target or m.target == target:
                    return m
        return None

    def basis(
        self, metrics: Iterable[str], choices: Iterable[Basis], target: str = ""
    ) -> Basis | None:
        """The first of several in which all those metrics are known, so never a mix of two."""
        wanted = [m for m in metrics if m in HARDWARE or m in TIMING]
        for basis in choices:
            if all(self.find(m, *basis, target=target) is not None for m in wanted):
                return basis
        return None

    @property
    def failed(self) -> str:
        """Why this candidate may not be on a front, or ""."""
        if self.candidate.reason:
            return self.candidate.reason
        for check in self.measurements:  # a run without one does not undo one that has some
            if check.metric == "mismatches" and check.value > 0:
                what = "C++" if check.method == "g++" else "Verilog"
                return f"{check.value:.0f} output words differ between {what} and interpreter"
        return ""


def value_of(entry: Entry, metric: str, basis: Basis, place: str) -> float | None:
    """What a front ranks a design by, on a part at a clock; None where that is not known."""
    if metric in HARDWARE or metric in TIMING:
        found = entry.find(metric, *basis, target=place)
    elif metric in ARCHITECTURE:  # the same for every flow
        found = next((m for m in reversed(entry.measurements) if m.metric == metric), None)
    else:
        found = entry.find(metric, "interpreter", "validation")
    return None if found is None else found.value
