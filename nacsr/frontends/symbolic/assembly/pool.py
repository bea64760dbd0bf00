"""The pool that classifiers are assembled from: terms, their columns, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar, Tree
from nacsr.frontends.symbolic.fitting.shapes import TABLE, shape
from nacsr.frontends.symbolic.language.expr import Call, Expr, evaluate
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.frontends.symbolic.lowering.linear import is_linear
from nacsr.luts import LutFunc

Real = NDArray[np.float64]

MOST_TERMS = 1_600
"""Of a pool: their columns stay in memory."""
LEAST_SPREAD = 1e-6
STIFF = 0.02
"""Added to what a term's columns have of their own: what has nearly none promises nothing."""


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

    @property
    def width(self) -> int:
        """Most columns of a term."""
        return max((s.stop - s.start for s in self.spans), default=1)

    def padded(self, rows: Real) -> Real:
        """Rows that belong to columns, shape (columns, ...), by term: (terms, width, ...); zero
        where a term has fewer columns.
        """
        ghost = np.concatenate([rows, np.zeros((1, *rows.shape[1:]))])
        at = np.full((len(self.spans), self.width), len(rows))
        for i, span in enumerate(self.spans):
            at[i, : span.stop - span.start] = np.arange(span.start, span.stop)
        found: Real = ghost[at]
        return found

    def inner(self, columns: NDArray[np.float32]) -> Real:
        """Mean products with other columns (rows, n) by term, shape (terms, width, n)."""
        products = self.columns.T @ columns / np.float32(len(columns))
        return self.padded(products.astype(np.float64))

    def only(self, suits: Callable[[Expr], bool]) -> Pool:
        """The terms that suit, without the columns of the others."""
        kept = [i for i, term in enumerate(self.terms) if suits(term)]
        if len(kept) == len(self.terms):
            return self
        ends = np.cumsum([0, *(self.spans[i].stop - self.spans[i].start for i in kept)]).tolist()
        at = [column for i in kept for column in range(self.spans[i].start, self.spans[i].stop)]
        terms, trees = tuple(self.terms[i] for i in kept), tuple(self.trees[i] for i in kept)
        spans = tuple(slice(a, b) for a, b in pairwise(ends))
        return Pool(terms, trees, self.columns[:, at], spans)

    def gains(self, slopes: Real, noise: Real, left: Real, rows: float) -> Real:
        """How much each term promises to each output: twice the log-likelihood per row that a
        Newton step would win, less Akaike's two units for each of its columns.

        Rao's score test of new columns beside fitted ones: what these explain of a column
        already is taken off its curvature, or what correlates with them would promise nothing.

        Args:
            slopes: mean products with the derivatives by the outputs, see ``inner``, shape
                (terms, width, outputs).
            noise: mean second derivatives, shape (outputs,).
            left: covariance of every term's columns that the fitted ones do not explain, by
                output, shape (outputs, terms, width, width).
            rows: how many equal ones the events are worth, see ``Goal.rows``.

        Returns:
            shape (terms, outputs); not positive where a term promises nothing.
        """
        counts = np.array([s.stop - s.start for s in self.spans])
        found = np.empty(slopes.shape[::2])
        for output, covariance in enumerate(left):
            g = slopes[:, :, output, None]
            solved = np.linalg.solve(covariance + STIFF * np.eye(self.width), g)
            found[:, output] = (g * solved).sum(axis=(1, 2)) / noise[output]
        promised: Real = found - 2 * counts[:, None] / rows
        return promised

    def unexplained(self, basis: NDArray[np.float32]) -> Real:
        """Covariance of every term's columns beside an orthonormal basis, shape
        (terms, width, width).
        """
        rest: Real = np.eye(self.width) - squared(self.inner(basis))
        return rest


class Source:
    """Makes pools from expressions on one set of events.

    Args:
        columns: values of every variable, each of shape (events,).
        weights: how much each event counts; None: all the same.
        bits: of the address of a fitted table.
        precision: the working type.
        targets: what tables are for, shape (events, outputs).
    """

    def __init__(
        self,
        grammar: Grammar,
        columns: Mapping[str, Real],
        weights: Real | None,
        luts: Mapping[str, LutFunc],
        bits: int,
        precision: Fixed,
        targets: Real | None = None,
    ) -> None:
        self.grammar, self.columns, self.weights = grammar, columns, weights
        self.targets, self.bits, self.names = targets, bits, tuple(columns)
        self.luts, self.chip = luts, Chip(columns, luts, precision)

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
        rows = len(next(iter(self.columns.values())))
        columns = np.hstack([np.empty((rows, 0), np.float32), *found.values()])
        return Pool(tuple(found), trees, columns, spans)

    def allowed(self, terms: Iterable[Expr]) -> list[Expr]:
        """Those that keep the limits of one term."""
        return [t for t in terms if self.grammar.allows(self.grammar.tree(t, self.names))]

    def _columns(self, term: Expr) -> Real | None:
        fitted = isinstance(term, Call) and term.op == TABLE
        inner = term.args[0] if isinstance(term, Call) and fitted else term
        values = evaluate(inner, self.columns, self.luts)
        if not np.isfinite(values).all():
            return None
        if fitted:
            return self._shapes(inner, values)
        values = self.chip.value(term)
        mean = np.average(values, weights=self.weights)
        spread = float(np.sqrt(np.average((values - mean) ** 2, weights=self.weights)))
        return ((values - mean) / spread)[:, None] if spread > LEAST_SPREAD else None

    def _shapes(self, inner: Expr, values: Real) -> Real | None:
        def read(domain: Fixed) -> Real:
            return self.chip.argument(inner, domain)

        found = shape(values, self.weights, self.bits, targets=self.targets, read=read)
        return None if found is None else found.columns(read(found.domain))


def squared(inner: Real) -> Real:
    """Products of (terms, width, n) with itself over the last axis, (terms, width, width)."""
    found: Real = inner @ inner.transpose(0, 2, 1)
    return found


def drawn(terms: Sequence[Expr], beside: int, rng: np.random.Generator) -> list[Expr]:
    """As many of some terms as fit into a pool beside others, at random if these are not all."""
    room = max(MOST_TERMS - beside, 0)
    if len(terms) <= room:
        return list(terms)
    return [terms[i] for i in np.sort(rng.permutation(len(terms))[:room]).tolist()]


def counted(columns: NDArray[np.float32], weights: Real | None) -> NDArray[np.float32]:
    """Columns, shape (rows, n), times the weights of the rows: then products are weighted."""
    return columns if weights is None else columns * weights[:, None].astype(np.float32)


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


class _Uncentred(Hardware):
    """Prices where inputs come as they are: a table absorbs their offsets."""

    def _term(self, tree: Tree) -> tuple[float, frozenset[Tree]]:
        return (0.0, frozenset()) if len(tree) == 1 else super()._term(tree)


class Prices:
    """What terms cost in LUTs: parts that outputs share, and a link to each output.

    In a sum an adder takes a LUT a bit: what a lone one takes more is taken once a sum.
    """

    def __init__(self, pool: Pool, hardware: Hardware, dsp_luts: float) -> None:
        costs = hardware.costs
        bare = _Uncentred(hardware.grammar, costs, hardware.period)
        self._area: dict[tuple[str, Tree], float] = {}
        self._needs: list[frozenset[tuple[str, Tree]]] = []
        links = []
        for term, tree in zip(pool.terms, pool.trees, strict=True):
            table = isinstance(term, Call) and term.op == TABLE
            free = isinstance(term, Call) and table and is_linear(term.args[0])
            model, kind = (bare, "bare") if free else (hardware, "")
            needs = frozenset((kind, part) for part in model.term(tree)[1])
            for _, part in needs:
                luts, dsps = model.part(part)
                self._area[kind, part] = luts + dsp_luts * dsps
            self._needs.append(needs)
            entry, adder = ("table", "entry") if table else ("const_mul", "sum")
            links.append(costs[entry].luts + costs[adder].luts)
        self.links = np.array(links)
        self._present: frozenset[tuple[str, Tree]] = frozenset()

    def shared(self) -> Real:
        """LUTs of each term's parts that are not there yet, shape (terms,)."""
        # exact, for a set has no order that a seed decides
        new = [fsum(self._area[p] for p in needs - self._present) for needs in self._needs]
        return np.array(new, dtype=np.float64)

    def take(self, term: int) -> None:
        """Have the term in the design."""
        self._present |= self._needs[term]
