"""What a sum of terms costs: clock cycles by delay chaining, LUTs and DSPs of shared parts."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum  # sets have no order that a seed decides, so their sums may not either
from typing import Protocol

from nacsr.frontends.symbolic.engines.embedded.trees import CHOICES, Grammar, Tree
from nacsr.frontends.symbolic.fitting.shapes import TABLE


class OperatorCost(Protocol):
    """Delay in ns and area of one operator (``nacsr.cost.operators.OperatorCost``)."""

    @property
    def delay_ns(self) -> float: ...
    @property
    def luts(self) -> float: ...
    @property
    def dsps(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Area:
    """Clock cycles (at least 1), LUTs and DSPs of a whole expression."""

    cycles: int
    luts: float
    dsps: float


@dataclass(frozen=True, slots=True)
class Row:
    """A term of a sum: when its product with a weight is ready (ns), its distinct subtrees, the
    area of these, and of its weight and its addition.
    """

    ready: float
    parts: frozenset[Tree]
    luts: float
    dsps: float
    link_luts: float
    link_dsps: float


def chain(ready: float, delay: float, period: float) -> float:
    """When a result is there whose inputs are ready at ``ready`` (all in ns).

    Operators share a clock period while their delays fit; one that does not starts behind
    the next register.
    """
    used = ready % period
    if used > 0 and used + delay > period + 1e-9:
        ready += period - used
    return ready + delay


def is_power_of_two(value: float) -> bool:
    """Whether a factor is wires only."""
    return abs(math.frexp(value)[0]) == 0.5


class Hardware:
    """Costs of terms and their weighted sums; equal subtrees of an expression count once.

    Args:
        grammar: the symbols.
        costs: a row for every operator, ``const_mul``, every function or ``lut``; with fitted
            tables ``table``, and ``address``, the cast before one.
        period: usable ns of a clock period.
    """

    def __init__(self, grammar: Grammar, costs: Mapping[str, OperatorCost], period: float) -> None:
        self.grammar, self.costs, self.period = grammar, costs, period
        self._terms: dict[Tree, tuple[float, frozenset[Tree]]] = {}
        self._parts: dict[Tree, tuple[float, float]] = {}
        self._rows: dict[Tree, Row] = {}
        self._ends: dict[tuple[float, ...], int] = {}  # cycles, by when operands are there

    def term(self, tree: Tree) -> tuple[float, frozenset[Tree]]:
        """When a term is ready (ns) and the distinct subtrees that it needs."""
        known = self._terms.get(tree)
        if known is None:
            known = self._terms[tree] = self._term(tree)
        return known

    def _term(self, tree: Tree) -> tuple[float, frozenset[Tree]]:
        if isinstance(tree[-1], float):
            return 0.0, frozenset()
        if len(tree) == 1:  # an input: its offset is subtracted
            return self._finish(tree, self.costs["sub"], 0.0, frozenset())
        if tree[-1] in self.grammar.custom:
            return self.term(self.grammar.inlined(tree))
        arguments = self.grammar.arguments(tree)
        below = [self.term(a) for a in arguments]
        ready = max(r for r, _ in below)
        parts = frozenset[Tree]().union(*(p for _, p in below))
        constants = [a[0] for a in arguments if isinstance(a[-1], float)]
        if tree[-1] == "mul" and constants:
            if is_power_of_two(float(constants[0])):
                return ready, parts
            return self._finish(tree, self.costs["const_mul"], ready, parts)
        decided = any(a[-1] == "greater" for a in arguments)
        choice = tree[-1] == "mul" or (tree[-1] in CHOICES and arguments[0][-1] == "greater")
        if decided and choice:  # a bit decides between words
            return self._finish(tree, self.costs["mux"], ready, parts)
        return self._finish(tree, self._cost(str(tree[-1])), ready, parts)

    def _cost(self, symbol: str) -> OperatorCost:
        if symbol == TABLE:  # what is shared of one: every output has entries of its own
            return self.costs["address"]
        if symbol in self.costs:
            return self.costs[symbol]
        return self.costs["lut" if symbol in self.grammar.functions else "mul"]

    def _finish(
        self, tree: Tree, cost: OperatorCost, ready: float, parts: frozenset[Tree]
    ) -> tuple[float, frozenset[Tree]]:
        self._parts[tree] = cost.luts, cost.dsps
        return chain(ready, cost.delay_ns, self.period), parts | {tree}

    def weighted(self, tree: Tree) -> float:
        """When a term times its weight is ready (ns), or the entry of a table."""
        return chain(self.term(tree)[0], self._weight(tree).delay_ns, self.period)

    def _weight(self, tree: Tree) -> OperatorCost:
        return self.costs["table" if tree[-1] == TABLE else "const_mul"]

    def link(self, tree: Tree) -> tuple[float, float]:
        """LUTs and DSPs of one more weighted term in a sum, beside the term itself."""
        scale, add = self._weight(tree), self.costs["add"]
        return scale.luts + add.luts, scale.dsps + add.dsps

    def part(self, tree: Tree) -> tuple[float, float]:
        """LUTs and DSPs of the root of a subtree that ``term`` named."""
        return self._parts[tree]

    def _row(self, tree: Tree) -> Row:
        known = self._rows.get(tree)
        if known is None:
            parts = self.term(tree)[1]
            areas = [self._parts[p] for p in parts]
            luts, dsps = fsum(a[0] for a in areas), fsum(a[1] for a in areas)
            known = self._rows[tree] = Row(self.weighted(tree), parts, luts, dsps, *self.link(tree))
        return known

    def cycles(self, terms: Sequence[Tree]) -> int:
        """Clock cycles of ``weight * term + ... + offset``, added in order of readiness."""
        ready = (0.0, *sorted([self._row(t).ready for t in terms]))
        known = self._ends.get(ready)
        if known is None:
            end = _sum_ready(list(ready), self.costs["add"].delay_ns, self.period)
            known = self._ends[ready] = max(1, math.ceil(end / self.period - 1e-9))
        return known

    def total(self, terms: Sequence[Tree]) -> Area:
        """Cost of ``weight * term + ... + offset``."""
        rows, cycles = [self._row(t) for t in terms], self.cycles(terms)
        luts, dsps = sum([r.link_luts for r in rows]), sum([r.link_dsps for r in rows])
        parts = frozenset[Tree]().union(*[r.parts for r in rows])
        if len(parts) == sum([len(r.parts) for r in rows]):  # nothing is shared
            luts, dsps = luts + sum([r.luts for r in rows]), dsps + sum([r.dsps for r in rows])
        else:
            areas = [self._parts[p] for p in parts]
            luts, dsps = luts + fsum(a[0] for a in areas), dsps + fsum(a[1] for a in areas)
        return Area(cycles, luts, dsps)


def _sum_ready(ready: list[float], delay: float, period: float) -> float:
    """When the sum is there if the two earliest operands are always added first."""
    heapq.heapify(ready)
    while len(ready) > 1:
        first, second = heapq.heappop(ready), heapq.heappop(ready)
        heapq.heappush(ready, chain(max(first, second), delay, period))
    return ready[0]
