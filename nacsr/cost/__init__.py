"""Analytic cost: LUTs, DSPs, FFs, BRAMs and clock cycles of a graph, in C-synthesis terms."""

from nacsr.cost.budget import share, within
from nacsr.cost.estimate import Cost, estimate
from nacsr.cost.operators import OperatorCost, operator_costs

__all__ = [
    "Cost",
    "OperatorCost",
    "estimate",
    "operator_costs",
    "share",
    "within",
]
