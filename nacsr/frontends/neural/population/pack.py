"""Networks as one program: perceptrons and deep sets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.population import kernels
from nacsr.frontends.neural.population.kernels import Reals
from nacsr.frontends.neural.population.steps import Grids, Ints, Program, Room
from nacsr.frontends.neural.space import Dense, Network, Pool

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
    """A dense layer of a network, with the pool before it."""

    inputs: int
    layer: Dense
    copies: int
    pool: str = ""

    def parameters(self, norms: bool) -> int:
        """How many numbers are trained."""
        extra = 2 if norms and self.layer.norm else 1
        return self.layer.width * (self.inputs + extra)


def packs(network: Network) -> bool:
    """Whether a network trains together with others: dense layers, and a pool between two."""
    first, *rest = network.layers
    return isinstance(first, Dense) and all(isinstance(layer, Dense | Pool) for layer in rest)


def rows(network: Network) -> list[Row]:
    """The dense layers of a network that ``packs``."""
    found, shape, pool = [], network.input, ""
    for layer, result in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Dense):
            copies = shape[0] if len(shape) == 2 else 1
            found.append(Row(shape[-1], layer, copies, pool))
            pool = ""
        elif isinstance(layer, Pool):
            pool = layer.kind
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
            place += row.layer.width * row.copies
        ends.append(at)
    return Program(
        first=_ints(np.cumsum([0, *(len(one) for one in all_rows)])),
        parameters=_ints(np.cumsum([0, *ends])),
        inputs=_ints([row.inputs for row in flat]),
        outputs=_ints([row.layer.width for row in flat]),
        copies=_ints([row.copies for row in flat]),
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
    pooled = int((made.rows + made.inputs).max())
    widest = int((np.maximum(made.inputs, made.outputs) * np.maximum(made.copies, 1)).max())
    most = int(np.diff(made.parameters).max())
    before = made.copies[:-1] * made.inputs[1:]  # of particles before their pool
    widest = max(widest, int(before.max(initial=0)))
    high, low = tall * batch, pooled * batch
    return Room(
        sums=_empty(high),
        values=_empty(high),
        free=_empty(high),
        pooled=_empty(low),
        read=_empty(low),
        lines=np.empty((tall, 4), np.float32),
        weights=_empty(most),
        d=_empty(widest * batch),
        e=_empty(widest * batch),
    )


def no_grids(made: Program) -> Grids:
    """No quantiser anywhere."""
    nets, layers = len(made.first) - 1, len(made.inputs)
    return Grids(*(np.zeros((n, 3), np.float32) for n in (nets, *(layers,) * 5)))


def grids(networks: Sequence[Network], plans: Sequence[Plan], made: Program) -> Grids:
    """The quantisers of some networks, where their plans have types."""
    given, rest = [], []
    for network, plan in zip(networks, plans, strict=True):
        given.append(_grid(plan.get(Place(-1, "after"))))
        pooled: Fixed | None = None
        for number, layer in enumerate(network.layers):
            types = {p.what: t for p, t in plan.items() if p.layer == number}
            if isinstance(layer, Pool):
                pooled = types.get("after")
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
    """Parameters in the order of a program: weight, gain, bias of every dense layer."""
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
        if not isinstance(layer, Dense):
            found.append(())
            continue
        row = next(made)
        sizes = [layer.width * row.inputs, *([layer.width] * (2 if norms and layer.norm else 1))]
        weight, *gain, bias = torch.split(left[: sum(sizes)], sizes)
        found.append((weight.reshape(layer.width, row.inputs), bias, *gain))
        left = left[sum(sizes) :]
    return found


def _ints(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _empty(size: int) -> Reals:
    return np.empty(size, np.float32)
