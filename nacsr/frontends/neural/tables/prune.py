"""What to drop next from a table network: the least loss for each LUT saved.

A change of a table by ``f(x)`` is taken to cost a loss of ``h E[f(x)**2] / 2``, where ``h`` is the
mean squared gradient of an event by the sum (the diagonal Fisher information, as in Le Cun et al.,
Optimal Brain Damage, 1990), and the mean is over the words that were seen: what becomes of a table,
as a list of numbers, is known. Of entries that a bit told apart it is how far they were from their
mean, which training then finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.tables import model
from nacsr.frontends.neural.tables.state import Flags, Layer, State

Array = NDArray[np.float64]

LEAST_SAVED = 0.25
"""LUTs: what saves almost nothing is not free."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Of a layer in training.

    Attributes:
        visits: how often every entry was read, (inputs, ENTRIES).
        noise: mean squared gradient of an event by every sum, (outputs,).
    """

    visits: Array
    noise: Array


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that could be dropped.

    Attributes:
        kind: ``table``, or the array of a layer that falls by one: ``reads``, ``tops``, ``steps``.
        layer: number of the layer.
        where: index in the array.
        loss: what it would cost.
        saved: LUTs.
    """

    kind: str
    layer: int
    where: tuple[int, ...]
    loss: float
    saved: float

    @property
    def price(self) -> float:
        """Loss for each LUT."""
        return self.loss / max(self.saved, LEAST_SAVED)

    @property
    def word(self) -> tuple[object, ...]:
        """What may change only once in a round: a word loses its first or its last bit."""
        kind = "words" if self.kind in ("reads", "tops") else self.kind
        return kind, self.layer, self.where


def drop(state: State, seen: Sequence[Seen], share: float, ends: model.Ends) -> None:
    """Drop a share of the LUTs, the cheapest in loss first, in place.

    Args:
        state: the network.
        seen: of its layers.
        share: of the LUTs.
        ends: the least and the largest word of every input, (features,) each.
    """
    items: list[Item] = []
    made = [model.entries(layer) for layer in state]
    beyond, size = model.saturated(state, made, ends), model.total(state, ends)
    for number, (layer, record) in enumerate(zip(state, seen, strict=True)):
        found = _items(number, layer, record, made[number], beyond[number])
        items += [item for item in found if item.saved > 0]
    saved, words = 0.0, set()
    for item in sorted(items, key=lambda item: item.price):
        if item.word not in words:
            words.add(item.word)
            _apply(state[item.layer], seen[item.layer], item)
            saved += item.saved
        if saved > share * size:
            break
    model.settle(state)


def _apply(layer: Layer, seen: Seen, item: Item) -> None:
    if item.kind != "table":
        getattr(layer, item.kind)[item.where] -= 1
        return
    i, j = item.where
    mean, _ = _moments(model.entries(layer)[i, :, j], seen.visits[i])
    layer.bias[j] += mean
    layer.live[i, j] = False


def _items(number: int, layer: Layer, seen: Seen, table: Array, beyond: Flags) -> Iterator[Item]:
    """All of a layer."""
    sizes, widths = model.luts(layer, table), model.widths(layer, table)
    for i in np.flatnonzero(layer.used).tolist():
        _, variance = _moments(table[i], seen.visits[i])
        for j in np.flatnonzero(layer.live[i]).tolist():
            loss = 0.5 * seen.noise[j] * float(variance[j])
            yield Item("table", number, (i, j), loss, float(sizes[i, j]))
        if layer.bits[i] > 1:
            yield from _address(number, layer, seen, table, widths, i, bool(beyond[i]))
    each = layer.copies * (model.lut_bits(layer.bits) + 1)
    for j in np.flatnonzero(layer.live.any(0)).tolist():
        some = layer.live[:, j]
        # rounding errors are uniform, and their variance grows to four times what it was
        variance = 3 / 12 * 4.0 ** -float(layer.steps[j]) * int(some.sum())
        yield Item("steps", number, (j,), 0.5 * seen.noise[j] * variance, float(each[some].sum()))


def _address(
    number: int, layer: Layer, seen: Seen, table: Array, widths: Array, i: int, beyond: bool
) -> Iterator[Item]:
    """The last and the first bit of a word: entries that become one, at their mean.

    What saturates a word takes about a LUT for each bit that is left of it.
    """
    visited, live = layer.visited(i), layer.live[i]
    entries, visits = table[i, visited][:, live], seen.visits[i, visited]
    noise = seen.noise[live]
    before, after = model.lut_bits(layer.bits[i] - np.arange(2))
    smaller = float((before - after) * widths[i, live].sum())
    saturating = 0.0 if beyond else 1.0 - float(layer.bits[i])
    order, events = np.arange(len(visited)), max(visits.sum(), 1)
    quarter = len(visited) // 4 if layer.signed[i] else 0
    last = quarter + len(visited) // 2 - 1
    choices = (
        ("reads", order // 2, smaller + beyond),
        ("tops", np.clip(order, quarter, last), smaller + beyond + saturating),
    )
    for kind, group, saved in choices:
        apart = _within(entries, visits, group) / events
        yield Item(kind, number, (i,), 0.5 * float(noise @ apart), layer.copies * saved)


def _within(entries: Array, visits: Array, group: NDArray[np.int64]) -> Array:
    """Sums of squares about the means of groups of entries, (outputs,)."""
    count = np.bincount(group, visits)
    found = [
        visits @ np.square(e - (np.bincount(group, visits * e) / np.maximum(count, 1))[group])
        for e in entries.T
    ]
    return np.array(found)


def _moments(entries: Array, visits: Array) -> tuple[Array, Array]:
    """Mean and variance of entries, over their first axis, as often as they were read."""
    share = visits / max(visits.sum(), 1)
    mean = share @ entries
    return mean, share @ np.square(entries - mean)
