"""The pool that classifiers are assembled from: terms, their columns, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.trees import Grammar, Tree
from nacsr.frontends.symbolic.expr import Call, Expr, Num, Var, evaluate
from nacsr.frontends.symbolic.shapes import TABLE, shape
from nacsr.luts import LutFunc

Real = NDArray[np.float64]

MOST_TERMS = 1_200
"""Of a pool: their columns stay in memory."""
LEAST_SPREAD = 1e-6
FACTORS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
"""Of the second part of a sum inside a table: a shift or a sign, which are free."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Candidate terms.

    Attributes:
        terms: the terms; ``table(u)`` is one whose table is still to be fitted.
        trees: the same as the hardware model reads them.
        columns: float32, shape (rows, columns); those of one term have mean zero, unit variance
            and no correlation.
        spans: where the columns of each term are.
    """

    terms: tuple[Expr, ...]
    trees: tuple[Tree, ...]
    columns: NDArray[np.float32]
    spans: tuple[slice, ...]

    def gains(self, errors: Real, curvature: Real) -> Real:
        """How much each term promises to each output: twice the log-likelihood per row that a
        Newton step on its columns would win, less Akaike's two units for each of them.

        Args:
            errors: derivatives by the outputs, shape (rows, outputs).
            curvature: mean second derivatives, shape (outputs,).

        Returns:
            shape (terms, outputs); not positive where a term promises nothing.
        """
        rows = len(errors)
        gradient = self.columns.T @ errors.astype(np.float32) / rows
        starts = [s.start for s in self.spans]
        counts = np.array([s.stop - s.start for s in self.spans])
        squares = np.add.reduceat(gradient.astype(np.float64) ** 2, starts, axis=0) / curvature
        promised: Real = squares - 2 * counts[:, None] / rows
        return promised


class Source:
    """Makes pools from expressions on one set of events.

    Args:
        columns: values of every variable, each of shape (events,).
        weights: how much each event counts; None: all the same.
        bits: of the address of a fitted table.
    """

    def __init__(
        self,
        grammar: Grammar,
        columns: Mapping[str, Real],
        weights: Real | None,
        luts: Mapping[str, LutFunc],
        bits: int,
    ) -> None:
        self.grammar, self.columns, self.weights = grammar, columns, weights
        self.luts, self.bits, self.names = luts, bits, tuple(columns)

    def pool(self, terms: Iterable[Expr]) -> Pool:
        """The distinct terms that vary and are finite."""
        found: dict[Expr, NDArray[np.float32]] = {}
        for term in dict.fromkeys(terms):
            made = self._columns(term)
            if made is not None:
                found[term] = made.astype(np.float32)
            if len(found) >= MOST_TERMS:
                break
        ends = np.cumsum([0, *(c.shape[1] for c in found.values())]).tolist()
        trees = tuple(self.grammar.tree(term, self.names) for term in found)
        spans = tuple(slice(a, b) for a, b in pairwise(ends))
        return Pool(tuple(found), trees, np.hstack(list(found.values())), spans)

    def _columns(self, term: Expr) -> Real | None:
        fitted = isinstance(term, Call) and term.op == TABLE
        inner = term.args[0] if isinstance(term, Call) and fitted else term
        values = evaluate(inner, self.columns, self.luts)
        if not np.isfinite(values).all():
            return None
        if fitted:
            found = shape(values, self.weights, self.bits)
            return None if found is None else found.columns(values)
        mean = np.average(values, weights=self.weights)
        spread = float(np.sqrt(np.average((values - mean) ** 2, weights=self.weights)))
        return ((values - mean) / spread)[:, None] if spread > LEAST_SPREAD else None


def joined(a: Pool, b: Pool) -> Pool:
    """Both pools as one; a term of both counts once."""
    new = [i for i, term in enumerate(b.terms) if term not in set(a.terms)]
    spans, end = list(a.spans), a.columns.shape[1]
    for i in new:
        width = b.spans[i].stop - b.spans[i].start
        spans.append(slice(end, end + width))
        end += width
    columns = np.hstack([a.columns, *(b.columns[:, b.spans[i]] for i in new)])
    terms = (*a.terms, *(b.terms[i] for i in new))
    return Pool(terms, (*a.trees, *(b.trees[i] for i in new)), columns, tuple(spans))


def library(names: Sequence[str], operators: Sequence[str]) -> list[Expr]:
    """Tables of every input, and of the simple combinations of two."""
    x: list[Expr] = [Var(n) for n in names]
    inner: list[Expr] = list(x)
    pairs = [(a, b) for i, a in enumerate(x) for b in x[i + 1 :]]
    if "add" in operators:
        inner += [combined(a, b, f) for a, b in pairs for f in FACTORS]
    inner += [Call(o, (a, b)) for o in ("min", "max", "mul") if o in operators for a, b in pairs]
    return [Call(TABLE, (u,)) for u in inner]


def combined(a: Expr, b: Expr, factor: float) -> Expr:
    """``a + factor * b``, a difference where the factor is negative."""
    scaled = b if abs(factor) == 1 else Call("mul", (Num(abs(factor)), b))
    return Call("add" if factor > 0 else "sub", (a, scaled))


def mutants(
    terms: Sequence[Expr],
    names: Sequence[str],
    operators: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[Expr]:
    """Terms near the given ones: one more input, one less, another combination."""
    found: dict[Expr, None] = {}
    tables = [t for t in terms if isinstance(t, Call) and t.op == TABLE]
    for _ in range(count if tables and "add" in operators else 0):
        u = tables[int(rng.integers(len(tables)))].args[0]
        x = Var(names[int(rng.integers(len(names)))])
        factor = FACTORS[int(rng.integers(len(FACTORS)))]
        other = tables[int(rng.integers(len(tables)))].args[0]
        choices: list[Expr] = [combined(u, x, factor), combined(u, x, 2 * factor)]
        choices += [Call(o, (u, x)) for o in ("min", "max") if o in operators]
        choices += [combined(u, other, factor)] if other != u else []
        if isinstance(u, Call) and u.op in ("add", "sub"):
            choices += [u.args[0], combined(u.args[0], x, factor)]
        found[Call(TABLE, (choices[int(rng.integers(len(choices)))],))] = None
    return list(found)


class Prices:
    """What a link to each term costs in LUTs, given the parts that are there already."""

    def __init__(self, pool: Pool, hardware: Hardware, dsp_luts: float) -> None:
        self._needs = [hardware.term(tree)[1] for tree in pool.trees]
        self._area = {
            part: hardware.part(part)[0] + dsp_luts * hardware.part(part)[1]
            for needs in self._needs
            for part in needs
        }
        links = (hardware.link(tree) for tree in pool.trees)
        self._links = np.array([luts + dsp_luts * dsps for luts, dsps in links])
        self._present: frozenset[Tree] = frozenset()

    def of_links(self) -> Real:
        """LUTs, shape (terms,)."""
        new = [sum(self._area[p] for p in needs - self._present) for needs in self._needs]
        total: Real = np.array(new) + self._links
        return total

    def take(self, term: int) -> None:
        """Have the term in the design."""
        self._present |= self._needs[term]
