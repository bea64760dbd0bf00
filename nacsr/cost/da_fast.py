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

SHARING = (3.5, 0.123)
"""Additions that are left of ``n``: ``n * (1 + a * pairs) ** -b`` (see ``Matrix.pairs``).

Read off 457 random matrices (2..120 inputs by 1..71 outputs, weights of 1..8 bits beside a sign,
uniform or normal, 10..100 % of them not zero) that went through da4ml 0.6.0: additions within 4.5 %
in the mean, cost within 5.2 % (28 % at worst). Networks were not looked at for it.
"""

BITS = (-0.13, 0.15, 0.25, 0.20)
"""Bits of a mean addition beyond those of the inputs: a constant; for each doubling of the digits
of a column, as trees grow; for each bit of the weights, as shifts spread; for each doubling of
``1 + pairs``, as shared sums are sums of sums. Of the same matrices.
"""


REWRITTEN = ("conv", "pool", "leaky_relu", "mul", "add", "sub")
"""Layers that become others before they are unrolled, or go into them as a batch norm does."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """What the estimate asks of a constant matrix.

    Attributes:
        digits: nonzero signed digits of each column that has any.
        pairs: how often one pair of digits (of two inputs, at one distance) is met, were they
            spread evenly; over the root of the number of inputs fewer, since the solver takes
            those that are met most, of the more kinds the more inputs there are.
        bits: of the largest weight, without sign.
    """

    digits: Whole
    pairs: float
    bits: int

    @classmethod
    def of(cls, weights: Whole) -> Matrix:
        """Statistics of integers, shape (inputs, outputs)."""
        digits = csd_digits(weights)
        inputs = int(digits.any(1).sum())
        columns = digits.sum(0)
        columns = columns[columns > 0]
        bits = int(np.abs(weights).max(initial=0)).bit_length()
        met = float((columns.astype(np.float64) ** 2).sum()) / 2
        return cls(columns, met / (inputs**1.5 * bits) if inputs else 0.0, bits)

    def luts(self, width: float) -> float:
        """Of the product with inputs of ``width`` bits."""
        if not self.digits.size:
            return 0.0
        a, b = SHARING
        additions = float((self.digits - 1).sum()) * (1 + a * self.pairs) ** -b
        first, tree, spread, shared = BITS
        more = tree * math.log2(self.digits.mean()) + spread * self.bits
        more += shared * math.log2(1 + self.pairs)
        return float(additions * (width + first + more))


def da_fast(graph: Graph) -> float:
    """About ``da_cost(graph).luts``, in milliseconds.

    Args:
        graph: verified, of scalars or of layers.

    Raises:
        EmitError: for a product of two variables.
    """
    if any(op.shape and op.name in REWRITTEN for op in graph.ops):
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


def addition(a: Reach, b: Reach) -> Whole:
    """An adder: from the coarser last bit to the higher first one; constants have no zeros."""
    whole = np.maximum(a.bits() - a.frac, b.bits() - b.frac) + min(a.frac, b.frac)
    with_constant = np.where(a.fixed, constant_bits(a.low) - 1, constant_bits(b.low) - 1)
    return np.where(a.fixed | b.fixed, with_constant, np.maximum(whole, 1))


def _sum(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(addition(*args))


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
    return node.total(_mux(*args[1:]))


def _mux(a: Reach, b: Reach) -> NDArray[np.float64]:
    """Half of the bits in which two words overlap, whatever is known of them."""
    bits = np.maximum(a.bits() - a.frac, b.bits() - b.frac) + min(a.frac, b.frac)
    half: NDArray[np.float64] = np.maximum(bits, 1) / 2
    return half


def _larger(node: _Node, args: Sequence[Reach]) -> float:
    return node.total(addition(*args) + _mux(*args))


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
            matrices[key] = Matrix.of(weight[np.ix_(inputs, outputs)])
        if inputs.any():
            luts += matrices[key].luts(float(bits[inputs].mean()))
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
    "sub": _sum,
    "mul": _product,
    "cast": _cast,
    "compare": _sum,
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
