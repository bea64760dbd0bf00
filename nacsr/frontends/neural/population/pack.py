"""Networks as one program: perceptrons, deep sets or image networks side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.population import kernels
from nacsr.frontends.neural.population.kernels import Reals
from nacsr.frontends.neural.population.program import Grids, Ints, Program, Room
from nacsr.frontends.neural.space import Conv, Dense, Network, Pool

if TYPE_CHECKING:
    import torch

ACTIVATIONS = {
    "relu": kernels.RELU,
    "leaky_relu": kernels.LEAKY,
    "tanh": kernels.TANH,
    "sigmoid": kernels.SIGMOID,
    "none": kernels.NONE,
}
POOLS = {"mean": kernels.MEAN, "max": kernels.MAX, "sum": kernels.SUM}


@dataclass(frozen=True, slots=True)
class Row:
    """A layer with weights, with the pool before it; a convolution is a dense layer for every
    place of its window."""

    inputs: int
    layer: Dense | Conv
    copies: int
    pool: str = ""
    image: tuple[int, ...] = (0, 0)

    @property
    def outputs(self) -> int:
        """Neurons or channels."""
        return self.layer.channels if isinstance(self.layer, Conv) else self.layer.width

    @property
    def window(self) -> int:
        """Side of the kernel of a convolution, else 0."""
        return self.layer.kernel if isinstance(self.layer, Conv) else 0

    def parameters(self, norms: bool) -> int:
        """How many numbers are trained."""
        extra = 2 if norms and self.layer.norm else 1
        return self.outputs * (self.inputs + extra)


def packs(network: Network) -> bool:
    """Whether a network trains together with others: layers with weights, and pools between."""
    return isinstance(network.layers[0], Dense | Conv) and network.lowers


def rows(network: Network) -> list[Row]:
    """The layers with weights of a network that ``packs``."""
    found, shape, pool = [], network.input, ""
    for layer, result in zip(network.layers, network.shapes, strict=True):
        match layer:
            case Dense():
                found.append(Row(shape[-1], layer, math.prod(shape[:-1]), pool))
                pool = ""
            case Conv(kernel=kernel):
                inputs, pixels = shape[0] * kernel**2, math.prod(result[1:])
                found.append(Row(inputs, layer, pixels, image=shape[1:]))
            case Pool(kind=kind):
                pool = kind
        shape = result
    return found


def program(networks: Sequence[Network], norms: bool = True) -> Program:
    """The arrays of some networks with inputs of one shape.

    Args:
        networks: each of which ``packs``.
        norms: whether BatchNorms are there, or folded already.
    """
    all_rows = [rows(n) for n in networks]
    flat = [row for one in all_rows for row in one]
    weights, places, ends = [], [], []
    for one in all_rows:
        at = place = 0
        for row in one:
            weights.append(at)
            places.append(place)
            at += row.parameters(norms)
            place += row.outputs * row.copies
        ends.append(at)
    return Program(
        first=_ints(np.cumsum([0, *(len(one) for one in all_rows)])),
        parameters=_ints(np.cumsum([0, *ends])),
        inputs=_ints([row.inputs for row in flat]),
        outputs=_ints([row.outputs for row in flat]),
        copies=_ints([row.copies for row in flat]),
        windows=_ints([row.window for row in flat]),
        images=_ints([row.image for row in flat]),
        pools=_ints([POOLS[row.pool] if row.pool else 0 for row in flat]),
        activations=_ints([ACTIVATIONS[row.layer.activation] for row in flat]),
        norms=_ints([norms and row.layer.norm for row in flat]),
        weights=_ints(weights),
        rows=_ints(places),
    )


def room(made: Program, batch: int) -> Room:
    """Scratch for any of a program's networks and a batch of events."""
    tall = int((made.rows + made.outputs * made.copies).max())
    # what a pool gives lies where the layer after it begins, and may be longer than that layer
    pooled = int(((made.rows + made.inputs) * (made.pools > 0)).max())
    widest = int((made.outputs * made.copies).max())  # every layer reads what one before it gives
    most = int(np.diff(made.parameters).max())
    high, low = tall * batch, pooled * batch
    wide = made.windows > 1
    return Room(
        sums=_empty(high),
        values=_empty(high),
        free=_empty(high),
        pooled=_empty(low),
        read=_empty(low),
        lines=np.empty((tall, 4), np.float32),
        weights=_empty(most),
        seen=_empty(int((made.inputs * wide).max()) * batch),
        part=_empty(int((made.outputs * wide).max()) * batch),
        d=_empty(widest * batch),
        e=_empty(widest * batch),
    )


def no_grids(made: Program) -> Grids:
    """No quantiser anywhere."""
    nets, layers = len(made.first) - 1, len(made.inputs)
    return Grids(*(np.zeros((n, 3), np.float32) for n in (nets, *(layers,) * 5)))


def grids(networks: Sequence[Network], plans: Sequence[Plan]) -> Grids:
    """The quantisers of some networks, where their plans have types."""
    given, rest = [], []
    for network, plan in zip(networks, plans, strict=True):
        given.append(_grid(plan.get(Place(-1, "after"))))
        pooled: Fixed | None = None
        for number, layer in enumerate(network.layers):
            types = {p.what: t for p, t in plan.items() if p.layer == number}
            if isinstance(layer, Pool):
                pooled = types.get("after")
            if not isinstance(layer, Dense | Conv):
                continue
            found = [types.get(what) for what in ("weight", "bias", "before", "after")]
            rest.append([_grid(t) for t in (*found, pooled)])
            pooled = None
    columns = np.array(rest, dtype=np.float32).transpose(1, 0, 2)
    return Grids(np.array(given, dtype=np.float32), *(np.ascontiguousarray(c) for c in columns))


def _grid(type_: Fixed | None) -> tuple[float, float, float]:
    if type_ is None:
        return (0.0, 0.0, 0.0)
    low = -type_.max_raw if type_.overflow is Overflow.SAT_SYM else type_.min_raw
    return (2.0**type_.frac, float(low), float(type_.max_raw))


def flat(network: Network, params: Parameters) -> Reals:
    """Parameters in the order of a program: weight, gain, bias of every layer that has some."""
    parts = []
    for mine in params:
        parts += [t.detach().numpy().ravel() for t in (*mine[:1], *mine[2:], *mine[1:2])]
    return np.concatenate(parts).astype(np.float32)


def split(network: Network, values: Reals, norms: bool) -> list[tuple[torch.Tensor, ...]]:
    """The inverse of ``flat``."""
    import torch

    found: list[tuple[torch.Tensor, ...]] = []
    left, made = torch.from_numpy(values.copy()), iter(rows(network))
    for layer in network.layers:
        if not isinstance(layer, Dense | Conv):
            found.append(())
            continue
        row = next(made)
        sizes = [row.outputs * row.inputs, *([row.outputs] * (2 if norms and layer.norm else 1))]
        weight, *gain, bias = torch.split(left[: sum(sizes)], sizes)
        sides = (row.window, row.window) if row.window else ()
        found.append((weight.reshape(row.outputs, -1, *sides), bias, *gain))
        left = left[sum(sizes) :]
    return found


def _ints(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _empty(size: int) -> Reals:
    return np.empty(size, np.float32)
