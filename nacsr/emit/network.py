"""A network as a back end of layers sees it: layers with exact types, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Raw
from nacsr.ir.graph import Shape

MERGES = frozenset({"add", "sub", "mul", "min", "max"})
"""Ops of two values that are computed element by element."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Weights of a layer: raw integers and their type."""

    raw: Raw
    type: Fixed

    @property
    def values(self) -> NDArray[np.float64]:
        """The real numbers, exact."""
        return self.type.to_float(self.raw)


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution or a pooling sees: steps and zeros along each axis.

    Attributes:
        size: elements along each axis, channels left out.
        stride: steps along each axis.
        padding: zeros (before, after) each axis.
    """

    size: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]

    @property
    def overlaps(self) -> bool:
        """Whether windows share or skip elements."""
        return self.size != self.stride


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer.

    Attributes:
        name: a C++ identifier, unique in the network.
        kind: ``input``, ``affine`` (``x * scale + bias``), ``dense`` (on vectors), ``conv``,
            ``sum`` and ``maxpool`` (of windows, channel by channel), ``relu``, ``leaky_relu``,
            ``lut``, ``cast``, ``concat``, ``reshape``, ``pad`` (zeros around) or one of ``MERGES``.
        sources: names of the layers it reads.
        shape: of its result.
        type: type of its result, with the modes of the cast it ends in.
        exact: type of its result before that cast, which holds every value.
        constants: ``scale``, ``weight``, ``bias``, ``table`` or ``param``, as its kind asks.
        window: of a ``conv``, ``sum``, ``maxpool`` or ``pad``.
        axis: of a ``concat``.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    shape: Shape
    type: Fixed
    exact: Fixed
    constants: Mapping[str, Constant] = field(default_factory=dict)
    window: Window | None = None
    axis: int = 0

    @property
    def size(self) -> int:
        """Number of elements of its result."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers in order, the input first; ``outputs`` pairs port names and layer names."""

    layers: tuple[Layer, ...]
    outputs: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)
