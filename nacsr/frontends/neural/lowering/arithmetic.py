"""What torch computes in floating point, in exact fixed point: sums, means, constants, tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Raw, Rounding, span
from nacsr.frontends.neural.lowering.layout import (
    Pending,
    Places,
    View,
    arrange,
    axes_of,
    each,
    framed,
    need_result,
    order,
    together,
)
from nacsr.ir import Builder
from nacsr.ir.ops import MAX_TABLE_BITS

CONSTANT_BITS = 24
"""A constant of forward() may have as many significant bits: those of a float32."""

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def reduce_axes(builder: Builder, view: View, kind: str, axes: tuple[int, ...], keep: bool) -> View:
    """Sum, maximum or minimum over some of torch's axes.

    One axis is reduced where it lies; several become one axis in front first, which is free
    where they lie in front already, as height and width do before the channels.
    """
    rank = view.places.ndim
    rest = tuple(a for a in range(rank) if a not in axes)
    now = axes_of(view)
    if len(axes) == 1 and now is not None:
        value = arrange(builder, view, now)
        value = builder.op("reduce", value, kind=kind, axis=now.index(axes[0]))
        left = [a for a in now if a not in axes]
    else:
        value = arrange(builder, view, (*axes, *rest))
        count = math.prod(view.shape[a] for a in axes)
        value = builder.op("reshape", value, to=(count, *(view.shape[a] for a in rest)))
        value = builder.op("reduce", value, kind=kind, axis=0)
        left = list(rest)
    result = framed(builder, value, tuple(rest.index(a) for a in left))
    if not keep:
        return result
    kept = tuple(1 if a in axes else view.shape[a] for a in range(rank))
    return View(result.value, result.places.reshape(kept))


def divided(builder: Builder, view: View, count: int) -> View:
    """A sum divided by a positive integer: a shift, or left to the quantiser that follows.

    Raises:
        GraphError: if something is left to that quantiser already.
    """
    need_result(view)
    if count & (count - 1) == 0:
        return each(builder, view, lambda v: shifted(builder, v, -(count.bit_length() - 1)))

    def finish(b: Builder, value: int, type: Fixed) -> int:
        return quotient(b, value, count, type)

    pending = Pending(f"a mean over {count} values, no power of two", finish, linear=True)
    return replace(view, pending=pending)


def shifted(builder: Builder, value: int, power: int) -> int:
    """The value times ``2**power``."""
    return builder.op("shift", value, n=power) if power else value


def quotient(builder: Builder, value: int, count: int, type: Fixed) -> int:
    """``value / count`` rounded to ``type`` exactly as the real quotient would be.

    Every rounding of ``type`` decides at multiples of half its step. With ``drop`` bits below
    its step in ``value``, a quotient that is no such multiple is at least
    ``1 / (2 * count * 2**drop)`` steps away from one. So the product with a reciprocal is
    rounded to ``guard`` bits below the step first: quotients on a multiple land on it again,
    and no other can cross one. Both errors are half of a guard step at most.

    Raises:
        GraphError: if that needs more than 63 bits.
    """
    low, high = builder.ranges[value]
    drop = max(builder.type(value).frac - type.frac, 0)
    up = max(type.frac - builder.type(value).frac, 0)
    guard = 1 + drop + (count - 1).bit_length()
    reach = max(-low, high, 1).bit_length() + up
    bits = guard - drop + reach
    factor = (2 * (1 << bits) + count) // (2 * count)
    product = builder.op("mul", value, builder.const(factor, span(0, factor, bits)))
    frac = type.frac + guard
    lost = builder.type(product).frac - frac
    low, high = builder.ranges[product]
    near = span((low >> lost) - 1, (high >> lost) + 1, frac).with_modes(Rounding.RND)
    return builder.cast(builder.cast(product, near), type)


def tabulated(what: str, view: View, function: Function) -> View:
    """A function of one word, left to the quantiser that follows: then it is a table."""

    def finish(builder: Builder, value: int, type: Fixed) -> int:
        address = builder.type(builder.narrow(value))
        if address.width > MAX_TABLE_BITS:
            msg = (
                f"{what} of {address.width}-bit words is a table of 2**{address.width} entries; "
                f"put a QuantIdentity of at most {MAX_TABLE_BITS} bits in front of it"
            )
            raise GraphError(msg)
        words = np.arange(1 << address.width)
        if address.signed:  # the upper half of the addresses are the negative words
            words = np.where(words > address.max_raw, words - (1 << address.width), words)
        table = type.quantize(function(address.to_float(words)))
        narrow = builder.narrow(value)
        return builder.op("lut", narrow, type=type.plain(), function=what, table=table)

    return View(view.value, view.places, Pending(what, finish))


def constant(values: Any) -> tuple[Raw, Fixed]:
    """Raw integers and the narrowest type of a constant that stands in forward().

    Raises:
        GraphError: if it has too many significant bits to be meant exactly.
    """
    exact = np.asarray(values, dtype=np.float64)
    if not np.isfinite(exact).all():
        msg = "a constant is infinite or NaN"
        raise GraphError(msg)
    mantissas, exponents = np.frexp(exact[exact != 0].ravel())
    frac = 0
    if mantissas.size:
        odd = np.ldexp(mantissas, 53).astype(np.int64)
        zeros = np.log2((odd & -odd).astype(np.float64)).astype(np.int64)
        frac = int((53 - exponents - zeros).max())
        if int(exponents.max()) + frac > CONSTANT_BITS:
            worst = float(exact[exact != 0].ravel()[np.argmax(53 - exponents - zeros)])
            msg = (
                f"the constant {worst:.6g} has no short binary form; choose one "
                f"of at most {CONSTANT_BITS} bits, such as 0.375"
            )
            raise GraphError(msg)
    raw = np.ldexp(exact, frac).astype(np.int64)
    return raw, span(min(int(raw.min()), 0), max(int(raw.max()), 0), frac)


def binary(builder: Builder, name: str, a: Any, b: Any, **attrs: Any) -> View:
    """An elementwise op of two values, one of which may be a constant.

    Raises:
        GraphError: if shapes do not match.
    """
    try:
        if isinstance(a, View) and isinstance(b, View):
            if a.places.ndim != b.places.ndim:
                msg = f"shapes {list(a.shape)} and {list(b.shape)} differ in the number of axes"
                raise GraphError(msg)
            left, right, places = together(builder, a, b)
            return View(builder.op(name, left, right, **attrs), places)
        if isinstance(a, View):
            base, index = _with_constant(builder, a, b)
            return View(builder.op(name, base.value, index, **attrs), base.places)
        base, index = _with_constant(builder, b, a)
        return View(builder.op(name, index, base.value, **attrs), base.places)
    except ValueError:
        shapes = [list(v.shape) if isinstance(v, View) else list(np.shape(v)) for v in (a, b)]
        msg = f"shapes {shapes[0]} and {shapes[1]} do not match"
        raise GraphError(msg) from None


def literal(builder: Builder, values: Any) -> View:
    """A constant as a value of its own."""
    raw, type_ = constant(_numbers(values))
    return framed(builder, builder.const(raw, type_), tuple(range(raw.ndim)))


def _with_constant(builder: Builder, view: View, values: Any) -> tuple[View, int]:
    """A covered view and the IR value of a constant in its order."""
    raw, type_ = constant(_numbers(values))
    if raw.size == 1:
        return each(builder, view, lambda v: v), builder.const(raw.reshape(()), type_)
    if raw.ndim == view.places.ndim + 1 and len(raw) == 1:
        raw = raw[0]  # the axis of the batch
    shape = np.broadcast_shapes(raw.shape, view.shape)
    spread = replace(view, places=np.broadcast_to(view.places, shape))
    base = each(builder, spread, lambda v: v)
    index: Places = order(builder, base)
    return base, builder.const(np.broadcast_to(raw, shape).ravel()[index], type_)


def _numbers(values: Any) -> NDArray[np.float64]:
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        msg = f"cannot read {type(values).__name__} as a constant; use a number or a tensor"
        raise GraphError(msg) from None
