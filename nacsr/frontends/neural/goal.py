"""What a network is trained for: events, their weights, the loss, and a target's units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.data.events import Events

if TYPE_CHECKING:
    import torch

CENTRE_BITS = 4
"""A target is centred to ``2**-CENTRE_BITS`` of its spread; finer is the network's own bias."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of a regression's target: it is ``centre + 2**shift`` times a standard value."""

    centre: float
    shift: int

    @classmethod
    def of(cls, events: Events) -> Units:
        """The mean, to 1/16 of the spread, and the power of two nearest to the spread."""
        mean = float(np.average(events.y, weights=events.weights))
        variance = float(np.average(np.square(events.y - mean), weights=events.weights))
        shift = round(math.log2(variance) / 2) if variance > 0 else 0
        grid = math.ldexp(1.0, shift - CENTRE_BITS)
        return cls(round(mean / grid) * grid, shift)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training events, and what is to be learnt from them.

    Attributes:
        x: standardised values, float32 of shape (events, features).
        y: class indices, int64 of shape (events,); of one output, float32: 0 or 1 of two
            classes, or standardised targets.
        outputs: outputs of the network.
        weights: how much each event counts, float32 of shape (events,), or None.
        units: of a regression, else None.
    """

    x: torch.Tensor
    y: torch.Tensor
    outputs: int
    weights: torch.Tensor | None = None
    units: Units | None = None

    @classmethod
    def of(cls, values: NDArray[np.float64], events: Events, outputs: int, task: str) -> Rows:
        """Standardised values of events; a word of 24 bits or fewer is exact in float32."""
        import torch

        units = Units.of(events) if task == "regression" else None
        y = events.y if units is None else np.ldexp(events.y - units.centre, -units.shift)
        return cls(
            torch.from_numpy(values.astype(np.float32)),
            torch.from_numpy(y.astype(np.int64 if outputs > 1 else np.float32)),
            outputs,
            None if events.weights is None else torch.from_numpy(np.float32(events.weights)),
            units,
        )

    def loss(self, found: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The mean loss of some events: squares of a regression, else the cross entropy.

        Args:
            found: the network's outputs for them, shape (events, outputs).
            index: who they are.
        """
        from torch.nn import functional as f

        y = self.y[index]
        if self.units is not None:
            losses = f.mse_loss(found[:, 0], y, reduction="none")
        elif self.outputs == 1:
            losses = f.binary_cross_entropy_with_logits(found[:, 0], y, reduction="none")
        else:
            losses = f.cross_entropy(found, y, reduction="none")
        # over the events, not their weights: a batch of light events moves the network less
        return (losses if self.weights is None else losses * self.weights[index]).mean()
