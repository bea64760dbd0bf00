"""What a frontend is: it asks for jobs and is told their outcomes.

A job is a pure function of its payload, its seed and the problem, so its key is a digest,
it may run in any process, and a study resumes by replaying recorded outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.fixed import Fixed, Raw
from nacsr.luts import LutFunc, lut_functions
from nacsr.records import Candidate, Found, Job, Outcome

__all__ = ["Candidate", "Found", "Frontend", "Job", "Outcome", "Problem"]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All that a frontend may see: training and validation data, target and precision.

    There is no test data here. ``*_words`` have shape (events, features), ``*_labels`` are
    class indices of shape (events,).
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    scaling: Scaling
    train_words: Raw
    train_labels: NDArray[np.int64]
    validation_words: Raw
    validation_labels: NDArray[np.int64]
    target: str
    clock_mhz: float
    precision: Fixed
    digest: str
    """Digest of dataset, split, words and own LUT functions: the provenance of numbers."""
    luts: Mapping[str, LutFunc] = field(default_factory=lambda: dict(lut_functions()))
    """The LUT functions that formulas may use."""

    def train_values(self) -> NDArray[np.float64]:
        """Standardised training values, shape (events, features)."""
        return standardise(self.train_words, self.features, self.scaling)

    def validation_values(self) -> NDArray[np.float64]:
        """Standardised validation values, shape (events, features)."""
        return standardise(self.validation_words, self.features, self.scaling)


class Frontend(Protocol):
    """Proposes batches until it has no more to ask.

    ``ask`` returns the next jobs (an empty list: finished); ``tell`` gives the outcomes in
    the same order. Both must be deterministic. ``run`` executes one job in a worker.
    """

    family: str
    phase: str
    """What it is doing now, for the progress display."""

    def ask(self) -> list[Job]:
        """The next batch of independent jobs."""
        ...

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the last batch, in order."""
        ...

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job. Failures of single candidates are ``Found`` with a reason."""
        ...
