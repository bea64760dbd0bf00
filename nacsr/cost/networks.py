"""Fully unrolled layers with weights (reuse factor 1) as C-synthesis reports them.

``benchmarks/cost_vu13p.py`` prints the rules beside 33 reports (Vitis HLS 2023.1, xcvu13p,
5 ns, hls4ml 1.2.0, latency strategy).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import rules, schedule
from nacsr.cost.use import Use
from nacsr.ir import Op

LIVE_BITS = 0.27
"""Registers a clock boundary inside a layer, per nonzero weight and bit of its type: the one
number here that was fitted, to the FFs of the 18 networks of 16 bits."""


def dense(op: Op, args: tuple[Op, ...]) -> Use:
    """A dense layer, once for every place of the axes before the last."""
    inputs = op.array("weight").shape[0]
    return _layer(op, args[0], np.full(inputs, math.prod(op.shape[:-1]), dtype=np.int64))


def conv(op: Op, args: tuple[Op, ...]) -> Use:
    """A convolution: a dense layer for every place of its window, without the padding zeros.

    No report has been seen for it: the rules are those of a dense layer.
    """
    *window, channels, _ = op.array("weight").shape
    seen = np.ones((), dtype=np.int64)
    for axis, extent in enumerate(window):
        start = np.arange(op.shape[axis]) * op.array("stride")[axis] - op.array("padding")[axis, 0]
        reached = start[:, None] + np.arange(extent)
        inside = (reached >= 0) & (reached < args[0].shape[axis])
        seen = np.multiply.outer(seen, inside.sum(0))
    return _layer(op, args[0], np.repeat(seen.ravel(), channels))


def _layer(op: Op, x: Op, seen: NDArray[np.int64]) -> Use:
    """Multipliers in DSPs, and one adder a nonzero weight.

    ``seen`` counts for every row of the weights, one an input of the window, the places where
    that input is there.

    DSPs: distinct (input, signed weight) pairs whose weight has three or more canonical
    signed digits, if the activation is wider than 10 bits; else 0.
    LUTs: nonzero weights x an adder of the product's width + 1, because half of a balanced
    tree's adders are in its first level: -1.7 % on the 18 networks of 16 bits, activations
    priced apart. The accumulator type of hls4ml (product + log2 inputs) gives +8.8 %, as wide
    as the exact range of the sums -6.7 %.
    """
    width, weight_type = x.type.width, op.fixed("weight_type")
    weight = op.array("weight").reshape(len(seen), -1)
    digits = rules.csd_digits(weight)
    costly = digits >= 3
    nonzero = int((digits > 0).sum(1) @ seen)
    bits = int(rules.constant_bits(weight[costly]).max(initial=0))
    adder = width + weight_type.width + 1
    dsps = 0
    if bits and width > rules.LUT_MULTIPLIER_BITS:
        products = int(distinct_products(weight, costly) @ seen)
        dsps = products * rules.multiplier(width, bits)[1]
    return Use(
        luts=nonzero * rules.adder_luts(adder),
        dsps=dsps,
        stages=_stages(op, digits, width, adder),
        live=round(LIVE_BITS * nonzero * weight_type.width),
    )


def distinct_products(weight: NDArray[np.int64], costly: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For every input the distinct signed weights among those marked ``costly``."""
    found = [np.unique(row[mark]).size for row, mark in zip(weight, costly, strict=True)]
    return np.array(found, dtype=np.int64)


def _stages(
    op: Op, digits: NDArray[np.int64], activation: int, adder: int
) -> tuple[schedule.Stage, ...]:
    """The deepest output: its product, then a balanced tree of adders over terms and bias."""
    weight = op.array("weight").reshape(digits.shape)
    terms = (digits > 0).sum(0) + (op.array("bias") != 0)
    levels = math.ceil(math.log2(max(int(terms.max(initial=1)), 1)))
    deepest = int(digits.max(initial=0))
    stages: list[schedule.Stage] = []
    if deepest >= 3:
        bits = int(rules.constant_bits(weight[digits >= 3]).max())
        stages.append(schedule.Stage(schedule.multiplier_ns(activation, bits)))
    elif deepest == 2:
        stages.append(schedule.Stage(schedule.adder_ns(activation + op.fixed("weight_type").width)))
    return (*stages, *(schedule.Stage(schedule.adder_ns(adder)) for _ in range(levels)))
