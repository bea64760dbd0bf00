"""The network family: NSGA-II over perceptrons, short trainings, Brevitas for the survivors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError, NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.lower import from_brevitas, network
from nacsr.frontends.neural.space import Mlp, decode, genes
from nacsr.frontends.neural.train import (
    in_units,
    lowered,
    plan,
    train_float,
    train_quantised,
    useful_steps,
)
from nacsr.frontends.stem import scores
from nacsr.ir import Graph
from nacsr.measure import METRICS, QUALITY, Measurement
from nacsr.search.nsga2 import Nsga2
from nacsr.search.pareto import nondominated
from nacsr.spec import Budget, NetworkSpec
from nacsr.targets import target

if TYPE_CHECKING:
    import torch
    from torch import nn

FAMILY = "network"
FLOW = "hls4ml"
FLOAT_SHARE = 0.6
"""Share of a training's steps that are done in float; the others are quantised."""
CHECKED = 4096
"""Validation events on which a lowered network must equal Brevitas bit for bit."""

Objectives = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A network that the search has trained; ``objectives`` is None if that failed."""

    mlp: Mlp
    candidate: str
    objectives: Objectives | None


class NeuralFrontend:
    """Searches networks generation by generation, then trains the best again with Brevitas.

    Three objectives are minimised: the share of wrong validation events, or the root of the
    mean squared error of a regression (both bit-true), the area in LUTs, where a DSP counts as
    many LUTs as the target has for each of its DSPs, and the latency in cycles. A failed
    training ranks behind every success.

    Raises:
        SpecError: for a search space that cannot be lowered exactly.
    """

    family = FAMILY

    def __init__(self, problem: Problem, spec: NetworkSpec, budget: Budget, seed: int) -> None:
        self.phase = "network search"
        self._problem, self._budget, self._seed = problem, budget, seed
        self._nsga2 = Nsga2(genes(spec), 3, budget.population, seed)
        self._generation: list[Mlp] = []
        self._done = 0
        self._tried: dict[str, _Tried] = {}
        self._finished = False

    def ask(self) -> list[Job]:
        """The next generation's new networks; after the last one, the finalists."""
        while self._done < self._budget.generations:
            self._generation = [decode(values) for values in self._nsga2.ask()]
            self._done += 1
            self.phase = f"network search {self._done}/{self._budget.generations}"
            new = {m.key: m for m in self._generation if m.key not in self._tried}
            if new:
                return [self._job("search", m, self._budget.search_steps) for m in new.values()]
            self._breed()
        if self._finished:
            return []
        self.phase = "network training"
        self._finished = True
        steps = self._budget.final_steps
        return [self._job("final", t.mlp, steps, t.candidate) for t in self._finalists()]

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the last batch, in order."""
        if self._finished:
            return
        for job, outcome in zip(jobs, outcomes, strict=True):
            mlp = Mlp.from_dict(job.payload["mlp"])
            found = outcome.result["objectives"]
            objectives = None if found is None else tuple(found)
            self._tried[mlp.key] = _Tried(mlp, outcome.found[0].candidate.id, objectives)
        self._breed()

    def _breed(self) -> None:
        if self._generation:
            self._nsga2.tell([self._tried[m.key].objectives for m in self._generation])

    def _finalists(self) -> list[_Tried]:
        alive = [t for t in self._tried.values() if t.objectives is not None]
        points = np.array([t.objectives for t in alive], dtype=np.float64).reshape(len(alive), 3)
        return [alive[i] for i in spread(points, self._budget.finalists)]

    def _job(self, kind: str, mlp: Mlp, steps: int, parent: str = "") -> Job:
        payload = {"mlp": mlp.to_dict(), "steps": steps, "seed": self._seed, "parent": parent}
        return Job(FAMILY, kind, payload, _title(mlp, self._problem))

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Train one network, lower it and measure it; a failure is a ``Found`` with its reason."""
        mlp, seed = Mlp.from_dict(job.payload["mlp"]), int(job.payload["seed"])
        final, parent = job.kind == "final", str(job.payload["parent"])
        genotype = {**mlp.to_dict(), "training": "brevitas" if final else "search"}
        parents = (parent,) if parent else ()
        title = _title(mlp, problem)
        try:
            with _one_thread():
                graph = (_final if final else _search)(mlp, problem, job)
            measured = measure(graph, problem, FLOW)
        except (NacsrError, RuntimeError, MemoryError) as error:  # torch raises RuntimeError
            failed = Candidate(FAMILY, genotype, seed, title, parents, reason=str(error))
            return Outcome({"objectives": None}, found=(Found(failed),))
        candidate = Candidate(FAMILY, genotype, seed, title, parents)
        # short trainings are no designs: only networks trained to the end carry a graph
        found = Found(candidate, measured, graph if final else None)
        return Outcome({"objectives": _objectives(measured, problem)}, found=(found,))


def spread(points: NDArray[np.float64], count: int) -> list[int]:
    """Indices of ``count`` points of the front, from the best first objective to the worst.

    The best of the first objective and (if there is room for two) of the second are among
    them, the others lie evenly over the front by rank.
    """
    front = np.flatnonzero(nondominated(points))
    order = front[np.lexsort(points[front].T[::-1])]
    picks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int).tolist()
    if len(picks) > 1:
        cheapest = int(np.argmin(points[order, 1]))
        if cheapest not in picks:
            picks = sorted([*picks[:-1], cheapest])
    return [int(order[i]) for i in picks]


def _title(mlp: Mlp, problem: Problem) -> str:
    return mlp.title(len(problem.features), len(problem.outputs))


def _generator(job: Job) -> torch.Generator:
    """A random stream of the job's own."""
    import torch

    digest = hashlib.sha256(job.key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: sums in another order would change results."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rows(problem: Problem) -> Rows:
    train, outputs = problem.train, len(problem.outputs)
    return Rows.of(problem.values(train), train, outputs, problem.task)


def _steps(job: Job, events: int) -> tuple[int, int]:
    """Float and quantised steps of a training."""
    steps = useful_steps(int(job.payload["steps"]), events)
    first = round(steps * FLOAT_SHARE)
    return first, steps - first


def _search(mlp: Mlp, problem: Problem, job: Job) -> Graph:
    rows, generator = _rows(problem), _generator(job)
    first, second = _steps(job, len(rows.x))
    layers = train_float(mlp, rows, first, generator)
    types = plan(mlp, layers, rows.x)
    layers = train_quantised(types, layers, rows, second, generator)
    types, layers = in_units(types, layers, rows.units)
    return network(problem.features, problem.scaling, lowered(types, layers))


def _final(mlp: Mlp, problem: Problem, job: Job) -> Graph:
    rows, generator = _rows(problem), _generator(job)
    first, second = _steps(job, len(rows.x))
    layers = train_float(mlp, rows, first, generator)
    types = plan(mlp, layers, rows.x)
    module = qat.build(types, layers)
    qat.finetune(module, rows, second, generator)
    if rows.units is not None:
        module = qat.build(*in_units(types, qat.layers(module), rows.units))
    graph = from_brevitas(module, problem.features, problem.scaling)
    _check(graph, module, problem)
    return graph


def _check(graph: Graph, module: nn.Sequential, problem: Problem) -> None:
    raw = scores(graph, problem.features, problem.validation.words[:CHECKED])
    ours = graph.ops[graph.outputs[0][1]].type.to_float(raw)
    theirs = qat.outputs(module, problem.values(problem.validation)[:CHECKED])
    wrong = int((ours != theirs).sum())
    if wrong:
        msg = (
            f"the lowered network differs from Brevitas in {wrong} of {ours.size} scores; "
            "this is a fault of nacsr, please report it"
        )
        raise GraphError(msg)


def _objectives(measured: Sequence[Measurement], problem: Problem) -> list[float]:
    value = {m.metric: m.value for m in measured}
    quality = QUALITY[problem.task][0]
    wrong = 1 - value[quality] if METRICS[quality].maximise else value[quality]
    device = target(problem.target)
    area = value["luts"] + value["dsps"] * device.luts / device.dsps
    return [wrong, area, value["latency_cycles"]]
