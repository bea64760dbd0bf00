"""What every element of a tensor may be and whether anything reads it: in numpy, without unrolling.

Intervals of single elements say more than a tensor's type: which neurons are constant, and how
many bits the others need. Masks of readers say which elements are computed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Graph, Op
from nacsr.ir.tensor import WIRING, sources

Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Raw words that every element of a value may have.

    Attributes:
        low, high: ends, in the shape of the value.
        frac: fractional bits of the words.
    """

    low: Whole
    high: Whole
    frac: int

    @property
    def fixed(self) -> Mask:
        """Elements of one word only."""
        known: Mask = self.low == self.high
        return known

    def bits(self) -> Whole:
        """Bits that each element needs, a sign included; 0 for the constant 0."""
        top = np.maximum(self.high, -self.low - 1)
        magnitude = np.frexp(np.maximum(top, 0).astype(np.float64))[1]
        return magnitude.astype(np.int64) + (self.low < 0)

    def on(self, frac: int) -> tuple[Whole, Whole]:
        """Ends on a grid at least as fine."""
        up = np.int64(frac - self.frac)
        return self.low << up, self.high << up


def reaches(graph: Graph) -> list[Reach]:
    """For every op of a graph of elementwise ops, dense, reduce, argmax and wiring."""
    found: list[Reach] = []
    for op in graph.ops:
        given = [graph.ops[a] for a in op.args]
        args = [found[a] for a in op.args]
        low, high = _wires(op, given, args) if op.name in WIRING else _ENDS[op.name](op, args)
        low, high = np.broadcast_to(low, op.shape), np.broadcast_to(high, op.shape)
        found.append(Reach(low, high, op.type.frac))
    return found


def read(graph: Graph, found: Sequence[Reach]) -> list[Mask]:
    """Which elements some output depends on.

    Args:
        graph: the graph.
        found: its ``reaches``: what is known needs no argument.
    """
    masks = [np.zeros(op.shape, np.bool_) for op in graph.ops]
    for _, index in graph.outputs:
        masks[index][...] = True
    for index in range(len(graph.ops) - 1, -1, -1):
        op = graph.ops[index]
        mine = masks[index] & ~found[index].fixed
        if not op.args or not mine.any():
            continue
        if op.name in WIRING:
            _scatter(op, mine, [graph.ops[a] for a in op.args], [masks[a] for a in op.args])
            continue
        for arg in op.args:
            masks[arg] |= _behind(op, mine, graph.ops[arg])
    return masks


def _scatter(op: Op, mine: Mask, given: Sequence[Op], masks: Sequence[Mask]) -> None:
    number, place = sources(op, given)
    for k, mask in enumerate(masks):
        at = place[(number == k) & (place >= 0) & mine]
        mask.reshape(-1)[at] = True


def _behind(op: Op, mine: Mask, arg: Op) -> Mask:
    """Elements of an argument that the elements ``mine`` of an op read."""
    if op.name == "dense":
        read: Mask = (mine.astype(np.int64) @ (op.array("weight") != 0).T) > 0
        return read
    if op.name == "reduce":
        axis = op.integer("axis")
        return np.broadcast_to(np.expand_dims(mine, axis), arg.shape)
    if arg.shape == op.shape:
        return mine
    return np.broadcast_to(mine.any(), arg.shape)  # a scalar beside a tensor, or argmax


# --- intervals --------------------------------------------------------------------------------

Ends = tuple[Whole, Whole]


def _all(type_: Fixed) -> Ends:
    return np.array(type_.min_raw, dtype=np.int64), np.array(type_.max_raw, dtype=np.int64)


def _cast(op: Op, args: Sequence[Reach]) -> Ends:
    """Monotone, unless words beyond the ends come back at the other end or as zeros."""
    x, to = args[0], op.type
    source = Fixed(63, 63 - x.frac)
    clipped = to.with_modes(to.rounding, Overflow.SAT)
    low, high = clipped.cast(x.low, source), clipped.cast(x.high, source)
    if to.overflow not in (Overflow.WRAP, Overflow.SAT_ZERO):
        return np.maximum(low, to.lowest), np.maximum(high, to.lowest)
    drop = x.frac - to.frac
    more = 0 if drop <= 0 or to.rounding is Rounding.TRN else 1
    inside = np.ldexp(x.low.astype(np.float64), -drop) >= to.min_raw
    inside &= np.floor(np.ldexp(x.high.astype(np.float64), -drop)) + more <= to.max_raw
    return np.where(inside, low, to.min_raw), np.where(inside, high, to.max_raw)


def _aligned(op: Op, args: Sequence[Reach]) -> list[Ends]:
    frac = max(a.frac for a in args)
    return [a.on(max(frac, op.type.frac)) for a in args]


def _add(op: Op, args: Sequence[Reach]) -> Ends:
    (a, b), (c, d) = _aligned(op, args)
    return a + c, b + d


def _sub(op: Op, args: Sequence[Reach]) -> Ends:
    (a, b), (c, d) = _aligned(op, args)
    return a - d, b - c


def _mul(_: Op, args: Sequence[Reach]) -> Ends:
    x, y = args
    corners = [a * b for a in (x.low, x.high) for b in (y.low, y.high)]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _abs(_: Op, args: Sequence[Reach]) -> Ends:
    low, high = np.abs(args[0].low), np.abs(args[0].high)
    over = (args[0].low < 0) & (args[0].high > 0)
    return np.where(over, 0, np.minimum(low, high)), np.maximum(low, high)


def _min(op: Op, args: Sequence[Reach]) -> Ends:
    (a, b), (c, d) = _aligned(op, args)
    return np.minimum(a, c), np.minimum(b, d)


def _max(op: Op, args: Sequence[Reach]) -> Ends:
    (a, b), (c, d) = _aligned(op, args)
    return np.maximum(a, c), np.maximum(b, d)


def _select(op: Op, args: Sequence[Reach]) -> Ends:
    (a, b), (c, d) = _aligned(op, args[1:])
    return np.minimum(a, c), np.maximum(b, d)


def _lut(op: Op, args: Sequence[Reach]) -> Ends:
    table = op.array("table")
    constant = args[0].fixed
    words = table[args[0].low & (len(table) - 1)]
    return np.where(constant, words, table.min()), np.where(constant, words, table.max())


def digit_sums(weight: Whole) -> tuple[Whole, Whole]:
    """Sums of the positive and of the negative signed digits of integers, both positive.

    >>> [sums.tolist() for sums in digit_sums(np.array([7, -6, 5]))]
    [[8, 2, 5], [1, 8, 0]]
    """
    n = np.abs(weight)
    triple = 3 * n  # digits stand where both differ (Reitwiesner 1960), one place further up
    plus, minus = (triple & ~n) >> 1, (n & ~triple) >> 1
    return np.where(weight < 0, minus, plus), np.where(weight < 0, plus, minus)


def _dense(op: Op, args: Sequence[Reach]) -> Ends:
    """Ends of sums of digits: adders do not know that ``4 * x - x`` is never negative."""
    x, weight = args[0], op.array("weight")
    up = op.type.frac - x.frac - op.fixed("weight_type").frac
    bias = op.array("bias") << (op.type.frac - op.fixed("bias_type").frac)
    # floats multiply faster and hold words of up to 53 bits exactly; wider ones nearly
    plus, minus = digit_sums(weight)
    more, less = plus.astype(float), -minus.astype(float)
    low, high = x.low.astype(float), x.high.astype(float)
    ends = low @ more + high @ less, high @ more + low @ less
    first, last = ((np.ldexp(end, up)).astype(np.int64) + bias for end in ends)
    return first, last


def _reduce(op: Op, args: Sequence[Reach]) -> Ends:
    join = {"sum": np.add, "max": np.maximum, "min": np.minimum}[str(op.attrs["kind"])]
    axis = op.integer("axis")
    return join.reduce(args[0].low, axis=axis), join.reduce(args[0].high, axis=axis)


def _wires(op: Op, given: Sequence[Op], args: Sequence[Reach]) -> Ends:
    number, place = sources(op, given)
    ends = [a.on(op.type.frac) for a in args]
    low, high = np.zeros(op.shape, np.int64), np.zeros(op.shape, np.int64)
    for k, (first, last) in enumerate(ends):
        mine = (number == k) & (place >= 0)
        low[mine] = first.reshape(-1)[place[mine]]
        high[mine] = last.reshape(-1)[place[mine]]
    return low, high


_ENDS: Mapping[str, Callable[[Op, Sequence[Reach]], Ends]] = {
    "input": lambda op, _: _all(op.type),
    "const": lambda op, _: (op.array("value"), op.array("value")),
    "cast": _cast,
    "add": _add,
    "sub": _sub,
    "neg": lambda _, args: (-args[0].high, -args[0].low),
    "mul": _mul,
    "abs": _abs,
    "min": _min,
    "max": _max,
    "shift": lambda _, args: (args[0].low, args[0].high),
    "compare": lambda op, _: _all(op.type),
    "select": _select,
    "relu": lambda _, args: (np.maximum(args[0].low, 0), np.maximum(args[0].high, 0)),
    "lut": _lut,
    "pack": lambda op, _: _all(op.type),
    "dense": _dense,
    "reduce": _reduce,
    "argmax": lambda op, _: _all(op.type),
}
