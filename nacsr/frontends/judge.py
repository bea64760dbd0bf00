"""Measuring a lowered design: bit-true physics and estimated hardware, with provenance."""

from __future__ import annotations

from functools import partial

from nacsr.cost import estimate
from nacsr.frontends.base import Events, Problem
from nacsr.frontends.stem import score_type, scores
from nacsr.ir import Graph
from nacsr.measure import Measurement, tool_name
from nacsr.metrics import accuracy, auc, auc_error, log_probabilities
from nacsr.targets import target


def measure(graph: Graph, problem: Problem, flow: str) -> tuple[Measurement, ...]:
    """What selection sees: physics on the validation events, and the cost for a flow."""
    physics = performance(graph, problem, problem.validation, "validation")
    cost = estimate(graph, problem.target, problem.clock_mhz, flow)
    device = target(problem.target)
    return (*physics, *cost.measurements(device, problem.clock_mhz, graph.digest))


def performance(
    graph: Graph, problem: Problem, events: Events, stage: str
) -> tuple[Measurement, ...]:
    """Bit-true metrics of the problem's task with their errors.

    Args:
        graph: the design.
        problem: its features, task and classes.
        events: whom to ask.
        stage: which events they are, ``validation`` or ``test``.
    """
    raw, labels = scores(graph, problem.features, events.words), events.y
    bit_true = partial(
        Measurement,
        method="interpreter",
        stage=stage,
        tool=tool_name(),
        target=problem.digest,
        digest=graph.digest,
    )
    value, error = accuracy(raw, labels)
    found = [bit_true("accuracy", value, error=error)]
    logs = log_probabilities(score_type(graph).to_float(raw))
    for index, name in enumerate(problem.classes):
        mine = labels == index
        area = auc(logs[:, index], mine)
        spread = auc_error(area, int(mine.sum()), int((~mine).sum()))
        found.append(bit_true("auc", area, error=spread, label=name))
    return tuple(found)
