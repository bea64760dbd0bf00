"""Wiring of wiring: takes, reshapes, stacks and concats that meet become one, or nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nacsr.ir.build import Builder
from nacsr.ir.graph import Op, Shape
from nacsr.ir.tensor import sources

Places = NDArray[np.int64]


def pick(b: Builder, arg: int, index: Places) -> int:
    """``arg.flat[index]``, by a reshape or nothing at all where that does it."""
    shape = b.ops[arg].shape
    if index.size == math.prod(shape) and np.array_equal(index.ravel(), np.arange(index.size)):
        return shaped(b, arg, index.shape)
    return b.op("take", arg, index=index)


def shaped(b: Builder, arg: int, shape: Shape) -> int:
    """``arg`` in another shape."""
    return arg if b.ops[arg].shape == shape else b.op("reshape", arg, to=list(shape))


def rewire(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
    """The wiring op ``op`` on new arguments with less wiring, None where there is none less."""
    below = [b.ops[a] for a in args]
    if op.name == "take":
        return _take(b, args[0], below[0], op.array("index"))
    if op.name == "reshape":
        return _reshape(b, args[0], below[0], op.shape)
    if all(o.name == "take" and o.args == below[0].args for o in below):
        return _joined(b, op, below)
    return args[0] if op.name == "concat" and len(args) == 1 else None


def _take(b: Builder, arg: int, inner: Op, index: Places) -> int | None:
    if inner.name == "reshape":
        return pick(b, inner.args[0], index)
    if inner.name == "take":
        places = inner.array("index").ravel()
        return pick(b, inner.args[0], np.where(index < 0, -1, places[index]))
    if inner.name in ("stack", "concat") and index.size and index.min() >= 0:
        return _of_join(b, inner, index)
    found = pick(b, arg, index)
    return None if b.ops[found].name == "take" else found


def _of_join(b: Builder, inner: Op, index: Places) -> int | None:
    """Elements of one argument of a stack or concat, read from there."""
    if inner.name == "stack":
        number, place = index, np.zeros_like(index)
    else:
        number, place = (p.ravel()[index] for p in sources(inner, [b.ops[a] for a in inner.args]))
    first = int(number.flat[0])
    return pick(b, inner.args[first], place) if (number == first).all() else None


def _reshape(b: Builder, arg: int, inner: Op, shape: Shape) -> int | None:
    if inner.shape == shape:
        return arg
    if inner.name == "reshape":
        return shaped(b, inner.args[0], shape)
    if inner.name == "take":
        return pick(b, inner.args[0], inner.array("index").reshape(shape))
    return None


def _joined(b: Builder, op: Op, takes: list[Op]) -> int:
    """Parts of one tensor that are put together again."""
    parts = [t.array("index") for t in takes]
    index = np.stack(parts) if op.name == "stack" else np.concatenate(parts, op.integer("axis"))
    return pick(b, takes[0].args[0], index)
