"""Multinomial logistic regression in which every class has columns of its own.

The mean log-likelihood with a small ridge is convex; Newton's method needs a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

RIDGE = 1e-4
"""Of the mean log-likelihood: settles the offset that all classes may share."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The data: per class, columns of about unit size, shape (rows, terms), and labels (rows,)."""

    columns: tuple[Real, ...]
    labels: NDArray[np.int64]

    @property
    def spans(self) -> list[slice]:
        """Where the weights of each class are in the vector of all weights."""
        ends = np.cumsum([0, *(c.shape[1] for c in self.columns)])
        return [slice(a, b) for a, b in pairwise(ends.tolist())]

    def shares(self, weights: Real) -> tuple[Real, Real]:
        """Probability of every class, shape (rows, classes), and log-likelihood of the rows."""
        parts = [c @ weights[s] for c, s in zip(self.columns, self.spans, strict=True)]
        logits = np.stack(parts, axis=1)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        total = shares.sum(axis=1, keepdims=True)
        picked = logits[np.arange(len(self.labels)), self.labels] - np.log(total[:, 0])
        return shares / total, picked


def newton(fit: Fit, weights: Real, free: NDArray[np.bool_], steps: int) -> Real:
    """Newton's method on the ridged mean log-likelihood, over the free weights only."""
    loss, gradient, hessian = likelihood(fit, weights)
    for _ in range(steps):
        step = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        size = 1.0
        while size > 1e-3:
            trial = weights.copy()
            trial[free] -= size * step
            found = likelihood(fit, trial)
            if found[0] <= loss:
                break
            size /= 4
        else:
            return weights
        weights, (loss, gradient, hessian) = trial, found
    return weights


def likelihood(fit: Fit, weights: Real) -> tuple[float, Real, Real]:
    """Mean negative log-likelihood with ridge, its gradient and Hessian."""
    rows, spans = len(fit.labels), fit.spans
    shares, picked = fit.shares(weights)
    loss = -float(picked.mean()) + 0.5 * RIDGE * float(weights @ weights)
    gradient, hessian = RIDGE * weights, RIDGE * np.eye(len(weights))
    for a, (columns, span) in enumerate(zip(fit.columns, spans, strict=True)):
        gradient[span] += columns.T @ (shares[:, a] - (fit.labels == a)) / rows
        for b in range(a, len(spans)):
            curve = shares[:, a] * ((a == b) - shares[:, b]) / rows
            block = columns.T @ (curve[:, None] * fit.columns[b])
            hessian[span, spans[b]] += block
            if a != b:
                hessian[spans[b], span] += block.T
    return loss, gradient, hessian
