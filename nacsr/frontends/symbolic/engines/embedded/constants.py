"""Inner constants: Levenberg-Marquardt on a projected least-squares problem.

The weights of the terms are eliminated (variable projection, Golub and Pereyra 1973, with
Kaufman's approximation: the derivative of the fitted sum at fixed weights), so only the
constants inside the terms are stepped; their derivatives are finite differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engines.embedded.normal import Column
from nacsr.frontends.symbolic.engines.embedded.trees import Tree, snap

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


def refined(evaluator: Evaluator, starts: Sequence[Individual], limit: int = 4) -> list[Individual]:
    """The individuals that are better after one step on up to ``limit`` inner constants.

    Each trial and each derivative counts as one evaluation.
    """
    trials = [(one, terms) for one in starts for terms in _trials(evaluator, one, limit)]
    made = evaluator.assess_all([terms for _, terms in trials])
    best: dict[int, Individual] = {}
    for (start, _), found in zip(trials, made, strict=True):
        if found is not None and found.loss < best.get(id(start), start).loss:
            best[id(start)] = found
    return list(best.values())


def _trials(evaluator: Evaluator, start: Individual, limit: int) -> list[list[Tree]]:
    """The terms after a step, one a damping."""
    found = places(start.terms)[:limit]
    gradient = _gradient(evaluator, start, found)
    if gradient is None:
        return []
    moment = gradient @ evaluator.residual(start)
    normal = (gradient @ gradient.T).astype(np.float64)
    trials = []
    for damping in DAMPING:
        damped = normal + damping * np.diag(np.diag(normal)) + 1e-6 * np.eye(len(normal))
        step = np.clip(np.linalg.solve(damped, moment), -2.0, 2.0)
        trials.append(moved(start.terms, found, step.tolist()))
    return trials


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
