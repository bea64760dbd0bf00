"""Fitting sums of columns: multinomial or binary logistic regression, and least squares.

All are convex with a small ridge, so Newton's method needs a few steps; one for least squares.
Every output has columns of its own, and all their weights are one vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nacsr.data.events import unit_mean
from nacsr.metrics import effective

Real = NDArray[np.float64]

RIDGE = 1e-4
"""Of the mean log-likelihood: settles the offset that all classes may share."""


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """What outputs are fitted to.

    Attributes:
        targets: shape (rows, classes): probabilities of the classes, one or zero where the labels
            are known; of a regression the values, a column a target.
        weights: how much each row counts, shape (rows,), with a mean of one; None: all the same.
        regression: least squares instead of logistic regression.
    """

    targets: Real
    weights: Real | None = None
    regression: bool = False

    @property
    def outputs(self) -> int:
        """Number of sums: one a target or class; one for two classes, whose other score is zero."""
        columns = self.targets.shape[1]
        return 1 if columns == 2 and not self.regression else columns

    @property
    def unit(self) -> float:
        """Scale of the outputs: the spread of a regression's targets, which have one unit; one
        for log-odds.
        """
        if not self.regression:
            return 1.0
        mean = np.average(self.targets, axis=0, weights=self.weights)
        variance = np.average((self.targets - mean) ** 2, axis=0, weights=self.weights)
        return float(np.sqrt(variance.mean())) or 1.0

    @property
    def rows(self) -> float:
        """Equal events that those of different weights are worth (Kish 1965)."""
        return effective(len(self.targets), self.weights)

    def take(self, rows: slice) -> Goal:
        """Some of the rows."""
        weights = None if self.weights is None else unit_mean(self.weights[rows])
        return Goal(self.targets[rows], weights, self.regression)

    def errors(self, outputs: Real) -> Real:
        """Derivative of the log-likelihood by every output, shape (rows, outputs)."""
        found: Real
        if self.regression:
            found = (self.targets - outputs) / self.unit**2
        else:
            found = (self.targets - self.shares(outputs))[:, -self.outputs :]
        return found if self.weights is None else found * self.weights[:, None]

    def shares(self, outputs: Real) -> Real:
        """Probability of every class, shape (rows, classes)."""
        logits = outputs
        if outputs.shape[1] < self.targets.shape[1]:
            logits = np.hstack([np.zeros((len(outputs), 1)), outputs])
        shares: Real = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def loss(self, outputs: Real) -> float:
        """Mean negative log-likelihood; of a regression half the squared errors of all targets in
        units of ``unit**2``.
        """
        if self.regression:
            each = ((self.targets - outputs) ** 2).sum(axis=1) / (2 * self.unit**2)
        else:
            each = -(self.targets * np.log(np.maximum(self.shares(outputs), 1e-300))).sum(axis=1)
        return float(np.average(each, weights=self.weights))

    def curvature(self, outputs: Real) -> Real:
        """Minus second derivatives of the log-likelihood, shape (outputs, outputs, rows)."""
        rows, n = len(outputs), self.outputs
        if self.regression:
            curves = np.zeros((n, n, rows))
            curves[np.arange(n), np.arange(n)] = self.unit**-2
        else:
            p = self.shares(outputs)[:, -n:].T
            curves = -p[:, None] * p[None]
            curves[np.arange(n), np.arange(n)] += p
        return curves if self.weights is None else curves * self.weights

    def noise(self, outputs: Real) -> Real:
        """Variance of the errors of the outputs, shape (outputs,), in units of ``1 / unit**2``:
        the mean curvature of a classification, the squared errors left of a regression.
        """
        if self.regression:
            squares = ((self.targets - outputs) / self.unit) ** 2
            left: Real = np.average(squares, axis=0, weights=self.weights)
            return left
        each: Real = np.einsum("aar->ar", self.curvature(outputs)).mean(axis=1)
        return each


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The columns of every output, of about unit size, each (rows, terms), and the goal."""

    columns: tuple[Real, ...]
    goal: Goal

    @property
    def spans(self) -> list[slice]:
        """Where the weights of each output are in the vector of all weights."""
        ends = np.cumsum([0, *(c.shape[1] for c in self.columns)])
        return [slice(a, b) for a, b in pairwise(ends.tolist())]

    def outputs(self, weights: Real) -> Real:
        """The sums, shape (rows, outputs)."""
        parts = [c @ weights[s] for c, s in zip(self.columns, self.spans, strict=True)]
        return np.stack(parts, axis=1)


def newton(fit: Fit, weights: Real, free: NDArray[np.bool_], steps: int) -> Real:
    """Newton's method on the ridged mean log-likelihood, over the free weights only."""
    loss = penalised(fit, weights)
    for _ in range(steps):
        gradient, hessian = derivatives(fit, weights)
        step = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        size = 1.0
        while size > 1e-3:
            trial = weights.copy()
            trial[free] -= size * step
            found = penalised(fit, trial)
            if found <= loss:
                break
            size /= 4
        else:
            return weights
        weights, loss = trial, found
    return weights


def penalised(fit: Fit, weights: Real) -> float:
    """Mean negative log-likelihood with ridge."""
    return fit.goal.loss(fit.outputs(weights)) + 0.5 * RIDGE * float(weights @ weights)


def derivatives(fit: Fit, weights: Real) -> tuple[Real, Real]:
    """Gradient and Hessian of the penalised mean negative log-likelihood.

    The Hessian only says how far to step, so its products are made in float32.
    """
    spans, outputs = fit.spans, fit.outputs(weights)
    rows = len(outputs)
    errors = fit.goal.errors(outputs)
    curves = (fit.goal.curvature(outputs) / rows).astype(np.float32)
    columns = [c.astype(np.float32) for c in fit.columns]
    gradient, hessian = RIDGE * weights, RIDGE * np.eye(len(weights))
    for a, span in enumerate(spans):
        gradient[span] -= fit.columns[a].T @ errors[:, a] / rows
        for b in range(a, len(spans)):
            block = columns[a].T @ (curves[a, b][:, None] * columns[b])
            hessian[span, spans[b]] += block
            if a != b:
                hessian[spans[b], span] += block.T
    return gradient, hessian


def one_step(fit: Fit, weights: Real, output: int, new: slice) -> Real:
    """A Newton step on some of the weights of one output: much cheaper than one on all."""
    outputs = fit.outputs(weights)
    columns = fit.columns[output][:, new]
    rows, first = len(outputs), fit.spans[output].start
    curve = fit.goal.curvature(outputs)[output, output] / rows
    hessian = columns.T @ (curve[:, None] * columns) + RIDGE * np.eye(columns.shape[1])
    at = slice(first + new.start, first + new.stop)
    gradient = columns.T @ fit.goal.errors(outputs)[:, output] / rows - RIDGE * weights[at]
    stepped = weights.copy()
    stepped[at] += np.linalg.solve(hessian, gradient)
    return stepped


def one_hot(labels: NDArray[np.int64], classes: int) -> Real:
    """Probabilities of known labels, shape (rows, classes)."""
    probabilities: Real = np.eye(classes)[labels]
    return probabilities


def softened(logits: Real) -> Real:
    """Probabilities that a trained design gives, shape (rows, classes).

    Args:
        logits: its outputs; one column for two classes, whose other score is zero.
    """
    two = np.zeros((len(logits), 2 if logits.shape[1] == 1 else logits.shape[1]))
    return Goal(two).shares(logits)
