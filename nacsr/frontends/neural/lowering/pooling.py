"""Pooling over windows: what torch calls kernel, stride, padding and ceil_mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacsr.errors import GraphError
from nacsr.frontends.neural.lowering.arithmetic import divided, reduce_axes
from nacsr.frontends.neural.lowering.layout import ZERO, View, arrange, channels_last, framed
from nacsr.ir import Builder


def spread(value: Any, rank: int) -> tuple[int, ...]:
    """An integer, or one an axis, as one an axis.

    >>> spread(2, 2), spread((3,), 2), spread([1, 2], 2)
    ((2, 2), (3, 3), (1, 2))
    """
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return tuple(int(v) for v in (values * rank if len(values) == 1 else values))


def pooled(
    builder: Builder,
    view: View,
    kind: str,
    window: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
) -> View:
    """``max`` or ``sum`` over windows of the axes after the channels.

    Padding is zeros for a sum. For a maximum it repeats the edge, which is in the window
    already, so that it never decides.

    Raises:
        GraphError: for windows that leave the value (ceil_mode).
    """
    rank = view.places.ndim - 1
    if rank not in (1, 2):
        msg = f"its input is {list(view.shape)}; expected channels and one or two axes"
        raise GraphError(msg)
    sizes = spread(window, rank)
    steps = spread(window if stride is None else stride, rank)
    pads = spread(padding, rank)
    padded = _padded(view, pads, kind)
    _need_whole_windows(padded.shape[1:], sizes, steps, ceil_mode)
    if sizes == padded.shape[1:]:
        return reduce_axes(builder, padded, kind, tuple(range(1, rank + 1)), keep=True)
    axes = channels_last(rank + 1)
    value = arrange(builder, padded, axes)
    value = builder.op("pool", value, kind=kind, window=sizes, stride=steps)
    return framed(builder, value, axes)


def averaged(
    builder: Builder,
    view: View,
    window: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> View:
    """The mean over windows: a sum, then a division by the number of words.

    Raises:
        GraphError: for windows that leave the value or have different numbers of words.
    """
    if any(spread(padding, 1)) and not count_include_pad and divisor is None:
        msg = "with count_include_pad=False its divisor changes from place to place; turn it on"
        raise GraphError(msg)
    count = math.prod(spread(window, view.places.ndim - 1)) if divisor is None else divisor
    return divided(builder, pooled(builder, view, "sum", window, stride, padding, ceil_mode), count)


def adaptive(builder: Builder, view: View, kind: str, size: Any) -> View:
    """``max`` or ``mean`` over windows that give a wanted number of places.

    Raises:
        GraphError: if the places do not divide the value evenly.
    """
    axes = view.shape[1:]
    wants = size if isinstance(size, Sequence) else (size,) * len(axes)
    places = tuple(n if s is None else int(s) for n, s in zip(axes, wants, strict=True))
    if any(n % p for n, p in zip(axes, places, strict=True)):
        msg = f"{list(axes)} cannot be divided evenly into {list(places)} places"
        raise GraphError(msg)
    window = tuple(n // p for n, p in zip(axes, places, strict=True))
    if kind == "mean":
        return averaged(builder, view, window)
    return pooled(builder, view, kind, window)


def _padded(view: View, pads: tuple[int, ...], kind: str) -> View:
    if not any(pads):
        return view
    widths = [(0, 0), *((p, p) for p in pads)]
    if kind == "max":
        places = np.pad(view.places, widths, mode="edge")
    else:
        places = np.pad(view.places, widths, constant_values=ZERO)
    return View(view.value, places, view.pending)


def _need_whole_windows(
    shape: Sequence[int], sizes: Sequence[int], steps: Sequence[int], ceil_mode: bool
) -> None:
    if ceil_mode and any((n - k) % s for n, k, s in zip(shape, sizes, steps, strict=True)):
        msg = "ceil_mode adds windows that leave its input; turn it off or pad the input"
        raise GraphError(msg)
