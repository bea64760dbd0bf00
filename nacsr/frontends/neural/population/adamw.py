"""AdamW in torch, with L1 and with parameters that stay zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Descent:
    """Steps of some parameters.

    Args:
        learnt: moved in place.
        masks: of every parameter, where it is not held at zero; none if nothing is.
        decay: of weights.
        l1: weight of the sum of absolute parameters in the loss.
    """

    def __init__(
        self,
        learnt: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        decay: float,
        l1: float,
    ) -> None:
        import torch

        self._learnt, self._masks, self._l1 = learnt, masks, l1
        self._optimiser = torch.optim.AdamW(learnt, weight_decay=decay, fused=True)

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Down the gradient of a loss."""
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        with torch.no_grad():
            for p in self._learnt if self._l1 else ():
                if p.grad is not None:
                    p.grad.add_(p.sign(), alpha=self._l1)
            self._optimiser.step()
            for p, mask in zip(self._learnt, self._masks, strict=False):
                p.mul_(mask)
