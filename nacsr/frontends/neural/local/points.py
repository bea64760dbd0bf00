"""Trained networks on their way through the local search: between jobs, and in the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.neural import jobs
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.lessons import Recipe
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.population.trainer import Learnt
from nacsr.frontends.neural.space import Network
from nacsr.measure import METRICS, QUALITY


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A trained network.

    Attributes:
        network: its architecture and bits.
        recipe: how it is trained.
        plan: types of its quantisers.
        params: weights and biases of every layer; a weight of zero was pruned.
        candidate: its id in the archive.
    """

    network: Network
    recipe: Recipe
    plan: Plan
    params: Learnt
    candidate: str

    @property
    def trained(self) -> jobs.Trained:
        """Plan and parameters."""
        return self.plan, self.params


def payload(points: Sequence[Point]) -> dict[str, Any]:
    """Points as a part of a job's payload, or of what it gives; ``arrays`` are the rest."""
    return {
        "networks": [p.network.to_dict() for p in points],
        "recipes": [asdict(p.recipe) for p in points],
        "plans": [jobs.write_plan(p.plan) for p in points],
        "candidates": [p.candidate for p in points],
    }


def arrays(points: Sequence[Point]) -> dict[str, NDArray[Any]]:
    """The parameters of points, by name."""
    found: dict[str, NDArray[Any]] = {}
    for i, point in enumerate(points):
        found |= jobs.named(i, point.params)
    return found


def read(record: Mapping[str, Any], stored: Mapping[str, NDArray[Any]]) -> list[Point]:
    """The inverse of ``payload`` and ``arrays``."""
    parts = (record[name] for name in ("networks", "recipes", "plans", "candidates"))
    found = []
    for i, (made, recipe, plan, candidate) in enumerate(zip(*parts, strict=True)):
        network = Network.from_dict(made)
        params = jobs.learnt(i, network, stored)
        found.append(Point(network, Recipe(**recipe), jobs.read_plan(plan), params, candidate))
    return found


@dataclass(slots=True)
class Record:
    """What a job has found so far: points, and failures with their reasons."""

    job: Job
    problem: Problem
    rows: Rows
    points: list[Point]
    found: list[Found]

    def __init__(self, job: Job, problem: Problem) -> None:
        self.job, self.problem, self.rows = job, problem, jobs.rows_of(problem)
        self.points, self.found = [], []

    def add(
        self,
        network: Network,
        recipe: Recipe,
        trained: jobs.Trained | NacsrError,
        training: str,
        parent: str,
    ) -> Point | None:
        """Lower and measure a network; None, and its reason kept, if it came to nothing."""
        seed = int(self.job.payload["seed"])
        good = None if isinstance(trained, NacsrError) else trained
        kept = density(*good) if good else ()
        made = candidate(network, recipe, training, parent, seed, good)
        found = jobs.measured(made, network, trained, self.rows, self.problem, kept)
        self.found.append(found)
        if found.candidate.reason or isinstance(trained, NacsrError):
            return None
        self.points.append(Point(network, recipe, *trained, made.id))
        return self.points[-1]

    def keeps(self, worst: float) -> bool:
        """Whether what was added last came to something no worse, by the task's first metric."""
        metric = QUALITY[self.problem.judged_as][0]
        value = next((m.value for m in self.found[-1].measurements if m.metric == metric), None)
        if value is None:
            return False
        return value >= worst if METRICS[metric].maximise else value <= worst

    def outcome(self, **more: Any) -> Outcome:
        """All of it."""
        return Outcome({**payload(self.points), **more}, arrays(self.points), tuple(self.found))


def candidate(
    network: Network,
    recipe: Recipe,
    training: str,
    parent: str,
    seed: int,
    trained: jobs.Trained | None,
) -> Candidate:
    """A network as the archive names it: where it began, how it is trained, how dense it is.

    Args:
        network: its architecture.
        recipe: its hyperparameters.
        training: what was done, in words.
        parent: the candidate that it came from, or "".
        seed: of the training.
        trained: what came of it; the title says what share of weights pruning left.
    """
    title, kept = network.title, density(*trained) if trained else []
    if trained and any(bool((mine[0] == 0).any()) for mine in trained[1] if mine):
        weights = np.concatenate([raw.ravel() for raw in quantised(*trained).values()])
        title += f", {np.mean(weights != 0):.0%} of weights"
    genotype = {
        **network.to_dict(),
        "training": training,
        "recipe": asdict(recipe),
        "begun": parent,
        "density": [round(share, 4) for share in kept],
    }
    return Candidate(jobs.FAMILY, genotype, seed, title, (parent,) if parent else ())


def quantised(plan: Plan, params: Parameters) -> dict[int, NDArray[np.int64]]:
    """The integer weights of every layer that has any, by its number."""
    found = {}
    for number, mine in enumerate(params):
        type_ = plan.get(Place(number, "weight"))
        if type_ is not None:
            found[number] = type_.quantize(mine[0].double().numpy())
    return found


def density(plan: Plan, params: Parameters) -> list[float]:
    """Share of weights that are not zero on the chip, one a layer with weights."""
    return [float(np.mean(raw != 0)) for raw in quantised(plan, params).values()]
