"""Bragg peaks: networks out of a search against the centre of mass and a published network.

    python benchmarks/bragg.py [--patches 30000] [--seed 1] [--population 12] [--generations 8]
        [--finalists 5] [--steps 2100] [--quick]

All are asked for the centres of the same test patches (drawn by the source ``bragg``, background
and Poisson noise included), and all networks learn from the same training patches:

- the centre of mass, which needs no training;
- the small network of Weitz et al., arXiv:2501.05515 (sizes of Tables 1 and B1; activations are
  ReLU, none after the projection), at 8 bits as there, and with the 12-bit values that the search
  may choose, too: peaks of 50 and of 5,000 counts share one word here;
- the finalists of a search for (mean distance, bit operations), which begins with that network
  at 8 bits. They are trained by the same job as the small network: as many steps, same seed.

Distances are those of the integer designs, which equal Brevitas bit for bit; LUTs are estimated for
hls4ml. The goals are judged on the finalist that is best on
the validation patches among those of fewer bit operations than the small network at 8 bits.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from threadpoolctl import threadpool_limits

from nacsr.data.bragg import CENTRES, SIZE, centre_of_mass
from nacsr.data.dataset import load
from nacsr.data.events import Events
from nacsr.errors import NacsrError
from nacsr.frontends.base import Found, Job, Outcome
from nacsr.frontends.judge import performance
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Network
from nacsr.frontends.neural.space.bops import bops, published
from nacsr.metrics import mean_distance
from nacsr.prepare import Prepared, prepare
from nacsr.search.goals import Goals
from nacsr.spec import (
    BUDGETS,
    Budget,
    DatasetSpec,
    FamiliesSpec,
    GenerateSpec,
    ImageSpec,
    StackSpec,
    StudySpec,
)

PACKAGES = ("nacsr", "torch", "brevitas", "numba", "numpy", "pymoo")
TIMES = 2.0
"""How many times nearer to the centre than the centre of mass a network is to be."""


def small(bits: int) -> Network:
    """The published small network; ``bits`` of its values, weights have 8."""

    convolutions = (
        Conv(8, 3, bits=bits),
        Conv(2, 1, False, "relu", bits=bits),
        Conv(4, 1, True, "relu", bits=bits),
    )
    hidden = (Dense(width, True, "relu", bits=bits) for width in (64, 32, 16))
    layers = (*convolutions, Flatten(), *hidden, Dense(2, bits=None))
    return Network((1, SIZE, SIZE), layers, bits)


SMALL = small(8)
WIDER = small(12)


SPACE = ImageSpec(
    projection=(2, 4, 8),
    blocks=1,
    channels=(2, 4, 8),
    kernels=(1, 3),
    head=StackSpec(depth=(1, 2, 3), widths=(8, 16, 32, 64)),
    weight_bits=(4, 6, 8),
    activation_bits=(8, 10, 12),
    start=(SMALL.to_dict(),),
    local=None,
)
"""Small image networks, the published one to begin with."""


def study(patches: int, seed: int) -> StudySpec:
    """What is drawn, and what is searched for."""
    return StudySpec(
        seed=seed,
        dataset=DatasetSpec(
            source="bragg",
            task="regression",
            label=CENTRES,
            generate=GenerateSpec(events=patches, seed=seed),
        ),
        objectives=("mean_distance", "bops"),
        families=FamiliesSpec(expression=None, network=SPACE, linear=None, tables=None, trees=None),
    )


@dataclass(frozen=True)
class Row:
    """A way to find centres, and how far from them it is on the test patches, in pixels."""

    name: str
    distance: float
    error: float
    validation: float | None = None
    operations: float | None = None
    luts: float | None = None

    def __str__(self) -> str:
        """For a table."""
        known = ((self.validation, "10.4f"), (self.operations, "11,.0f"), (self.luts, "9,.0f"))
        columns = [f"{'-' if value is None else format(value, how):>11}" for value, how in known]
        return "  ".join([f"{self.distance:7.4f} ± {self.error:.4f}", *columns, self.name])

    def beats(self, other: Row, times: float = 1.0) -> bool:
        """Whether it is that many times nearer, by more than twice the error of the difference."""
        error = float(np.hypot(times * self.error, other.error))
        return times * self.distance + 2 * error < other.distance


def baseline(events: Events, prepared: Prepared) -> Row:
    """The centre of mass of patches, as their words have them."""
    features = prepared.problem.features
    counts = [f.type.to_float(w) for f, w in zip(features, events.words.T, strict=True)]
    images = np.float32(counts).T.reshape(-1, *prepared.problem.array)
    return Row("centre of mass", *mean_distance(centre_of_mass(images), events.y))


def row(found: Found, prepared: Prepared, about: str) -> Row:
    """A trained network on the test patches.

    Raises:
        NacsrError: with its reason, if it failed.
    """
    title, graph = found.candidate.title, found.graph
    if graph is None:
        msg = f"{about} {title}: {found.candidate.reason}"
        raise NacsrError(msg)
    network = Network.from_dict(
        {key: found.candidate.genotype[key] for key in ("input", "input_bits", "layers")}
    )
    known = {m.metric: m.value for m in found.measurements}
    (test,) = [
        m
        for m in performance(graph, prepared.problem, prepared.test, "test")
        if m.metric == "mean_distance"
    ]
    error = test.error or 0.0
    luts, before = known["luts"], known["mean_distance"]
    return Row(f"{about} {title}", test.value, error, before, bops(network), luts)


def trained(network: Network, prepared: Prepared, steps: int, seed: int) -> Outcome:
    """A network as a finalist of a search is trained."""
    payload = {"network": network.to_dict(), "steps": steps, "seed": seed}
    return NeuralFrontend.run(Job("network", "final", payload, network.title), prepared.problem)


def searched(prepared: Prepared, spec: StudySpec, budget: Budget) -> list[Found]:
    """The finalists of a search in this process."""
    goals = Goals(spec.objectives, spec.target)
    frontend = NeuralFrontend(prepared.problem, SPACE, budget, spec.seed, goals)
    finals: list[Found] = []
    while jobs := frontend.ask():
        outcomes = [frontend.run(job, prepared.problem) for job in jobs]
        for job, outcome in zip(jobs, outcomes, strict=True):
            finals += outcome.found if job.kind == "final" else ()
        frontend.tell(jobs, outcomes)
    return finals


def verdict(mass: Row, ours: Sequence[Row], theirs: Row, wider: Row) -> None:
    """Print whether the goals are reached, and by what."""
    lean = [one for one in ours if one.operations < theirs.operations]
    if not lean:
        print("no finalist has fewer bit operations than the small network: no goal reached")
        return
    best = min(lean, key=lambda one: one.validation)
    print(f"judged: {best.name}, {best.operations / theirs.operations:.2f} of the small one's BOPs")
    print(
        f"{'yes' if best.beats(mass, TIMES) else 'no':4s}{TIMES:g} times nearer than the centre "
        f"of mass: {mass.distance / best.distance:.2f} times"
    )
    for name, other in (("at 8 bits", theirs), ("with 12-bit values", wider)):
        print(
            f"{'yes' if best.beats(other) else 'no':4s}nearer than the small network {name}: "
            f"{best.distance / other.distance:.3f} of its distance, "
            f"{best.operations / other.operations:.2f} of its BOPs"
        )


def main() -> None:
    """Print the table and what of the goals is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--population", type=int, default=12)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--finalists", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2_100, help="of the last training")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    asked = parser.parse_args()
    if asked.quick:
        asked.patches, asked.population, asked.generations = 3_000, 4, 1
        asked.finalists, asked.steps = 2, 60
    budget = replace(
        BUDGETS["default"],
        population=asked.population,
        generations=asked.generations,
        search_steps=max(asked.steps // 5, 18),
        finalists=asked.finalists,
        final_steps=asked.steps,
    )
    print(f"{platform.machine()}, one thread, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    spec = study(asked.patches, asked.seed)
    begin = time.process_time()
    with TemporaryDirectory() as out, threadpool_limits(1):
        prepared = prepare(spec, load(spec.dataset), Path(out))
        problem = prepared.problem
        print(
            f"{len(problem.train):,} training, {len(problem.validation):,} validation and "
            f"{len(prepared.test):,} test patches, seed {asked.seed}; {budget.generations} "
            f"generations of {budget.population}, {budget.search_steps} steps; "
            f"{budget.final_steps} steps of the small network and of the finalists"
        )
        mass = baseline(prepared.test, prepared)
        print("    test, pixels   validation         BOPs    est. LUT  of what")
        print(mass, flush=True)
        known = []
        for name, network in (("published:", SMALL), ("published, 12-bit values:", WIDER)):
            (one,) = trained(network, prepared, asked.steps, asked.seed).found
            known.append(row(one, prepared, name))
            print(known[-1], flush=True)
        between = time.process_time()
        ours = []
        for one in searched(prepared, spec, budget):
            if one.graph is None:
                print(f"failed: {one.candidate.title}: {one.candidate.reason}")
                continue
            ours.append(row(one, prepared, "searched:"))
            print(ours[-1], flush=True)
    print(
        f"{published(SMALL) / 1e6:.0f} mega-BOPs of the small network as the paper counts (32 bits)"
    )
    verdict(mass, ours, *known)
    end = time.process_time()
    print(f"{(between - begin) / 60:.1f} + {(end - between) / 60:.1f} CPU-minutes, search second")


if __name__ == "__main__":
    main()
