"""Growing trees for LUTs: tables of at most six shared comparisons, leaves of few bits.

A table of six bits is one LUT a bit of its word, whatever it holds, and so each tree here asks the
same questions on all its ways (an oblivious tree, as of Kohavi 1994). Questions are chosen by the
second-order gain of boosting (Friedman 2001; Chen and Guestrin 2016) less a price for comparators
that are not there yet; later passes choose each question, and fit the leaves, anew with all other
trees in place. Leaves are integers throughout, so every step mends the rounding of the others.
"""

from __future__ import annotations

import itertools
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

SMALL = 1e-12


@dataclass(frozen=True, slots=True)
class Recipe:
    """How trees are grown.

    Attributes:
        rounds: trees an output.
        depth: questions a tree, six at most for one LUT a bit.
        bits: of a leaf.
        frac: fractional bits of a leaf, in units of the scores (log odds for classes, the spread
            of the targets for a regression).
        price: gain that a LUT of a new comparator must bring, in nats an event.
        bins: intervals of equal content of a feature, each of which offers a threshold.
        passes: over all trees, that choose and fit anew.
        ridge: penalty on the square of a leaf, in events.
    """

    rounds: int
    depth: int = 6
    bits: int = 3
    frac: int = 1
    price: float = 3e-5
    bins: int = 24
    passes: int = 2
    ridge: float = 3.0


def candidates(words: Ints, types: Sequence[Fixed], bins: int) -> list[Ints]:
    """Thresholds of every feature that take few LUTs: of intervals of equal content, at two
    scales, the word with the most zeros at its end.

    Args:
        words: raw, shape (events, features).
        types: of the features.
        bins: intervals at the finer scale.

    Returns:
        Sorted thresholds of every feature.
    """
    found = []
    for column, type_ in zip(words.T, types, strict=True):
        chosen: set[int] = set()
        for count in (bins, max(bins // 3, 2)):
            edges = np.quantile(column, np.arange(count + 1) / count).astype(np.int64)
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                if high > low:
                    chosen.add(_roundest(low + 1, high))
        inside = sorted(t for t in chosen if type_.min_raw < t <= type_.max_raw)
        found.append(np.array(inside, np.int64))
    return found


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
    """What scores are for: gradients of the loss by one output at a time.

    Attributes:
        scores: shape (outputs, events), changed in place by the grower.
    """

    def __init__(self, y: NDArray[Any], weights: Real | None, classes: int) -> None:
        self.classes, self.weights = classes, weights
        outputs = classes if classes > 2 else 1
        self.scores = np.zeros((outputs, len(y)))
        if classes:
            self.targets = np.stack([(y == c).astype(np.float64) for c in range(classes)])
            self.scale = 1.0
        else:
            self.scale = float(np.std(y)) or 1.0
            self.targets = np.asarray(y, np.float64).reshape(1, -1) / self.scale

    @property
    def free(self) -> range:
        """Outputs that have trees: of several classes the first one's score is zero."""
        return range(1, self.classes) if self.classes > 2 else range(1)

    def others(self, output: int) -> tuple[Real, Real]:
        """What decides about one output when the others stay as they are: an offset and a target
        of each event."""
        if not self.classes:
            return np.zeros_like(self.targets[0]), self.targets[0]
        if self.classes == 2:
            return np.zeros_like(self.targets[1]), self.targets[1]
        rest = np.delete(self.scores, output, axis=0)
        top = rest.max(axis=0)
        return top + np.log(np.exp(rest - top).sum(axis=0)), self.targets[output]

    def slopes(self, score: Real, offset: Real, target: Real) -> tuple[Real, Real]:
        """First derivatives, negative where a score should fall, and second ones."""
        if self.classes:
            p = 1.0 / (1.0 + np.exp(np.clip(offset - score, -30.0, 30.0)))
            first, second = target - p, p * (1.0 - p)
        else:
            first, second = target - score, np.ones_like(score)
        if self.weights is not None:
            first, second = first * self.weights, second * self.weights
        return first, second


# --- trees -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Table:
    """A tree that is being grown: places of its questions, and its words."""

    output: int
    tests: list[int] = field(default_factory=list)
    words: Ints = field(default_factory=lambda: np.zeros(1, np.int64))


class Grower:
    """Grows trees one after another, and changes them again with the others in place."""

    def __init__(self, words: Ints, types: Sequence[Fixed], goal: Goal, recipe: Recipe) -> None:
        self.goal, self.recipe = goal, recipe
        offered = candidates(words, types, recipe.bins)
        self.offered = [Test(j, int(t)) for j, column in enumerate(offered) for t in column]
        self.luts = np.array([comparator_luts(t, types[t.feature]) for t in self.offered], float)
        ends = np.cumsum([0, *map(len, offered)])
        self.parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.codes = [
            np.searchsorted(column, words[:, j], side="right").astype(np.intp)
            for j, column in enumerate(offered)
        ]
        self.holds = [words[:, t.feature] >= t.threshold for t in self.offered]
        self.used = np.zeros(len(self.offered), np.int64)
        self.tables: list[_Table] = []
        self.events = len(words)

    def run(self) -> Ensemble:
        """All rounds, then all passes."""
        step = 2.0**-self.recipe.frac
        for _ in range(self.recipe.rounds):
            for output in self.goal.free:
                table = _Table(output)
                self._ask(table, step, self.recipe.depth)
                self._fit(table, step)
                self.tables.append(table)
        for turn in range(self.recipe.passes + 1):
            for table in self.tables:
                self.goal.scores[table.output] -= table.words[self._address(table.tests)] * step
                if turn < self.recipe.passes:
                    for _ in range(len(table.tests)):
                        self.used[table.tests.pop(0)] -= 1
                        self._ask(table, step, 1)
                self._fit(table, step)
        return self.ensemble()

    def ensemble(self) -> Ensemble:
        """The trees as they are; the smallest leaf of each is zero, base holds the rest."""
        base = np.zeros(len(self.goal.scores), np.int64)
        trees = []
        for table in self.tables:
            low = int(table.words.min())
            base[table.output] += low
            tests = tuple(self.offered[t] for t in table.tests)
            words = tuple((table.words - low).tolist())
            trees.append(Tree(table.output, tabulated(tests, words)))
        return Ensemble(tuple(trees), tuple(base.tolist()), self.recipe.frac)

    def _address(self, tests: Sequence[int]) -> Ints:
        found = np.zeros(self.events, np.intp)
        for t in tests:
            found = found * 2 + self.holds[t]
        return found

    def _ask(self, table: _Table, step: float, count: int) -> None:
        """More questions, each the best one beside those that the tree has."""
        goal = self.goal
        offset, target = goal.others(table.output)
        first, second = goal.slopes(goal.scores[table.output], offset, target)
        for _ in range(count):
            gains = self._gains(self._address(table.tests), 1 << len(table.tests), first, second)
            gains -= self.recipe.price * self.events * self.luts * (self.used == 0)
            gains[table.tests] = -np.inf
            best = int(gains.argmax())
            self.used[best] += 1
            table.tests.append(best)

    def _gains(self, node: Ints, nodes: int, first: Real, second: Real) -> Real:
        """What every offered question would bring, in nats."""
        found = np.empty(len(self.offered))
        ridge = self.recipe.ridge
        for part, codes in zip(self.parts, self.codes, strict=True):
            count = part.stop - part.start + 1
            place = node * count + codes
            g, h = (
                np.bincount(place, values, nodes * count).reshape(nodes, count)
                for values in (first, second)
            )
            below_g, below_h = np.cumsum(g, 1), np.cumsum(h, 1)
            all_g, all_h = below_g[:, -1:], below_h[:, -1:]
            below_g, below_h = below_g[:, :-1], below_h[:, :-1]
            gain = below_g**2 / (below_h + ridge)
            gain += (all_g - below_g) ** 2 / (all_h - below_h + ridge)
            gain -= all_g**2 / (all_h + ridge)
            found[part] = gain.sum(0) / 2
        return found

    def _fit(self, table: _Table, step: float) -> None:
        """The best leaves, then the best whole numbers in a window of ``bits`` bits."""
        goal, ridge = self.goal, self.recipe.ridge
        address = self._address(table.tests)
        size = 1 << len(table.tests)
        offset, target = goal.others(table.output)
        score = goal.scores[table.output]
        leaf = np.zeros(size)
        h = np.ones(size)
        for _ in range(3):
            first, second = goal.slopes(score + leaf[address], offset, target)
            g = np.bincount(address, first, size) - ridge * leaf * 0.25
            h = np.bincount(address, second, size) + ridge * 0.25
            leaf = leaf + np.clip(g / (h + SMALL), -2.0, 2.0)
        table.words = _windowed(leaf / step, h, 1 << self.recipe.bits)
        goal.scores[table.output] += table.words[address] * step


def _windowed(values: Real, weights: Real, size: int) -> Ints:
    """Whole numbers near some values, within a window of ``size`` of them that loses the least."""
    rounded = np.rint(values)
    best, lowest = np.inf, 0
    first = int(rounded.min())
    for low in range(first, max(int(rounded.max()) - size + 1, first) + 1):
        lost = float((weights * (np.clip(rounded, low, low + size - 1) - values) ** 2).sum())
        if lost < best:
            best, lowest = lost, low
    return np.clip(rounded, lowest, lowest + size - 1).astype(np.int64)
