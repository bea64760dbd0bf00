"""Ensembles of decision trees on raw integer words: what they are, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.ir.passes.thresholds import deciding

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """A question: is the word of a feature at least a threshold?

    Attributes:
        feature: index of the feature.
        threshold: a raw word.
    """

    feature: int
    threshold: int

    def holds(self, words: Ints) -> NDArray[np.bool_]:
        """For raw words (events, features)."""
        found: NDArray[np.bool_] = words[:, self.feature] >= self.threshold
        return found

    def bits(self, word: Fixed) -> int:
        """High bits of the word that decide; 0 where every word, or none, is large enough."""
        return deciding(self.threshold, word)


@dataclass(frozen=True, slots=True)
class Split:
    """An inner node.

    Attributes:
        test: what it asks.
        below: where it does not hold.
        above: where it holds.
    """

    test: Question
    below: Node
    above: Node


Node = Split | int
"""A leaf is a raw integer in steps of its output."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that adds to one output."""

    output: int
    root: Node


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The sum of some trees for every output.

    Attributes:
        trees: in any order.
        base: what each output begins with, in its steps.
        fracs: fractional bits of every output: its leaves and its base are in steps of
            ``2**-frac``.
    """

    trees: tuple[Tree, ...]
    base: tuple[int, ...]
    fracs: tuple[int, ...]

    def scores(self, words: Ints) -> Ints:
        """Sums of raw leaves for raw words (events, features), shape (events, outputs)."""
        found = np.tile(np.array(self.base, np.int64), (len(words), 1))
        for tree in self.trees:
            found[:, tree.output] += answers(tree.root, words)
        return found

    @property
    def tests(self) -> tuple[Question, ...]:
        """All questions, each once."""
        return tuple(sorted({t for tree in self.trees for t in asked(tree.root)}))


def answers(node: Node, words: Ints) -> Ints:
    """The leaf of every event."""
    found = np.empty(len(words), np.int64)

    def descend(node: Node, rows: Ints) -> None:
        if not isinstance(node, Split):
            found[rows] = node
            return
        holds = node.test.holds(words[rows])
        descend(node.below, rows[~holds])
        descend(node.above, rows[holds])

    descend(node, np.arange(len(words)))
    return found


def asked(node: Node) -> Iterator[Question]:
    """The questions of a tree, maybe several times."""
    if isinstance(node, Split):
        yield node.test
        yield from asked(node.below)
        yield from asked(node.above)


def leaves(node: Node) -> Iterator[int]:
    """The leaves of a tree."""
    if isinstance(node, Split):
        yield from leaves(node.below)
        yield from leaves(node.above)
    else:
        yield node


def depth(node: Node) -> int:
    """Questions on the longest way."""
    return 1 + max(depth(node.below), depth(node.above)) if isinstance(node, Split) else 0


def known(node: Node, test: Question, holds: bool) -> Node:
    """What is left of a tree where the answer to one question is known.

    Other questions about the same feature are answered by it where they can be.
    """
    if not isinstance(node, Split):
        return node
    mine = node.test
    if mine.feature == test.feature:
        if holds and mine.threshold <= test.threshold:
            return known(node.above, test, holds)
        if not holds and mine.threshold >= test.threshold:
            return known(node.below, test, holds)
    return joined(mine, known(node.below, test, holds), known(node.above, test, holds))


def joined(test: Question, below: Node, above: Node) -> Node:
    """A node, or what both sides are."""
    return below if below == above else Split(test, below, above)


def tabulated(tests: tuple[Question, ...], words: tuple[int, ...]) -> Node:
    """The tree of a table that is addressed by answers, the first one's bit the highest."""
    if not tests:
        return words[0]
    half = len(words) // 2
    below, above = tabulated(tests[1:], words[:half]), tabulated(tests[1:], words[half:])
    return joined(tests[0], known(below, tests[0], False), known(above, tests[0], True))
