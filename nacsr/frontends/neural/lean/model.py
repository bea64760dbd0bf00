"""What a lean network computes, exactly, and what its operations cost in adder bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean import kernels
from nacsr.frontends.neural.lean.state import KINDS, Reals, Stack, State
from nacsr.frontends.neural.pools import pooled

Array = NDArray[np.float64]

BIAS_BITS = 1
"""Fraction bits of a bias beyond those of the values it shifts."""
SCORE_BITS = 6
"""Fraction bits of the last layer's biases, in standard units."""
CHUNK = 8192
"""Events evaluated at a time, so that the values of all neurons stay small."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Of what layers read where they cut it, and of neurons' values.

    Attributes:
        reads, values: the largest magnitude.
        read_excess, value_excess: the mean square of what would be lost, were the values
            saturated at half of what they are.
    """

    reads: Array
    values: Array
    read_excess: Array
    value_excess: Array


def weights(stack: Stack, state: State, layer: int) -> Array:
    """Weights in their digits, (outputs, inputs)."""
    at = stack.weights(layer)
    found = np.empty(at.stop - at.start, np.float32)
    kernels.snap_weights(state.p[at], state.counts[at], found)
    shape = (int(stack.outputs[layer]), int(stack.inputs[layer]))
    return found.astype(np.float64).reshape(shape)


def bias_grid(stack: Stack, state: State, layer: int) -> NDArray[np.int64]:
    """Fraction bits of a layer's biases."""
    if layer == len(stack.inputs) - 1:
        return np.full(int(stack.outputs[layer]), SCORE_BITS)
    return state.values[stack.neurons(layer)].astype(np.int64) + BIAS_BITS


def biases(stack: Stack, state: State, layer: int) -> Array:
    """Biases on their grids, zero where there is none."""
    at, grid = stack.biases(layer), bias_grid(stack, state, layer)
    exact = state.p[at].astype(np.float64) * (state.counts[at] > 0)
    return np.ldexp(np.rint(np.ldexp(exact, grid)), -grid)


def scores(stack: Stack, state: State, x: Reals | Array) -> tuple[Array, Seen]:
    """Scores (events, outputs) of standardised words (events, words), and what was on the way."""
    reads, rows = int(stack.reads[-1]), int(stack.rows[-1])
    seen = Seen(np.zeros(reads), np.zeros(rows), np.zeros(reads), np.zeros(rows))
    parts = [_scores(stack, state, x[at : at + CHUNK], seen) for at in range(0, len(x), CHUNK)]
    for excess in (seen.read_excess, seen.value_excess):
        excess /= len(x)
    return np.concatenate(parts), seen


def _scores(stack: Stack, state: State, x: Reals | Array, seen: Seen) -> Array:
    a = x.astype(np.float64).reshape(len(x), int(stack.copies[0]), -1)  # events, copies, features
    for layer in stack.layers:
        read = stack.read(layer)
        if stack.pools[layer]:
            a = pooled(a, KINDS[int(stack.pools[layer])])
        if stack.cuts[layer]:
            half = 0.0 if layer else 0.5
            a = _cut(a, state.reads[read], state.read_tops[read], half)
            _note(
                a,
                state.reads[read],
                state.read_tops[read],
                seen.reads[read],
                seen.read_excess[read],
            )
        a = a @ weights(stack, state, layer).T + biases(stack, state, layer)
        if layer == len(stack.inputs) - 1:
            break
        mine = stack.neurons(layer)
        a = _cut(np.maximum(a, 0), state.values[mine], state.value_tops[mine], 0.0)
        _note(
            a,
            state.values[mine],
            state.value_tops[mine],
            seen.values[mine],
            seen.value_excess[mine],
        )
    found: Array = a[:, 0]
    return found


def _note(a: Array, fractions: Reals, tops: Reals, largest: Array, excess: Array) -> None:
    size = np.abs(a)
    largest[:] = np.maximum(largest, size.max((0, 1)))
    last = np.ldexp(0.5, tops.astype(int)) - np.ldexp(1.0, -fractions.astype(int))
    beyond = np.maximum(size - last, 0)
    excess += np.square(beyond).sum(0).mean(0)


def _cut(a: Array, fractions: Reals, tops: Reals, half: float) -> Array:
    bits, top = fractions.astype(int), np.ldexp(1.0, tops.astype(int))
    cut = np.ldexp(np.floor(np.ldexp(a, bits) + half), -bits)
    found: Array = np.clip(cut, -top, top - np.ldexp(1.0, -bits))
    return found


def settle(stack: Stack, state: State, seen: Seen) -> None:
    """Integer bits that hold what was seen, no more, in place."""
    for tops, largest in ((state.read_tops, seen.reads), (state.value_tops, seen.values)):
        needed = np.floor(np.log2(np.maximum(largest, 2.0**-12))) + 1
        tops[:] = np.minimum(tops, needed)
    limit(stack, state)


def limit(stack: Stack, state: State) -> None:
    """No fewer bits than none, in place; a weight of an input without bits has no digits."""
    gone = (state.reads + state.read_tops)[stack.read(0)] < 0
    mine = counts(stack, state, 0)
    mine[:, gone] = 0
    state.counts[stack.weights(0)] = mine.ravel()
    state.read_tops[:] = np.maximum(state.read_tops, -state.reads)
    state.value_tops[:] = np.maximum(state.value_tops, -state.values)


# --- what it costs ------------------------------------------------------------------------


def bits(stack: Stack, state: State) -> list[Array]:
    """Bits of everything that each layer reads."""
    found = []
    for layer in stack.layers:
        if stack.cuts[layer]:
            read = stack.read(layer)
            width = state.reads[read] + state.read_tops[read] + (layer == 0)  # and a sign
        else:
            mine = stack.neurons(layer - 1)
            width = state.values[mine] + state.value_tops[mine]
        found.append(np.maximum(width.astype(np.float64), 0))
    return found


def counts(stack: Stack, state: State, layer: int) -> NDArray[np.int64]:
    """Digits of a layer's weights, (outputs, inputs)."""
    shape = (int(stack.outputs[layer]), int(stack.inputs[layer]))
    return state.counts[stack.weights(layer)].reshape(shape).astype(np.int64)


def sum_bits(stack: Stack, state: State, layer: int) -> Array:
    """About the bits of the sum that a bias is added to."""
    if layer == len(stack.inputs) - 1:
        return np.full(int(stack.outputs[layer]), float(SCORE_BITS) + 2)
    mine = stack.neurons(layer)
    width = state.values[mine] + state.value_tops[mine]
    return np.maximum(width.astype(np.float64), 1) + 2


def input_digits(stack: Stack, state: State) -> Array:
    """How many digits read each input."""
    return np.asarray(counts(stack, state, 0).sum(0), np.float64)


def saturation_bits(stack: Stack, state: State, widest: Reals) -> Array:
    """What it costs to saturate each input, about a bit for each that is left; 0 where none is.

    Args:
        stack, state: the network.
        widest: integer bits that every word of an input fits into, (features,).
    """
    used = input_digits(stack, state) > 0
    return np.where(used & (state.read_tops[stack.read(0)] < widest), bits(stack, state)[0], 0.0)


def unsaturate(stack: Stack, state: State, widest: Reals) -> None:
    """All integer bits, in place, for inputs with so few digits that these cost less to add."""
    tops = state.read_tops[stack.read(0)]
    more = input_digits(stack, state) * (widest - tops)
    tops[:] = np.where(more < saturation_bits(stack, state, widest), widest, tops)


def adder_bits(stack: Stack, state: State, widest: Reals) -> float:
    """Bits of all adders, were nothing shared: every digit adds one value, every bias a sum; and
    of what saturates inputs (``saturation_bits``).
    """
    read_bits = bits(stack, state)
    total = float(stack.copies[0]) * float(saturation_bits(stack, state, widest).sum())
    for layer in stack.layers:
        mine = counts(stack, state, layer)
        live = mine.any(1) & (state.counts[stack.biases(layer)] > 0)
        own = float((mine * read_bits[layer]).sum() + sum_bits(stack, state, layer)[live].sum())
        total += float(stack.copies[layer]) * own
    return total
