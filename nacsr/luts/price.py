"""What a small graph costs, roughly, in look-up tables of six inputs: enough to compare forms.

The cost model proper lies above this module and may be given to ``fit`` instead.
"""

from __future__ import annotations

import math

from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Graph, Op
from nacsr.ir.ops import cast_fits

ENTRIES_A_LUT = 64


def digits(raw: int) -> int:
    """Nonzero digits of an integer in canonical signed digit form (Reitwiesner 1960)."""
    n = abs(raw)
    return ((n >> 1) ^ (n + (n >> 1))).bit_count()


def price_of(graph: Graph) -> float:
    """Bits of adders, multiplexers, partial products and, by 64, of tables."""
    return float(sum(_price(op, [graph.ops[a] for a in op.args]) for op in graph.ops))


def _price(op: Op, args: list[Op]) -> float:
    width = op.type.width
    match op.name:
        case "lut":
            return math.ceil(op.array("table").size / ENTRIES_A_LUT) * width
        case "cast":
            return _cast(args[0].type, op.type)
        case "add":
            return _overlap(args[0].type, args[1].type)
        case "sub" | "neg" | "select":
            return width
        case "compare":
            return max(a.type.width for a in args)
        case "abs" | "min" | "max":
            return 2 * width
        case "mul":
            return _product(args)
    return 0.0


def _cast(source: Fixed, to: Fixed) -> float:
    carry = to.width if source.frac > to.frac and to.rounding is not Rounding.TRN else 0
    ends = source.min_raw, source.max_raw
    if to.overflow is Overflow.WRAP or cast_fits(to, source, ends):
        return carry
    return carry + to.width + max(source.integer - to.integer, 1)


def _overlap(a: Fixed, b: Fixed) -> float:
    """Bits that both operands of a sum have; the rest is wires, or carries at the most."""
    return max(max(a.integer, b.integer) - max(-a.frac, -b.frac), 0) if _meet(a, b) else 0


def _meet(a: Fixed, b: Fixed) -> bool:
    return a.signed or b.signed or (a.integer > -b.frac and b.integer > -a.frac)


def _product(args: list[Op]) -> float:
    for constant, other in (args, args[::-1]):
        if constant.name == "const":
            raw = int(constant.array("value").max())
            return max(digits(raw) - 1, 0) * other.type.width
    return args[0].type.width * args[1].type.width
