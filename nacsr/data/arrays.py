"""Events that are arrays: sets (particles, values of one) and images (channels, rows, columns).

Their elements are features, in C order. Features that are the same kind of value, such as all
transverse momenta or all pixels of a channel, share one word type and one scaling, so that a
network's shared weights see the same standard value whatever its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

KIND_AXIS = {2: 1, 3: 2, 4: 1}
"""Which axis of all events' values goes through the kinds of value, by how many axes there are."""


def alike(array: Shape, features: int) -> list[NDArray[np.int64]]:
    """The columns of every kind of value; each column by itself where there is no array.

    >>> [columns.tolist() for columns in alike((2, 3), 6)]
    [[0, 3], [1, 4], [2, 5]]
    """
    columns = np.arange(features)
    match array:
        case (particles, values):
            return list(columns.reshape(particles, values).T)
        case (channels, _, _):
            return list(columns.reshape(channels, -1))
    return list(columns[:, None])


def default_kinds(axes: int, count: int) -> tuple[str, ...]:
    """Names of kinds of value that have none.

    Args:
        axes: of all events' values.
        count: how many kinds.
    """
    if axes == 4 and count == 1:
        return ("pixel",)
    stem = {2: "x", 3: "v", 4: "channel"}[axes]
    return tuple(f"{stem}{k}" for k in range(count))


def feature_names(array: Shape, kinds: Sequence[str]) -> tuple[str, ...]:
    """A name for every element: ``p0_pt`` of a set; ``r3_c7`` of an image, behind its channel's
    name if it has several; the kinds themselves where there is no array.

    >>> feature_names((2, 2), ("pt", "eta"))
    ('p0_pt', 'p0_eta', 'p1_pt', 'p1_eta')
    """
    match array:
        case (particles, _):
            return tuple(f"p{p}_{kind}" for p in range(particles) for kind in kinds)
        case (channels, rows, columns):
            stems = [""] if channels == 1 else [f"{kind}_" for kind in kinds]
            return tuple(
                f"{stem}r{r}_c{c}" for stem in stems for r in range(rows) for c in range(columns)
            )
    return tuple(kinds)
