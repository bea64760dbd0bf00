"""Evaluation: columns of terms in the chip's arithmetic, their weights, and objectives.

An individual is a set of terms; its weights and offset are fitted analytically (linear
scaling, Keijzer 2003, for every term of the sum: Searson's multigene regression, 2015), so
the search only has to find the shapes of the terms.

Terms are evaluated in the working precision, exactly as they will be lowered: products are
truncated to its fractional bits, tables are the firmware's, and values beyond it saturate.
float32 holds every such value up to 24 bits; wider ones are only nearly exact here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.normal import Column, Fitted, Term, solve
from nacsr.frontends.symbolic.engines.embedded.trees import CHOICES, Grammar, Tree
from nacsr.frontends.symbolic.fitting.saturation import SATURATED, saturate
from nacsr.frontends.symbolic.fitting.shapes import TABLE, shape
from nacsr.frontends.symbolic.language.expr import OPERATORS
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.frontends.symbolic.lowering.linear import is_linear
from nacsr.frontends.symbolic.lowering.lower import SUMS

Function = Callable[[Column], Column]
T = TypeVar("T")

GRAIN = 1e-6
"""Individuals whose losses and marks agree to this much compute the same."""
PRODUCTS = frozenset({"mul", "square", "cube"})
"""Operators whose exact results have more fractional bits than their arguments."""
ALL = slice(None)
LEAST_SPREAD = 1e-3
CACHE_BYTES = 64 << 20  # of each of the two caches of columns


@dataclass(frozen=True, slots=True, eq=False)
class Individual:
    """A fitted set of terms.

    ``weights`` refer to the standardised terms and target; ``loss`` is the mean squared error
    over the target's variance.
    """

    terms: tuple[Tree, ...]
    weights: NDArray[np.float64]
    loss: float
    cycles: int
    luts: float
    dsps: float
    size: int
    key: tuple[int, int]


def size_of(terms: Sequence[Tree]) -> int:
    """Nodes of ``weight * term + ... + offset``."""
    return 1 + sum(len(t) + 3 for t in terms)


class Evaluator:
    """Evaluates terms on one set of rows; every column that it computes is kept for reuse.

    Args:
        inputs: standardised values, shape (inputs, rows).
        target: shape (rows,).
        weights: how much each row counts, shape (rows,), with a mean of one; None: all the same.
        functions: the LUT functions, table lookups on float32 columns.
        precision: the working type.
        table_bits: address bits of a fitted table.
        saturated: share of rows on which a value may saturate.
    """

    def __init__(
        self,
        grammar: Grammar,
        hardware: Hardware,
        inputs: NDArray[np.float64],
        target: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        functions: Mapping[str, Function],
        precision: Fixed,
        table_bits: int = 6,
        saturated: float = SATURATED,
    ) -> None:
        self.grammar, self.hardware, self.precision = grammar, hardware, precision
        self.table_bits, self.saturated = table_bits, saturated
        self.rows: int = inputs.shape[1]
        self.weights = weights
        self.mean = float(np.average(target, weights=weights))
        self.variance = float(np.average((target - self.mean) ** 2, weights=weights)) or 1.0
        self._root = None if weights is None else np.sqrt(weights).astype(np.float32)
        plain = (target - self.mean) / np.sqrt(self.variance)
        self._plain, self.target = plain[:, None], self._rooted(plain.astype(np.float32))
        self.power = float(np.mean(self.target**2))  # 1, or 0 for a target that is constant
        self.evaluations = 0
        self._scale, self._made = 2.0**precision.frac, 0
        probe = np.random.default_rng(0).normal(size=self.rows)
        self._probe: Column = np.asarray(probe, dtype=np.float32)
        self._apply = {o: row.apply for o, row in OPERATORS.items()} | dict(functions)
        self._cached = max(CACHE_BYTES // (4 * self.rows), 16)
        words = np.clip(np.floor(np.ldexp(inputs, precision.frac)), *_ends(precision))
        columns = np.ldexp(words, -precision.frac).astype(np.float32)
        self._inputs: dict[Tree, Column] = {(f"${j}",): x for j, x in enumerate(columns)}
        names = [f"x{j}" for j in range(len(columns))]
        self._chip = Chip(dict(zip(names, columns.astype(np.float64), strict=True)), {}, precision)
        self._columns: dict[Tree, Column | None] = {}
        self._terms: dict[Tree, Term | None] = {}

    def _rooted(self, column: Column) -> Column:
        """A column times the roots of the weights, so that plain sums of squares are weighted."""
        return column if self._root is None else column * self._root

    def column(self, tree: Tree) -> Column | None:
        """A tree's values, or None if too many saturate."""
        found = self._exact(tree)
        if found is None or (tree[-1] not in SUMS and tree[-1] not in self.grammar.custom):
            return found
        low, high = self.precision.min, self.precision.max
        if found.min() >= low and found.max() <= high:
            return found
        settled = found.copy()
        return settled if saturate(settled, self.precision, self.saturated) else None

    def _exact(self, tree: Tree) -> Column | None:
        """As ``column``, but sums do not saturate."""
        found = self._inputs.get(tree)
        if found is not None:
            return found
        if tree in self._columns:
            return self._columns[tree]
        return self._keep(self._columns, tree, self._computed(tree))

    def _computed(self, tree: Tree) -> Column | None:
        symbol = str(tree[-1])
        if symbol in self.grammar.custom:
            return self._exact(self.grammar.inlined(tree))
        if symbol == TABLE:
            return self._fitted(self.grammar.arguments(tree)[0])
        arguments: list[Column | float] = []
        for place, argument in enumerate(self.grammar.arguments(tree)):
            part = self._argument(symbol, place, argument)
            if symbol == "mul" and isinstance(part, float) and abs(part) * self._scale <= 0.5:
                part = 0.0  # as it is lowered
            if part is None:
                return None
            arguments.append(part)
        result = self._settled(symbol, arguments)
        inside = symbol in SUMS or saturate(result, self.precision, self.saturated)
        return result if inside else None

    def _argument(self, symbol: str, place: int, tree: Tree) -> Column | float | None:
        """What an operator reads: a constant lies on the grid unless all its digits count, a sum
        saturates unless it goes on into another one or is only compared.
        """
        value, decides = tree[0], symbol == "greater" or (symbol in CHOICES and place == 0)
        if len(tree) == 1 and isinstance(value, float):
            exact = decides or symbol == "mul"
            return value if exact else round(value * self._scale) / self._scale
        return self._exact(tree) if decides or symbol in SUMS else self.column(tree)

    def _settled(self, symbol: str, arguments: Sequence[Column | float]) -> Column:
        """An operator's result with no more fractional bits than the precision has."""
        result: Column
        if symbol not in PRODUCTS:
            with np.errstate(all="ignore"):  # a user's operator may divide: it is then refused
                result = self._apply[symbol](*arguments)
            return result
        # a product has twice the bits; scaling by a power of two is exact in float64
        first = np.multiply(arguments[0], 1.0, dtype=np.float64)
        if symbol == "cube":
            square = np.clip(self._floored(first * first), self.precision.min, self.precision.max)
            wide = square * first
        else:
            wide = OPERATORS[symbol].apply(first, *arguments[1:])
        result = self._floored(wide).astype(np.float32)
        return result

    def _floored(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values truncated to the grid, in place."""
        values *= self._scale
        np.floor(values, out=values)
        values *= 1 / self._scale
        return values

    def _fitted(self, tree: Tree) -> Column | None:
        """The best shape of a table for the target alone; the others fit in later."""
        u = self._exact(tree)
        if u is None:
            return None
        values, inner = u.astype(np.float64), self.grammar.expression(tree, self._chip.names)

        def read(domain: Fixed) -> NDArray[np.float64]:
            return self._chip.argument(inner, domain) if is_linear(inner) else values

        found = shape(values, self.weights, self.table_bits, targets=self._plain, read=read)
        if found is None:
            return None
        place = found.place(read(found.domain))
        root = 1.0 if self._root is None else self._root
        sums = np.bincount(place, self.target * root, len(found.basis)) / self.rows
        entries = found.basis @ (found.basis.T @ sums)
        made: Column = entries.astype(np.float32).take(place)
        return made

    def term(self, tree: Tree) -> Term | None:
        """A tree as a term, or None if it saturates too often or is constant."""
        if tree in self._terms:
            return self._terms[tree]
        column = self.column(tree)
        return self._keep(self._terms, tree, None if column is None else self._term(column))

    def _term(self, column: Column) -> Term | None:
        mean = self._mean(column)
        centred = self._rooted(column - np.float32(mean))
        spread = math.sqrt(float(centred.dot(centred)) / self.rows)
        if spread <= LEAST_SPREAD:
            return None
        centred *= np.float32(1 / spread)
        moment, mark = (float(centred.dot(c)) / self.rows for c in (self.target, self._probe))
        self._made += 1
        return Term(centred, mean, spread, self._made, moment, mark)

    def _mean(self, column: Column) -> float:
        if self.weights is None:
            total = float(np.add.reduce(column))
        else:
            total = float(column.dot(self.weights))
        return total / self.rows

    def shift(self, tree: Tree, moved: Tree) -> Column | None:
        """How a term changes when it becomes another, in its own units and without the mean."""
        here, there = self.term(tree), self.column(moved)
        if here is None or there is None:
            return None
        moved_by: Column = self._rooted(there - np.float32(self._mean(there)))
        centred: Column = moved_by - here.column * np.float32(here.spread)
        return centred

    def _keep(self, cache: dict[Tree, T], tree: Tree, value: T) -> T:
        if len(cache) >= self._cached:
            for old in list(cache)[: self._cached // 2]:
                del cache[old]
        cache[tree] = value
        return value

    def residual(self, individual: Individual, rows: slice = ALL) -> Column:
        """Standardised target minus prediction, shape (rows,)."""
        rest = self.target[rows].copy()
        for tree, weight in zip(individual.terms, individual.weights.tolist(), strict=True):
            term = self.term(tree)
            if term is not None:  # it was when the individual was made, on these rows
                rest -= np.float32(weight) * term.column[rows]
        return rest

    def assess(self, terms: Sequence[Tree]) -> Individual | None:
        """Fit and cost a set of terms; None if one is not usable. Counts as one evaluation."""
        return self.assess_all([terms])[0]

    def assess_all(self, candidates: Sequence[Sequence[Tree]]) -> list[Individual | None]:
        """Fit and cost sets of terms, each counted as one evaluation."""
        self.evaluations += len(candidates)
        distinct = [tuple(dict.fromkeys(terms)) for terms in candidates]
        usable = {n: found for n, t in enumerate(distinct) if (found := self._all(t))}
        fits = zip(usable, solve(list(usable.values()), self.power), strict=True)
        made = {n: self._priced(distinct[n], fitted) for n, fitted in fits}
        return [made.get(n) for n in range(len(candidates))]

    def _all(self, trees: Sequence[Tree]) -> list[Term] | None:
        """The terms, or None if one is not usable."""
        found = []
        for tree in trees:
            term = self.term(tree)
            if term is None:
                return None
            found.append(term)
        return found

    def _priced(self, terms: tuple[Tree, ...], fit: Fitted) -> Individual:
        area = self.hardware.total(terms)
        size = size_of([self.grammar.written_out(t) for t in terms])
        key = round(fit.loss / GRAIN), round(fit.mark / GRAIN)
        cost = area.cycles, area.luts, area.dsps
        return Individual(terms, fit.weights, fit.loss, *cost, size, key)

    def affine(self, individual: Individual) -> tuple[list[float], float]:
        """Weight of every term and the offset, in the units of the inputs and the target."""
        unit = float(np.sqrt(self.variance))
        weights, offset = [], self.mean
        for tree, weight in zip(individual.terms, individual.weights, strict=True):
            term = self.term(tree)
            if term is not None:
                weights.append(unit * float(weight) / term.spread)
                offset -= weights[-1] * term.mean
        return weights, offset


def _ends(precision: Fixed) -> tuple[int, int]:
    return precision.min_raw, precision.max_raw
