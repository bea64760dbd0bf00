"""Which digit, bit or bias to drop next: the least loss for each adder bit saved.

The loss that a change of a parameter by ``x`` brings is taken as ``h x**2 / 2``, where ``h`` is
the mean squared gradient of an event (Le Cun et al., Optimal Brain Damage, 1990, with the
diagonal of the Fisher information for that of the Hessian). A value cut off one bit higher
changes by a uniform error, whose variance grows from ``s**2 / 12`` to four times that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean.model import Array, bits, counts, sum_bits, weights
from nacsr.frontends.neural.lean.model import Seen
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
        kind: 0 a digit or bias (``State.counts``), 1 ``State.reads``, 2 ``State.values``.
    """

    loss: Array
    saved: Array
    where: NDArray[np.int64]
    kind: int


def drop(
    stack: Stack, state: State, tops: Reals, seen: Seen, curvature: Curvature, share: float
) -> State:
    """What is left when a share of the adder bits is gone, the cheapest in loss first."""
    left = state.copy()
    read_bits = bits(stack, left, tops, seen)
    found = [c for layer in stack.layers for c in _choices(stack, left, curvature, read_bits, layer)]
    saved = np.concatenate([c.saved for c in found])
    price = np.concatenate([c.loss / np.maximum(c.saved, 0.5) for c in found])
    order = np.argsort(price, kind="stable")
    chosen = np.zeros(len(order), np.bool_)
    # a digit or a bias saves its bits, so these sum to all that there is
    total = sum(float(c.saved.sum()) for c in found if c.kind == 0)
    chosen[order[: int(np.searchsorted(np.cumsum(saved[order]), share * total)) + 1]] = True
    begin = 0
    for c in found:
        some = c.where[chosen[begin : begin + len(c.where)]]
        begin += len(c.where)
        (left.counts, left.reads, left.values)[c.kind][some] -= 1
    return left


def _choices(
    stack: Stack, state: State, curvature: Curvature, read_bits: list[Array], layer: int
) -> list[Choices]:
    return [
        _digits(stack, state, curvature, read_bits, layer),
        _biases(stack, state, curvature, read_bits, layer),
        *_cuts(stack, state, curvature, read_bits, layer),
    ]


def _digits(
    stack: Stack, state: State, curvature: Curvature, read_bits: list[Array], layer: int
) -> Choices:
    """The last digit of every weight."""
    at = stack.weights(layer)
    fewer = state.copy()
    fewer.counts[at] = np.maximum(fewer.counts[at] - 1, 0)
    change = weights(stack, fewer, layer) - weights(stack, state, layer)
    loss = 0.5 * curvature.p[at] * np.square(change).ravel()
    saved = float(stack.copies[layer]) * np.broadcast_to(read_bits[layer], change.shape).ravel()
    some = np.flatnonzero(state.counts[at] > 0)
    return Choices(loss[some], saved[some], some + at.start, 0)


def _biases(
    stack: Stack, state: State, curvature: Curvature, read_bits: list[Array], layer: int
) -> Choices:
    at = stack.biases(layer)
    some = np.flatnonzero((state.counts[at] > 0) & counts(stack, state, layer).any(1))
    loss = 0.5 * curvature.p[at] * np.square(state.p[at].astype(np.float64))
    saved = float(stack.copies[layer]) * sum_bits(stack, layer, read_bits)
    return Choices(loss[some], saved[some], some + at.start, 0)


def _cuts(
    stack: Stack, state: State, curvature: Curvature, read_bits: list[Array], layer: int
) -> list[Choices]:
    """The last bit of what a layer reads, and of the particles in a sum before it."""
    uses = float(stack.copies[layer]) * counts(stack, state, layer).sum(0)
    live = (uses > 0) & (read_bits[layer] > 0)
    found = []
    if stack.cuts[layer]:
        found.append(_cut(curvature.reads, state.reads, stack.read(layer), uses, live, 1))
    else:
        found.append(_cut(curvature.values, state.values, stack.neurons(layer - 1), uses, live, 2))
    if layer and stack.pools[layer] in SUMS:
        adders = np.full(len(uses), float(stack.copies[layer - 1]))
        mine = stack.neurons(layer - 1)
        found.append(_cut(curvature.values, state.values, mine, adders, live, 2))
    return found


def _cut(
    curvature: Array, fractions: Reals, at: slice, uses: Array, live: NDArray[np.bool_], kind: int
) -> Choices:
    some = np.flatnonzero(live & (fractions[at] > FEWEST))
    variance = 3 / 12 * np.ldexp(1.0, -2 * fractions[at].astype(int))
    loss = 0.5 * curvature[at] * variance
    return Choices(loss[some], uses[some], some + at.start, kind)
