"""Casts: what they cannot do is dropped from them, and casts of casts become one.

After ``ap_fixed``, a cast to W bits rounds low bits away and then fits the rest into the type.
Whether it ever does either follows from the exact interval of its argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.ops import cast_fits
from nacsr.ir.passes.values import exact, lone, within
from nacsr.ir.rows import Range

_SATURATING = frozenset({Overflow.SAT, Overflow.SAT_SYM})
_ANYWHERE = frozenset({Rounding.TRN, Rounding.RND, Rounding.RND_MIN_INF, Rounding.RND_CONV})
"""Modes that round x and x + 2**k alike (k above the new LSB): they do not ask for the sign."""

_NOT_NEGATIVE: Mapping[Rounding, Rounding] = {
    Rounding.TRN_ZERO: Rounding.TRN,
    Rounding.RND_INF: Rounding.RND,
    Rounding.RND_ZERO: Rounding.RND_MIN_INF,
}
"""What a mode does to values that are never negative."""


@dataclass(frozen=True, slots=True)
class MergeCasts:
    """Drops casts that change no value, frees modes that never act, joins casts of casts."""

    name: str = "merge_casts"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``."""
        single = lone(graph)

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name != "cast":
                return None
            return merged(b, args[0], op.type, op.args[0] in single)

        return exact(graph, rule)


def merged(b: Builder, arg: int, to: Fixed, alone: bool) -> int:
    """A value equal to ``arg`` cast to ``to``, in no more bits.

    Args:
        b: the builder.
        arg: the value to cast.
        to: the type with its modes.
        alone: nothing else reads ``arg``: what it costs may be moved into this cast.
    """
    while True:
        to = relaxed(b, arg, to)
        source = b.type(arg)
        if _lossless(b, arg, to):
            if within(source, to):
                return arg
            to = _meet(source, to)
        inner = b.ops[arg]
        both = _joined(b, inner, to)
        if both is None:
            return b.cast(arg, to)
        # what rounds or saturates reads the fewer bits, and is not done twice
        moves = alone and not _lossless(b, inner.args[0], inner.type)
        if not moves and both != both.plain():
            return b.cast(arg, to)
        arg, to = inner.args[0], both


def relaxed(b: Builder, arg: int, to: Fixed) -> Fixed:
    """``to`` with the free modes wherever the range of ``arg`` never meets its own."""
    source, r = b.type(arg), b.ranges[arg]
    rounding, overflow = to.rounding, to.overflow
    if source.frac <= to.frac:
        rounding = Rounding.TRN
    elif r[0] >= 0:
        rounding = _NOT_NEGATIVE.get(rounding, rounding)
    if _fits(to, source, r):
        overflow = Overflow.WRAP
    return replace(to, rounding=rounding, overflow=overflow)


def _lossless(b: Builder, arg: int, to: Fixed) -> bool:
    """Whether a cast changes no value of ``arg``."""
    return b.type(arg).frac <= to.frac and _fits(to, b.type(arg), b.ranges[arg])


def _fits(to: Fixed, source: Fixed, r: Range) -> bool:
    """Whether the range never overflows; exact where bits are only dropped."""
    drop = source.frac - to.frac
    if drop > 0 and to.rounding is Rounding.TRN:
        return to.lowest <= r[0] >> drop and r[1] >> drop <= to.max_raw
    return cast_fits(to, source, r)


def _meet(a: Fixed, b: Fixed) -> Fixed:
    """The bits that both types have, for a value that fits either; on the grid of ``a``."""
    signed = a.signed and b.signed
    above = min(a.integer - a.signed, b.integer - b.signed)
    width = max(above + signed + a.frac, 1)
    return Fixed(width, width - a.frac, signed)


def _joined(b: Builder, inner: Op, to: Fixed) -> Fixed | None:
    """The type of one cast that does what the cast ``inner`` and one to ``to`` do in turn."""
    if inner.name != "cast":
        return None
    middle, source = inner.type, b.type(inner.args[0])
    if source.frac <= middle.frac:
        rounding = to.rounding
    elif to.frac == middle.frac:
        rounding = middle.rounding
    elif to.frac < middle.frac and middle.rounding is to.rounding is Rounding.TRN:
        rounding = Rounding.TRN
    else:
        return None
    fits = _fits(middle, source, b.ranges[inner.args[0]])
    if not fits and not _same_overflow(source, middle, to):
        return None
    return replace(to, rounding=rounding)


def _same_overflow(source: Fixed, middle: Fixed, to: Fixed) -> bool:
    """Whether what overflows ``middle`` ends up at the same word of ``to`` without it."""
    if middle.overflow is to.overflow is Overflow.WRAP:
        rounds_later = source.frac <= middle.frac and to.frac < middle.frac
        return to.integer <= middle.integer and (to.rounding in _ANYWHERE or not rounds_later)
    if middle.overflow in _SATURATING and to.overflow in _SATURATING:
        frac = max(middle.frac, to.frac)
        up, down = frac - to.frac, frac - middle.frac
        top = to.max_raw << up <= middle.max_raw << down
        return top and to.lowest << up >= middle.lowest << down
    return False
