"""Events as a design sees them: raw words, what is to be predicted, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Raw


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Some events.

    Attributes:
        words: raw input words, int64 of shape (events, features).
        y: class indices, int64 of shape (events,); targets, float64, of a regression,
            of shape (events, targets) if there are several.
        weights: how much each event counts, float64 of shape (events,), with a mean of one;
            None: all the same.
    """

    words: Raw
    y: NDArray[Any]
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: slice | NDArray[np.int64]) -> Events:
        """Some of them."""
        weights = None if self.weights is None else unit_mean(self.weights[rows])
        return Events(self.words[rows], self.y[rows], weights)


def unit_mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights with a mean of one, unless all are zero."""
    mean = float(weights.mean()) if len(weights) else 0.0
    return weights / mean if mean > 0 else weights
