"""What a network is trained for: events, their weights, the loss, and a target's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
    """The units of a regression: a target is ``centre + 2**shift`` times a standard value.

    Several targets have a centre each and one shift, since they are judged in one unit: what is
    learnt is then the mean squared distance.
    """

    centre: tuple[float, ...]
    shift: int

    @classmethod
    def of(cls, events: Events) -> Units:
        """The means, to 1/16 of the spread, and the power of two nearest to the spread."""
        y = events.y.reshape(len(events), -1)
        mean = np.average(y, axis=0, weights=events.weights)
        squares = np.average(np.square(y - mean), axis=0, weights=events.weights)
        variance = float(squares.mean())
        shift = round(math.log2(variance) / 2) if variance > 0 else 0
        grid = math.ldexp(1.0, shift - CENTRE_BITS)
        return cls(tuple(round(m / grid) * grid for m in mean.tolist()), shift)

    def standard(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard values of targets, shape (events, targets)."""
        found: NDArray[np.float64] = y.reshape(len(y), -1) - np.array(self.centre)
        return np.ldexp(found, -self.shift)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training events, and what is to be learnt from them.

    Attributes:
        x: standardised values, float32 of shape (events, features).
        y: class indices, int64 of shape (events,); 0 or 1 of two classes, float32 of the same
            shape; standardised targets of a regression, float32 of shape (events, outputs).
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
        y = events.y if units is None else units.standard(events.y)
        whole = units is None and outputs > 1
        return cls(
            torch.from_numpy(values.astype(np.float32)),
            torch.from_numpy(y.astype(np.int64 if whole else np.float32)),
            outputs,
            None if events.weights is None else torch.from_numpy(np.float32(events.weights)),
            units,
        )

    def to(self, device: str) -> Rows:
        """The same on a device of torch."""
        weights = None if self.weights is None else self.weights.to(device)
        return replace(self, x=self.x.to(device), y=self.y.to(device), weights=weights)

    def loss(self, found: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The mean loss of some events; the arguments as of ``losses``."""
        # over the events, not their weights: a batch of light events moves the network less
        return self.losses(found, index).mean()

    def losses(self, found: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The loss of some events: squares of a regression, else the cross entropy.

        Args:
            found: the network's outputs for them, shape (events, outputs).
            index: who they are.

        Returns:
            The losses times the events' weights, shape (events,).
        """
        from torch.nn import functional as f

        y = self.y[index]
        if self.units is not None:
            losses = f.mse_loss(found, y, reduction="none").mean(1)
        elif self.outputs == 1:
            losses = f.binary_cross_entropy_with_logits(found[:, 0], y, reduction="none")
        else:
            losses = f.cross_entropy(found, y, reduction="none")
        return losses if self.weights is None else losses * self.weights[index]
