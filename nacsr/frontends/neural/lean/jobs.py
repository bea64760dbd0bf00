"""The job that makes lean designs: one descent, a design wherever it came past a rung."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nacsr.data.words import standardise
from nacsr.errors import GraphError, NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.neural import lessons
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.jobs import FAMILY, one_thread, rows_of
from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.descent import Task, descend
from nacsr.frontends.neural.lean.lower import lower
from nacsr.frontends.neural.lean.stage import KIND, Schedule, sizes
from nacsr.frontends.neural.lean.state import Reals, Stack, State, stack_of
from nacsr.frontends.neural.plan import FAULTS
from nacsr.frontends.neural.population.trainer import goal_of
from nacsr.frontends.neural.space import Network
from nacsr.frontends.stem import score_type, scores
from nacsr.ir import Graph

FLOW = "hls"
CHECKED = 4096
"""Validation events on which a lowered network must equal the trained one bit for bit."""


def run(job: Job, problem: Problem) -> Outcome:
    """A descent; what could not be lowered, or where training diverged, says why."""
    network = Network.from_dict(job.payload["network"])
    stack, schedule = stack_of(network), Schedule(**job.payload["schedule"])
    rows, seed = rows_of(problem), int(job.payload["seed"])
    found: list[Found] = []
    try:
        with one_thread():
            for number, state in enumerate(
                descend(stack, _task(problem, rows, stack, seed), schedule)
            ):
                candidate = _candidate(network, stack, state, number, seed)
                found.append(_design(candidate, stack, state, rows, problem))
    except FAULTS as error:
        failed = _candidate(network, stack, None, len(found), seed)
        found.append(Found(replace(failed, reason=str(error) or type(error).__name__)))
    return Outcome(found=tuple(found))


def _task(problem: Problem, rows: Rows, stack: Stack, seed: int) -> Task:
    x, events = rows.x.numpy(), len(rows.x)
    weights = np.ones(events, np.float32) if rows.weights is None else rows.weights.numpy()
    return Task(
        x,
        rows.y.numpy().astype(np.float32).reshape(events, -1),
        weights,
        goal_of(rows),
        widest(problem, int(stack.inputs[0])),
        lessons.batch_size(events),
        lessons.stream(seed, KIND, stack.inputs.tolist(), stack.pools.tolist()),
    )


def widest(problem: Problem, inputs: int) -> Reals:
    """Integer bits that every standardised word fits into, of each input of a particle."""
    ends = np.array([[f.type.min_raw, f.type.max_raw] for f in problem.features], np.int64).T
    values = np.abs(standardise(ends, problem.features, problem.scaling)).max(0)
    whole = np.floor(np.log2(values)) + 1
    return np.asarray(whole.reshape(-1, inputs).max(0), np.float32)


def _candidate(
    network: Network, stack: Stack, state: State | None, number: int, seed: int
) -> Candidate:
    genotype: dict[str, Any] = {**network.to_dict(), "training": KIND, "design": number}
    title = f"lean {sizes(network)}"
    if state is not None:
        digits = sum(int(model.counts(stack, state, layer).sum()) for layer in stack.layers)
        genotype["digits"] = digits
        title += f", {digits} digits"
    return Candidate(FAMILY, genotype, seed, title)


def _design(
    candidate: Candidate, stack: Stack, state: State, rows: Rows, problem: Problem
) -> Found:
    try:
        graph = lower(stack, state, problem.features, problem.scaling, problem.outputs, rows.units)
        _check(graph, stack, state, rows, problem)
        return Found(candidate, measure(graph, problem, FLOW), graph)
    except NacsrError as error:
        return Found(replace(candidate, reason=str(error)))


def _check(graph: Graph, stack: Stack, state: State, rows: Rows, problem: Problem) -> None:
    """Compare a lowered network with the trained one, bit for bit."""
    some = problem.validation.take(np.arange(min(CHECKED, len(problem.validation))))
    found = score_type(graph).to_float(scores(graph, problem.features, some.words))
    expected, _ = model.scores(stack, state, problem.values(some))
    if rows.units is not None:
        expected = np.ldexp(expected, rows.units.shift) + np.array(rows.units.centre)
    wrong = int((found != expected).sum())
    if wrong:
        msg = (
            f"the lowered network differs from the trained one in {wrong} of {found.size} scores; "
            "this is a fault of nacsr, please report it"
        )
        raise GraphError(msg)
