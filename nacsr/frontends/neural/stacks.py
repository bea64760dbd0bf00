"""Networks that are made smaller step by step: what a study asks for, one job a stack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nacsr.frontends.base import Job, Problem
from nacsr.frontends.neural.jobs import FAMILY
from nacsr.frontends.neural.lessons import useful_steps
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.spec import Budget, DeepSetsSpec, LeanSpec, MlpSpec, TablesSpec

LEAN, TABLES = DESCENTS = ("lean", "tables")
"""How such networks were trained, as the archive says it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Of the optimiser: before anything is dropped, after every drop, and of a design."""

    first: int
    between: int
    polish: int

    @classmethod
    def of(cls, budget: Budget, events: int, between: int) -> Steps:
        """Those of a budget: designs are trained like the finalists of a search, rounds less."""
        first = useful_steps(budget.final_steps, events)
        round_ = useful_steps(budget.search_steps, events) // between
        return cls(first, max(round_, 2), max(first // 3, 2))


def jobs(
    problem: Problem,
    spec: MlpSpec | DeepSetsSpec,
    kind: str,
    given: LeanSpec | TablesSpec,
    schedule: dict[str, Any],
    seed: int,
) -> list[Job]:
    """One job of a kind for each of the stacks that are given."""
    found = []
    for widths in given.stacks:
        network = _network(problem, spec, given.phi, widths)
        payload = {"network": network.to_dict(), "schedule": schedule, "seed": seed}
        found.append(Job(FAMILY, kind, payload, f"{kind} {sizes(network)}"))
    return found


def _network(
    problem: Problem, spec: MlpSpec | DeepSetsSpec, phi: int, widths: Sequence[int]
) -> Network:
    layers: list[Dense | Pool] = [Dense(w, activation="relu") for w in widths]
    shape: tuple[int, ...] = (math.prod(problem.shape),)
    if isinstance(spec, DeepSetsSpec):
        layers.insert(min(phi, len(widths)), Pool(spec.pools[0]))
        shape = problem.shape
    return Network(shape, (*layers, Dense(len(problem.outputs))))


def sizes(network: Network) -> str:
    """Its neurons, layer by layer."""
    return "-".join(str(layer.width) for layer in network.layers if isinstance(layer, Dense))
