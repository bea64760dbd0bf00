"""NSGA-II selection: non-dominated sorting and crowding (Deb et al., IEEE TEC 6(2), 2002)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def ranks(objectives: Matrix, stop: int | None = None) -> NDArray[np.int64]:
    """Front of every row of ``objectives`` (rows, objectives), all minimised; 0 is the best.

    With ``stop``, fronts beyond the first ``stop`` rows are left at one high rank.
    """
    n = len(objectives)
    no_worse = np.ones((n, n), bool)
    for column in objectives.T:
        no_worse &= column[:, None] <= column
    dominates = no_worse & ~no_worse.T
    dominators = np.count_nonzero(dominates, axis=0)
    rank, current, done = np.full(n, n, dtype=np.int64), 0, 0
    while done < (n if stop is None else min(stop, n)):
        front = np.flatnonzero(dominators == 0)
        rank[front] = current
        dominators -= np.count_nonzero(dominates[front], axis=0)
        dominators[front] = -1
        current, done = current + 1, done + len(front)
    return rank


def crowding(objectives: Matrix) -> Matrix:
    """Crowding distance of every row of one front; the ends of each objective are infinite."""
    n, m = objectives.shape
    distance = np.zeros(n)
    for j in range(m):
        order = np.argsort(objectives[:, j], kind="stable")
        column = objectives[order, j]
        distance[order[[0, -1]]] = np.inf
        if n > 2 and column[-1] > column[0]:
            distance[order[1:-1]] += (column[2:] - column[:-2]) / (column[-1] - column[0])
    return distance


def survivors(objectives: Matrix, count: int) -> NDArray[np.int64]:
    """Indices of the best ``count`` rows, by front, then by crowding."""
    rank = ranks(objectives, count)
    crowd = np.zeros(len(objectives))
    for front in np.unique(rank):
        rows = np.flatnonzero(rank == front)
        crowd[rows] = crowding(objectives[rows])
    return np.lexsort((-crowd, rank))[:count]
