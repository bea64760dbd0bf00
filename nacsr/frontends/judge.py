"""Measuring a lowered design: bit-true physics and estimated hardware, with provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.frontends.base import Events, Problem
from nacsr.frontends.stem import score_type, scores
from nacsr.ir import Graph
from nacsr.measure import Measurement, tool_name
from nacsr.metrics import (
    accuracy,
    auc,
    auc_error,
    effective,
    log_probabilities,
    mean_distance,
    quantile,
    relative_errors,
    rmse,
)
from nacsr.targets import target


def measure(graph: Graph, problem: Problem, flow: str) -> tuple[Measurement, ...]:
    """What selection sees: physics on the validation events, and the cost for a flow."""
    physics = performance(graph, problem, problem.validation, "validation")
    cost = problem.cost(graph, flow)
    device = target(problem.target)
    return (*physics, *cost.measurements(device, problem.clock_mhz, graph.digest))


def performance(
    graph: Graph, problem: Problem, events: Events, stage: str
) -> tuple[Measurement, ...]:
    """Bit-true metrics of the problem's task with their errors, the usual objective first.

    Args:
        graph: the design.
        problem: its features, task and classes.
        events: whom to ask.
        stage: which events they are, ``validation`` or ``test``.

    Raises:
        GraphError: if the design's outputs do not fit the task.
    """
    raw = scores(graph, problem.features, events.words)
    wanted = {len(problem.outputs), len(problem.classes)}
    if raw.shape[1] not in wanted:
        msg = (
            f"the design has {raw.shape[1]} outputs; a {problem.task} of "
            f"{', '.join(problem.classes)} takes {' or '.join(map(str, sorted(wanted)))}"
        )
        raise GraphError(msg)
    values = score_type(graph).to_float(raw)
    return _judged(raw, values, problem, events, "interpreter", stage, graph.digest)


def rehearsed(
    values: NDArray[np.float64], problem: Problem, digest: str
) -> tuple[Measurement, ...]:
    """The same metrics on the validation events, from a fake-quantised network in torch.

    They say how good a network without a design is; their method keeps them apart from bit-true
    ones, with which they are never ranked.

    Args:
        values: outputs for the validation events, shape (events, outputs).
        problem: its task, classes and events.
        digest: of the network.
    """
    events = problem.validation
    return _judged(values, values, problem, events, "training", "validation", digest)


def _judged(
    found: Scores,
    values: NDArray[np.float64],
    problem: Problem,
    events: Events,
    method: str,
    stage: str,
    digest: str,
) -> tuple[Measurement, ...]:
    judged = JUDGES[problem.judged_as](found, values, events, problem.classes)
    source = (method, stage, tool_name(), problem.digest, digest)
    return tuple(
        Measurement(metric, value, *source, error=error, label=label)
        for metric, value, error, label in judged
    )


Scores = NDArray[Any]
"""Outputs of which the largest wins, (events, outputs): raw integers where there is a design."""
Verdict = tuple[str, float, float, str]
"""Metric, value, error and label."""


def _classified(
    found: Scores, values: NDArray[np.float64], events: Events, classes: Sequence[str]
) -> Iterator[Verdict]:
    """Accuracy and the AUC of every class; of two classes, that of the second."""
    yield "accuracy", *accuracy(found, events.y, events.weights), ""
    merits: dict[int, NDArray[Any]]
    if len(classes) == 2:
        merit = found[:, 0] if found.shape[1] == 1 else found[:, 1] - found[:, 0]
        merits = {1: merit}  # a probability grows with the score, so the score will do
    else:
        logs = log_probabilities(values)
        merits = {c: logs[:, c] for c in range(len(classes))}
    for c, merit in merits.items():
        mine = events.y == c
        area = auc(merit, mine, events.weights)
        yield "auc", area, auc_error(area, *(_worth(events, s) for s in (mine, ~mine))), classes[c]


def _worth(events: Events, some: NDArray[np.bool_]) -> float:
    """The effective number of some of the events."""
    return effective(int(some.sum()), None if events.weights is None else events.weights[some])


def _predicted(
    found: Scores, values: NDArray[np.float64], events: Events, classes: Sequence[str]
) -> Iterator[Verdict]:
    """Errors in the units of the target, and relative ones where a target is not zero."""
    predictions, targets = values[:, 0], events.y
    yield "rmse", *rmse(predictions, targets, events.weights), ""
    errors, weights = relative_errors(predictions, targets, events.weights)
    if len(errors) and (weights is None or weights.any()):
        yield "median_error", *quantile(errors, 0.5, weights), ""
        yield "p95_error", *quantile(errors, 0.95, weights), ""


def _located(
    found: Scores, values: NDArray[np.float64], events: Events, classes: Sequence[str]
) -> Iterator[Verdict]:
    """Distances in the one unit of all targets."""
    yield "mean_distance", *mean_distance(values, events.y, events.weights), ""
    yield "rmse", *rmse(values, events.y, events.weights), ""


Judge = Callable[[Scores, NDArray[np.float64], Events, Sequence[str]], Iterator[Verdict]]

JUDGES: Mapping[str, Judge] = {
    "classification": _classified,
    "location": _located,
    "regression": _predicted,
}
"""What each is judged by, by the keys of ``QUALITY``."""
