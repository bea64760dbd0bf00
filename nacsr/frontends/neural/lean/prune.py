"""Which digit, bit or bias to drop next: the least loss for each adder bit saved.

The loss that a change of a parameter by ``x`` brings is taken as ``h x**2 / 2``, where ``h`` is
the mean squared gradient of an event (Le Cun et al., Optimal Brain Damage, 1990, with the
diagonal of the Fisher information for that of the Hessian). A value cut off one bit higher
changes by a uniform error, whose variance grows from ``s**2 / 12`` to four times that; one
saturated at half of what it was loses what is above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean.model import Array, Seen, bits, counts, limit, sum_bits, weights
from nacsr.frontends.neural.lean.state import SUMS, Reals, Stack, State

FEWEST = -8
"""Fraction bits below which nothing is cut."""
VALUES = {"reads": "read", "read_tops": "read", "values": "value", "value_tops": "value"}
"""Whose bits the fields of ``State`` count."""
FEW, TRIES = 16, 2
"""How many things are few enough to be tried, and how many are tried for each that goes."""


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

    def items(self) -> Iterator[Item]:
        """One by one."""
        rows = zip(self.where.tolist(), self.loss.tolist(), self.saved.tolist(), strict=True)
        return (Item(self.kind, *row) for row in rows)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One thing that could be dropped: field of ``State``, index there, loss, adder bits."""

    kind: str
    where: int
    loss: float
    saved: float

    @property
    def price(self) -> float:
        """Loss for each bit; half a bit at least, so that what saves nothing is not free."""
        return self.loss / max(self.saved, 0.5)


def drop(
    stack: Stack,
    state: State,
    seen: Seen,
    curvature: Curvature,
    share: float,
    widest: Reals,
    judge: Callable[[State], float],
) -> State:
    """What is left when a share of the adder bits is gone, the cheapest in loss first.

    Args:
        stack, state: the network; it stays as it is.
        seen: of that network.
        curvature: estimates what a change costs.
        share: of the adder bits.
        widest: integer bits that every word of an input fits into, (features,).
        judge: the loss of a network: where few things go, those that the estimate prefers
            are tried one by one, since a large change of a small network has no curvature.
    """
    left = state.copy()
    view = _View(stack, left, seen, curvature, bits(stack, state), widest)
    found = [
        item
        for layer in stack.layers
        for choice in (view.digits(layer), view.biases(layer), *view.cuts(layer))
        for item in choice.items()
    ]
    # a digit or a bias saves its bits, so these sum to all that there is
    wanted = share * sum(item.saved for item in found if item.kind == "counts")
    found.sort(key=lambda item: item.price)
    chosen = _until(found, wanted)
    if len(chosen) <= FEW:
        tried = [_tried(stack, left, item, judge) for item in found[: TRIES * len(chosen) + FEW]]
        chosen = _until(sorted(tried, key=lambda item: item.price), wanted)
    for item in chosen:
        getattr(left, item.kind)[item.where] -= 1
    limit(stack, left)
    return left


def _until(items: Sequence[Item], wanted: float) -> list[Item]:
    """The first items, until they save enough; of a value only its first or its last bit."""
    found: list[Item] = []
    values: set[tuple[str, int]] = set()
    saved = 0.0
    for item in items:
        value = (VALUES.get(item.kind, ""), item.where)
        if value[0] and value in values:
            continue
        values.add(value)
        found.append(item)
        saved += item.saved
        if saved > wanted:
            break
    return found


def _tried(stack: Stack, state: State, item: Item, judge: Callable[[State], float]) -> Item:
    """An item with the loss that dropping it leaves."""
    without = state.copy()
    getattr(without, item.kind)[item.where] -= 1
    limit(stack, without)
    return replace(item, loss=judge(without))


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A network, what is known of it, and what could be dropped of its layers.

    Attributes:
        read_bits: of everything that each layer reads.
        stack, state, seen, curvature, widest: as of ``drop``.
    """

    stack: Stack
    state: State
    seen: Seen
    curvature: Curvature
    read_bits: Sequence[Array]
    widest: Reals

    def digits(self, layer: int) -> Choices:
        """The last digit of every weight."""
        stack, state = self.stack, self.state
        at = stack.weights(layer)
        fewer = state.copy()
        fewer.counts[at] = np.maximum(fewer.counts[at] - 1, 0)
        change = weights(stack, fewer, layer) - weights(stack, state, layer)
        loss = 0.5 * self.curvature.p[at] * np.square(change).ravel()
        each = np.broadcast_to(self.read_bits[layer], change.shape).ravel()
        saved = float(stack.copies[layer]) * each
        some = np.flatnonzero(state.counts[at] > 0)
        return Choices(loss[some], saved[some], some + at.start, "counts")

    def biases(self, layer: int) -> Choices:
        """Whole biases."""
        stack, state = self.stack, self.state
        at = stack.biases(layer)
        some = np.flatnonzero((state.counts[at] > 0) & counts(stack, state, layer).any(1))
        loss = 0.5 * self.curvature.p[at] * np.square(state.p[at].astype(np.float64))
        saved = float(stack.copies[layer]) * sum_bits(stack, state, layer)
        return Choices(loss[some], saved[some], some + at.start, "counts")

    def cuts(self, layer: int) -> Iterator[Choices]:
        """The last and the first bit of what is read, and of the particles in a sum before."""
        stack, state, read_bits = self.stack, self.state, self.read_bits[layer]
        uses = float(stack.copies[layer]) * counts(stack, state, layer).sum(0)
        uses = uses * (read_bits > 0)
        if stack.cuts[layer]:
            at = stack.read(layer)
            yield _last(self.curvature.reads[at], state.reads[at], uses, at.start, "reads")
            lost = self.curvature.reads[at] * self.seen.read_excess[at]
            if layer == 0:  # the first bit less is paid with logic that saturates
                free = state.read_tops[at] < self.widest
                uses = np.where(free, uses, uses - float(stack.copies[0]) * read_bits)
            yield _first(lost, uses, at.start, "read_tops")
        if layer and (stack.pools[layer] in SUMS or not stack.cuts[layer]):
            at = stack.neurons(layer - 1)
            if stack.cuts[layer]:
                uses = np.full(len(uses), float(stack.copies[layer - 1])) * (uses > 0)
            excess, curvature = self.seen.value_excess[at], self.curvature.values[at]
            one = np.where(state.values[at] + state.value_tops[at] == 1, excess, 0)
            yield _last(curvature, state.values[at], uses, at.start, "values", one)
            yield _first(curvature * excess, uses, at.start, "value_tops")


def _last(
    curvature: Array,
    fractions: Reals,
    uses: Array,
    begin: int,
    kind: str,
    only: Array | float = 0.0,
) -> Choices:
    """Fraction bits; ``only`` is the mean square of values that have one bit, which is all."""
    some = np.flatnonzero((uses > 0) & (fractions > FEWEST))
    variance = np.maximum(3 / 12 * np.ldexp(1.0, -2 * fractions.astype(int)), only)
    return Choices((0.5 * curvature * variance)[some], uses[some], some + begin, kind)


def _first(lost: Array, uses: Array, begin: int, kind: str) -> Choices:
    """Integer bits."""
    some = np.flatnonzero(uses > 0)
    return Choices((0.5 * lost)[some], uses[some], some + begin, kind)
