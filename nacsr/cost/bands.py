"""How far reports were from the estimates, per metric and kind of design."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nacsr.cost.build import DEFAULT, Build, layer_reuse
from nacsr.ir import Graph

REFERENCE_MHZ = 200.0
"""Every report behind the rules was made at 5 ns."""


@dataclass(frozen=True, slots=True)
class Band:
    """Half-width around an estimate.

    Attributes:
        relative: part of the value.
        least: absolute half-width that it never goes below, in the metric's unit.
        source: where it was measured.
    """

    relative: float
    least: float
    source: str

    def half_width(self, value: float) -> float:
        """Absolute half-width around a value."""
        return max(self.relative * abs(value), self.least)


_DENSE = "18 fixed<16,5> networks, Vitis HLS 2023.1 csynth, xcvu13p, 5 ns"
_NARROW = "15 networks of 7-bit weights, Vitis HLS 2023.1 csynth, xcvu13p, 5 ns"
_LAYERS = "62 untrained layers (Vivado HLS 2020.1) and 33 networks (Vitis HLS 2023.1) at 5 ns"
_LOOP = "35 layers of strategy resource, reuse factor 1, Vivado HLS 2020.1 csynth, xcu250, 5 ns"
_MEMORIES = "871 layers of strategy resource, reuse factor > 1, Vivado HLS 2020.1, xcu250, 5 ns"
_LIMITED = "54 layers of strategy latency, reuse 512 and 1024, Vivado HLS 2020.1, xcu250, 5 ns"
_SHORT = "no report: hls4ml's loop where the reuse factor does not exceed the inputs"
_STREAMS = "one report (a dense layer and a relu on a Zynq): the structure of hls4ml's streams"
_CONV = "no report of a convolution: the rules of dense layers"
_HLS = "no report of nacsr's own C++ of layers: the rules of hls4ml's"
_EXPRESSION = "23 expression designs, Vivado HLS 2020.1 csynth, xcvu9p, 5 ns"
_CALLS = "14 designs of sines and cosines, Vivado HLS 2020.1 csynth, xcvu9p, 5 ns"
_UNROLLED = Band(0.0, 0.0, "fully unrolled and pipelined: II is 1 by construction")

DENSE_16: Mapping[str, Band] = {
    "luts": Band(0.05, 0.0, _DENSE),
    "dsps": Band(0.002, 1.0, _DENSE),
    "ffs": Band(0.13, 0.0, _DENSE),
    "brams": Band(0.0, 0.0, _DENSE),
    "latency_cycles": Band(0.0, 1.0, _DENSE),
    "ii_cycles": _UNROLLED,
}
DENSE: Mapping[str, Band] = {
    "luts": Band(0.05, 0.0, _NARROW),
    "dsps": Band(0.01, 1.0, _NARROW),
    "ffs": Band(0.3, 0.0, _NARROW),
    "brams": Band(0.0, 1.0, _NARROW),
    "latency_cycles": Band(0.0, 1.0, _NARROW),
    "ii_cycles": _UNROLLED,
}


def _same(
    source: str,
    luts: tuple[float, float],
    dsps: tuple[float, float],
    ffs: tuple[float, float],
    brams: tuple[float, float],
    cycles: tuple[float, float],
    interval: tuple[float, float],
) -> Mapping[str, Band]:
    """Bands of one source: the part of the value and the least half-width of each metric."""
    metrics = ("luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles")
    widths = (luts, dsps, ffs, brams, cycles, interval)
    return {m: Band(*width, source) for m, width in zip(metrics, widths, strict=True)}


BUILDS: Mapping[str, Mapping[str, Band]] = {
    "loop": _same(_LOOP, (0.1, 0), (0.11, 1), (0.75, 0), (0, 0), (0, 1), (0, 1)),
    "memories": _same(_MEMORIES, (0.03, 0), (0.04, 1), (0.06, 0), (0, 1), (0, 1), (0, 0)),
    "short": _same(_SHORT, (0.5, 0), (0.25, 1), (0.5, 0), (0.5, 1), (0.25, 3), (0.25, 1)),
    "limited": _same(_LIMITED, (0.23, 0), (0.2, 1), (0.5, 5700), (0, 0), (0.5, 3), (0.5, 2)),
    "streams": _same(_STREAMS, (1, 0), (0.5, 1), (11, 0), (1, 1), (1, 7), (1, 7)),
    "conv": _same(_CONV, (0.5, 0), (0.25, 1), (0.5, 0), (0, 1), (0, 4), (0, 0)),
    "hls": _same(_HLS, (0.3, 0), (0.01, 1), (0.3, 0), (0, 1), (0, 2), (0, 0)),
    "expected": _same(_LAYERS, (0.15, 0), (1, 1), (0.75, 3200), (0, 0), (0, 1), (0, 0)),
}
"""Of layers that hls4ml does not unroll, and of what no report or no weight speaks for."""

EXPRESSION: Mapping[str, Band] = {
    "luts": Band(0.25, 20.0, _EXPRESSION),
    "dsps": Band(0.1, 3.0, _EXPRESSION),
    "ffs": Band(0.65, 0.0, _EXPRESSION),
    "brams": Band(0.0, 0.0, _EXPRESSION),
    "latency_cycles": Band(0.0, 1.0, _EXPRESSION),
    "ii_cycles": _UNROLLED,
}
CALLS: Mapping[str, Band] = {
    "luts": Band(0.06, 0.0, _CALLS),
    "dsps": Band(0.12, 3.0, _CALLS),
    "ffs": Band(0.15, 0.0, _CALLS),
    "brams": Band(0.0, 0.0, _CALLS),
    "latency_cycles": Band(0.0, 1.0, _CALLS),
    "ii_cycles": _UNROLLED,
}
PLAIN: Mapping[str, Band] = {"ii_cycles": _UNROLLED}
"""Of scalar designs without a product (sums, tables and comparisons, as references are): every
expression that has a report has products, so none speaks for these."""
_RTL = "32 own networks and expressions, Yosys (itself within 14 % of Vivado on 8 designs)"
_SAME = "the simulated design, by construction"
RTL: Mapping[str, Band] = {
    "luts": Band(0.3, 20.0, _RTL),
    "dsps": Band(0.0, 0.0, "the same rule as for open synthesis"),
    "ffs": Band(0.12, 5.0, _RTL),
    "brams": Band(0.0, 0.0, "tables are LUTs"),
    "latency_cycles": Band(0.0, 0.0, _SAME),
    "ii_cycles": Band(0.0, 0.0, _SAME),
}
"""Each band covers nine of ten reports of its source."""


def bands(
    graph: Graph,
    clock_mhz: float,
    flow: str,
    build: Build = DEFAULT,
    functions: str = "table",
) -> Mapping[str, Band]:
    """The band of a metric by its name; those that follow the schedule widen away from 200 MHz.

    A network has narrow bands only where reports support them; a metric of which no report of
    such a design is known has none.
    """
    known = _nearest(graph, flow, build) if functions == "table" else CALLS
    return _widened(known, clock_mhz)


def expected_bands(
    sizes: Sequence[tuple[int, int]], clock_mhz: float, build: Build
) -> Mapping[str, Band]:
    """The same for dense layers without weights, by their (inputs, outputs)."""
    kind = _build_kind(sizes, build)
    if build.memories or build.streams:
        return _widened(BUILDS[kind], clock_mhz)
    wider = BUILDS["expected"]
    known = {m: max(wider[m], band, key=_size) for m, band in BUILDS.get(kind, wider).items()}
    return _widened(known, clock_mhz)


def _size(band: Band) -> tuple[float, float]:
    return band.relative, band.least


def _widened(known: Mapping[str, Band], clock_mhz: float) -> Mapping[str, Band]:
    away = max(clock_mhz / REFERENCE_MHZ, REFERENCE_MHZ / clock_mhz)
    found = dict(known)
    for metric in {"latency_cycles", "ffs"} & known.keys():
        band = found[metric]
        found[metric] = replace(band, relative=band.relative + 0.1 * (away - 1.0))
    return found


def has_layers(graph: Graph) -> bool:
    """Whether a design is a network; else it is an expression."""
    return any(op.name in ("dense", "conv") for op in graph.ops)


def has_products(graph: Graph) -> bool:
    """Whether a design multiplies, as all expressions do that reports speak of."""
    return any(op.name == "mul" for op in graph.ops)


def _nearest(graph: Graph, flow: str, build: Build) -> Mapping[str, Band]:
    layers = [op for op in graph.ops if op.name in ("dense", "conv")]
    if not layers:
        if build.streams:
            return BUILDS["streams"]
        return EXPRESSION if has_products(graph) else PLAIN
    if flow != "hls4ml":
        return BUILDS["hls"]
    shapes = [op.array("weight").shape for op in layers]
    kind = _build_kind([(math.prod(shape[:-1]), shape[-1]) for shape in shapes], build)
    if kind:
        return BUILDS[kind]
    if any(op.name == "conv" for op in layers):
        return BUILDS["conv"]
    words = {graph.ops[op.args[0]].type.width for op in layers}
    words |= {op.fixed("weight_type").width for op in layers}
    return DENSE_16 if words == {16} else DENSE


def _build_kind(sizes: Sequence[tuple[int, int]], build: Build) -> str:
    """A key of ``BUILDS`` for options of hls4ml; "" for its defaults."""
    if build.streams:
        return "streams"
    if build.memories:
        seen = all(layer_reuse(n, m, build.reuse_factor) > n for n, m in sizes)
        return "memories" if seen else "short"
    if build.strategy == "resource":
        return "loop"
    return "limited" if build.reuse_factor > 1 else ""
