"""Sums of inputs: what a fitted table may have as its argument without any arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var

Part = tuple[int, Expr]
"""A sign, and an input, an input times a power of two, or a constant."""


def parts(expr: Expr, sign: int = 1) -> Iterator[Part | None]:
    """The parts of a sum; None for one that is something else."""
    match expr:
        case Num() | Var():
            yield sign, expr
        case Call("mul", (Num(value), Var())) | Call("mul", (Var(), Num(value))):
            yield (sign, expr) if value and abs(math.frexp(value)[0]) == 0.5 else None
        case Call("neg", (inner,)):
            yield from parts(inner, -sign)
        case Call("add" | "sub" as op, (left, right)):
            yield from parts(left, sign)
            yield from parts(right, sign if op == "add" else -sign)
        case _:
            yield None


def is_linear(expr: Expr) -> bool:
    """Whether an expression is a sum of inputs times powers of two, and constants."""
    return None not in parts(expr)


def summed(found: Iterable[Part]) -> Expr | None:
    """The sum of some parts; sums are exact, so their order does not matter."""
    ordered = sorted(found, key=lambda part: -part[0])  # a positive one first, if there is one
    if not ordered:
        return None
    sign, whole = ordered[0]
    whole = whole if sign > 0 else Call("neg", (whole,))
    for sign, term in ordered[1:]:
        whole = Call("add" if sign > 0 else "sub", (whole, term))
    return whole
