"""From individuals to expressions: their weights folded in, their tables fitted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engines.embedded.sums import earliest_first
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.fitting.calibrate import Grids, calibrate
from nacsr.frontends.symbolic.fitting.newton import Goal
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import LutFunc


class Export:
    """Writes individuals as expressions, scored on all rows.

    Args:
        evaluator: has all rows.
        sample: the same rows.
        luts: the LUT functions.
        config: gives the precision and the size of tables.
    """

    def __init__(
        self, evaluator: Evaluator, sample: Sample, luts: Mapping[str, LutFunc], config: Config
    ) -> None:
        self.evaluator, self.sample, self.luts = evaluator, sample, luts
        self.grids = Grids(config.precision, config.table_bits)
        self.frac = config.precision.frac
        self.columns = dict(zip(sample.names, sample.z.T, strict=True))
        self.goal = Goal(sample.y[:, None], sample.weights, regression=True)

    def scored(self, individual: Individual) -> Scored:
        """The individual, the earliest of its terms added first."""
        i = individual
        whole = self._sum(i)
        loss, tables = i.loss * self.evaluator.variance, dict[str, LutFunc]()
        if any(t[-1] == TABLE for t in i.terms):
            found = calibrate(
                {"y": whole}, self.columns, self.goal, self.luts, self.grids, snap=False
            )
            fitted, tables = found.rounded(self.frac)
            whole = fitted["y"]
            values = Chip(self.columns, {**self.luts, **tables}, self.grids.precision).output(whole)
            errors = (values - self.sample.y) ** 2
            loss = float(np.average(errors, weights=self.sample.weights))
        return Scored(whole, loss, i.cycles, i.luts, i.dsps, i.size, tables)

    def _sum(self, individual: Individual) -> Expr:
        hardware, names = self.evaluator.hardware, self.sample.names
        weights, offset = self.evaluator.affine(individual)
        parts: list[tuple[float, Expr]] = [(0.0, Num(_short(offset)))]
        for tree, weight in zip(individual.terms, weights, strict=True):
            term = self.evaluator.grammar.expression(tree, names)
            weighted = term if tree[-1] == TABLE else Call("mul", (Num(_short(weight)), term))
            parts.append((hardware.weighted(tree), weighted))
        return earliest_first(parts, hardware.costs["add"].delay_ns, hardware.period)


def _short(value: float) -> float:
    """Six digits: finer than any weight is quantised, short to print."""
    return float(f"{value:.6g}")
