"""How particles become one, exactly as in the designs of ``lean`` and ``tables``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SUMS = ("mean", "sum")


def pooled(a: Array, kind: str) -> Array:
    """Values (events, particles, values) of particles into those of one."""
    if kind == "max":
        return np.asarray(a.max(1, keepdims=True), np.float64)
    shift = mean_shift(a.shape[1]) if kind == "mean" else 0
    return np.asarray(np.ldexp(a.sum(1, keepdims=True), -shift), np.float64)


def mean_shift(particles: int) -> int:
    """The power of two that stands for a number of particles: the weights make up for the rest."""
    return math.ceil(math.log2(particles))
