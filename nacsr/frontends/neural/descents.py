"""Jobs that make one network smaller and smaller: a design wherever it came past a rung."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import standardise
from nacsr.errors import GraphError, NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.neural import lessons
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.jobs import FAMILY, one_thread, rows_of
from nacsr.frontends.neural.plan import FAULTS
from nacsr.frontends.neural.population.trainer import goal_of
from nacsr.frontends.neural.space import Network
from nacsr.frontends.stem import score_type, scores
from nacsr.ir import Graph

Reals = NDArray[np.float32]
Array = NDArray[np.float64]

FLOW = "hls"
CHECKED = 4096
"""Validation events on which a lowered network must equal the trained one bit for bit."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is to be learnt.

    Attributes:
        x: standardised words, (events, words).
        y: (events, targets): a class index, or real targets.
        weights: of events.
        goal: a loss of ``population.steps``.
        ends: the least and the largest word of each input, (features,).
        centre: what was subtracted from its words, in standard units, (features,).
        signed: whether they have a sign before that, (features,).
        batch: events of a step.
        seed: of weights and of the order of events.
    """

    x: Reals
    y: Reals
    weights: Reals
    goal: int
    ends: tuple[Array, Array]
    centre: Array
    signed: NDArray[np.bool_]
    batch: int
    seed: int

    @property
    def widest(self) -> Reals:
        """Integer bits that every word of an input fits into, beside a sign, (features,)."""
        low, high = self.ends
        inside = np.floor(np.log2(np.maximum(high, 2.0**-40))) + 1
        below = np.ceil(np.log2(np.maximum(-low, 2.0**-40)))
        return np.asarray(np.maximum(inside, below), np.float32)


class Batches:
    """Events without replacement until all were seen, then anew."""

    def __init__(self, task: Task) -> None:
        self._events, self._size = len(task.x), task.batch
        self._rng = np.random.default_rng([task.seed, 1])
        self._queue = np.zeros(0, np.int64)

    def take(self, count: int) -> NDArray[np.int64]:
        """The events of some batches, (batches, events)."""
        whole = self._events // self._size * self._size
        while len(self._queue) < count * self._size:
            more = self._rng.permutation(self._events)[:whole]
            self._queue = np.concatenate([self._queue, more])
        found, self._queue = np.split(self._queue, [count * self._size])
        return found.reshape(count, self._size)


def falling(count: int, rate: float) -> NDArray[np.float64]:
    """Rates that fall to zero by a cosine."""
    return np.asarray(rate * 0.5 * (1 + np.cos(np.pi * np.arange(count) / count)))


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A network on the way down.

    Attributes:
        title: for people.
        genotype: what the archive keeps besides the network.
        scores: of standardised words (events, words), exactly.
        lower: makes the graph for a problem; units are those of a regression.
    """

    title: str
    genotype: Mapping[str, Any]
    scores: Callable[[Array], Array]
    lower: Callable[[Problem, Rows], Graph]


Descent = Callable[[Network, Task, Mapping[str, Any]], Iterator[Design]]
"""Designs of a network, a task, and a schedule as a job's payload holds it."""


def run(job: Job, problem: Problem, descent: Descent) -> Outcome:
    """A descent; what could not be lowered, or where training diverged, says why."""
    network, seed = Network.from_dict(job.payload["network"]), int(job.payload["seed"])
    rows = rows_of(problem)
    same = {**network.to_dict(), "training": job.kind}
    found: list[Found] = []
    try:
        with one_thread():
            task = _task(problem, rows, network, job)
            for design in descent(network, task, job.payload["schedule"]):
                genotype = {**same, "design": len(found), **design.genotype}
                candidate = Candidate(FAMILY, genotype, seed, design.title)
                found.append(_found(candidate, design, rows, problem))
    except FAULTS as error:
        genotype = {**same, "design": len(found)}
        reason = str(error) or type(error).__name__
        found.append(Found(Candidate(FAMILY, genotype, seed, job.label, reason=reason)))
    return Outcome(found=tuple(found))


def _task(problem: Problem, rows: Rows, network: Network, job: Job) -> Task:
    x, events = rows.x.numpy(), len(rows.x)
    weights = np.ones(events, np.float32) if rows.weights is None else rows.weights.numpy()
    inputs = network.input[-1]
    return Task(
        x=x,
        y=rows.y.numpy().astype(np.float32).reshape(events, -1),
        weights=weights,
        goal=goal_of(rows),
        ends=_ends(problem, inputs),
        centre=_centre(problem, inputs),
        signed=np.array([f.type.signed for f in problem.features[:inputs]]),
        batch=lessons.batch_size(events),
        seed=lessons.stream(job.payload["seed"], job.kind, network.key),
    )


def _ends(problem: Problem, inputs: int) -> tuple[Array, Array]:
    """The least and the largest standardised word of each input of a particle."""
    ends = np.array([[f.type.min_raw, f.type.max_raw] for f in problem.features], np.int64).T
    low, high = standardise(ends, problem.features, problem.scaling).reshape(2, -1, inputs)
    return low.min(0), high.max(0)


def _centre(problem: Problem, inputs: int) -> Array:
    """What was subtracted from the words of a particle, in standard units."""
    scaling, features = problem.scaling, problem.features[:inputs]
    parts = zip(features, scaling.offsets, scaling.shifts, strict=False)
    return np.array([offset * f.type.lsb * 2.0**-shift for f, offset, shift in parts])


def _found(candidate: Candidate, design: Design, rows: Rows, problem: Problem) -> Found:
    try:
        graph = design.lower(problem, rows)
        _check(graph, design, rows, problem)
        return Found(candidate, measure(graph, problem, FLOW), graph)
    except NacsrError as error:
        return Found(replace(candidate, reason=str(error)))


def _check(graph: Graph, design: Design, rows: Rows, problem: Problem) -> None:
    """Compare a lowered network with the trained one, bit for bit."""
    some = problem.validation.take(np.arange(min(CHECKED, len(problem.validation))))
    found = score_type(graph).to_float(scores(graph, problem.features, some.words))
    expected = design.scores(problem.values(some))
    if rows.units is not None:
        expected = np.ldexp(expected, rows.units.shift) + np.array(rows.units.centre)
    wrong = int((found != expected).sum())
    if wrong:
        msg = (
            f"the lowered network differs from the trained one in {wrong} of {found.size} scores; "
            "this is a fault of nacsr, please report it"
        )
        raise GraphError(msg)
