"""Bragg peaks: patches of a detector, drawn by a seed, with the centres that they were drawn at.

A peak is a pseudo-Voigt profile on a flat background, counted with Poisson noise: what fast
localisation is trained on (Liu et al., BraggNN, IUCrJ 9, 2022, 104).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = 11
"""Pixels of a side."""
CENTRES = ("row", "column")
FWHM = (1.5, 4.0)
"""Full width at half maximum of one axis, pixels."""
RATIO = (0.6, 1.6)
"""Of the other axis' width to it."""
AMPLITUDE = (50.0, 5000.0)
"""Counts at the top, evenly in their logarithm."""
BACKGROUND = (5.0, 30.0)
"""Counts under every pixel of a patch."""
SHIFTED = 0.25
"""Share of the patches whose peak was found up to a pixel away, either way along each side."""
CHUNK = 10_000


def patches(
    events: int, seed: int = 0, background: tuple[float, float] = BACKGROUND
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Patches and the centres of their peaks.

    Args:
        events: how many.
        seed: of all that is drawn; the first patches do not depend on how many follow.
        background: least and most counts under every pixel of a patch.

    Returns:
        Counts, float32 of shape (events, 1, 11, 11); and rows and columns of the centres in
        pixels from the middle of the patch, shape (events, 2).
    """
    parts = [
        _drawn(min(CHUNK, events - begin), np.random.default_rng([seed, begin]), background)
        for begin in range(0, events, CHUNK)
    ]
    images, centres = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(centres)


def _drawn(
    events: int, rng: np.random.Generator, background: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    def even(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, CHUNK)[:events, None, None]

    first = even(*FWHM)
    second = first * even(*RATIO)
    top = np.exp(even(*np.log(AMPLITUDE)))
    under, angle, lorentz = even(*background), even(0, np.pi), even(0, 1)
    moved = (rng.random(CHUNK) < SHIFTED)[:events, None]
    centres = rng.uniform(-0.5, 0.5, (CHUNK, 2))[:events]
    centres = centres + rng.integers(-1, 2, (CHUNK, 2))[:events] * moved
    rows, columns = (_places()[:, :, axis] - centres[:, axis, None, None] for axis in (0, 1))
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    away = (2 * along / first) ** 2 + (2 * across / second) ** 2  # 1 at half maximum
    peak = lorentz / (1 + away) + (1 - lorentz) * np.exp2(-away)
    images = rng.poisson(top * peak + under)
    return images[:, None].astype(np.float32), centres


def _places() -> NDArray[np.float64]:
    """Row and column of every pixel from the middle, shape (11, 11, 2)."""
    along = np.arange(SIZE) - (SIZE - 1) / 2
    return np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1)


def centre_of_mass(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the counts are on average: the estimate that needs no training.

    Args:
        images: shape (events, 1, 11, 11).

    Returns:
        Rows and columns from the middle, shape (events, 2); the middle of an empty patch.
    """
    counts = images.reshape(len(images), -1).astype(np.float64)
    total = np.maximum(counts.sum(axis=1), 1)
    found: NDArray[np.float64] = counts @ _places().reshape(-1, 2) / total[:, None]
    return found
