"""What a study asks for: one descent a stack of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import lessons
from nacsr.frontends.neural.jobs import FAMILY
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.spec import Budget, DeepSetsSpec, LeanSpec, MlpSpec

KIND = "lean"


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained and made smaller.

    Attributes:
        first: steps before anything is dropped.
        between: steps after every drop.
        share: of the adder bits that one drop takes.
        polish: steps of a design that is kept, with a rate that falls to nothing.
        rung: designs are kept where the adder bits have fallen by this factor.
        least: adder bits at which it ends.
        rate: learning rate.
        digits, read_bits, value_bits: digits and fraction bits to begin with.
    """

    first: int = 2000
    between: int = 250
    share: float = 0.04
    polish: int = 600
    rung: float = 0.65
    least: float = 150.0
    rate: float = 1e-2
    digits: int = 2
    read_bits: int = 5
    value_bits: int = 4


def made(problem: Problem, spec: MlpSpec | DeepSetsSpec, budget: Budget, seed: int) -> list[Job]:
    """One job a stack of the spec."""
    lean = spec.lean
    if lean is None:
        return []
    steps = lessons.useful_steps(budget.search_steps, len(problem.train.y))
    schedule = Schedule(
        first=steps,
        between=max(steps // lean.between, 2),
        polish=max(steps // 3, 2),
        share=lean.share,
    )
    found = []
    for widths in lean.stacks:
        network = _network(problem, spec, lean, widths)
        payload = {"network": network.to_dict(), "schedule": asdict(schedule), "seed": seed}
        found.append(Job(FAMILY, KIND, payload, f"lean {sizes(network)}"))
    return found


def _network(
    problem: Problem, spec: MlpSpec | DeepSetsSpec, lean: LeanSpec, widths: Sequence[int]
) -> Network:
    layers: list[Dense | Pool] = [Dense(w, activation="relu") for w in widths]
    shape: tuple[int, ...] = (math.prod(problem.shape),)
    if isinstance(spec, DeepSetsSpec):
        layers.insert(min(lean.phi, len(widths)), Pool(spec.pools[0]))
        shape = problem.shape
    return Network(shape, (*layers, Dense(len(problem.outputs))))


def sizes(network: Network) -> str:
    """Its neurons, layer by layer."""
    return "-".join(str(layer.width) for layer in network.layers if isinstance(layer, Dense))


def _run(job: Job, problem: Problem) -> Outcome:
    from nacsr.frontends.neural.lean.jobs import run

    return run(job, problem)


RUNS: Mapping[str, Callable[[Job, Problem], Outcome]] = {KIND: _run}
"""What runs each kind of job; numba is loaded with it."""
