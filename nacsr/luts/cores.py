"""Kinds of tables: each appends the ops that compute a curve of a word.

Everything is existing ops; whatever a core computes, the interpreter is who says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np

from nacsr.fixed import Fixed, Raw, span
from nacsr.ir import Builder
from nacsr.ir.ops import cast_fits
from nacsr.luts.functions import Curve, Real

GUARD = 2
"""Fractional bits beyond the result's that terms of a sum keep."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a core has to compute.

    Attributes:
        name: what the ``lut`` ops call the function.
        function: a key of ``FUNCTIONS``.
        curve: the real function of the word's value.
        word: type of the word; its modes are not used.
        centred: whether a word stands for all reals of its bin and is sampled in the middle,
            or for its own value only.
        value: type of the result.
        tight: whether tables may have the narrowest type that holds them.
    """

    name: str
    function: str
    curve: Curve
    word: Fixed
    centred: bool
    value: Fixed
    tight: bool = True

    def points(self) -> Real:
        """Sample point of every word, in address order: float64 (2**width,)."""
        return middles(self.word, 0.5 if self.centred else 0.0)

    def sampled(self) -> Real:
        """The curve at every word, saturated at the ends of the value: poles are finite."""
        found: Real = np.clip(self.curve(self.points()), self.value.min, self.value.max)
        return found


def addresses(word: Fixed) -> Raw:
    """The raw integer of every bit pattern of a type, in the order of the patterns."""
    raw = np.arange(1 << word.width, dtype=np.int64)
    return np.where(raw > word.max_raw, raw - (1 << word.width), raw) if word.signed else raw


def middles(word: Fixed, offset: float = 0.5) -> Real:
    """The value of every bit pattern, or a point further by a part of the step."""
    return word.to_float(addresses(word)) + offset * word.lsb


def settle(b: Builder, index: int, type: Fixed) -> int:
    """The value in a type: saturated where its range needs it, else wired."""
    plain = type.plain()
    if cast_fits(plain, b.type(index), b.ranges[index]):
        return b.cast(index, plain)
    return b.cast(index, plain.with_modes("TRN", "SAT"))


def rounded(reals: Real, frac: int) -> Raw:
    """The nearest raw integers of ``frac`` fractional bits, ties up."""
    return np.floor(np.ldexp(reals, frac) + 0.5).astype(np.int64)


def look_up(b: Builder, index: int, job: Job, reals: Real, frac: int) -> int:
    """A table of rounded reals, in the narrowest type of ``frac`` fractional bits."""
    entries = rounded(reals, frac)
    type_ = span(int(entries.min()), int(entries.max()), frac)
    return b.op("lut", index, type=type_, function=job.name, table=entries)


class Core(Protocol):
    """Appends the ops that compute a job's curve of a word; the result may be any type."""

    def check(self, function: str, word: Fixed) -> str:
        """Why it cannot compute a function of a word of this type, or ''."""
        ...

    def lower(self, b: Builder, index: int, job: Job) -> int:
        """The index of the result."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """One entry a word."""

    def check(self, function: str, word: Fixed) -> str:
        return ""

    def lower(self, b: Builder, index: int, job: Job) -> int:
        if job.tight:
            return look_up(b, index, job, job.sampled(), job.value.frac)
        entries = rounded(job.sampled(), job.value.frac)
        return b.op("lut", index, type=job.value, function=job.name, table=entries)


TABLE = Table()


@dataclass(frozen=True, slots=True)
class Linear:
    """A straight line a segment: two tables of 2**segments entries and one product.

    The lines are those of least maximum error for their rounded slope.
    """

    segments: int

    def check(self, function: str, word: Fixed) -> str:
        return _within(self.segments, word)

    def lower(self, b: Builder, index: int, job: Job) -> int:
        word, frac = job.word, job.value.frac + GUARD
        low = word.width - self.segments
        rows = job.sampled().reshape(1 << self.segments, 1 << low)
        steps = np.arange(1 << low)
        slope_frac = frac + low - word.frac  # the last step of a segment is then off by a guard bit
        slopes = (rows[:, -1] - rows[:, 0]) / (max(len(steps) - 1, 1) * word.lsb)
        slopes = np.ldexp(rounded(slopes, slope_frac), -slope_frac)
        rest = rows - slopes[:, None] * steps * word.lsb
        cuts = math.ldexp(0.5, -frac) + job.value.lsb / 2  # of the product, of the result
        base = (rest.max(1) + rest.min(1)) / 2 + cuts
        at = b.cast(index, high_bits(word, self.segments))
        step = b.cast(index, low_bits(word, low))
        rise = b.op("mul", look_up(b, at, job, slopes, slope_frac), step)
        start = look_up(b, at, job, base, frac)
        return b.op("add", start, b.cast(rise, _cut(b.type(rise), frac)))


@dataclass(frozen=True, slots=True)
class Bipartite:
    """Two tables added: values at the high and middle bits, corrections at the high and low bits.

    Das Sarma and Matula 1995; the correction is the mean over the middle bits, as in Schulte
    and Stine 1999.
    """

    high: int
    middle: int

    def check(self, function: str, word: Fixed) -> str:
        return _within(self.high + self.middle, word) or _within(self.high, word)

    def lower(self, b: Builder, index: int, job: Job) -> int:
        word, frac = job.word, job.value.frac + GUARD
        low = word.width - self.high - self.middle
        cube = job.sampled().reshape(1 << self.high, 1 << self.middle, 1 << low)
        value = (cube[:, :, 0] + cube[:, :, -1]) / 2
        change = (cube - value[:, :, None]).mean(1)
        first = b.cast(index, high_bits(word, self.high + self.middle))
        top = b.cast(index, high_bits(word, self.high))
        last = b.cast(index, low_bits(word, low))
        start = look_up(b, first, job, value.ravel() + job.value.lsb / 2, frac)
        return b.op("add", start, look_up(b, join(b, top, last), job, change.ravel(), frac))


@dataclass(frozen=True, slots=True)
class Product:
    """exp(high + low) = exp(high) * exp(low): two tables and one product."""

    high: int

    def check(self, function: str, word: Fixed) -> str:
        if function != "exp":
            return "a product of two tables computes exp only"
        return _within(self.high, word)

    def lower(self, b: Builder, index: int, job: Job) -> int:
        word, value = job.word, job.value
        low = word.width - self.high
        top, rest = high_bits(word, self.high), low_bits(word, low)
        powers = np.minimum(job.curve(middles(top, 0.0)), value.max)
        factors = job.curve(middles(rest, 0.5 if job.centred else 0.0))
        coarse = look_up(b, b.cast(index, top), job, powers, value.frac + GUARD)
        fine = look_up(b, b.cast(index, rest), job, factors, value.width + 1)
        return round_to(b, b.op("mul", coarse, fine), value)


@dataclass(frozen=True, slots=True)
class Leading:
    """A function with a pole or a cusp at zero, by the leading one of an unsigned word.

    The word is shifted until its top bits are not zero, which makes it ``m * 2**-n``; the
    ``mantissa`` bits that follow address one table, and n makes up for the rest:
    log(m * 2**-n) = log(m) - n * log(2), sqrt(m * 2**-n) = sqrt(m) * 2**(-n/2) with an even n,
    and 1 / (m * 2**-n) = 1/m * 2**n. A word of zero counts as less than the smallest.
    """

    mantissa: int

    def check(self, function: str, word: Fixed) -> str:
        if function not in LEADING:
            return f"the leading one is looked for by {', '.join(LEADING)} only"
        if word.signed:
            return "the leading one needs an unsigned word; use symmetry too"
        return _within(self.mantissa, word)

    def lower(self, b: Builder, index: int, job: Job) -> int:
        word, frac = job.word, job.value.frac + GUARD
        if job.centred:  # the middle of the bin is one bit longer than the word
            word = Fixed(word.width + 1, word.integer, False)
            index = b.cast(b.op("add", index, b.const(1, span(1, 1, word.frac))), word)
        power = LEADING[job.function]
        even = power == -0.5
        bits = range(even, (word.width - 1).bit_length())
        empty = []
        for shift in [1 << n for n in reversed(bits)]:
            top = b.cast(index, high_bits(word, shift))
            empty.append(b.op("compare", top, b.const(0, Fixed(1, 1, False)), kind="eq"))
            moved = b.cast(b.op("shift", index, n=shift), word)
            index = b.cast(b.op("select", empty[-1], moved, index), word)
        if even:  # one of the two top bits is set
            behind = high_bits(word, self.mantissa + 1)
            start = 0.0
        else:  # the top bit is set: the address leaves it out
            behind = Fixed(self.mantissa, word.integer - 1, False)
            index = b.cast(index, high_bits(word, self.mantissa + 1))
            start = 2.0 ** (word.integer - 1)
        points = start + middles(behind)
        if not power:
            half = job.value.lsb / 2
            shifts = math.log(2.0) * middles(Fixed(len(empty), len(empty), False), 0.0)
            number = reduce(lambda high, low: join(b, high, low), empty)
            result = look_up(b, b.cast(index, behind), job, job.curve(points) + half, frac)
            return b.op("sub", result, look_up(b, number, job, shifts, frac))
        reals = job.curve(points)
        if even:
            reals[points < math.ldexp(1.0, word.integer - 2)] = (
                0.0  # none but zero has no bit among the top two
            )
        result = look_up(b, b.cast(index, behind), job, reals, frac)
        for n, bit in zip(reversed(bits), empty, strict=True):
            by = round(power * (1 << n))
            result = b.op("select", bit, b.op("shift", result, n=by), result)
        return round_to(b, result, job.value)


LEADING: Mapping[str, float] = {"log_abs": 0.0, "sqrt_abs": -0.5, "inverse": 1.0}
"""What a shift of the argument by one bit does to the function: so many bits, 0 for a sum."""

CORES: Mapping[str, type[Core]] = {
    "table": Table,
    "linear": Linear,
    "bipartite": Bipartite,
    "product": Product,
    "leading": Leading,
}


def _within(bits: int, word: Fixed) -> str:
    if 1 <= bits < word.width:
        return ""
    return f"a word of {word.width} bits cannot be split into {bits} and {word.width - bits}"


def _cut(t: Fixed, frac: int) -> Fixed:
    return Fixed(max(t.integer + frac, 1), t.integer, t.signed) if t.frac > frac else t


def high_bits(word: Fixed, bits: int) -> Fixed:
    """The type of a word's high bits; the cast to it is wires."""
    return Fixed(bits, word.integer, word.signed)


def low_bits(word: Fixed, bits: int) -> Fixed:
    """The type of a word's low bits, never negative; the cast to it is wires."""
    return Fixed(bits, bits - word.frac, False)


def join(b: Builder, high: int, low: int) -> int:
    """Two words side by side as one integer; no bits overlap, so the sum is wires."""
    m, n = b.type(high).width, b.type(low).width
    top = b.cast(high, Fixed(m, b.type(high).integer, False))
    left = b.op("shift", top, n=m + n - b.type(top).integer)
    right = b.op("shift", low, n=n - b.type(low).integer)
    return b.cast(b.op("add", left, right), Fixed(m + n, m + n, False))


def round_to(b: Builder, index: int, value: Fixed) -> int:
    """A value rounded to nearest at the fractional bits of ``value``."""
    t = b.type(index)
    if t.frac <= value.frac:
        return index
    width = max(t.integer + value.frac, 1) + 1  # rounding may carry
    return b.cast(index, Fixed(width, width - value.frac, t.signed).with_modes("RND", "WRAP"))
