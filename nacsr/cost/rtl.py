"""Cost of a scheduled RTL design: every adder, multiplexer, table and register is there to count.

Unlike the rules of C-synthesis, nothing here was fitted. Only bits that somebody reads are
counted (``nacsr.cost.demand``). An adder takes a LUT for each bit that both operands have, with a
constant for every other one (the rest are wires into the carry chain); a choice takes a LUT a bit,
unless the next one or the next adder has inputs to spare for it; a table takes a LUT for each 64
words of a bit (UG574); products are DSP48E2 blocks or W x N LUTs; registers are those of the
schedule, where three or more that nobody reads between become a shift register in a LUT.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.bands import RTL
from nacsr.cost.demand import Bits, demand
from nacsr.cost.estimate import Cost, OpCost
from nacsr.cost.rules import multiplier
from nacsr.ir import Graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import FREE, ROM_BITS, SERIAL_BITS, Schedule
from nacsr.ir.passes.thresholds import LUT_INPUTS, against, compared, in_a_row

STAGE = "rtl"
JOINED_WORDS = 512
"""Words of a table that the multiplexers beside the LUTs join."""
DSP_BITS = (10, 6)
"""Bits of the wider and the narrower operand from which on a product is made of DSPs."""


def estimate_rtl(graph: Graph, schedule: Schedule, registers: Sequence[tuple[int, int]]) -> Cost:
    """Resources of an unrolled graph in its pipeline.

    Args:
        graph: scalar ops, as ``nacsr.emit.rtl`` prepares them.
        schedule: of that graph.
        registers: behind every bit of every op: flip-flops, and LUTs that are shift registers.
    """
    read = demand(graph)
    absorbed = _absorbed(graph, schedule, read)
    begun = _begun(graph)
    held = _held(graph, read, registers)
    rows = []
    for index, op in enumerate(graph.ops):
        args = [graph.ops[a] for a in op.args]
        luts, dsps = (0, 0) if index in absorbed else _logic(op, args, read[index])
        luts = min(luts, begun.get(index, luts))
        flops, shifts = held[index]
        ready = schedule.ready(index)
        rows.append(OpCost(index, op.name, luts + shifts, dsps, flops, 0, ready, 0.0))
    valid = schedule.latency_cycles
    shifted = valid >= 3
    return Cost(
        luts=sum(r.luts for r in rows) + shifted,
        dsps=sum(r.dsps for r in rows),
        ffs=sum(r.ffs for r in rows) + (0 if shifted else valid),
        brams=0,
        latency_cycles=valid,
        ii_cycles=1,
        rows=tuple(rows),
        bands=RTL,
        stage=STAGE,
    )


def _logic(op: Op, args: list[Op], read: Bits) -> tuple[int, int]:
    """LUTs and DSPs of one scalar op of which some bits are read."""
    if op.name in FREE or not read.count or all(a.name == "const" for a in args):
        return 0, 0
    if op.name in ("add", "sub"):
        return _adder(op, args, read), 0
    if op.name == "neg":
        return min(read.high, Bits.of(args[0].type).high) + args[0].type.frac, 0
    if op.name == "abs":
        return 2 * op.type.width, 0
    if op.name == "compare":
        return _comparator(op, args), 0
    if op.name in ("min", "max"):
        return _comparator(op, args) + read.count, 0
    if op.name == "lut":
        places = np.arange(read.low, read.high) + op.type.frac
        words = op.array("table").astype(np.int64)
        return table((words[:, None] >> places & 1).astype(np.uint8)), 0
    if op.name == "mul":
        a, b = args
        return product(a.type.width, b.type.width, (a.type.signed, b.type.signed))
    return read.count, 0  # select, relu


def _adder(op: Op, args: list[Op], read: Bits) -> int:
    """Bits of a carry chain that need a LUT: where one operand has none, it is a wire, unless
    it is negated."""
    a, b = (Bits.of(x.type) for x in args)
    low = max(a.low, b.low) if op.name == "add" else b.low
    high = max(a.high, b.high)
    shorter = args[0] if a.high < b.high else args[1]
    if op.name == "add" and not shorter.type.signed:
        high = min(a.high, b.high)
    count = max(min(high, read.high) - low, 0)
    constant = any(x.name == "const" for x in args)
    return math.ceil(count / 2) if constant else count


def _comparator(op: Op, args: list[Op]) -> int:
    """Two LUTs for three bits (greater, equal) into a carry chain, or against a constant LUTs in a
    row; the sign alone is a wire."""
    width = compared(op, args)
    if any(a.name == "const" for a in args):
        return in_a_row(width)
    return 2 * math.ceil(width / (LUT_INPUTS // 2))


def _begun(graph: Graph) -> dict[int, int]:
    """LUTs of comparisons of a value with constants that begin with as many zeros (or ones): that
    the value begins so too is asked once, and the rest of each fits one LUT with the answer."""
    found: dict[int, int] = {}
    seen: set[tuple[int, int, bool]] = set()
    for index, op in enumerate(graph.ops):
        args = [graph.ops[a] for a in op.args]
        first = against(op, args)
        if first is None:
            continue
        type_ = args[first.place].type
        bits = first.bits(type_)
        if not LUT_INPUTS < bits <= SERIAL_BITS:
            continue
        turned = (first.word - type_.min_raw) >> type_.width - bits
        for ones in (False, True):
            rest = (turned ^ ((1 << bits) - 1) if ones else turned).bit_length()
            key = op.args[first.place], bits - rest, ones
            if rest < LUT_INPUTS:
                found[index] = 1 + (0 if key in seen else in_a_row(bits - rest))
                seen.add(key)
    return found


def _absorbed(graph: Graph, schedule: Schedule, read: Sequence[Bits]) -> set[int]:
    """Choices and small tables that fit into the LUTs of the one op that reads them in the same
    stage."""
    readers: dict[int, set[int]] = {}
    for index, op in enumerate(graph.ops):
        for a in op.args if read[index].count else ():
            readers.setdefault(a, set()).add(index)
    outputs = {index for _, index in graph.outputs}
    found: set[int] = set()
    inputs: dict[int, int] = {}
    for index in range(len(graph.ops) - 1, -1, -1):
        op = graph.ops[index]
        if op.name not in ("select", "relu", "add", "sub", "lut"):
            continue
        arms = op.args[1:] if op.name == "select" else op.args
        own = sum(graph.ops[a].name != "const" for a in arms) + (op.name in ("select", "relu"))
        if op.name == "lut":
            own = graph.ops[op.args[0]].type.width
        inputs.setdefault(index, own)
        if op.name in ("add", "sub"):
            continue
        if (
            op.name != "lut"
            and len(arms) > own - 1
            and _registered(index, schedule, readers, outputs)
        ):
            found.add(index)  # its register has a reset or a set; for another choice it has none
            inputs[index] = LUT_INPUTS
            continue
        reader = _reader(graph, index, readers, outputs)
        if reader is None or schedule.cycle[reader] != schedule.ready(index):
            continue
        total = inputs.get(reader, LUT_INPUTS) - 1 + inputs[index]
        # the other input of a carry goes past the LUT: only one operand can be chosen in it
        adds = graph.ops[reader].name in ("add", "sub")
        room = LUT_INPUTS - 1 if adds and op.name != "lut" else LUT_INPUTS
        if total <= room:
            found.add(index)
            inputs[reader] = LUT_INPUTS if adds else total
    return found


def _registered(
    index: int, schedule: Schedule, readers: dict[int, set[int]], outputs: set[int]
) -> bool:
    """Whether a value is read behind a register only; an output has one."""
    stages = {schedule.cycle[r] for r in readers.get(index, ())}
    last = index not in outputs or schedule.ready(index) < schedule.stages
    return last and schedule.ready(index) not in stages


def _reader(
    graph: Graph, index: int, readers: dict[int, set[int]], outputs: set[int]
) -> int | None:
    """The only op that reads a value, behind wires, if it chooses or adds."""
    while True:
        if index in outputs or len(readers.get(index, ())) != 1:
            return None
        (reader,) = readers[index]
        op = graph.ops[reader]
        if op.name in ("cast", "shift"):
            index = reader
        elif op.name == "select" and op.args[0] == index:
            return None
        else:
            return reader if op.name in ("select", "relu", "add", "sub") else None


def _held(
    graph: Graph, read: Sequence[Bits], registers: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Flip-flops and shift registers of every op; bits of one value that two casts hold for as
    long are held once, and of what a cast adds to a word, zeros and copies of its sign, none."""
    read = [
        bits.inside(graph.ops[op.args[0]].type) if op.name == "cast" else bits
        for op, bits in zip(graph.ops, read, strict=True)
    ]
    found = [(f * b.count, s * b.count) for (f, s), b in zip(registers, read, strict=True)]
    kept: dict[tuple[int, tuple[int, int]], list[Bits]] = {}
    for index in sorted(range(len(graph.ops)), key=lambda k: -read[k].count):
        op = graph.ops[index]
        key = op.args[0] if op.name == "cast" else index, registers[index]
        others = kept.setdefault(key, [])
        if any(bits.contains(read[index]) for bits in others):
            found[index] = 0, 0
        else:
            others.append(read[index])
    return found


def table(bits: NDArray[np.uint8]) -> int:
    """LUTs of a table: one for each 64 words of a bit (UG574).

    What joins them up to 512 words (F7, F8, F9) is beside the LUTs; beyond, a LUT chooses one of
    four. Words of which a bit is constant take none, nor do those that are another 64 again, nor
    a bit that is a bit of the address.

    Args:
        bits: of the words, (words, bits).
    """
    entries = len(bits)
    block = min(entries, 1 << ROM_BITS)
    address = np.arange(block)[:, None] >> np.arange(max(block.bit_length() - 1, 1)) & 1
    wires = {column.astype(np.uint8).tobytes() for column in address.T}
    wires |= {np.full(block, value, np.uint8).tobytes() for value in (0, 1)}
    joined = math.ceil(entries / JOINED_WORDS / 4) if entries > JOINED_WORDS else 0
    total = 0
    for column in bits.T:
        blocks = {row.tobytes() for row in np.ascontiguousarray(column).reshape(-1, block)}
        total += len(blocks - wires) + (joined if len(blocks) > 1 else 0)
    return total


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
