"""What networks are shown: batches, learning rates, and how long it is worth it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.population.trainer import Lesson

if TYPE_CHECKING:
    import torch

MAX_BATCH = 1024
MIN_BATCHES = 24
"""Batches an epoch at least, where there are events enough: the noise of small batches
keeps small sets from being learnt by heart (6,000 events: 1-3 % of accuracy)."""
EPOCHS = 120
"""No event is trained on more often: beyond, small sets are only learnt by heart."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained: first in float, then with its quantisers.

    Attributes:
        float_rate: first learning rate of the float part.
        quantised_rate: that of the quantised part.
        decay: of weights. Strong: networks this small overfit thousands of events, and small
            weights quantise well.
        l1: weight of the sum of absolute parameters in the loss.
        float_share: share of the steps that are done in float.
    """

    float_rate: float = 1e-2
    quantised_rate: float = 5e-3
    decay: float = 0.2
    l1: float = 0.0
    float_share: float = 0.6

    def split(self, steps: int) -> tuple[int, int]:
        """Steps in float, and quantised ones."""
        first = round(steps * self.float_share)
        return first, steps - first


USUAL = Recipe()
"""How the search trains."""


def lesson(
    rows: Rows,
    steps: int,
    rate: float,
    seed: int,
    recipe: Recipe = USUAL,
    *,
    sparse: bool = False,
) -> Lesson:
    """Steps of batches drawn without replacement until all events were seen, then anew.

    Args:
        rows: the events.
        steps: how many batches.
        rate: the first learning rate; it falls by a cosine.
        seed: of the order of events.
        recipe: gives decay and L1.
        sparse: whether parameters that are zero stay zero.
    """
    batch, events = batch_size(len(rows.x)), len(rows.x)
    rng = np.random.default_rng(seed)
    whole = events // batch
    epochs = [rng.permutation(events)[: whole * batch] for _ in range(math.ceil(steps / whole))]
    order = np.concatenate(epochs).reshape(-1, batch)[:steps]
    rates = rate * 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    return Lesson(rows, order, rates, recipe.decay, recipe.l1, sparse)


def useful_steps(steps: int, events: int) -> int:
    """A budget of steps, cut where every event has been seen ``EPOCHS`` times."""
    return min(steps, math.ceil(EPOCHS * events / batch_size(events)))


def batch_size(events: int) -> int:
    """A power of two that gives ``MIN_BATCHES`` batches an epoch, up to ``MAX_BATCH``."""
    fitting = 1 << round(math.log2(max(events / MIN_BATCHES, 32)))
    return min(fitting, MAX_BATCH, events)


def stream(*parts: object) -> int:
    """The seed of a random stream of its own."""
    text = "\n".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def generator(*parts: object) -> torch.Generator:
    """A random stream of its own."""
    import torch

    return torch.Generator().manual_seed(stream(*parts))
