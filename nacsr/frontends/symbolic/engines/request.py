"""What every engine is asked, and what it answers: the protocol of expression searches.

An engine regresses one column on standardised inputs and returns a front of expressions, each
with its cost. The engines are in ``registry.ENGINES``; nothing beyond that row knows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import OperatorCost
from nacsr.data.events import unit_mean
from nacsr.errors import DataError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.expr import Expr
from nacsr.luts import LutFunc

if TYPE_CHECKING:
    from nacsr.frontends.symbolic.language.custom import Custom

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The data of one search.

    Attributes:
        z: inputs, shape (rows, inputs), standardised.
        y: target, shape (rows,).
        names: one name an input.
        weights: how much each row counts, shape (rows,), with a mean of one; None: all the same.

    Raises:
        DataError: if the shapes do not match, or a value is not finite.
    """

    z: Real
    y: Real
    names: tuple[str, ...]
    weights: Real | None = None

    def __post_init__(self) -> None:
        rows = len(self.y)
        if self.z.shape != (rows, len(self.names)) or self.y.ndim != 1 or not rows:
            wanted = f"z (rows, {len(self.names)}) and y (rows,)"
            msg = f"expected {wanted}, not {self.z.shape} and {self.y.shape}"
            raise DataError(msg)
        if self.weights is not None and self.weights.shape != self.y.shape:
            msg = f"expected weights ({rows},), not {self.weights.shape}"
            raise DataError(msg)
        for name, values in (("z", self.z), ("y", self.y), ("weights", self.weights)):
            if values is not None and not np.isfinite(values).all():
                msg = f"{name} holds values that are not finite; drop or fill these rows"
                raise DataError(msg)

    def take(self, rows: NDArray[np.int64]) -> Sample:
        """Some of the rows."""
        weights = None if self.weights is None else unit_mean(self.weights[rows])
        return Sample(self.z[rows], self.y[rows], self.names, weights)


@dataclass(frozen=True, slots=True)
class Config:
    """What one search may use.

    Attributes:
        evaluations: budget, counted as the engine counts.
        rows: size of the random subset of rows that the search works on.
        operators: operators, keys of ``OPERATORS`` that take no division.
        functions: names of LUT functions.
        precision: the working type, at whose ends values saturate; see ``saturation``.
        period_ns: usable part of a clock period.
        dsp_luts: LUTs that one DSP counts as; the chip's own ratio of both makes a share of
            the chip cost the same in either currency.
        max_size: nodes of a whole expression.
        max_depth: levels of one term of it.
        max_cycles, max_luts, max_dsps: limits of a whole expression.
        nesting: how often a function may sit inside another; None: never.
        custom: the user's operators by name; engines write out what they stand for.
        tables: whether a term may be a fitted table.
        table_bits: address bits of such a table.
        population: individuals kept, where an engine has a population.
        guesses: expressions to start from.
        complexities: cost of every operator and function: the search is then on the loss and
            their sum, as PySR's is; empty: on true clock cycles and, where an engine can, area.
            The user's operators cost what they are made of: ``complexities.with_custom``.
        extra: more keyword arguments for the engine's own library.
    """

    evaluations: int
    rows: int
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    precision: Fixed
    period_ns: float
    dsp_luts: float
    max_size: int = 60
    max_depth: int = 5
    max_cycles: int = 12
    max_luts: float = math.inf
    max_dsps: float = math.inf
    nesting: Mapping[str, Mapping[str, int]] | None = None
    custom: Mapping[str, Custom] = field(default_factory=dict)
    tables: bool = False
    table_bits: int = 6
    population: int = 200
    guesses: tuple[Expr, ...] = ()
    complexities: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """An expression of a front.

    Attributes:
        expr: the expression; ``tables`` are functions of its own that it calls.
        loss: weighted mean squared error on all rows, with the best scale and offset.
        cycles, luts, dsps: its cost.
        size: its nodes.
        tables: fitted tables by name.
    """

    expr: Expr
    loss: float
    cycles: int
    luts: float
    dsps: float
    size: int
    tables: Mapping[str, LutFunc] = field(default_factory=dict)


class Engine(Protocol):
    """A search."""

    def __call__(
        self,
        sample: Sample,
        config: Config,
        costs: Mapping[str, OperatorCost],
        luts: Mapping[str, LutFunc],
        seed: int,
        folder: Path | None = None,
    ) -> list[Scored]:
        """The Pareto front on (loss, cycles, area), scored on all rows, by falling loss.

        Args:
            sample: what to regress.
            config: what the search may use.
            costs: delay and area of every operator and function.
            luts: the LUT functions; the search runs on their tables.
            seed: decides everything that is random.
            folder: where an engine may keep files of its own; None: nowhere.

        Raises:
            DataError: if no input varies, or nothing fits the limits.
            ToolError: if the engine needs a program that is missing, or that failed.
        """
        ...
