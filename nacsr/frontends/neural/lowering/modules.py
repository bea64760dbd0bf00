"""Layers for users' torch networks; this is the one module that needs torch to be imported."""

from __future__ import annotations

import torch
from torch import nn

from nacsr.errors import GraphError, unknown
from nacsr.frontends.neural.lowering.sets import POOLS, RECIPROCAL_BITS, reciprocals


class MaskedPool(nn.Module):
    """Pools a set with absent particles, bit for bit as ``sets.pool_set`` does.

    ``forward(x, mask)`` or ``forward(x, count=count)``: ``x`` is (events, particles, channels),
    ``mask`` (events, particles) is 1 where there is a particle, ``count`` (events,) says how
    many of the first particles are there. An absent particle counts as zero; the mean of an
    empty set is zero.

    Args:
        kind: ``sum``, ``mean`` or ``max``; a maximum needs values that are never negative.
        size: number of particles that there is room for.
        bits: width of the reciprocals by which a mean multiplies.
    """

    factors: torch.Tensor

    def __init__(self, kind: str, size: int, bits: int = RECIPROCAL_BITS) -> None:
        super().__init__()
        if kind not in POOLS:
            raise GraphError(unknown("pool", kind, POOLS))
        self.kind, self.size, self.bits = kind, size, bits
        raw, type_ = reciprocals(size, bits)
        self.register_buffer("factors", torch.from_numpy(type_.to_float(raw)))

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        count: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pooled values of shape (events, channels)."""
        x = getattr(x, "value", x)  # of a QuantTensor
        if count is not None:
            mask = torch.arange(self.size, device=x.device) < count[:, None]
        if mask is not None:
            x = x * (mask != 0)[..., None].to(x.dtype)
        if self.kind == "max":
            return x.amax(1)
        total = x.sum(1)
        if self.kind == "sum":
            return total
        if mask is None:
            return total * self.factors[-1].to(x.dtype)
        present = (mask != 0).sum(1)
        return total * self.factors[present].to(x.dtype)[:, None]

    def extra_repr(self) -> str:
        """What torch prints."""
        return f"{self.kind!r}, size={self.size}, bits={self.bits}"


class SetPool(nn.Module):
    """Pools the particles of (events, particles, channels), all of which are there.

    Args:
        kind: ``sum``, ``mean`` or ``max``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in POOLS:
            raise GraphError(unknown("pool", kind, POOLS))
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pooled values of shape (events, channels)."""
        x = getattr(x, "value", x)  # of a QuantTensor
        return x.amax(1) if self.kind == "max" else getattr(x, self.kind)(1)

    def extra_repr(self) -> str:
        """What torch prints."""
        return repr(self.kind)
