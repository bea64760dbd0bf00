"""What a study asks for: one descent a stack of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import stacks
from nacsr.spec import Budget, DeepSetsSpec, MlpSpec

KIND = stacks.LEAN


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
    steps = stacks.Steps.of(budget, len(problem.train.y), lean.between)
    schedule = Schedule(
        **asdict(steps),
        share=lean.share,
    )
    return stacks.jobs(problem, spec, KIND, lean, asdict(schedule), seed)


def _run(job: Job, problem: Problem) -> Outcome:
    from nacsr.frontends.neural import descents
    from nacsr.frontends.neural.lean.designs import designs

    return descents.run(job, problem, designs)


RUNS: Mapping[str, Callable[[Job, Problem], Outcome]] = {KIND: _run}
"""What runs each kind of job; numba is loaded with it."""
