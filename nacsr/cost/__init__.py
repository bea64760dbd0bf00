"""Analytic cost: LUTs, DSPs, FFs, BRAMs and clock cycles of a graph, in C-synthesis terms."""

from nacsr.cost.architecture import Layer, dense_layers, expected
from nacsr.cost.budget import share, within
from nacsr.cost.build import Build
from nacsr.cost.estimate import Cost, estimate
from nacsr.cost.operators import OperatorCost, operator_costs

__all__ = [
    "Build",
    "Cost",
    "Layer",
    "OperatorCost",
    "dense_layers",
    "estimate",
    "expected",
    "operator_costs",
    "share",
    "within",
]
