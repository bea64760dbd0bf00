"""What a frontend is: it asks for jobs and is told their outcomes.

A job is a pure function of its payload, its seed and the problem, so its key is a digest,
it may run in any process, and a study resumes by replaying recorded outcomes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.fixed import Fixed, Raw
from nacsr.ir import Graph
from nacsr.measure import Measurement


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
    """Digest of dataset, split and words: the provenance of physics numbers."""

    def train_values(self) -> NDArray[np.float64]:
        """Standardised training values, shape (events, features)."""
        return standardise(self.train_words, self.features, self.scaling)

    def validation_values(self) -> NDArray[np.float64]:
        """Standardised validation values, shape (events, features)."""
        return standardise(self.validation_words, self.features, self.scaling)


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of work.

    Attributes:
        family: ``expression`` or ``network``.
        kind: which function of the family runs it, such as ``search`` or ``train``.
        payload: JSON-able parameters, the whole input besides the problem.
        label: a few words for the progress display.
    """

    family: str
    kind: str
    payload: Mapping[str, Any]
    label: str = ""

    @property
    def key(self) -> str:
        """Digest of everything that decides the outcome."""
        text = json.dumps([self.family, self.kind, self.payload], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed model.

    Attributes:
        family: ``expression`` or ``network``.
        genotype: JSON-able description that rebuilds it, canonical.
        seed: seed of its training.
        title: formula or architecture, for people.
        parents: ids of the candidates it came from.
        reason: why it failed, or "" if it did not.
    """

    family: str
    genotype: Mapping[str, Any]
    seed: int
    title: str
    parents: tuple[str, ...] = ()
    reason: str = ""

    @property
    def id(self) -> str:
        """Digest of family, genotype and seed, shortened to 12 hex digits."""
        text = json.dumps([self.family, self.genotype, self.seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate that a job met, with its measurements, lowered (``graph``) or not yet."""

    candidate: Candidate
    measurements: tuple[Measurement, ...] = ()
    graph: Graph | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job returns: JSON-able ``result``, arrays, and candidates for the archive."""

    result: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    found: tuple[Found, ...] = ()


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
