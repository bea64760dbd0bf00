"""Casts as plain ops: afterwards every cast is a slice of bits (TRN, WRAP).

For back ends whose quantiser knows no other mode. Rounding adds one bit to the floor of the
value; saturation compares with the ends and selects. The interval of the argument says which
end can be reached at all. Meaning of the modes: ``nacsr.fixed``, after AMD's ``ap_fixed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import MAX_WIDTH, Fixed, Overflow, Rounding, span
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.casts import relaxed
from nacsr.ir.passes.values import BIT, exact
from nacsr.ir.rows import Range


@dataclass(frozen=True, slots=True)
class ExpandCasts:
    """Rounding and saturating casts become adds, compares and selects."""

    name: str = "expand_casts"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``.

        Raises:
            GraphError: naming the cast, if a value in between needs more than 63 bits.
        """
        where = {id(op): index for index, op in enumerate(graph.ops)}

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name != "cast":
                return None
            try:
                return expand(b, args[0], op.type)
            except (FixedError, GraphError) as error:
                msg = f"%{where[id(op)]} cast to {op.type}: {error}; cast to a narrower type first"
                raise GraphError(msg) from None

        return exact(graph, rule)


def expand(b: Builder, arg: int, to: Fixed) -> int:
    """``arg`` cast to ``to`` by casts that only drop bits; elementwise on tensors."""
    to = relaxed(b, arg, to)
    if to == to.plain():
        return b.cast(arg, to)
    value, reach = arg, b.ranges[arg]
    drop = b.type(arg).frac - to.frac
    if drop > 0:
        value, reach = _rounded(b, arg, drop, to.rounding)
    else:
        reach = reach[0] << -drop, reach[1] << -drop
    return _fitted(b, value, reach, to)


# --- rounding --------------------------------------------------------------------------


def _rounded(b: Builder, arg: int, drop: int, mode: Rounding) -> tuple[int, Range]:
    """``arg`` without ``drop`` low bits, and its range on that grid."""
    source, (low, high) = b.type(arg), b.ranges[arg]
    frac = source.frac - drop
    if drop > source.width and mode is not Rounding.TRN:
        return b.const(0, Fixed(1, 1 - frac, False)), (0, 0)  # all words are below half a step
    floor = b.cast(arg, span(low >> drop, high >> drop, frac))
    up = _step(b, arg, floor, drop, mode)
    if up is None:
        return floor, (low >> drop, high >> drop)
    up = b.op("shift", up, n=-frac) if frac else up
    # rounding never reverses an order, so the ends of the range stay its ends
    word = Fixed(source.width, source.width - drop, source.signed)
    wide = Fixed(MAX_WIDTH, MAX_WIDTH, source.signed, mode)
    ends = wide.cast(np.array([low, high]), word)
    return b.op("add", floor, up), (int(ends[0]), int(ends[1]))


def _step(b: Builder, arg: int, floor: int, drop: int, mode: Rounding) -> int | None:
    """The bit that is added to the floor, None where it is always zero."""
    if mode is Rounding.TRN:
        return None
    if mode is Rounding.TRN_ZERO:
        return _both(b, _any_low(b, arg, drop), _negative(b, arg))
    half = _bit(b, arg, drop - 1)
    if mode is Rounding.RND:
        return half
    more = _any_low(b, arg, drop - 1)  # beyond half a step: no tie
    if mode is Rounding.RND_MIN_INF:
        return None if more is None else _both(b, half, more)
    negative = _negative(b, arg)
    if mode is Rounding.RND_CONV:
        tie_up = _bit(b, floor, 0)
    elif mode is Rounding.RND_ZERO:
        tie_up = negative
    else:
        tie_up = b.op("compare", negative, b.const(0, BIT), kind="eq")
    return _both(b, half, tie_up if more is None else b.op("max", more, tie_up))


def _bit(b: Builder, arg: int, place: int) -> int:
    """Bit ``place`` of the word of ``arg``, as 0 or 1."""
    weight = place - b.type(arg).frac
    bit = b.cast(arg, Fixed(1, weight + 1, False))
    return b.op("shift", bit, n=-weight) if weight else bit


def _any_low(b: Builder, arg: int, count: int) -> int | None:
    """Whether any of the ``count`` lowest bits is set, None for no bits."""
    if not count:
        return None
    frac = b.type(arg).frac
    low = b.cast(arg, Fixed(count, count - frac, False))
    return b.op("compare", low, b.const(0, Fixed(1, 1 - frac, False)), kind="ne")


def _negative(b: Builder, arg: int) -> int:
    if b.ranges[arg][0] >= 0:
        return b.const(0, BIT)
    return _bit(b, arg, b.type(arg).width - 1)


def _both(b: Builder, x: int | None, y: int) -> int:
    return y if x is None else b.op("min", x, y)


# --- overflow --------------------------------------------------------------------------


def _fitted(b: Builder, value: int, reach: Range, to: Fixed) -> int:
    """``value``, whose words on the grid of ``to`` lie in ``reach``, brought into ``to``."""
    low, high = max(reach[0], to.lowest), min(reach[1], to.max_raw)
    if to.overflow is Overflow.WRAP or (low, high) == reach:
        return b.cast(value, to.plain() if to.overflow is Overflow.WRAP else span(*reach, to.frac))
    ends = to.lowest, to.max_raw
    if to.overflow is Overflow.SAT_ZERO:
        ends = 0, 0
    if low > high:  # no word of it fits
        return b.const(ends[reach[0] > to.max_raw], to.plain())
    made = b.cast(value, span(low, high, to.frac))
    if reach[0] < low:
        made = _where(b, value, "lt", low, ends[0], made, to)
    if reach[1] > high:
        made = _where(b, value, "gt", high, ends[1], made, to)
    return made


def _where(
    b: Builder, value: int, kind: str, limit: int, word: int, otherwise: int, to: Fixed
) -> int:
    """``word`` where ``value`` lies beyond ``limit``, both words of ``to``."""
    up = to.frac - b.type(value).frac
    edge = limit >> up if kind == "gt" else -(-limit >> up)  # on the grid of the value
    beyond = b.op("compare", value, b.const(edge, span(edge, edge, b.type(value).frac)), kind=kind)
    return b.op("select", beyond, b.const(word, span(word, word, to.frac)), otherwise)
