"""Assembly: one classifier out of the terms that the searches of all classes found.

Forward selection on the multinomial likelihood: the next link is the pair of a term and a
class whose weight promises the largest gain for its cost. A term that one class uses already
costs another class a weight and an addition only, so classes share terms; expressions that
were found one class against the rest know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.sums import earliest_first
from nacsr.frontends.symbolic.engine.trees import Tree
from nacsr.frontends.symbolic.expr import Call, Expr, Num, evaluate
from nacsr.frontends.symbolic.softmax import Fit, newton
from nacsr.luts import LutFunc

Real = NDArray[np.float64]
Link = tuple[int, int]  # term, class

NEWTON_STEPS = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one class's expression: nodes and clock cycles; of the choice: a DSP in LUTs."""

    max_size: int
    max_cycles: int
    dsp_luts: float


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Candidate terms as expressions and as trees, and their columns (rows, terms).

    Columns are centred and of unit variance.
    """

    terms: tuple[Expr, ...]
    trees: tuple[Tree, ...]
    columns: Real
    hardware: Hardware


def make_pool(
    terms: Sequence[Expr],
    names: Sequence[str],
    columns: Mapping[str, Real],
    luts: Mapping[str, LutFunc],
    hardware: Hardware,
) -> Pool:
    """The distinct terms that vary and are finite on the given events."""
    usable: list[tuple[Expr, Real]] = []
    for term in dict.fromkeys(terms):
        values = evaluate(term, columns, luts)
        spread = float(values.std()) if np.isfinite(values).all() else 0.0
        if spread > 1e-6:
            usable.append((term, (values - values.mean()) / spread))
    trees = tuple(hardware.grammar.tree(term, names) for term, _ in usable)
    table = np.stack([c for _, c in usable], axis=1)
    return Pool(tuple(t for t, _ in usable), trees, table, hardware)


def assemble(
    pool: Pool, labels: NDArray[np.int64], classes: int, limits: Limits, thrift: float
) -> list[Link]:
    """Links in the order of their selection: every beginning of the list is a classifier.

    It ends when no weight promises more than the two units of likelihood that Akaike's
    criterion asks of it, or when the limits leave no room.

    Args:
        pool: the terms.
        labels: class of every row of the pool.
        classes: number of classes.
        limits: of the expression of each class.
        thrift: gains are divided by cost to this power; 0 looks at the gain only.
    """
    prices = _Prices(pool, limits)
    open_ = np.ones((len(pool.terms), classes), bool)
    chosen: list[list[int]] = [[] for _ in range(classes)]
    weights = np.zeros(classes)
    path: list[Link] = []
    while True:
        fit = _fit(pool, labels, chosen)
        weights = newton(fit, weights, np.ones(len(weights), bool), NEWTON_STEPS)
        shares, _ = fit.shares(weights)
        errors = (labels[:, None] == np.arange(classes)) - shares
        gradient = pool.columns.T @ errors / len(labels)
        gain = gradient**2 / (shares * (1 - shares)).mean(axis=0)
        score = np.where(open_ & (gain > 2 / len(labels)), gain, 0.0)
        score /= (prices.of_links() ** thrift)[:, None]
        while score.any():
            term, where = divmod(int(np.argmax(score)), classes)
            if prices.fits([*chosen[where], term]):
                break
            open_[term, where], score[term, where] = False, 0.0
        else:
            return path
        path.append((term, where))
        weights = np.insert(weights, fit.spans[where].stop, 0.0)
        chosen[where].append(term)
        open_[term, where] = False
        prices.take(term)


def _fit(pool: Pool, labels: NDArray[np.int64], chosen: Sequence[Sequence[int]]) -> Fit:
    ones = np.ones((len(labels), 1))
    return Fit(tuple(np.hstack([ones, pool.columns[:, list(c)]]) for c in chosen), labels)


class _Prices:
    """What a link to each term costs in LUTs, given the subtrees that are there already."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self.pool, self.limits = pool, limits
        hardware = pool.hardware
        self._needs = [hardware.term(tree)[1] for tree in pool.trees]
        self._area = {
            part: hardware.part(part)[0] + limits.dsp_luts * hardware.part(part)[1]
            for needs in self._needs
            for part in needs
        }
        self._link = hardware.costs["const_mul"].luts + hardware.costs["add"].luts
        self._present: frozenset[Tree] = frozenset()

    def of_links(self) -> Real:
        """LUTs, shape (terms,)."""
        new = [sum(self._area[p] for p in needs - self._present) for needs in self._needs]
        return np.array(new) + self._link

    def fits(self, chosen: Sequence[int]) -> bool:
        """Whether a sum of these terms keeps the limits."""
        trees = [self.pool.trees[t] for t in chosen]
        if 1 + sum(len(t) + 3 for t in trees) > self.limits.max_size:
            return False
        return self.pool.hardware.cycles(trees) <= self.limits.max_cycles

    def take(self, term: int) -> None:
        """Have the term in the design."""
        self._present |= self._needs[term]


def expressions(pool: Pool, links: Sequence[Link], classes: Sequence[str]) -> dict[str, Expr]:
    """One sum a class, each term with a weight of one, for ``calibrate`` to set."""
    hardware = pool.hardware
    sums: dict[str, Expr] = {}
    for index, name in enumerate(classes):
        parts: list[tuple[float, Expr]] = [(0.0, Num(0.0))]
        for term, where in links:
            if where == index:
                weighted = Call("mul", (Num(1.0), pool.terms[term]))
                parts.append((hardware.weighted(pool.trees[term]), weighted))
        sums[name] = earliest_first(parts, hardware.costs["add"].delay_ns, hardware.period)
    return sums
