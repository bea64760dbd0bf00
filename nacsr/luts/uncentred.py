"""Fitted tables read by words that were not centred: the same values, and no subtraction.

A table of ``x - 2*y + 0.5`` is a list of numbers, so an offset of its argument only says where in
the list one reads: all offsets, those that centre the inputs among them, move into the list,
where they cost nothing, as long as they are whole steps of its address.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nacsr.fixed import Fixed, span
from nacsr.ir import Builder
from nacsr.ir.ops import cast_fits
from nacsr.luts.lut import LutFunc

MORE_BITS = 1
"""Of address that a table may gain so that nothing has to be subtracted from it."""


def looked_up(builder: Builder, table: LutFunc, index: int) -> int:
    """The index of a function of a value; where nothing can saturate the address is a slice."""
    domain = table.domain
    if cast_fits(domain, builder.type(index), builder.ranges[index]):
        index = builder.cast(index, domain.with_modes(domain.rounding))
    return table.lower(builder, index)


def moved(
    builder: Builder, table: LutFunc, index: int, offset: Fraction, more: int = MORE_BITS
) -> int | None:
    """The index of ``table(value + offset)`` for a value without the offset.

    None if the offset is no whole number of the table's steps, or the value too coarse for it, or
    there is one entry only that can be read. The table may have ``more`` address bits for it.
    """
    domain = table.domain
    steps, drop = offset / Fraction(domain.lsb), builder.type(index).frac - domain.frac
    if steps.denominator != 1 or drop < 0:
        return None
    by, (low, high) = int(steps), (end >> drop for end in builder.ranges[index])
    first, last = max(domain.lowest - by, low), min(domain.max_raw - by, high)
    if first >= last:
        return None
    wide = span(0 if low >= 0 else first, last, domain.frac)
    if wide.width <= domain.width + more:
        words = np.arange(wide.min_raw, wide.max_raw + 1)
        old = np.clip(words + by, domain.lowest, domain.max_raw) - domain.min_raw
        entries = tuple(table.values[i] for i in old.tolist())
        if min(entries) == max(entries):
            return None
        value = span(min(entries), max(entries), table.value.frac)
        wider = LutFunc(table.name, "", wide.with_modes("TRN", "SAT"), value, values=entries)
        return looked_up(builder, wider, index)
    top = builder.cast(index, span(low, high, domain.frac))
    start = builder.const(by, Fixed(by.bit_length() + 1, by.bit_length() + 1 - domain.frac))
    return looked_up(builder, table, builder.narrow(builder.op("add", top, start)))
