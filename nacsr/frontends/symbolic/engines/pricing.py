"""Loss and cost of whole formulas, and the front of them: for engines that return formulas.

The embedded engine prices its terms while it searches; every other engine hands over formulas,
which are scored here on all rows and priced by critical path and area in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import OperatorCost
from nacsr.errors import DataError, ExpressionError, FixedError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.embedded.hardware import chain, is_power_of_two
from nacsr.frontends.symbolic.engines.embedded.selection import ranks
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.fitting.saturation import SATURATED
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var, fold, size
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import LutFunc

Real = NDArray[np.float64]


def check(sample: Sample) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
        DataError: if no input varies.
    """
    if not (np.ptp(sample.z, axis=0) > 0).any():
        msg = "no input varies over the training rows; check the data and its words"
        raise DataError(msg)


def score(
    expr: Expr,
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
) -> Scored:
    """A formula with its loss on all rows and its cost.

    Scale and offset are the best ones, for designs are assembled with weights of their own: a
    formula that was fitted in other units, or to targets of 0 and 1, is judged by its shape. The
    loss is infinite where a value inside it is no number, or saturates too often; and where the
    formula calls a function that is not in ``luts``.
    """
    try:
        folded = fold(expr, luts)
        values = _values(folded, sample, config.precision, luts)
    except (ExpressionError, FixedError):
        return Scored(expr, math.inf, 1, 0.0, 0.0, size(expr))
    loss = math.inf if values is None else _loss(values, sample)
    return Scored(expr, loss, *price(folded, costs, config.period_ns), size(expr))


def _loss(values: Real, sample: Sample) -> float:
    """Weighted mean squared error with the best scale and offset (Keijzer, EuroGP 2003)."""
    weights = sample.weights
    x, y = (v - np.average(v, weights=weights) for v in (values, sample.y))
    spread = np.average(x * x, weights=weights)
    scale = np.average(x * y, weights=weights) / spread if spread > 0 else 0.0
    return float(np.average((scale * x - y) ** 2, weights=weights))


def _values(
    expr: Expr, sample: Sample, precision: Fixed, luts: Mapping[str, LutFunc]
) -> Real | None:
    """Values of a formula; None if a part of it saturates often."""
    chip = Chip(dict(zip(sample.names, sample.z.T, strict=True)), luts, precision)
    values = chip.output(expr)
    return values if chip.saturated <= SATURATED and np.isfinite(values).all() else None


def front(scored: Iterable[Scored], config: Config) -> list[Scored]:
    """The Pareto front on (loss, cycles, area) within the limits, by falling loss.

    Raises:
        DataError: if nothing is finite and within the limits.
    """
    fit = list({s.expr: s for s in scored if math.isfinite(s.loss) and _fits(s, config)}.values())
    if not fit:
        msg = (
            "no expression that was found stays finite and fits the limits (max_size, max_cycles, "
            "max_luts, max_dsps, precision); raise one of them"
        )
        raise DataError(msg)
    objectives = np.array([(s.loss, s.cycles, s.luts + config.dsp_luts * s.dsps) for s in fit])
    best = np.flatnonzero(ranks(objectives, 1) == 0)
    distinct = {tuple(objectives[i]): fit[i] for i in best.tolist()[::-1]}
    return sorted(distinct.values(), key=lambda s: -s.loss)


def _fits(one: Scored, config: Config) -> bool:
    return (
        one.size <= config.max_size
        and one.cycles <= config.max_cycles
        and one.luts <= config.max_luts
        and one.dsps <= config.max_dsps
    )


def price(
    expr: Expr, costs: Mapping[str, OperatorCost], period_ns: float
) -> tuple[int, float, float]:
    """Clock cycles (1 or more), LUTs and DSPs of any expression; equal subtrees count once.

    Every input costs the subtraction of its offset; a factor that is a power of two is wires; a
    product with a comparison, or a choice by one, only switches.
    """
    ready: dict[Expr, float] = {}
    luts = dsps = 0.0

    def visit(node: Expr) -> float:
        nonlocal luts, dsps
        if node in ready or isinstance(node, Num):
            return ready.get(node, 0.0)
        before = max((visit(a) for a in node.args), default=0.0) if isinstance(node, Call) else 0.0
        cost = _cost(node, costs)
        if cost is None:
            ready[node] = before
        else:
            luts, dsps = luts + cost.luts, dsps + cost.dsps
            ready[node] = chain(before, cost.delay_ns, period_ns)
        return ready[node]

    end = visit(expr)
    return max(1, math.ceil(end / period_ns - 1e-9)), luts, dsps


def _cost(node: Var | Call, costs: Mapping[str, OperatorCost]) -> OperatorCost | None:
    if isinstance(node, Var):
        return costs["sub"]
    factors = [a.value for a in node.args if isinstance(a, Num)]
    if node.op == "mul" and factors:
        return None if is_power_of_two(factors[0]) else costs["const_mul"]
    if any(_compares(a) for a in _switches(node)):
        return costs["mux"]
    return costs.get(node.op, costs["lut"])


def _switches(node: Call) -> tuple[Expr, ...]:
    """Operands that could be the one bit which decides."""
    if node.op == "mul":
        return node.args
    return node.args[:1] if node.op in ("cond", "select") else ()


def _compares(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.op == "greater"
