"""How far reports were from the estimates, per metric and kind of design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
_EXPRESSION = "23 expression designs, Vivado HLS 2020.1 csynth, xcvu9p, 5 ns"
_UNROLLED = Band(0.0, 0.0, "fully unrolled and pipelined: II is 1 by construction")

DENSE_16: Mapping[str, Band] = {
    "luts": Band(0.03, 0.0, _DENSE),
    "dsps": Band(0.002, 1.0, _DENSE),
    "ffs": Band(0.12, 0.0, _DENSE),
    "brams": Band(0.0, 0.0, _DENSE),
    "latency_cycles": Band(0.0, 1.0, _DENSE),
    "ii_cycles": _UNROLLED,
}
DENSE: Mapping[str, Band] = {
    "luts": Band(0.3, 0.0, _NARROW),
    "dsps": Band(0.01, 1.0, _NARROW),
    "ffs": Band(0.3, 0.0, _NARROW),
    "brams": Band(0.0, 1.0, _NARROW),
    "latency_cycles": Band(0.0, 2.0, _NARROW),
    "ii_cycles": _UNROLLED,
}
EXPRESSION: Mapping[str, Band] = {
    "luts": Band(0.45, 0.0, _EXPRESSION),
    "dsps": Band(0.35, 4.0, _EXPRESSION),
    "ffs": Band(1.5, 0.0, _EXPRESSION),
    "brams": Band(0.0, 0.0, _EXPRESSION),
    "latency_cycles": Band(0.0, 2.0, _EXPRESSION),
    "ii_cycles": _UNROLLED,
}
_RTL = "32 own designs of both families, Yosys (itself within 14 % of Vivado on 8 designs)"
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


def bands(graph: Graph, clock_mhz: float, flow: str) -> Mapping[str, Band]:
    """The band of every metric; those that follow the schedule widen away from 200 MHz.

    A network has the narrow band only where reports support it: hls4ml with 16-bit words.
    """
    known = dict(_nearest(graph, flow))
    away = max(clock_mhz / REFERENCE_MHZ, REFERENCE_MHZ / clock_mhz)
    for metric in ("latency_cycles", "ffs"):
        band = known[metric]
        known[metric] = replace(band, relative=band.relative + 0.1 * (away - 1.0))
    return known


def _nearest(graph: Graph, flow: str) -> Mapping[str, Band]:
    layers = [op for op in graph.ops if op.name in ("dense", "conv")]
    if not layers:
        return EXPRESSION
    words = {graph.ops[op.args[0]].type.width for op in layers}
    words |= {op.fixed("weight_type").width for op in layers}
    return DENSE_16 if flow == "hls4ml" and words == {16} else DENSE
