"""Cost of a scheduled RTL design: every adder, multiplexer, table and register is there to count.

Unlike the rules of C-synthesis, nothing here was fitted: a carry chain takes a LUT a bit, two
multiplexers share a LUT, a ROM takes a LUT for each 64 words of a bit (UG574), a product of
wide operands takes DSP48E2 blocks (UG579), and registers are those of the schedule. Logic
synthesis will merge and share more, so these are estimates, with no band known yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nacsr.cost.estimate import Cost, OpCost
from nacsr.ir import Graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import DSP_PORTS, FREE, ROM_BITS, SOFT_BITS, Schedule

STAGE = "rtl"


def estimate_rtl(graph: Graph, schedule: Schedule, registers: Sequence[int]) -> Cost:
    """Resources of an unrolled graph in its pipeline.

    Args:
        graph: scalar ops, as ``nacsr.emit.rtl`` prepares them.
        schedule: of that graph.
        registers: flip-flops behind every op, as the Verilog declares them.
    """
    rows = []
    for index, op in enumerate(graph.ops):
        luts, dsps = _logic(op, [graph.ops[a] for a in op.args])
        ready = schedule.ready(index)
        rows.append(OpCost(index, op.name, luts, dsps, registers[index], 0, ready, 0.0))
    return Cost(
        luts=sum(r.luts for r in rows),
        dsps=sum(r.dsps for r in rows),
        ffs=sum(r.ffs for r in rows) + schedule.latency_cycles,  # and the valid bits
        brams=0,
        latency_cycles=schedule.latency_cycles,
        ii_cycles=1,
        rows=tuple(rows),
        bands={},
        stage=STAGE,
    )


def _logic(op: Op, args: list[Op]) -> tuple[int, int]:
    """LUTs and DSPs of one scalar op."""
    width = op.type.width
    if op.name in FREE or all(a.name == "const" for a in args):
        return 0, 0
    if op.name in ("add", "sub", "neg", "abs"):
        return width, 0
    if op.name == "compare":
        return max(a.type.width for a in args), 0
    if op.name in ("min", "max"):
        return width + math.ceil(width / 2), 0
    if op.name == "lut":
        words = 1 << max(args[0].type.width - ROM_BITS, 0)
        return math.ceil(words * width / (2 if args[0].type.width < ROM_BITS else 1)), 0
    if op.name == "mul":
        return _product(*(a.type.width for a in args))
    return math.ceil(width / 2), 0  # select, relu


def _product(a: int, b: int) -> tuple[int, int]:
    wide, narrow = max(a, b), min(a, b)
    if narrow <= SOFT_BITS:
        return wide * narrow, 0
    return 0, math.ceil(wide / DSP_PORTS[0]) * math.ceil(narrow / DSP_PORTS[1])
