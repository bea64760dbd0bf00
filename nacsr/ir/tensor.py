"""The rows of ops on tensors: layers, pooling, reductions and wiring. Channels come last.

An event's value has no batch axis: a vector is (features,), a set (particles, channels), an
image (height, width, channels). Accumulators are exact, whatever the order of addition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import MAX_WIDTH, Fixed, Raw, hull, span
from nacsr.ir.graph import Op, Shape
from nacsr.ir.rows import OpDef, Range, align, aligned_ranges, ends

WIRING = frozenset({"reshape", "take", "concat", "stack"})
"""Ops that only say where a word goes: they cost nothing."""

POOLS = ("max", "sum")
REDUCTIONS = ("sum", "max", "min")

Places = NDArray[np.int64]


# --- dense and convolution -------------------------------------------------------------


def _check_parameters(op: Op) -> None:
    for name in ("weight", "bias"):
        t, array = op.fixed(f"{name}_type"), op.array(name)
        if array.size and not (t.min_raw <= array.min() and array.max() <= t.max_raw):
            msg = f"a {name} lies outside {t}"
            raise GraphError(msg)


def _accumulator(op: Op, x: Op, r: Range) -> tuple[int, int, int]:
    """Exact range of the sums over all inputs in ``r``, and their fractional bits."""
    product = x.type.frac + op.fixed("weight_type").frac
    frac = max(product, op.fixed("bias_type").frac)
    weight = _matrix(op).astype(object)  # Python integers: their sums cannot wrap
    positive = np.maximum(weight, 0).sum(0).tolist()
    negative = np.minimum(weight, 0).sum(0).tolist()
    lows, highs = [], []
    for p, n, b in zip(positive, negative, op.array("bias").tolist(), strict=True):
        offset = b << (frac - op.fixed("bias_type").frac)
        lows.append(((p * r[0] + n * r[1]) << (frac - product)) + offset)
        highs.append(((p * r[1] + n * r[0]) << (frac - product)) + offset)
    lo, hi = min(lows, default=0), max(highs, default=0)
    # partial sums must fit int64 in any order of addition
    reach = max(abs(r[0]), abs(r[1])) * max(abs(weight).sum(0).tolist(), default=0)
    if reach << (frac - product) >= 1 << MAX_WIDTH:
        msg = f"the accumulator needs more than {MAX_WIDTH} bits; use narrower weights or inputs"
        raise GraphError(msg)
    return lo, hi, frac


def _matrix(op: Op) -> NDArray[np.int64]:
    """Weights as (inputs of one window, outputs)."""
    weight = op.array("weight")
    return weight.reshape(-1, weight.shape[-1])


def _number(op: Op, x: Op) -> type[np.generic]:
    """The fastest number in which every partial sum is exact: BLAS may add in any order."""
    reach = float(max(abs(x.type.min_raw), x.type.max_raw))
    reach *= float(np.abs(_matrix(op)).astype(np.float64).sum(0).max(initial=0))
    if reach < 2.0**24:
        return np.float32
    return np.float64 if reach < 2.0**53 else np.int64


def _apply(op: Op, x: Op, rows: NDArray[Any]) -> Raw:
    """Rows of shape (n, inputs) in the op's working number times the weights, plus the bias."""
    product = x.type.frac + op.fixed("weight_type").frac
    total: Raw = (rows @ _matrix(op).astype(rows.dtype)).astype(np.int64, copy=False)
    if op.type.frac != product:
        total <<= np.int64(op.type.frac - product)
    total += op.array("bias") << np.int64(op.type.frac - op.fixed("bias_type").frac)
    return total


def _infer_dense(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    weight, bias, x = op.array("weight"), op.array("bias"), args[0]
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[:1] or bias.shape != weight.shape[1:]:
        msg = (
            f"input {list(x.shape)}, weight {list(weight.shape)} and bias {list(bias.shape)} "
            "do not match; weight is (inputs, outputs) and acts on the last axis"
        )
        raise GraphError(msg)
    _check_parameters(op)
    lo, hi, frac = _accumulator(op, x, ends(x.type))
    return span(min(lo, 0), max(hi, 0), frac), (*x.shape[:-1], weight.shape[1])


def _eval_dense(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    x = raws[0].astype(_number(op, args[0]), copy=False)
    return _apply(op, args[0], x.reshape(-1, x.shape[-1])).reshape(len(x), *op.shape)


def _bound_dense(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    lo, hi, _ = _accumulator(op, args[0], ranges[0])
    return lo, hi


def _infer_conv(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    weight, bias, x = op.array("weight"), op.array("bias"), args[0]
    rank = weight.ndim - 2
    stride, padding = op.array("stride"), op.array("padding")
    if rank not in (1, 2) or len(x.shape) != rank + 1 or x.shape[-1] != weight.shape[-2]:
        msg = (
            f"input {list(x.shape)} and weight {list(weight.shape)} do not match; weight is "
            "(length, inputs, outputs) on (length, channels), or (height, width, inputs, "
            "outputs) on (height, width, channels)"
        )
        raise GraphError(msg)
    if bias.shape != weight.shape[-1:]:
        msg = f"bias {list(bias.shape)} and weight {list(weight.shape)} do not match"
        raise GraphError(msg)
    if padding.shape != (rank, 2) or (padding < 0).any():
        msg = f"padding must be zeros before and after each of {rank} axes, not {padding.tolist()}"
        raise GraphError(msg)
    _check_parameters(op)
    padded = [n + int(p.sum()) for n, p in zip(x.shape, padding, strict=False)]
    places = _windows(padded, weight.shape[:rank], stride)
    lo, hi, frac = _accumulator(op, x, _with_zero(ends(x.type)))
    return span(min(lo, 0), max(hi, 0), frac), (*places, weight.shape[-1])


def _windows(sizes: Sequence[int], window: Sequence[int], stride: Places) -> Shape:
    """Number of places of a window along each axis.

    Raises:
        GraphError: for a window that does not fit or a stride that does not move.
    """
    if stride.shape != (len(window),) or (stride < 1).any():
        msg = f"stride must be {len(window)} steps of 1 or more, not {stride.tolist()}"
        raise GraphError(msg)
    if any(not 1 <= w <= n for n, w in zip(sizes, window, strict=True)):
        msg = f"a window of {list(window)} does not fit into {list(sizes)}"
        raise GraphError(msg)
    steps = zip(sizes, window, stride.tolist(), strict=True)
    return tuple((n - w) // s + 1 for n, w, s in steps)


def windows(x: NDArray[Any], window: Sequence[int], stride: Places) -> NDArray[Any]:
    """Views of all windows: (events, *places, *window, channels)."""
    rank = len(window)
    axes = tuple(range(1, rank + 1))
    view = np.lib.stride_tricks.sliding_window_view(x, tuple(window), axis=axes)
    steps = tuple(slice(None, None, int(s)) for s in stride)
    return np.moveaxis(view[(slice(None), *steps)], rank + 1, -1)


def _eval_conv(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    window = op.array("weight").shape[:-2]
    pad = [(0, 0), *op.array("padding").tolist(), (0, 0)]
    x: NDArray[Any] = raws[0].astype(_number(op, args[0]), copy=False)
    if op.array("padding").any():
        x = np.pad(x, pad)
    seen = windows(x, window, op.array("stride"))
    rows = seen.reshape(-1, math.prod(window) * x.shape[-1])
    return _apply(op, args[0], rows).reshape(len(x), *op.shape)


def _bound_conv(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    padded = bool(op.array("padding").any())
    lo, hi, _ = _accumulator(op, args[0], _with_zero(ranges[0]) if padded else ranges[0])
    return lo, hi


def _with_zero(r: Range) -> Range:
    return min(r[0], 0), max(r[1], 0)


# --- pooling and reductions ------------------------------------------------------------


def _infer_pool(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    x, window = args[0], op.array("window")
    if op.attrs["kind"] not in POOLS:
        msg = f"pool kind must be one of {', '.join(POOLS)}, not {op.attrs['kind']!r}"
        raise GraphError(msg)
    if window.ndim != 1 or window.size not in (1, 2) or len(x.shape) != window.size + 1:
        msg = f"a window of {window.tolist()} does not fit {list(x.shape)}: channels come last"
        raise GraphError(msg)
    places = _windows(x.shape[:-1], window.tolist(), op.array("stride"))
    return _joined(str(op.attrs["kind"]), x.type, math.prod(window.tolist())), (
        *places,
        x.shape[-1],
    )


def _joined(kind: str, t: Fixed, count: int) -> Fixed:
    """The type of ``count`` values added, or of one of them."""
    return span(t.min_raw * count, t.max_raw * count, t.frac) if kind == "sum" else t.plain()


def _eval_pool(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    """The places of each corner of the window, folded one after the other."""
    window, stride = op.array("window").tolist(), op.array("stride").tolist()
    fold = _FOLDS[str(op.attrs["kind"])]
    result: Raw | None = None
    for corner in np.ndindex(*window):
        steps = zip(corner, stride, op.shape, strict=False)
        seen = raws[0][(slice(None), *(slice(c, c + s * (n - 1) + 1, s) for c, s, n in steps))]
        result = seen.copy() if result is None else fold(result, seen, out=result)
    if result is None:
        msg = "a window has no element"
        raise GraphError(msg)
    return result


_FOLDS: Mapping[str, np.ufunc] = {"sum": np.add, "max": np.maximum, "min": np.minimum}


def _bound_pool(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    count = math.prod(op.array("window").tolist()) if op.attrs["kind"] == "sum" else 1
    return ranges[0][0] * count, ranges[0][1] * count


def _infer_reduce(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    axis, x = op.integer("axis"), args[0]
    if op.attrs["kind"] not in REDUCTIONS:
        msg = f"reduce kind must be one of {', '.join(REDUCTIONS)}, not {op.attrs['kind']!r}"
        raise GraphError(msg)
    if not 0 <= axis < len(x.shape) or not x.shape[axis]:
        msg = f"shape {list(x.shape)} has no axis {axis} with elements to reduce"
        raise GraphError(msg)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return _joined(str(op.attrs["kind"]), x.type, x.shape[axis]), shape


def _eval_reduce(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    result: Raw = _FOLDS[str(op.attrs["kind"])].reduce(raws[0], axis=op.integer("axis") + 1)
    return result


def _bound_reduce(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    count = args[0].shape[op.integer("axis")] if op.attrs["kind"] == "sum" else 1
    return ranges[0][0] * count, ranges[0][1] * count


def _infer_argmax(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    if len(args[0].shape) != 1:
        msg = f"argmax needs a vector, not shape {list(args[0].shape)}"
        raise GraphError(msg)
    bits = max((args[0].shape[0] - 1).bit_length(), 1)
    return Fixed(bits, bits, False), ()


# --- wiring ----------------------------------------------------------------------------


def _infer_reshape(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    x, shape = args[0], tuple(op.array("to").ravel().tolist())
    if any(n < 0 for n in shape) or math.prod(shape) != math.prod(x.shape):
        msg = f"cannot reshape {list(x.shape)} to {list(shape)}: the number of elements differs"
        raise GraphError(msg)
    return x.type.plain(), shape


def _infer_take(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    index, count = op.array("index"), math.prod(args[0].shape)
    if index.size and (index.min() < -1 or index.max() >= count):
        msg = f"an index lies outside 0..{count - 1} (-1 means zero)"
        raise GraphError(msg)
    return args[0].type.plain(), index.shape


def _eval_take(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    index, flat = op.array("index"), raws[0].reshape(len(raws[0]), -1)
    if not index.size or index.min() >= 0:
        return flat[:, index]
    return np.where(index < 0, 0, flat[:, np.maximum(index, 0)])


def _bound_take(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    return _with_zero(ranges[0]) if (op.array("index") < 0).any() else ranges[0]


def _infer_concat(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    axis, first = op.integer("axis"), args[0].shape
    if not 0 <= axis < len(first):
        msg = f"shape {list(first)} has no axis {axis}"
        raise GraphError(msg)
    rest = [(*a.shape[:axis], *a.shape[axis + 1 :]) for a in args]
    if any(len(a.shape) != len(first) or r != rest[0] for a, r in zip(args, rest, strict=True)):
        msg = f"shapes {' and '.join(str(list(a.shape)) for a in args)} differ beside axis {axis}"
        raise GraphError(msg)
    size = sum(a.shape[axis] for a in args)
    shape = (*first[:axis], size, *first[axis + 1 :])
    return hull(*(a.type for a in args)), shape


def _infer_stack(op: Op, args: Sequence[Op]) -> tuple[Fixed, Shape]:
    if any(a.shape != () for a in args):
        msg = "stack joins scalars into a vector; an argument is a tensor"
        raise GraphError(msg)
    return hull(*(a.type for a in args)), (len(args),)


def _bound_joined(op: Op, args: Sequence[Op], ranges: Sequence[Range]) -> Range:
    aligned = aligned_ranges(args, ranges, op.type)
    return min(r[0] for r in aligned), max(r[1] for r in aligned)


def _eval_concat(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return np.concatenate(_same_events(op, args, raws), axis=op.integer("axis") + 1)


def _eval_stack(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> Raw:
    return np.stack(_same_events(op, args, raws), axis=1)


def _same_events(op: Op, args: Sequence[Op], raws: Sequence[Raw]) -> list[Raw]:
    """All on one grid and with as many events: a constant is one event long."""
    events = max(len(r) for r in raws)
    aligned = [align(r, a.type, op.type) for a, r in zip(args, raws, strict=True)]
    return [np.broadcast_to(r, (events, *r.shape[1:])) for r in aligned]


def sources(op: Op, args: Sequence[Op]) -> tuple[Places, Places]:
    """Where every element of a wiring op's result comes from.

    Returns:
        Number of the argument and flat index into it, both of the result's shape; the index
        is -1 for a zero.
    """
    if op.name == "reshape":
        return np.zeros(op.shape, np.int64), np.arange(math.prod(op.shape)).reshape(op.shape)
    if op.name == "take":
        return np.zeros(op.shape, np.int64), op.array("index")
    whole = [np.arange(math.prod(a.shape)).reshape(a.shape) for a in args]
    number = [np.full(a.shape, k) for k, a in enumerate(args)]
    if op.name == "stack":
        return np.stack(number), np.stack(whole)
    axis = op.integer("axis")
    return np.concatenate(number, axis), np.concatenate(whole, axis)


_LINEAR = ("bias", "bias_type", "weight", "weight_type")

TENSOR_OPS: Mapping[str, OpDef] = {
    "dense": OpDef(1, _LINEAR, _infer_dense, _eval_dense, _bound_dense),
    "conv": OpDef(
        1,
        ("bias", "bias_type", "padding", "stride", "weight", "weight_type"),
        _infer_conv,
        _eval_conv,
        _bound_conv,
    ),
    "pool": OpDef(1, ("kind", "stride", "window"), _infer_pool, _eval_pool, _bound_pool),
    "reduce": OpDef(1, ("axis", "kind"), _infer_reduce, _eval_reduce, _bound_reduce),
    "reshape": OpDef(
        1,
        ("to",),
        _infer_reshape,
        lambda o, a, r: r[0].reshape(len(r[0]), *o.shape),
        lambda o, a, r: r[0],
    ),
    "take": OpDef(1, ("index",), _infer_take, _eval_take, _bound_take),
    "concat": OpDef(-1, ("axis",), _infer_concat, _eval_concat, _bound_joined),
    "stack": OpDef(-1, (), _infer_stack, _eval_stack, _bound_joined),
    "argmax": OpDef(
        1, (), _infer_argmax, lambda o, a, r: np.argmax(r[0], 1), lambda o, a, r: ends(o.type)
    ),
}
