"""Assembly: whole designs out of the terms that the searches of all outputs found.

Forward selection on the likelihood: the next link is the pair of a term and an output whose
weight, or fitted table, promises the largest gain for its cost. A term that one output uses
already costs another a weight and an addition only, so outputs share terms; expressions that
were found one class against the rest know nothing of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.assembly.breeding import Breeder
from nacsr.frontends.symbolic.assembly.pool import Pool, Prices, Source, counted, joined, squared
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.sums import earliest_first
from nacsr.frontends.symbolic.fitting.newton import Fit, Goal, newton, one_step
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var
from nacsr.metrics import effective

Real = NDArray[np.float64]
Link = tuple[int, int]  # term, output

EVERY = 4
"""Links after which all weights are fitted again; between, only those of the new link are."""
LEAST_OWN = 1e-3
"""Variance beside fitted columns below which a column adds nothing."""
RUNGS = 4
"""Points of a path at which new terms are tried."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one output's expression: nodes and clock cycles. Of the choice: a DSP in LUTs, links."""

    max_size: int
    max_cycles: int
    dsp_luts: float
    max_luts: float = math.inf
    max_dsps: float = math.inf
    max_links: int = 120


@dataclass(frozen=True, slots=True)
class Style:
    """How links are chosen.

    Attributes:
        thrift: gains are divided by cost to this power; 0 looks at the gain only.
        reference: leave the class that is hardest to tell from the others without links: its
            score is a constant, as one class's may be (a regression has no such output).
        together: link a term to all outputs at once, which share what it costs.
        terms: ``single``: tables of single inputs only, the leanest designs there are; ``plain``:
            no tables, which follow noise where events are few; ``any``.
    """

    thrift: float
    reference: bool = False
    together: bool = False
    terms: Literal["any", "single", "plain"] = "any"


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Errors (rows, outputs) and noise (outputs,) of a fit, and how many columns of the path's
    basis span all that are in it.
    """

    errors: NDArray[np.float32]
    noise: Real
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Links in the order of their selection, how far the fit was at some points, and an
    orthonormal basis of all columns that are in it, (rows, n).
    """

    links: tuple[Link, ...]
    states: tuple[State, ...]
    basis: NDArray[np.float32]


def assemble(pool: Pool, goal: Goal, hardware: Hardware, limits: Limits, style: Style) -> Path:
    """Select links step by step: every beginning of the path is a design.

    It ends when no link promises more than Akaike's criterion asks of it, or when the limits
    leave no room.

    Args:
        pool: the terms.
        goal: what the outputs are fitted to, on the rows of the pool.
        hardware: prices of terms.
        limits: of the expression of each output, and of the path.
        style: how links are chosen.
    """
    work = _Assembly(pool, goal, hardware, limits)
    states: list[State] = []
    while len(work.links) < limits.max_links:
        errors, noise = work.state()
        states.append(State(errors.astype(np.float32), noise, work.basis.shape[1]))
        gains = work.gains(errors, noise)
        if style.reference and not goal.regression and not work.links:
            work.open[:, int(np.argmin(gains.max(axis=0)))] = False
        step = work.together(gains, style) if style.together else work.alone(gains, style)
        if not step:
            break
        for term, output in step:
            work.link(term, output)
    rungs = np.unique(np.linspace(0, len(states) - 1, RUNGS).round().astype(int))
    return Path(tuple(work.links), tuple(states[i] for i in rungs), work.basis)


class _Assembly:
    """The links chosen so far, and the weights that fit them."""

    def __init__(self, pool: Pool, goal: Goal, hardware: Hardware, limits: Limits) -> None:
        self.pool, self.goal, self.hardware, self.limits = pool, goal, hardware, limits
        self.prices = Prices(pool, hardware, limits.dsp_luts)
        self.open = np.ones((len(pool.terms), goal.outputs), bool)
        self.links: list[Link] = []
        self.chosen: list[list[int]] = [[] for _ in range(goal.outputs)]
        ones = np.full((len(goal.targets), 1), goal.unit, np.float32)
        self._columns: list[NDArray[Any]] = [ones for _ in self.chosen]
        self._weights = np.zeros(goal.outputs)
        self._fitted, self._stepped = -EVERY, 0
        self.basis = np.empty((len(ones), 0), np.float32)
        self._bases = [self.basis for _ in self.chosen]
        self._left = np.stack([pool.unexplained(self.basis) for _ in self.chosen])
        self._new: list[tuple[int, NDArray[np.float32]]] = []

    def state(self) -> tuple[Real, Real]:
        """Errors and noise of the links with their weights fitted."""
        fit = Fit(tuple(self._columns), self.goal)
        if len(self.links) - self._fitted >= EVERY:
            self._weights = newton(fit, self._weights, np.ones(len(self._weights), bool), 2)
            self._fitted = len(self.links)
        else:
            for term, where in self.links[self._stepped :]:
                width, end = _width(self.pool, term), self._columns[where].shape[1]
                self._weights = one_step(fit, self._weights, where, slice(end - width, end))
        self._stepped = len(self.links)
        sums = fit.outputs(self._weights)
        errors = self.goal.errors(sums) * self.goal.unit
        for output, basis in enumerate(self._bases):  # what a better fit would take off anyway
            left = errors[:, output].astype(np.float32)
            errors[:, output] -= self._counted(basis) @ (basis.T @ left / len(left))
        return errors, self.goal.noise(sums)

    def _counted(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        return counted(columns, self.goal.weights)

    def gains(self, errors: Real, noise: Real) -> Real:
        """What every term promises to every output; see ``Pool.gains``.

        All columns of the pool are read once, which is what takes the time: for the errors, and
        for what the links since the last call explain.
        """
        parts = [errors.astype(np.float32), *(columns for _, columns in self._new)]
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        slopes, *explained = np.split(self.pool.inner(np.hstack(parts)), ends, axis=2)
        for (where, _), inner in zip(self._new, explained, strict=True):
            self._left[where] -= squared(inner)
        self._new.clear()
        return self.pool.gains(slopes, noise, self._left, self.goal.rows)

    def alone(self, gains: Real, style: Style) -> list[Link]:
        """The link of the best gain for its cost that the limits allow."""
        score = np.where(self.open & (gains > 0), gains, 0.0)
        score /= (self.prices.shared() + self.prices.links)[:, None] ** style.thrift
        while score.any():
            term, where = divmod(int(np.argmax(score)), score.shape[1])
            if self._fits(term, where):
                return [(term, where)]
            self.open[term, where], score[term, where] = False, 0.0
        return []

    def together(self, gains: Real, style: Style) -> list[Link]:
        """The links of one term to all outputs that it promises something, the best first."""
        useful = np.where(self.open & (gains > 0), gains, 0.0)
        price = self.prices.shared() + (useful > 0).sum(axis=1) * self.prices.links
        score = useful.sum(axis=1) / np.maximum(price, 1) ** style.thrift
        while score.any():
            term = int(np.argmax(score))
            order = np.argsort(-useful[term], kind="stable").tolist()
            fitting = [(term, w) for w in order if useful[term, w] and self._fits(term, w)]
            if fitting:
                return fitting
            self.open[term], score[term] = False, 0.0
        return []

    def link(self, term: int, where: int) -> None:
        """Add a link, of no weight yet."""
        end = Fit(tuple(self._columns), self.goal).spans[where].stop
        self._weights = np.insert(self._weights, end, np.zeros(_width(self.pool, term)))
        new = self.pool.columns[:, self.pool.spans[term]] * np.float32(self.goal.unit)
        self._columns[where] = np.hstack([self._columns[where], new])
        self._explain(self.pool.columns[:, self.pool.spans[term]], where)
        self.chosen[where].append(term)
        self.links.append((term, where))
        self.open[term, where] = False
        self.prices.take(term)

    def _explain(self, columns: NDArray[np.float32], where: int) -> None:
        """Have new columns explain a part of all terms."""
        self.basis = np.hstack([self.basis, self._beyond(self.basis, columns)])
        new = self._beyond(self._bases[where], columns)
        self._bases[where] = np.hstack([self._bases[where], new])
        self._new.append((where, self._counted(new)))

    def _beyond(
        self, basis: NDArray[np.float32], columns: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """An orthonormal basis of what columns have beside another one, (rows, n)."""
        rows = np.float32(len(columns))
        rest = columns - basis @ (basis.T @ self._counted(columns) / rows)
        values, vectors = np.linalg.eigh((rest.T @ self._counted(rest) / rows).astype(np.float64))
        kept = values > LEAST_OWN
        scaled = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        made: NDArray[np.float32] = rest @ scaled
        return made

    def _fits(self, term: int, where: int) -> bool:
        """Whether the sum of an output with one term more keeps the limits."""
        trees = [self.pool.trees[t] for t in (*self.chosen[where], term)]
        if 1 + sum(len(t) + 3 for t in trees) > self.limits.max_size:
            return False
        cost, most = self.hardware.total(trees), self.limits
        fits = cost.luts <= most.max_luts and cost.dsps <= most.max_dsps
        return fits and cost.cycles <= most.max_cycles


def suits(term: Expr, style: Style) -> bool:
    """Whether a style uses a term."""
    table = isinstance(term, Call) and term.op == TABLE
    if style.terms == "single":
        return table and isinstance(term, Call) and isinstance(term.args[0], Var)
    return style.terms == "any" or not table


def _width(pool: Pool, term: int) -> int:
    span = pool.spans[term]
    return int(span.stop - span.start)


def enriched(
    pool: Pool,
    path: Path,
    source: Source,
    breeder: Breeder,
    count: int,
    rng: np.random.Generator,
) -> Pool:
    """The pool and the best of ``count`` new terms near those of a path.

    A new term is judged by the most it promises at one of the path's points, relative to the
    best of the pool there.
    """
    chosen = list(dict.fromkeys(pool.terms[t] for t, _ in path.links))
    known = set(pool.terms)
    bred = breeder.mutants(chosen, count, rng)
    fresh = [t for t in source.allowed(bred) if t not in known]
    if not fresh:
        return pool
    new = source.pool(fresh)
    if not new.terms:  # none of them varies
        return pool
    return joined(pool, _worthiest(new, pool, path, source.weights, max(count // 5, 1)))


def promising(pool: Pool, path: Path, source: Source, count: int) -> Pool:
    """The terms that promise most at one of a path's points, and all tables of single inputs."""
    best = set(_worthiest(pool, pool, path, source.weights, count).terms)
    return pool.only(lambda term: term in best or suits(term, Style(0.0, terms="single")))


def _worthiest(new: Pool, pool: Pool, path: Path, weights: Real | None, count: int) -> Pool:
    """The terms of a pool that promise most, relative to the best of another one there."""
    worth = np.zeros(len(new.terms))
    basis, rows = counted(path.basis, weights), effective(len(path.basis), weights)
    for state in path.states:
        best, promised = (_promised(p, state, basis, rows) for p in (pool, new))
        if best.max() > 0:
            worth = np.maximum(worth, promised / best.max())
    kept = {new.terms[i] for i in np.argsort(-worth, kind="stable")[:count].tolist()}
    return new.only(lambda term: term in kept)


def _promised(pool: Pool, state: State, basis: NDArray[np.float32], rows: float) -> Real:
    """What each term promises to its best output, as if all outputs had all columns."""
    left = pool.unexplained(basis[:, : state.width])
    every = np.stack([left] * len(state.noise))
    best: Real = pool.gains(pool.inner(state.errors), state.noise, every, rows).max(axis=1)
    return best


def expressions(
    pool: Pool, hardware: Hardware, links: Sequence[Link], outputs: Sequence[str]
) -> dict[str, Expr]:
    """One sum an output, each term with a weight of one, for ``calibrate`` to set."""
    sums: dict[str, Expr] = {}
    for index, name in enumerate(outputs):
        parts: list[tuple[float, Expr]] = [(0.0, Num(0.0))]
        for place, where in links:
            term = pool.terms[place]
            if where == index:
                table = isinstance(term, Call) and term.op == TABLE
                weighted = term if table else Call("mul", (Num(1.0), term))
                parts.append((hardware.weighted(pool.trees[place]), weighted))
        sums[name] = earliest_first(parts, hardware.costs["add"].delay_ns, hardware.period)
    return sums


def ladder(low: int, high: int, rungs: int) -> list[int]:
    """``rungs`` numbers from ``low`` to ``high`` in equal ratios; the ends are among them."""
    if rungs <= 1 or high <= low:
        return [high][:rungs]
    return sorted({round(n) for n in np.geomspace(low, high, rungs).tolist()})
