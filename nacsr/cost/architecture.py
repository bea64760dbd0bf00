"""The cost of a network before it has weights: the expectation over random ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from nacsr.cost import memories, networks, rules, schedule
from nacsr.cost.bands import expected_bands
from nacsr.cost.build import DEFAULT, Build
from nacsr.cost.estimate import Cost, OpCost, added_up, after, interval
from nacsr.cost.layers import expected as expected_statistics
from nacsr.cost.networks import Product
from nacsr.cost.schedule import Moment, Slot, chain, period_ns
from nacsr.cost.streams import with_fifo
from nacsr.cost.use import Use
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.targets import target as find_target

TABLE = (1024, 18)
"""Entries and bits of hls4ml's tables of functions."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A dense layer of hls4ml without its weights.

    Attributes:
        inputs: words that it reads.
        outputs: words that it makes.
        weight: type of the weights; its rounding (TRN or nearest) is how they were cast to it.
        activation: type of the words that it reads.
        result: type of the words that it makes, behind the activation; None leaves the sums.
        relu: whether a relu comes behind the sums.
        table: whether each result is looked up in a table of 1024 words of 18 bits (hls4ml's
            sigmoid and tanh).
        sparsity: share of the weights that are zero because they were removed.
        spread: largest absolute weight; sqrt(3 / inputs) if None, as layers begin.
        bias: whether its outputs have one.

    Raises:
        SpecError: for sizes below 1, or a sparsity or spread that is none.
    """

    inputs: int
    outputs: int
    weight: Fixed
    activation: Fixed
    result: Fixed | None = None
    relu: bool = True
    table: bool = False
    sparsity: float = 0.0
    spread: float | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.outputs < 1:
            msg = f"a layer has 1 or more inputs and outputs, not {self.inputs} and {self.outputs}"
            raise SpecError(msg)
        if not 0.0 <= self.sparsity <= 1.0:
            msg = f"the sparsity of a layer must be 0..1, not {self.sparsity!r}"
            raise SpecError(msg)
        if self.spread is not None and not 0.0 <= self.spread < math.inf:
            msg = f"the spread of a layer must be 0 or more, not {self.spread!r}; leave it out"
            raise SpecError(msg)

    @property
    def sums(self) -> Fixed:
        """Type that holds every sum, as hls4ml infers accumulators: a product, and a bit for
        each doubling of their number."""
        growth = math.ceil(math.log2(self.inputs + self.bias)) if self.inputs > 1 else 0
        width = self.activation.width + self.weight.width + growth
        integer = self.activation.integer + self.weight.integer + growth
        return Fixed(min(width, 63), integer)


def dense_layers(
    sizes: Sequence[int],
    weight: Fixed,
    activation: Fixed,
    *,
    sparsity: float = 0.0,
    spread: float | None = None,
) -> tuple[Layer, ...]:
    """A multilayer perceptron with relu between its layers.

    Args:
        sizes: words in, of every layer, and out: (16, 64, 32, 32, 5).
        weight: type of all weights.
        activation: type of the inputs and of what every layer makes.
        sparsity: share of removed weights.
        spread: largest absolute weight; sqrt(3 / inputs) of each layer if None.
    """
    last = len(sizes) - 2
    return tuple(
        Layer(n, m, weight, activation, activation, i < last, sparsity=sparsity, spread=spread)
        for i, (n, m) in enumerate(pairwise(sizes))
    )


def expected(
    layers: Iterable[Layer], target: str, clock_mhz: float, build: Build = DEFAULT
) -> Cost:
    """The cost of dense layers in a row, by hls4ml, expected over random weights.

    Args:
        layers: from the first to the last.
        target: name of a device in ``nacsr.targets``.
        clock_mhz: clock frequency.
        build: how hls4ml builds them.

    Raises:
        SpecError: for an unknown target, a clock that is not positive, no layers, or layers
            that do not fit each other.
    """
    find_target(target)
    chosen = tuple(layers)
    _check(chosen)
    period = period_ns(clock_mhz)
    first = chosen[0]
    sizes = [(layer.inputs, layer.outputs) for layer in chosen]
    ports = 0 if build.memories else first.inputs * first.activation.width
    rows, uses = [OpCost(0, "input", 0, 0, ports, 0, 0, 0.0)], []
    ready = Moment()
    for layer in chosen:
        for name, use in _uses(layer, build):
            slot = after(chain(ready, use.stages, period), use.cycles)
            ready = slot.end
            rows.append(_row(len(rows), name, use, slot))
            uses.append(use)
    latency = ready.cycle
    ii, waits = interval(uses, latency, build, period)
    said = ("expected over random weights", build.text)
    known = expected_bands(sizes, clock_mhz, build)
    return added_up(rows, (latency, ii, waits), known, "csynth", said)


def _check(layers: Sequence[Layer]) -> None:
    if not layers:
        msg = "a network has one layer or more, not none"
        raise SpecError(msg)
    for i, (one, two) in enumerate(pairwise(layers)):
        if one.outputs != two.inputs:
            made, read = one.outputs, two.inputs
            msg = f"layer {i} makes {made} words, layer {i + 1} reads {read}; make them equal"
            raise SpecError(msg)


@lru_cache(maxsize=4096)
def _uses(layer: Layer, build: Build) -> tuple[tuple[str, Use], ...]:
    """What the ops of a layer use, by name."""
    found = [("dense", _product(layer, build))]
    found.append(("relu" if layer.relu else "cast", _activation(layer, build)))
    if layer.table:
        luts, brams = rules.rom(*TABLE)
        stages = (schedule.Stage(0.0, registered=True),) * 3
        found.append(("lut", Use(layer.outputs * luts, brams=layer.outputs * brams, stages=stages)))
    if not build.streams:
        return tuple(found)
    width = (layer.sums if layer.result is None else layer.result).width
    return tuple((name, with_fifo(use, layer.outputs * width)) for name, use in found)


def _product(layer: Layer, build: Build) -> Use:
    product = Product(
        layer.inputs,
        layer.outputs,
        layer.activation.width,
        layer.weight.width,
        layer.sums.width if build.accumulator is None else build.accumulator,
    )
    reuse = product.reuse(build)
    if build.memories and reuse > 1:
        return memories.shared(product, reuse)
    weights = expected_statistics(
        layer.inputs,
        layer.outputs,
        layer.weight,
        sparsity=layer.sparsity,
        spread=layer.spread,
        bias=layer.bias,
    )
    return networks.unrolled(product, weights, build)


def _activation(layer: Layer, build: Build) -> Use:
    """relu (a comparison and a mux, as hls4ml writes it) and the cast to the result's type."""
    sums = layer.sums
    if build.accumulator is not None:  # the sums lose their low bits first
        sums = Fixed(build.accumulator, build.accumulator - layer.activation.frac)
    luts, stages = 0, []
    if layer.relu:
        luts += rules.adder_luts(sums.width) + sums.width
        stages.append(schedule.Stage(schedule.adder_ns(sums.width) + schedule.MUX_NS))
    if layer.result is not None:
        luts += rules.cast_luts(sums, layer.result)
        stages.append(schedule.Stage(schedule.cast_ns(sums, layer.result)))
    stages = [s for s in stages if s.delay_ns]
    width = sums.width if layer.result is None else layer.result.width
    return Use(luts=layer.outputs * luts, stages=tuple(stages), live=layer.outputs * width)


def _row(index: int, name: str, use: Use, slot: Slot) -> OpCost:
    inside = slot.end.cycle - slot.begin - use.cycles
    ffs = use.ffs + use.live * inside
    return OpCost(index, name, use.luts, use.dsps, ffs, use.brams, slot.end.cycle, slot.end.ns)
