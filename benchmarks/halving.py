"""Successive halving against training every candidate to the end, at equal generations.

    python benchmarks/halving.py [--seeds 1 2 3] [--population 32] [--generations 16]
        [--rungs 3] [--factor 3] [--quick]

Both sides run the same search of perceptrons on the shipped jets (generated with Pythia, not the
public set), with the same seed, population, generations and objectives; they differ in their
rungs only. The steps are those of the last rung; whoever was in all has trained for those of the
others, too. Counted is all CPU time of the search
in one process and thread: training, lowering, measuring and breeding, but not compiling.

The hypervolume is that of the front of all candidates, as the search measured them (bit-true, on
validation events), in accuracy, log2 of the area and cycles. All three are scaled to the range that
the fronts of all seeds span, and the reference point lies a tenth of it beyond their worst. How
much it differs between seeds of the same side is printed, too.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from threadpoolctl import threadpool_limits

from nacsr.data.dataset import load
from nacsr.frontends.base import Problem
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.space import Network
from nacsr.prepare import prepare
from nacsr.search.goals import Goals, Score
from nacsr.search.pareto import nondominated
from nacsr.spec import BUDGETS, Budget, DatasetSpec, MlpSpec, StudySpec

SPACE = MlpSpec()
MARGIN = 0.1
PACKAGES = ("nacsr", "torch", "numba", "numpy", "pymoo")


@dataclass(frozen=True)
class Searched:
    """What a search gave: its candidates' scores, and what it took."""

    scores: Mapping[str, Score]
    seconds: float
    steps: int
    """Of all networks together."""

    @property
    def front(self) -> NDArray[np.float64]:
        """Negated accuracy, log2 of the area, cycles."""
        points = np.array([score.objectives for score in self.scores.values()])
        points[:, 1] = np.log2(np.maximum(points[:, 1], 1.0))
        return points[nondominated(points)]


def searched(problem: Problem, budget: Budget, goals: Goals, seed: int) -> Searched:
    """A search without finalists, in this process."""
    begin = time.process_time()
    frontend = NeuralFrontend(problem, SPACE, budget, seed, goals)
    scores: dict[str, Score] = {}
    steps = 0
    while jobs := frontend.ask():
        outcomes = [frontend.run(job, problem) for job in jobs]
        for job, outcome in zip(jobs, outcomes, strict=True):
            steps += job.payload["steps"] * len(job.payload["networks"])
            for found in outcome.found:
                score = goals.score(found.measurements)
                if score is not None:  # of a later rung instead of an earlier one
                    scores[Network.from_dict(found.candidate.genotype).key] = score
        frontend.tell(jobs, outcomes)
    return Searched(scores, time.process_time() - begin, steps)


def hypervolumes(fronts: Sequence[NDArray[np.float64]]) -> list[float]:
    """Of some fronts, in the range that they span together."""
    every = np.concatenate(fronts)
    low, high = every.min(0), every.max(0)
    spread = np.where(high > low, high - low, 1.0)
    volume = HV(ref_point=np.full(every.shape[1], 1 + MARGIN))
    return [float(volume((front - low) / spread)) for front in fronts]


SIDES = ("halving", "all to the end")


def compare(runs: Mapping[int, Sequence[Searched]]) -> None:
    """Lines of both sides of every seed, and the ratios."""
    flat = iter(hypervolumes([side.front for sides in runs.values() for side in sides]))
    volumes = {seed: [next(flat) for _ in sides] for seed, sides in runs.items()}
    for seed, sides in runs.items():
        for name, side, volume in zip(SIDES, sides, volumes[seed], strict=True):
            print(
                f"seed {seed}  {name:14s}  {len(side.scores):4d} networks  {side.steps:9,d} steps  "
                f"{side.seconds:6.1f} CPU-s  best accuracy {-side.front[:, 0].min():.4f}  "
                f"front of {len(side.front):2d}  hypervolume {volume:.4f}"
            )
    times = [whole.seconds / halved.seconds for halved, whole in runs.values()]
    ratios = [halved / whole for halved, whole in volumes.values()]
    whole = [volume for _, volume in volumes.values()]
    print(f"hypervolume, halving / all to the end: {spread(ratios)}")
    print(f"CPU time, all to the end / halving: {spread(times)}")
    ends = max(whole) / min(whole)
    print(f"hypervolume of all to the end, the largest of the seeds / the least: {ends:.3f}")


def spread(values: Sequence[float]) -> str:
    """The median, and the ends."""
    return f"{np.median(values):.3f} (from {min(values):.3f} to {max(values):.3f})"


def machine() -> str:
    """The processor, as far as the system tells, and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    cores = f"{len(names)} x {names[0]}" if names else platform.machine()
    return f"{cores}, Python {platform.python_version()}"


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1_800)
    parser.add_argument("--rungs", type=int, default=BUDGETS["default"].rungs)
    parser.add_argument("--factor", type=float, default=BUDGETS["default"].factor)
    parser.add_argument("--quick", action="store_true", help="one seed, few networks")
    asked = parser.parse_args()
    budget = replace(
        BUDGETS["default"],
        population=8 if asked.quick else asked.population,
        generations=2 if asked.quick else asked.generations,
        search_steps=300 if asked.quick else asked.steps,
        finalists=0,
        rungs=asked.rungs,
        factor=asked.factor,
    )
    spec = StudySpec(dataset=DatasetSpec(source="jets"))
    goals = Goals(spec.objectives, spec.target)
    print(f"{machine()}, one thread")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    with TemporaryDirectory() as out, threadpool_limits(1):
        problem = prepare(spec, load(spec.dataset), Path(out)).problem
        print(
            f"{len(problem.train):,} training and {len(problem.validation):,} validation events; "
            f"{budget.generations} generations of {budget.population}, {budget.search_steps} steps"
        )
        tiny = replace(budget, population=4, generations=1, search_steps=20)
        searched(problem, tiny, goals, 1)  # compiles
        sides = (budget, replace(budget, rungs=1))
        runs = {
            seed: [searched(problem, side, goals, seed) for side in sides]
            for seed in asked.seeds[: 1 if asked.quick else None]
        }
    compare(runs)


if __name__ == "__main__":
    main()
