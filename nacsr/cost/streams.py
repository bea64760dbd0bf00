"""hls4ml's io_stream: an event goes through the layers one pixel (all its channels) at a time.

This follows from the structure of hls4ml's C++. The one report of streams that was seen (Vivado
HLS 2020.1 on a slower Zynq, a dense layer of 16 x 5 and a relu) has a cycle more a layer, 28 LUTs
a FIFO, and the LUTs and DSPs of these rules; but its dense layer is not pipelined, so 10 cycles and
8000 FFs stand against 3 and 700 here, and the bands are as wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nacsr.cost.memories import bram18
from nacsr.cost.use import Use
from nacsr.ir import Op
from nacsr.ir.tensor import WIRING

FIFO_LUTS = 28
"""Pointers and flags of a FIFO."""
SRL_DEPTH = 32
"""Words that a LUT keeps of one bit as a shift register."""
BRAM_DEPTH = 128
"""FIFOs deeper than this are block RAM."""
FREE = WIRING | {"input", "const", "cast"}
"""Ops without a stream of their own."""


def pixels(op: Op) -> int:
    """Pixels of a value: all axes but the last."""
    return math.prod(op.shape[:-1])


def streamed(op: Op, args: Sequence[Op], use: Use, spent: bool) -> Use:
    """What an op takes when it sees one pixel at a time, with the stream behind it.

    Layers with weights come for one place already.
    """
    if not spent or op.name in FREE:
        return use if op.name in ("dense", "conv", "const") else _one_pixel(use, pixels(op))
    one = use if op.name in ("dense", "conv") else _one_pixel(use, pixels(op))
    line_luts, line_ffs, fill = _lines(op, args)
    steps = max(pixels(a) for a in (op, *args)) * one.ii
    one = with_fifo(one, op.type.width * op.shape[-1] if op.shape else op.type.width, pixels(op))
    return replace(
        one,
        luts=one.luts + line_luts,
        ffs=one.ffs + line_ffs,
        cycles=one.cycles + fill,
        ii=steps,
        waits=steps - one.ii,
    )


def with_fifo(use: Use, bits: int, depth: int = 1) -> Use:
    """A layer and the FIFO behind it, which holds ``depth`` pixels (hls4ml: all of a value)."""
    luts, brams = _fifo(bits, depth)
    return replace(
        use,
        luts=use.luts + luts,
        ffs=use.ffs + bits,
        brams=use.brams + brams,
        cycles=use.cycles + 1,
    )


def _one_pixel(use: Use, count: int) -> Use:
    return replace(
        use,
        luts=math.ceil(use.luts / count),
        dsps=math.ceil(use.dsps / count),
        ffs=math.ceil(use.ffs / count),
        brams=math.ceil(use.brams / count),
        live=math.ceil(use.live / count),
    )


def _fifo(bits: int, depth: int) -> tuple[int, int]:
    """LUTs and BRAM18 of a FIFO."""
    if depth > BRAM_DEPTH:
        return FIFO_LUTS, bram18(depth, bits)
    return FIFO_LUTS + bits * math.ceil(depth / SRL_DEPTH), 0


def _lines(op: Op, args: Sequence[Op]) -> tuple[int, int, int]:
    """LUTs of the lines that a window waits for, FFs of the window, cycles until it is full."""
    if op.name == "conv":
        *window, channels, _ = op.array("weight").shape
    elif op.name == "pool":
        window, channels = [int(n) for n in op.array("window")], op.shape[-1]
    else:
        return 0, 0, 0
    width = args[0].shape[-2]
    rows = window[0] - 1 if len(window) > 1 else 0
    bits = channels * args[0].type.width
    luts = rows * bits * math.ceil(width / SRL_DEPTH)
    return luts, math.prod(window) * bits, rows * width + window[-1] - 1
