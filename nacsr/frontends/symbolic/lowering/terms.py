"""Expressions as numbered terms, each with the exact interval of its real values.

Equal subtrees are one term. Constant subtrees are folded to an interval around their real
value; every use of a constant is a term of its own, since each may be rounded differently.
Products of repeated factors become powers by squaring: ``x*x*x*x`` is ``(x^2)^2``.

A comparison that the intervals of its sides decide is a constant. Any other is decided on exact
values: the terms that its sides depend on are apart from those of the same value elsewhere,
which may be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from nacsr.errors import ExpressionError, unknown
from nacsr.fixed import MAX_WIDTH
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var, fold, lut
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.intervals import Interval
from nacsr.luts import LutFunc

LARGEST = 2.0**256
"""Values beyond it count as infinite, so that no bound on an error overflows a float64."""

Ref: TypeAlias = int | Interval
"""A term by number, or a constant by the interval of its real value."""


@dataclass(frozen=True, slots=True)
class Port:
    """A standardised input: its interval, and its fractional bits (exact at that many)."""

    real: Interval
    frac: int


@dataclass(frozen=True, slots=True)
class Term:
    """One value.

    Attributes:
        op: input, const, table, add, sub, neg, abs, min, max, mul, square, greater or select.
        args: numbers of earlier terms.
        real: encloses the values of the formula itself, in real numbers.
        name: feature of an input, LUT function of a table.
        frac: fractional bits of a term that must be exact; None: any number.
    """

    op: str
    args: tuple[int, ...]
    real: Interval
    name: str = ""
    frac: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms in order of dependence, and the term of every output."""

    terms: tuple[Term, ...]
    outputs: Mapping[str, int]
    ports: Mapping[str, Port]


def collect(
    expressions: Mapping[str, Expr], ports: Mapping[str, Port], luts: Mapping[str, LutFunc]
) -> Terms:
    """The terms of all expressions.

    Args:
        expressions: trees by output.
        ports: what arrives, by variable.
        luts: the LUT functions by name; a division needs ``inverse``.

    Raises:
        ExpressionError: for an unknown variable or function, a division by a constant zero,
            a value without a bound: a pole inside the interval of an argument, or a comparison
            that neither intervals nor exact values decide.
    """
    builder = _Collector(ports, luts)
    outputs = {}
    for name, expr in expressions.items():
        fold(expr, luts)  # its refusals of constants name the operands
        outputs[name] = builder.placed(builder.ref(expr))
    return _needed(builder.terms, outputs, ports)


def _needed(terms: Sequence[Term], outputs: Mapping[str, int], ports: Mapping[str, Port]) -> Terms:
    """The terms that some output depends on, numbered anew."""
    needed = set(outputs.values())
    for i in range(len(terms) - 1, -1, -1):
        if i in needed:
            needed.update(terms[i].args)
    place = {old: new for new, old in enumerate(sorted(needed))}
    kept = [replace(terms[i], args=tuple([place[a] for a in terms[i].args])) for i in place]
    return Terms(tuple(kept), {name: place[i] for name, i in outputs.items()}, ports)


class _Collector:
    def __init__(self, ports: Mapping[str, Port], luts: Mapping[str, LutFunc]) -> None:
        self.ports = ports
        self.luts = luts
        self.terms: list[Term] = []
        self._known: dict[tuple[str, str, tuple[Ref, ...], bool], int] = {}
        self._exact = False  # whether the terms of now are those of a comparison

    def placed(self, ref: Ref) -> int:
        """The number of a term; a constant becomes one, new for every use."""
        if isinstance(ref, int):
            return ref
        exact = self._exact and ref[0] == ref[1]
        frac = Fraction(ref[0]).denominator.bit_length() - 1 if exact else None
        self.terms.append(Term("const", (), ref, frac=frac))
        return len(self.terms) - 1

    def ref(self, expr: Expr) -> Ref:
        """A tree's value."""
        if isinstance(expr, Num):
            if not abs(expr.value) < LARGEST:
                raise ExpressionError(_unbounded("const", "", [], expr))
            return (expr.value, expr.value)
        if isinstance(expr, Var):
            if expr.name not in self.ports:
                raise ExpressionError(unknown("variable", expr.name, self.ports))
            return self._term("input", expr.name, (), expr)
        match expr.op:
            case "mul":
                return self._product(expr)
            case "greater":
                return self._compared(expr.args[0], expr.args[1], expr)
            case "cond" | "select":
                return self._chosen(expr)
        args = [self.ref(a) for a in expr.args]
        match expr.op:
            case "div":
                return self._divided(args[0], args[1], expr)
            case "cube":
                return self._power(args[0], 3, expr)
            case "add" | "sub" if args[1] == iv.ZERO:
                return args[0]
            case "add" if args[0] == iv.ZERO:
                return args[1]
            case "add" | "sub" | "neg" | "abs" | "min" | "max" | "square":
                return self._term(expr.op, "", tuple(args), expr)
        return self._term("table", lut(expr.op, self.luts).name, tuple(args), expr)

    def _chosen(self, expr: Call) -> Ref:
        condition, *branches = expr.args
        direct = isinstance(condition, Call) and condition.op == "greater"
        bit = self.ref(condition) if direct else self._compared(condition, Num(0.0), expr)
        yes, no = (*branches, Num(0.0))[:2]
        if isinstance(bit, tuple):
            return self.ref(no if bit == iv.ZERO else yes)
        return self._term("select", "", (bit, self.ref(yes), self.ref(no)), expr)

    def _compared(self, a: Expr, b: Expr, where: Call) -> Ref:
        """The bit ``a > b``, of exact terms, or the constant that their intervals make of it."""
        outside, self._exact = self._exact, True
        sides = self.ref(a), self.ref(b)
        left, right = (s if isinstance(s, tuple) else self.terms[s].real for s in sides)
        if sides[0] == sides[1] or left[1] <= right[0]:
            bit: Ref = iv.ZERO
        elif left[0] > right[1]:
            bit = (1.0, 1.0)
        else:
            limits = (
                self._limit(sides[0], sides[1], math.ceil, where),
                self._limit(sides[1], sides[0], math.floor, where),
            )
            bit = self._term("greater", "", limits, where)
        self._exact = outside
        return bit

    def _limit(self, ref: Ref, beside: Ref, rounded: Callable[[Fraction], int], where: Call) -> Ref:
        """A side of a comparison: exact, and a constant on the grid of the other side.

        A constant is moved there by less than a step, which changes no decision.
        """
        if isinstance(ref, int):
            if self.terms[ref].frac is None:
                raise ExpressionError(_undecided(where))
            return ref
        frac = self.terms[beside].frac if isinstance(beside, int) else None
        steps = {rounded(Fraction(end) * Fraction(2) ** (frac or 0)) for end in ref}
        if frac is None or len(steps) > 1:
            raise ExpressionError(_undecided(where))
        limit = math.ldexp(steps.pop(), -frac)
        return limit, limit

    def _divided(self, over: Ref, under: Ref, where: Expr) -> Ref:
        if isinstance(under, tuple):
            constant = iv.reciprocal(under)
            if not iv.size(constant) < LARGEST:  # a product with zero would hide it
                raise ExpressionError(_unbounded("div", "inverse", [under], where))
            return self._times(over, constant, where)
        inverse = self._term("table", lut("inverse", self.luts).name, (under,), where)
        return self._times(over, inverse, where)

    def _product(self, expr: Call) -> Ref:
        negative, parts = _factors(expr)
        factors = [self.ref(f) for f in parts]
        numbers = [f for f in factors if isinstance(f, int)]
        if len(set(numbers)) == len(numbers):
            # nothing repeats: the author's own grouping, whose parts may be shared
            return self._times(self.ref(expr.args[0]), self.ref(expr.args[1]), expr)
        whole: Ref = (1.0, 1.0)
        for factor in dict.fromkeys(factors):
            whole = self._times(whole, self._power(factor, factors.count(factor), expr), expr)
        if not negative:
            return whole
        return iv.neg(whole) if isinstance(whole, tuple) else self._term("neg", "", (whole,), expr)

    def _power(self, base: Ref, exponent: int, where: Expr) -> Ref:
        if exponent == 1:
            return base
        if exponent % 2:
            return self._times(self._power(base, exponent - 1, where), base, where)
        half = self._power(base, exponent // 2, where)
        return self._term("square", "", (half,), where)

    def _times(self, a: Ref, b: Ref, where: Expr) -> Ref:
        for this, other in ((a, b), (b, a)):
            if this == iv.ZERO or this == (1.0, 1.0):
                return this if this == iv.ZERO else other
        return self._term("mul", "", (a, b), where)

    def _term(self, op: str, name: str, args: tuple[Ref, ...], where: Expr) -> Ref:
        key = (op, name, args, self._exact)
        if key in self._known:
            return self._known[key]
        reals = [a if isinstance(a, tuple) else self.terms[a].real for a in args]
        real = self._real(op, name, reals)
        if not iv.size(real) < LARGEST:
            raise ExpressionError(_unbounded(op, name, reals, where))
        if args and all(isinstance(a, tuple) for a in args):
            return real
        places = tuple([self.placed(a) for a in args])
        frac = self._frac(op, name, [self.terms[a].frac for a in places]) if self._exact else None
        if frac is not None and iv.above(real) + frac > MAX_WIDTH:
            frac = None
        self.terms.append(Term(op, places, real, name, frac))
        self._known[key] = len(self.terms) - 1
        return self._known[key]

    def _frac(self, op: str, name: str, args: Sequence[int | None]) -> int | None:
        """Fractional bits of an operator's exact result, of those of its arguments."""
        fracs = [f for f in args if f is not None]
        if len(fracs) < len(args):
            return None
        match op:
            case "input":
                return self.ports[name].frac
            case "greater":
                return 0
            case "mul":
                return sum(fracs)
            case "square":
                return 2 * fracs[0]
            case "table":
                found = self.luts[name]
                return None if found.function else found.value.frac
        return max(fracs)  # a condition is one bit without a fraction

    def _real(self, op: str, name: str, args: list[Interval]) -> Interval:
        match op:
            case "input":
                return self.ports[name].real
            case "add":
                return iv.add(*args)
            case "sub":
                return iv.sub(*args)
            case "neg":
                return iv.neg(*args)
            case "abs":
                return iv.absolute(*args)
            case "min" | "max":
                best = min if op == "min" else max
                return best(a[0] for a in args), best(a[1] for a in args)
            case "mul":
                return iv.mul(*args)
            case "square":
                return iv.square(*args)
            case "greater":
                return 0.0, 1.0
            case "select":
                return iv.hull(args[1], args[2])
        found = self.luts[name]
        if found.function:
            return iv.values(found.function, args[0])
        # a table that is its own definition
        if args[0][0] == args[0][1]:
            value = float(found.numpy(args[0][0]))
            return value, value
        ends = found.value.to_float([found.table.min(), found.table.max()])
        return float(ends[0]), float(ends[1])


def _factors(expr: Expr) -> tuple[bool, list[Expr]]:
    """Whether a product of products is negated, and its factors in reading order.

    A sign inside would hide a square: ``-x*x`` is ``(-x)*x`` to a parser.
    """
    if isinstance(expr, Call) and expr.op == "neg":
        negative, factors = _factors(expr.args[0])
        return not negative, factors
    if isinstance(expr, Call) and expr.op == "mul":
        parts = [_factors(a) for a in expr.args]
        return sum(n for n, _ in parts) % 2 == 1, [f for _, found in parts for f in found]
    return False, [expr]


def _undecided(where: Call) -> str:
    return (
        f"no error can be proven for {where.op} in {_short(where)!r}: it jumps where its sides "
        f"meet, and rounding may decide otherwise, since they are not exact in {MAX_WIDTH} bits; "
        "compare inputs, constants, their sums and short products, or give a precision instead "
        "of a maximum error"
    )


def _short(where: Expr) -> str:
    text = to_text(where, 3)
    return text if len(text) <= 60 else text[:57] + "..."


def _unbounded(op: str, name: str, args: list[Interval], where: Expr) -> str:
    low, high = args[0] if len(args) == 1 else (0.0, 0.0)
    why = f"{name} has a pole or overflows over {low:.6g}..{high:.6g}" if name else "it overflows"
    return (
        f"no error can be proven for {_short(where)!r}: {why}; declare input ranges that keep "
        "away from there, or give a precision instead of a maximum error"
    )
