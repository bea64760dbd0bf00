"""Successive halving with several objectives: who is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def promoted(points: Sequence[Sequence[float] | None], count: int) -> list[int]:
    """The best of some candidates, by rank and, within the last rank, by crowding.

    Args:
        points: objectives, all minimised; None marks a failure, which never goes on.
        count: how many go on at most.

    Returns:
        Indices in ascending order.
    """
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    alive = [i for i, point in enumerate(points) if point is not None]
    if len(alive) <= count:
        return alive
    values = np.array([points[i] for i in alive], dtype=np.float64)
    chosen: list[int] = []
    for front in NonDominatedSorting().do(values, n_stop_if_ranked=count):
        left = count - len(chosen)
        if len(front) > left:
            crowding = calc_crowding_distance(values[front])
            front = front[np.argsort(-crowding, kind="stable")[:left]]
        chosen += [alive[i] for i in front]
    return sorted(chosen[:count])
