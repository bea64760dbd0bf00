"""Which digit, bit or bias to drop next: the least loss for each adder bit saved.

The loss that a change of a parameter by ``x`` brings is taken as ``h x**2 / 2``, where ``h`` is
the mean squared gradient of an event (Le Cun et al., Optimal Brain Damage, 1990, with the
diagonal of the Fisher information for that of the Hessian). A value cut off one bit higher
changes by a uniform error, whose variance grows from ``s**2 / 12`` to four times that; one
saturated at half of what it was loses what is above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean.model import Array, Seen, bits, counts, sum_bits, weights
from nacsr.frontends.neural.lean.state import SUMS, Reals, Stack, State

FEWEST = -8
"""Fraction bits below which nothing is cut."""


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Mean squared gradients of one event.

    Attributes:
        p: by weights and biases.
        reads, values: by what layers read, and by neurons' values.
    """

    p: Array
    reads: Array
    values: Array


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What could be dropped.

    Attributes:
        loss: what it would cost.
        saved: adder bits.
        where: index in the array that ``kind`` names.
        kind: the field of ``State`` that falls by one there.
    """

    loss: Array
    saved: Array
    where: NDArray[np.int64]
    kind: str


def drop(
    stack: Stack, state: State, seen: Seen, curvature: Curvature, share: float
) -> State:
    """What is left when a share of the adder bits is gone, the cheapest in loss first."""
    left = state.copy()
    read_bits = bits(stack, left)
    found = [
        choice
        for layer in stack.layers
        for choice in _choices(stack, left, seen, curvature, read_bits[layer], layer)
    ]
    saved = np.concatenate([c.saved for c in found])
    price = np.concatenate([c.loss / np.maximum(c.saved, 0.5) for c in found])
    order = np.argsort(price, kind="stable")
    chosen = np.zeros(len(order), np.bool_)
    # a digit or a bias saves its bits, so these sum to all that there is
    total = sum(float(c.saved.sum()) for c in found if c.kind == "counts")
    chosen[order[: int(np.searchsorted(np.cumsum(saved[order]), share * total)) + 1]] = True
    begin = 0
    for c in found:
        some = c.where[chosen[begin : begin + len(c.where)]]
        begin += len(c.where)
        getattr(left, c.kind)[some] -= 1
    return left


def _choices(
    stack: Stack, state: State, seen: Seen, curvature: Curvature, read_bits: Array, layer: int
) -> list[Choices]:
    return [
        _digits(stack, state, curvature, read_bits, layer),
        _biases(stack, state, curvature, layer),
        *_cuts(stack, state, seen, curvature, read_bits, layer),
    ]


def _digits(
    stack: Stack, state: State, curvature: Curvature, read_bits: Array, layer: int
) -> Choices:
    """The last digit of every weight."""
    at = stack.weights(layer)
    fewer = state.copy()
    fewer.counts[at] = np.maximum(fewer.counts[at] - 1, 0)
    change = weights(stack, fewer, layer) - weights(stack, state, layer)
    loss = 0.5 * curvature.p[at] * np.square(change).ravel()
    saved = float(stack.copies[layer]) * np.broadcast_to(read_bits, change.shape).ravel()
    some = np.flatnonzero(state.counts[at] > 0)
    return Choices(loss[some], saved[some], some + at.start, "counts")


def _biases(stack: Stack, state: State, curvature: Curvature, layer: int) -> Choices:
    at = stack.biases(layer)
    some = np.flatnonzero((state.counts[at] > 0) & counts(stack, state, layer).any(1))
    loss = 0.5 * curvature.p[at] * np.square(state.p[at].astype(np.float64))
    saved = float(stack.copies[layer]) * sum_bits(stack, state, layer)
    return Choices(loss[some], saved[some], some + at.start, "counts")


def _cuts(
    stack: Stack, state: State, seen: Seen, curvature: Curvature, read_bits: Array, layer: int
) -> Iterator[Choices]:
    """The last and the first bit of what a layer reads, and of the particles in a sum before."""
    uses = float(stack.copies[layer]) * counts(stack, state, layer).sum(0)
    uses = uses * (read_bits > 0)
    if stack.cuts[layer]:
        at = stack.read(layer)
        yield _last(curvature.reads[at], state.reads[at], uses, at.start, "reads")
        lost = curvature.reads[at] * seen.read_excess[at]
        yield _first(lost, uses, at.start, "read_tops")
    if layer and (stack.pools[layer] in SUMS or not stack.cuts[layer]):
        at = stack.neurons(layer - 1)
        if stack.cuts[layer]:
            uses = np.full(len(uses), float(stack.copies[layer - 1])) * (uses > 0)
        yield _last(curvature.values[at], state.values[at], uses, at.start, "values")
        lost = curvature.values[at] * seen.value_excess[at]
        yield _first(lost, uses, at.start, "value_tops")


def _last(curvature: Array, fractions: Reals, uses: Array, begin: int, kind: str) -> Choices:
    """Fraction bits."""
    some = np.flatnonzero((uses > 0) & (fractions > FEWEST))
    variance = 3 / 12 * np.ldexp(1.0, -2 * fractions.astype(int))
    return Choices((0.5 * curvature * variance)[some], uses[some], some + begin, kind)


def _first(lost: Array, uses: Array, begin: int, kind: str) -> Choices:
    """Integer bits."""
    some = np.flatnonzero(uses > 0)
    return Choices((0.5 * lost)[some], uses[some], some + begin, kind)
