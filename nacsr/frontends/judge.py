"""Measuring a lowered design: bit-true physics and estimated hardware, with provenance."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import estimate
from nacsr.fixed import Raw
from nacsr.frontends.base import Problem
from nacsr.frontends.stem import score_type, scores
from nacsr.ir import Graph
from nacsr.measure import Measurement, tool_name
from nacsr.metrics import accuracy, auc, auc_error, log_probabilities
from nacsr.targets import target


def measure(graph: Graph, problem: Problem, flow: str) -> tuple[Measurement, ...]:
    """What selection sees: physics on the validation events, and the cost for a flow."""
    words, labels = problem.validation_words, problem.validation_labels
    physics = classification(graph, problem, words, labels, "validation")
    cost = estimate(graph, problem.target, problem.clock_mhz, flow)
    device = target(problem.target)
    return (*physics, *cost.measurements(device, problem.clock_mhz, graph.digest))


def classification(
    graph: Graph, problem: Problem, words: Raw, labels: NDArray[np.int64], stage: str
) -> tuple[Measurement, ...]:
    """Bit-true accuracy, then the AUC of every class against the rest, with their errors.

    Args:
        graph: the design.
        problem: its features and classes.
        words: raw words, shape (events, features).
        labels: class indices, shape (events,).
        stage: which events they are, ``validation`` or ``test``.
    """
    bit_true = partial(
        Measurement,
        method="interpreter",
        stage=stage,
        tool=tool_name(),
        target=problem.digest,
        digest=graph.digest,
    )
    raw = scores(graph, problem.features, words)
    value, error = accuracy(raw, labels)
    found = [bit_true("accuracy", value, error=error)]
    logs = log_probabilities(score_type(graph).to_float(raw))
    for index, name in enumerate(problem.classes):
        mine = labels == index
        area = auc(logs[:, index], mine)
        spread = auc_error(area, int(mine.sum()), int((~mine).sum()))
        found.append(bit_true("auc", area, error=spread, label=name))
    return tuple(found)
