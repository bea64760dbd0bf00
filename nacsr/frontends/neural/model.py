"""A network in torch: one evaluator for float training, calibration and fake quantisation.

Parameters are a tuple a layer: weight, bias and (until it is folded) the gain of a BatchNorm; of
an attention, weight and bias of query, key, value and projection; of others nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nacsr.frontends.neural.space.layers import (
    LEAK,
    Attention,
    Conv,
    Dense,
    Flatten,
    Network,
    Pool,
)

if TYPE_CHECKING:
    import torch

Parameters = Sequence[tuple["torch.Tensor", ...]]
TABLES = ("tanh", "sigmoid")
"""Activations that become tables of quantised sums."""
EPSILON = 1e-5
"""Added to a variance by BatchNorm."""


class Place(NamedTuple):
    """Where a quantiser may stand.

    Attributes:
        layer: number of the layer; -1 is the input.
        what: ``weight``, ``bias``, ``before`` an activation that becomes a table, or ``after``.
    """

    layer: int
    what: str


Snap = Callable[[Place, "torch.Tensor"], "torch.Tensor"]


def free(_: Place, values: torch.Tensor) -> torch.Tensor:
    """No quantiser."""
    return values


def initial(network: Network, generator: torch.Generator) -> list[tuple[torch.Tensor, ...]]:
    """Uniform weights of variance 2 / inputs (He et al., ICCV 2015), zero biases, unit gains."""
    import torch

    def layer(size: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        reach = math.sqrt(6.0 / math.prod(size[1:]))
        weight = (torch.rand(size, generator=generator) * 2 - 1) * reach
        return weight, torch.zeros(size[0])

    found: list[tuple[torch.Tensor, ...]] = []
    shape = network.input
    for one, result in zip(network.layers, network.shapes, strict=True):
        match one:
            case Dense(width=width, norm=norm):
                found.append((*layer((width, shape[-1])), *([torch.ones(width)] * norm)))
            case Conv(channels=n, kernel=k, norm=norm):
                found.append((*layer((n, shape[0], k, k)), *([torch.ones(n)] * norm)))
            case Attention(hidden=hidden):
                inner = [layer((hidden, shape[0], 1, 1)) for _ in range(3)]
                outer = layer((shape[0], hidden, 1, 1))
                found.append(tuple(t for pair in (*inner, outer) for t in pair))
            case _:
                found.append(())
        shape = result
    return found


def run(network: Network, params: Parameters, x: torch.Tensor, snap: Snap = free) -> torch.Tensor:
    """Scores of events.

    Args:
        network: the architecture.
        params: of every layer; BatchNorms take the statistics of these very events.
        x: shape (events, words).
        snap: quantises what stands at a place.
    """
    x = snap(Place(-1, "after"), x.reshape(len(x), *network.input))
    for number, layer in enumerate(network.layers):
        x = _layer(layer, number, params[number], x, snap)
    return x


def _layer(
    layer: object, number: int, params: Sequence[torch.Tensor], x: torch.Tensor, snap: Snap
) -> torch.Tensor:
    match layer:
        case Dense(activation=act) | Conv(activation=act):
            x = _activated(act, number, _normed(layer, number, params, x, snap), snap)
        case Pool(kind=kind):
            x = pool(kind, x)
        case Flatten():
            return x.flatten(1)
        case Attention(activation=act):
            return activation(act, x + _attended(params, x))
    return snap(Place(number, "after"), x)


def _normed(
    layer: Dense | Conv, number: int, params: Sequence[torch.Tensor], x: torch.Tensor, snap: Snap
) -> torch.Tensor:
    """The sums of a layer, after its BatchNorm if that is not folded."""
    from torch.nn import functional as f

    weight, bias = snap(Place(number, "weight"), params[0]), params[1]
    if len(params) < 3:
        return linear(layer, x, weight, snap(Place(number, "bias"), bias))
    z = linear(layer, x, weight)
    if isinstance(layer, Conv):
        return f.batch_norm(z, None, None, params[2], bias, training=True, eps=EPSILON)
    flat = z.reshape(-1, z.shape[-1])  # particles are events more
    flat = f.batch_norm(flat, None, None, params[2], bias, training=True, eps=EPSILON)
    return flat.reshape(z.shape)


def linear(
    layer: Dense | Conv, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """The weighted sums of a layer."""
    from torch.nn import functional as f

    return (f.conv2d if isinstance(layer, Conv) else f.linear)(x, weight, bias)


def _activated(act: str, number: int, z: torch.Tensor, snap: Snap) -> torch.Tensor:
    return activation(act, snap(Place(number, "before"), z) if act in TABLES else z)


def activation(name: str, z: torch.Tensor) -> torch.Tensor:
    """An activation by name."""
    import torch
    from torch.nn import functional as f

    match name:
        case "relu":
            return f.relu(z)
        case "leaky_relu":
            return f.leaky_relu(z, LEAK)
        case "none":
            return z
        case _:
            found: torch.Tensor = getattr(torch, name)(z)
            return found


def pool(kind: str, x: torch.Tensor) -> torch.Tensor:
    """Particles, the last axis but one, into one vector."""
    if kind == "max":
        return x.amax(-2)
    # on a GPU, mean() multiplies by a rounded 1/particles
    return x.sum(-2) / x.shape[-2] if kind == "mean" else x.sum(-2)


def _attended(params: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """What self-attention over the pixels adds; unscaled, as of BraggNN."""
    from torch.nn import functional as f

    query, key, value = (
        f.conv2d(x, params[i], params[i + 1]).flatten(2) for i in (0, 2, 4)
    )  # each (events, hidden, pixels)
    shares = (query.transpose(1, 2) @ key).softmax(-1)
    mixed = (shares @ value.transpose(1, 2)).transpose(1, 2)
    return f.conv2d(mixed.reshape(len(x), -1, *x.shape[2:]), params[6], params[7])


def fold(network: Network, params: Parameters, x: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """The same function without BatchNorms, whose statistics are those of events ``x``."""
    folded: list[tuple[torch.Tensor, ...]] = []
    x = x.reshape(len(x), *network.input)
    for number, layer in enumerate(network.layers):
        mine = tuple(p.detach().clone() for p in params[number])
        if len(mine) == 3 and isinstance(layer, Dense | Conv):
            weight, bias, gain = mine
            z = linear(layer, x, weight)
            z = z.transpose(1, -1).reshape(-1, len(bias)) if isinstance(layer, Conv) else z
            flat = z.reshape(-1, len(bias))
            scale = gain / (flat.var(0, unbiased=False) + EPSILON).sqrt()
            rows = scale.reshape(-1, *(1,) * (weight.dim() - 1))
            mine = (weight * rows, bias - flat.mean(0) * scale)
        folded.append(mine)
        x = _layer(layer, number, mine, x, free)
    return folded
