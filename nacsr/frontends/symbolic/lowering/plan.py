"""A plan: fractional bits for every term, and the errors and prices that follow.

A plan gives every term its fractional bits. What follows from them is an interval around
(value of the design - value of the formula) for every term, by these rules, where ``x`` is
the formula's value, ``X = x + e`` the design's, and bounds on both are known:

- truncation from F' to F fractional bits adds ``[-(2^-F - 2^-F'), 0]``;
- ``X Y - x y = x e_y + Y e_x = y e_x + X e_y``, of which the tighter counts;
- ``|x|``, ``min`` and ``max`` never move further than their arguments;
- the terms that a comparison depends on keep all their bits, so that it is decided exactly, and
  a choice moves no further than its branches;
- a table adds its own error to ``f(X) - f(x)``, which the slopes of f between X and x bound;
- a constant is rounded to nearest; one that is added also takes off the middle of the error
  of what it is added to, which costs nothing and halves what truncation leaves.

A change is followed through the terms that depend on it only.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nacsr.fixed import MAX_WIDTH
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.intervals import Interval
from nacsr.frontends.symbolic.lowering.terms import Terms
from nacsr.luts import MAX_ADDRESS_BITS, LutFunc
from nacsr.luts.lut import MAX_DOMAIN_BITS
from nacsr.luts.price import ENTRIES_A_LUT, digits

TOO_WIDE = 1e6
"""Price of every bit beyond what a type can have."""


class Table(NamedTuple):
    """A fitted table: largest error over its range of arguments, fractional bits, price."""

    error: float
    frac: int
    cost: float


class Value(NamedTuple):
    """A term in the design.

    Attributes:
        frac: fractional bits.
        error: encloses its difference from the formula.
        fixed: encloses its values.
        width: bits in all.
        cost: price of the operator itself.
    """

    frac: int
    error: Interval
    fixed: Interval
    width: int
    cost: float


class Change(NamedTuple):
    """What a term and those that depend on it were, or will be."""

    term: int
    frac: int
    cost: float
    values: Mapping[int, Value]


class Plan:
    """An assignment that may change, and what follows from it.

    Args:
        terms: the expression.
        luts: the LUT functions by name.
        fracs: fractional bits of every term: an upper limit, as a sum of coarse terms has
            fewer than it may have.
        looser: factors by which tables are less accurate than they say, by term.
        fitted: tables that are there already, by term.
    """

    def __init__(
        self,
        terms: Terms,
        luts: Mapping[str, LutFunc],
        fracs: Sequence[int],
        looser: Mapping[int, float],
        fitted: Mapping[int, Table] | None = None,
    ) -> None:
        self.whole = terms
        self.terms = terms.terms
        self.luts = luts
        self.fracs = list(fracs)
        self.looser = looser
        self.fitted = fitted or {}
        self.users: list[list[int]] = [[] for _ in self.terms]
        self._beside: dict[int, tuple[int, str]] = {}
        for i, term in enumerate(self.terms):
            for a in set(term.args):
                self.users[a].append(i)
            self._settle_constants(i)
        self.values: list[Value] = []
        for i in range(len(self.terms)):
            self.values.append(self._value(i))
        self.cost = math.fsum(v.cost for v in self.values)

    def _settle_constants(self, i: int) -> None:
        """Note what each constant of a sum is added to: its value depends on that."""
        term = self.terms[i]
        if term.op in ("add", "sub"):
            for constant, other in (term.args, term.args[::-1]):
                if self.terms[constant].op == "const":
                    self._beside[constant] = (other, term.op)
                    self.users[other].append(constant)

    @property
    def bound(self) -> float:
        """The largest error of any output."""
        return max(iv.size(self.values[o].error) for o in self.whole.outputs.values())

    @property
    def spent(self) -> float:
        """The errors of all outputs together."""
        return math.fsum(iv.size(self.values[o].error) for o in self.whole.outputs.values())

    def change(self, i: int, frac: int) -> Change:
        """Give a term other bits."""
        before: dict[int, Value] = {}
        old = self.fracs[i], self.cost
        self.fracs[i] = frac
        waiting, seen = [i], {i}
        while waiting:
            k = heapq.heappop(waiting)
            value, was = self._value(k), self.values[k]
            if value == was:
                continue
            before[k] = was
            self.cost += value.cost - was.cost
            self.values[k] = value
            if value[:4] != was[:4]:
                for user in self.users[k]:
                    if user not in seen:
                        seen.add(user)
                        heapq.heappush(waiting, user)
        return Change(i, *old, before)

    def swap(self, change: Change) -> Change:
        """Take a change back; what is returned makes it again."""
        now = Change(
            change.term,
            self.fracs[change.term],
            self.cost,
            {k: self.values[k] for k in change.values},
        )
        self.fracs[change.term], self.cost = change.frac, change.cost
        for k, value in change.values.items():
            self.values[k] = value
        return now

    def _value(self, i: int) -> Value:
        term, limit = self.terms[i], self._limit(i)
        args = [self.values[a] for a in term.args]
        if term.op == "const":
            return self._constant(i)
        if term.op == "table":
            return self._table(i)
        if term.op == "input":
            natural, error, cost = self.whole.ports[term.name].frac, iv.ZERO, 0.0
        else:
            natural, error = _exact(term.op, args, [self.terms[a].real for a in term.args])
            cost = self._cost(i, args, iv.above(iv.add(term.real, error)), natural)
        if limit < natural:
            step = math.ldexp(1.0, -limit)
            kept = math.ldexp(1.0, -natural) if natural - limit < 50 else 0.0
            error = iv.add(error, (kept - step, 0.0))
        return _value(min(limit, natural), error, iv.add(term.real, error), cost)

    def _limit(self, i: int) -> int:
        """Most fractional bits of a term; those of an exact one are not a choice."""
        exact = self.terms[i].frac
        return self.fracs[i] if exact is None else exact

    def _constant(self, i: int) -> Value:
        low, high = self.terms[i].real
        limit = self._limit(i)
        middle = low + (high - low) / 2
        if i in self._beside:
            other, op = self._beside[i]
            bias = self.values[other].error
            if iv.finite(bias):
                middle += (bias[0] + bias[1]) / (2 if op == "sub" else -2)
        raw = round(math.ldexp(middle, limit))
        zeros = (raw & -raw).bit_length() - 1 if raw else limit
        fixed = math.ldexp(raw, -limit)
        error = iv.sub((fixed, fixed), self.terms[i].real)
        return _value(limit - zeros, error, (fixed, fixed), 0.0)

    def _table(self, i: int) -> Value:
        term, argument = self.terms[i], self.values[self.terms[i].args[0]]
        function = self.luts[term.name].function
        real = self.terms[term.args[0]].real
        if not function:  # a table that is its own definition: exact, or anything in its range
            found = self.fitted.get(i) or Table(0.0, self.luts[term.name].value.frac, 0.0)
            exact = argument.error == iv.ZERO
            error = iv.ZERO if exact else iv.sub(term.real, term.real)
            return _value(found.frac, error, term.real, found.cost)
        found = self.fitted.get(i) or self.expected(i)
        moved = iv.moved(function, real, argument.error)
        error = iv.add(moved, (-found.error, found.error))
        return _value(found.frac, error, iv.add(term.real, error), found.cost)

    def expected(self, i: int) -> Table:
        """The table that a plan has in mind: plain or interpolated, whichever takes less.

        A quarter of ``2**-frac`` goes to the rounding of its entries, the rest to half a step
        of the argument times the slope. Interpolation needs the square root of the entries,
        and a product. Words of more than ``MAX_DOMAIN_BITS`` lose bits, which is an error too.
        """
        term, frac = self.terms[i], self.fracs[i]
        argument = self.values[term.args[0]]
        whole = argument.width - argument.frac
        error = math.ldexp(1.0, -frac)
        slope = iv.slopes(self.luts[term.name].function, self.terms[term.args[0]].real)
        steep = iv.size(slope) if iv.finite(slope) else 1 / error
        if argument.width > MAX_DOMAIN_BITS:
            real = self.terms[term.args[0]].real
            whole = min(whole, iv.reach(self.luts[term.name].function, real, error))
            error = max(error, math.ldexp(steep, whole - MAX_DOMAIN_BITS - 1) + error / 2)
        error *= self.looser.get(i, 1.0)
        step = math.frexp(1.5 * error / max(steep, 1e-9))[1] - 1
        address = max(min(whole - step, argument.width, MAX_DOMAIN_BITS), 1)
        out = max(iv.above(term.real) + frac + 1, 1)
        plain = math.ldexp(out / ENTRIES_A_LUT, address)
        half = address / 2
        split = 1.5 * (2.0**half * (out + half) / ENTRIES_A_LUT + half * (half + 2) + out)
        small = address <= MAX_ADDRESS_BITS
        return Table(error, frac + 1, max(min(plain, split) if small else split, 1.0))

    def _cost(self, i: int, args: Sequence[Value], whole: int, natural: int) -> float:
        """Bits of the adders, comparators and partial products of an operator, as LUTs."""
        term = self.terms[i]
        if term.op == "mul":
            a, b = args
            excess = TOO_WIDE * max(a.width + b.width - MAX_WIDTH, 0)
            for this, other, place in ((a, b, 0), (b, a, 1)):
                if self.terms[term.args[place]].op == "const":
                    raw = int(math.ldexp(this.fixed[0], this.frac))
                    return excess + max(digits(raw) - 1, 0) * other.width
            return excess + a.width * b.width
        excess = TOO_WIDE * max(whole + natural - MAX_WIDTH, 0)
        if term.op == "square":
            return excess + args[0].width ** 2 / 2
        if term.op == "add" or (term.op == "sub" and args[0].frac > args[1].frac):
            # the bits that one of them has alone are wires
            return excess + max(whole + min(args[0].frac, args[1].frac), 0)
        if _decided(term.op, args):
            return excess
        picks = 2 if term.op in ("abs", "min", "max") else 1
        return excess + picks * max(whole + natural, 0)


def _decided(op: str, args: Sequence[Value]) -> bool:
    """Whether the intervals of its arguments say which of them is the result."""
    a, b = args[0].fixed, args[-1].fixed
    if op == "abs":
        return a[0] >= 0
    return op in ("min", "max") and (a[1] <= b[0] or b[1] <= a[0])


def _value(frac: int, error: Interval, fixed: Interval, cost: float) -> Value:
    return Value(frac, error, fixed, max(iv.above(fixed) + frac, 1), cost)


def _exact(op: str, args: Sequence[Value], reals: Sequence[Interval]) -> tuple[int, Interval]:
    """Fractional bits of an operator's exact result, and its error against the formula."""
    a, b = args[0], args[-1]
    match op:
        case "add":
            return max(a.frac, b.frac), iv.add(a.error, b.error)
        case "sub":
            return max(a.frac, b.frac), iv.sub(a.error, b.error)
        case "neg":
            return a.frac, iv.neg(a.error)
        case "abs":
            if _decided(op, args) and reals[0][0] >= 0:
                return a.frac, a.error
            return a.frac, iv.hull(a.error, iv.neg(a.error))
        case "min" | "max":
            return max(a.frac, b.frac), iv.hull(a.error, b.error)
        case "greater":
            return 0, iv.ZERO
        case "select":
            return max(args[1].frac, b.frac), iv.hull(args[1].error, b.error)
        case "square":
            return 2 * a.frac, _scaled(iv.add(a.fixed, reals[0]), a.error)
    one = iv.add(_scaled(reals[0], b.error), _scaled(b.fixed, a.error))
    two = iv.add(_scaled(reals[1], a.error), _scaled(a.fixed, b.error))
    return a.frac + b.frac, iv.both(one, two)


def _scaled(by: Interval, error: Interval) -> Interval:
    if error == iv.ZERO:
        return iv.ZERO
    return iv.mul(by, error) if iv.finite(by) and iv.finite(error) else iv.ANYTHING
