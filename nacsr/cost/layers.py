"""What the cost of an unrolled layer depends on: counted, or expected of random weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.rules import csd_digits
from nacsr.fixed import Fixed, Rounding

Integers = NDArray[np.int64]

LEAVES = np.array([0.0, 1.0, 2.0, 6.0])
"""By digits of a weight, how many terms its product counts for in a tree of adders: what arrives
t adders later counts 2**t (Golumbic 1976). Two digits are one adder, a multiplier is 2.6."""

SHARED_BITS = 9
"""Wider weights make no two sums of two inputs the same, but by accident."""

_TABLE_BITS = 17

NARROW_BITS = 12
"""Of narrower magnitudes the digits are looked up, and words of 32 bits sort faster."""


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """Numbers that the rules read off the weights of a layer.

    Attributes:
        nonzero: weights that are not zero.
        two_digit: distinct (input, signed weight) pairs of two canonical signed digits.
        costly: such pairs of three digits or more.
        shared: additions of two neighbouring inputs that another output has too.
        bits: width of the widest weight, sign included, without zeros below all weights.
        leaves: terms of the deepest output and its bias, late ones counted as ``LEAVES`` says.
    """

    nonzero: float
    two_digit: float
    costly: float
    shared: float
    bits: int
    leaves: float


def counted(weight: Integers, bias: Integers, seen: Integers | int = 1) -> LayerStatistics:
    """The statistics of given weights.

    Args:
        weight: raw integers, shape (inputs, outputs).
        bias: raw integers, shape (outputs,).
        seen: the places where each input is there, or a number for all of them.
    """
    everything = int(np.bitwise_or.reduce(np.abs(weight), axis=None))
    bits = (everything // max(everything & -everything, 1)).bit_length() + 1 if everything else 0
    keys = _keys(weight, everything.bit_length())
    digits = keys & 3
    keys.sort(axis=1)
    again = keys[:, 1:] == keys[:, :-1]
    total = _sum(digits, seen)
    repeated = _sum((keys[:, 1:] & 3) * again, seen)
    return LayerStatistics(
        nonzero=sum(total[1:]),
        two_digit=total[2] - repeated[2],
        costly=total[3] - repeated[3],
        shared=_shared_pairs(weight, seen) if bits <= SHARED_BITS else 0.0,
        bits=bits,
        leaves=float((LEAVES.take(digits).sum(0) + (bias != 0)).max(initial=0.0)),
    )


def _keys(weight: Integers, bits: int) -> NDArray[np.signedinteger]:
    """Each weight times four, and how many digits it has, at most three."""
    if bits <= NARROW_BITS:
        return _narrow_keys()[weight]
    return weight * 4 + np.minimum(csd_digits(weight), 3)


@lru_cache(maxsize=1)
def _narrow_keys() -> NDArray[np.int32]:
    """The same for all narrow weights; negative ones are found from the end of the table."""
    words = np.arange(2 << NARROW_BITS)
    words[1 << NARROW_BITS :] -= 2 << NARROW_BITS
    return (words * 4 + np.minimum(csd_digits(words), 3)).astype(np.int32)


def _sum(kinds: Integers, seen: Integers | int) -> list[float]:
    """How often each of 0..3 occurs in rows that are there at ``seen`` places."""
    if isinstance(seen, int):
        return [float(n * seen) for n in np.bincount(kinds.ravel(), minlength=4)]
    times = np.repeat(seen, kinds.shape[1])
    return [float(n) for n in np.bincount(kinds.ravel(), times, minlength=4)]


def _shared_pairs(weight: Integers, seen: Integers | int) -> float:
    """How often outputs repeat the sum of the same two neighbouring inputs, at all places."""
    narrow = weight.astype(np.int32)  # two of SHARED_BITS fit, and sort faster
    even, odd = narrow[0 : len(weight) - 1 : 2], narrow[1::2]
    keys = ((even << (SHARED_BITS + 1)) + odd) * ((even != 0) & (odd != 0))
    keys.sort(axis=1)
    later = keys[:, 1:]
    again = (later == keys[:, :-1]) & (later != 0)
    if isinstance(seen, int):
        return float(np.count_nonzero(again) * seen)
    return float(again.sum(1) @ np.minimum(seen[0 : len(seen) - 1 : 2], seen[1::2]))


def expected(
    inputs: int,
    outputs: int,
    weight: Fixed,
    *,
    sparsity: float = 0.0,
    spread: float | None = None,
    bias: bool = True,
) -> LayerStatistics:
    """The expectation over random weights.

    Each weight is zero with probability ``sparsity``, else uniform within +-``spread`` and cast
    to ``weight`` with its rounding (truncated or to the nearest). Before training that is how
    layers begin (LeCun: +-sqrt(3 / inputs)).

    Args:
        inputs: rows of the weights.
        outputs: columns of the weights.
        weight: type of the weights.
        sparsity: share of weights that are removed, 0..1.
        spread: largest absolute weight, in the weight's own units; sqrt(3 / inputs) if None.
        bias: whether outputs have one.
    """
    unit = math.sqrt(3.0 / inputs) if spread is None else spread
    limit = min(unit * 2.0**weight.frac, 2.0 ** (weight.width - 1))
    if limit <= 0 or sparsity >= 1:
        return LayerStatistics(0.0, 0.0, 0.0, 0.0, 0, float(bias))
    density = (1.0 - sparsity) / (2.0 * limit)
    sides = _sides(limit, weight.rounding)
    masses = [density * (full + edge) for full, edge in sides]
    some = min(sum(masses), 1.0)
    digits = [_distinct(full, edge, density, outputs) for full, edge in sides]
    squares = density**2 * sum(full + edge * edge for full, edge in sides)
    widest = max(full + (edge > 0) for full, edge in sides)
    return LayerStatistics(
        nonzero=inputs * outputs * some,
        two_digit=inputs * sum(two for two, _, _ in digits),
        costly=inputs * sum(costly for _, costly, _ in digits),
        shared=_expected_shared(inputs, outputs, some, squares),
        bits=min(widest.bit_length() + 1, weight.width) if widest else 0,
        leaves=_deepest(inputs, outputs, some, density * sum(n for _, _, n in digits)) + bias,
    )


def _sides(limit: float, rounding: Rounding) -> tuple[tuple[int, float], ...]:
    """For negative and positive values, how many magnitudes 1, 2, .. are hit by a whole unit of
    the range, and what part of a unit falls on the next one."""
    below = (1.0, 0.0) if rounding is Rounding.TRN else (0.5, 0.5)
    found = []
    for half in below:
        full = max(math.floor(limit + half - 1.0), 0)
        edge = min(max(limit + half - full - 1.0, 0.0), limit, 1.0)
        found.append((full, edge))
    return tuple(found)


def _distinct(full: int, edge: float, density: float, outputs: int) -> tuple[float, float, float]:
    """Expected distinct values of two and of more digits among the outputs of one input, and the
    leaves of all values by their share of the range; for one sign."""
    counts = _up_to(full)
    last = min(int(csd_digits(full + 1)), 3)
    whole, part = (_once(density * m, outputs) for m in (1.0, edge))
    two = counts[2] * whole + (part if last == 2 else 0.0)
    costly = counts[3] * whole + (part if last == 3 else 0.0)
    leaves = sum(c * leaf for c, leaf in zip(counts, _LEAF, strict=True)) + edge * _LEAF[last]
    return two, costly, leaves


_LEAF = tuple(float(v) for v in LEAVES)


def _once(probability: float, draws: int) -> float:
    """Probability that something happens in at least one of the draws."""
    if probability >= 1.0:
        return 1.0
    return -math.expm1(draws * math.log1p(-probability))


@lru_cache(maxsize=1)
def _cumulative() -> NDArray[np.int64]:
    """For every number up to 2**17 how many of 1..number have 0, 1, 2, more digits."""
    digits = np.minimum(csd_digits(np.arange(1 << _TABLE_BITS)), 3)
    return np.cumsum(digits[:, None] == np.arange(4), axis=0)


@lru_cache(maxsize=4096)
def _up_to(number: int) -> tuple[float, ...]:
    """How many of 1..number have 0, 1, 2, more digits (larger numbers: their high bits' share)."""
    shift = max(number.bit_length() - _TABLE_BITS, 0)
    row = _cumulative()[number >> shift]
    return 0.0, *(float(n) * (1 << shift) for n in row[1:])


def _expected_shared(inputs: int, outputs: int, some: float, squares: float) -> float:
    """Repeated sums of two neighbours: draws less distinct ones, of as many equal patterns as
    have the same chance to meet (the inverse of the sum of squared probabilities)."""
    draws = outputs * some * some
    if draws <= 0 or inputs < 2:
        return 0.0
    patterns = max((some * some / squares) ** 2, 1.0)
    distinct = patterns * (1.0 - (1.0 - 1.0 / patterns) ** draws) if patterns > 1 else 1.0
    return (inputs // 2) * max(draws - distinct, 0.0)


def _deepest(inputs: int, outputs: int, some: float, leaves: float) -> float:
    """Leaves of the deepest output: the mean leaf times the expected largest number of terms."""
    more = math.sqrt(2.0 * math.log(max(outputs, 1)) * some * (1.0 - some) / inputs)
    return inputs * leaves / some * min(some + more, 1.0) if some else 0.0
