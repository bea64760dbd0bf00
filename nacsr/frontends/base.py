"""What a frontend is: it asks for jobs and is told their outcomes.

A job is a pure function of its payload, its seed and the problem, so its key is a digest,
it may run in any process, and a study resumes by replaying recorded outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import Cost, estimate
from nacsr.cost.calibration import Calibration
from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling, standardise
from nacsr.fixed import Fixed
from nacsr.ir import Graph
from nacsr.luts import LutFunc, lut_functions
from nacsr.measure import judged_as
from nacsr.records import Candidate, Found, Job, Outcome

__all__ = ["Candidate", "Events", "Found", "Frontend", "Job", "Outcome", "Problem"]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All that a frontend may see: training and validation data, target and precision.

    There is no test data here.
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    """Names of the classes; of a regression, the names of what is predicted."""
    scaling: Scaling
    train: Events
    validation: Events
    target: str
    clock_mhz: float
    precision: Fixed
    digest: str
    """Digest of dataset, split, words and own LUT functions: the provenance of numbers."""
    task: str = "classification"
    """``classification`` or ``regression``."""
    luts: Mapping[str, LutFunc] = field(default_factory=lambda: dict(lut_functions()))
    """The LUT functions that formulas may use."""
    teacher: NDArray[np.float64] | None = None
    """Outputs of a trained design for the training events, one column a class, to distil."""
    folder: Path | None = None
    """Where engines may keep files of their own."""
    calibration: Calibration | None = None
    """Refits analytic costs to reports of the user's own tools."""
    array: tuple[int, ...] = ()
    """The shape of an event whose features are an array's elements, in C order: (particles,
    values of one) or (channels, rows, columns); () where they are a plain list."""

    def cost(self, graph: Graph, flow: str) -> Cost:
        """Analytic cost of a design for a flow, at the study's device and clock."""
        found = estimate(graph, self.target, self.clock_mhz, flow)
        return found if self.calibration is None else self.calibration.apply(found, flow, graph)

    @property
    def shape(self) -> tuple[int, ...]:
        """What a network sees of an event: its array, or the list of its features."""
        return self.array or (len(self.features),)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(f.name for f in self.features)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What an expression is written for: every class, or one for all: the second of two
        classes, which is guessed where its expression is positive; all that a regression predicts.
        """
        two = self.task == "classification" and len(self.classes) == 2
        return self.classes[1:] if two else self.classes

    @property
    def judged_as(self) -> str:
        """A key of ``nacsr.measure.QUALITY``."""
        return judged_as(self.task, len(self.classes))

    def values(self, events: Events) -> NDArray[np.float64]:
        """Standardised values of events, shape (events, features)."""
        return standardise(events.words, self.features, self.scaling)


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
