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

from nacsr.frontends.base import Problem
from nacsr.ir import Builder, Graph


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
