"""Costs of single operators at one precision, for searches that cannot lower every tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nacsr.cost import rules, schedule
from nacsr.fixed import Fixed, Overflow
from nacsr.targets import target as find_target

TABLE_ADDRESS_BITS = 10
"""Address width assumed for a table whose domain is not chosen yet (1024 entries)."""


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator whose operands and result have the search's precision.

    Attributes:
        delay_ns: combinational delay; a table takes a whole usable period.
        luts: look-up tables at csynth.
        dsps: DSP48E2 blocks.
        ffs: flip-flops, were its result registered.
        cycles: clock cycles it takes alone, at least 1.
    """

    delay_ns: float
    luts: float
    dsps: float
    ffs: float
    cycles: int


def operator_costs(
    precision: Fixed, clock_mhz: float, target: str = "vu9p"
) -> Mapping[str, OperatorCost]:
    """A cost for every operator of the expression search.

    Products include the cast back to the precision. ``div`` is a reciprocal table and a
    product, because the IR has no divider. ``const_mul`` is a constant with three or more
    signed digits: constants of one digit are wires, of two digits one ``add``. ``cond`` and
    ``select`` compare their condition with zero, which one that is a ``greater`` itself does
    not need: then they are a ``mux``, and so is a product with a ``greater``.

    Raises:
        SpecError: for an unknown target or a clock that is not positive.
    """
    find_target(target)  # UltraScale+ chips differ in size, not in their LUTs and DSPs
    period = schedule.period_ns(clock_mhz)
    w = precision.width
    adder = _Part(schedule.adder_ns(w), rules.adder_luts(w), 0)
    mux = _Part(schedule.MUX_NS, w, 0)
    greater = _Part(adder.delay_ns, rules.comparator_luts(w), 0)
    pick = greater.then(mux)
    product, table = _product(precision), _table(precision, period)
    rows = {
        "add": adder,
        "sub": adder,
        "neg": adder,
        "abs": pick,
        "min": pick,
        "max": pick,
        "greater": greater,
        "cond": pick,
        "select": pick,
        "mux": mux,
        "mul": product,
        "square": product,
        "cube": product.then(product),
        "const_mul": product,
        "lut": table,
        "div": table.then(product),
    }
    return {
        name: OperatorCost(p.delay_ns, p.luts, p.dsps, w, _cycles(p.delay_ns, period))
        for name, p in rows.items()
    }


@dataclass(frozen=True, slots=True)
class _Part:
    """Delay, LUTs and DSPs of a chain of operators."""

    delay_ns: float
    luts: int
    dsps: int

    def then(self, other: _Part) -> _Part:
        return _Part(self.delay_ns + other.delay_ns, self.luts + other.luts, self.dsps + other.dsps)


def _cycles(delay: float, period: float) -> int:
    return max(1, math.ceil(delay / period - 1e-9))


def _product(precision: Fixed) -> _Part:
    """A product of two words, cast back to their precision."""
    w, exact = precision.width, 2 * precision.width
    # past 63 bits the cast is what it is for the widest type there is
    wide = Fixed(min(exact, 63), min(exact, 63) - min(2 * precision.frac, 62), precision.signed)
    luts, dsps = rules.multiplier(w, w)
    delay = schedule.multiplier_ns(w, w) + schedule.cast_ns(wide, precision)
    return _Part(delay, luts + rules.cast_luts(wide, precision), dsps)


def _table(precision: Fixed, period: float) -> _Part:
    """A lookup: the address saturates to its domain, the words have the precision."""
    address = min(TABLE_ADDRESS_BITS, precision.width)
    domain = Fixed(
        address, min(precision.integer, address), precision.signed, overflow=Overflow.SAT
    )
    luts, _ = rules.rom(1 << address, precision.width)
    return _Part(period, luts + rules.cast_luts(precision, domain), 0)
