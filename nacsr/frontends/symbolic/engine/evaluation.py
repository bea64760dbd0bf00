"""Evaluation: columns of terms in the chip's arithmetic, their weights, and objectives.

An individual is a set of terms; its weights and offset are fitted analytically (linear
scaling, Keijzer 2003, for every term of the sum: Searson's multigene regression, 2015), so
the search only has to find the shapes of the terms.

Terms are evaluated in the working precision, exactly as they will be lowered: products are
truncated to its fractional bits, tables are the firmware's, and no value may leave its range.
float32 holds every such value up to 24 bits; wider ones are only nearly exact here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.trees import Grammar, Tree
from nacsr.frontends.symbolic.expr import OPERATORS
from nacsr.frontends.symbolic.shapes import TABLE, shape

Column = NDArray[np.float32]
Function = Callable[[Column], Column]
T = TypeVar("T")

RIDGE = 1e-4  # of the terms' unit variance: keeps weights of nearly equal terms small
PROBE = 64  # rows whose rounded outputs tell individuals apart
PRODUCTS = frozenset({"mul", "square", "cube"})
"""Operators whose exact results have more fractional bits than their arguments."""
CACHE_BYTES = 64 << 20  # of each of the two caches of columns


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A term's values, centred and of unit variance, and what was taken off."""

    column: Column
    mean: float
    spread: float


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
    key: bytes


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
    ) -> None:
        self.grammar, self.hardware, self.precision = grammar, hardware, precision
        self.reach, self.table_bits = precision.max, table_bits
        self.rows, self.weights = inputs.shape[1], weights
        self.mean = float(np.average(target, weights=weights))
        self.variance = float(np.average((target - self.mean) ** 2, weights=weights)) or 1.0
        self._root = None if weights is None else np.sqrt(weights).astype(np.float32)
        self.target: Column = self._rooted(
            ((target - self.mean) / np.sqrt(self.variance)).astype(np.float32)
        )
        self.power = float(np.mean(self.target**2))  # 1, or 0 for a target that is constant
        self.evaluations = 0
        self._apply = {o: row.apply for o, row in OPERATORS.items()} | dict(functions)
        self._cached = max(CACHE_BYTES // (4 * self.rows), 16)
        words = np.clip(np.floor(np.ldexp(inputs, precision.frac)), *_ends(precision))
        columns = np.ldexp(words, -precision.frac).astype(np.float32)
        self._inputs: dict[Tree, Column] = {(f"${j}",): x for j, x in enumerate(columns)}
        self._columns: dict[Tree, Column | None] = {}
        self._terms: dict[Tree, Term | None] = {}

    def _rooted(self, column: Column) -> Column:
        """A column times the roots of the weights, so that plain sums of squares are weighted."""
        return column if self._root is None else column * self._root

    def column(self, tree: Tree) -> Column | None:
        """A tree's values, or None if some exceed the range of the precision."""
        found = self._inputs.get(tree)
        if found is not None:
            return found
        if tree in self._columns:
            return self._columns[tree]
        return self._keep(self._columns, tree, self._computed(tree))

    def _computed(self, tree: Tree) -> Column | None:
        symbol = str(tree[-1])
        if symbol in self.grammar.custom:
            return self.column(self.grammar.inlined(tree))
        arguments: list[Column | float] = []
        for argument in self.grammar.arguments(tree):
            part = self._argument(argument, symbol)
            if part is None:
                return None
            arguments.append(part)
        if symbol == TABLE:
            return self._fitted(arguments[0])
        result = self._settled(symbol, arguments)
        inside = result.max() <= self.reach and result.min() >= -self.reach
        return result if inside else None

    def _argument(self, tree: Tree, above: str) -> Column | float | None:
        """What an operator reads: a constant lies on the grid unless it is a factor."""
        value = tree[0] if len(tree) == 1 else None
        if not isinstance(value, float):
            return self.column(tree)
        frac = self.precision.frac
        return value if above == "mul" else float(np.ldexp(np.rint(np.ldexp(value, frac)), -frac))

    def _settled(self, symbol: str, arguments: Sequence[Column | float]) -> Column:
        """An operator's result with no more fractional bits than the precision has."""
        result: Column
        if symbol not in PRODUCTS:
            result = self._apply[symbol](*arguments)
            return result
        wide = [np.asarray(a, dtype=np.float64) for a in arguments]  # a product has twice the bits
        exact = np.ldexp(OPERATORS[symbol].apply(*wide), self.precision.frac)
        result = np.ldexp(np.floor(exact), -self.precision.frac).astype(np.float32)
        return result

    def _fitted(self, u: Column | float) -> Column | None:
        """The best shape of a table for the target alone; the others fit in later."""
        values = np.asarray(u, dtype=np.float64)
        found = shape(values, self.weights, self.table_bits) if values.ndim else None
        if found is None:
            return None
        columns = found.columns(values)
        root = 1.0 if self._root is None else self._root
        made: Column = (columns @ (columns.T @ (self.target * root)) / self.rows).astype(np.float32)
        return made

    def term(self, tree: Tree) -> Term | None:
        """A tree as a term, or None if it is out of range or constant."""
        if tree in self._terms:
            return self._terms[tree]
        column, term = self.column(tree), None
        if column is not None:
            mean = float(np.average(column, weights=self.weights))
            centred = self._rooted(column - np.float32(mean))
            spread = float(np.sqrt(np.dot(centred, centred) / self.rows))
            if spread > 1e-3:
                centred = centred * np.float32(1 / spread)
                term = Term(centred, mean, spread)
        return self._keep(self._terms, tree, term)

    def shift(self, tree: Tree, moved: Tree) -> Column | None:
        """How a term changes when it becomes another, in its own units and without the mean."""
        here, there = self.term(tree), self.column(moved)
        if here is None or there is None:
            return None
        change: Column = self._rooted(there - np.float32(here.mean))
        change = change - here.column * np.float32(here.spread)
        centred: Column = change - change.mean()
        return centred

    def _keep(self, cache: dict[Tree, T], tree: Tree, value: T) -> T:
        if len(cache) >= self._cached:
            for old in list(cache)[: self._cached // 2]:
                del cache[old]
        cache[tree] = value
        return value

    def matrix(self, terms: Sequence[Tree]) -> Column | None:
        """The standardised columns, shape (terms, rows); None if one is not usable."""
        found = [self.term(t) for t in terms]
        usable = [t.column for t in found if t is not None]
        return np.stack(usable) if usable and len(usable) == len(found) else None

    def residual(self, individual: Individual) -> Column:
        """Standardised target minus prediction, shape (rows,)."""
        columns = self.matrix(individual.terms)
        if columns is None:  # it was evaluated on these rows before
            return self.target
        prediction: Column = individual.weights.astype(np.float32) @ columns
        rest: Column = self.target - prediction
        return rest

    def fit(self, columns: Column) -> tuple[NDArray[np.float64], float]:
        """Least-squares weights of standardised columns and the loss they leave."""
        gram = (columns @ columns.T).astype(np.float64) / self.rows
        moment = (columns @ self.target).astype(np.float64) / self.rows
        weights: NDArray[np.float64] = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), moment)
        return weights, float(self.power - 2 * weights @ moment + weights @ gram @ weights)

    def assess(self, terms: Sequence[Tree]) -> Individual | None:
        """Fit and cost a set of terms; None if one is not usable. Counts as one evaluation."""
        self.evaluations += 1
        terms = tuple(dict.fromkeys(terms))
        columns = self.matrix(terms)
        if columns is None:
            return None
        weights, loss = self.fit(columns)
        area = self.hardware.total(terms)
        outputs = weights @ columns[:, :PROBE]
        key = np.round(outputs * 1e3).astype(np.int32).tobytes()
        return Individual(
            terms, weights, loss, area.cycles, area.luts, area.dsps, size_of(terms), key
        )

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
