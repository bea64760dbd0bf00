"""The operator table: one row an op, and each row is the op's whole meaning.

``infer`` gives the result type and shape, ``eval`` the raw integers, ``bound`` the
range of the result given the ranges of the arguments (exact interval arithmetic, so
that a lowering can choose integer bits that provably cannot overflow). Inferred types
are exact: only ``cast`` ever rounds or overflows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nacsr.errors import GraphError
from nacsr.fixed import MAX_WIDTH, Fixed, Raw, Rounding, hull
from nacsr.ir.graph import Op, Shape
from nacsr.ir.rows import OpDef, Range, align, aligned_ranges, ends
from nacsr.ir.tensor import TENSOR_OPS

MAX_TABLE_BITS = 16
COMPARE: Mapping[str, Callable[[Raw, Raw], Raw]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}


def _broadcast(args: Sequence[Op]) -> Shape:
    shapes = {a.shape for a in args if a.shape != ()}
    if len(shapes) > 1:
        msg = f"shapes {' and '.join(str(list(s)) for s in sorted(shapes))} do not match"
        raise GraphError(msg)
    return shapes.pop() if shapes else ()


def _grow(t: Fixed, bits: int = 1) -> Fixed:
    return Fixed(t.width + bits, t.integer + bits, t.signed)


def _spread(raw: Raw, op: Op) -> Raw:
    """Give a scalar argument the trailing axes of a tensor result."""
    return raw.reshape(raw.shape + (1,) * (len(op.shape) + 1 - raw.ndim))


def _aligned(op: Op, args: Sequence[Op], raws: Sequence[Raw], to: Fixed) -> list[Raw]:
    return [_spread(align(r, a.type, to), op) for a, r in zip(args, raws, strict=True)]


# --- sources ---------------------------------------------------------------------------


def _infer_given(op: Op, _: Sequence[Op]) -> tuple[Fixed, Shape]:
    return op.type, op.shape


def _infer_const(op: Op, _: Sequence[Op]) -> tuple[Fixed, Shape]:
    value = op.array("value")
    if value.size and not (op.type.min_raw <= value.min() and value.max() <= op.type.max_raw):
        msg = f"a constant lies outside {op.type}"
        raise GraphError(msg)
    return op.type, value.shape


def _eval_input(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    msg = "inputs are given to the interpreter, not computed"
    raise GraphError(msg)


def _bound_const(op: Op, _args: Sequence[Op], _: Sequence[Range]) -> Range:
    value = op.array("value")
    return int(value.min()), int(value.max())


# --- arithmetic ------------------------------------------------------------------------


def _infer_cast(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    return op.type, args[0].shape


def _bound_cast(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    if op.type.overflow == "WRAP" and not cast_fits(op.type, args[0].type, ranges[0]):
        return ends(op.type)
    if op.type.overflow == "SAT_ZERO" and not cast_fits(op.type, args[0].type, ranges[0]):
        return ends(op.type)
    reached = op.type.cast(np.array(ranges[0]), args[0].type)
    return int(reached.min()), int(reached.max())


def cast_fits(to: Fixed, source: Fixed, r: Range) -> bool:
    """Whether casting the whole range ``r`` of ``source`` to ``to`` never overflows."""
    drop = source.frac - to.frac
    if drop <= 0:
        return to.lowest <= r[0] << -drop and r[1] << -drop <= to.max_raw
    up = 0 if to.rounding is Rounding.TRN else (1 << drop) - 1
    lo, hi = r[0] >> drop, (r[1] + up) >> drop  # outer ends, whatever the other rounding mode
    return to.lowest <= lo and hi <= to.max_raw


def _infer_sum(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    return _grow(hull(*(a.type for a in args))), _broadcast(args)


def _infer_sub(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    t = hull(*(a.type for a in args))
    return Fixed(t.width + 1, t.integer + 1, True), _broadcast(args)


def _eval_add(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args, raws, op.type)
    return a + b


def _eval_sub(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args, raws, op.type)
    return a - b


def _bound_add(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    a, b = aligned_ranges(args, ranges, op.type)
    return a[0] + b[0], a[1] + b[1]


def _bound_sub(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    a, b = aligned_ranges(args, ranges, op.type)
    return a[0] - b[1], a[1] - b[0]


def _infer_neg(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    t = args[0].type
    return Fixed(t.width + 1, t.integer + 1, True), args[0].shape


def _infer_mul(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    a, b = args[0].type, args[1].type
    return Fixed(a.width + b.width, a.integer + b.integer, a.signed or b.signed), _broadcast(args)


def _eval_mul(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return _spread(raws[0], op) * _spread(raws[1], op)


def _bound_mul(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    (a, b), (c, d) = ranges
    if op.args[0] == op.args[1]:  # a square is never negative
        top = max(a * a, b * b)
        return (0 if a <= 0 <= b else min(a * a, b * b)), top
    corners = (a * c, a * d, b * c, b * d)
    return min(corners), max(corners)


def _infer_abs(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    t = args[0].type
    return Fixed(t.width, t.integer, False), args[0].shape


def _bound_abs(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    lo, hi = ranges[0]
    return (0 if lo <= 0 <= hi else min(abs(lo), abs(hi))), max(abs(lo), abs(hi))


def _infer_hull(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    return hull(*(a.type for a in args)), _broadcast(args)


def _eval_min(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args, raws, op.type)
    return np.minimum(a, b)


def _eval_max(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args, raws, op.type)
    return np.maximum(a, b)


def _bound_min(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    a, b = aligned_ranges(args, ranges, op.type)
    return min(a[0], b[0]), min(a[1], b[1])


def _bound_max(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    a, b = aligned_ranges(args, ranges, op.type)
    return max(a[0], b[0]), max(a[1], b[1])


def _infer_shift(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    t = args[0].type
    return Fixed(t.width, t.integer + op.integer("n"), t.signed), args[0].shape


# --- decisions -------------------------------------------------------------------------


def _infer_compare(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    if op.attrs["kind"] not in COMPARE:
        msg = f"compare kind must be one of {', '.join(COMPARE)}, not {op.attrs['kind']!r}"
        raise GraphError(msg)
    hull(args[0].type, args[1].type)  # both sides must fit a common type
    return Fixed(1, 1, False), _broadcast(args)


def _eval_compare(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args, raws, hull(args[0].type, args[1].type))
    return COMPARE[str(op.attrs["kind"])](a, b).astype(np.int64)


def _infer_select(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    if args[0].type != Fixed(1, 1, False):
        msg = f"select needs a ufixed<1,1> condition, not {args[0].type}"
        raise GraphError(msg)
    return hull(args[1].type, args[2].type), _broadcast(args)


def _eval_select(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    a, b = _aligned(op, args[1:], raws[1:], op.type)
    return np.where(_spread(raws[0], op) != 0, a, b)


def _bound_select(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    a, b = aligned_ranges(args[1:], ranges[1:], op.type)
    return min(a[0], b[0]), max(a[1], b[1])


# --- tables and activations -------------------------------------------------------------------


def _infer_lut(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    table, width = op.array("table"), args[0].type.width
    if width > MAX_TABLE_BITS:
        msg = f"a table of 2**{width} entries; limit 2**{MAX_TABLE_BITS}, cast to a narrower domain"
        raise GraphError(msg)
    if table.shape != (1 << width,):
        msg = f"a {args[0].type} address needs {1 << width} table entries, not {table.size}"
        raise GraphError(msg)
    if table.min() < op.type.min_raw or table.max() > op.type.max_raw:
        msg = f"table values lie outside {op.type}"
        raise GraphError(msg)
    return op.type, args[0].shape


def _eval_lut(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    # the address is the bit pattern: negative words sit in the upper half
    values: Raw = op.array("table")[raws[0] & np.int64((1 << args[0].type.width) - 1)]
    return values


def _bound_lut(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    lo, hi = ranges[0]
    words = np.arange(lo, hi + 1) & ((1 << args[0].type.width) - 1)
    reached = op.array("table")[words]
    return int(reached.min()), int(reached.max())


def _infer_pack(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    width = sum(a.type.width for a in args)
    return Fixed(width, width, False), _broadcast(args)


def _eval_pack(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    word: Raw = np.zeros(1, np.int64).reshape((1,) * (len(op.shape) + 1))
    for a, raw in zip(args, raws, strict=True):
        bits = _spread(raw, op) & np.int64((1 << a.type.width) - 1)
        word = (word << np.int64(a.type.width)) | bits
    return word


def _bound_pack(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    low = high = 0
    for a, (first, last) in zip(args, ranges, strict=True):
        if first < 0:  # its bit pattern may be any
            first, last = 0, (1 << a.type.width) - 1
        low, high = low << a.type.width | first, high << a.type.width | last
    return low, high


def _infer_relu(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    t = args[0].type
    if not t.signed:
        return t.plain(), args[0].shape
    return Fixed(max(t.width - 1, 1), t.integer - 1 + (t.width == 1), False), args[0].shape


def _infer_leaky(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    n, t = op.integer("n"), args[0].type
    if not 1 <= n <= MAX_WIDTH:
        msg = f"the slope 2**-n of a leaky_relu needs n of 1..{MAX_WIDTH}, not {n}"
        raise GraphError(msg)
    grow = n if t.signed else 0  # what is never negative is passed through
    return Fixed(t.width + grow, t.integer, t.signed), args[0].shape


def _eval_leaky(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    up = np.int64(op.type.frac - args[0].type.frac)
    return np.where(raws[0] < 0, raws[0], raws[0] << up)


def _bound_leaky(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    up = op.type.frac - args[0].type.frac
    low, high = (end if end < 0 else end << up for end in ranges[0])
    return low, high


OPS: Mapping[str, OpDef] = {
    "input": OpDef(0, ("name",), _infer_given, _eval_input, lambda o, a, r: ends(o.type)),
    "const": OpDef(
        0, ("value",), _infer_const, lambda o, a, r: o.array("value")[None], _bound_const
    ),
    "cast": OpDef(1, (), _infer_cast, lambda o, a, r: o.type.cast(r[0], a[0].type), _bound_cast),
    "add": OpDef(2, (), _infer_sum, _eval_add, _bound_add),
    "sub": OpDef(2, (), _infer_sub, _eval_sub, _bound_sub),
    "neg": OpDef(1, (), _infer_neg, lambda o, a, r: -r[0], lambda o, a, r: (-r[0][1], -r[0][0])),
    "mul": OpDef(2, (), _infer_mul, _eval_mul, _bound_mul),
    "abs": OpDef(1, (), _infer_abs, lambda o, a, r: np.abs(r[0]), _bound_abs),
    "min": OpDef(2, (), _infer_hull, _eval_min, _bound_min),
    "max": OpDef(2, (), _infer_hull, _eval_max, _bound_max),
    "shift": OpDef(1, ("n",), _infer_shift, lambda o, a, r: r[0], lambda o, a, r: r[0]),
    "compare": OpDef(2, ("kind",), _infer_compare, _eval_compare, lambda o, a, r: (0, 1)),
    "select": OpDef(3, (), _infer_select, _eval_select, _bound_select),
    "lut": OpDef(1, ("function", "table"), _infer_lut, _eval_lut, _bound_lut),
    "pack": OpDef(-1, (), _infer_pack, _eval_pack, _bound_pack),  # bits, the first one's highest
    "relu": OpDef(
        1,
        (),
        _infer_relu,
        lambda o, a, r: np.maximum(r[0], 0),
        lambda o, a, r: (max(r[0][0], 0), max(r[0][1], 0)),
    ),
    "leaky_relu": OpDef(1, ("n",), _infer_leaky, _eval_leaky, _bound_leaky),
    **TENSOR_OPS,
}
FREE_TYPE = frozenset({"input", "const", "cast", "lut"})
"""Ops whose type is a choice, not a consequence."""
