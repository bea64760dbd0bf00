"""Lowering: from trees on standardised values to a fixed-point graph that never wraps.

The working precision ``fixed<W,I>`` has F = W - I fractional bits. Variables, products and
table values are truncated to F of them, which is free. The integer bits of every value come
from its exact interval: as many as it needs, and where that is more than I the value saturates
at the working type. Sums are exact: partial sums never saturate, and a sum that is an output
does not either, since wider words cost less than the comparators that would clip them.

A fitted table (a LUT function without a formula) of a sum of inputs reads that sum with the
integer bits that it needs and with two fractional bits more than its address has.

A comparison is one bit, exactly 1 or 0, that its two sides decide as they are: sums with all
their bits, everything else settled, and a constant on the grid of the other side, moved the way
that changes no decision. A product with a bit is a choice, and takes no multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError, unknown
from nacsr.fixed import Fixed, Rounding, span
from nacsr.frontends.stem import scalar_stem
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Expr,
    Num,
    Var,
    fold,
    lut,
    variables,
)
from nacsr.frontends.symbolic.lowering.linear import is_linear, parts, summed
from nacsr.ir import Builder, Graph, verify
from nacsr.luts import LutFunc
from nacsr.luts.uncentred import looked_up, moved

SUMS = frozenset({"add", "sub", "neg"})
BIT = Fixed(1, 1, signed=False)
"""What a comparison is, and the condition of a choice."""

ZERO = Num(0.0)

GUARD_BITS, MOST_INTEGER = 2, 30
"""Of the argument of a fitted table: fractional bits beyond the address's, integer bits."""

FACTOR_BITS = 8
"""Significant bits that a constant factor keeps at least: a relative error below 2**-8."""


def lower(
    expressions: Mapping[str, Expr],
    features: Sequence[Feature],
    scaling: Scaling,
    precision: Fixed,
    luts: Mapping[str, LutFunc],
) -> Graph:
    """A graph with one input port a feature read and one output port an expression.

    Constant subexpressions are folded first. A constant is rounded to nearest on the grid of
    F fractional bits; a factor below one keeps ``FACTOR_BITS`` significant bits, unless it is
    zero on that grid: then its term vanishes. A term beyond the working type saturates, a
    sum that is an output does not. All outputs have one type, so that their raw integers
    compare.

    Args:
        expressions: trees by output port.
        features: the words that arrive; a variable is the name of one.
        scaling: from words to the standardised values that variables mean.
        precision: the working type; only its width and integer bits are used.
        luts: the LUT functions by name.

    Raises:
        ExpressionError: for an unknown variable or function, or a design that reads no
            feature at all.
        GraphError: if a value would need more than 63 bits.
    """
    if not expressions:
        msg = "there is no expression to lower; give one an output"
        raise ExpressionError(msg)
    lowering = _Lowering(features, scaling, precision, luts)
    values = {port: lowering.exact(fold(expr, luts)) for port, expr in expressions.items()}
    graph = finished(lowering.builder, values, lowering.working.frac)
    if not graph.inputs:
        msg = (
            f"no expression of {', '.join(expressions)} depends on a feature at {precision}; "
            "use more fractional bits or larger constants"
        )
        raise ExpressionError(msg)
    return graph


class _Lowering:
    def __init__(
        self,
        features: Sequence[Feature],
        scaling: Scaling,
        precision: Fixed,
        luts: Mapping[str, LutFunc],
    ) -> None:
        self.builder = Builder()
        self.features = features
        self.scaling = scaling
        self.luts = luts
        self.working = Fixed(precision.width, precision.integer).with_modes("TRN", "SAT")
        self.places = {f.name: j for j, f in enumerate(features)}

    def value(self, expr: Expr) -> int:
        """The index of a tree's value, within the working type."""
        if isinstance(expr, Num):
            within = min(max(expr.value, self.working.min), self.working.max)
            return self._settle(constant(self.builder, within, self.working.frac))
        if isinstance(expr, Var):
            if expr.name not in self.places:
                raise ExpressionError(unknown("variable", expr.name, self.places))
            place = self.places[expr.name]
            return self._settle(scalar_stem(self.builder, self.features, self.scaling, place))
        index = self._call(expr)
        # one bit is exact whatever the integer bits are, and clipping it would not be free
        exact = expr.op == "greater" and self.working.frac >= 0
        return index if exact else self._settle(index)

    def exact(self, expr: Expr) -> int:
        """The index of a tree's value: a sum with all its bits, anything else settled."""
        if not (isinstance(expr, Call) and expr.op in SUMS):
            return self.value(expr)
        index = self._call(expr)  # narrowed, or every sum of a chain would be a bit wider
        return self.builder.cast(index, span(*self._range(index), self.builder.type(index).frac))

    def _range(self, index: int) -> tuple[int, int]:
        return self.builder.ranges[index]

    def _settle(self, index: int) -> int:
        """Drop bits below F, then keep the integer bits needed, or saturate beyond I."""
        lo, hi, frac = truncated(self.builder, index, self.working.frac)
        if not self.working.holds(lo, hi, frac):
            return self.builder.cast(index, self.working)
        return self.builder.cast(index, span(lo, hi, frac))

    def _call(self, expr: Call) -> int:
        match expr.op:
            case "mul":
                return self._product(expr.args)
            case "greater":
                return self._greater(*expr.args)
            case "cond" | "select":
                return self._select(*expr.args)
            case op if op not in OPERATORS:
                return self._table(lut(op, self.luts), expr.args[0])
        args = [self.exact(a) if expr.op in SUMS else self.value(a) for a in expr.args]
        match expr.op:
            case "square":
                return times(self.builder, args[0], args[0])
            case "cube":
                square = self._settle(times(self.builder, args[0], args[0]))
                return times(self.builder, square, args[0])
        return plain(self.builder, expr.op, args)

    def _greater(self, a: Expr, b: Expr) -> int:
        if isinstance(b, Num):
            left = self.exact(a)
            return compared(self.builder, left, self._limit(b.value, left, math.floor))
        if isinstance(a, Num):
            right = self.exact(b)
            return compared(self.builder, self._limit(a.value, right, math.ceil), right)
        return compared(self.builder, self.exact(a), self.exact(b))

    def _limit(self, value: float, beside: int, rounded: Callable[[Fraction], int]) -> int:
        """A constant that a value is compared with, on the grid of that value."""
        frac, (lo, hi) = self.builder.type(beside).frac, self._range(beside)
        raw = rounded(Fraction(value) * Fraction(2) ** frac)
        return trimmed(self.builder, min(max(raw, lo - 1), hi + 1), frac)

    def _select(self, condition: Expr, yes: Expr, no: Expr = ZERO) -> int:
        bit = self._condition(condition)
        never, always = self._range(bit)
        if never == always:
            return self.value(yes if always else no)
        return chosen(self.builder, bit, self.value(yes), self.value(no))

    def _condition(self, expr: Expr) -> int:
        """Whether a value is positive."""
        if isinstance(expr, Call) and expr.op == "greater":
            return self._greater(*expr.args)
        return compared(self.builder, self.exact(expr), constant(self.builder, 0.0, 0))

    def _table(self, function: LutFunc, argument: Expr) -> int:
        if function.function or not is_linear(argument) or not self._known(argument):
            return looked_up(self.builder, function, self.value(argument))
        index = self._uncentred(function, argument)
        if index is None:
            index = looked_up(self.builder, function, self._fine(function, self).exact(argument))
        return index

    def _known(self, argument: Expr) -> bool:
        return set(variables(argument)) <= set(self.places)

    def _uncentred(self, table: LutFunc, argument: Expr) -> int | None:
        """A fitted table of a sum of inputs, read without the offsets; None if that differs."""
        found = [part for part in parts(argument) if part is not None]
        bare = summed((sign, term) for sign, term in found if not isinstance(term, Num))
        if bare is None or table.domain.rounding is not Rounding.TRN:
            return None
        fine = self._fine(table, self.uncentred)
        offset, grid = Fraction(0), Fraction(2) ** fine.working.frac
        for sign, term in found:
            moves = self._offsets(term)
            if any((m * grid).denominator != 1 for m in moves):
                return None  # to truncate before an offset or after it would not be the same
            offset += sign * moves[-1]
        return moved(self.builder, table, fine.exact(bare), offset)

    def _fine(self, table: LutFunc, like: _Lowering) -> _Lowering:
        """As ``like``, with the bits that an address is made of: no fewer at the top than are
        needed, and a few more at the bottom than it has.
        """
        frac = min(self.working.frac, table.domain.frac + GUARD_BITS)
        precision = Fixed(MOST_INTEGER + frac, MOST_INTEGER)
        other = _Lowering(self.features, like.scaling, precision, self.luts)
        other.builder = self.builder
        return other

    def _offsets(self, term: Expr) -> list[Fraction]:
        """What is added to an input by centring, then also to the multiple of it; a constant."""
        match term:
            case Num(value):
                return [Fraction(value)]
            case Var(name):
                j = self.places[name]
                step = -self.features[j].type.frac - self.scaling.shifts[j]
                return [-self.scaling.offsets[j] * Fraction(2) ** step]
            case Call(_, (Num(value), inner)) | Call(_, (inner, Num(value))):
                below = self._offsets(inner)
                return [*below, Fraction(value) * below[-1]]
        return []

    @property
    def uncentred(self) -> _Lowering:
        """The same, into the same builder, for inputs that are scaled only."""
        zeros = (0,) * len(self.features)
        scaling = Scaling(self.scaling.mode, zeros, self.scaling.shifts)
        other = _Lowering(self.features, scaling, self.working, self.luts)
        other.builder = self.builder
        return other

    def _product(self, args: Sequence[Expr]) -> int:
        a, b = [self._factor(x.value) if isinstance(x, Num) else self.value(x) for x in args]
        return times(self.builder, a, b)

    def _factor(self, value: float) -> int:
        bits = factor_bits(value, self.working)
        return constant(self.builder, value if bits is not None else 0.0, bits or 0)


def factor_bits(value: float, working: Fixed) -> int | None:
    """Fractional bits of a constant factor, which keeps at least FACTOR_BITS and at most W
    significant ones; None where it is zero on the grid of the working type.
    """
    if abs(value) <= math.ldexp(0.5, -working.frac):
        return None
    top = math.frexp(value)[1]  # |value| < 2**top
    return min(max(working.frac, FACTOR_BITS - top), working.width - top)


def truncated(builder: Builder, index: int, frac: int) -> tuple[int, int, int]:
    """Range of a value with at most ``frac`` fractional bits, and how many it then has."""
    source, (lo, hi) = builder.type(index).frac, builder.ranges[index]
    drop = max(source - frac, 0)
    return lo >> drop, hi >> drop, source - drop  # truncation is monotone: these ends are exact


def times(builder: Builder, a: int, b: int) -> int:
    """A product, unless a factor is zero or one, or the one bit that chooses between them."""
    for this, other in ((a, b), (b, a)):
        if builder.ranges[this] == (0, 0):
            return this
        if builder.ranges[this] == (1, 1) and builder.type(this).frac == 0:
            return other
    for this, other in ((a, b), (b, a)):
        if builder.type(this) == BIT:
            return other if a == b else chosen(builder, this, other, constant(builder, 0.0, 0))
    return builder.op("mul", a, b)


def compared(builder: Builder, a: int, b: int) -> int:
    """The bit ``a > b``; a constant where the ranges of both decide it, ``a`` if it is that bit."""
    frac = max(builder.type(i).frac for i in (a, b))
    (low, high), (least, most) = (
        [end << (frac - builder.type(i).frac) for end in builder.ranges[i]] for i in (a, b)
    )
    if a == b or high <= least:
        return builder.const(0, BIT)
    if low > most:
        return builder.const(1, BIT)
    if builder.type(a) == BIT and least == most == 0:
        return a
    return builder.op("compare", a, b, kind="gt")


def chosen(builder: Builder, bit: int, yes: int, no: int) -> int:
    """``yes`` where a bit is 1, else ``no``; no multiplexer where they are equal, or 1 and 0."""
    if yes == no:
        return yes
    if builder.type(yes) == BIT and builder.ranges[yes] == (1, 1) and builder.ranges[no] == (0, 0):
        return bit
    for zero, other in ((yes, no), (no, yes)):
        if builder.ranges[zero] == (0, 0):  # in the other's type, or the result would be wider
            same = builder.const(0, builder.type(other).plain())
            yes, no = (same, no) if zero == yes else (yes, same)
    return builder.op("select", bit, yes, no)


def plain(builder: Builder, op: str, args: Sequence[int]) -> int:
    """An operator that is an op of the same name; nothing where a term is zero."""
    if op in ("add", "sub") and builder.ranges[args[1]] == (0, 0):
        return args[0]
    if op == "add" and builder.ranges[args[0]] == (0, 0):
        return args[1]
    return builder.op(op, *args)


def constant(builder: Builder, value: float, frac: int) -> int:
    """A constant rounded to ``frac`` fractional bits, without its trailing zeros."""
    return trimmed(builder, round(math.ldexp(value, frac)), frac)


def trimmed(builder: Builder, raw: int, frac: int) -> int:
    """A constant without its trailing zeros."""
    zeros = (raw & -raw).bit_length() - 1 if raw else frac
    raw, frac = raw >> max(zeros, 0), frac - zeros
    return builder.const(raw, span(raw, raw, frac))


def finished(builder: Builder, values: Mapping[str, int], frac: int) -> Graph:
    """The graph whose output ports share the narrowest type of ``frac`` fractional bits."""
    shifted = [
        end << (frac - builder.type(i).frac) for i in values.values() for end in builder.ranges[i]
    ]
    common = span(min(shifted), max(shifted), frac)
    for port, index in values.items():
        builder.output(port, builder.cast(index, common))
    return verify(builder.build())
