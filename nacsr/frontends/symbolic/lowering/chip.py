"""What the chip computes, for the columns that weights and tables are fitted to.

The rules are those of ``lower``, bit for bit, in float64: sums are exact, everything else is
truncated to the fractional bits of the working type and saturates at its ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nacsr.errors import ExpressionError, unknown
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Column,
    Expr,
    Num,
    fold,
    lut,
)
from nacsr.frontends.symbolic.lowering.linear import is_linear
from nacsr.frontends.symbolic.lowering.lower import (
    GUARD_BITS,
    MOST_INTEGER,
    SUMS,
    factor_bits,
)
from nacsr.luts import LutFunc


class Chip:
    """Evaluates formulas on some events.

    Args:
        columns: standardised values of every variable, each of shape (events,).
        luts: the LUT functions.
        precision: the working type.

    Attributes:
        saturated: largest share of the events on which a value of a formula so far saturated.
    """

    def __init__(
        self, columns: Mapping[str, Column], luts: Mapping[str, LutFunc], precision: Fixed
    ) -> None:
        self.columns, self.luts, self.type = columns, luts, precision
        self.saturated = 0.0
        self._done: dict[Expr, Column | np.float64] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variables."""
        return tuple(self.columns)

    def value(self, expr: Expr) -> Column:
        """A term as a product with its weight reads it, shape (events,).

        Raises:
            ExpressionError: for an unknown variable or function.
        """
        self._done.clear()
        return self._wide(self._value(fold(expr, self.luts)))

    def output(self, expr: Expr) -> Column:
        """A whole formula, whose sum is exact, shape (events,)."""
        self._done.clear()
        return self._wide(self._exact(fold(expr, self.luts)))

    def argument(self, expr: Expr, domain: Fixed) -> Column:
        """A term as a fitted table of some domain reads it, shape (events,)."""
        folded = fold(expr, self.luts)
        self._done.clear()
        exact = self._sum(folded, domain) if is_linear(folded) else self._exact(folded)
        return self._wide(exact)

    def _wide(self, value: Column | np.float64) -> Column:
        events = len(next(iter(self.columns.values())))
        return np.array(np.broadcast_to(value, (events,)), dtype=np.float64)

    def _value(self, expr: Expr) -> Column | np.float64:
        if isinstance(expr, Num):
            within = min(max(expr.value, self.type.min), self.type.max)
            return np.float64(round(within * self._scale) / self._scale)
        if isinstance(expr, Call):
            return self._settled(self._call(expr))
        if expr.name not in self.columns:
            raise ExpressionError(unknown("variable", expr.name, self.columns))
        return self._settled(self.columns[expr.name])

    @property
    def _scale(self) -> float:
        return 2.0**self.type.frac

    def _settled(self, value: Column | np.float64) -> Column | np.float64:
        words = np.floor(value * self._scale)
        inside = (words >= self.type.min_raw) & (words <= self.type.max_raw)
        self.saturated = max(self.saturated, 1.0 - float(np.mean(inside)))
        found: Column = np.clip(words, self.type.min_raw, self.type.max_raw) / self._scale
        return found

    def _exact(self, expr: Expr) -> Column | np.float64:
        return self._call(expr) if isinstance(expr, Call) and expr.op in SUMS else self._value(expr)

    def _sum(self, expr: Expr, domain: Fixed) -> Column | np.float64:
        """A sum of inputs as a fitted table reads it: with a few more bits than its address."""
        frac = min(self.type.frac, domain.frac + GUARD_BITS)
        fine = Chip(self.columns, self.luts, Fixed(MOST_INTEGER + frac, MOST_INTEGER))
        return fine._exact(expr)

    def _call(self, expr: Call) -> Column | np.float64:
        if expr not in self._done:
            self._done[expr] = self._computed(expr)
        return self._done[expr]

    def _computed(self, expr: Call) -> Column | np.float64:
        if expr.op not in OPERATORS:
            function, (inner,) = lut(expr.op, self.luts), expr.args
            fitted = not function.function and is_linear(inner)
            return function.numpy(
                self._sum(inner, function.domain) if fitted else self._value(inner)
            )
        args = [self._argument(expr.op, n, arg) for n, arg in enumerate(expr.args)]
        if expr.op == "cube":
            return self._settled(args[0] * args[0]) * args[0]
        found: Column | np.float64 = OPERATORS[expr.op].apply(*args)
        return found

    def _argument(self, op: str, place: int, expr: Expr) -> Column | np.float64:
        if op == "mul" and isinstance(expr, Num):
            bits = factor_bits(expr.value, self.type)
            return np.float64(0.0 if bits is None else round(expr.value * 2.0**bits) / 2.0**bits)
        if op == "greater" and isinstance(expr, Num):
            return np.float64(expr.value)  # compared as it is
        whole = op in SUMS or op == "greater" or (op in ("cond", "select") and place == 0)
        return self._exact(expr) if whole else self._value(expr)
