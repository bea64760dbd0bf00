"""Operator costs as the searches see them."""

from __future__ import annotations

from nacsr.cost import OperatorCost, operator_costs
from nacsr.cost.rules import cast_luts, rom
from nacsr.cost.schedule import cast_ns, period_ns
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic.engines.complexities import function_cost
from nacsr.targets import target

TABLE_WIDTH = 6
"""Bits of a fitted table's entries, about."""


def search_costs(problem: Problem, precision: Fixed, table_bits: int) -> dict[str, OperatorCost]:
    """A row for every operator, function and part of a term.

    Constant factors have two signed digits in the end, so they cost an adder. A function costs
    what its own ops do on a word of the precision, at least one cycle; its block RAMs count as
    the LUTs that are the same share of the chip. A fitted table is its ROM, and an ``address``
    that all outputs share: the cast of a word to it, which saturates. ``sum`` and ``entry`` are
    adders inside a sum, of words and of entries.
    """
    chip, period = target(problem.target), period_ns(problem.clock_mhz)
    costs = dict(operator_costs(precision, problem.clock_mhz, problem.target))
    costs["const_mul"] = costs["add"]
    for name, lut in problem.luts.items():
        costs[name] = function_cost(lut, precision, problem.clock_mhz, problem.target)
    address = Fixed(table_bits, min(precision.integer - 2, table_bits)).with_modes("TRN", "SAT")
    luts, brams = rom(1 << table_bits, TABLE_WIDTH)
    luts += round(brams * chip.luts / chip.brams)
    costs["table"] = OperatorCost(period, luts, 0, TABLE_WIDTH, 1)
    width = cast_luts(precision, address)
    costs["address"] = OperatorCost(cast_ns(precision, address), width, 0, table_bits, 1)
    delay = costs["add"].delay_ns
    for name, bits in (("sum", precision.width), ("entry", TABLE_WIDTH + 3)):
        costs[name] = OperatorCost(delay, bits, 0, bits, 1)
    return costs


def dsp_luts(problem: Problem) -> float:
    """LUTs that are the same share of the chip as one DSP."""
    chip = target(problem.target)
    return chip.luts / chip.dsps
