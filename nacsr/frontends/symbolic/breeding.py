"""New terms for a pool: simple ones to begin with, and later ones near those that were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nacsr.frontends.symbolic.expr import Call, Expr, Num, Var, substitute
from nacsr.frontends.symbolic.shapes import TABLE

T = TypeVar("T")

FACTORS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
"""Of the second part of a sum inside a term: a shift or a sign, which are free."""


@dataclass(frozen=True, slots=True)
class Breeder:
    """What new terms are made of.

    Attributes:
        names: of the inputs.
        operators: operators to use.
        functions: LUT functions to use.
        tables: make fitted tables, which stand for any function; otherwise the operators and
            functions themselves.
    """

    names: Sequence[str]
    operators: Sequence[str]
    functions: Sequence[str] = ()
    tables: bool = True

    def library(self) -> list[Expr]:
        """Of every input, and of the simple combinations of two."""
        x: list[Expr] = [Var(n) for n in self.names]
        pairs = [(a, b) for i, a in enumerate(x) for b in x[i + 1 :]]
        sums: list[Expr] = []
        if "add" in self.operators:
            sums = [combined(a, b, f) for a, b in pairs for f in FACTORS]
        made: list[Expr] = [Call(o, pair) for o in self._of_two() for pair in pairs]
        if self.tables:
            return [Call(TABLE, (u,)) for u in (*x, *sums, *made)]
        singles = [o for o in ("square", "abs") if o in self.operators]
        found: list[Expr] = [Call(o, (u,)) for o in singles for u in x]
        return found + made + [Call(f, (u,)) for f in self.functions for u in (*x, *sums)]

    def _of_two(self) -> list[str]:
        return [o for o in ("min", "max", "mul") if o in self.operators]

    def mutants(self, terms: Sequence[Expr], count: int, rng: np.random.Generator) -> list[Expr]:
        """Terms near the given ones: one more input, one less, another combination."""
        found: dict[Expr, None] = {}
        insides = [t.args[0] for t in terms if isinstance(t, Call) and t.op == TABLE]
        parents = insides if self.tables else list(terms)
        for _ in range(count if parents and "add" in self.operators else 0):
            u, x = _any(parents, rng), Var(_any(self.names, rng))
            factor, other = _any(FACTORS, rng), _any(parents, rng)
            if self.tables:
                choices = self._inside(u, x, factor, other)
            else:
                choices = self._beside(u, x, factor, other)
            if choices:
                found[_any(choices, rng)] = None
        return [Call(TABLE, (u,)) for u in found] if self.tables else list(found)

    def _inside(self, u: Expr, x: Var, factor: float, other: Expr) -> list[Expr]:
        """What a table may be of."""
        choices = [combined(u, x, factor), combined(u, x, 2 * factor)]
        choices += [Call(o, (u, x)) for o in ("min", "max") if o in self.operators]
        choices += [combined(u, other, factor)] if other != u else []
        if isinstance(u, Call) and u.op in ("add", "sub"):
            choices += [u.args[0], combined(u.args[0], x, factor)]
        return choices

    def _beside(self, u: Expr, x: Var, factor: float, other: Expr) -> list[Expr]:
        """Products with an input or a term, and the same where an input is a sum."""
        choices: list[Expr] = [Call(o, (u, part)) for o in self._of_two() for part in (x, other)]
        inputs = [n for n in self.names if substitute(u, {n: x}) != u] if u != x else []
        choices += [substitute(u, {n: combined(Var(n), x, factor)}) for n in inputs]
        return choices + [substitute(u, {n: x}) for n in inputs]


def combined(a: Expr, b: Expr, factor: float) -> Expr:
    """``a + factor * b``, a difference where the factor is negative."""
    scaled = b if abs(factor) == 1 else Call("mul", (Num(abs(factor)), b))
    return Call("add" if factor > 0 else "sub", (a, scaled))


def _any(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
