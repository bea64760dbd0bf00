"""From a raw word to a short address: low bits dropped, a start subtracted, the ends saturated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, span
from nacsr.frontends.base import Events, Problem
from nacsr.frontends.reference.base import Spreads, targets
from nacsr.ir import Builder

Ints = NDArray[np.int64]

QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the words: where an address may begin, or lie around."""
BINS = 16
"""Of equal content, in which features are compared before any cut."""
STRATA = (8, 4, 2)
"""Bins of a regression's targets that a cut should tell apart: of one, two, and more of them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """From a raw word to an address: ``clip((word >> drop) - start, 0, 2**bits - 1)``.

    An address of one bit is a comparison: ``word >> drop > start``.
    """

    drop: int
    start: int
    bits: int

    def address(self, words: Ints) -> Ints:
        """Addresses of raw words."""
        found: Ints = np.clip((words >> self.drop) - self.start, 0, (1 << self.bits) - 1)
        return found

    def effort(self, word: Fixed) -> int:
        """0 where the address is a slice of the word; saturation adds one, a start two."""
        low, high = word.min_raw >> self.drop, word.max_raw >> self.drop
        clips = low < self.start or high >= self.start + (1 << self.bits)
        return int(clips) + 2 * (self.start != 0)

    def lower(self, b: Builder, index: int) -> tuple[int, Fixed]:
        """The index of the word in units of the address, and the domain that tables need."""
        frac = b.type(index).frac - self.drop
        low, high = (end >> self.drop for end in b.ranges[index])
        index = b.cast(index, span(low, high, frac))
        if self.start:
            index = b.op("sub", index, b.const(self.start, span(self.start, self.start, frac)))
        return index, Fixed(self.bits, self.bits - frac, signed=False).with_modes("TRN", "SAT")

    def whole(self, b: Builder, index: int) -> int:
        """The address of a word as a whole number of ``bits`` bits."""
        if self.bits == 1:
            return self._above(b, index)
        index, domain = self.lower(b, index)
        index = b.cast(index, domain)
        return b.op("shift", index, n=domain.frac) if domain.frac else index

    def _above(self, b: Builder, index: int) -> int:
        type_ = b.type(index)
        least = (self.start + 1) << self.drop
        low, high = b.ranges[index]
        if least <= low or least > high:
            return b.const(int(least <= low), Fixed(1, 1, False))
        return b.op("compare", index, b.const(least, span(least, least, type_.frac)), kind="ge")

    def record(self) -> list[int]:
        """For a genotype."""
        return [self.drop, self.start, self.bits]


def choose_cut(
    words: Ints, y: Ints, word: Fixed, bits: int, slack: float, weights: Any = None
) -> Cut:
    """The cut whose address says most about the class; of those that say less by ``slack`` of
    mutual information (in nats) at most, the one that takes the least hardware.

    Args:
        words: raw words of one feature, shape (events,).
        y: class indices.
        word: type of the words.
        bits: of the address.
        slack: zero or positive.
        weights: of the events; None: all the same.
    """
    found = {}
    ends = np.quantile(words, QUANTILES).astype(np.int64)
    for drop in range(max(word.width - bits, 0) + 1):
        at = ends >> drop
        for start in {0, *at.tolist(), *(at - (1 << bits - 1)).tolist()}:
            cut = Cut(drop, start, bits)
            address = cut.address(words)
            alive = address.min() < address.max()  # beside another feature, maybe for more
            found[cut] = information(address, y, weights) if alive else -math.inf
    best = max(found.values())
    good = [cut for cut, told in found.items() if told >= best - slack]
    return min(good, key=lambda cut: (cut.effort(word), -found[cut], cut.drop, cut.start))


def information(address: Ints, y: Ints, weights: Any = None) -> float:
    """Mutual information of address and class, in nats."""
    shape = int(address.max()) + 1, int(y.max()) + 1
    places = address * shape[1] + y
    counts = np.bincount(places, weights, minlength=shape[0] * shape[1]).reshape(shape)
    joint = counts / counts.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def informative(words: Ints, y: Ints, most: int) -> list[int]:
    """Indices of features in their order: all, or the ones that say most about the class."""
    if words.shape[1] <= most:
        return list(range(words.shape[1]))
    told = [information(_binned(column), y) for column in words.T]
    best = sorted(range(len(told)), key=lambda j: (-told[j], j))
    return sorted(best[:most])


def _binned(column: Ints) -> Ints:
    edges = np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
    return np.searchsorted(edges, column, side="right").astype(np.int64)


def strata(problem: Problem, events: Events) -> Ints:
    """What addresses should tell apart: classes, or bins of equal content of the targets."""
    if problem.task == "classification":
        return np.asarray(events.y, np.int64)
    columns = targets(events)
    columns = columns[:, Spreads.of(columns, events.weights).varies].T[: len(STRATA)]
    bins = STRATA[len(columns) - 1]
    found = np.zeros(len(events), np.int64)
    for column in columns:
        edges = np.unique(np.quantile(column, np.arange(1, bins) / bins))
        found = found * bins + np.searchsorted(edges, column, side="right")
    return found


def addresses(cuts: Sequence[Cut], words: Ints) -> Ints:
    """Addresses of raw words, shape (events, features)."""
    return np.stack([cut.address(column) for cut, column in zip(cuts, words.T, strict=True)], 1)
