"""What logic synthesis leaves of a design that HLS scheduled: LUTs by structure, FFs by a factor.

HLS counts operators as if each stood alone; Vivado shares carry chains, packs multiplexers in
pairs and absorbs adders and registers into DSP blocks. Structure, from published reports on
UltraScale+ (311 dot products, 110 soft multipliers, 76 adder trees): an adder takes a LUT a bit, a
soft product the product of its widths, a ROM a LUT for 64 words of a bit (UG574); DSPs stay.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nacsr.cost import rules
from nacsr.cost.bands import Band, has_layers, has_products
from nacsr.cost.operations import elements
from nacsr.cost.simplify import Node
from nacsr.cost.use import Use
from nacsr.ir import Graph, Op

FLIP_FLOPS = 0.32
"""Of an expression's FFs at csynth: 0.27 and 0.38 in the two reports without black boxes."""

MATH_LUTS, STOCK_LUTS = 0.21, 0.25
"""Of a call's LUTs at csynth: one report of ``hls_math``; for the stock function between 0.14
without its comparators of double precision, black boxes in both reports, and 0.4 with them."""

NETWORK_LUTS, NETWORK_FFS = 0.45, 0.72
"""Of a layer's at csynth: medians of 28 networks with both reports."""

_TWO = "2 expression designs, Vivado 2020.1 synthesis, xcvu9p, 5 ns"
_BLACK = "2 designs with the stock table function, comparators black boxes, Vivado 2020.1, xcvu9p"
_NETWORK = "28 networks with reports of both stages: 0.09 to 0.94 of the LUTs at csynth"

EXPRESSION: Mapping[str, Band] = {
    "luts": Band(0.35, 20.0, _TWO),
    "dsps": Band(0.15, 2.0, _TWO),
    "ffs": Band(0.5, 16.0, _TWO),
    "brams": Band(0.0, 1.0, _TWO),
}
STOCK: Mapping[str, Band] = {
    **EXPRESSION,
    "luts": Band(0.5, 20.0, _BLACK),
    "ffs": Band(0.6, 16.0, _BLACK),
}
NETWORK: Mapping[str, Band] = {
    "luts": Band(0.8, 0.0, _NETWORK),
    "dsps": Band(0.1, 1.0, _NETWORK),
    "ffs": Band(0.6, 0.0, _NETWORK),
    "brams": Band(0.5, 1.0, _NETWORK),
}


def left(nodes: Sequence[Node], uses: Sequence[Use], functions: str) -> list[Use]:
    """What logic synthesis leaves of the LUTs and BRAMs of every op.

    A block RAM has two ports, so two reads of one table share it.
    """
    reads: Counter[object] = Counter()
    found = []
    for node, use in zip(nodes, uses, strict=True):
        args = tuple(nodes[a].op for a in node.args)
        inside = sum(uses[a].dsps > 0 for a in node.args)
        use = replace(use, luts=_luts(node, args, use, functions, inside))
        if use.brams and node.op.name == "lut":
            called = functions != "table"
            table = node.op.attrs["function"] if called else node.op.array("table").tobytes()
            before, count = reads[table], elements(node.op)
            reads[table] += count
            shared = math.ceil((before + count) / 2) - math.ceil(before / 2)
            use = replace(use, brams=use.brams // count * shared)
        found.append(use)
    return found


def registers_left(graph: Graph) -> float:
    """The share of the flip-flops at csynth that logic synthesis leaves."""
    return NETWORK_FFS if has_layers(graph) else FLIP_FLOPS


def bands(graph: Graph, functions: str, schedule: Mapping[str, Band]) -> Mapping[str, Band]:
    """The bands by metric; that of cycles is ``schedule``'s, as synthesis moves none."""
    if has_layers(graph):
        return {**schedule, **NETWORK}
    if functions == "stock":
        return {**schedule, **STOCK}
    return {**schedule, **EXPRESSION} if has_products(graph) or functions != "table" else schedule


def _luts(node: Node, args: tuple[Op, ...], use: Use, functions: str, inside: int) -> int:
    op = node.op
    if op.name == "lut" and functions != "table":
        return round((MATH_LUTS if functions == "math" else STOCK_LUTS) * use.luts)
    if op.name in ("dense", "conv", "pool", "reduce", "argmax"):
        return round(NETWORK_LUTS * use.luts)
    return elements(op) * _logic(node, args, use, inside) if use.luts else 0


def _logic(node: Node, args: tuple[Op, ...], use: Use, inside: int) -> int:
    """LUTs of one element of an op, ``inside`` of whose additions DSP blocks do."""
    op, width = node.op, node.op.type.width
    if op.name in ("add", "sub"):
        return sum(sorted(node.adders)[: max(len(node.adders) - inside, 0)])
    if op.name == "mul":
        return _product(op, args, use)
    if op.name == "cast":
        source = args[0].type
        rounding, overflow = (
            rules.rounding_bits(source, op.type),
            rules.overflow_bits(source, op.type),
        )
        return rounding + (math.ceil(overflow / 4) + width if overflow else 0)
    if op.name == "compare":
        return math.ceil(max(a.type.width for a in args) / 2)
    if op.name == "lut":
        return math.ceil((1 << args[0].type.width) * width / 64)
    if op.name in ("abs", "neg"):
        return width
    picks = op.name in ("min", "max") and use.luts > elements(op) * width
    return math.ceil(width / 2) * (2 if picks else 1)


def _product(op: Op, args: tuple[Op, ...], use: Use) -> int:
    """A soft product; beside a constant one adder a digit after the first."""
    if use.dsps:
        return 0
    for constant, other in (args, args[::-1]):
        if constant.name == "const":
            digits = int(rules.csd_digits(constant.array("value")).max(initial=0))
            return max(digits - 1, 0) * other.type.width
    a, b = (x.type.width for x in args)
    return a * (a + 1) // 2 if op.args[0] == op.args[1] else a * b
