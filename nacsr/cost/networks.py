"""A fully unrolled dense layer (reuse factor 1) as C-synthesis reports it.

The rules have no parameter fitted per design; ``benchmarks/cost_vu13p.py`` prints them
beside 33 reports (Vitis HLS 2023.1, xcvu13p, 5 ns, hls4ml 1.2.0, latency strategy).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import rules, schedule
from nacsr.cost.use import Use
from nacsr.ir import Op

LIVE_BITS = 0.27
"""Registers a clock boundary inside a layer, per nonzero weight and bit of its type."""


def dense(op: Op, args: tuple[Op, ...]) -> Use:
    """A layer: multipliers in DSPs, one adder a nonzero weight. ``weight`` is (inputs, outputs).

    DSPs: distinct (input, signed weight) pairs whose weight has three or more canonical
    signed digits, if the activation is wider than 10 bits; else 0.
    LUTs: nonzero weights x an adder of the product's width + 1. Half of a balanced tree's
    adders are in its first level, so neither the accumulator type of hls4ml (product +
    log2 inputs: +7 % on the VU13P networks, where it only fits with the activations left
    out) nor the exact range of the sums (-14 %) is what csynth adds up.
    """
    weight, x, weight_type = op.array("weight"), args[0].type, op.fixed("weight_type")
    digits = rules.csd_digits(weight)
    costly = digits >= 3
    nonzero = int((digits > 0).sum())
    bits = int(rules.constant_bits(weight[costly]).max(initial=0))
    adder = x.width + weight_type.width + 1
    dsps = 0
    if bits and x.width > rules.LUT_MULTIPLIER_BITS:
        dsps = distinct_products(weight, costly) * rules.multiplier(x.width, bits)[1]
    return Use(
        luts=nonzero * rules.adder_luts(adder),
        dsps=dsps,
        stages=_stages(op, digits, x.width, adder),
        live=round(LIVE_BITS * nonzero * weight_type.width),
    )


def distinct_products(weight: NDArray[np.int64], costly: NDArray[np.bool_]) -> int:
    """Distinct (input, signed weight) pairs among the weights marked ``costly``."""
    inputs = np.broadcast_to(np.arange(weight.shape[0])[:, None], weight.shape)
    # one integer a pair: the weight, shifted to be non-negative, times the number of inputs
    values = weight[costly] - weight.min(initial=0)
    return int(np.unique(values * max(weight.shape[0], 1) + inputs[costly]).size)


def _stages(
    op: Op, digits: NDArray[np.int64], activation: int, adder: int
) -> tuple[schedule.Stage, ...]:
    """The deepest output: its product, then a balanced tree of adders over terms and bias."""
    weight = op.array("weight")
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
