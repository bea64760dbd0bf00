"""Successive halving with several objectives: who is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nacsr.search.goals import Score


def promoted(scores: Sequence[Score | None], count: int) -> list[int]:
    """The best of some candidates, by rank and, within the last rank, by crowding.

    Those beyond a limit go on only if there is room behind all others, the least excess first.

    Args:
        scores: of the candidates; None marks a failure, which never goes on.
        count: how many go on at most.

    Returns:
        Indices in ascending order.
    """
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    alive = [(i, score) for i, score in enumerate(scores) if score is not None]
    within = [i for i, score in alive if not score.excess]
    if len(within) <= count:
        others = sorted((score.excess, i) for i, score in alive if score.excess)
        return sorted(within + [i for _, i in others[: count - len(within)]])
    values = np.array([score.objectives for _, score in alive if not score.excess])
    chosen: list[int] = []
    for front in NonDominatedSorting().do(values, n_stop_if_ranked=count):
        left = count - len(chosen)
        if len(front) > left:
            crowding = calc_crowding_distance(values[front])
            front = front[np.argsort(-crowding, kind="stable")[:left]]
        chosen += [within[i] for i in front]
    return sorted(chosen[:count])
