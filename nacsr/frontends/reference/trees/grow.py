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
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.base import Events
from nacsr.frontends.reference.base import Spreads, targets
from nacsr.frontends.reference.trees.model import Ensemble, Question, Tree, tabulated
from nacsr.ir.passes.thresholds import in_a_row

Real = NDArray[np.float64]
Ints = NDArray[np.int64]

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
        frac: fractional bits of a leaf, in units of the objective's scores.
        price: gain that a LUT of a new comparator must bring, in nats an event.
        bins: intervals of equal content of a feature, each of which offers a threshold.
        passes: over all trees, that choose and fit anew.
        ridge: penalty on the square of a leaf, in events.
    """

    depth: int
    bits: int
    frac: int
    price: float
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


# --- objectives ------------------------------------------------------------------------------


class Objective:
    """What scores are for, and how the loss changes with one of them while the others stay.

    Attributes:
        targets: 1 or 0 for each output's class; or values of a regression, their mean subtracted,
            in units of a power of two about their spread; shape (outputs, events).
        mean: what was subtracted, in those units, shape (outputs,).
        powers: of two, those units, shape (outputs,).
        regression: whether squares are minimised, and not the log loss.
        weights: of the events; None: all the same.
        first: the first class whose score is free: of three classes or more, one's is zero.
        outputs: those that have trees: no constant has any.
    """

    def __init__(self, events: Events, classes: int) -> None:
        """``classes``: how many; 0: a regression."""
        self.regression, self.weights = not classes, events.weights
        self.first = int(classes > 2)
        if classes:
            kept = range(classes) if classes > 2 else range(1, 2)
            self.targets: Real = np.stack([(events.y == c).astype(np.float64) for c in kept])
            self.mean, self.powers = np.zeros(len(kept)), np.zeros(len(kept), np.int64)
            self.outputs = list(range(self.first, len(kept)))
        else:
            columns = targets(events)
            spreads = Spreads.of(columns, events.weights)
            self.powers = np.rint(np.log2(spreads.size)).astype(np.int64)
            self.targets = np.ldexp(columns - spreads.mean, -self.powers).T
            self.mean = np.ldexp(spreads.mean, -self.powers)
            self.outputs = np.flatnonzero(spreads.varies).tolist()

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
        objective: of these events.
        recipe: how.
        features: indices of those that may be asked about; None: all.
    """

    def __init__(
        self,
        words: Ints,
        types: Sequence[Fixed],
        objective: Objective,
        recipe: Recipe,
        features: Sequence[int] | None = None,
    ) -> None:
        self.objective, self.recipe = objective, recipe
        self.step = 2.0**-recipe.frac
        self.origin = np.rint(objective.mean / self.step)
        self.off = (self.origin * self.step - objective.mean)[:, None]
        self.scores: Real = np.zeros(objective.targets.shape)
        self.tables: list[_Table] = []
        self.rounds = 0
        places = range(len(types)) if features is None else features
        offered = [candidates(words[:, j], types[j], recipe.bins) for j in places]
        pairs = list(zip(places, offered, strict=True))
        self.offered = [Question(j, int(t)) for j, column in pairs for t in column]
        self.luts = np.array([in_a_row(t.bits(types[t.feature])) for t in self.offered], float)
        self.bins = 1 + max(map(len, offered))
        codes = [np.searchsorted(c, words[:, j], side="right") for j, c in pairs]
        self.codes = np.stack([c + k * self.bins for k, c in enumerate(codes)])
        spots = [(k, b) for k, column in enumerate(offered) for b in range(len(column))]
        self.place = tuple(np.array(spots, np.int64).reshape(-1, 2).T)
        self.holds = [t.holds(words) for t in self.offered]
        self.used = np.zeros(len(self.offered), np.int64)

    def grow(self, rounds: int) -> Ensemble:
        """So many trees an output, those that are there included, after all passes."""
        for _ in range(rounds - self.rounds):
            for output in self.objective.outputs:
                table = _Table(output)
                self._ask(table, self.recipe.depth)
                self._fit(table)
                self.tables.append(table)
        self.rounds = max(rounds, self.rounds)
        for _ in range(self.recipe.passes):
            for table in self.tables:
                self._remove(table)
                for _ in range(len(table.tests)):
                    self.used[table.tests.pop(0)] -= 1
                    self._ask(table, 1)
                self._fit(table)
        if self.objective.first:
            self._level()
        self.scores += self.off  # leaves make up for what the rounded means are off
        for table in self.tables:
            self._remove(table)
            self._fit(table, table.low)
        self.scores -= self.off
        return self._ensemble()

    def _ensemble(self) -> Ensemble:
        """The trees as they are, their leaves from zero on; base holds the rest, of which no class
        needs what all have."""
        base = self.origin.astype(np.int64)
        trees = []
        for table in self.tables:
            base[table.output] += table.low
            tests = tuple(self.offered[t] for t in table.tests)
            words = tuple((table.words - table.low).tolist())
            trees.append(Tree(table.output, tabulated(tests, words)))
        if self.objective.first:
            base -= base[self.objective.first :].min()
        fracs = self.recipe.frac - self.objective.powers
        return Ensemble(tuple(trees), tuple(base.tolist()), tuple(fracs.tolist()))

    def _level(self) -> None:
        """Windows moved by a step here and there until those of all classes begin at the same sum:
        then no class has a constant to add."""
        sums = np.zeros(len(self.scores), np.int64)
        for table in self.tables:
            sums[table.output] += table.low
        wanted = int(np.median(sums[self.objective.first :]))
        while (sums[self.objective.first :] != wanted).any():
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
        offset = self.objective.offset(self.scores, output)
        first, second = self.objective.slopes(self.scores[output], offset, output)
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
        offset = self.objective.offset(self.scores, output)
        leaf = np.zeros(size)
        h = np.ones(size)
        farthest = np.inf if self.objective.regression else 2.0
        for _ in range(NEWTON):
            score = self.scores[output] + leaf[address]
            first, second = self.objective.slopes(score, offset, output)
            h[:] = np.bincount(address, second, size) + RIDGE * self.recipe.ridge
            g = np.bincount(address, first, size) - RIDGE * self.recipe.ridge * leaf
            leaf += np.clip(g / h, -farthest, farthest)
        window = 1 << self.recipe.bits
        table.low = _lowest(leaf / self.step, h, window) if low is None else low
        rounded = np.rint(leaf / self.step)
        table.words = np.clip(rounded, table.low, table.low + window - 1).astype(np.int64)
        self.scores[output] += table.words[address] * self.step


def _lowest(values: Real, weights: Real, size: int) -> int:
    """Where a window of so many whole numbers begins that loses the least of some values.

    What each value loses never turns from growing to falling as the window moves up, and so
    neither does their sum: bisection finds where it ceases to fall.
    """
    rounded = np.rint(values)
    first = int(rounded.min())
    starts = range(first, max(int(rounded.max()) - size + 1, first))

    def lost(low: int) -> float:
        kept = np.clip(rounded, low, low + size - 1)
        return float((weights * (kept - values) ** 2).sum())

    return first + bisect_left(starts, 0.0, key=lambda low: lost(low + 1) - lost(low))
