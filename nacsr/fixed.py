"""Fixed point: the meaning of AMD's ``ap_fixed<W, I, Q, O>`` on raw integers.

A value is an integer ``raw`` with a type; its number is ``raw * 2**-(W - I)``.
Raw integers live in int64 arrays, so a type is at most 63 bits wide. This module is
the only place where rounding and overflow are defined; the emitted C++ is tested
against it with ``==``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.errors import FixedError

Raw = NDArray[np.int64]
Bits = NDArray[np.bool_]

MAX_WIDTH = 63
MAX_POINT = 1023  # beyond it, values leave the range of a float64


class Rounding(StrEnum):
    """What happens to bits below the LSB (names of ``ap_q_mode`` without ``AP_``)."""

    TRN = "TRN"  # towards minus infinity: drops the bits, costs nothing
    TRN_ZERO = "TRN_ZERO"  # towards zero
    RND = "RND"  # nearest, ties towards plus infinity
    RND_ZERO = "RND_ZERO"  # nearest, ties towards zero
    RND_MIN_INF = "RND_MIN_INF"  # nearest, ties towards minus infinity
    RND_INF = "RND_INF"  # nearest, ties away from zero
    RND_CONV = "RND_CONV"  # nearest, ties to even


class Overflow(StrEnum):
    """What happens to values outside the range (names of ``ap_o_mode`` without ``AP_``).

    ``AP_WRAP_SM`` is not offered: no tool in this flow produces it.
    """

    WRAP = "WRAP"  # drops the high bits, costs nothing
    SAT = "SAT"  # clips to the nearest end
    SAT_ZERO = "SAT_ZERO"  # becomes zero
    SAT_SYM = "SAT_SYM"  # clips to -max..max


_TEXT = re.compile(r"^\s*(?:ap_)?(u?)fixed\s*<([^<>]*)>\s*$|^\s*(-?\d+)\s*,\s*(-?\d+)\s*$")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed-point type of ``width`` bits, ``integer`` of them (sign included) above the point.

    ``integer`` may be negative or exceed ``width``, as in ``ap_fixed``.

    Raises:
        FixedError: for a width outside 1..63.

    >>> t = Fixed(8, 3, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)
    >>> str(t), t.lsb, t.max
    ('fixed<8,3,RND_CONV,SAT>', 0.03125, 3.96875)
    >>> Fixed.parse(str(t)) == t
    True
    """

    width: int
    integer: int
    signed: bool = True
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            msg = f"a fixed-point width must be 1..{MAX_WIDTH} bits, not {self.width}"
            raise FixedError(msg)
        if abs(self.integer) > MAX_POINT:
            msg = f"fixed-point integer bits must be ±{MAX_POINT} at most, not {self.integer}"
            raise FixedError(msg)
        for name, modes in (("rounding", Rounding), ("overflow", Overflow)):
            given = getattr(self, name)
            if isinstance(given, modes):
                continue
            if given not in tuple(modes):
                msg = f"{name} must be one of {', '.join(modes)}, not {given!r}"
                raise FixedError(msg)
            object.__setattr__(self, name, modes(given))  # "RND" is as good as Rounding.RND

    @property
    def frac(self) -> int:
        """Number of bits below the binary point (may be negative)."""
        return self.width - self.integer

    @property
    def lsb(self) -> float:
        """The step between neighbouring values."""
        return 2.0**-self.frac

    @property
    def max_raw(self) -> int:
        """The largest raw integer."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def min_raw(self) -> int:
        """The smallest raw integer (``SAT_SYM`` keeps it reachable by wrapping only)."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def lowest(self) -> int:
        """The smallest raw integer that this type's overflow mode lets through."""
        # a single sign bit has no -max: the headers clip it to -1
        symmetric = self.overflow is Overflow.SAT_SYM and self.signed and self.width > 1
        return -self.max_raw if symmetric else self.min_raw

    @property
    def max(self) -> float:
        """The largest value."""
        return self.max_raw * self.lsb

    @property
    def min(self) -> float:
        """The smallest value."""
        return self.min_raw * self.lsb

    @classmethod
    def parse(cls, text: str) -> Fixed:
        """Read ``fixed<16,6>``, ``ufixed<8,0,RND,SAT>``, ``ap_fixed<...>`` or plain ``16,6``.

        Raises:
            FixedError: if the text is none of these.
        """
        match = _TEXT.match(text) if isinstance(text, str) else None
        if match is None:
            msg = f"cannot read {text!r} as a fixed-point type; write fixed<16,6,RND,SAT> or 16,6"
            raise FixedError(msg)
        if match[3] is not None:
            return cls(int(match[3]), int(match[4]))
        parts = [p.strip().removeprefix("AP_") for p in match[2].split(",")]
        try:
            if not 2 <= len(parts) <= 4:
                raise ValueError(len(parts))
            rounding = Rounding(parts[2]) if len(parts) > 2 else Rounding.TRN
            overflow = Overflow(parts[3]) if len(parts) > 3 else Overflow.WRAP
            return cls(int(parts[0]), int(parts[1]), match[1] != "u", rounding, overflow)
        except ValueError:
            msg = (
                f"cannot read {text!r}: expected fixed<width,integer[,rounding[,overflow]]> with "
                f"rounding in {', '.join(Rounding)} and overflow in {', '.join(Overflow)}"
            )
            raise FixedError(msg) from None

    def __str__(self) -> str:
        tail = ""
        if self.rounding is not Rounding.TRN or self.overflow is not Overflow.WRAP:
            tail = f",{self.rounding},{self.overflow}"
        return f"{'' if self.signed else 'u'}fixed<{self.width},{self.integer}{tail}>"

    def plain(self) -> Fixed:
        """The same bits with the free modes (TRN, WRAP), as inferred types have."""
        return Fixed(self.width, self.integer, self.signed)

    def with_modes(self, rounding: str = "TRN", overflow: str = "WRAP") -> Fixed:
        """The same bits with other rounding and overflow modes."""
        return replace(self, rounding=Rounding(rounding), overflow=Overflow(overflow))

    def holds(self, lo: int, hi: int, frac: int) -> bool:
        """Whether every value ``raw * 2**-frac`` with ``lo <= raw <= hi`` is representable."""
        if frac > self.frac:
            return False
        shift = self.frac - frac
        return self.min_raw <= lo << shift and hi << shift <= self.max_raw

    def cast(self, raw: ArrayLike, source: Fixed) -> Raw:
        """Convert raw integers of type ``source`` to this type: round, then overflow.

        Args:
            raw: integers of any shape, within the range of ``source``.
            source: the type they have now.

        Returns:
            int64 array of the same shape.
        """
        value = np.asarray(raw, dtype=np.int64)
        drop = source.frac - self.frac
        if drop > 0:
            quick = drop < source.width < MAX_WIDTH - 1  # half a step more still fits
            rounded = _round_quick if quick else _round
            return self._overflow(rounded(value, drop, self.rounding), 0)
        return self._overflow(value, -drop)

    def quantize(self, values: ArrayLike) -> Raw:
        """The raw integers of real numbers under this type's rounding and overflow.

        Raises:
            FixedError: for NaN or infinite values.
        """
        exact = np.asarray(values, dtype=np.float64)
        if not np.isfinite(exact).all():
            msg = f"cannot quantise NaN or infinite values to {self}"
            raise FixedError(msg)
        with np.errstate(over="ignore"):  # what overflows here saturates or wraps to zero
            scaled = np.clip(np.ldexp(exact, self.frac), -(2.0**1000), 2.0**1000)
        # as close to -0 as this, minus one is not far enough to be told apart in a float64
        scaled = np.where((scaled > -0.5) & (scaled < -0.25), -0.375, scaled)
        floor = np.floor(scaled)
        rest = scaled - floor  # exact: a float64 of 2**53 or more has no fraction
        up = _rounds_up(self.rounding, np.sign(rest - 0.5), rest > 0, floor % 2 == 1, exact < 0)
        rounded = floor + up
        if self.overflow is Overflow.WRAP:
            return self._wrap(np.fmod(rounded, 2.0**self.width).astype(np.int64))
        # powers of two compare exactly in float64, max_raw itself may not
        beyond = (rounded >= float(self.max_raw + 1)) | (rounded < float(self.min_raw))
        inside = self._overflow(np.where(beyond, 0, rounded).astype(np.int64), 0)
        if self.overflow is Overflow.SAT_ZERO:
            return inside
        ends = np.where(rounded < 0, self.lowest, self.max_raw)
        return np.where(beyond, ends, inside)

    def to_float(self, raw: ArrayLike) -> NDArray[np.float64]:
        """The real numbers of raw integers (exact up to 53 bits)."""
        return np.ldexp(np.asarray(raw, dtype=np.float64), -self.frac)

    def _overflow(self, value: Raw, shift: int) -> Raw:
        """Bring ``value << shift`` into range without ever forming an overflowing integer."""
        shift = min(shift, MAX_WIDTH)
        if self.overflow is Overflow.WRAP:
            return self._wrap(value << np.int64(shift))
        low = self.lowest
        if not shift and self.overflow is not Overflow.SAT_ZERO:
            return np.clip(value, low, self.max_raw)
        over = value > (self.max_raw >> shift)
        under = value < -(-low >> shift)
        inside = np.where(over | under, 0, value) << np.int64(shift)
        if self.overflow is Overflow.SAT_ZERO:
            return inside
        return np.where(over, self.max_raw, np.where(under, low, inside))

    def _wrap(self, value: Raw) -> Raw:
        up = np.int64(64 - self.width)
        if self.signed:
            return (value << up) >> up
        return value & np.int64(self.max_raw)


def _rounds_up(
    mode: Rounding, side: NDArray[np.float64] | Raw, inexact: Bits, odd: Bits, negative: Bits
) -> Bits:
    """Whether a floored value goes one step up.

    ``side`` is the sign of (dropped part - half an LSB): 0 is a tie.
    """
    above: Bits = side > 0
    tie: Bits = side == 0
    if mode is Rounding.TRN:
        return np.zeros_like(inexact)
    if mode is Rounding.TRN_ZERO:
        return np.logical_and(inexact, negative)
    if mode is Rounding.RND:
        return np.logical_or(above, tie)
    if mode is Rounding.RND_MIN_INF:
        return above
    ties_up = {Rounding.RND_INF: ~negative, Rounding.RND_ZERO: negative, Rounding.RND_CONV: odd}
    return np.logical_or(above, tie & ties_up[mode])


def _round_quick(value: Raw, drop: int, mode: Rounding) -> Raw:
    """``_round`` for values with a bit to spare, in fewer passes over memory."""
    if mode is Rounding.RND:
        return (value + np.int64(1 << (drop - 1))) >> np.int64(drop)
    if mode is Rounding.RND_CONV:  # half a step, less one unit where the floor is even
        odd = (value >> np.int64(drop)) & np.int64(1)
        odd += value
        odd += np.int64((1 << (drop - 1)) - 1)
        odd >>= np.int64(drop)
        return odd
    return _round(value, drop, mode)


def _round(value: Raw, drop: int, mode: Rounding) -> Raw:
    """Drop ``drop > 0`` low bits under a rounding mode."""
    if mode is Rounding.TRN:
        return value >> np.int64(min(drop, MAX_WIDTH))
    if drop > 62:  # shifts of 63 and more are undefined: fold the low bits into a sticky bit
        step = min(drop - 62, 62)
        lost = (value & np.int64((1 << step) - 1)) != 0
        value, drop = (value >> np.int64(step)) | lost.astype(np.int64), 62
    floor = value >> np.int64(drop)
    rest = value & np.int64((1 << drop) - 1)
    half = np.int64(1 << (drop - 1))
    up = _rounds_up(mode, np.sign(rest - half), rest != 0, (floor & 1) == 1, value < 0)
    return floor + up


def hull(*types: Fixed) -> Fixed:
    """The smallest type that holds every value of all ``types`` exactly.

    Raises:
        FixedError: if that needs more than 63 bits.

    >>> str(hull(Fixed(8, 4), Fixed(8, 2, signed=False)))
    'fixed<10,4>'
    """
    signed = any(t.signed for t in types)
    above = max(t.integer - t.signed for t in types)
    frac = max(t.frac for t in types)
    return Fixed(max(above + signed + frac, 1), above + signed, signed)


def span(lo: int, hi: int, frac: int) -> Fixed:
    """The narrowest type with ``frac`` fractional bits that holds the raw range ``lo..hi``.

    Raises:
        FixedError: if that needs more than 63 bits.

    >>> str(span(-3, 12, 2)), str(span(0, 7, 0))
    ('fixed<5,3>', 'ufixed<3,3>')
    """
    signed = lo < 0
    bits = max(max(hi, 0).bit_length(), (-lo - 1).bit_length() if signed else 0)
    width = max(bits + signed, 1)
    return Fixed(width, width - frac, signed)
