"""What several passes ask of a value: is it a constant, does a type fit into another.

A rewriting replaces a value by one that is equal as a number. ``exact`` also keeps the shape
and keeps the type inside the old one, so that nothing that reads it can grow beyond 63 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed, span
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op, Shape
from nacsr.ir.passes.base import Rule, rewrite
from nacsr.ir.passes.wires import pick
from nacsr.ir.rows import Range

BIT = Fixed(1, 1, False)


def exact(graph: Graph, rule: Rule) -> Graph:
    """``rewrite`` with a rule that may return another type or a scalar for a tensor."""

    def fitted(builder: Builder, op: Op, args: tuple[int, ...]) -> int | None:
        found = rule(builder, op, args)
        if found is None:
            return None
        if builder.ops[found].shape != op.shape:
            found = spread(builder, found, op.shape)
        if within(builder.type(found), op.type):
            return found
        return builder.cast(found, op.type.plain())

    return rewrite(graph, fitted)


def spread(builder: Builder, scalar: int, shape: Shape) -> int:
    """A scalar in every place of a tensor."""
    raw = constant(builder, scalar)
    if raw is not None:
        return builder.const(np.broadcast_to(raw, shape), builder.type(scalar))
    return pick(builder, scalar, np.zeros(shape, dtype=np.int64))


def within(t: Fixed, other: Fixed) -> bool:
    """Whether every bit of ``t`` is a bit of ``other``.

    >>> within(Fixed(4, 2, False), Fixed(8, 4)), within(Fixed(4, 4, False), Fixed(8, 4))
    (True, False)
    """
    above = t.integer - t.signed <= other.integer - other.signed
    return above and t.frac <= other.frac and t.signed <= other.signed


def fewest_bits(raw: ArrayLike, frac: int) -> tuple[NDArray[np.int64], Fixed]:
    """Raw integers without the low bits that are zero in all of them, and their type.

    Raises:
        FixedError: if they need more than 63 bits.

    >>> raw, t = fewest_bits([12, -4], 3)
    >>> raw.tolist(), str(t)
    ([3, -1], 'fixed<3,2>')
    """
    words = np.asarray(raw, dtype=object).ravel().tolist()
    common = 0
    for word in words:
        common |= word & -word
    zeros = (common & -common).bit_length() - 1 if common else 0
    t = span(min(words, default=0) >> zeros, max(words, default=0) >> zeros, frac - zeros)
    found = np.array([w >> zeros for w in words], dtype=np.int64)
    return found.reshape(np.shape(raw)), t


def literal(builder: Builder, raw: ArrayLike, frac: int, inside: Fixed | None = None) -> int:
    """A constant in the fewest bits, or in the type ``inside`` where these leave it.

    Raises:
        FixedError: if it needs more than 63 bits.
    """
    words, t = fewest_bits(raw, frac)
    if not words.any():
        t = _zero_type(inside or BIT)
    if inside is None or within(t, inside):
        return builder.const(words, t)
    return builder.const(words << np.int64(inside.frac - t.frac), inside.plain())


def _zero_type(inside: Fixed) -> Fixed:
    """One bit for a zero, where the type has a bit and nearest to the point."""
    frac = min(max(0, 1 + inside.signed - inside.integer), inside.frac)
    return Fixed(1, 1 - frac, False)


def constant(builder: Builder, index: int) -> NDArray[np.int64] | None:
    """The raw integers of a constant, None for any other value."""
    op = builder.ops[index]
    return op.array("value") if op.name == "const" else None


def uniform(builder: Builder, index: int) -> tuple[int, int] | None:
    """(m, e) where every element is the constant ``m * 2**e``; m is odd, or both are zero."""
    low, high = builder.ranges[index]
    if low != high or builder.ops[index].name != "const":
        return None
    if not low:
        return 0, 0
    zeros = (low & -low).bit_length() - 1
    return low >> zeros, zeros - builder.type(index).frac


def is_zero(builder: Builder, index: int) -> bool:
    """Whether a value is the constant zero."""
    return uniform(builder, index) == (0, 0)


def scaled(builder: Builder, index: int, n: int) -> int:
    """A value times ``2**n``."""
    return builder.op("shift", index, n=n) if n else index


def aligned(builder: Builder, a: int, b: int) -> tuple[Range, Range]:
    """The ranges of two values on one grid."""
    frac = max(builder.type(a).frac, builder.type(b).frac)
    first, second = (
        (low << (frac - builder.type(i).frac), high << (frac - builder.type(i).frac))
        for i, (low, high) in ((a, builder.ranges[a]), (b, builder.ranges[b]))
    )
    return first, second


def lone(graph: Graph) -> frozenset[int]:
    """The ops that one argument of one other op reads, and no output."""
    counts = Counter(a for op in graph.ops for a in op.args)
    outputs = {i for _, i in graph.outputs}
    return frozenset(i for i, n in counts.items() if n == 1 and i not in outputs)


def attempt(build: Callable[..., int], *args: Any) -> int | None:
    """What ``build(*args)`` returns, or None where it would need more than 63 bits."""
    try:
        return build(*args)
    except (GraphError, FixedError):
        return None
