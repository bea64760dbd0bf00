"""What a study records: jobs, the candidates that they find, and their outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from nacsr.ir import Graph
from nacsr.measure import Measurement


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of work.

    Attributes:
        family: ``expression``, ``network``, or a reference family.
        kind: which function of the family runs it, such as ``search`` or ``train``.
        payload: JSON-able parameters, the whole input besides the problem.
        label: a few words for the progress display.
        arrays: what earlier jobs gave, which the payload names.
    """

    family: str
    kind: str
    payload: Mapping[str, Any]
    label: str = ""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """Digest of everything that decides the outcome."""
        text = json.dumps([self.family, self.kind, self.payload], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed model.

    Attributes:
        family: ``expression``, ``network``, or a reference family.
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
