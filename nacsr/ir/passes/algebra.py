"""Algebra: neutral elements, powers of two, signs, and decisions that intervals settle.

Inferred types are exact, so the laws of arithmetic hold without exception: no rule asks for
anything but equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.products import Products
from nacsr.ir.passes.values import (
    BIT,
    aligned,
    attempt,
    constant,
    exact,
    is_zero,
    literal,
    scaled,
    uniform,
)
from nacsr.ir.passes.wires import rewire, shaped

Args = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Algebra:
    """Simpler ops of equal value; products as few, balanced, narrow multiplications."""

    name: str = "algebra"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``."""
        products = Products(graph)

        def rule(b: Builder, op: Op, args: Args) -> int | None:
            found = simpler(b, op, args)
            if op.name == "mul":
                found = products.visit(b, args, found)
            made = found
            while found is not None:
                made, known = found, b.ops[found]
                found = simpler(b, known, known.args)
            return made

        return exact(graph, rule)


def simpler(b: Builder, op: Op, args: Args) -> int | None:
    """A simpler value equal to ``op`` on ``args``, None where no rule applies."""
    rule = RULES.get(op.name)
    return rule(b, op, args) if rule else None


def _arg(b: Builder, index: int, name: str) -> int | None:
    """The argument of a value that is the op ``name``."""
    op = b.ops[index]
    return op.args[0] if op.name == name else None


# --- sums ------------------------------------------------------------------------------


def _add(b: Builder, op: Op, args: Args) -> int | None:
    x, y = args
    if is_zero(b, x) or is_zero(b, y):
        return y if is_zero(b, x) else x
    if x == y:
        return scaled(b, x, 1)
    for one, other in ((x, y), (y, x)):
        minus = _arg(b, other, "neg")
        if minus is not None:
            return b.op("sub", one, minus)
        if constant(b, other) is not None:
            return _offset(b, one, other, 1)
    return None


def _sub(b: Builder, op: Op, args: Args) -> int | None:
    x, y = args
    if x == y:
        return b.const(0, BIT)
    if is_zero(b, y):
        return x
    if is_zero(b, x):
        return b.op("neg", y)
    minus = _arg(b, y, "neg")
    if minus is not None:
        return b.op("add", x, minus)
    return _offset(b, x, y, -1) if constant(b, y) is not None else None


def _offset(b: Builder, x: int, c: int, sign: int) -> int | None:
    """(base ± d) ± c with one constant; None where ``x`` is no such sum."""
    inner = b.ops[x]
    if inner.name not in ("add", "sub"):
        return None
    base, d = inner.args
    if inner.name == "add" and constant(b, base) is not None:
        base, d = d, base
    first, second = constant(b, d), constant(b, c)
    if first is None or second is None or constant(b, base) is not None:
        return None
    frac = max(b.type(d).frac, b.type(c).frac)
    left, right = (
        raw.astype(object) << (frac - b.type(i).frac) for raw, i in ((first, d), (second, c))
    )
    total = (left if inner.name == "add" else -left) + sign * right

    def merged() -> int:
        if np.max(total) <= 0:  # taking away a positive constant needs no wider type
            return b.op("sub", base, literal(b, -total, frac))
        return b.op("add", base, literal(b, total, frac))

    return attempt(merged)


def _neg(b: Builder, op: Op, args: Args) -> int | None:
    inner = b.ops[args[0]]
    if inner.name == "neg":
        return inner.args[0]
    return b.op("sub", inner.args[1], inner.args[0]) if inner.name == "sub" else None


# --- products --------------------------------------------------------------------------


def _mul(b: Builder, op: Op, args: Args) -> int | None:
    for x, c in (args, args[::-1]):
        m, e = uniform(b, c) or (None, 0)
        if m == 0:
            return b.const(0, BIT)
        if m == 1:
            return scaled(b, x, e)
        if m == -1:
            return b.op("neg", scaled(b, x, e))
        if b.ops[x].name == "shift":
            return scaled(b, b.op("mul", b.ops[x].args[0], c), b.ops[x].integer("n"))
    first, second = (_arg(b, a, "neg") for a in args)
    return None if first is None or second is None else b.op("mul", first, second)


def _shift(b: Builder, op: Op, args: Args) -> int | None:
    n, inner = op.integer("n"), b.ops[args[0]]
    if inner.name == "shift":
        return scaled(b, inner.args[0], inner.integer("n") + n)
    return None if n else args[0]


# --- signs and decisions ---------------------------------------------------------------


def _abs(b: Builder, op: Op, args: Args) -> int | None:
    low, high = b.ranges[args[0]]
    if low >= 0:
        return args[0]
    if high <= 0:
        return b.op("neg", args[0])
    minus = _arg(b, args[0], "neg")
    return None if minus is None else b.op("abs", minus)


def _relu(b: Builder, op: Op, args: Args) -> int | None:
    low, high = b.ranges[args[0]]
    if low >= 0:
        return args[0]
    return b.const(0, BIT) if high <= 0 else None


def _leaky_relu(b: Builder, op: Op, args: Args) -> int | None:
    low, high = b.ranges[args[0]]
    if low >= 0:
        return args[0]
    return scaled(b, args[0], -op.integer("n")) if high <= 0 else None


def _extreme(b: Builder, op: Op, args: Args) -> int | None:
    x, y = args if op.name == "max" else args[::-1]  # the one to return where it is larger
    if x == y:
        return x
    above, below = aligned(b, x, y)
    if above[0] >= below[1]:
        return args[0]
    if below[0] >= above[1]:
        return args[1]
    if op.name == "min":
        return None
    for one, other in ((x, y), (y, x)):
        if is_zero(b, other):
            return b.op("relu", one)
        if _arg(b, other, "neg") == one:
            return b.op("abs", one)
    return None


_IF_EQUAL: Mapping[str, int] = {"lt": 0, "gt": 0, "ne": 0, "le": 1, "ge": 1, "eq": 1}


def _compare(b: Builder, op: Op, args: Args) -> int | None:
    kind = str(op.attrs["kind"])
    if args[0] == args[1]:
        return b.const(_IF_EQUAL[kind], BIT)
    x, y = aligned(b, *args)
    if kind in ("gt", "ge"):
        kind, x, y = {"gt": "lt", "ge": "le"}[kind], y, x
    if kind in ("eq", "ne"):
        apart = x[1] < y[0] or y[1] < x[0]
        return b.const(int(kind == "ne"), BIT) if apart else None
    always, never = (x[1] < y[0], x[0] >= y[1]) if kind == "lt" else (x[1] <= y[0], x[0] > y[1])
    return b.const(int(always), BIT) if always or never else None


def _select(b: Builder, op: Op, args: Args) -> int | None:
    condition, x, y = args
    known = uniform(b, condition)
    if known is not None:
        return x if known[0] else y
    if x == y:
        return x
    if uniform(b, x) == (1, 0) and is_zero(b, y):
        return condition
    test = b.ops[condition]
    if test.name != "compare" or test.attrs["kind"] in ("eq", "ne"):
        return None
    left, right = test.args
    if test.attrs["kind"] in ("lt", "le"):
        left, right = right, left  # now the condition says left > right, or left >= right
    if {x, y} == {left, right}:
        return b.op("max" if x == left else "min", left, right)
    return _absolute(b, (left, right), (x, y))


def _absolute(b: Builder, larger: Args, arms: Args) -> int | None:
    """|x| where it is written as a choice between x and -x."""
    (left, right), (x, y) = larger, arms
    if (is_zero(b, right) and left == x and _arg(b, y, "neg") == x) or (
        is_zero(b, left) and right == y and _arg(b, x, "neg") == y
    ):
        return b.op("abs", x if left == x else y)
    return None


def _reduce(b: Builder, op: Op, args: Args) -> int | None:
    if b.ops[args[0]].shape[op.integer("axis")] > 1:
        return None
    return shaped(b, args[0], op.shape)


RULES: Mapping[str, Callable[[Builder, Op, Args], int | None]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "shift": _shift,
    "abs": _abs,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "min": _extreme,
    "max": _extreme,
    "compare": _compare,
    "select": _select,
    "reduce": _reduce,
    "take": rewire,
    "reshape": rewire,
    "concat": rewire,
    "stack": rewire,
}
"""One function an op: a simpler value, or None."""
