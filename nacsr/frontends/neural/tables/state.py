"""A table network as arrays: its tables, and the words that they are read by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import SpecError
from nacsr.frontends.neural.space import Dense, Network, Pool

Reals = NDArray[np.float32]
Flags = NDArray[np.bool_]

BASE = 3
"""Fraction bits of the finest word that is read."""
BITS = 6
"""Bits of the widest: an address of one LUT."""
ENTRIES = 1 << BITS
MIDDLE = ENTRIES // 2
SPACING = 4
"""Entries from one knot to the next."""
KNOTS = ENTRIES // SPACING + 1


@dataclass(slots=True, eq=False)
class Layer:
    """Sums ``y_j = bias_j + sum_i table_ij(x_i)``.

    Attributes:
        knots: values where the tables bend, (inputs, KNOTS, outputs).
        bias: (outputs,).
        live: tables that are left, (inputs, outputs).
        steps: fraction bits of the entries and the bias, (outputs,).
        reads: fraction bits of the words that are read, (inputs,).
        tops: their integer bits, beside a sign: they saturate at two to the power of them, and at
            minus that; words without a sign at twice that, and at zero.
        signed: whether they have a sign, (inputs,).
        away: what is added to a value before it is read, (inputs,).
        copies: how often the layer stands beside itself: particles, or 1.
        pool: what pools the particles before it, or nothing.
    """

    knots: Reals
    bias: Reals
    live: Flags
    steps: Reals
    reads: Reals
    tops: Reals
    signed: Flags
    away: NDArray[np.float64]
    copies: int
    pool: str

    @property
    def used(self) -> Flags:
        """Inputs that some table reads."""
        return np.asarray(self.live.any(1))

    @property
    def bits(self) -> NDArray[np.int64]:
        """Bits of every address, with a sign or without."""
        return (self.reads + self.tops + 1).astype(np.int64)

    def visited(self, i: int) -> NDArray[np.int64]:
        """The entries that words of an input can address, in order."""
        half, step = 2 ** (int(self.tops[i]) + BASE), 2 ** (BASE - int(self.reads[i]))
        first = MIDDLE - half if self.signed[i] else 0
        return np.arange(first, first + 2 * half, step)

    @property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What words lie between: from the first to below the second, (inputs,) each."""
        half = np.ldexp(1.0, self.tops.astype(int))
        return np.where(self.signed, -half, 0.0), np.where(self.signed, half, 2 * half)

    def copy(self) -> Layer:
        """Another with the same numbers."""
        arrays = ("knots", "bias", "live", "steps", "reads", "tops", "signed", "away")
        return replace(self, **{name: getattr(self, name).copy() for name in arrays})


State = list[Layer]


def begun(network: Network, steps: int, rng: np.random.Generator) -> State:
    """Random tables, each about a line; of a network only the sizes and the pools count.

    Args:
        network: dense layers, and pools.
        steps: fraction bits of entries.
        rng: draws them.

    Raises:
        SpecError: for another layer.
    """
    state: State = []
    shape, pool = network.input, ""
    for layer, after in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Pool):
            pool = layer.kind
        elif isinstance(layer, Dense):
            state.append(_layer(shape, layer.width, pool, steps, rng))
            pool = ""
        else:
            msg = f"table networks have dense layers and pools only, not {type(layer).__name__}"
            raise SpecError(msg)
        shape = after
    return state


def _layer(
    shape: tuple[int, ...], outputs: int, pool: str, steps: int, rng: np.random.Generator
) -> Layer:
    inputs = shape[-1]
    x = ((np.arange(KNOTS) * SPACING - MIDDLE) / 2**BASE)[None, :, None]
    line = rng.normal(0, 1, (inputs, 1, outputs)) * np.clip(x, -2, 2)
    bend = rng.normal(0, 0.3, (inputs, 1, outputs)) * (np.abs(np.clip(x, -2, 2)) - 0.8)
    return Layer(
        knots=((line + bend) / math.sqrt(inputs)).astype(np.float32),
        bias=np.zeros(outputs, np.float32),
        live=np.ones((inputs, outputs), np.bool_),
        steps=np.full(outputs, steps, np.float32),
        reads=np.full(inputs, BASE, np.float32),
        tops=np.full(inputs, BITS - BASE - 1, np.float32),
        signed=np.ones(inputs, np.bool_),
        away=np.zeros(inputs),
        copies=math.prod(shape[:-1]),
        pool=pool,
    )
