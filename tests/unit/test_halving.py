"""Successive halving with several objectives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nacsr.search.goals import Score
from nacsr.search.halving import promoted
from nacsr.search.pareto import nondominated


def going(points, count):
    """Who goes on, of points within all limits."""
    return promoted([None if p is None else Score(tuple(p)) for p in points], count)


def test_the_front_goes_on_before_what_it_dominates():
    points = [(0.5, 5.0), (0.1, 9.0), (0.6, 6.0), (0.3, 4.0), (0.2, 5.0)]
    assert going(points, 3) == [1, 3, 4]


def test_of_a_front_that_is_too_long_the_ends_and_the_lonely_go_on():
    points = [(0.0, 1.0), (0.1, 0.9), (0.11, 0.89), (0.5, 0.5), (1.0, 0.0)]
    assert going(points, 3) == [0, 3, 4]


def test_failures_never_go_on():
    assert going([None, (1.0, 1.0), None], 2) == [1]
    assert going([None, None], 2) == []


def test_who_is_beyond_a_limit_goes_on_last_the_nearest_first():
    scores = [Score((0.0,), 2.0), Score((9.0,)), Score((0.0,), 0.5), None, Score((8.0,))]
    assert promoted(scores, 1) == [4]
    assert promoted(scores, 2) == [1, 4]
    assert promoted(scores, 3) == [1, 2, 4]
    assert promoted(scores, 9) == [0, 1, 2, 4]


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(*[st.integers(0, 5).map(float)] * 3)),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 10),
)
def test_no_one_goes_on_before_a_better_one(points, count):
    chosen = going(points, count)
    alive = [i for i, p in enumerate(points) if p is not None]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(alive))
    left = np.array([points[i] for i in alive if i not in chosen])
    for i in chosen:
        p = np.array(points[i])
        assert not ((left <= p).all(1) & (left < p).any(1)).any() if len(left) else True


def test_it_is_the_same_every_time():
    points = np.random.default_rng(1).random((40, 3)).tolist()
    assert going(points, 13) == going(points, 13)
    front = np.flatnonzero(nondominated(np.array(points)))
    assert set(going(points, len(front))) == set(front.tolist())
