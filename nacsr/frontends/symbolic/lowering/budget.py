"""Lowering under an error budget: types that cannot overflow, and a proven bound on the error.

Integer bits come from exact intervals, so nothing ever saturates; fractional bits, the bits of
constants and the error of every table from ``precision``. What is proven: for every word that
an input port can carry, every output differs from the formula, computed in real numbers on the
value of that word (clipped to its declared range), by its bound at most.

A comparison jumps where its sides meet, so it must be decided as the formula decides it: by the
intervals of its sides, or on their exact values, which no table has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError, FixedError, GraphError, SpecError, unknown
from nacsr.fixed import Fixed, span
from nacsr.frontends.stem import scalar_stem
from nacsr.frontends.symbolic.language.expr import Expr
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.intervals import Interval
from nacsr.frontends.symbolic.lowering.lower import (
    chosen,
    compared,
    constant,
    finished,
    plain,
    times,
    trimmed,
    truncated,
)
from nacsr.frontends.symbolic.lowering.plan import Plan, Table
from nacsr.frontends.symbolic.lowering.precision import assign, drop
from nacsr.frontends.symbolic.lowering.terms import Port, Terms, collect
from nacsr.ir import Builder, Graph
from nacsr.luts import FUNCTIONS, LutFunc, fit
from nacsr.luts.price import price_of

LOOSER = 1.5  # times the error is asked of a table when there is none
LOOSEST = 64.0
ROUNDS = 8

Price = Callable[[Graph], float]
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A design and the proven bound on the absolute error of every output."""

    graph: Graph
    bounds: Mapping[str, float]


def lower_within(
    expressions: Mapping[str, Expr],
    features: Sequence[Feature],
    scaling: Scaling,
    max_error: float,
    luts: Mapping[str, LutFunc],
    ranges: Ranges | None = None,
    *,
    price: Price = price_of,
) -> Budgeted:
    """The cheapest design found whose every output is proven to be within ``max_error``.

    Ports are the same as those of ``lower``. A declared range narrows the interval of an
    input: its value is clipped in the design to the words ``low <= x < high``, unless the port
    cannot leave them anyway, and the bound speaks of the formula of the clipped value, whatever
    arrives. The high end is the first value beyond, so that ``(-4, 4)`` takes three integer
    bits and a plain saturation. Every table is fitted
    to its own argument; the formula's LUT functions only say which real functions are meant,
    except a fitted table without a real function, which is its own definition.

    Args:
        expressions: trees by output port.
        features: the words that arrive; a variable is the name of one.
        scaling: from words to the standardised values that variables mean.
        max_error: largest absolute error of any output.
        luts: the LUT functions by name.
        ranges: (low, high) in units of the feature's word, by name; all of its type otherwise.
        price: of the graph of a table, when its forms compete; bits are priced as
            ``price_of`` does.

    Raises:
        ExpressionError: for an unknown name, a pole within the intervals, a comparison that
            rounding might decide otherwise, a range that is empty, an error that no number of
            bits reaches, or a design that reads no feature.
    """
    if not (math.isfinite(max_error) and max_error > 0):
        msg = f"max_error must be a positive number such as 0.01, not {max_error}"
        raise ExpressionError(msg)
    if not expressions:
        msg = "there is no expression to lower; give one an output"
        raise ExpressionError(msg)
    stem = _Stem(features, scaling, _checked(ranges or {}, features))
    terms = collect(expressions, stem.ports(), luts)
    found = _Lowering(terms, luts, stem, price).design(max_error)
    if not found.graph.inputs:
        msg = (
            f"no expression of {', '.join(expressions)} needs a feature to be within "
            f"{max_error:g}; allow a smaller error"
        )
        raise ExpressionError(msg)
    return found


def _checked(ranges: Ranges, features: Sequence[Feature]) -> Ranges:
    names = [f.name for f in features]
    for name, (low, high) in ranges.items():
        if name not in names:
            raise ExpressionError(unknown("input in ranges", name, names))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            msg = f"the range of {name!r} must be two numbers, low < high, not {low}..{high}"
            raise ExpressionError(msg)
    return ranges


@dataclass(frozen=True, slots=True)
class _Stem:
    """Inputs: standardised, then clipped to their declared ranges."""

    features: Sequence[Feature]
    scaling: Scaling
    ranges: Ranges

    def ports(self) -> dict[str, Port]:
        """Interval and fractional bits of every feature."""
        found = {}
        for feature in self.features:
            builder = Builder()
            index = self.value(builder, feature.name)
            frac = builder.type(index).frac
            found[feature.name] = Port(_reals(builder.ranges[index], frac), frac)
        return found

    def value(self, builder: Builder, name: str) -> int:
        """The index of an input's value."""
        place = [f.name for f in self.features].index(name)
        index = scalar_stem(builder, self.features, self.scaling, place)
        if name not in self.ranges:
            return index
        # the stem moves raw integers by the offset and then the binary point only
        steps = [
            Fraction(end) * Fraction(2) ** self.features[place].type.frac
            for end in self.ranges[name]
        ]
        offset = self.scaling.offsets[place]
        low, high = math.ceil(steps[0]) - offset, math.ceil(steps[1]) - 1 - offset
        first, last = builder.ranges[index]
        if low > high or low > last or high < first:
            word = self.features[place].type
            msg = (
                f"the range {self.ranges[name][0]}..{self.ranges[name][1]} of {name!r} has no "
                f"word of {word.plain()}, which is {word.min}..{word.max}; give a wider one"
            )
            raise ExpressionError(msg)
        return _clipped(builder, index, max(low, first), min(high, last))


def _clipped(builder: Builder, index: int, low: int, high: int) -> int:
    """A value within raw ``low..high``: a saturating cast if that is the range of a type."""
    frac = builder.type(index).frac
    wanted = span(low, high, frac)
    first, last = builder.ranges[index]
    if (max(wanted.min_raw, first), min(wanted.max_raw, last)) == (low, high):
        return builder.cast(index, wanted.with_modes("TRN", "SAT"))
    for op, end, needed in (("max", low, first < low), ("min", high, last > high)):
        if needed:
            index = builder.op(op, index, builder.const(end, span(end, end, frac)))
    return builder.cast(index, wanted)


def _reals(raw: tuple[int, int], frac: int) -> Interval:
    """The real interval of a raw one; outwards beyond 53 bits."""
    low, high = (math.ldexp(end, -frac) for end in raw)
    if max(abs(raw[0]), abs(raw[1])) < 1 << 53:
        return low, high
    return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)


class _TooFine(ExpressionError):
    """No table of the size limit is as accurate as a plan has it."""

    def __init__(self, term: int, reason: str) -> None:
        super().__init__(reason)
        self.term = term


class _Lowering:
    """One expression's terms; tables that were fitted once are kept."""

    def __init__(
        self, terms: Terms, luts: Mapping[str, LutFunc], stem: _Stem, price: Price
    ) -> None:
        self.whole = terms
        self.luts = luts
        self.stem = stem
        self.price = price
        self.fitted: dict[int, Table] = {}

    def design(self, max_error: float) -> Budgeted:
        """The design of the best plan, with the bits that its tables leave unused given back."""
        looser: dict[int, float] = {}
        while True:
            plan = assign(self.whole, self.luts, max_error, looser)
            try:
                self._graph(plan)
                break
            except _TooFine as error:
                looser[error.term] = LOOSER * looser.get(error.term, 1.0)
                if looser[error.term] > LOOSEST:
                    raise
        for _ in range(ROUNDS):
            tables = dict(self.fitted)
            plan = Plan(self.whole, self.luts, plan.fracs, looser, tables)
            drop(plan, max_error, self._after_tables())
            graph = self._graph(plan)
            # constants take off the middle of an error, so tables may have moved some
            if self.fitted == tables and plan.bound <= max_error:
                return Budgeted(graph, _bounds(plan))
        msg = f"tables and constants within {max_error:g} do not settle; allow another error"
        raise ExpressionError(msg)

    def _after_tables(self) -> list[int]:
        """Terms that no table depends on, whose bits may change after the tables are fitted."""
        before: set[int] = set()
        for i in range(len(self.whole.terms) - 1, -1, -1):
            term = self.whole.terms[i]
            if i in before or term.op == "table":
                before.update(term.args)
                before.add(i)
        return [i for i in range(len(self.whole.terms)) if i not in before]

    def _graph(self, plan: Plan) -> Graph:
        builder = Builder()
        places: list[int] = []
        try:
            for i in range(len(self.whole.terms)):
                places.append(self._term(builder, i, places, plan))
            frac = max(builder.type(places[o]).frac for o in self.whole.outputs.values())
            values = {name: places[o] for name, o in self.whole.outputs.items()}
            return finished(builder, values, frac)
        except (FixedError, GraphError) as error:
            msg = f"{error}; allow a larger error or declare narrower input ranges"
            raise ExpressionError(msg) from None

    def _term(self, builder: Builder, i: int, places: list[int], plan: Plan) -> int:
        term, value = self.whole.terms[i], plan.values[i]
        args = [places[a] for a in term.args]
        match term.op:
            case "const":
                return constant(builder, value.fixed[0], value.frac)
            case "table":
                return self._table(builder, i, args[0], plan)
            case "input":
                index = self.stem.value(builder, term.name)
            case "mul" | "square":
                index = times(builder, args[0], args[-1])
            case "greater":
                index = compared(builder, args[0], args[1])
            case "select":
                index = chosen(builder, args[0], args[1], args[2])
            case _:
                index = _operator(builder, term.op, args)
        low, high, frac = truncated(builder, index, value.frac)
        if low == high:
            return trimmed(builder, low, frac)
        return builder.cast(index, span(low, high, frac))

    def _table(self, builder: Builder, i: int, index: int, plan: Plan) -> int:
        function = self.luts[self.whole.terms[i].name]
        if not function.function:
            result = function.lower(builder, index)
            self.fitted[i] = Table(0.0, builder.type(result).frac, 0.0)
            return result
        reach = _reals(builder.ranges[index], builder.type(index).frac)
        wanted = plan.expected(i)
        low, high = iv.values(function.function, reach)
        if high - low < wanted.error:  # a table would be a constant
            result = constant(builder, (low + high) / 2, wanted.frac)
            self.fitted[i] = wanted
            return result
        try:
            table, true = _fitted(function, reach, wanted, builder.type(index), self.price)
        except SpecError as found:
            msg = f"{found}; allow a larger error or declare narrower input ranges"
            raise _TooFine(i, msg) from None
        result = table.lower(builder, index)
        self.fitted[i] = Table(true, builder.type(result).frac, 0.0)
        return result


def _bounds(plan: Plan) -> dict[str, float]:
    return {name: iv.size(plan.values[i].error) for name, i in plan.whole.outputs.items()}


def _operator(builder: Builder, op: str, args: Sequence[int]) -> int:
    """A sum, difference or choice; wires where the ranges of the arguments decide it."""
    reach = [_reals(builder.ranges[a], builder.type(a).frac) for a in args]
    match op:
        case "abs" if reach[0][0] >= 0:
            return args[0]
        case "sub" if reach[0] == iv.ZERO:
            return builder.op("neg", args[1])
        case "min" | "max" if reach[0][1] <= reach[1][0] or reach[1][1] <= reach[0][0]:
            first_is_less = reach[0][1] <= reach[1][0]
            return args[0 if first_is_less == (op == "min") else 1]
    return plain(builder, op, args)


def _fitted(
    function: LutFunc, reach: Interval, wanted: Table, source: Fixed, price: Price
) -> tuple[LutFunc, float]:
    """The cheapest table with an error that is wanted, and its true error.

    Sine and cosine are fitted to an interval around zero, so that tables are found again.
    """
    real, source = FUNCTIONS[function.function], source.plain()
    if real.period and not real.poles and reach[1] - reach[0] > real.period:
        whole = max(iv.above(reach) - (reach[0] < 0), 0)  # bits of the larger end, without a sign
        reach = -math.ldexp(1.0, whole), math.ldexp(1.0, whole)
        source = Fixed(whole + 1 + source.frac, whole + 1)
    # what numpy's functions may be wrong by is part of the error
    slack = iv.LIBRARY_ERROR * max(iv.size(iv.values(function.function, reach)), 1.0)
    if wanted.error <= 2 * slack:
        msg = f"no number of bits proves an error of {wanted.error:g} for {function.name}: it is "
        msg += "below what is known of the real function in double precision"
        raise SpecError(msg)
    table = fit(
        function,
        *reach,
        max_error=wanted.error - 2 * slack,
        input=source,
        output_frac=wanted.frac,
        price=price,
    )
    return table, table.max_error(*reach, source) + slack
