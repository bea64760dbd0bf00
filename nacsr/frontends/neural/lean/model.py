"""What a lean network computes, exactly, and what its operations cost in adder bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean import kernels
from nacsr.frontends.neural.lean.state import POOLS, Reals, Stack, State

Array = NDArray[np.float64]

BIAS_BITS = 1
"""Fraction bits of a bias beyond those of the values it shifts."""
SCORE_BITS = 6
"""Fraction bits of the last layer's biases, in standard units."""
CHUNK = 8192
"""Events evaluated at a time, so that the values of all neurons stay small."""
UNBOUNDED = np.float32(np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Lean:
    """A network that can be lowered.

    Attributes:
        stack, state: layers and parameters.
        tops: what its inputs stay below, powers of two, (features,).
        reads: integer bits of what layers read where they cut it off, but of the inputs.
        values: integer bits of neurons; both of everything that was seen in training.
    """

    stack: Stack
    state: State
    tops: Reals
    reads: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Seen:
    """Largest values of what layers read, and of neurons."""

    reads: Array
    values: Array


def weights(stack: Stack, state: State, layer: int) -> Array:
    """Weights in their digits, (outputs, inputs)."""
    at = stack.weights(layer)
    found = np.empty(at.stop - at.start, np.float32)
    kernels.snap_weights(state.p[at], state.counts[at], found)
    shape = (int(stack.outputs[layer]), int(stack.inputs[layer]))
    return found.astype(np.float64).reshape(shape)


def biases(stack: Stack, state: State, layer: int) -> Array:
    """Biases on their grids, zero where there is none."""
    at = stack.biases(layer)
    last = layer == len(stack.inputs) - 1
    grid = SCORE_BITS if last else state.values[stack.neurons(layer)].astype(int) + BIAS_BITS
    exact = state.p[at].astype(np.float64) * (state.counts[at] > 0)
    return np.ldexp(np.rint(np.ldexp(exact, grid)), np.negative(grid))


def scores(
    stack: Stack, state: State, tops: Reals, x: Reals, lean: Lean | None = None
) -> tuple[Array, Seen]:
    """Scores (events, outputs), and the largest values on the way.

    Args:
        stack, state, tops: of the network.
        x: standardised words, (events, words).
        lean: clamps values to its integer bits; without it they are as large as they come.
    """
    seen = Seen(np.zeros(int(stack.reads[-1])), np.zeros(int(stack.rows[-1])))
    parts = [
        _scores(stack, state, tops, x[at : at + CHUNK], lean, seen)
        for at in range(0, len(x), CHUNK)
    ]
    return np.concatenate(parts), seen


def _scores(
    stack: Stack, state: State, tops: Reals, x: Reals, lean: Lean | None, seen: Seen
) -> Array:
    a = x.astype(np.float64).reshape(len(x), int(stack.copies[0]), -1)  # events, copies, features
    for layer in stack.layers:
        if stack.pools[layer]:
            a = pooled(a, int(stack.pools[layer]))
        read = stack.read(layer)
        if layer == 0:
            high = tops.astype(np.float64)
            a = _cut(np.maximum(a, -high), state.reads[read], high, 0.5)
        elif stack.cuts[layer]:
            high = np.ldexp(1.0, lean.reads[read]) if lean else np.full(a.shape[-1], np.inf)
            a = _cut(a, state.reads[read], high, 0.0)
        seen.reads[read] = np.maximum(seen.reads[read], a.max((0, 1)))
        a = a @ weights(stack, state, layer).T + biases(stack, state, layer)
        if layer == len(stack.inputs) - 1:
            return a[:, 0]
        mine = stack.neurons(layer)
        high = np.ldexp(1.0, lean.values[mine]) if lean else np.full(a.shape[-1], np.inf)
        a = _cut(np.maximum(a, 0), state.values[mine], high, 0.0)
        seen.values[mine] = np.maximum(seen.values[mine], a.max((0, 1)))
    raise AssertionError


def pooled(a: Array, kind: int) -> Array:
    """Particles into one; a mean divides by a power of two, at least their number."""
    if kind == POOLS["max"]:
        return a.max(1, keepdims=True)
    total: Array = a.sum(1, keepdims=True)
    return total * 2.0**-mean_shift(a.shape[1]) if kind == POOLS["mean"] else total


def mean_shift(particles: int) -> int:
    """The power of two that stands for a number of particles: the weights make up for the rest."""
    return math.ceil(math.log2(particles))


def _cut(a: Array, fractions: Reals, high: Array, half: float) -> Array:
    bits = fractions.astype(int)
    cut = np.ldexp(np.floor(np.ldexp(a, bits) + half), -bits)
    return np.minimum(cut, high - np.ldexp(1.0, -bits))


def finished(stack: Stack, state: State, tops: Reals, x: Reals) -> Lean:
    """The network with integer bits for everything that ``x`` makes of it."""
    _, seen = scores(stack, state, tops, x)
    whole = [np.ceil(np.log2(np.maximum(v, 2.0**-12) * (1 + 1e-9))) for v in (seen.reads, seen.values)]
    return Lean(stack, state, tops, whole[0].astype(np.int64), whole[1].astype(np.int64))


# --- what it costs ------------------------------------------------------------------------


def bits(stack: Stack, state: State, tops: Reals, seen: Seen) -> list[Array]:
    """Bits of everything that each layer reads."""
    found = []
    for layer in stack.layers:
        if layer == 0:
            found.append(np.log2(2 * tops) + state.reads[stack.read(0)])
        elif stack.cuts[layer]:
            read = stack.read(layer)
            found.append(_bits(seen.reads[read], state.reads[read]))
        else:
            mine = stack.neurons(layer - 1)
            found.append(_bits(seen.values[mine], state.values[mine]))
    return found


def _bits(largest: Array, fractions: Reals) -> Array:
    steps = np.ldexp(largest, fractions.astype(int))
    return np.where(steps >= 1, np.floor(np.log2(np.maximum(steps, 1))) + 1, 0)


def counts(stack: Stack, state: State, layer: int) -> NDArray[np.int64]:
    """Digits of a layer's weights, (outputs, inputs)."""
    shape = (int(stack.outputs[layer]), int(stack.inputs[layer]))
    return state.counts[stack.weights(layer)].reshape(shape).astype(np.int64)


def sum_bits(stack: Stack, layer: int, read_bits: list[Array]) -> Array:
    """About the bits of the sum that a bias is added to."""
    last = layer == len(stack.inputs) - 1
    above = np.full(int(stack.outputs[layer]), float(SCORE_BITS)) if last else _above(stack, layer, read_bits)
    return above + 2


def _above(stack: Stack, layer: int, read_bits: list[Array]) -> Array:
    return np.maximum(read_bits[layer + 1], 1)


def adder_bits(stack: Stack, state: State, read_bits: list[Array]) -> float:
    """Bits of all adders, were nothing shared: every digit adds one value, every bias a sum."""
    return sum(sum(_layer_bits(stack, state, layer, read_bits)) for layer in stack.layers)


def _layer_bits(
    stack: Stack, state: State, layer: int, read_bits: list[Array]
) -> Iterator[float]:
    mine, copies = counts(stack, state, layer), float(stack.copies[layer])
    yield copies * float((mine * read_bits[layer]).sum())
    live = mine.any(1) & (state.counts[stack.biases(layer)] > 0)
    yield copies * float(sum_bits(stack, layer, read_bits)[live].sum())
