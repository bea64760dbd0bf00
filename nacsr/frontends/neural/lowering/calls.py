"""One call of a module's forward(): which rule lowers it, or why none does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nacsr.errors import GraphError
from nacsr.frontends.neural.lowering import functions, layers
from nacsr.frontends.neural.lowering.layout import ZERO, View, need_result
from nacsr.ir import Builder

if TYPE_CHECKING:
    from torch import nn

EVENTS = 31
"""Random events that are run along: a prime, so that no other size is taken for it."""
LEAVES = ("torch.nn", "brevitas.", "nacsr.")
STATIC = frozenset({"dim", "ndimension", "numel", "size"})
STATIC_ATTRIBUTES = frozenset({"device", "dtype", "ndim", "shape"})


def is_leaf(module: nn.Module) -> bool:
    """Whether forward() is that of torch, Brevitas or nacsr and no mere sequence."""
    from torch import nn

    owner = type(module).forward.__module__
    return owner.startswith(LEAVES) and not isinstance(module, nn.Sequential)


def rule_name(layer: Any, names: Any) -> str | None:
    """The first class among the layer's own that has a row."""
    known = (c.__name__ for c in type(layer).__mro__ if c.__module__.startswith(LEAVES))
    return next((name for name in known if name in names), None)


def lower_layer(call: layers.Call, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name = rule_name(call.layer, {*layers.LAYERS, *layers.REMEDIES, *layers.MOVES})
    if name in layers.MOVES:
        return moved(call.layer, args, kwargs)
    if name is None or name in layers.REMEDIES:
        remedy = layers.REMEDIES.get(name or "", f"use one of {', '.join(layers.LAYERS)}")
        msg = f"{call.where} cannot be lowered: {remedy}"
        raise GraphError(msg)
    return layers.LAYERS[name](call, *args, **kwargs)


def lower_function(
    builder: Builder,
    name: str,
    target: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """``NotImplemented`` says that the result is no tensor but a fact that torch knows."""
    if name == "getattr":
        if args[1] in STATIC_ATTRIBUTES:
            return NotImplemented
        if args[1] in ("values", "indices") and isinstance(args[0], tuple):
            return args[0][args[1] == "indices"]
        msg = f"attribute {args[1]!r} of a tensor cannot be lowered"
        raise GraphError(msg)
    if name in STATIC:
        return NotImplemented
    if name == "getitem" and isinstance(args[0], tuple | list):
        return args[0][args[1]]
    if name in functions.MOVES:
        return moved(target, args, kwargs)
    bare = name if name in functions.FUNCTIONS else name.removesuffix("_")
    if bare not in functions.FUNCTIONS:
        remedy = functions.REMEDIES.get(name, f"known are {', '.join(functions.FUNCTIONS)}")
        msg = f"cannot be lowered: {remedy}"
        raise GraphError(msg)
    return functions.FUNCTIONS[bare](builder, *args, **kwargs)


def holds_view(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(holds_view(v) for v in value)
    return isinstance(value, View)


def moved(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call that moves elements: it is run on their numbers, from 1; a zero is padding.

    Raises:
        GraphError: if the result mixes events or is more than moved elements.
    """
    import torch

    view = args[0]
    if not isinstance(view, View) or any(holds_view(a) for a in (*args[1:], *kwargs.values())):
        msg = "an index that is computed cannot be lowered; use constant ones"
        raise GraphError(msg)
    count = view.places.size
    numbers = torch.arange(1, EVENTS * count + 1, dtype=torch.float64)
    found = target(numbers.reshape(EVENTS, *view.shape), *args[1:], **kwargs)
    many = isinstance(found, tuple | list)
    views = []
    for tensor in found if many else (found,):
        if bool((tensor != tensor.floor()).any()) or bool((tensor < 0).any()):
            msg = "pads with other values than zero; pad with zeros"
            raise GraphError(msg)
        there = tensor.numpy().astype(np.int64)
        steps = np.arange(len(there)).reshape(-1, *(1,) * (there.ndim - 1)) * count
        first = there[:1]
        if len(there) != EVENTS or (there != np.where(first > 0, first + steps, 0)).any():
            msg = "mixes events or pads with other values than zero; keep axis 0, the batch's"
            raise GraphError(msg)
        index = first[0] - 1
        if (index < 0).any() and view.pending is not None and not view.pending.linear:
            need_result(view)  # a padded zero is not the function of zero
        places = np.where(index < 0, ZERO, view.places.ravel()[np.maximum(index, 0)])
        views.append(View(view.value, places, view.pending))
    return tuple(views) if many else views[0]
