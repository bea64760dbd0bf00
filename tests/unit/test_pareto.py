from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nacsr.search.pareto import nondominated


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=20))
def test_front_by_definition(points: list[tuple[int, ...]]) -> None:
    array = np.array(points, dtype=float)
    mask = nondominated(array)
    for i, p in enumerate(points):
        dominated = any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points)
        first = points.index(p) == i
        assert mask[i] == (not dominated and first)
