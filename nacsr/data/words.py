"""Inputs are hardware words: each feature is an integer with a ``Fixed`` type.

Models train on standardised values ``z = (x - offset) * 2**-shift``. The offset is a word
and the scale a power of two, so that inside a design the scaling costs one subtraction
per used feature and no multiplier.

The elements of an array share both by their kind of value. A particle that is not there is zeros
in every value, words like any others, and takes part in the scaling (as in Odagiu et al.,
arXiv:2402.01876): the network learns what such a particle looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.data.arrays import Shape, alike
from nacsr.errors import DataError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding

WORD_BITS = 16
FEWEST_WORDS = 8
"""Distinct words that a feature with as many distinct values must keep."""
OFFSET_STEPS = 8
"""Steps of the grid of offsets in one spread."""


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
    x: NDArray[np.float64], names: Sequence[str], width: int = WORD_BITS, array: Shape = ()
) -> tuple[Feature, ...]:
    """A word type for every feature from the range of training values, shared by those alike.

    The binary point is as far left as the range allows; non-negative features are unsigned.
    Values outside the training range saturate, as a front end would.

    Args:
        x: training values, shape (events, features).
        names: one name a feature.
        width: bits of a word.
        array: shape of an event, if it is an array.
    """
    types: dict[int, Fixed] = {}
    for columns in alike(array, len(names)):
        values = x[:, columns]
        low, high = float(values.min()), float(values.max())
        signed = low < 0
        reach = max(high, -low, 2.0**-40)
        integer = int(np.floor(np.log2(reach))) + 1 + signed
        type_ = Fixed(width, integer, signed, Rounding.RND, Overflow.SAT)
        types |= dict.fromkeys(columns.tolist(), type_)
    return tuple(Feature(name, types[j]) for j, name in enumerate(names))


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


def fit_scaling(words: Raw, features: Sequence[Feature], array: Shape = ()) -> Scaling:
    """Folded scaling from training words: median as offset, nearest power of two to the spread.

    The spread is the standard deviation, or that of the central half where a few outliers
    would inflate it more than eightfold. Kinds of value of an array have tails of their own, such
    as the few pixels of a peak: their spread is that of the central nine tenths, (q95 - q5) / 3.29,
    as far as these differ (the robust scaling of arXiv:2402.01876).

    Offsets lie on a coarse grid: multiples of the power of two that is nearest to 1/8 of the
    spread (in words, one at least), and zero for a median below it. Centring needs no more,
    and the subtraction in hardware then touches the top bits of a word only.
    """
    offsets, shifts = [0] * len(features), [0] * len(features)
    for columns in alike(array, len(features)):
        some, type_ = words[:, columns].ravel(), features[columns[0]].type
        spread = _wide_spread(some) if array else _spread(some)
        offset = _on_grid(float(np.median(some)), spread, type_.max_raw)
        size = spread * type_.lsb
        shift = round(float(np.log2(size))) if size > 0 else type_.integer
        for j in columns.tolist():
            offsets[j], shifts[j] = offset, shift
    return Scaling("folded", tuple(offsets), tuple(shifts))


def _on_grid(median: float, spread: float, top: int) -> int:
    """The offset nearest to a median, in words of at most ``top``."""
    grid = 1 << max(0, round(float(np.log2(spread / OFFSET_STEPS)))) if spread > 0 else 1
    if abs(median) < grid:
        return 0
    offset = round(median / grid) * grid
    return offset - grid if offset > top else offset


def _spread(column: Raw) -> float:
    spread = float(np.std(column))
    low, high = np.quantile(column, (0.25, 0.75))
    central = float(high - low) / 1.349  # equal to the standard deviation of a Gaussian
    return central if 0 < 8 * central < spread else spread


def _wide_spread(values: Raw) -> float:
    low, high = np.quantile(values, (0.05, 0.95))
    spread = float(high - low) / 3.29  # equal to the standard deviation of a Gaussian
    return spread if spread > 0 else float(np.std(values))  # where most are zero


def check_words(
    x: NDArray[np.float64], words: Raw, features: Sequence[Feature], array: Shape = ()
) -> None:
    """Refuse words that have lost the feature, or the kind of value, that they stand for.

    Args:
        x: training values, shape (events, features).
        words: their words, same shape.
        features: names and types.
        array: shape of an event, if it is an array.

    Raises:
        DataError: naming the feature, its type and the remedy.
    """
    for columns in alike(array, len(features)):
        feature = features[columns[0]]
        values, distinct = (len(np.unique(a[:, columns])) for a in (x, words))
        if values > 1 and distinct < min(values, FEWEST_WORDS):
            msg = (
                f"feature {feature.name!r}: {values} training values become {distinct} words of "
                f"{feature.type.plain()}; its range is too wide for its spread: subtract its "
                "offset, cut outliers, raise inputs.width, or give its type in inputs.types"
            )
            raise DataError(msg)
        if values == 1:
            msg = (
                f"feature {feature.name!r} is constant in the training events; leave it out with "
                "features: [...], or split by another seed"
            )
            raise DataError(msg)


def standardise(words: Raw, features: Sequence[Feature], scaling: Scaling) -> NDArray[np.float64]:
    """The values that models train on: exactly what the design computes from the words."""
    lsb = np.array([f.type.lsb for f in features])
    offsets = np.array(scaling.offsets, dtype=np.int64)
    scale: NDArray[np.float64] = lsb * np.exp2(-np.array(scaling.shifts, dtype=np.float64))
    return (words - offsets) * scale
