"""Many networks as arrays, for compiled training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.population.kernels import Reals

Ints = NDArray[np.int64]


class Program(NamedTuple):
    """Networks as arrays: one entry a layer with weights, those of a network beside each other.

    Attributes:
        first: first layer of every network, and the end; shape (networks + 1,).
        parameters: first parameter of every network, and the end.
        inputs, outputs: sizes of a layer; of a convolution, of one place of its window.
        copies: how often a layer stands beside itself: particles, pixels of its result, or 1.
        windows: side of a convolution's kernel, or 0.
        images: rows and columns of what a convolution reads; shape (layers, 2).
        pools: what pools the particles before a layer, or 0.
        activations: of a layer.
        norms: 1 where BatchNorm follows.
        weights: where the layer's weight (outputs, inputs) begins in its network's parameters;
            gains, if it is normalised, and biases follow it.
        rows: where its rows begin among those of its network.
    """

    first: Ints
    parameters: Ints
    inputs: Ints
    outputs: Ints
    copies: Ints
    windows: Ints
    images: Ints
    pools: Ints
    activations: Ints
    norms: Ints
    weights: Ints
    rows: Ints


class Grids(NamedTuple):
    """Quantisers: a row (scale, low, high) of raw integers each; a scale of 0 where there is none.

    Attributes:
        given: of the input of every network.
        weights, biases: of a layer's parameters.
        before: of the sums before an activation that becomes a table.
        after: of activations.
        pooled: of what a pool gives, before a layer.
    """

    given: Reals
    weights: Reals
    biases: Reals
    before: Reals
    after: Reals
    pooled: Reals


class Room(NamedTuple):
    """Scratch for one network and batch.

    Attributes:
        sums, values: of every neuron, before BatchNorm or bias, and after the activation.
        free: as ``values``, before the last quantiser, where an activation becomes a table.
        pooled, read: of every input of a layer after a pool, before and after its quantiser.
        lines: mean, factor, shift and 1/sigma of every neuron.
        weights: on their grids.
        seen, part: what a convolution's window sees, and what it gives.
        d, e: gradients of two layers.
    """

    sums: Reals
    values: Reals
    free: Reals
    pooled: Reals
    read: Reals
    lines: Reals
    weights: Reals
    seen: Reals
    part: Reals
    d: Reals
    e: Reals
