"""Values beyond the working type: the chip saturates, and searches work with what it does.

A heavy tail alone is no reason to refuse a product: its few events get the largest value there
is. What saturates often wastes the type, and would do something else at other widths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed

SATURATED = 0.01
"""Share of rows on which an intermediate value may saturate."""


def saturate(values: NDArray[np.floating[Any]], precision: Fixed, share: float = SATURATED) -> bool:
    """Clip values, shape (rows,), to a working type in place.

    Returns:
        False if more than a share of them are beyond it, or not numbers.
    """
    low, high = precision.min, precision.max
    if values.min() >= low and values.max() <= high:
        return True
    inside = np.count_nonzero((values >= low) & (values <= high))
    np.clip(values, low, high, out=values)
    return bool(len(values) - inside <= share * len(values) and not np.isnan(values).any())
