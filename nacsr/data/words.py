"""Inputs are hardware words: each feature is an integer with a ``Fixed`` type.

Models train on standardised values ``z = (x - offset) * 2**-shift``. The offset is a word
and the scale a power of two, so that inside a design the scaling costs one subtraction
per used feature and no multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import DataError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding

WORD_BITS = 16


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the design: its name and the type of its word."""

    name: str
    type: Fixed


@dataclass(frozen=True, slots=True)
class Scaling:
    """How words become the standardised values that models train on.

    Attributes:
        mode: ``folded``: the subtraction and shift are part of the design and counted;
            ``external``: the words that arrive are standardised already (stated on every row).
        offsets: raw word subtracted from each feature.
        shifts: power of two that divides each feature afterwards.
    """

    mode: str
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]

    @property
    def identity(self) -> bool:
        """Whether nothing is done inside the design."""
        return not any(self.offsets) and not any(self.shifts)


def derive_features(
    x: NDArray[np.float64], names: Sequence[str], width: int = WORD_BITS
) -> tuple[Feature, ...]:
    """A word type for every feature from the range of training values.

    The binary point is as far left as the range allows; non-negative features are unsigned.
    Values outside the training range saturate, as a front end would.

    Args:
        x: training values, shape (events, features).
        names: one name a feature.
        width: bits of a word.
    """
    features = []
    for name, column in zip(names, x.T, strict=True):
        low, high = float(column.min()), float(column.max())
        signed = low < 0
        reach = max(high, -low, 2.0**-40)
        integer = int(np.floor(np.log2(reach))) + 1 + signed
        type_ = Fixed(width, integer, signed, Rounding.RND, Overflow.SAT)
        features.append(Feature(name, type_))
    return tuple(features)


def to_words(x: NDArray[np.float64], features: Sequence[Feature]) -> Raw:
    """Quantise physical values to words, shape (events, features).

    Raises:
        DataError: if the number of columns differs.
    """
    if x.ndim != 2 or x.shape[1] != len(features):
        msg = f"expected values of shape (events, {len(features)}), not {list(x.shape)}"
        raise DataError(msg)
    columns = [f.type.quantize(x[:, j]) for j, f in enumerate(features)]
    return np.stack(columns, axis=1)


def fit_scaling(words: Raw, features: Sequence[Feature]) -> Scaling:
    """Folded scaling from training words: median as offset, nearest power of two to the spread."""
    offsets, shifts = [], []
    for j, feature in enumerate(features):
        offsets.append(int(np.median(words[:, j])))
        spread = float(np.std(words[:, j])) * feature.type.lsb
        shifts.append(round(float(np.log2(spread))) if spread > 0 else 0)
    return Scaling("folded", tuple(offsets), tuple(shifts))


def standardise(words: Raw, features: Sequence[Feature], scaling: Scaling) -> NDArray[np.float64]:
    """The values that models train on: exactly what the design computes from the words."""
    lsb = np.array([f.type.lsb for f in features])
    offsets = np.array(scaling.offsets, dtype=np.int64)
    scale: NDArray[np.float64] = lsb * np.exp2(-np.array(scaling.shifts, dtype=np.float64))
    return (words - offsets) * scale
