"""da4ml's cost without its solver: an estimate from the graph alone, for use inside searches.

Ops that da4ml prices one by one (adders, casts, choices, tables) are counted by its own rules on
the types that they have. What its solver would share of a constant matrix is expected from the
matrix's digits: see ``SHARING`` and ``BITS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.da_trace import TWO_VARIABLES
from nacsr.cost.reach import Mask, Reach, Whole, reaches, read
from nacsr.cost.rules import constant_bits, csd_digits
from nacsr.errors import EmitError
from nacsr.fixed import Overflow, Rounding
from nacsr.ir import Graph, Op
from nacsr.ir.passes import run
from nacsr.ir.passes.scalar import TENSOR_PASSES

SHARING = (4.3, 0.118)
"""Additions that are left of ``n``: ``n * (1 + a * pairs) ** -b`` (see ``Matrix.pairs``).

Read off 457 random matrices (2..120 inputs by 1..71 outputs, weights of 1..8 bits beside a sign,
uniform or normal, 10..100 % of them not zero) that went through da4ml 0.6.0: additions within 4.5 %
in the mean, cost within 5.2 % (30 % at worst). Networks were not looked at for it.
"""

BITS = (-0.14, 0.15, 0.25, 0.21)
"""Bits of a mean addition beyond those of the inputs.

A constant; for each doubling of the digits of a column (the mean over additions), as trees grow;
for each bit of the weights, as shifts spread; for each doubling of ``1 + pairs``, as shared sums
are sums of sums. Of the same matrices.
"""

REWRITTEN = ("conv", "pool", "leaky_relu", "mul", "add", "sub")
"""Layers that become others before they are unrolled, or go into them as a batch norm does."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """What the estimate asks of a constant matrix.

    Attributes:
        digits: nonzero signed digits of each column that has any, of those that are the same but
            for sign and shift once.
        readers: whether each input has any.
        pairs: how often one pair of digits (of two inputs, at one distance) is met, were they
            spread evenly; over the root of the number of inputs fewer, since the solver takes
            those that are met most, of the more kinds the more inputs there are.
        bits: of the largest weight, without sign.
    """

    digits: Whole
    readers: Mask
    pairs: float
    bits: int

    @classmethod
    def of(cls, weights: Whole) -> Matrix:
        """Statistics of integers, shape (inputs, outputs)."""
        digits = csd_digits(weights)
        readers = np.asarray(digits.any(axis=1), dtype=np.bool_)
        inputs = int(readers.sum())
        columns = digits.sum(0)[distinct(weights)]
        columns = columns[columns > 0]
        bits = int(np.abs(weights).max(initial=0)).bit_length()
        met = float((columns * (columns - 1)).sum()) / 2
        return cls(columns, readers, met / (inputs**1.5 * bits) if inputs else 0.0, bits)

    def luts(self, width: float) -> float:
        """Of the product with inputs of ``width`` bits."""
        a, b = SHARING
        additions = float((self.digits - 1).sum())
        if not additions:
            return 0.0
        deep = float((self.digits * (self.digits - 1)).sum()) / additions
        first, tree, spread, shared = BITS
        more = tree * math.log2(deep) + spread * self.bits + shared * math.log2(1 + self.pairs)
        left = additions * (1 + a * self.pairs) ** -b
        return float(left * max(width + first + more, 1.0))


def distinct(weights: Whole) -> list[int]:
    """The first of the columns that are the same but for sign and shift: the others are wires.

    >>> distinct(np.array([[1, -4, 3, 1], [3, -12, 1, 3]]))
    [0, 2]
    """
    every = np.bitwise_or.reduce(weights, axis=0)
    odd = weights // np.maximum(every & -every, 1)
    first = np.take_along_axis(odd, (odd != 0).argmax(axis=0)[None], axis=0)
    plain = np.ascontiguousarray((odd * np.sign(first)).T)
    found = {column.tobytes(): place for place, column in reversed([*enumerate(plain)])}
    return sorted(found.values())


def da_fast(graph: Graph) -> float:
    """About ``da_cost(graph).luts``, in milliseconds.

    Args:
        graph: verified, of scalars or of layers.

    Raises:
        EmitError: for a product of two variables.
    """
    if any(op.name == "leaky_relu" or (op.shape and op.name in REWRITTEN) for op in graph.ops):
        graph = run(graph, TENSOR_PASSES)  # as before unrolling; otherwise they change little
    found = reaches(graph)
    masks = read(graph, found)
    return sum(_luts(graph, index, found, masks[index]) for index in range(len(graph.ops)))


def _luts(graph: Graph, index: int, found: Sequence[Reach], mask: Mask) -> float:
    op, mine = graph.ops[index], found[index]
    rule = _RULES.get(op.name)
    live = mask & ~mine.fixed
    if rule is None or not live.any():
        return 0.0
    args = [found[a] for a in op.args]
    if op.name == "mul" and not (args[0].fixed | args[1].fixed)[live].all():
        raise EmitError(TWO_VARIABLES)
    return rule(_Node(op, mine, live), args)


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """An op, the words of its elements, and which of them are computed."""

    op: Op
    reach: Reach
    live: Mask

    def total(self, luts: NDArray[np.generic] | float) -> float:
        """LUTs of its elements, added up."""
        return float(np.broadcast_to(luts, self.live.shape)[self.live].sum())


# --- single operations, by da4ml's rules ------------------------------------------------------


def overlap(a: Reach, b: Reach) -> Whole:
    """Bits from the coarser last one to the higher first one, and a sign."""
    signs = (a.low < 0) | (b.low < 0)
    top = np.maximum(a.bits() - (a.low < 0) - a.frac, b.bits() - (b.low < 0) - b.frac)
    whole: Whole = np.maximum(top + min(a.frac, b.frac) + signs, 1)
    return whole


def addition(a: Reach, b: Reach) -> Whole:
    """An adder has the bits that overlap; with a constant those between its digits."""
    constant = np.where(a.fixed, constant_bits(a.low), constant_bits(b.low)) - 1
    return np.where(a.fixed | b.fixed, constant, overlap(a, b))


def difference(a: Reach, b: Reach) -> Whole:
    """A subtraction, and a comparison by one: the second word is added with its sign changed."""
    return addition(a, Reach(-b.high, -b.low, b.frac))


def _sum(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(addition(*args))


def _difference(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(difference(*args))


def _product(node: _Node, args: Sequence[Reach]) -> float:
    x, y = args
    digits = np.where(x.fixed, csd_digits(x.low), csd_digits(y.low))
    return node.total(np.maximum(digits - 1, 0) * np.where(x.fixed, y.bits(), x.bits()))


def _cast(node: _Node, args: Sequence[Reach]) -> float:
    """Rounding adds a bit to the floor; each end that is reached is compared with and chosen."""
    x, to = args[0], node.op.type
    drop = x.frac - to.frac
    kept = np.maximum(x.bits() - max(drop, 0), 1)
    luts = np.zeros(node.live.shape)
    if drop > 0 and to.rounding is not Rounding.TRN:
        luts = luts + kept
    if to.overflow is not Overflow.WRAP:
        high = np.ldexp(x.high.astype(float), -drop) > to.max_raw
        low = np.ldexp(x.low.astype(float), -drop) < to.lowest
        luts = luts + high * to.width + low + (high + 1.0 * low) * to.width / 2
    return node.total(luts)


def _choice(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(overlap(*args[1:]) / 2)


def _larger(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(difference(*args) + overlap(*args) / 2)


def _half(node: _Node, args: Sequence[Reach]) -> float:
    """A relu or a magnitude: a choice that the sign makes, where there may be one."""
    return node.total((args[0].low < 0) * node.reach.bits() / 2)


def _table(node: _Node, args: Sequence[Reach]) -> float:
    """A LUT has six inputs or twice five; smaller tables share one."""
    bits = args[0].bits()
    copies = 2.0 ** np.maximum(bits - 5, 0) * np.minimum(bits / 5, 1)
    return node.total(copies * math.ceil(node.op.type.width / 2))


def _dense(node: _Node, args: Sequence[Reach]) -> float:
    """A product with a constant matrix a row, less what is known or not read; and biases."""
    op, weight = node.op, node.op.array("weight")
    bias = node.total(constant_bits(op.array("bias")) - 1)
    rows = weight.shape[0]
    used = ~args[0].fixed.reshape(-1, rows)
    widths = args[0].bits().reshape(-1, rows)
    live = node.live.reshape(-1, weight.shape[1])
    matrices: dict[bytes, Matrix] = {}
    luts = 0.0
    for inputs, outputs, bits in zip(used, live, widths, strict=True):
        key = inputs.tobytes() + outputs.tobytes()
        if key not in matrices:
            matrices[key] = Matrix.of(weight * np.outer(inputs, outputs))
        mine = matrices[key]
        luts += mine.luts(float(bits @ mine.readers) / max(int(mine.readers.sum()), 1))
    return luts + bias


def _reduce(node: _Node, args: Sequence[Reach]) -> float:
    """A tree: in a sum of many half of the adders are of the first level, and so on."""
    axis = node.op.integer("axis")
    words, count = args[0].bits().max(axis=axis), args[0].low.shape[axis]
    if node.op.attrs["kind"] != "sum":
        return node.total((count - 1) * 1.5 * words)
    grown = sum((count >> level) * level for level in range(1, count.bit_length()))
    return node.total((count - 1) * words + grown / 2)


def _argmax(node: _Node, args: Sequence[Reach]) -> float:
    word, label = int(args[0].bits().max()), node.op.type.width
    return (args[0].low.size - 1) * (2.5 * word + label / 2)


_RULES: Mapping[str, Callable[[_Node, Sequence[Reach]], float]] = {
    "add": _sum,
    "sub": _difference,
    "mul": _product,
    "cast": _cast,
    "compare": _difference,
    "select": _choice,
    "min": _larger,
    "max": _larger,
    "abs": _half,
    "relu": _half,
    "lut": _table,
    "dense": _dense,
    "reduce": _reduce,
    "argmax": _argmax,
}
"""All other ops are wires."""
