"""A lean network as arrays: its layers, its real parameters, and what they are cut to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import SpecError
from nacsr.frontends.neural.space import Dense, Network, Pool

Bytes = NDArray[np.int8]
Ints = NDArray[np.int64]
Reals = NDArray[np.float32]

POOLS: Mapping[str, int] = {"mean": 1, "max": 2, "sum": 3}
"""Numbers of ``population.kernels``."""
KINDS = {number: kind for kind, number in POOLS.items()}
SUMS = (POOLS["mean"], POOLS["sum"])


class Stack(NamedTuple):
    """Dense layers with ReLUs between them, one entry a layer.

    Attributes:
        inputs, outputs: sizes.
        copies: how often a layer stands beside itself: particles, or 1.
        pools: what pools the particles before a layer (see ``population.kernels``), or 0.
        cuts: 1 where what a layer reads is cut off by itself: the inputs, and sums over
            particles. Elsewhere it reads the layer before, or a maximum of it.
        at: where its weights (outputs, inputs) begin among the parameters; biases follow them.
        rows: where its neurons begin among all, and the end.
        reads: where what it reads begins among the inputs of all layers, and the end.
    """

    inputs: Ints
    outputs: Ints
    copies: Ints
    pools: Ints
    cuts: Ints
    at: Ints
    rows: Ints
    reads: Ints

    @property
    def layers(self) -> range:
        """Numbers of the layers."""
        return range(len(self.inputs))

    def weights(self, layer: int) -> slice:
        """Where a layer's weights are."""
        at = int(self.at[layer])
        return slice(at, at + int(self.inputs[layer] * self.outputs[layer]))

    def biases(self, layer: int) -> slice:
        """Where its biases are."""
        end = self.weights(layer).stop
        return slice(end, end + int(self.outputs[layer]))

    def neurons(self, layer: int) -> slice:
        """Where its neurons are."""
        return slice(int(self.rows[layer]), int(self.rows[layer + 1]))

    def read(self, layer: int) -> slice:
        """Where what it reads is."""
        return slice(int(self.reads[layer]), int(self.reads[layer + 1]))


@dataclass(slots=True, eq=False)
class State:
    """What training and pruning change.

    Attributes:
        p: weights and biases, real numbers.
        counts: most digits of every weight; of a bias 1, or 0 where it is none.
        reads: fraction bits of what the layers read, where it is cut there.
        values: fraction bits of every neuron but those of the last layer.
        read_tops, value_tops: integer bits of the same: values saturate at two to the power of
            them (inputs below at minus that, too).
    """

    p: Reals
    counts: Bytes
    reads: Reals
    values: Reals
    read_tops: Reals
    value_tops: Reals

    def copy(self) -> State:
        """Another with the same numbers."""
        return State(*(getattr(self, f.name).copy() for f in fields(self)))


def stack_of(network: Network) -> Stack:
    """The layers of a perceptron or deep set; its activations are taken to be ReLUs.

    Raises:
        SpecError: for another layer than dense ones and pools.
    """
    inputs: list[int] = []
    outputs: list[int] = []
    copies: list[int] = []
    pools: list[int] = []
    shape, pool = network.input, 0
    for layer, after in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Pool):
            pool = POOLS[layer.kind]
        elif isinstance(layer, Dense):
            inputs.append(shape[-1])
            outputs.append(layer.width)
            copies.append(math.prod(shape[:-1]))
            pools.append(pool)
            pool = 0
        else:
            msg = f"lean networks have dense layers and pools only, not {type(layer).__name__}"
            raise SpecError(msg)
        shape = after
    sizes = np.array([i * o + o for i, o in zip(inputs, outputs, strict=True)])
    return Stack(
        inputs=np.array(inputs),
        outputs=np.array(outputs),
        copies=np.array(copies),
        pools=np.array(pools),
        cuts=np.array([at == 0 or kind in SUMS for at, kind in enumerate(pools)], dtype=np.int64),
        at=np.cumsum([0, *sizes[:-1]]),
        rows=np.cumsum([0, *outputs]),
        reads=np.cumsum([0, *inputs]),
    )
