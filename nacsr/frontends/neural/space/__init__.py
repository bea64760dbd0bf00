"""Architectures: as data, as genes, and what they cost before they have weights."""

from nacsr.frontends.neural.space.layers import (
    Attention,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Pool,
)

__all__ = ["Attention", "Conv", "Dense", "Flatten", "Layer", "Network", "Pool"]
