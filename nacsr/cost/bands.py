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


_DENSE = "18 fixed<16,5> networks, Vitis HLS 2023.1 csynth, VU13P, 5 ns"
_EXPRESSION = "expressions of hftsoi/symbolic_regression, Vivado HLS 2020.1 csynth, VU9P, 5 ns"
_UNROLLED = "fully unrolled and pipelined: II is 1 by construction"

NETWORK: Mapping[str, Band] = {
    "luts": Band(0.06, 0.0, _DENSE),
    "dsps": Band(0.01, 0.0, _DENSE),
    "ffs": Band(0.12, 0.0, _DENSE),
    "brams": Band(0.0, 1.0, _DENSE),
    "latency_cycles": Band(0.0, 2.0, _DENSE),
    "ii_cycles": Band(0.0, 0.0, _UNROLLED),
}
EXPRESSION: Mapping[str, Band] = {
    "luts": Band(0.4, 0.0, _EXPRESSION),
    "dsps": Band(0.3, 0.0, _EXPRESSION),
    "ffs": Band(0.5, 0.0, _EXPRESSION),
    "brams": Band(0.1, 0.0, _EXPRESSION),
    "latency_cycles": Band(0.0, 2.0, _EXPRESSION),
    "ii_cycles": Band(0.0, 0.0, _UNROLLED),
}


def bands(graph: Graph, clock_mhz: float) -> Mapping[str, Band]:
    """The band of every metric; those that follow the schedule widen away from 200 MHz."""
    dense = any(op.name == "dense" for op in graph.ops)
    known = dict(NETWORK if dense else EXPRESSION)
    away = max(clock_mhz / REFERENCE_MHZ, REFERENCE_MHZ / clock_mhz)
    for metric in ("latency_cycles", "ffs"):
        band = known[metric]
        known[metric] = replace(band, relative=band.relative + 0.1 * (away - 1.0))
    return known
