"""New terms for a pool: simple ones to begin with, and later ones near those that were chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

import numpy as np

from nacsr.frontends.symbolic.engines.embedded.hardware import is_power_of_two
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var, substitute
from nacsr.frontends.symbolic.lowering.linear import parts

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
        """Of every input, and of the simple combinations of two: tables, if there may be any,
        and what the operators and functions make.
        """
        x: list[Expr] = [Var(n) for n in self.names]
        pairs = [(a, b) for i, a in enumerate(x) for b in x[i + 1 :]]
        sums: list[Expr] = []
        if "add" in self.operators:
            sums = [combined(a, b, f) for a, b in pairs for f in FACTORS]
        made: list[Expr] = [Call(o, pair) for o in self._of_two() for pair in pairs]
        tables: list[Expr] = [Call(TABLE, (u,)) for u in (*x, *sums, *made) if self.tables]
        singles = [o for o in ("square", "abs") if o in self.operators]
        plain: list[Expr] = [Call(o, (u,)) for o in singles for u in x]
        called = [Call(f, (u,)) for f in self.functions for u in (*x, *([] if tables else sums))]
        return tables + plain + made + called

    def _of_two(self) -> list[str]:
        return [o for o in ("min", "max", "mul") if o in self.operators]

    def mutants(self, terms: Sequence[Expr], count: int, rng: np.random.Generator) -> list[Expr]:
        """Terms near the given ones: one more input, one less, another combination."""
        found: dict[Expr, None] = {}
        for _ in range(count if terms and "add" in self.operators else 0):
            parent, x = _any(terms, rng), Var(_any(self.names, rng))
            factor, other = _any(FACTORS, rng), _any(terms, rng)
            if _is_table(parent):
                inside = other.args[0] if _is_table(other) else other
                choices = self._inside(parent.args[0], x, factor, inside)
                made = [simplest(Call(TABLE, (u,))) for u in choices]
            else:
                made = [*self._beside(parent, x, factor, parent if _is_table(other) else other)]
            chosen = _any(made, rng) if made else None
            found |= {} if chosen is None else {chosen: None}
        return list(found)

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


def _is_table(expr: Expr) -> TypeGuard[Call]:
    return isinstance(expr, Call) and expr.op == TABLE


def gathered(expr: Expr) -> Expr | None:
    """A sum with every input once, scaled so that the first one has a factor of one: a table of
    it is the same. None if nothing is left, or a factor is no power of two, which is not free.

    Anything that is no sum of inputs stays as it is.
    """
    found = list(parts(expr))
    if None in found:
        return expr
    factors: dict[str, float] = {}
    for sign, term in (part for part in found if part is not None):
        leaves = term.args if isinstance(term, Call) else (term,)
        factor = math.prod(leaf.value for leaf in leaves if isinstance(leaf, Num))
        for leaf in leaves:  # of an offset none: a table has one of its own
            if isinstance(leaf, Var):
                factors[leaf.name] = factors.get(leaf.name, 0.0) + sign * factor
    kept = sorted((name, factor) for name, factor in factors.items() if factor)
    if not kept:
        return None
    (first, unit), *rest = kept
    whole: Expr = Var(first)
    for name, factor in rest:
        if not is_power_of_two(factor / unit):
            return None
        whole = combined(whole, Var(name), factor / unit)
    return whole


def simplest(term: Expr) -> Expr | None:
    """A term with what a table of it reads gathered; None if that is nothing."""
    if not _is_table(term):
        return term
    inside = gathered(term.args[0])
    return None if inside is None else Call(TABLE, (inside,))


def _any(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
