"""What a reference family is: it fits simple models and proposes a ladder of lowered designs.

A family reads raw words, one scalar port a feature, unsigned or signed as they arrive: scaling
costs nothing. Its outputs are those of formulas: one a class in the order of
``Problem.outputs`` (of two classes one score, positive for the second), or what a regression
predicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature
from nacsr.frontends.base import Events, Problem
from nacsr.ir import Builder, Graph, verify

Real = NDArray[np.float64]
Ints = NDArray[np.int64]

EIGHTH = 3
TINY = 2.0**-40
"""A target that varies by less, of its largest value, is constant."""
VALUE = 2.0**-12
"""Of a constant: what counts as the spread of a target that is one."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A lowered design of a family.

    Attributes:
        genotype: JSON-able and canonical, all that rebuilds it.
        title: a few words for people.
        graph: the design.
    """

    genotype: Mapping[str, Any]
    title: str
    graph: Graph


class Propose(Protocol):
    """Fits on ``problem.train`` and gives designs from tiny to large; deterministic by seed."""

    def __call__(self, problem: Problem, spec: Any, seed: int) -> Iterator[Proposed]:
        """``spec`` is the family's own section of the study."""
        ...


def drawn(events: Events, most: int, seed: int) -> Events:
    """All events in another order, or so many of them."""
    order = np.random.default_rng(seed).permutation(len(events))
    return events.take(order[:most])


@dataclass(frozen=True, slots=True, eq=False)
class Spreads:
    """How the targets of a regression are spread, shape (outputs,) each.

    Attributes:
        mean: weighted.
        size: weighted standard deviation; of a constant a small part of its value, so that it can
            be told in steps of that.
        varies: whether a target is no constant.
    """

    mean: Real
    size: Real
    varies: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: Real, weights: Real | None) -> Spreads:
        """Of targets, shape (events, outputs), and weights of the events."""
        mean = np.average(columns, axis=0, weights=weights)
        size = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=weights))
        largest = np.abs(columns).max(axis=0)
        varies = size > TINY * largest
        constant = np.where(largest > 0, VALUE * largest, 1.0)
        return cls(mean, np.where(varies, size, constant), varies)


def targets(events: Events) -> Real:
    """What a regression predicts, shape (events, outputs)."""
    return np.asarray(events.y, np.float64).reshape(len(events), -1)


def resolution(problem: Problem) -> Ints:
    """Fractional bits that every output has at least: none of log-odds; of a regression so many
    that a step is about an eighth of the spread of what is predicted, or finer."""
    if problem.task == "classification":
        return np.zeros(len(problem.outputs), np.int64)
    spreads = Spreads.of(targets(problem.train), problem.train.weights)
    found: Ints = EIGHTH - np.floor(np.log2(spreads.size)).astype(np.int64)
    return found


def recorded(fracs: Sequence[int]) -> int | list[int]:
    """Fractional bits for a genotype: one number where all outputs have the same."""
    found = [int(frac) for frac in fracs]
    return found[0] if len(set(found)) == 1 else found


def each(frac: int | Sequence[int], outputs: int) -> list[int]:
    """Fractional bits of every output, as a genotype tells them."""
    return [frac] * outputs if isinstance(frac, int) else list(frac)


def steps(fracs: Sequence[int]) -> str:
    """For titles.

    >>> steps([3, 3]), steps([3, -7])
    ('steps 2^-3', 'steps 2^-3, 2^7')
    """
    return "steps " + ", ".join(dict.fromkeys(f"2^{-int(frac)}" for frac in fracs))


def counted(number: int, what: str) -> str:
    """For titles.

    >>> counted(1, "table"), counted(2, "table")
    ('1 table', '2 tables')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def inputs(builder: Builder, features: Sequence[Feature]) -> list[int]:
    """The raw word of every feature, as a port of its name; ``Builder.build`` drops unread ones."""
    return [builder.input(f.name, f.type.plain()) for f in features]


def added(builder: Builder, terms: Sequence[int]) -> int:
    """The sum of one value or more, narrow ones first, in as few levels as possible."""
    terms = list(terms)
    while len(terms) > 1:
        ordered = sorted(terms, key=lambda i: builder.type(i).width)
        pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
        left = [ordered[-1]] * (len(ordered) % 2)
        terms = left + [builder.op("add", one, two) for one, two in pairs]
    return terms[0]


def scored(builder: Builder, outputs: Sequence[str], values: Sequence[int]) -> Graph | None:
    """The graph of these outputs, or None if none of them reads an input."""
    for name, value in zip(outputs, values, strict=True):
        builder.output(name, builder.narrow(value))
    graph = builder.build()
    return verify(graph) if graph.inputs else None
