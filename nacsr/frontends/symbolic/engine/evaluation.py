"""Evaluation: columns of terms, their least-squares weights, and objectives.

An individual is a set of terms; its weights and offset are fitted analytically (linear
scaling, Keijzer 2003, for every term of the sum: Searson's multigene regression, 2015), so
the search only has to find the shapes of the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.trees import Grammar, Tree
from nacsr.frontends.symbolic.expr import OPERATORS

Column = NDArray[np.float32]
Function = Callable[[Column], Column]
T = TypeVar("T")

RIDGE = 1e-4  # of the terms' unit variance: keeps weights of nearly equal terms small
PROBE = 64  # rows whose rounded outputs tell individuals apart
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
        inputs: float32, shape (inputs, rows), C order.
        target: shape (rows,).
        functions: the LUT functions, table lookups on float32 columns.
        reach: magnitude that no value inside an expression may exceed.
    """

    def __init__(
        self,
        grammar: Grammar,
        hardware: Hardware,
        inputs: Column,
        target: NDArray[np.float64],
        functions: Mapping[str, Function],
        reach: float,
    ) -> None:
        self.grammar, self.hardware, self.reach = grammar, hardware, reach
        self.rows = inputs.shape[1]
        self.mean, self.variance = float(target.mean()), float(target.var()) or 1.0
        self.target: Column = ((target - self.mean) / np.sqrt(self.variance)).astype(np.float32)
        self.power = float(np.mean(self.target**2))  # 1, or 0 for a target that is constant
        self.evaluations = 0
        self._apply = {o: OPERATORS[o].apply for o in grammar.operators} | dict(functions)
        self._cached = max(CACHE_BYTES // (4 * self.rows), 16)
        self._inputs: dict[Tree, Column] = {(f"${j}",): x for j, x in enumerate(inputs)}
        self._columns: dict[Tree, Column | None] = {}
        self._terms: dict[Tree, Term | None] = {}

    def column(self, tree: Tree) -> Column | None:
        """A tree's values, or None if some exceed ``reach``."""
        found = self._inputs.get(tree)
        if found is not None:
            return found
        if tree in self._columns:
            return self._columns[tree]
        arguments: list[Column | float] = []
        for argument in self.grammar.arguments(tree):
            value = argument[0] if len(argument) == 1 else None
            part = value if isinstance(value, float) else self.column(argument)
            if part is None:
                return self._keep(self._columns, tree, None)
            arguments.append(part)
        result: Column = self._apply[str(tree[-1])](*arguments)
        inside = result.max() <= self.reach and result.min() >= -self.reach
        return self._keep(self._columns, tree, result if inside else None)

    def term(self, tree: Tree) -> Term | None:
        """A tree as a term, or None if it is out of range or constant."""
        if tree in self._terms:
            return self._terms[tree]
        column, term = self.column(tree), None
        if column is not None:
            mean = float(column.mean())
            centred = column - np.float32(mean)
            spread = float(np.sqrt(np.dot(centred, centred) / self.rows))
            if spread > 1e-3:
                centred *= np.float32(1 / spread)
                term = Term(centred, mean, spread)
        return self._keep(self._terms, tree, term)

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
