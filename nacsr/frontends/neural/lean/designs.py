"""The designs of a descent, as a study measures them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from nacsr.frontends.base import Problem
from nacsr.frontends.neural.descents import Array, Design, Task
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.descent import descend
from nacsr.frontends.neural.lean.lower import lower
from nacsr.frontends.neural.lean.stage import Schedule
from nacsr.frontends.neural.lean.state import Stack, State, stack_of
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.stacks import sizes
from nacsr.ir import Graph


def designs(network: Network, task: Task, schedule: Mapping[str, Any]) -> Iterator[Design]:
    """See ``descents.Descent``."""
    stack = stack_of(network)
    for state in descend(stack, task, Schedule(**schedule)):
        digits = sum(int(model.counts(stack, state, layer).sum()) for layer in stack.layers)
        title = f"lean {sizes(network)}, {digits} digits"
        scores, graph = partial(_scores, stack, state), partial(_lower, stack, state)
        yield Design(title, {"digits": digits}, scores, graph)


def _scores(stack: Stack, state: State, x: Array) -> Array:
    found, _ = model.scores(stack, state, x)
    return found


def _lower(stack: Stack, state: State, problem: Problem, rows: Rows) -> Graph:
    return lower(stack, state, problem.features, problem.scaling, problem.outputs, rows.units)
