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
from nacsr.cost.rules import multiplier
from nacsr.ir import Graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import FREE, ROM_BITS, Schedule

STAGE = "rtl"
DSP_BITS = (10, 6)
"""Bits of the wider and the narrower operand from which on a product is made of DSPs."""


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
        a, b = args
        return product(a.type.width, b.type.width, (a.type.signed, b.type.signed))
    return math.ceil(width / 2), 0  # select, relu


def product(a: int, b: int, signed: tuple[bool, bool] = (True, True)) -> tuple[int, int]:
    """LUTs and DSP48E2 blocks of a product of two variables after logic synthesis.

    Vivado takes DSPs from 10 x 6 bits on (29 pairs of unsigned widths on UltraScale+); below it
    makes W x N LUTs (110 reports within 3.2 %). Wider operands than a block's signed 27 x 18 ports
    are tiled as C-synthesis does it (15 of 16 reports); both counts are the same there.

    Args:
        a, b: bits of the operands.
        signed: which of them have a sign; the ports of a block always have one.
    """
    if max(a, b) < DSP_BITS[0] or min(a, b) < DSP_BITS[1]:
        return a * b, 0
    ports = (width + (not sign) for width, sign in zip((a, b), signed, strict=True))
    return 0, max(multiplier(*ports)[1], 1)
