"""Growing trees for LUTs: tables of at most six shared comparisons, leaves of few bits.

A table of six bits is one LUT a bit of its word, whatever it holds, and so each tree here asks the
same questions on all its ways (an oblivious tree, as of Kohavi 1994). Questions are chosen by the
second-order gain of boosting (Friedman 2001; Chen and Guestrin 2016) less a price for comparators
that are not there yet; later passes choose each question, and fit the leaves, anew with all other
trees in place. Leaves are integers throughout, so every step mends the rounding of the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees.model import Ensemble, Test, Tree, tabulated

Real = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]

NEWTON = 3
"""Steps to the best leaves of a tree."""
RIDGE = 0.25
"""Part of the ridge that pulls at leaves: whole numbers of few bits cannot grow without bound."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How trees are grown.

    Attributes:
        depth: questions a tree, six at most for one LUT a bit.
        bits: of a leaf.
        frac: fractional bits of a leaf, in units of the goal's scores.
        price: gain that a LUT of a new comparator must bring, in nats an event.
        bins: intervals of equal content of a feature, each of which offers a threshold.
        passes: over all trees, that choose and fit anew.
        ridge: penalty on the square of a leaf, in events.
    """

    depth: int = 6
    bits: int = 3
    frac: int = 1
    price: float = 1e-4
    bins: int = 24
    passes: int = 1
    ridge: float = 10.0


def candidates(column: Ints, word: Fixed, bins: int) -> Ints:
    """Thresholds of a feature that take few LUTs: of intervals of equal content, at two scales,
    the word with the most zeros at its end.

    Args:
        column: raw words of the feature, shape (events,).
        word: their type.
        bins: intervals at the finer scale.

    Returns:
        Sorted thresholds.
    """
    chosen: set[int] = set()
    for count in (bins, max(bins // 3, 2)):
        edges = np.quantile(column, np.arange(count + 1) / count).astype(np.int64)
        pairs = itertools.pairwise(edges.tolist())
        chosen |= {_roundest(low + 1, high) for low, high in pairs if high > low}
    inside = sorted(t for t in chosen if word.min_raw < t <= word.max_raw)
    return np.array(inside, np.int64)


def _roundest(low: int, high: int) -> int:
    """The integer with the most zeros at its end in ``low..high``.

    >>> _roundest(5, 13), _roundest(-3, 2), _roundest(7, 7)
    (8, 0, 7)
    """
    found = high
    while low <= (found & (found - 1)) and found:
        found &= found - 1
    return found


def comparator_luts(test: Test, word: Fixed) -> int:
    """Of a comparison with a constant: a LUT for six bits, five more for each further one."""
    return -(-(test.bits(word) - 1) // 5)


# --- goals -----------------------------------------------------------------------------------


class Goal:
    """What scores are for, and how the loss changes with one of them while the others stay.

    Attributes:
        targets: 1 or 0 for each output's class, or values in units of ``scale``; shape (outputs,
            events).
        regression: whether squares are minimised, and not the log loss.
        weights: of the events; None: all the same.
        scale: a power of two that the values of a regression are divided by.
        first: the first output that has trees: of three classes or more, one's score is zero.
    """

    def __init__(self, y: NDArray[Any], weights: Real | None, classes: int) -> None:
        self.regression, self.weights = not classes, weights
        self.first = int(classes > 2)
        if classes:
            self.scale = 1.0
            kept = range(classes) if classes > 2 else range(1, 2)
            self.targets = np.stack([(y == c).astype(np.float64) for c in kept])
        else:
            columns = np.asarray(y, np.float64).reshape(len(y), -1).T
            spread = float(columns.std(axis=1).min())
            self.scale = 2.0 ** round(math.log2(spread)) if spread > 0 else 1.0
            self.targets = columns / self.scale

    def offset(self, scores: Real, output: int) -> Real:
        """What an output's score must exceed, by the scores of all, shape (outputs, events)."""
        if not self.first:
            return np.zeros(scores.shape[1])
        rest = np.delete(scores, output, axis=0)
        top = rest.max(axis=0)
        found: Real = top + np.log(np.exp(rest - top).sum(axis=0))
        return found

    def slopes(self, score: Real, offset: Real, output: int) -> tuple[Real, Real]:
        """First derivatives, negative where a score should fall, and second ones."""
        if self.regression:
            first, second = self.targets[output] - score, np.ones_like(score)
        else:
            p = 1.0 / (1.0 + np.exp(np.clip(offset - score, -30.0, 30.0)))
            first, second = self.targets[output] - p, p * (1.0 - p)
        if self.weights is not None:
            first, second = first * self.weights, second * self.weights
        return first, second


# --- trees -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Table:
    """A tree that is being grown: its questions, and its words, the smallest of which is ``low``
    or more."""

    output: int
    tests: list[int] = field(default_factory=list)
    words: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    low: int = 0


class Grower:
    """Grows trees one after another, and changes them again with the others in place.

    Args:
        words: raw, shape (events, features).
        types: of the features.
        goal: of these events.
        recipe: how.
        features: indices of those that may be asked about; None: all.
    """

    def __init__(
        self,
        words: Ints,
        types: Sequence[Fixed],
        goal: Goal,
        recipe: Recipe,
        features: Sequence[int] | None = None,
    ) -> None:
        self.goal, self.recipe = goal, recipe
        self.step = 2.0**-recipe.frac
        self.scores: Real = np.zeros(goal.targets.shape)
        self.tables: list[_Table] = []
        places = range(len(types)) if features is None else features
        offered = [candidates(words[:, j], types[j], recipe.bins) for j in places]
        pairs = list(zip(places, offered, strict=True))
        self.offered = [Test(j, int(t)) for j, column in pairs for t in column]
        self.luts = np.array([comparator_luts(t, types[t.feature]) for t in self.offered], float)
        self.bins = 1 + max(map(len, offered))
        codes = [np.searchsorted(c, words[:, j], side="right") for j, c in pairs]
        self.codes = np.stack([c + k * self.bins for k, c in enumerate(codes)])
        spots = [(k, b) for k, column in enumerate(offered) for b in range(len(column))]
        self.place = tuple(np.array(spots, np.int64).reshape(-1, 2).T)
        self.holds = [t.holds(words) for t in self.offered]
        self.used = np.zeros(len(self.offered), np.int64)

    def grow(self, rounds: int) -> Ensemble:
        """So many trees an output, those that are there included, after all passes."""
        outputs = range(self.goal.first, len(self.scores))
        have = len(self.tables) // len(outputs)
        for _ in range(rounds - have):
            for output in outputs:
                table = _Table(output)
                self._ask(table, self.recipe.depth)
                self._fit(table)
                self.tables.append(table)
        for _ in range(self.recipe.passes):
            for table in self.tables:
                self._remove(table)
                for _ in range(len(table.tests)):
                    self.used[table.tests.pop(0)] -= 1
                    self._ask(table, 1)
                self._fit(table)
        if self.goal.first:
            self._level()
        for table in self.tables:
            self._remove(table)
            self._fit(table, table.low)
        return self._ensemble()

    def _ensemble(self) -> Ensemble:
        """The trees as they are, their leaves from zero on; base holds the rest, of which no class
        needs what all have."""
        base = np.zeros(len(self.scores), np.int64)
        trees = []
        for table in self.tables:
            base[table.output] += table.low
            tests = tuple(self.offered[t] for t in table.tests)
            words = tuple((table.words - table.low).tolist())
            trees.append(Tree(table.output, tabulated(tests, words)))
        if self.goal.first:
            base -= base[self.goal.first :].min()
        frac = self.recipe.frac - round(math.log2(self.goal.scale))
        return Ensemble(tuple(trees), tuple(base.tolist()), frac)

    def _level(self) -> None:
        """Windows moved by a step here and there until those of all classes begin at the same sum:
        then no class has a constant to add."""
        sums = np.zeros(len(self.scores), np.int64)
        for table in self.tables:
            sums[table.output] += table.low
        wanted = int(np.median(sums[self.goal.first :]))
        while (sums[self.goal.first :] != wanted).any():
            for table in self.tables:
                by = int(np.sign(wanted - sums[table.output]))
                table.low += by
                sums[table.output] += by

    def _remove(self, table: _Table) -> None:
        self.scores[table.output] -= table.words[self._address(table.tests)] * self.step

    def _address(self, tests: Sequence[int]) -> Ints:
        found = np.zeros(self.scores.shape[1], np.int64)
        for t in tests:
            found = found * 2 + self.holds[t]
        return found

    def _ask(self, table: _Table, count: int) -> None:
        """More questions, each the best one beside those that the tree has."""
        output = table.output
        offset = self.goal.offset(self.scores, output)
        first, second = self.goal.slopes(self.scores[output], offset, output)
        price = self.recipe.price * self.scores.shape[1] * self.luts
        for _ in range(min(count, len(self.offered) - len(table.tests))):
            gains = self._gains(self._address(table.tests), 1 << len(table.tests), first, second)
            gains -= price * (self.used == 0)
            gains[table.tests] = -np.inf
            best = int(gains.argmax())
            self.used[best] += 1
            table.tests.append(best)

    def _gains(self, node: Ints, nodes: int, first: Real, second: Real) -> Real:
        """What every offered question would bring, in units of the loss."""
        ridge, features = self.recipe.ridge, len(self.codes)
        places = (node * (features * self.bins) + self.codes).ravel()
        shape = nodes, features, self.bins
        sums = [
            np.bincount(places, np.tile(values, features), math.prod(shape)).reshape(shape)
            for values in (first, second)
        ]
        g, h = (s.cumsum(axis=2) for s in sums)
        every, weight = g[:, :, -1:], h[:, :, -1:]
        gain = g**2 / (h + ridge) + (every - g) ** 2 / (weight - h + ridge)
        found: Real = (gain - every**2 / (weight + ridge)).sum(axis=0)[self.place] / 2
        return found

    def _fit(self, table: _Table, low: int | None = None) -> None:
        """The best leaves, then the best whole numbers in a window of ``bits`` bits that begins at
        ``low``, or where it loses the least."""
        output, address = table.output, self._address(table.tests)
        size = 1 << len(table.tests)
        offset = self.goal.offset(self.scores, output)
        leaf = np.zeros(size)
        h = np.ones(size)
        farthest = np.inf if self.goal.regression else 2.0
        for _ in range(NEWTON):
            score = self.scores[output] + leaf[address]
            first, second = self.goal.slopes(score, offset, output)
            h[:] = np.bincount(address, second, size) + RIDGE * self.recipe.ridge
            g = np.bincount(address, first, size) - RIDGE * self.recipe.ridge * leaf
            leaf += np.clip(g / h, -farthest, farthest)
        window = 1 << self.recipe.bits
        table.low = _lowest(leaf / self.step, h, window) if low is None else low
        rounded = np.rint(leaf / self.step)
        table.words = np.clip(rounded, table.low, table.low + window - 1).astype(np.int64)
        self.scores[output] += table.words[address] * self.step


def _lowest(values: Real, weights: Real, size: int) -> int:
    """Where a window of so many whole numbers begins that loses the least of some values."""
    rounded = np.rint(values)
    first = int(rounded.min())
    starts = range(first, max(int(rounded.max()) - size + 1, first) + 1)

    def lost(low: int) -> float:
        kept = np.clip(rounded, low, low + size - 1)
        return float((weights * (kept - values) ** 2).sum())

    return min(starts, key=lost)
