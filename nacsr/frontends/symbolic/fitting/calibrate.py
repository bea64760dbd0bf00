"""Calibration: the weights and tables of all outputs' expressions fitted together.

Expressions that were found one class against the rest are not on one scale, so the largest of
them is not yet the best guess. Each is a sum of weighted terms; with the terms held fixed,
the weights of all classes are a multinomial logistic regression, which is convex, and so are
the coefficients of every fitted table. Weights are then moved one group after the other to two
signed digits, the others refitted in between, so that in hardware each costs one adder instead
of a multiplier; tables are rounded last, since theirs costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.fitting.newton import Fit, Goal, derivatives, newton
from nacsr.frontends.symbolic.fitting.shapes import TABLE, Shape, shape
from nacsr.frontends.symbolic.language.digits import two_digits
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, evaluate
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import LutFunc

Real = NDArray[np.float64]

ROWS = 40_000  # training events used: many times the number of weights
COLUMNS = 500  # of all tables together: few tables are fitted finely, many coarsely
EVENTS = 15  # for every column: what fewer would decide is noise
KNOTS = (4, 32)
STEPS = 8  # Newton steps; a convex problem from a good start
BATCH = 8  # weights moved to two digits between two Newton steps of the rest


@dataclass(frozen=True, slots=True)
class Grids:
    """What constants and tables may be: the working type, and the address bits of a table."""

    precision: Fixed
    bits: int

    @property
    def lsb(self) -> float:
        """The step of a constant."""
        return self.precision.lsb


def terms(expr: Expr) -> Iterator[tuple[float, Expr | None]]:
    """The weighted terms of a sum, in reading order; an offset is a weight of None."""
    match expr:
        case Num(value):
            yield value, None
        case Call("add" | "sub" as op, (left, right)):
            yield from terms(left)
            sign = 1.0 if op == "add" else -1.0
            yield from ((sign * w, t) for w, t in terms(right))
        case Call("neg", (inner,)):
            yield from ((-w, t) for w, t in terms(inner))
        case Call("mul", (Num(value), inner)) | Call("mul", (inner, Num(value))):
            yield value, inner
        case _:
            yield 1.0, expr


def rebuilt(expr: Expr, parts: Iterator[tuple[float, Expr | None]], sign: float = 1.0) -> Expr:
    """The same sum, in the same order of additions, of the next weighted terms of an iterator."""
    match expr:
        case Call("add", (left, right)):
            return _sum("add", rebuilt(left, parts, sign), rebuilt(right, parts, sign))
        case Call("sub", (left, right)):
            return _sum("sub", rebuilt(left, parts, sign), rebuilt(right, parts, -sign))
        case Call("neg", (inner,)):
            return rebuilt(inner, parts, sign)
        case _:
            weight, term = next(parts)
            return Num(sign * weight) if term is None else _weighted(sign * weight, term)


def _weighted(weight: float, term: Expr) -> Expr:
    if weight == 0:
        return Num(0.0)
    return term if weight == 1 else Call("mul", (Num(weight), term))


def _sum(op: str, left: Expr, right: Expr) -> Expr:
    if right == Num(0.0):
        return left
    return right if left == Num(0.0) and op == "add" else Call(op, (left, right))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A term: its columns for the fit; ``unit`` is what a weight is divided by after it."""

    term: Expr | None
    columns: Real
    unit: float
    shape: Shape | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Fitted expressions, whose tables are still real numbers.

    Attributes:
        sums: the expressions by output.
        parts: the terms of each.
        weights: one number a column of these, in their order.
        luts: the LUT functions.
        lsb: step of a constant.
    """

    sums: Mapping[str, Expr]
    parts: Sequence[Sequence[_Part]]
    weights: Sequence[float]
    luts: Mapping[str, LutFunc]
    lsb: float

    def rounded(self, frac: int) -> tuple[dict[str, Expr], dict[str, LutFunc]]:
        """The expressions with tables of ``frac`` fractional bits, and these by name."""
        writer, source = _Writer(frac, self.lsb, self.luts), iter(self.weights)
        rows = zip(self.sums.items(), self.parts, strict=True)
        fitted = {c: rebuilt(e, writer.parts(row, source)) for (c, e), row in rows}
        return fitted, writer.tables


def calibrate(
    expressions: Mapping[str, Expr],
    columns: Mapping[str, Real],
    goal: Goal,
    luts: Mapping[str, LutFunc],
    grids: Grids,
    *,
    snap: bool = True,
) -> Calibrated:
    """The same expressions with weights and tables fitted to a goal.

    Args:
        expressions: one an output, in the order of the goal's outputs. A term ``table(u)``
            becomes a table of its own, ``t1``, ``t2``, ...; inside other terms it may not be.
        columns: training values of every variable, each of shape (events,).
        goal: what the outputs are fitted to, on the same events.
        luts: the LUT functions.
        grids: of constants and tables.
        snap: move the weights to two signed digits.
    """
    step = max(len(goal.targets) // ROWS, 1)
    some = {name: column[::step] for name, column in columns.items()}
    goal = goal.take(slice(None, None, step))
    whole = {c: _with_offset(e) for c, e in expressions.items()}
    reader = _Reader(some, goal, luts, grids, _knots(whole.values(), goal.rows))
    parts = [[reader.part(t) for _, t in terms(e)] for e in whole.values()]
    fit = Fit(tuple(np.hstack([p.columns for p in row]) for row in parts), goal)
    count = fit.spans[-1].stop
    weights = newton(fit, np.zeros(count), np.ones(count, bool), STEPS)
    every = [p for row in parts for p in row]
    weighted = [p.shape is None and p.term is not None for p in every]  # offsets stay free
    widths = [p.columns.shape[1] for p in every]
    plain = np.repeat(weighted, widths)
    units = np.concatenate([np.full(p.columns.shape[1], p.unit) for p in every])
    if snap:
        weights = _snapped(fit, units, weights, plain, grids.lsb)
    found = (weights / units).tolist()
    if snap:  # a division by a unit may round
        found = [two_digits(w, grids.lsb) if p else w for w, p in zip(found, plain, strict=True)]
    return Calibrated(whole, parts, found, luts, grids.lsb)


def _with_offset(expr: Expr) -> Expr:
    if any(term is None for _, term in terms(expr)):
        return expr
    return Call("add", (expr, Num(0.0)))


def _knots(sums: Iterable[Expr], rows: float) -> int:
    """Knots of a table, by how many there are and how many events."""
    tables = sum(isinstance(t, Call) and t.op == TABLE for e in sums for _, t in terms(e))
    columns = int(min(COLUMNS, rows / EVENTS))
    return min(max(columns // max(tables, 1), KNOTS[0]), KNOTS[1])


class _Reader:
    """Makes the columns of terms; equal tables have one shape."""

    def __init__(
        self,
        columns: Mapping[str, Real],
        goal: Goal,
        luts: Mapping[str, LutFunc],
        grids: Grids,
        knots: int,
    ) -> None:
        self.chip = Chip(columns, luts, grids.precision)
        self.goal, self.grids, self.knots = goal, grids, knots
        self.unit = goal.unit
        self._shapes: dict[Expr, _Part] = {}

    def part(self, term: Expr | None) -> _Part:
        if term is None:
            return _Part(None, np.full((len(self.goal.targets), 1), self.unit), 1 / self.unit)
        if isinstance(term, Call) and term.op == TABLE:
            if term not in self._shapes:
                self._shapes[term] = self._table(term)
            return self._shapes[term]
        values = self.chip.value(term)
        size = float(np.sqrt(np.mean(values * values))) or 1.0
        return _Part(term, values[:, None] * (self.unit / size), size / self.unit)

    def _table(self, term: Call) -> _Part:
        (inner,), goal = term.args, self.goal

        def read(domain: Fixed) -> Real:
            return self.chip.argument(inner, domain)

        u = evaluate(inner, self.chip.columns, self.chip.luts)
        found = shape(u, goal.weights, self.grids.bits, self.knots, goal.targets, read)
        if found is None:  # it does not vary: an offset of zero
            return _Part(Num(0.0), np.zeros((len(u), 1)), 1.0)
        return _Part(term, found.columns(read(found.domain)) * self.unit, 1 / self.unit, found)


class _Writer:
    """Turns fitted weights into terms again; the first table of a sum takes in its offset."""

    def __init__(self, frac: int, lsb: float, luts: Mapping[str, LutFunc]) -> None:
        self.frac, self.lsb, self.luts = frac, lsb, luts
        self.tables: dict[str, LutFunc] = {}

    def parts(
        self, row: Sequence[_Part], source: Iterator[float]
    ) -> Iterator[tuple[float, Expr | None]]:
        """The weighted terms of one sum."""
        found = [np.array([next(source) for _ in range(p.columns.shape[1])]) for p in row]
        first = next((i for i, p in enumerate(row) if p.shape is not None), None)
        given = (float(w[0]) for p, w in zip(row, found, strict=True) if p.term is None)
        offset = 0.0 if first is None else sum(given)
        for i, (part, weights) in enumerate(zip(row, found, strict=True)):
            if part.shape is not None:
                yield self._table(part, part.shape, weights, offset if i == first else 0.0)
            elif part.term is None and first is not None:
                yield 0.0, None
            elif part.term is None:
                yield round(float(weights[0]) / self.lsb) * self.lsb, None
            else:
                yield float(weights[0]), part.term

    def _table(
        self, part: _Part, shape: Shape, coefficients: Real, offset: float
    ) -> tuple[float, Expr | None]:
        name = f"t{len(self.tables) + 1}"
        while name in self.luts:
            name = f"{name}_"
        made = shape.lut(name, coefficients, self.frac, offset)
        if made is None or not isinstance(part.term, Call):
            return offset, None  # all its entries round to one value
        self.tables[name] = made
        return 1.0, Call(name, (shape.argument(part.term.args[0]),))


def _snapped(fit: Fit, units: Real, weights: Real, plain: NDArray[np.bool_], lsb: float) -> Real:
    """Plain weights of two digits, one after the other, the free ones making up for each.

    The order and the corrections are those of optimal brain surgery (Hassibi and Stork 1993):
    on the quadratic model of the likelihood, the weight whose move hurts most goes first,
    while there are most others to correct for it. Coefficients of tables stay free.
    """
    weights, free, left = weights.copy(), np.ones(len(weights), bool), plain.copy()
    while left.any():
        weights = newton(fit, weights, free, 1)
        hessian = derivatives(fit, weights)[1]
        for _ in range(BATCH):
            if not left.any():
                break
            at = np.flatnonzero(free)
            inverse = np.linalg.inv(hessian[np.ix_(at, at)])
            open_ = left[at]
            nearest = np.array([two_digits(w, lsb) for w in weights[at] / units[at]])
            error = np.where(open_, nearest * units[at] - weights[at], 0.0)
            pick = int(np.argmax(np.where(open_, error**2 / np.diag(inverse), -1.0)))
            weights[at] += inverse[:, pick] * (error[pick] / inverse[pick, pick])
            free[at[pick]] = left[at[pick]] = False
    return weights if plain.all() else newton(fit, weights, ~plain, 1)
