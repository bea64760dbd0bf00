"""Which features matter: by a random forest, or by what permuting one costs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 5_000
TREES = 100


def most_important(
    z: NDArray[np.float64],
    y: NDArray[Any],
    task: str,
    count: int,
    by: str,
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> list[int]:
    """Indices of the ``count`` most important features, in the features' own order.

    Args:
        z: standardised values, shape (events, features).
        y: class indices or targets, shape (events,); or (events, targets).
        task: ``classification`` or ``regression``.
        count: how many.
        by: ``forest``: the impurity that splits on a feature remove (Breiman, Machine Learning
            45, 2001, 5); ``permutation``: the score lost on other events when it is shuffled.
        seed: of the forest, the rows and the permutations.
        weights: how much each event counts, shape (events,); None: all the same.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.inspection import permutation_importance

    heavy = np.ones(len(y)) if weights is None else weights
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(heavy))
    fit, ask = rows[:ROWS], rows[ROWS : 2 * ROWS]
    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    state = seed % 2**32
    forest = kind(TREES, min_samples_leaf=5, random_state=state, n_jobs=1)
    forest.fit(z[fit], y[fit], sample_weight=heavy[fit])
    found = forest.feature_importances_
    if by == "permutation":
        ask = ask if len(ask) else fit
        found = permutation_importance(
            forest,
            z[ask],
            y[ask],
            n_repeats=3,
            random_state=state,
            n_jobs=1,
            sample_weight=heavy[ask],
        ).importances_mean
    return sorted(np.argsort(-found, kind="stable")[:count].tolist())
