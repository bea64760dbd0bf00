"""Bit operations of a network: Eq. A.1-A.5 of Weitz et al., arXiv:2501.05515.

A layer of n inputs and m outputs takes m n (p b_a b_w + b_a + b_w + log2 n), with a share p of
weights that are not zero, activations of b_a and weights of b_w bits; a convolution of kernel k
has k^2 times as many, and n k^2 inside the logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nacsr.frontends.neural.space.layers import Attention, Conv, Dense, Network, Shape

FLOAT_BITS = 32


def bops(network: Network, density: Sequence[float] = ()) -> float:
    """Bit operations for one event, at the network's own bit widths.

    Every product is counted as often as it is done: once a particle, once a pixel of a result.

    Args:
        network: the architecture.
        density: share of weights that are not zero, one a dense or convolutional layer; 1 where
            it is not given.
    """
    dense = iter((*density, *(1.0 for _ in network.layers)))
    total, shape, bits = 0.0, network.input, network.input_bits
    for layer, result in zip(network.layers, network.shapes, strict=True):
        match layer:
            case Dense(width=width, weight_bits=weight_bits):
                rows = math.prod(shape[:-1])
                total += rows * _layer(shape[-1], width, bits, weight_bits, next(dense))
            case Conv(channels=channels, kernel=k, weight_bits=weight_bits):
                pixels = math.prod(result[1:])
                total += pixels * _layer(shape[0], channels, bits, weight_bits, next(dense), k)
            case Attention(hidden=hidden):
                total += attention(shape, hidden)
        shape, bits = result, getattr(layer, "bits", None) or bits
    return total


def attention(shape: Shape, hidden: int) -> float:
    """Self-attention over the pixels, in floating point: it has no quantised form."""
    channels, pixels, b = shape[0], math.prod(shape[1:]), FLOAT_BITS
    projections = 3 * _layer(channels, hidden, b, b) + _layer(hidden, channels, b, b)
    scores, mixed = _layer(hidden, pixels, b, b), _layer(pixels, hidden, b, b)
    # exponentials, their sum and the quotients, a row a pixel
    softmax = 1.5 * pixels * (b - 1) + (pixels - 1) + pixels
    return pixels * (projections + scores + mixed + softmax)


def _layer(
    inputs: float, outputs: float, b_a: int, b_w: int, density: float = 1.0, kernel: int = 1
) -> float:
    """Eq. A.1 and A.2."""
    area = kernel * kernel
    return outputs * inputs * area * (density * b_a * b_w + b_a + b_w + math.log2(inputs * area))


def published(network: Network) -> float:
    """The count that the paper prints for its Bragg networks, in 32 bits.

    It differs from its equations in two ways: the n and m of a convolution are all words of its
    maps, not channels; and every convolution is taken to shrink its map by two pixels, even of
    kernel 1. For comparison with its tables only.
    """
    total, shape, size = 0.0, network.input, network.input[-1]
    for layer, result in zip(network.layers, network.shapes, strict=True):
        b = FLOAT_BITS
        if isinstance(layer, Conv):
            n, size = shape[0] * size * size, size - 2
            total += _layer(n, layer.channels * size * size, b, b, kernel=layer.kernel)
        elif isinstance(layer, Dense):
            total += _layer(shape[-1], layer.width, b, b)
        shape = result
    return total
