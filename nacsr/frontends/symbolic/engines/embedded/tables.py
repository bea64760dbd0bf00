"""LUT functions on float32 columns: the same table entries as ``LutFunc.numpy``, faster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import MAX_POINT, Overflow, Rounding
from nacsr.luts import LutFunc

Column = NDArray[np.float32]


def on_float32(lut: LutFunc, frac: int = MAX_POINT) -> Callable[[Column], Column]:
    """A function of float32 columns that returns the very entries of the table, truncated to
    ``frac`` fractional bits.

    Scaling by a power of two, clipping and flooring are exact in float32, so the addresses
    are those of ``Fixed.quantize``. Roundings other than TRN and RND take the slow way.
    """
    domain = lut.domain
    if domain.rounding not in (Rounding.TRN, Rounding.RND):
        return lambda x: _truncated(lut.numpy(x), frac)
    lowest = domain.min_raw
    words = np.arange(lowest, domain.max_raw + 1)
    entries = _truncated(lut.value.to_float(lut.table[words & ((1 << domain.width) - 1)]), frac)
    low = -domain.max_raw if domain.overflow is Overflow.SAT_SYM and domain.signed else lowest
    scale, ends = np.float32(2.0**domain.frac), (np.float32(low), np.float32(domain.max_raw))
    nearest = domain.rounding is Rounding.RND

    def apply(x: Column) -> Column:
        scaled = np.clip(x * scale, *ends)
        floor = np.floor(scaled)
        if nearest:
            floor += scaled - floor >= 0.5
        result: Column = entries.take(floor.astype(np.int32) - np.int32(lowest))
        return result

    return apply


def _truncated(values: NDArray[np.float64], frac: int) -> Column:
    kept: Column = values.astype(np.float32)
    if frac < MAX_POINT:
        kept = np.ldexp(np.floor(np.ldexp(values, frac)), -frac).astype(np.float32)
    return kept
