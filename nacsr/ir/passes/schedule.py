"""Scheduling into clock cycles: which pipeline stage computes which value of a scalar graph.

Operators are chained inside a clock period; what does not fit begins in the next stage. Then
the period is shrunk as far as the number of stages allows, which spreads the slack evenly.

The delays are of logic and routing on UltraScale+ (speed grade -2) and deliberately plain: a
level of LUTs with its net, a carry chain by its length, a DSP. They were not fitted to placed
designs (no vendor tool was at hand); timing closure is the vendor tool's to confirm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nacsr.errors import GraphError
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.thresholds import LUT_INPUTS, against, compared, in_a_row
from nacsr.ir.tensor import WIRING

MARGIN = 0.125
"""Part of a period that is kept for clock uncertainty and routing."""

LUT_NS = 0.45
"""One level of 6-input LUTs with its net."""
CARRY_NS = (0.60, 0.010)
"""A carry chain: entry and exit with their nets, and each bit."""
DSP_NS = 3.2
"""A product in one DSP48E2 without inner registers, with its nets."""
DSP_PORTS = (27, 18)
SOFT_BITS = 10
"""Products whose narrower operand has at most so many bits are taken to be LUTs."""
SERIAL_BITS = 16
"""Bits of a comparison with a constant up to which it is LUTs in a row and no carry chain."""
ROM_BITS = 6
"""Address bits that one LUT covers; each further bit is a multiplexer level."""
SEARCH_STEPS = 12
_SLACK_NS = 1e-9

FREE = WIRING | {"input", "const", "cast", "shift", "pack"}
"""Wires."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stages of a scalar graph.

    Attributes:
        cycle: for every op, the stage in which its computation begins; 0 is the first stage
            behind the input registers.
        latency: registers inside an op, where its delay exceeds a period (wide products).
        stages: number of stages.
        slowest_ns: delay of the longest chain in a stage, by the delays here.
    """

    cycle: tuple[int, ...]
    latency: Mapping[int, int] = field(default_factory=dict)
    stages: int = 1
    slowest_ns: float = 0.0

    @property
    def latency_cycles(self) -> int:
        """Clock cycles from a word at the input port to its result at the output port.

        Input registers, one register between stages, output registers.
        """
        return self.stages + 1

    def ready(self, index: int) -> int:
        """The stage in which a value can be read."""
        return self.cycle[index] + self.latency.get(index, 0)


def schedule(graph: Graph, period_ns: float) -> Schedule:
    """Place every op of an unrolled graph, as early as possible, in as few stages as possible.

    Args:
        graph: scalar ops and wiring.
        period_ns: the clock period; ``MARGIN`` of it is left free.

    Raises:
        GraphError: for a period that is not positive, or an op that has no delay here.
    """
    if not (period_ns > 0 and math.isfinite(period_ns)):
        msg = f"the clock period must be a positive number of ns, not {period_ns!r}"
        raise GraphError(msg)
    delays = [_delay(graph, index) for index in range(len(graph.ops))]
    high = period_ns * (1.0 - MARGIN)
    best = _asap(graph, delays, high)
    low = high / 2
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        found = _asap(graph, delays, middle)
        if found.stages > best.stages or found.slowest_ns > middle + _SLACK_NS:
            low = middle
        else:
            best, high = found, middle
    return best


def _asap(graph: Graph, delays: list[float], period: float) -> Schedule:
    cycle: list[int] = []
    ends: list[tuple[int, float]] = []  # stage and time in it at which each value is there
    latency: dict[int, int] = {}
    slowest = 0.0
    for index, op in enumerate(graph.ops):
        # a constant is there in any stage
        live = [ends[a] for a in op.args if graph.ops[a].name != "const"]
        stage, ns = max(live, default=(0, 0.0))
        delay = delays[index]
        extra = max(math.ceil(delay / period - _SLACK_NS) - 1, 0)
        if extra:
            stage += 1 if ns > 0 else 0
            latency[index] = extra
            end = delay / (extra + 1)  # registers inside are spread evenly
        elif ns + delay > period + _SLACK_NS:
            stage, end = stage + 1, delay
        else:
            end = ns + delay
        cycle.append(stage)
        ends.append((stage + extra, end))
        slowest = max(slowest, end)
    stages = 1 + max((ends[i][0] for _, i in graph.outputs), default=0)
    return Schedule(tuple(cycle), latency, stages, slowest)


def _delay(graph: Graph, index: int) -> float:
    """Nanoseconds of an op, with the nets behind it.

    Raises:
        GraphError: if the op is no scalar operation.
    """
    op = graph.ops[index]
    args = [graph.ops[a] for a in op.args]
    if op.name in FREE:
        return 0.0
    if op.shape or any(a.shape for a in args):
        msg = f"%{index} {op.name}: only scalars can be scheduled; unroll the graph first"
        raise GraphError(msg)
    if all(a.name == "const" for a in args):
        return 0.0
    if op.name in ("add", "sub", "neg", "abs"):
        return _carry(op.type.width)
    if op.name == "compare":
        return _comparison(op, args)
    if op.name in ("min", "max"):
        return _carry(op.type.width) + LUT_NS
    if op.name == "select":
        return 0.0 if _clips(graph, args[1:]) else LUT_NS
    if op.name == "relu":
        return LUT_NS
    if op.name == "lut":
        return LUT_NS * (1 + max(args[0].type.width - ROM_BITS, 0) / 3)
    if op.name == "mul":
        return _product(*args)
    msg = f"%{index} {op.name}: has no delay in this schedule; unroll the graph first"
    raise GraphError(msg)


def _carry(width: int) -> float:
    return CARRY_NS[0] + CARRY_NS[1] * width


def _comparison(op: Op, args: Sequence[Op]) -> float:
    """A carry chain, or LUTs, whichever is faster; below or above a constant of few bits LUTs in a
    row, which is how it is written."""
    width = compared(op, args)
    if against(op, args) is not None and width <= SERIAL_BITS:
        return LUT_NS * max(in_a_row(width), 1)
    levels = math.ceil(math.log(max(width, 2), LUT_INPUTS))
    return min(_carry(width), levels * LUT_NS)


def _clips(graph: Graph, arms: Sequence[Op]) -> bool:
    """Whether a choice is the second of two between a value and constants: the ends of a
    saturation, which share one level of LUTs."""
    inner = [a for a in arms if a.name == "select"]
    if len(inner) != 1 or not any(a.name == "const" for a in arms):
        return False
    return any(graph.ops[a].name == "const" for a in inner[0].args[1:])


def _product(a: Op, b: Op) -> float:
    """Small products are adder trees of LUTs, larger ones DSPs, joined by adders beyond one."""
    wide, narrow = sorted((a.type.width, b.type.width), reverse=True)
    if "const" in (a.name, b.name) or narrow <= SOFT_BITS:
        levels = max(math.ceil(math.log2(max(narrow, 2))), 1)
        return levels * _carry(wide) + (LUT_NS if narrow > 1 else 0.0)
    tiles = math.ceil(wide / DSP_PORTS[0]) * math.ceil(narrow / DSP_PORTS[1])
    return DSP_NS + math.ceil(math.log2(tiles)) * _carry(wide + narrow)
