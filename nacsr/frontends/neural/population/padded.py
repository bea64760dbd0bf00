"""Training many networks at once on a GPU: padded to common widths, a batched product a layer.

The networks of a group have the same depth, and their pool, if any, at the same layer; every
other option is a tensor over the networks. What is padded is a weight of zero that stays zero, as
a pruned one does, so that it adds nothing to a sum and moves nothing.

What should hold on every device whose products are float32 (torch's default; TF32 is not):
quantised sums of 24 bits are exact, in whatever order, so the fake-quantised scores of a group are
those of ``model.run``, bit for bit, but for tanh and sigmoid, whose last bit is the device's.
Gradients and float sums equal those on a CPU, and those of a network without the others, only up
to rounding: training on a GPU need not end in the same bits. The same group on the same device
does: nothing here adds in an order left to chance. No design depends on it: from trained
parameters on, types, lowering and every measurement are computed on the CPU, bit-true.

This was never run on a GPU, only on a CPU, where it is slower than packing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.model import EPSILON, activation, pool
from nacsr.frontends.neural.population import pack
from nacsr.frontends.neural.population.adamw import Descent
from nacsr.frontends.neural.population.kernels import Reals
from nacsr.frontends.neural.population.program import Grids, Ints, Program
from nacsr.frontends.neural.space import Dense, Network, Pool

if TYPE_CHECKING:
    import torch

    from nacsr.frontends.neural.population.trainer import Lesson


def pads(network: Network) -> bool:
    """Whether a network trains in this form: dense layers, and pools between them."""
    return pack.packs(network) and all(isinstance(one, Dense | Pool) for one in network.layers)


def form(network: Network) -> tuple[bool, ...]:
    """What networks of one group have in common: their layers, and which of them follow a pool."""
    return tuple(row.pool != "" for row in pack.rows(network))


def train(
    made: Program,
    grids: Grids,
    lesson: Lesson,
    values: Reals,
    losses: NDArray[np.float64],
    device: str,
) -> None:
    """All steps of every network of a group; as ``steps.train``.

    Args:
        made: networks of one form.
        grids: their quantisers.
        lesson: batches and rates; its events move to the device once.
        values: parameters, in place.
        losses: (networks, steps), in place; one that is infinite or NaN says who diverged.
        device: of torch, such as ``cuda``.
    """
    import torch

    layers, places = group(made, grids, device), _places(made)
    learnt = [_take(values, place, device) for place in places]
    real = [torch.from_numpy(place >= 0).to(device) for place in places]
    masks = [
        m & (p.detach() != 0) if lesson.sparse else m for m, p in zip(real, learnt, strict=True)
    ]
    descent = Descent(learnt, masks, lesson.decay, lesson.l1)
    rows, order = lesson.rows.to(device), torch.from_numpy(lesson.order).to(device)
    seen = []
    for index, rate in zip(order, lesson.rates, strict=True):
        scores = forward(layers, learnt, rows.x[index])
        each = rows.losses(scores.flatten(0, 1), index.repeat(len(scores)))
        loss = each.reshape(len(scores), -1).mean(1)
        seen.append(loss.detach())
        descent.step(loss.sum(), float(rate))  # no network has a part in another's loss
    losses[:] = torch.stack(seen, 1).cpu().numpy()
    for place, found in zip(places, learnt, strict=True):
        values[place[place >= 0]] = found.detach().cpu().numpy()[place >= 0]


class Grid(NamedTuple):
    """A quantiser of every network, each of shape (networks, 1, 1); a scale of 0 where none is."""

    scale: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor


Choice = Sequence[tuple[str, "torch.Tensor"]]
"""Kinds of something, and which networks have them, shape (networks, 1, 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer of all networks of a group.

    Attributes:
        copies: particles that it stands beside, or 1.
        given: quantiser of the input of the first layer, or of what the pool before a layer gives.
        weights, biases, before, after: quantisers, see ``program.Grids``; None if no network has
            one there.
        activations: of the networks.
        pools: before it; none, or one a network.
        norms: which networks have a BatchNorm; None if none has.
    """

    copies: int
    given: Grid | None
    weights: Grid | None
    biases: Grid | None
    before: Grid | None
    after: Grid | None
    activations: Choice
    pools: Choice
    norms: torch.Tensor | None


def group(made: Program, grids: Grids, device: str) -> list[Layer]:
    """The layers of networks of one form."""
    count = len(made.first) - 1
    rest = [a.reshape(count, -1, 3) for a in grids[1:]]
    codes = [a.reshape(count, -1) for a in (made.activations, made.pools, made.norms)]
    found = []
    for layer, copies in enumerate(made.copies[: made.first[1]].tolist()):
        weights, biases, before, after, pooled = (_grid(a[:, layer], device) for a in rest)
        activations, pools, norms = (a[:, layer] for a in codes)
        found.append(
            Layer(
                copies,
                pooled if layer else _grid(grids.given, device),
                weights,
                biases,
                before,
                after,
                _choice(activations, pack.ACTIVATIONS, device),
                _choice(pools, pack.POOLS, device),
                _column(norms == 1, device) if norms.any() else None,
            )
        )
    return found


def _grid(rows: Reals, device: str) -> Grid | None:
    """From (scale, low, high) of every network."""
    return Grid(*(_column(c, device) for c in rows.T)) if rows[:, 0].any() else None


def _choice(codes: Ints, names: Mapping[str, int], device: str) -> Choice:
    return [(name, _column(codes == n, device)) for name, n in names.items() if (codes == n).any()]


def _column(values: NDArray[Any], device: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values)).reshape(-1, 1, 1).to(device)


def _places(made: Program) -> list[Ints]:
    """Where among all parameters those of padded tensors are; -1 is padding.

    Returns:
        Of every layer weights (networks, outputs, inputs), gains and biases, both (networks, 1,
        outputs), outputs and inputs being those of the widest network.
    """
    count = len(made.first) - 1
    found = []
    for layer in range(made.first[1]):
        at, inputs, outputs, norms = (
            a.reshape(count, -1)[:, layer, None, None]
            for a in (made.weights, made.inputs, made.outputs, made.norms)
        )
        begin = at + made.parameters[:-1, None, None]
        row, column = np.arange(outputs.max()), np.arange(inputs.max())
        weight = begin + row[:, None] * inputs + column
        gain = begin + inputs * outputs + row
        inside, here = (row[:, None] < outputs) & (column < inputs), row < outputs
        found += [
            np.where(inside, weight, -1),
            np.where(here & (norms == 1), gain, -1),
            np.where(here, gain + norms * outputs, -1),
        ]
    return found


def _take(values: Reals, place: Ints, device: str) -> torch.Tensor:
    """Parameters padded with zeros, to be trained."""
    import torch

    padded = np.where(place >= 0, values[place], np.float32(0))
    return torch.from_numpy(padded).to(device).requires_grad_()


def forward(
    layers: Sequence[Layer], learnt: Sequence[torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    """Scores of events, shape (networks, events, outputs).

    Args:
        layers: of a group.
        learnt: weights, gains and biases of every layer, padded.
        x: shape (events, words).
    """
    events, count = len(x), len(learnt[0])
    a = x.reshape(1, events * layers[0].copies, -1).expand(count, -1, -1)
    for number, layer in enumerate(layers):
        weight, gain, bias = learnt[3 * number : 3 * number + 3]
        if layer.pools:
            a = _chosen(layer.pools, pool, a.reshape(count, events, -1, a.shape[-1]))
        z = _snapped(layer.given, a) @ _snapped(layer.weights, weight).mT
        z = _normed(layer.norms, z, gain) + _snapped(layer.biases, bias)
        a = _chosen(layer.activations, activation, _snapped(layer.before, z))
        a = _snapped(layer.after, a)
    return a


def _normed(norms: torch.Tensor | None, z: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Sums (networks, events, outputs) after the BatchNorms, of those that have them."""
    import torch

    if norms is None:
        return z
    variance, mean = torch.var_mean(z, 1, unbiased=False, keepdim=True)
    factor = torch.where(norms, gain * torch.rsqrt(variance + EPSILON), 1.0)
    return (z - torch.where(norms, mean, 0.0)) * factor


def _chosen(
    choice: Choice, function: Callable[[str, torch.Tensor], torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    """What a function of a kind gives, of the kind that each network has."""
    import torch

    (kind, _), *others = choice
    found = function(kind, x)
    for kind, who in others:
        found = torch.where(who, function(kind, x), found)
    return found


def _snapped(grid: Grid | None, x: torch.Tensor) -> torch.Tensor:
    return x if grid is None else _snap()(x, *grid)


@lru_cache(maxsize=1)
def _snap() -> Callable[..., torch.Tensor]:
    """``plan.quantise`` with a type for every network, or none; the gradient is the same."""
    import torch

    class Snap(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, x: torch.Tensor, scale: torch.Tensor, low: torch.Tensor, high: torch.Tensor
        ) -> torch.Tensor:
            raw = x * scale
            # hardtanh, which knows no limits for every network, passes nothing at its ends
            ctx.save_for_backward((raw > low) & (raw < high) | (scale == 0))
            return torch.where(scale > 0, torch.round(raw.clamp(low, high)) / scale, x)

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            (inside,) = ctx.saved_tensors
            return torch.where(inside, grads[0], 0.0), None, None, None

    apply: Callable[..., torch.Tensor] = Snap.apply
    return apply
