"""Assembly: whole designs out of the terms that the searches of all outputs found.

Forward selection on the likelihood: the next link is the pair of a term and an output whose
weight, or fitted table, promises the largest gain for its cost. A term that one output uses
already costs another a weight and an addition only, so outputs share terms; expressions that
were found one class against the rest know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.sums import earliest_first
from nacsr.frontends.symbolic.expr import Call, Expr, Num
from nacsr.frontends.symbolic.fitting import Fit, Goal, newton, one_step
from nacsr.frontends.symbolic.pool import Pool, Prices, Source, joined, mutants
from nacsr.frontends.symbolic.shapes import TABLE

Real = NDArray[np.float64]
Link = tuple[int, int]  # term, output

EVERY = 4
"""Links after which all weights are fitted again; between, only those of the new link are."""
RUNGS = 4
"""Points of a path at which new terms are tried."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one output's expression: nodes and clock cycles. Of the choice: a DSP in LUTs, links."""

    max_size: int
    max_cycles: int
    dsp_luts: float
    max_links: int = 120


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Links in the order of their selection, and the errors and curvatures at some points."""

    links: tuple[Link, ...]
    states: tuple[tuple[Real, Real], ...]


def assemble(pool: Pool, goal: Goal, hardware: Hardware, limits: Limits, thrift: float) -> Path:
    """Select links one by one: every beginning of the path is a design.

    It ends when no link promises more than Akaike's criterion asks of it, or when the limits
    leave no room.

    Args:
        pool: the terms.
        goal: what the outputs are fitted to, on the rows of the pool.
        hardware: prices of terms.
        limits: of the expression of each output, and of the path.
        thrift: gains are divided by cost to this power; 0 looks at the gain only.
    """
    prices, outputs, unit = Prices(pool, hardware, limits.dsp_luts), goal.outputs, goal.unit
    open_ = np.ones((len(pool.terms), outputs), bool)
    chosen: list[list[int]] = [[] for _ in range(outputs)]
    columns: list[NDArray[Any]] = [
        np.full((len(goal.targets), 1), unit, np.float32) for _ in chosen
    ]
    weights = np.zeros(outputs)
    links: list[Link] = []
    states: list[tuple[Real, Real]] = []
    while len(links) < limits.max_links:
        fit = Fit(tuple(columns), goal)
        if len(links) % EVERY == 0:
            weights = newton(fit, weights, np.ones(len(weights), bool), 1)
        else:
            where, width = links[-1][1], _width(pool, links[-1][0])
            end = columns[where].shape[1]
            weights = one_step(fit, weights, where, slice(end - width, end))
        sums = fit.outputs(weights)
        curves = goal.noise(sums)
        errors = goal.errors(sums) * unit
        states.append((errors.astype(np.float32), curves))
        gain = pool.gains(errors, curves)
        score = np.where(open_ & (gain > 0), gain, 0.0)
        score /= (prices.of_links() ** thrift)[:, None]
        while score.any():
            term, where = divmod(int(np.argmax(score)), outputs)
            if _fits(pool, hardware, limits, [*chosen[where], term]):
                break
            open_[term, where], score[term, where] = False, 0.0
        else:
            break
        links.append((term, where))
        weights = np.insert(weights, fit.spans[where].stop, np.zeros(_width(pool, term)))
        new = pool.columns[:, pool.spans[term]] * np.float32(unit)
        columns[where] = np.hstack([columns[where], new])
        chosen[where].append(term)
        open_[term, where] = False
        prices.take(term)
    rungs = np.unique(np.linspace(0, len(states) - 1, RUNGS).round().astype(int))
    return Path(tuple(links), tuple(states[i] for i in rungs))


def _width(pool: Pool, term: int) -> int:
    span = pool.spans[term]
    return int(span.stop - span.start)


def _fits(pool: Pool, hardware: Hardware, limits: Limits, chosen: Sequence[int]) -> bool:
    """Whether a sum of these terms keeps the limits."""
    trees = [pool.trees[t] for t in chosen]
    if 1 + sum(len(t) + 3 for t in trees) > limits.max_size:
        return False
    return hardware.cycles(trees) <= limits.max_cycles


def enriched(
    pool: Pool,
    path: Path,
    source: Source,
    operators: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> Pool:
    """The pool and the best of ``count`` new terms near those of a path.

    A new term is judged by the most it promises at one of the path's points, relative to the
    best of the pool there.
    """
    chosen = list(dict.fromkeys(pool.terms[t] for t, _ in path.links))
    known = set(pool.terms)
    fresh = [t for t in mutants(chosen, source.names, operators, count, rng) if t not in known]
    if not fresh:
        return pool
    new = source.pool(fresh)
    worth = np.zeros(len(new.terms))
    for errors, curves in path.states:
        best = float(pool.gains(errors, curves).max())
        if best > 0:
            worth = np.maximum(worth, new.gains(errors, curves).max(axis=1) / best)
    kept = np.argsort(-worth, kind="stable")[: max(count // 5, 1)]
    return joined(pool, source.pool([new.terms[i] for i in kept.tolist()]))


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
