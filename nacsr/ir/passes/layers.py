"""Layers in plain parts: windows become wiring, and what is done in a window one op.

Afterwards only elementwise ops, dense, reduce, argmax, tables and wiring are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op, Shape
from nacsr.ir.passes.values import exact
from nacsr.ir.passes.wires import pick
from nacsr.ir.tensor import windows


@dataclass(frozen=True, slots=True)
class LowerLayers:
    """conv -> take + dense, pool -> take + reduce, leaky_relu -> shift + max."""

    name: str = "lower_layers"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``; applied twice it changes nothing more."""

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            lower = _LOWER.get(op.name)
            return lower(b, op, args[0]) if lower else None

        return exact(graph, rule)


def _windows(shape: Shape, padding: NDArray[np.int64], op: Op) -> NDArray[np.int64]:
    """Flat indices that every window reads: (*places, *window, channels); -1 is padding."""
    window = op.array("window") if op.name == "pool" else op.array("weight").shape[:-2]
    index = np.arange(math.prod(shape)).reshape(shape)
    padded = np.pad(index, [*padding.tolist(), (0, 0)], constant_values=-1)
    found: NDArray[np.int64] = windows(padded[None], [int(n) for n in window], op.array("stride"))[
        0
    ]
    return found


def _conv(b: Builder, op: Op, x: int) -> int:
    weight = op.array("weight")
    places = _windows(b.ops[x].shape, op.array("padding"), op)
    rows = places.reshape(*op.shape[:-1], math.prod(weight.shape[:-1]))
    attrs: dict[str, Any] = {n: op.attrs[n] for n in ("bias", "bias_type", "weight_type")}
    attrs["weight"] = weight.reshape(-1, weight.shape[-1])
    return b.op("dense", pick(b, x, rows), **attrs)


def _pool(b: Builder, op: Op, x: int) -> int:
    rank = op.array("window").size
    places = _windows(b.ops[x].shape, np.zeros((rank, 2), np.int64), op)
    channels_first = np.moveaxis(places, -1, rank)  # the elements of a window come last
    rows = channels_first.reshape(*op.shape, -1)
    return b.op("reduce", pick(b, x, rows), kind=op.attrs["kind"], axis=rank + 1)


def _leaky_relu(b: Builder, op: Op, x: int) -> int:
    """x * 2**-n is above x where x is negative, and below it elsewhere."""
    if b.ranges[x][0] >= 0:
        return x
    return b.op("max", x, b.op("shift", x, n=-op.integer("n")))


_LOWER: Mapping[str, Callable[[Builder, Op, int], int]] = {
    "conv": _conv,
    "pool": _pool,
    "leaky_relu": _leaky_relu,
}
