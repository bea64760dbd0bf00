"""What a study asks for: one descent a stack of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import stacks
from nacsr.spec import Budget, DeepSetsSpec, MlpSpec

KIND = stacks.TABLES


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a table network is trained and made smaller.

    Attributes:
        first: optimiser steps before anything is dropped.
        between: steps after every drop.
        share: of the LUTs that one drop takes.
        polish: steps of a design that is kept, with a rate that falls to nothing.
        rung: designs are kept where the LUTs have fallen by this factor.
        least: LUTs at which it ends.
        rate: learning rate.
        steps: fraction bits of the entries to begin with.
        smooth: how fast, beside the learning rate, tables lose their bends; below 6 none
            overshoots.
    """

    first: int = 4000
    between: int = 300
    share: float = 0.04
    polish: int = 600
    rung: float = 0.7
    least: float = 40.0
    rate: float = 1e-2
    steps: int = 6
    smooth: float = 0.3


def made(problem: Problem, spec: MlpSpec | DeepSetsSpec, budget: Budget, seed: int) -> list[Job]:
    """One job a stack of the spec."""
    given = spec.tables
    if given is None:
        return []
    steps = stacks.Steps.of(budget, len(problem.train.y), given.between)
    schedule = Schedule(
        **asdict(steps),
        share=given.share,
        smooth=given.smooth,
    )
    return stacks.jobs(problem, spec, KIND, given, asdict(schedule), seed)


def _run(job: Job, problem: Problem) -> Outcome:
    from nacsr.frontends.neural import descents
    from nacsr.frontends.neural.tables.designs import designs

    return descents.run(job, problem, designs)


RUNS: Mapping[str, Callable[[Job, Problem], Outcome]] = {KIND: _run}
"""What runs each kind of job; numba is loaded with it."""
