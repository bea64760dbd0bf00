"""What one operator takes on an UltraScale+ chip, as HLS C-synthesis counts it.

Every rule was read off published csynth reports at 5 ns (Vivado HLS 2020.1 on VU9P:
hftsoi/symbolic_regression, AdrianAlan/hls4sr-configs; Vitis HLS 2023.1 on VU13P:
nairods/fastml_bitnet_benchmark). LUTs at csynth overstate what Vivado leaves of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.fixed import Fixed, Overflow, Rounding

ALONE = 7
"""LUTs that csynth adds to the width of an adder or comparator that stands alone."""
NARROW_ADDER = 18
"""LUTs of any adder up to 10 bits: what the polynomials of 2 to 10 bits leave for each."""

LUT_MULTIPLIER: Mapping[int, int] = {
    # largest operand width -> LUTs; 4, 7..10 read in reports, the others on the curve between
    1: 1, 2: 4, 3: 7, 4: 11, 5: 18, 6: 25, 7: 33, 8: 40, 9: 49, 10: 62,
}  # fmt: skip
LUT_MULTIPLIER_BITS = max(LUT_MULTIPLIER)
DSP_PORTS = (27, 18)
DSP_GLUE = 4
"""LUTs around a multiplier in one DSP48E2 (2..6 in reports)."""

LUT_ROM_BITS = 2048
"""Tables up to this size (256 entries x 8 bits) stay in LUTs; larger ones go to BRAM."""
BRAM18_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def csd_digits(raw: ArrayLike) -> NDArray[np.int64]:
    """Nonzero digits of integers in canonical signed digit form, elementwise.

    The nonzero digits of the non-adjacent form of n sit where ``3n`` and ``n`` differ
    (Reitwiesner 1960).

    >>> csd_digits([0, 1, -8, 7, 5, 11]).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    n = np.abs(np.asarray(raw, dtype=np.int64)).astype(np.uint64)
    half, triple = n >> np.uint64(1), n + (n >> np.uint64(1))
    digits: NDArray[np.int64] = np.bitwise_count(half ^ triple).astype(np.int64)
    return digits


def constant_bits(raw: ArrayLike) -> NDArray[np.int64]:
    """Width of constants as a signed multiplier sees them: sign, no trailing zeros."""
    n = np.abs(np.asarray(raw, dtype=np.int64))
    odd = n // np.maximum(n & -n, 1)
    return np.frexp(odd.astype(np.float64))[1].astype(np.int64) + 1


def adder_luts(width: int) -> int:
    """An adder or subtracter that stands alone."""
    return max(comparator_luts(width), NARROW_ADDER)


def comparator_luts(width: int) -> int:
    """A comparison that stands alone."""
    return width + ALONE


def multiplier(a: int, b: int) -> tuple[int, int]:
    """(LUTs, DSPs) of a product of two variables of these widths.

    Up to 10 bits in LUTs, by the wider operand; from 11 bits in DSP48E2 blocks, whose
    27 x 18 ports are tiled when the operands are wider. The limb widths (21 bits beside an
    operand that fits the 18-bit port, 17 bits otherwise) reproduce 15 of the 16 wide
    products of the reports.
    """
    narrow, wide = sorted((a, b))
    if narrow == 1:
        return wide, 0  # a bit times a word: one gate a bit
    if wide <= LUT_MULTIPLIER_BITS:
        return LUT_MULTIPLIER[wide], 0
    if wide <= DSP_PORTS[0] and narrow <= DSP_PORTS[1]:
        return DSP_GLUE, 1
    if narrow <= DSP_PORTS[1]:
        return 2 * narrow, math.ceil((wide - 1) / 21)
    rows = math.ceil((narrow - 1) / 26)
    return 2 * narrow * rows, rows * math.ceil((wide - 1) / 17)


def constant_multiplier(width: int, raw: int) -> tuple[int, int]:
    """(LUTs, DSPs) of a variable of ``width`` bits times the constant ``raw``.

    No digit: nothing; a power of two: wires; two digits: one adder; more: a multiplier.
    """
    digits = int(csd_digits(raw))
    if digits <= 1:
        return 0, 0
    bits = int(constant_bits(raw))
    if digits == 2:
        return adder_luts(width + bits - 1), 0
    return multiplier(width, bits)


def rom(entries: int, width: int) -> tuple[int, int]:
    """(LUTs, BRAM18) of one table with one read port.

    csynth gives every call its own copy. In LUTs: one per output bit and 64 entries.
    """
    if entries * width <= LUT_ROM_BITS:
        return math.ceil(entries / 64) * width, 0
    return 0, min(math.ceil(entries / d) * math.ceil(width / w) for d, w in BRAM18_SHAPES)


def rounding_bits(source: Fixed, to: Fixed) -> int:
    """Width of the adder that rounds, 0 where bits are only dropped (TRN) or none are lost."""
    loses = source.frac > to.frac
    return to.width if loses and to.rounding is not Rounding.TRN else 0


def overflow_bits(source: Fixed, to: Fixed) -> int:
    """How many high bits of the source a saturating cast must look at; 0 where none is lost."""
    if to.overflow is Overflow.WRAP:
        return 0
    carry = rounding_bits(source, to) > 0
    above = (source.integer - source.signed + carry) - (to.integer - to.signed)
    negative = source.signed and not to.signed
    symmetric = to.overflow is Overflow.SAT_SYM and to.signed
    return max(above, int(negative or symmetric)) if above > 0 or negative or symmetric else 0


def cast_luts(source: Fixed, to: Fixed) -> int:
    """A conversion: rounding is an adder, saturation comparators and a mux, the rest wires.

    An unsigned source can only be too large, a signed one also too small. Towards zero, the adder
    counts only for negative words that lose something: a comparison and two muxes.
    """
    rounding, overflow = rounding_bits(source, to), overflow_bits(source, to)
    luts = adder_luts(rounding) if rounding else 0
    if rounding and source.signed and to.rounding is Rounding.TRN_ZERO:
        luts += comparator_luts(source.frac - to.frac) + 2 * to.width
    if overflow:
        luts += (1 + source.signed) * comparator_luts(overflow) + to.width
    return luts
