"""Bragg peaks: how far from the true centre is the estimate that needs no training?

    python benchmarks/bragg.py [--events 100000] [--seed 0]

Prints the mean distance of the centre of mass from the centre that each patch of the source
``bragg`` was drawn at, with its standard error, in pixels: without background, and with the
default one.
"""

from __future__ import annotations

import argparse

from nacsr.data.bragg import BACKGROUND, centre_of_mass, patches
from nacsr.metrics import mean_distance


def baseline(events: int, seed: int, background: tuple[float, float]) -> tuple[float, float]:
    """Mean distance of the centre of mass, and its error, in pixels."""
    images, centres = patches(events, seed, background)
    return mean_distance(centre_of_mass(images), centres)


def main() -> None:
    """Print the baseline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for background in ((0.0, 0.0), BACKGROUND):
        value, error = baseline(asked.events, asked.seed, background)
        low, high = background
        print(
            f"background {low:g} to {high:g} counts: centre of mass {value:.4f} ± {error:.4f} px "
            f"({asked.events:,} patches, seed {asked.seed})"
        )


if __name__ == "__main__":
    main()
