"""Pareto dominance on arrays of objectives to be minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row dominates; of equal rows only the first is kept.

    Args:
        points: shape (n, objectives), every objective minimised.

    >>> nondominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [True, True, False, False]
    """
    keep = np.ones(len(points), dtype=np.bool_)
    for i, point in enumerate(points):
        no_worse = (points <= point).all(axis=1)
        better = (points < point).any(axis=1)
        twin = no_worse & ~better
        keep[i] = not (no_worse & better).any() and not twin[:i].any()
    return keep
