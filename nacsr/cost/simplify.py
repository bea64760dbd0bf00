"""What HLS makes of a graph before it schedules it.

Zeros and what they multiply vanish; so do zero bits of constants, high bits that a wrapping
cast drops and results that nobody reads; and sums of sums become one balanced tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nacsr.cost.rules import csd_digits
from nacsr.errors import FixedError
from nacsr.fixed import MAX_WIDTH, Fixed, Overflow, Rounding, span
from nacsr.ir import OPS, Graph, Op
from nacsr.ir.rows import Range, ends
from nacsr.ir.tensor import WIRING

_SUMS = frozenset({"add", "sub"})
_FOLDS = frozenset({"pool", "reduce"})
_BENT = frozenset({"abs", "min", "max", "relu", "leaky_relu"})
_ZERO_IF_ALL = _SUMS | _FOLDS | _BENT | WIRING | {"cast", "neg", "shift"}
_EXACT = _SUMS | _FOLDS | _BENT | WIRING | {"neg", "mul", "shift", "select"}
_LOW_BITS = _SUMS | WIRING | {"neg"}
"""Ops whose low result bits depend on the low bits of their arguments only, once these are
aligned; so do products, shifts, wrapping casts and sums of many, see ``_read``."""

_LOOKS_AT_SIGN = frozenset({Rounding.TRN_ZERO, Rounding.RND_ZERO, Rounding.RND_INF})


@dataclass(frozen=True, slots=True)
class Node:
    """An op as it is synthesised.

    Attributes:
        op: the op, its type without the high bits that nobody reads.
        args: indices of the values it reads; for a sum the terms of its whole tree.
        adders: widths of the adders of a sum, of all additions merged into it.
        spent: False where nothing remains of it: constants, zeros, parts of a sum.
    """

    op: Op
    args: tuple[int, ...]
    adders: tuple[int, ...] = ()
    spent: bool = True


def simplify(graph: Graph) -> list[Node]:
    """One node for every op of the graph, in order."""
    if any(op.name == "mul" for op in graph.ops):
        graph = _factored(graph)
    graph = Graph(tuple(_minimal_ops(graph)), graph.outputs)
    zero = _zeros(graph)
    constant = _constants(graph, zero)
    bits = _needed_bits(graph, constant)
    ops = [_narrow(op, max(n, 1)) for op, n in zip(graph.ops, bits, strict=True)]
    inner = _inner_sums(graph)
    nodes: list[Node] = []
    for i, op in enumerate(ops):
        spent = bits[i] > 0 and not constant[i]
        node = Node(op, op.args, spent=spent)
        if spent and op.name in _SUMS:
            node = _sum(ops, nodes, i, inner, zero)
        nodes.append(node)
    return nodes


def _factored(graph: Graph) -> Graph:
    """``c*x - c*y`` as ``c*(x - y)``, in the places of the second product and of the sum.

    Only where nothing else reads the products; the first of them is left without a reader.
    """
    readers, outputs = graph.users(), {i for _, i in graph.outputs}
    ops = list(graph.ops)
    for i, op in enumerate(graph.ops):
        if op.name not in _SUMS or len({*op.args} - outputs) < 2:
            continue
        products = [_scaled(graph, a) for a in op.args]
        alone = all(len(readers[a]) == 1 for a in op.args)
        (c, x), (d, y) = products
        if not alone or c is None or c != d or graph.ops[x].type.frac != graph.ops[y].type.frac:
            continue
        inner = replace(op, args=(x, y))
        try:
            type_ = OPS[op.name].infer(inner, [graph.ops[x], graph.ops[y]])[0]
        except FixedError:
            continue
        ops[max(op.args)] = replace(inner, type=type_)
        ops[i] = replace(graph.ops[op.args[0]], args=(c, max(op.args)), type=op.type)
    return Graph(tuple(ops), graph.outputs)


def _scaled(graph: Graph, i: int) -> tuple[int | None, int]:
    """The constant of a product that is no power of two and the other factor, or None."""
    op = graph.ops[i]
    for c, x in (op.args, op.args[::-1]) if op.name == "mul" else ():
        constant = graph.ops[c]
        if (
            constant.name == "const"
            and constant.shape == ()
            and csd_digits(constant.array("value")) > 1
        ):
            return c, x
    return None, i


def _minimal_ops(graph: Graph) -> list[Op]:
    """The ops with constants in the fewest bits, and the types that follow from that.

    Low bits that are zero go with those of the constants; high bits that no value reaches go
    with the range of every op. What a layer or a saturating cast declares is kept.
    """
    ops: list[Op] = []
    ranges: list[Range] = []
    for op in graph.ops:
        ranges.append(_range(op, [graph.ops[a] for a in op.args], [ranges[a] for a in op.args]))
        if op.name == "const":
            type_ = _minimal_type(op)
        elif op.name in _EXACT:
            type_ = _reached(op, _inferred(op, _operands(op, ops, graph)), ranges[-1])
        elif op.name == "lut" or (op.name == "cast" and op.type.overflow is Overflow.WRAP):
            type_ = _reached(op, op.type, ranges[-1])
        else:
            type_ = op.type
        ops.append(op if type_ == op.type else replace(op, type=type_))
    return ops


def _reached(op: Op, type_: Fixed, reach: Range) -> Fixed:
    """The type without the high bits that no value of this range of raw integers needs."""
    low, high = (int(end) >> (op.type.frac - type_.frac) for end in reach)
    width = max(max(high, ~low).bit_length() + type_.signed, 1)
    if width >= type_.width:
        return type_
    return replace(type_, width=width, integer=width - type_.frac)


def _range(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    """The range of raw integers of an op.

    A call has only the two ends of a table. Words may be wider than ours, as HLS has them. The
    type of a layer is its range already.
    """
    if op.name == "lut" and op.array("table").size < 1 << args[0].type.width:
        return int(op.array("table").min()), int(op.array("table").max())
    if op.name in ("dense", "conv"):
        return ends(op.type)
    if op.name == "cast":
        wide = args[0].type.width > MAX_WIDTH
        if wide or (op.type.rounding is Rounding.TRN and op.type.overflow is Overflow.WRAP):
            return _cut(ranges[0], args[0].type.frac - op.type.frac, op.type)
        return _cast(op.type, args[0].type, *map(int, ranges[0]))
    return OPS[op.name].bound(op, args, ranges)


@lru_cache(maxsize=4096)  # in a search the same words are cast again and again
def _cast(to: Fixed, source: Fixed, low: int, high: int) -> Range:
    read, op = Op("input", (), source), Op("cast", (0,), to)
    return OPS["cast"].bound(op, (read,), ((low, high),))


def _cut(reach: Range, drop: int, to: Fixed) -> Range:
    """A range without its ``drop`` low bits, or that of the type if it does not fit."""
    low, high = (end >> drop if drop > 0 else end << -drop for end in reach)
    return (low, high) if to.min_raw <= low and high <= to.max_raw else ends(to)


def _inferred(op: Op, operands: Sequence[Op]) -> Fixed:
    try:
        return OPS[op.name].infer(op, operands)[0]
    except FixedError:  # the one bit that is left of a zero may lie high, beside a low one
        return op.type


def _operands(op: Op, ops: Sequence[Op], graph: Graph) -> list[Op]:
    """What an op reads, in minimal types; but a condition stays the one bit that it must be."""
    operands = [ops[a] for a in op.args]
    return [graph.ops[op.args[0]], *operands[1:]] if op.name == "select" else operands


def _minimal_type(op: Op) -> Fixed:
    """The type of a constant without the low bits that are zero in all its elements."""
    raw = op.array("value")
    common = int(np.gcd.reduce(raw, axis=None)) if raw.size else 0
    zeros = (common & -common).bit_length() - 1 if common else 0
    low, high = (int(raw.min()), int(raw.max())) if raw.size else (0, 0)
    return span(low >> zeros, high >> zeros, op.type.frac - zeros)


def _zeros(graph: Graph) -> list[bool]:
    """For every op, whether it is zero for all inputs because a constant is."""
    found: list[bool] = []
    for op in graph.ops:
        below = [found[a] for a in op.args]
        if op.name == "const":
            found.append(not op.array("value").any())
        elif op.name == "mul":
            found.append(any(below))
        else:
            found.append(op.name in _ZERO_IF_ALL and all(below))
    return found


def _constants(graph: Graph, zeros: Sequence[bool]) -> list[bool]:
    """Constants, zeros, and functions of nothing else."""
    found: list[bool] = []
    for op, zero in zip(graph.ops, zeros, strict=True):
        folded = bool(op.args) and all(found[a] for a in op.args)
        found.append(op.name == "const" or zero or folded)
    return found


def _needed_bits(graph: Graph, constant: Sequence[bool]) -> list[int]:
    """How many low bits of every value are read, 0 where the value is not needed at all."""
    need = [0] * len(graph.ops)
    for _, index in graph.outputs:
        need[index] = graph.ops[index].type.width
    for i in range(len(graph.ops) - 1, -1, -1):
        op = graph.ops[i]
        if not need[i] or constant[i]:
            continue
        for a in op.args:
            t = graph.ops[a].type
            need[a] = max(need[a], min(max(_read(op, t, need[i]), 1), t.width))
    return need


def _read(op: Op, arg: Fixed, need: int) -> int:
    """How many low bits of an argument the ``need`` low bits of a result depend on."""
    if op.name == "mul" or op.name == "shift":
        return need
    signs = arg.frac > op.type.frac and op.type.rounding in _LOOKS_AT_SIGN
    wraps = op.name == "cast" and op.type.overflow is Overflow.WRAP and not signs
    if wraps or op.name in _LOW_BITS or op.attrs.get("kind") == "sum":
        return need + arg.frac - op.type.frac
    return arg.width


def _narrow(op: Op, bits: int) -> Op:
    t = op.type
    if bits >= t.width:
        return op
    return replace(op, type=replace(t, width=bits, integer=bits - t.frac))


def _inner_sums(graph: Graph) -> list[bool]:
    """For every op, whether it is a sum or a negation that only one other sum reads."""
    outputs = {i for _, i in graph.outputs}
    inner = [False] * len(graph.ops)
    for i, readers in enumerate(graph.users()):
        op = graph.ops[i]
        if (op.name in _SUMS or op.name == "neg") and len(readers) == 1 and i not in outputs:
            reader = graph.ops[readers[0]]
            inner[i] = reader.name in _SUMS and reader.shape == op.shape
    return inner


def _sum(
    ops: Sequence[Op], nodes: list[Node], i: int, inner: Sequence[bool], zero: Sequence[bool]
) -> Node:
    """The sum at ``i`` with the sums below it merged in; they are marked as not spent."""
    terms: list[int] = []
    adders: list[int] = []
    for a in ops[i].args:
        if inner[a] and nodes[a].spent:
            terms += nodes[a].args
            adders += nodes[a].adders
            nodes[a] = Node(ops[a], (), spent=False)
        elif not zero[a]:
            terms.append(a)
    left, right = (zero[a] for a in ops[i].args)
    # 0 - x takes a subtracter unless the sum that reads it subtracts instead
    passes = right or (left and (ops[i].name == "add" or inner[i]))
    own = () if passes else (_adder_width(ops, i),)
    return Node(ops[i], tuple(terms), (*adders, *own))


def _adder_width(ops: Sequence[Op], i: int) -> int:
    """Width of one addition: low bits that only one operand has are wires.

    (A subtrahend's low bits are not: they borrow.)
    """
    left, right = (ops[a].type.frac for a in ops[i].args)
    wires = left - right if ops[i].name == "sub" else abs(left - right)
    return max(ops[i].type.width - max(wires, 0), 1)
