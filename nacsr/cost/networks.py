"""Layers with weights as C-synthesis reports them: unrolled, or with multipliers that are shared.

``benchmarks/cost_vu13p.py`` prints the rules beside 33 reports of whole networks with their
weights (Vitis HLS 2023.1, xcvu13p), ``benchmarks/cost_layers.py`` beside 987 single layers
without them (Vivado HLS 2020.1, xcu250); both 5 ns and hls4ml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import memories, rules, schedule
from nacsr.cost.build import DEFAULT, Build, layer_reuse
from nacsr.cost.layers import LayerStatistics, counted
from nacsr.cost.use import Use
from nacsr.ir import Op

LIVE_BITS = 0.096
"""Registers a clock boundary inside a layer, per nonzero weight and bit of its type and of the
sums (products are cut as well as sums): fitted to the FFs of the 18 networks of 16 bits."""

SHIFT_BITS = 4
"""How much wider than its input the product by a constant of two digits is, typically."""

RESOURCE_SAVES = 4.7
"""LUTs a multiplier that strategy resource saves where its weights are constants: 20 layers."""
PRODUCT_REGISTERS = 0.56
"""Registers a bit of the accumulator behind such a multiplier (a product by two digits: two
thirds of it): the same 20 layers."""
WAITING_REGISTERS = 0.8
"""Registers a nonzero weight and bit of the accumulator where constants share multipliers in
strategy latency: 19 layers, with a hundred and more constants a multiplier."""


@dataclass(frozen=True, slots=True)
class Product:
    """The matrix product of a layer.

    Attributes:
        inputs: terms of an output.
        outputs: outputs of one place.
        activation: bits of an input.
        weight: bits of a weight.
        accumulator: bits of a sum.
        places: how often it is computed for one event.
        rounds: whether a reuse factor may exceed the number of inputs (dense layers).
    """

    inputs: int
    outputs: int
    activation: int
    weight: int
    accumulator: int
    places: int = 1
    rounds: bool = True

    def reuse(self, build: Build) -> int:
        """Products that each multiplier computes one after another."""
        if build.strategy == "latency":
            return build.reuse_factor
        return layer_reuse(self.inputs, self.outputs, build.reuse_factor, self.rounds)


def dense(op: Op, args: tuple[Op, ...], build: Build = DEFAULT) -> Use:
    """A dense layer, once for every place of the axes before the last."""
    places = 1 if build.streams else math.prod(op.shape[:-1])
    return _layer(op, args[0], op.array("weight"), places, build)


def conv(op: Op, args: tuple[Op, ...], build: Build = DEFAULT) -> Use:
    """A convolution: a dense layer for every place of its window, without the padding zeros.

    No report has been seen for it: the rules are those of a dense layer.
    """
    *window, channels, outputs = op.array("weight").shape
    weight = op.array("weight").reshape(-1, outputs)
    if build.streams:
        return _layer(op, args[0], weight, 1, build)
    seen = np.ones((), dtype=np.int64)
    for axis, extent in enumerate(window):
        start = np.arange(op.shape[axis]) * op.array("stride")[axis] - op.array("padding")[axis, 0]
        reached = start[:, None] + np.arange(extent)
        inside = (reached >= 0) & (reached < args[0].shape[axis])
        seen = np.multiply.outer(seen, inside.sum(0))
    return _layer(op, args[0], weight, np.repeat(seen.ravel(), channels), build)


def _layer(
    op: Op, x: Op, weight: NDArray[np.int64], seen: NDArray[np.int64] | int, build: Build
) -> Use:
    """``seen`` counts for every row of the weights, one an input of the window, the places where
    that input is there."""
    accumulator = op.type.width if build.accumulator is None else build.accumulator
    product = Product(
        inputs=weight.shape[0],
        outputs=weight.shape[1],
        activation=x.type.width,
        weight=op.fixed("weight_type").width,
        accumulator=accumulator,
        places=1 if build.streams else math.prod(op.shape[:-1]),
        rounds=op.name == "dense",
    )
    if build.memories and product.reuse(build) > 1:
        return memories.shared(product, product.reuse(build))
    return unrolled(product, counted(weight, op.array("bias"), seen), build)


def unrolled(product: Product, weights: LayerStatistics, build: Build = DEFAULT) -> Use:
    """A layer whose weights are constants of its logic.

    DSPs: one a costly product (distinct input and signed weight of three or more canonical
    signed digits) if the activation is wider than 10 bits; else it is made of LUTs.
    LUTs: an adder a nonzero weight, as wide as a product by the widest weight, and one a
    distinct product of two digits; sums of two neighbouring inputs that outputs have in common
    are computed once.
    Nothing in these two was fitted.
    """
    adder = min(product.activation + weights.bits, product.accumulator)
    shift = min(product.activation + SHIFT_BITS, adder)
    each, dsps = _multiplier(product.activation, weights.bits)
    use = Use(
        luts=round(
            (weights.nonzero - weights.shared) * rules.adder_luts(adder)
            + weights.two_digit * rules.adder_luts(shift)
            + weights.costly * each
        ),
        dsps=round(weights.costly) * dsps,
        stages=_stages(weights, adder),
        live=round(LIVE_BITS * weights.nonzero * (product.weight + adder)),
    )
    if build.strategy == "resource":
        return _as_loop(use, product, weights)
    return _limited(use, product, weights, build) if build.reuse_factor > 1 else use


def _multiplier(activation: int, bits: int) -> tuple[int, int]:
    """LUTs and DSPs of a product by a constant: csynth looks at the activation only."""
    if activation > rules.LUT_MULTIPLIER_BITS:
        return 0, rules.multiplier(activation, max(bits, 2))[1]
    widest = min(max(activation, bits, 1), rules.LUT_MULTIPLIER_BITS)
    return rules.LUT_MULTIPLIER[widest], 0


def _stages(weights: LayerStatistics, adder: int) -> tuple[schedule.Stage, ...]:
    """The deepest output: a tree that adds first what is there first."""
    levels = math.ceil(math.log2(max(weights.leaves, 1.0)) - 1e-9)
    return (schedule.Stage(schedule.adder_ns(adder)),) * levels


def _as_loop(use: Use, product: Product, weights: LayerStatistics) -> Use:
    """Strategy resource at reuse factor 1: a loop of one round that is not pipelined."""
    saved = RESOURCE_SAVES * use.dsps
    registers = PRODUCT_REGISTERS * product.accumulator * (use.dsps + weights.two_digit * 2 / 3)
    return replace(
        use, luts=max(round(use.luts - saved), 0), ffs=round(registers), live=0, pipelined=False
    )


def _limited(use: Use, product: Product, weights: LayerStatistics, build: Build) -> Use:
    """Strategy latency with a reuse factor: constants take turns at fewer multipliers.

    Wider layers may be done sooner, in reports as here: more of their products are the same.
    The part of the products that finds no multiplier free waits in registers, the others stay in
    a pipeline: no report has so few constants a multiplier that both count.
    """
    total = product.inputs * product.outputs * product.places
    multipliers = math.ceil(total / build.reuse_factor)
    each = _multiplier(product.activation, weights.bits)[1]
    turns = math.ceil(weights.costly / multipliers)
    if turns <= 1:
        return replace(use, pipelined=False)
    waiting = 1.0 - multipliers / weights.costly
    registers = WAITING_REGISTERS * product.accumulator * weights.nonzero
    return replace(
        use,
        dsps=min(use.dsps, multipliers * each),
        ffs=round(waiting * registers),
        live=round((1.0 - waiting) * use.live),
        cycles=turns,
        pipelined=False,
    )
