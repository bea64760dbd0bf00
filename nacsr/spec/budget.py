"""Budgets: how much work a study does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BudgetName = Literal["quick", "default", "thorough"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work a study does. Counts, never seconds, so that a seed reproduces.

    Attributes:
        evaluations: expression evaluations of one engine run.
        restarts: engine runs a class.
        rows: training rows an engine run works on.
        taggers: expression taggers lowered and measured at the end.
        population: networks a generation.
        generations: generations of the network search.
        search_steps: optimiser steps of the short training, for those that are trained longest.
        finalists: networks trained again with Brevitas.
        final_steps: optimiser steps of that training.
        picks: networks of the local search.
        trials: recipes that it tries for each.
        rungs: how often a generation's best go on training (successive halving); 1: all are
            trained to the end.
        factor: how many times longer each rung is than the one before; one in so many goes on.
    """

    evaluations: int
    restarts: int
    rows: int
    taggers: int
    population: int
    generations: int
    search_steps: int
    finalists: int
    final_steps: int
    picks: int
    trials: int
    rungs: int = 3
    factor: float = 3.0


BUDGETS: Mapping[str, Budget] = {
    "quick": Budget(2_000, 1, 1_500, 4, 6, 2, 300, 2, 800, 2, 4),
    "default": Budget(10_000, 1, 5_000, 20, 20, 8, 1_800, 5, 1_500, 4, 12),
    "thorough": Budget(200_000, 3, 10_000, 48, 32, 30, 6_000, 12, 12_000, 6, 40),
}
