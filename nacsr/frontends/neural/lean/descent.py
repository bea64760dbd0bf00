"""From a network of a few digits a weight down to almost nothing, and what it was on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.descents import Batches, Task, falling
from nacsr.frontends.neural.lean import kernels, model, steps
from nacsr.frontends.neural.lean.prune import Curvature, drop
from nacsr.frontends.neural.lean.stage import Schedule
from nacsr.frontends.neural.lean.state import Stack, State
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.population.steps import loss_of

MEASURED = 16_384
"""Training events that the bits of values are taken from while it shrinks."""
JUDGED = 4096
"""Training events that a drop is tried on."""
SECOND_MOMENT = 0.999
"""How Adam forgets squared gradients, see ``population.kernels.adam``."""


ENDLESS = 12
"""Integer bits of values before anything is known of them."""


def begun(stack: Stack, schedule: Schedule, task: Task) -> State:
    """Random weights; half a step in every bias, for what is cut off; no end to values."""
    rng = np.random.default_rng(task.seed)
    p = np.zeros(int(stack.biases(len(stack.inputs) - 1).stop), np.float32)
    counts = np.ones(len(p), np.int8)
    for layer in stack.layers:
        at = stack.weights(layer)
        limit = math.sqrt(6 / float(stack.inputs[layer]))
        p[at] = rng.uniform(-limit, limit, at.stop - at.start)
        counts[at] = schedule.digits
        if layer < len(stack.inputs) - 1:
            p[stack.biases(layer)] = 2.0 ** -(schedule.value_bits + 1)
    reads = np.full(int(stack.reads[-1]), schedule.read_bits, np.float32)
    values = np.full(int(stack.rows[-1]), schedule.value_bits, np.float32)
    read_tops, value_tops = np.full_like(reads, ENDLESS), np.full_like(values, ENDLESS)
    read_tops[stack.read(0)] = task.widest
    return State(p, counts, reads, values, read_tops, value_tops)


def descend(stack: Stack, task: Task, schedule: Schedule) -> Iterator[State]:
    """Designs from the largest to the smallest.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    run = _Run(stack, task, schedule)
    run.go(falling(schedule.first, schedule.rate))
    next_rung = math.inf
    while True:
        size = run.adder_bits()
        if size <= next_rung:
            yield run.polished()
            next_rung = size * schedule.rung
        if size <= schedule.least:
            return
        run.shrink()
        rates = falling(schedule.between, schedule.rate)
        run.go(0.3 * schedule.rate + 0.7 * rates)


class _Run:
    """A network in training."""

    def __init__(self, stack: Stack, task: Task, schedule: Schedule) -> None:
        self.stack, self.task, self.schedule = stack, task, schedule
        self.state = begun(stack, schedule, task)
        self._batches = Batches(task)
        self._forget()
        self._room = room(stack, task.batch, len(self.state.p))

    def _forget(self) -> None:
        self._m, self._v = np.zeros_like(self.state.p), np.zeros_like(self.state.p)
        self._begun = 0

    def go(self, rates: NDArray[np.float64]) -> None:
        """Train, and see how much the loss depends on everything."""
        task, state = self.task, self.state
        zeros = (np.zeros_like(state.reads), np.zeros_like(state.values))
        self._noise, losses = steps.Noise(*zeros), np.zeros(len(rates))
        self._steps = len(rates)
        steps.train(
            self.stack,
            self._room,
            task.goal,
            task.x,
            task.y,
            task.weights,
            self._batches.take(len(rates)),
            rates,
            state.p,
            state.counts,
            state.reads,
            state.values,
            state.read_tops,
            state.value_tops,
            self._m,
            self._v,
            self._begun,
            self._noise,
            losses,
        )
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            msg = f"training diverged: the loss is {losses[bad[0]]} at step {self._begun + bad[0]}"
            raise TrainingError(msg)
        self._begun += len(rates)

    def adder_bits(self) -> float:
        """Bits of all adders, were nothing shared; what says nothing is gone before."""
        stack, state = self.stack, self.state
        for layer in stack.layers:
            at = stack.weights(layer)
            kernels.tighten(state.p[at], state.counts[at])
        _, self._seen = model.scores(stack, state, self.task.x[:MEASURED])
        model.settle(stack, state, self._seen)
        model.unsaturate(stack, state, self.task.widest)
        return model.adder_bits(stack, state, self.task.widest)

    def shrink(self) -> None:
        """Drop a share of the adder bits."""
        batch = float(self.task.batch)
        per_step = batch / self._steps
        curvature = Curvature(
            batch * self._v.astype(np.float64) / (1 - SECOND_MOMENT**self._begun),
            per_step * self._noise.reads.astype(np.float64),
            per_step * self._noise.values.astype(np.float64),
        )
        share, base = self.schedule.share, self._loss(self.state)
        self.state = drop(
            self.stack,
            self.state,
            self._seen,
            curvature,
            share,
            self.task.widest,
            lambda state: self._loss(state) - base,
        )

    def _loss(self, state: State) -> float:
        """Of some training events, exactly."""
        task, some = self.task, slice(JUDGED)
        z, _ = model.scores(self.stack, state, task.x[some])
        found = np.ascontiguousarray(z.T, np.float32)
        y, weights = np.ascontiguousarray(task.y[some]).ravel(), task.weights[some]
        return loss_of(task.goal, found, y, weights, np.empty_like(found))

    def polished(self) -> State:
        """A copy, trained until it rests; what goes on is as it was."""
        kept = self.state.copy(), self._m, self._v, self._begun, self._noise, self._steps
        self._forget()
        self.go(falling(self.schedule.polish, self.schedule.rate))
        found = self.state
        self.state, self._m, self._v, self._begun, self._noise, self._steps = kept
        return found


def room(stack: Stack, batch: int, parameters: int) -> steps.Room:
    """Scratch for batches of that many events."""
    stride = int(stack.copies.max()) * batch
    widest = int(max(stack.inputs.max(), stack.outputs.max()))
    rows, reads = int(stack.rows[-1]), int(stack.reads[-1])
    sizes = (rows * stride, rows * stride, reads * stride, reads * stride, parameters)
    ends = (widest * stride, widest * stride)
    sums, values, pooled, read, weights, d, e = (np.zeros(n, np.float32) for n in (*sizes, *ends))
    return steps.Room(sums, values, pooled, read, weights, d, e, stride)
