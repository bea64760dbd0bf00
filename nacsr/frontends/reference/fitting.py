"""Linear models of any columns, fitted to classes by likelihood or to targets by squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.base import Events, Problem
from nacsr.frontends.reference.base import Spreads, targets

Real = NDArray[np.float64]

STEPS = 200
"""Of L-BFGS, at most."""
CENTRINGS = 20
TOLERANCE = 1e-7
"""Relative change of the loss at which L-BFGS stops: less changes no decision."""


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """What a model is fitted to.

    Attributes:
        targets: one-hot classes, or values to be predicted; shape (events, outputs).
        weights: of the events, shape (events,), with a mean of one; None: all the same.
        regression: whether squares are minimised instead of likelihood maximised.
    """

    targets: Real
    weights: Real | None = None
    regression: bool = False

    @classmethod
    def of(cls, problem: Problem, events: Events) -> Goal:
        """The goal of a problem for some of its events."""
        if problem.task == "regression":
            return cls(targets(events), events.weights, regression=True)
        return cls(np.eye(len(problem.classes))[events.y], events.weights)

    def take(self, most: int) -> Goal:
        """Of the first events."""
        weights = None if self.weights is None else self.weights[:most]
        return Goal(self.targets[:most], weights, self.regression)

    @property
    def outputs(self) -> int:
        """Columns of the targets."""
        return int(self.targets.shape[1])

    def mean(self) -> Real:
        """Weighted mean of the targets."""
        found: Real = np.average(self.targets, axis=0, weights=self.weights)
        return found

    def offsets(self) -> Real:
        """Of a model without inputs; a class without events is not infinitely unlikely."""
        if self.regression:
            return self.mean()
        some = 0.5 / len(self.targets)
        found: Real = np.log(np.maximum(self.mean(), some))
        return found

    def residuals(self, scores: Real) -> Real:
        """What scores leave to be explained: targets minus predictions, weighted; of a regression
        only outputs that vary, since what is left of a constant is noise."""
        wanted = self.targets - (scores if self.regression else probabilities(scores))
        if self.regression:
            wanted = wanted[:, Spreads.of(self.targets, self.weights).varies]
        found: Real = wanted if self.weights is None else wanted * self.weights[:, None]
        return found

    def recentred(self, scores: Real) -> Real:
        """Offsets (outputs,) that make scores right on average, however they were rounded."""
        if self.regression:
            found: Real = np.average(self.targets - scores, axis=0, weights=self.weights)
            return found
        offsets = np.zeros(self.outputs)
        wanted = np.exp(self.offsets())
        for _ in range(CENTRINGS):
            mean = np.average(probabilities(scores + offsets), axis=0, weights=self.weights)
            offsets += np.log(wanted / mean)
        return offsets


def _logs(scores: Real) -> Real:
    shifted = scores - scores.max(axis=1, keepdims=True)
    found: Real = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def probabilities(scores: Real) -> Real:
    """The softmax of every row."""
    found: Real = np.exp(_logs(scores))
    return found


def fit(columns: Any, goal: Goal, penalty: Any, start: Real | None = None) -> tuple[Real, Real]:
    """Weights and offsets of the best model ``columns @ weights + offsets``.

    Args:
        columns: shape (events, columns), dense or sparse; float32 is enough.
        goal: what is to be fitted.
        penalty: square, symmetric and positive semidefinite, (columns, columns), in events: half
            its quadratic form is added to the total loss of every output.
        start: weights to begin with.

    Returns:
        Weights (columns, outputs) and offsets (outputs,), which for classes are those of a model
        without inputs: a column of ones in ``columns`` would refine them.
    """
    return (_squares if goal.regression else _likelihood)(columns, goal, penalty, start)


def _squares(columns: Any, goal: Goal, penalty: Any, start: Real | None) -> tuple[Real, Real]:
    """Normal equations; centred, so that the offsets are free."""
    from scipy.sparse import diags, issparse

    weights = np.ones(len(goal.targets)) if goal.weights is None else goal.weights
    weighted = diags(weights) @ columns if issparse(columns) else weights[:, None] * columns
    a = columns.T @ weighted
    a = a.toarray() if issparse(a) else a
    mean = np.asarray(weighted.sum(axis=0)).ravel() / weights.sum()
    normal = a - weights.sum() * np.outer(mean, mean) + _dense(penalty)
    target = goal.targets - goal.mean()
    found = np.linalg.lstsq(normal, np.asarray(weighted.T @ target), rcond=None)[0]
    return found, goal.mean() - mean @ found


def _dense(matrix: Any) -> Real:
    found: Real = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return found


def _likelihood(columns: Any, goal: Goal, penalty: Any, start: Real | None) -> tuple[Real, Real]:
    """Multinomial likelihood by L-BFGS, in float32 where events are summed over."""
    from scipy.optimize import minimize

    across, offsets = columns.T, goal.offsets()
    across = across.tocsr() if hasattr(across, "tocsr") else across
    target, rows = goal.targets.astype(np.float32), len(goal.targets)
    each = None if goal.weights is None else goal.weights.astype(np.float32)[:, None]

    def loss(flat: Real) -> tuple[float, Real]:
        w = flat.reshape(-1, goal.outputs)
        scores = columns @ w.astype(np.float32) + offsets.astype(np.float32)
        scores -= scores.max(1, keepdims=True)
        odds = np.exp(scores)
        total = odds.sum(1, keepdims=True)
        gain, slope = target * (scores - np.log(total)), odds / total - target
        if each is not None:
            gain, slope = gain * each, slope * each
        pull = penalty @ w
        value = (w * pull).sum() / 2 - gain.sum(dtype=np.float64)
        return value / rows, ((across @ slope).astype(np.float64) + pull).ravel() / rows

    size = columns.shape[1]
    begin = np.zeros((size, goal.outputs)) if start is None else start
    options = {"maxiter": STEPS, "ftol": TOLERANCE}
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(size, -1), offsets
