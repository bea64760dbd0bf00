"""Successive halving with several objectives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nacsr.search.halving import promoted
from nacsr.search.pareto import nondominated


def test_the_front_goes_on_before_what_it_dominates():
    points = [(0.5, 5.0), (0.1, 9.0), (0.6, 6.0), (0.3, 4.0), (0.2, 5.0)]
    assert promoted(points, 3) == [1, 3, 4]


def test_of_a_front_that_is_too_long_the_ends_and_the_lonely_go_on():
    points = [(0.0, 1.0), (0.1, 0.9), (0.11, 0.89), (0.5, 0.5), (1.0, 0.0)]
    assert promoted(points, 3) == [0, 3, 4]


def test_failures_never_go_on():
    assert promoted([None, (1.0, 1.0), None], 2) == [1]
    assert promoted([None, None], 2) == []


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(*[st.integers(0, 5).map(float)] * 3)),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 10),
)
def test_no_one_goes_on_before_a_better_one(points, count):
    going = promoted(points, count)
    alive = [i for i, p in enumerate(points) if p is not None]
    assert going == sorted(set(going))
    assert len(going) == min(count, len(alive))
    left = np.array([points[i] for i in alive if i not in going])
    for i in going:
        p = np.array(points[i])
        assert not ((left <= p).all(1) & (left < p).any(1)).any() if len(left) else True


def test_it_is_the_same_every_time():
    points = np.random.default_rng(1).random((40, 3)).tolist()
    assert promoted(points, 13) == promoted(points, 13)
    front = np.flatnonzero(nondominated(np.array(points)))
    assert set(promoted(points, len(front))) == set(front.tolist())
