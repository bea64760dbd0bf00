"""The network family: NSGA-II, a generation trained at once, Brevitas for the survivors."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.local import search as local
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.space.genes import check, decode, genes
from nacsr.measure import METRICS, QUALITY, Measurement
from nacsr.search.halving import promoted
from nacsr.search.nsga2 import Nsga2
from nacsr.search.pareto import nondominated
from nacsr.spec import Budget, NetworkSpec
from nacsr.targets import target

FAMILY = jobs.FAMILY
TOGETHER = 8
"""Networks that one job trains: fixed, so that jobs do not depend on the number of workers."""
SHARE = 1 / 3
"""Of a generation that goes on to the next rung, which trains as many times longer."""
RUNGS = 3

RUNS = {**jobs.RUNS, **local.RUNS}
"""What runs each kind of job."""

Objectives = tuple[float, ...]


@dataclass(slots=True)
class _Tried:
    """A network of the search, and the last that is known of it."""

    network: Network
    candidate: str = ""
    objectives: Objectives | None = None
    """None if it never had a design."""
    failed: bool = False
    """Whether its last training failed."""
    plan: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class NeuralFrontend:
    """Searches networks generation by generation, then trains the best again with Brevitas.

    Three objectives are minimised: the share of wrong validation events, or the root of the
    mean squared error of a regression (both bit-true), the area in LUTs, where a DSP counts as
    many LUTs as the target has for each of its DSPs, and the latency in cycles. A failed
    training ranks behind every success, and so does a network with attention, whatever the
    objectives: it is recorded with the quality and bit operations that it reached, but no design
    can be made of it, and what cannot be on the front does not steer the search.

    A generation is trained in rungs, each three times as long as the one before: the third of it
    that is best by rank and crowding goes on (successive halving, Jamieson and Talwalkar,
    AISTATS 2016); the others keep the objectives that they reached, also a network whose training
    fails in a later rung.

    Raises:
        SpecError: for a search space without a possible network.
    """

    family = FAMILY

    def __init__(self, problem: Problem, spec: NetworkSpec, budget: Budget, seed: int) -> None:
        self.phase = "network search"
        self._problem, self._spec, self._budget, self._seed = problem, spec, budget, seed
        self._shape, self._outputs = problem.shape, len(problem.outputs)
        check(spec, self._shape, self._outputs)
        self._nsga2 = Nsga2(genes(spec), 3, budget.population, seed)
        self._generation: list[str] = []
        self._training: list[str] = []
        self._rung = self._done = 0
        self._tried: dict[str, _Tried] = {}
        self._outcomes: Sequence[Outcome] | None = None
        self._after = self._stages()

    def ask(self) -> list[Job]:
        """The next rung of a generation's new networks; after the last one, what follows it."""
        while not self._training and self._done < self._budget.generations:
            self._propose()
        if self._training:
            return self._search_jobs()
        try:
            self.phase, made = self._after.send(self._outcomes)
        except StopIteration:
            return []
        return made

    def tell(self, asked: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the last batch, in order."""
        if not self._training:
            self._outcomes = outcomes
            return
        for job, outcome in zip(asked, outcomes, strict=True):
            self._learn(job, outcome)
        trained = [self._tried[key] for key in self._training]
        points = [None if one.failed else one.objectives for one in trained]
        last = self._rung == RUNGS - 1
        going = [] if last else promoted(points, _going(len(points)))
        self._training, self._rung = [self._training[i] for i in going], self._rung + 1
        if not self._training:
            self._breed()

    def _propose(self) -> None:
        """The next generation; what of it is new is to be trained."""
        shape, outputs = self._shape, self._outputs
        proposed = [decode(self._spec, values, shape, outputs) for values in self._nsga2.ask()]
        self._generation = [network.key for network in proposed]
        self._done += 1
        self._rung = 0
        for network in proposed:
            if network.key not in self._tried:
                self._tried[network.key] = _Tried(network)
                self._training.append(network.key)
        if not self._training:
            self._breed()

    def _breed(self) -> None:
        if self._generation:
            self._nsga2.tell([self._tried[key].objectives for key in self._generation])

    def _learn(self, job: Job, outcome: Outcome) -> None:
        found = {f.candidate.id: f for f in outcome.found}
        for i, record in enumerate(job.payload["networks"]):
            one = self._tried[Network.from_dict(record).key]
            mine = found[jobs.searched(one.network, job).id]
            one.failed = bool(mine.candidate.reason)
            if one.failed:  # what an earlier rung reached stays
                continue
            one.candidate = mine.candidate.id
            one.objectives = self._objectives(mine.measurements)
            one.plan = outcome.result["plans"][i] or {}
            one.arrays = {
                name.removeprefix(f"{i}."): array
                for name, array in outcome.arrays.items()
                if name.startswith(f"{i}.")
            }

    def _objectives(self, measured: Sequence[Measurement]) -> Objectives:
        value = {m.metric: m.value for m in measured}
        quality = QUALITY[self._problem.judged_as][0]
        wrong = 1 - value[quality] if METRICS[quality].maximise else value[quality]
        device = target(self._problem.target)
        area = value["luts"] + value["dsps"] * device.luts / device.dsps
        return wrong, area, value["latency_cycles"]

    def _search_jobs(self) -> list[Job]:
        rung, generations = self._rung, self._budget.generations
        self.phase = f"network search {self._done}/{generations}, rung {rung + 1}/{RUNGS}"
        some = [self._tried[key] for key in self._training]
        return [
            self._search_job(some[at : at + TOGETHER], rung) for at in range(0, len(some), TOGETHER)
        ]

    def _search_job(self, some: Sequence[_Tried], rung: int) -> Job:
        whole = lessons.useful_steps(self._budget.search_steps, len(self._problem.train.y))
        payload: dict[str, Any] = {
            "networks": [one.network.to_dict() for one in some],
            "steps": max(round(whole * SHARE ** (RUNGS - 1 - rung)), 2),
            "rung": rung,
            "seed": self._seed,
        }
        arrays: dict[str, NDArray[Any]] = {}
        if rung:
            payload["plans"] = [dict(one.plan) for one in some]
            payload["begun"] = [one.candidate for one in some]
            for i, one in enumerate(some):
                arrays |= {f"{i}.{name}": array for name, array in one.arrays.items()}
        label = some[0].network.title + (f" and {len(some) - 1} more" if len(some) > 1 else "")
        return Job(FAMILY, "search", payload, label, arrays)

    def _stages(self) -> Generator[tuple[str, list[Job]], Any, None]:
        """After the search: the local search of some, then designs."""
        made: list[Job] = []
        if self._spec.local is not None:
            near = local.Local(self._problem, self._spec.local, self._budget, self._seed)
            picks = [local.Pick(one.network, one.candidate) for one in self._chosen(near.picks)]
            known = (yield from near.search(picks)) if picks else []
            scores = [self._objectives(one.measurements) for one in known]
            made = [near.refined(known[i]) for i in _spread(scores, near.spec.designs)]
        finalists = [self._final_job(one) for one in self._chosen(self._budget.finalists)]
        if finalists or made:
            yield "network training", [*finalists, *made]

    def _final_job(self, one: _Tried) -> Job:
        payload = {
            "network": one.network.to_dict(),
            "steps": self._budget.final_steps,
            "seed": self._seed,
            "parent": one.candidate,
        }
        return Job(FAMILY, "final", payload, one.network.title)

    def _chosen(self, count: int) -> list[_Tried]:
        """Of the networks that were searched, some of the front."""
        alive = [t for t in self._tried.values() if t.objectives is not None]
        return [alive[i] for i in _spread([t.objectives for t in alive if t.objectives], count)]

    @staticmethod
    def expected_jobs(problem: Problem, spec: NetworkSpec, budget: Budget) -> int:
        """Jobs at most, for a progress display."""
        sizes = [budget.population]
        while len(sizes) < RUNGS:
            sizes.append(_going(sizes[-1]))
        rungs = sum(math.ceil(size / TOGETHER) for size in sizes)
        near = spec.local and local.Local(problem, spec.local, budget, 0)
        more = near.expected_jobs if near else 0
        return budget.generations * rungs + budget.finalists + more

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job; a failed training is a ``Found`` with its reason."""
        return RUNS[job.kind](job, problem)


def _going(networks: int) -> int:
    """How many go on to the next rung."""
    return max(math.ceil(networks * SHARE), 2)


def _spread(scores: Sequence[Objectives], count: int) -> list[int]:
    """Indices of some of the front, as ``spread``."""
    return spread(np.array(scores, dtype=np.float64), count) if scores else []


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
