"""The network family: NSGA-II, a generation trained at once, Brevitas for the survivors."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.lean import stage as lean
from nacsr.frontends.neural.local import search as local
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.space.genes import check, decode, genes
from nacsr.frontends.neural.start import begun
from nacsr.frontends.neural.tables import stage as tables
from nacsr.measure import usual_objectives
from nacsr.search.goals import Goals, Score
from nacsr.search.halving import promoted
from nacsr.search.nsga2 import Nsga2
from nacsr.search.pareto import nondominated
from nacsr.spec import Budget, ImageSpec, NetworkSpec

FAMILY = jobs.FAMILY
TOGETHER = 8
"""Networks that one job trains: fixed, so that jobs do not depend on the number of workers."""

T = TypeVar("T")

RUNS = {**jobs.RUNS, **lean.RUNS, **tables.RUNS, **local.RUNS}
"""What runs each kind of job."""


@dataclass(slots=True)
class _Tried:
    """A network of the search, and the last that is known of it."""

    network: Network
    candidate: str = ""
    scores: dict[int, Score] = field(default_factory=dict)
    """What it reached in every rung."""
    rung: int = -1
    """The last in which it was trained, or was to be."""
    failed: bool = False
    """Whether its last training failed."""
    plan: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def score(self) -> Score | None:
        """Of its longest training; None if it never had a design."""
        return self.scores[max(self.scores)] if self.scores else None


class NeuralFrontend:
    """Searches networks generation by generation, then trains the best again with Brevitas.

    What is minimised, and who ranks behind for being too large or too slow, its ``goals`` say;
    physics is bit-true, on the validation events. A failed training ranks behind every success,
    and so does a network with attention, whatever the objectives: it is recorded with the quality
    and bit operations that it reached, but no design can be made of it, and what cannot be on the
    front does not steer the search.

    A generation is trained in rungs, each longer than the one before (three times, unless the
    budget says otherwise): the third of it that is best by rank and crowding goes on (successive
    halving, Jamieson and Talwalkar, AISTATS 2016); the others keep the scores that they reached,
    also a network whose training fails in a later rung. After the last generation whoever is on
    the front of all that were ever in a rung goes on, too, as long as there is one: scores of
    other rungs, which trained longer, would hide it.

    Args:
        problem: events, target and clock.
        spec: what may be searched, and where to start.
        budget: how much work.
        seed: of every random choice.
        goals: objectives and limits; by default the usual objectives of the task, no limits.

    Raises:
        SpecError: for a search space without a possible network, or a start outside of it.
    """

    family = FAMILY

    def __init__(
        self,
        problem: Problem,
        spec: NetworkSpec,
        budget: Budget,
        seed: int,
        goals: Goals | None = None,
    ) -> None:
        self.phase = "network search"
        self._problem, self._spec, self._budget, self._seed = problem, spec, budget, seed
        self._shape, self._outputs = problem.shape, len(problem.outputs)
        check(spec, self._shape, self._outputs)
        self._goals = goals or Goals(usual_objectives(problem.judged_as), problem.target)
        start = begun(spec, self._shape, self._outputs, budget.population)
        self._nsga2 = Nsga2(genes(spec), len(self._goals.axes), budget.population, seed, start)
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
        if not self._training and self._outcomes is None:
            self._complete()
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
        scores = [None if one.failed else one.score for one in trained]
        last = self._rung == self._budget.rungs - 1 or not self._generation
        going = [] if last else promoted(scores, _going(len(scores), self._budget))
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
            self._nsga2.tell([self._tried[key].score for key in self._generation])

    def _complete(self) -> None:
        """Of all generations, those on the front of the first rung that not all of them left."""
        self._generation = []
        for rung in range(self._budget.rungs - 1):
            scored = [(one, one.scores.get(rung)) for one in self._tried.values()]
            within, points = self._within_limits(scored)
            front = [within[i] for i in np.flatnonzero(nondominated(points))]
            left = [one.network.key for one in front if one.rung == rung]
            if left:
                self._training, self._rung = left, rung + 1
                return

    def _within_limits(
        self, scored: Iterable[tuple[T, Score | None]]
    ) -> tuple[list[T], NDArray[np.float64]]:
        """Who may be on the front, and their objectives."""
        kept = [(one, s.objectives) for one, s in scored if s is not None and not s.excess]
        points = np.array([objectives for _, objectives in kept], dtype=np.float64)
        return [one for one, _ in kept], points.reshape(len(kept), len(self._goals.axes))

    def _learn(self, job: Job, outcome: Outcome) -> None:
        found = {f.candidate.id: f for f in outcome.found}
        for i, record in enumerate(job.payload["networks"]):
            one = self._tried[Network.from_dict(record).key]
            mine = found[jobs.searched(one.network, job).id]
            one.rung, one.failed = int(job.payload["rung"]), bool(mine.candidate.reason)
            if one.failed:  # what an earlier rung reached stays
                continue
            one.candidate = mine.candidate.id
            score = self._goals.score(mine.measurements)
            one.scores |= {} if score is None else {one.rung: score}
            one.plan = outcome.result["plans"][i] or {}
            one.arrays = {
                name.removeprefix(f"{i}."): array
                for name, array in outcome.arrays.items()
                if name.startswith(f"{i}.")
            }

    def _search_jobs(self) -> list[Job]:
        rung, generations, rungs = self._rung, self._budget.generations, self._budget.rungs
        self.phase = f"network search {self._done}/{generations}, rung {rung + 1}/{rungs}"
        some = [self._tried[key] for key in self._training]
        # the first job also compiles what trains, for a minute: as one job, so that one worker does
        size = TOGETHER if rung or self._done > 1 else max(len(some), 1)
        return [self._search_job(some[at : at + size], rung) for at in range(0, len(some), size)]

    def _search_job(self, some: Sequence[_Tried], rung: int) -> Job:
        whole = lessons.useful_steps(self._budget.search_steps, len(self._problem.train.y))
        payload: dict[str, Any] = {
            "networks": [one.network.to_dict() for one in some],
            "steps": max(round(whole / self._budget.factor ** (self._budget.rungs - 1 - rung)), 2),
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
            within, points = self._within_limits(
                (one, self._goals.score(one.measurements)) for one in known
            )
            made = [near.refined(within[i]) for i in spread(points, near.spec.designs)]
        finalists = [self._final_job(one) for one in self._chosen(self._budget.finalists)]
        rest = [*self._descents(), *finalists, *made]
        if rest:
            yield "network training", rest

    def _descents(self) -> list[Job]:
        """Descents of networks that owe nothing to the search."""
        spec = self._spec
        if isinstance(spec, ImageSpec):
            return []
        return [
            job
            for stage in (lean, tables)
            for job in stage.made(self._problem, spec, self._budget, self._seed)
        ]

    def _final_job(self, one: _Tried) -> Job:
        payload = {
            "network": one.network.to_dict(),
            "steps": self._budget.final_steps,
            "seed": self._seed,
            "parent": one.candidate,
        }
        return Job(FAMILY, "final", payload, one.network.title)

    def _chosen(self, count: int) -> list[_Tried]:
        """Some of the front; if none is within the limits, those of the least excess."""
        within, points = self._within_limits((one, one.score) for one in self._tried.values())
        if within:
            return [within[i] for i in spread(points, count)]
        beyond = [(t.score.excess, t) for t in self._tried.values() if t.score is not None]
        return [t for _, t in sorted(beyond, key=itemgetter(0))[:count]]

    @staticmethod
    def expected_jobs(problem: Problem, spec: NetworkSpec, budget: Budget) -> int:
        """Jobs at most, for a progress display."""
        sizes = [budget.population]
        while len(sizes) < budget.rungs:
            sizes.append(_going(sizes[-1], budget))
        rungs = sum(math.ceil(size / TOGETHER) for size in sizes)
        near = spec.local and local.Local(problem, spec.local, budget, 0)
        more = near.expected_jobs if near else 0
        if not isinstance(spec, ImageSpec):
            more += sum(len(given.stacks) for given in (spec.lean, spec.tables) if given)
        return budget.generations * rungs + budget.finalists + more

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job; a failed training is a ``Found`` with its reason."""
        return RUNS[job.kind](job, problem)


def _going(networks: int, budget: Budget) -> int:
    """How many go on to the next rung."""
    return max(math.ceil(networks / budget.factor), 2)


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
