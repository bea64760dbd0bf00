"""Inner constants: Levenberg-Marquardt on a projected least-squares problem.

The weights of the terms are eliminated (variable projection, Golub and Pereyra 1973, with
Kaufman's approximation: the derivative of the fitted sum at fixed weights), so only the
constants inside the terms are stepped; their derivatives are finite differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nacsr.frontends.symbolic.engine.evaluation import Column, Evaluator, Individual
from nacsr.frontends.symbolic.engine.trees import Tree, snap

STEP = 2.0**-4
DAMPING = (0.01, 1.0)
Place = tuple[int, int]  # which term, which symbol of it


def places(terms: Sequence[Tree]) -> list[Place]:
    """Where the inner constants are."""
    return [
        (i, j)
        for i, tree in enumerate(terms)
        for j, symbol in enumerate(tree)
        if isinstance(symbol, float)
    ]


def moved(terms: Sequence[Tree], found: Sequence[Place], steps: Sequence[float]) -> list[Tree]:
    """The terms with a step added to each of some constants, snapped to cheap values."""
    changed = [list(t) for t in terms]
    for (i, j), step in zip(found, steps, strict=True):
        changed[i][j] = snap(float(changed[i][j]) + step)
    return [tuple(t) for t in changed]


def refine(evaluator: Evaluator, start: Individual, limit: int = 4) -> Individual | None:
    """The individual after one step on up to ``limit`` of its inner constants.

    Returns the better of the trials if it is better than ``start``, else None. Each trial
    and each derivative counts as one evaluation.
    """
    found = places(start.terms)[:limit]
    gradient = _gradient(evaluator, start, found)
    if gradient is None:
        return None
    moment = gradient @ evaluator.residual(start)
    normal = (gradient @ gradient.T).astype(np.float64)
    trials = []
    for damping in DAMPING:
        damped = normal + damping * np.diag(np.diag(normal)) + 1e-6 * np.eye(len(normal))
        step = np.clip(np.linalg.solve(damped, moment), -2.0, 2.0)
        trials.append(evaluator.assess(moved(start.terms, found, step.tolist())))
    best = min((t for t in trials if t is not None), key=lambda t: t.loss, default=None)
    return best if best is not None and best.loss < start.loss else None


def _gradient(evaluator: Evaluator, start: Individual, found: Sequence[Place]) -> Column | None:
    """Derivative of the fitted sum by each constant, shape (constants, rows)."""
    rows = []
    for i, j in found:
        evaluator.evaluations += 1
        tree = start.terms[i]
        beside = (*tree[:j], float(tree[j]) + STEP, *tree[j + 1 :])
        shift, here = evaluator.shift(tree, beside), evaluator.term(tree)
        if shift is None or here is None:
            return None
        rows.append(shift * np.float32(start.weights[i] / (here.spread * STEP)))
    return np.stack(rows) if rows else None
