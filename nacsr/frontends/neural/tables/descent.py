"""From tables on every edge down to almost none, and what the network was on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.descents import Batches, Task, falling
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.pools import mean_shift
from nacsr.frontends.neural.population.kernels import adam
from nacsr.frontends.neural.population.steps import loss_of
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.tables import kernels, model
from nacsr.frontends.neural.tables.prune import Seen, drop
from nacsr.frontends.neural.tables.stage import Schedule
from nacsr.frontends.neural.tables.state import BASE, BITS, ENTRIES, Layer, Reals, State, begun

BEYOND = 0.01
"""Of the words that may saturate at the end of a table that begins at zero."""
COARSE = 2.0
"""The step of centres, in standard units."""


def descend(network: Network, task: Task, schedule: Schedule) -> Iterator[State]:
    """Designs from the largest to the smallest.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    rng = np.random.default_rng(task.seed)
    state, batches = begun(network, schedule.steps, rng), Batches(task)
    _aligned(state[0], task)
    training = _Training(state, task, schedule.smooth)
    training.go(batches, falling(schedule.first, schedule.rate))
    next_rung = math.inf
    while True:
        model.settle(state)
        size = model.total(state, task.ends)
        if size <= next_rung:
            yield _polished(state, batches, task, schedule)
            next_rung = size * schedule.rung
        if size <= schedule.least:
            return
        drop(state, training.seen(), schedule.share, task.ends)
        rates = falling(schedule.between, schedule.rate)
        training.go(batches, 0.3 * schedule.rate + 0.7 * rates)


def _aligned(layer: Layer, task: Task) -> None:
    """Words read where that costs least: from zero if they have no sign, else about a centre that
    few bits say, in place.
    """
    words = task.x.reshape(-1, len(task.centre)) + task.centre
    beyond = (words >= 2.0 ** (BITS - BASE)).mean(0)
    layer.signed[:] = task.signed | (beyond > BEYOND)
    centre = np.where(layer.signed, COARSE * np.rint(task.centre / COARSE), 0)
    layer.away[:] = task.centre - centre


def _polished(state: State, batches: Batches, task: Task, schedule: Schedule) -> State:
    """A copy, trained until it rests."""
    found = [layer.copy() for layer in state]
    training = _Training(found, task, schedule.smooth)
    training.go(batches, falling(schedule.polish, schedule.rate))
    model.settle(found)
    return found


@dataclass(slots=True, eq=False)
class _Room:
    """Of a layer and a batch: what the way back needs, and what is learnt on the way.

    Attributes:
        words: what is read, (rows, inputs).
        places: the entries that it addresses.
        sums: (rows, outputs).
        entries, by_entry: of all tables, and scratch of that size.
        visits, noise: see ``Seen``; sums over steps.
        moments, bias_moments: of Adam, for the knots and the bias.
    """

    words: Reals
    places: NDArray[np.int32]
    sums: Reals
    entries: Reals
    by_entry: Reals
    visits: NDArray[np.float64]
    noise: NDArray[np.float64]
    moments: tuple[Reals, Reals]
    bias_moments: tuple[Reals, Reals]


def _room(layer: Layer, batch: int) -> _Room:
    inputs, outputs = layer.live.shape
    rows = layer.copies * batch
    table = (inputs, ENTRIES, outputs)
    return _Room(
        words=np.zeros((rows, inputs), np.float32),
        places=np.zeros((rows, inputs), np.int32),
        sums=np.zeros((rows, outputs), np.float32),
        entries=np.zeros(table, np.float32),
        by_entry=np.zeros(table, np.float32),
        visits=np.zeros((inputs, ENTRIES)),
        noise=np.zeros(outputs),
        moments=(np.zeros_like(layer.knots).ravel(), np.zeros_like(layer.knots).ravel()),
        bias_moments=(np.zeros_like(layer.bias), np.zeros_like(layer.bias)),
    )


class _Training:
    """Adam, straight through the grids of a state, which it changes."""

    def __init__(self, state: State, task: Task, smooth: float) -> None:
        self._state, self._task, self._smooth = state, task, smooth
        self._rooms = [_room(layer, task.batch) for layer in state]
        self._begun = 0
        self._steps = 0

    def seen(self) -> list[Seen]:
        """What the last steps saw."""
        per_event = self._task.batch / max(self._steps, 1)
        return [Seen(r.visits.copy(), per_event * r.noise) for r in self._rooms]

    def go(self, batches: Batches, rates: NDArray[np.float64]) -> None:
        """Some steps."""
        for room in self._rooms:
            room.visits[:], room.noise[:] = 0, 0
        self._steps = len(rates)
        task = self._task
        for some, rate in zip(batches.take(len(rates)), rates.tolist(), strict=True):
            z = np.ascontiguousarray(self._forward(task.x[some]).T)
            d = np.empty_like(z)
            loss = loss_of(task.goal, z, task.y[some].ravel(), task.weights[some], d)
            if not math.isfinite(loss):
                msg = f"training diverged: the loss is {loss} at step {self._begun}"
                raise TrainingError(msg)
            self._begun += 1
            self._backward(np.ascontiguousarray(d.T), rate)

    def _forward(self, x: Reals) -> Reals:
        a = x
        for layer, room in zip(self._state, self._rooms, strict=True):
            inputs = layer.live.shape[0]
            if layer.pool:
                a = _pooled(a.reshape(self._task.batch, -1, inputs), layer.pool)
            room.words = np.ascontiguousarray(a.reshape(-1, inputs))
            kernels.expand(layer.knots, layer.live, layer.steps, room.entries)
            model.address(layer, room.words, room.places)
            bias = model.bias(layer).astype(np.float32)
            kernels.look_up(room.entries, room.places, layer.used, bias, room.sums)
            a = room.sums
        return a

    def _backward(self, d: Reals, rate: float) -> None:
        for n in range(len(self._state) - 1, -1, -1):
            layer, room = self._state[n], self._rooms[n]
            used = layer.used
            room.noise += layer.copies * np.square(d).mean(0) * self._task.batch
            g, by_bias = np.empty_like(layer.knots), d.sum(0)
            kernels.to_knots(d, room.places, used, layer.live, room.by_entry, room.visits, g)
            if n:
                e = np.empty_like(room.words)
                words, reads, tops = room.words, layer.reads, layer.tops
                kernels.to_inputs(d, room.entries, room.places, used, words, reads, tops, e)
                d = self._unpooled(e, n)
            knots = layer.knots.ravel()
            adam(knots, g.ravel(), *room.moments, rate, 0.0, 0.0, False, self._begun)
            adam(layer.bias, by_bias, *room.bias_moments, rate, 0.0, 0.0, False, self._begun)
            kernels.smooth(layer.knots, np.float32(rate * self._smooth))

    def _unpooled(self, e: Reals, n: int) -> Reals:
        """Gradient by the sums of the layer before, from that by what layer ``n`` reads."""
        pool, before = self._state[n].pool, self._rooms[n - 1].sums
        if not pool:
            return e
        particles = before.reshape(self._task.batch, -1, e.shape[1])
        spread = np.broadcast_to(e[:, None] * np.float32(_factor(particles, pool)), particles.shape)
        if pool == "max":
            first = particles.argmax(1)[:, None]
            spread = np.where(np.arange(particles.shape[1])[:, None] == first, spread, 0)
        return np.ascontiguousarray(spread.reshape(before.shape), np.float32)


def _pooled(a: Reals, kind: str) -> Reals:
    found: Reals = a.max(1) if kind == "max" else a.sum(1) * np.float32(_factor(a, kind))
    return found


def _factor(particles: Reals, kind: str) -> float:
    """What a pool multiplies its sum by."""
    return 2.0 ** -mean_shift(particles.shape[1]) if kind == "mean" else 1.0
