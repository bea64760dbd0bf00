"""Functions and methods that may stand in a forward(): one row a name.

A rule takes the builder and the call's own arguments, tensors as ``View``. Functions that
only move elements are in ``MOVES``: they are run on element numbers, so that torch itself
says where everything goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nacsr.errors import GraphError
from nacsr.frontends.neural.lowering.arithmetic import (
    Function,
    binary,
    divided,
    literal,
    reduce_axes,
    shifted,
    tabulated,
)
from nacsr.frontends.neural.lowering.layout import (
    View,
    arrange,
    axes_of,
    covers,
    each,
    flat,
    framed,
    whole,
)
from nacsr.frontends.neural.lowering.pooling import adaptive, averaged, pooled
from nacsr.ir import Builder

Rule = Callable[..., Any]

MOVES = frozenset(
    "broadcast_to chunk clone contiguous detach dropout dropout1d dropout2d expand flatten flip "
    "getitem index_select moveaxis movedim narrow pad permute repeat repeat_interleave reshape "
    "roll select split squeeze swapaxes swapdims tensor_split tile transpose unbind unflatten "
    "unsqueeze view".split()
)
"""Functions and methods that only move elements or repeat them, or put zeros around them."""


def relu(b: Builder, x: View, inplace: bool = False) -> View:
    pending = x.pending
    if pending is None or not pending.linear:
        return each(b, x, lambda v: b.op("relu", v))
    return replace(relu(b, replace(x, pending=None)), pending=pending)


def leaky_relu(b: Builder, x: View, negative_slope: float = 0.01, inplace: bool = False) -> View:
    mantissa, exponent = math.frexp(negative_slope)
    if negative_slope in (0, 1):
        return relu(b, x) if negative_slope == 0 else x
    if mantissa != 0.5 or exponent > 0:
        msg = f"slope {negative_slope:g} is no power of two below 1; choose one such as 0.125"
        raise GraphError(msg)
    return each(b, x, lambda v: b.op("leaky_relu", v, n=1 - exponent))


def clamp(b: Builder, x: View, min: float | None = None, max: float | None = None) -> View:
    found = x if min is None else binary(b, "max", x, min)
    return found if max is None else binary(b, "min", found, max)


def hardtanh(
    b: Builder, x: View, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> View:
    return clamp(b, x, min_val, max_val)


def add(b: Builder, x: Any, other: Any, alpha: int = 1) -> View:
    return binary(b, "add", x, other if alpha == 1 else multiply(b, other, alpha))


def subtract(b: Builder, x: Any, other: Any, alpha: int = 1) -> View:
    return binary(b, "sub", x, other if alpha == 1 else multiply(b, other, alpha))


def multiply(b: Builder, x: Any, other: Any) -> View:
    value, factor = (x, other) if isinstance(x, View) else (other, x)
    if isinstance(factor, int | float) and (power := _power_of_two(factor)) is not None:
        return each(b, value, lambda v: shifted(b, v, power))
    return binary(b, "mul", x, other)


def divide(b: Builder, x: Any, other: Any, rounding_mode: str | None = None) -> View:
    if isinstance(x, View) and isinstance(other, int | float) and rounding_mode is None:
        power = _power_of_two(other)
        if power is not None:
            return each(b, x, lambda v: shifted(b, v, -power))
        if float(other).is_integer() and other > 0:
            return divided(b, x, int(other))
    msg = "only divisions by a positive integer or a power of two are exact; multiply instead"
    raise GraphError(msg)


def power(b: Builder, x: View, exponent: float) -> View:
    if exponent not in (1, 2, 3, 4):
        msg = f"a power of {exponent} is not exact; the powers 1 to 4 are"
        raise GraphError(msg)
    found = x
    for _ in range(int(exponent) - 1):
        found = binary(b, "mul", found, x)
    return found


def where(b: Builder, condition: View, x: Any, other: Any) -> View:
    if not isinstance(condition, View):
        msg = "the condition of where() must be computed, as in x > 0"
        raise GraphError(msg)
    shape = np.broadcast_shapes(*(np.shape(getattr(v, "places", v)) for v in (condition, x, other)))
    axes = tuple(range(len(shape)))
    values = []
    for side in (condition, x, other):
        view = side if isinstance(side, View) else literal(b, side)
        places = np.broadcast_to(view.places, shape)
        values.append(arrange(b, replace(view, places=places), axes))
    return framed(b, b.op("select", *values), axes)


def masked_fill(b: Builder, x: View, mask: View, value: float) -> View:
    return where(b, mask, value, x)


def _power_of_two(value: float) -> int | None:
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else None


def _axes(x: View, dim: Any) -> tuple[int, ...]:
    """Torch's dimensions, the batch among them, as axes of a view."""
    rank = x.places.ndim + 1
    dims = dim if isinstance(dim, Sequence) else (dim,)
    if dim is None or any(d % rank == 0 for d in dims):
        msg = f"dim={dim} mixes events; name the axes after the batch's, such as dim=1"
        raise GraphError(msg)
    return tuple(sorted(d % rank - 1 for d in dims))


def _reduction(kind: str) -> Rule:
    def rule(b: Builder, x: View, dim: Any = None, keepdim: bool = False) -> View:
        return reduce_axes(b, x, kind, _axes(x, dim), keepdim)

    return rule


def mean(b: Builder, x: View, dim: Any = None, keepdim: bool = False) -> View:
    axes = _axes(x, dim)
    total = reduce_axes(b, x, "sum", axes, keepdim)
    return divided(b, total, math.prod(x.shape[a] for a in axes))


def _extreme(kind: str) -> Rule:
    """``max`` and ``min``: of two values, or over an axis as a pair of values and places."""

    def rule(b: Builder, x: View, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if isinstance(dim, View) or hasattr(dim, "detach") or other is not None:
            return binary(b, kind, x, dim if other is None else other)
        return reduce_axes(b, x, kind, _axes(x, dim), keepdim), None

    return rule


def argmax(b: Builder, x: View, dim: Any = None, keepdim: bool = False) -> View:
    if x.places.ndim != 1 or _axes(x, dim) != (0,) or keepdim:
        msg = f"argmax works on a vector and its last axis, not on {list(x.shape)}, dim={dim}"
        raise GraphError(msg)
    return framed(b, b.op("argmax", arrange(b, x, (0,))), ())


def concat(b: Builder, tensors: Sequence[View], dim: int = 0, axis: int | None = None) -> View:
    """Vectors are laid end to end as they lie; others in the order of the first one."""
    if not all(isinstance(t, View) for t in tensors):
        msg = "only values that are computed can be joined; add constants as an input"
        raise GraphError(msg)
    (along,) = _axes(tensors[0], dim if axis is None else axis)
    if tensors[0].places.ndim == 1:
        parts = [whole(b, t) for t in tensors]
        flats = [flat(b, p) for p in parts]
        starts = np.cumsum([0, *(p.places.size for p in parts)])
        joined = b.op("concat", *flats, axis=0)
        moved = [p.places + s for p, s in zip(parts, starts, strict=False)]
        return View(joined, np.concatenate(moved))
    axes = axes_of(tensors[0]) if covers(b, tensors[0]) else None
    axes = tuple(range(tensors[0].places.ndim)) if axes is None else axes
    values = [arrange(b, t, axes) for t in tensors]
    return framed(b, b.op("concat", *values, axis=axes.index(along)), axes)


def stack(b: Builder, tensors: Sequence[View], dim: int = 0) -> View:
    rank = tensors[0].places.ndim + 2
    along = dim % rank - 1  # concat refuses the batch's axis
    return concat(b, [replace(t, places=np.expand_dims(t.places, along)) for t in tensors], dim)


def max_pool(
    b: Builder,
    x: View,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> View:
    if return_indices or dilation not in (1, (1,), (1, 1)):
        msg = "return_indices and dilation cannot be lowered; leave them out"
        raise GraphError(msg)
    return pooled(b, x, "max", kernel_size, stride, padding, ceil_mode)


def avg_pool(
    b: Builder,
    x: View,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> View:
    return averaged(
        b, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _compare(kind: str) -> Rule:
    return lambda b, x, other: binary(b, "compare", x, other, kind=kind)


def pointwise(what: str, function: Callable[..., Any]) -> Rule:
    """A function of one word that becomes a table."""

    def rule(b: Builder, x: View, *args: Any, **kwargs: Any) -> View:
        base = each(b, x, lambda v: v)
        return tabulated(what, base, on_arrays(lambda t: function(t, *args, **kwargs)))

    return rule


def on_arrays(function: Callable[..., Any]) -> Function:
    """A torch function as one of float64 arrays."""

    def run(values: Any) -> Any:
        import torch

        with torch.no_grad():
            return function(torch.from_numpy(values)).numpy()

    return run


def _named(name: str) -> Rule:
    def rule(b: Builder, x: View, *args: Any, **kwargs: Any) -> View:
        import torch
        from torch.nn import functional

        function = getattr(torch, name, None) or getattr(functional, name)
        found: View = pointwise(name, function)(b, x, *args, **kwargs)
        return found

    return rule


TABLES = ("cos", "exp", "gelu", "log1p", "selu", "sigmoid", "silu", "sin", "softplus", "tanh")
"""Functions of one word that a quantiser follows: tables of torch's own values."""

FUNCTIONS: Mapping[str, Rule] = {
    "abs": lambda b, x: each(b, x, lambda v: b.op("abs", v)),
    "adaptive_avg_pool1d": lambda b, x, output_size: adaptive(b, x, "mean", output_size),
    "adaptive_avg_pool2d": lambda b, x, output_size: adaptive(b, x, "mean", output_size),
    "adaptive_max_pool1d": lambda b, x, output_size, *_, **__: adaptive(b, x, "max", output_size),
    "adaptive_max_pool2d": lambda b, x, output_size, *_, **__: adaptive(b, x, "max", output_size),
    "add": add,
    "amax": _reduction("max"),
    "amin": _reduction("min"),
    "argmax": argmax,
    "avg_pool1d": avg_pool,
    "avg_pool2d": avg_pool,
    "cat": concat,
    "clamp": clamp,
    "clip": clamp,
    "concat": concat,
    "div": divide,
    **{k: _compare(k) for k in ("eq", "ge", "gt", "le", "lt", "ne")},
    "hardtanh": hardtanh,
    "iadd": add,
    "imul": multiply,
    "isub": subtract,
    "itruediv": divide,
    "leaky_relu": leaky_relu,
    "masked_fill": masked_fill,
    "max": _extreme("max"),
    "max_pool1d": max_pool,
    "max_pool2d": max_pool,
    "maximum": _extreme("max"),
    "mean": mean,
    "min": _extreme("min"),
    "minimum": _extreme("min"),
    "mul": multiply,
    "neg": lambda b, x: each(b, x, lambda v: b.op("neg", v)),
    "pow": power,
    "relu": relu,
    "relu6": lambda b, x, inplace=False: clamp(b, x, 0.0, 6.0),
    "square": lambda b, x: binary(b, "mul", x, x),
    "stack": stack,
    "sub": subtract,
    "sum": _reduction("sum"),
    "truediv": divide,
    "where": where,
    **{name: _named(name) for name in TABLES},
}
"""Rules by the name of a torch function, an operator or a tensor's method."""

REMEDIES: Mapping[str, str] = {
    "softmax": "leave it out: the largest logit has the largest probability",
    "log_softmax": "leave it out: the largest logit has the largest probability",
    "sigmoid_": "use sigmoid()",
    "batch_norm": "use nn.BatchNorm and fold_batchnorm()",
    "linear": "its weights are not quantised; use QuantLinear",
    "conv1d": "its weights are not quantised; use QuantConv1d",
    "conv2d": "its weights are not quantised; use QuantConv2d",
    "matmul": "products of two tensors' rows have no op; use QuantLinear",
    "float": "leave it out: types come from quantisers",
    "double": "leave it out: types come from quantisers",
    "to": "leave it out: types come from quantisers",
}
