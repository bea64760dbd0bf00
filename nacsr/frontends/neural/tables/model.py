"""What a table network computes, exactly, and about how many LUTs it takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.pools import pooled
from nacsr.frontends.neural.tables import kernels
from nacsr.frontends.neural.tables.state import ENTRIES, Layer, Reals, State

Array = NDArray[np.float64]
Ends = tuple[Array, Array]
"""The least and the largest of some values."""

CHUNK = 8192
"""Events evaluated at a time."""


def entries(layer: Layer) -> Array:
    """Entries of all tables, (inputs, ENTRIES, outputs)."""
    inputs, outputs = layer.live.shape
    found = np.empty((inputs, ENTRIES, outputs), np.float32)
    kernels.expand(layer.knots, layer.live, layer.steps, found)
    return found.astype(np.float64)


def bias(layer: Layer) -> Array:
    """Biases on the grids of their sums, (outputs,)."""
    steps = layer.steps.astype(np.int64)
    return np.ldexp(np.floor(np.ldexp(layer.bias.astype(np.float64), steps) + 0.5), -steps)


def address(layer: Layer, words: Reals | Array, places: NDArray[np.int32]) -> None:
    """Entries that words (rows, inputs) address become ``places``."""
    kernels.address(words, layer.away, layer.reads, layer.tops, layer.signed, places)


def scores(state: State, x: Reals | Array) -> Array:
    """Scores (events, outputs) of standardised words (events, words)."""
    made = [(layer, entries(layer), bias(layer)) for layer in state]
    return np.concatenate([_scores(made, x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)])


def _scores(made: list[tuple[Layer, Array, Array]], x: Reals | Array) -> Array:
    events, a = len(x), np.asarray(x, np.float64)
    for layer, table, constant in made:
        inputs, outputs = layer.live.shape
        if layer.pool:
            a = pooled(a.reshape(events, -1, inputs), layer.pool)
        rows = np.ascontiguousarray(a.reshape(-1, inputs))
        places = np.empty(rows.shape, np.int32)
        address(layer, rows, places)
        a = np.empty((len(rows), outputs))
        kernels.look_up(table, places, layer.used, constant, a)
    return a


# --- what it costs ------------------------------------------------------------------------


def widths(layer: Layer, table: Array) -> Array:
    """Bits of the entries of every table that can be read, (inputs, outputs); 0 of a constant."""
    spread = np.zeros(layer.live.shape)
    for i in np.flatnonzero(layer.used).tolist():
        spread[i] = np.ptp(table[i, layer.visited(i)], axis=0)
    return np.asarray(np.ceil(np.log2(spread * 2.0**layer.steps + 1)))


def lut_bits(address_bits: NDArray[np.int64]) -> Array:
    """LUTs of a bit of a table: two of five inputs or fewer share one of six."""
    return np.ldexp(0.5, np.maximum(address_bits - 5, 0)) * np.minimum(address_bits / 5, 1)


def luts(layer: Layer, table: Array) -> Array:
    """About the LUTs of every table and of the adder that takes it, (inputs, outputs)."""
    bits = widths(layer, table)
    each = bits * lut_bits(layer.bits)[:, None] + bits + 1
    return np.where(layer.live & (bits > 0), layer.copies * each, 0.0)


def total(state: State, ends: Ends) -> float:
    """About the LUTs of all tables and adders, and of what saturates words, placed and routed:
    six inputs are one LUT. Estimates of C-synthesis are larger.
    """
    made = [entries(layer) for layer in state]
    found = 0.0
    pairs = zip(state, made, saturated(state, made, ends), strict=True)
    for layer, table, beyond in pairs:
        found += float(luts(layer, table).sum())
        found += layer.copies * float(layer.bits[beyond & layer.used].sum())
    return found


def saturated(state: State, made: list[Array], ends: Ends) -> list[NDArray[np.bool_]]:
    """Whether what a layer reads may lie beyond the ends of its words, (inputs,) each.

    Args:
        state: the network.
        made: entries of its layers.
        ends: the least and the largest word of every input, (features,) each.
    """
    (low, high), found = ends, []
    for n, (layer, table) in enumerate(zip(state, made, strict=True)):
        if layer.pool:
            particles = state[n - 1].copies // layer.copies
            low, high = (_pooled_end(end, layer.pool, particles) for end in (low, high))
        first, last = layer.ends
        found.append((low + layer.away < first) | (high + layer.away >= last))
        low, high = _sum_ends(layer, table)
    return found


def _sum_ends(layer: Layer, table: Array) -> tuple[Array, Array]:
    """The least and the largest sums, (outputs,)."""
    low, high = bias(layer), bias(layer)
    for i in np.flatnonzero(layer.used).tolist():
        seen = table[i, layer.visited(i)]
        low, high = low + seen.min(0), high + seen.max(0)
    return low, high


def _pooled_end(end: Array, pool: str, particles: int) -> Array:
    found: Array = pooled(np.broadcast_to(end, (1, particles, len(end))), pool)[0, 0]
    return found


def settle(state: State) -> None:
    """No table that says nothing: constant ones become part of a bias, in place.

    What is left computes the same; where no table leads to a value, its readers go too.
    """
    for n, layer in enumerate(state):
        if n:
            _read_constants(state[n - 1], layer)
        table, constant = entries(layer), bias(layer)
        bits = widths(layer, table)
        for i, j in np.argwhere(layer.live & (bits == 0)).tolist():
            constant[j] += table[i, layer.visited(i)[0], j]
        layer.live &= bits > 0
        layer.bias += constant - bias(layer)  # what it is beyond its grid stays
    for before, layer in zip(state[-2::-1], state[:0:-1], strict=True):
        before.live &= layer.used


def _read_constants(before: Layer, layer: Layer) -> None:
    """Reads a value that nothing leads to once, and then no more."""
    fixed = ~before.live.any(0) & layer.used
    if not fixed.any():
        return
    value = np.repeat(bias(before)[None, None], before.copies // layer.copies, axis=1)
    word = pooled(value, layer.pool) if layer.pool else value
    places = np.empty((1, len(fixed)), np.int32)
    address(layer, np.ascontiguousarray(word.reshape(1, -1)), places)
    table = entries(layer)[np.arange(len(fixed)), places[0]]
    layer.bias += table[fixed].sum(0)
    layer.live[fixed] = False
