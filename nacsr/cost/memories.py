"""Layers whose weights are words of memories: hls4ml's strategy resource, reuse factor > 1.

Read off 871 reports of dense layers whose reuse factor is a multiple of their inputs (Vivado HLS
2020.1, xcu250, 5 ns). Reuse factors up to the number of inputs follow from the structure of
hls4ml's loop; no report of one has been seen.
"""

from __future__ import annotations

import math
from typing import Protocol

from nacsr.cost import rules
from nacsr.cost.use import Use

SHELL_LUTS = 4660
"""What every layer takes besides the rows below: its loop and the index of its outputs."""
SHELL_FFS = 160
INPUT_LUTS = 2.0
"""LUTs a bit of the inputs, of which one is picked a cycle."""
OUTPUT_LUTS = 1.5
"""LUTs a bit of the accumulators, which are loaded, added to and kept."""
PAIR_LUTS = 2.6
"""LUTs a multiplier and bit to read one of two accumulators and write it back."""
LOGIC_WEIGHT = 4
"""Weights up to this width are multiplied in LUTs, as inputs of up to 10 bits are."""
LOGIC_PRODUCT = 5
"""LUTs of such a product by a narrow weight."""
DRAIN = 2
"""Cycles behind the last product."""


class Shape(Protocol):
    """What the rules ask of a product (see ``nacsr.cost.networks.Product``)."""

    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def activation(self) -> int: ...
    @property
    def weight(self) -> int: ...
    @property
    def accumulator(self) -> int: ...
    @property
    def places(self) -> int: ...


def shared(product: Shape, reuse: int) -> Use:
    """A layer that computes ``reuse`` products a multiplier for each of its places.

    Each of its multipliers serves reuse / inputs outputs. More than two of them are read through
    a multiplexer over all accumulators, of which a tree of 4-to-1 multiplexers in LUT6 takes
    (N - 1) / 3 a bit, N a power of two.
    """
    multipliers = math.ceil(product.inputs * product.outputs / reuse)
    served = reuse // product.inputs
    each, dsps = _multiplier(product)
    luts = (
        SHELL_LUTS
        + INPUT_LUTS * product.activation * product.inputs
        + OUTPUT_LUTS * product.accumulator * product.outputs
        + multipliers * (_pick_luts(product, served) + each)
    )
    ffs = SHELL_FFS + product.accumulator * product.outputs
    ffs += multipliers * _registers(product, served, dsps > 0)
    index = 1 if served > 2 else 0  # the table that names the outputs
    return Use(
        luts=round(luts),
        dsps=multipliers * dsps,
        ffs=ffs,
        brams=bram18(reuse, multipliers * product.weight) + index,
        cycles=product.places * (reuse + DRAIN),
        ii=product.places * reuse,
    )


def _pick_luts(product: Shape, served: int) -> float:
    """LUTs a multiplier to add its product to one of the accumulators."""
    if served <= 1:
        return rules.adder_luts(product.accumulator)
    if served == 2:
        return PAIR_LUTS * product.accumulator
    choices: int = 1 << (product.outputs - 1).bit_length()
    return product.accumulator * (choices - 1) / 3


def _multiplier(product: Shape) -> tuple[int, int]:
    """LUTs and DSPs of a product of two words."""
    if product.weight > LOGIC_WEIGHT or product.activation <= rules.LUT_MULTIPLIER_BITS:
        luts, dsps = rules.multiplier(product.activation, product.weight)
        return (0, dsps) if dsps else (luts, 0)
    return LOGIC_PRODUCT, 0


def _registers(product: Shape, served: int, dsp: bool) -> int:
    """Flip-flops a multiplier: a DSP's product, or its weight where accumulators are few."""
    if not dsp:
        return 1
    return product.weight if served <= 2 else product.accumulator


def bram18(words: int, width: int) -> int:
    """Blocks of 18 kbit that hold so many words, in the best of the shapes they have."""
    return min(
        math.ceil(words / depth) * math.ceil(width / wide) for depth, wide in rules.BRAM18_SHAPES
    )
