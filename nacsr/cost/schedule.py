"""Clock cycles: operators are chained inside a clock period, as an HLS scheduler does.

Delays are nanoseconds on UltraScale+ -2. Five numbers (two a carry chain, two a product, one
a table) were chosen by a coarse grid so that chaining reproduces the cycles of 56 published
csynth reports at 5 ns: ``benchmarks/cost_vu13p.py`` and ``cost_expressions.py`` print how well.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nacsr.cost.rules import (
    DSP_PORTS,
    constant_bits,
    csd_digits,
    overflow_bits,
    rounding_bits,
)
from nacsr.errors import SpecError
from nacsr.fixed import Fixed

UNCERTAINTY = 0.125
"""The part of a period that HLS keeps free (its default of 12.5 % on these targets)."""

MUX_NS = 0.35
ROM_NS = 2.0
"""From the clock edge to the word of a table."""
_SLACK_NS = 1e-9  # sums of decimal delays must not miss a boundary by rounding


@dataclass(frozen=True, slots=True)
class Stage:
    """One operator of a chain; a register must follow it if ``registered`` (a ROM's address)."""

    delay_ns: float
    registered: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A point in time: the clock cycle (from 0), and nanoseconds since it began."""

    cycle: int = 0
    ns: float = 0.0


def period_ns(clock_mhz: float) -> float:
    """The usable part of a clock period.

    Raises:
        SpecError: for a clock that is not a positive number.
    """
    if not (clock_mhz > 0 and math.isfinite(clock_mhz)):
        msg = f"the clock must be a positive number of MHz, not {clock_mhz!r}"
        raise SpecError(msg)
    return 1000.0 / clock_mhz * (1.0 - UNCERTAINTY)


@dataclass(frozen=True, slots=True)
class Slot:
    """When an op is computed: ``begin`` is the cycle of its first operator.

    ``waits`` is over how many clock boundaries its partial sums wait, all together.
    """

    begin: int
    end: Moment
    waits: int = 0


def chain(ready: Moment, stages: Sequence[Stage], period: float) -> Slot:
    """Place a chain of operators whose operands are there at ``ready``.

    An operator that does not fit into the rest of the cycle begins in the next one; one
    longer than a period is pipelined over several. Later operands and longer delays never
    finish earlier.
    """
    cycle, ns, begin = ready.cycle, ready.ns, -1
    for stage in stages:
        end = ns + stage.delay_ns
        spans = 1
        if end > period + _SLACK_NS:
            cycle += 1 if ns > 0 else 0
            spans = max(math.ceil(stage.delay_ns / period - _SLACK_NS), 1)
            end = stage.delay_ns - (spans - 1) * period
        begin = cycle if begin < 0 else begin
        cycle, ns = cycle + spans - 1, end
        if stage.registered:
            cycle, ns = cycle + 1, 0.0
    return Slot(ready.cycle if begin < 0 else begin, Moment(cycle, ns))


def balance(
    ready: Sequence[Moment], addition: Sequence[Stage], period: float
) -> tuple[Slot, list[int]]:
    """Place a sum as a tree: always the two terms that are there first are added.

    Returns:
        The slot of the sum, and for every term the cycle in which it is read.
    """
    if len(ready) == 1:  # 0 - x
        slot = chain(ready[0], addition, period)
        return slot, [slot.begin]
    begins, waits = [0] * len(ready), 0
    heap = [(moment, i) for i, moment in enumerate(ready)]
    heapq.heapify(heap)
    while True:
        pair = heapq.heappop(heap), heapq.heappop(heap)
        slot = chain(pair[1][0], addition, period)
        for moment, term in pair:
            if term < len(ready):
                begins[term] = slot.begin
            else:
                waits += slot.begin - moment.cycle
        if not heap:
            return replace(slot, waits=waits), begins
        heapq.heappush(heap, (slot.end, len(ready)))


def adder_ns(width: int) -> float:
    """A carry chain: entry and exit, and the ripple over ``width`` bits."""
    return 0.6 + 0.008 * width


def multiplier_ns(a: int, b: int) -> float:
    """A product of two variables; tiled DSPs need an adder behind them."""
    narrow, wide = sorted((a, b))
    if narrow == 1:
        return MUX_NS
    delay = 2.0 + 0.02 * (a + b)
    tiled = wide > DSP_PORTS[0] or narrow > DSP_PORTS[1]
    return delay + adder_ns(a + b) if tiled else delay


def constant_multiplier_ns(width: int, raw: int) -> float:
    """A product with the constant ``raw``."""
    digits, bits = int(csd_digits(raw)), int(constant_bits(raw))
    if digits <= 1:
        return 0.0
    return adder_ns(width + bits - 1) if digits == 2 else multiplier_ns(width, bits)


def cast_ns(source: Fixed, to: Fixed) -> float:
    """A conversion: the rounding adder, then the overflow test and its mux."""
    rounding, overflow = rounding_bits(source, to), overflow_bits(source, to)
    delay = adder_ns(rounding) if rounding else 0.0
    if overflow:
        delay += adder_ns(overflow) + MUX_NS
    return delay
