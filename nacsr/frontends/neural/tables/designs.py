"""The designs of a descent, as a study measures them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from nacsr.frontends.base import Problem
from nacsr.frontends.neural.descents import Design, Task
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.stacks import sizes
from nacsr.frontends.neural.tables import model
from nacsr.frontends.neural.tables.descent import descend
from nacsr.frontends.neural.tables.lower import lower
from nacsr.frontends.neural.tables.stage import Schedule
from nacsr.frontends.neural.tables.state import State
from nacsr.ir import Graph


def designs(network: Network, task: Task, schedule: Mapping[str, Any]) -> Iterator[Design]:
    """See ``descents.Descent``."""
    for state in descend(network, task, Schedule(**schedule)):
        count = sum(int(layer.live.sum()) for layer in state)
        title = f"tables {sizes(network)}, {count} left"
        yield Design(title, {"tables": count}, partial(model.scores, state), partial(_lower, state))


def _lower(state: State, problem: Problem, rows: Rows) -> Graph:
    return lower(state, problem.features, problem.scaling, problem.outputs, rows.units)
