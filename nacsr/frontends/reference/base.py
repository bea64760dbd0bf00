"""What a reference family is: it fits simple models and proposes a ladder of lowered designs.

A family reads raw words, one scalar port a feature, unsigned or signed as they arrive: scaling
costs nothing. Its outputs are those of formulas: one a class in the order of
``Problem.outputs`` (of two classes one score, positive for the second), or what a regression
predicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nacsr.frontends.base import Events, Problem
from nacsr.ir import Builder, Graph, verify

EIGHTH = 3
TINY = 2.0**-24
"""A target that varies by less counts as constant."""


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


def resolution(problem: Problem) -> int:
    """Fractional bits that scores have at least: none of log-odds; of a regression so many that a
    step is about an eighth of the spread of what is predicted, or finer."""
    if problem.task == "classification":
        return 0
    spread = np.asarray(problem.train.y, np.float64).reshape(len(problem.train), -1).std(axis=0)
    return EIGHTH - math.floor(math.log2(max(float(spread.min()), TINY)))


def inputs(builder: Builder, problem: Problem) -> list[int]:
    """The raw word of every feature, as a port of its name; ``Builder.build`` drops unread ones."""
    return [builder.input(f.name, f.type.plain()) for f in problem.features]


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
