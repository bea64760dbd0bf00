"""Where torch's elements lie in the IR: channels first there, channels last here.

Torch values are read without their batch axis. A ``View`` says for every element of a torch
value which word of an IR value it is. Functions that only move elements (flatten, slices,
permutations) change that map and add nothing to the graph; an op is added when a layer needs
its words in another order than they have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.ir import Builder
from nacsr.ir.graph import Shape

Places = NDArray[np.int64]
ZERO = -1
"""The place of an element that is zero: padding."""


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A function that has no exact result in fixed point: the quantiser after it rounds.

    Attributes:
        what: what it is, for messages.
        finish: (builder, IR value, type of the quantiser) -> IR value after the quantiser.
        linear: whether it is a division, which a ReLU may come before as well as after.
    """

    what: str
    finish: Callable[[Builder, int, Fixed], int]
    linear: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A torch value: element ``i`` is word ``places[i]`` of the flattened IR value ``value``.

    Attributes:
        value: index of the IR value.
        places: of torch's shape without the batch axis; ``ZERO`` for padding.
        pending: what remains to be done to every word.
    """

    value: int
    places: Places
    pending: Pending | None = None

    @property
    def shape(self) -> Shape:
        """Torch's shape, without the batch axis."""
        return self.places.shape


def frame(shape: Shape, axes: tuple[int, ...]) -> Places:
    """Places of a value whose IR axis ``k`` is torch's axis ``axes[k]``; ``shape`` is torch's.

    >>> frame((2, 3), (1, 0)).tolist()
    [[0, 2, 4], [1, 3, 5]]
    """
    there = np.arange(math.prod(shape)).reshape([shape[a] for a in axes])
    return there.transpose(np.argsort(axes)) if axes else there


def channels_last(rank: int) -> tuple[int, ...]:
    """Axes of the IR's order for a torch value whose channels come first."""
    return (*range(1, rank), 0)[:rank] if rank > 1 else tuple(range(rank))


def axes_of(view: View) -> tuple[int, ...] | None:
    """The order of torch's axes in the IR value, or None if it is no mere transposition."""
    rank = view.places.ndim
    orders = [tuple(range(rank)), channels_last(rank)]
    if rank <= 4:
        orders += itertools.permutations(range(rank))
    return next((o for o in orders if np.array_equal(view.places, frame(view.shape, o))), None)


def covers(builder: Builder, view: View) -> bool:
    """Whether every word of the IR value is one element of the view."""
    count = math.prod(builder.ops[view.value].shape)
    flat = view.places.ravel()
    return flat.size == count and np.array_equal(np.sort(flat), np.arange(count))


def wanted(view: View, axes: tuple[int, ...]) -> Places:
    """Torch's flat indices in the order of an IR value with these axes."""
    return np.arange(view.places.size).reshape(view.shape).transpose(axes)


def order(builder: Builder, view: View) -> Places:
    """Torch's flat index of every word of a covered IR value, in the IR's shape."""
    return np.argsort(view.places.ravel()).reshape(builder.ops[view.value].shape)


def settle(builder: Builder, view: View, index: Places) -> int:
    """The IR value that holds the elements ``index`` (torch's flat indices), in that shape.

    Raises:
        GraphError: if something that only a quantiser can finish is pending.
    """
    need_result(view)
    places = view.places.ravel()[index]
    shape = builder.ops[view.value].shape
    straight = np.array_equal(places.ravel(), np.arange(math.prod(shape)))
    if straight and places.shape == shape:
        return view.value
    if places.shape == () and places >= 0:
        return builder.element(view.value, int(places))
    if straight:
        return builder.op("reshape", view.value, to=places.shape)
    return builder.op("take", view.value, index=places)


def flat(builder: Builder, view: View) -> int:
    """A covered IR value as a vector, its words in the order they have."""
    return settle(builder, view, order(builder, view).ravel())


def arrange(builder: Builder, view: View, axes: tuple[int, ...]) -> int:
    """The view as an IR value whose axis ``k`` is torch's axis ``axes[k]``."""
    return settle(builder, view, wanted(view, axes))


def framed(builder: Builder, value: int, axes: tuple[int, ...]) -> View:
    """The view of an IR value whose axis ``k`` is torch's axis ``axes[k]``."""
    there = builder.ops[value].shape
    shape = tuple(there[axes.index(a)] for a in range(len(axes)))
    return View(value, frame(shape, axes))


def whole(builder: Builder, view: View) -> View:
    """The view itself if it covers its IR value, else that of an IR value of just its words."""
    if covers(builder, view):
        return view
    straight = tuple(range(view.places.ndim))
    return framed(builder, arrange(builder, view, straight), straight)


def each(builder: Builder, view: View, function: Callable[[int], int]) -> View:
    """The view with a function of IR values applied to every word."""
    need_result(view)
    base = whole(builder, view)
    return View(function(base.value), base.places)


def quantise(builder: Builder, view: View, type: Fixed | None) -> View:
    """The view after a quantiser, which finishes what is pending; None is no quantiser."""
    if type is None:
        return view
    pending = view.pending
    if pending is None:
        return each(builder, view, lambda v: builder.cast(v, type))
    finish = pending.finish
    return each(builder, replace(view, pending=None), lambda v: finish(builder, v, type))


def need_result(view: View) -> None:
    """Refuse a view whose value is not computed before the quantiser that follows it.

    Raises:
        GraphError: naming what is pending.
    """
    if view.pending is not None:
        msg = f"its input is {view.pending.what}: put a QuantIdentity between, to round it"
        raise GraphError(msg)


def together(builder: Builder, a: View, b: View) -> tuple[int, int, Places]:
    """Two views as IR values that elementwise ops take, by torch's rules of broadcasting.

    Returns:
        The two values and the places of the result.

    Raises:
        ValueError: if the shapes do not match.
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    full = [View(v.value, np.broadcast_to(v.places, shape)) for v in (a, b)]
    lead = next((v for v in (a, b) if v.shape == shape and covers(builder, v)), None)
    lead = whole(builder, full[0]) if lead is None else lead
    index = order(builder, lead)
    values = []
    for view, spread in zip((a, b), full, strict=True):
        if view.places.size == 1 and shape != ():  # a scalar meets any shape
            values.append(settle(builder, view, np.zeros((), np.int64)))
        else:
            values.append(settle(builder, spread, index))
    return values[0], values[1], lead.places
