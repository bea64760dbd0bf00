"""Assembly: prices that outputs share, limits, promises kept, and better terms bred."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.cost.schedule import period_ns
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic.assembly.assemble import (
    Limits,
    Path,
    Style,
    assemble,
    enriched,
    expressions,
    ladder,
)
from nacsr.frontends.symbolic.assembly.breeding import Breeder
from nacsr.frontends.symbolic.assembly.pool import Pool, Prices, Source, joined
from nacsr.frontends.symbolic.engines.costs import search_costs
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar
from nacsr.frontends.symbolic.fitting.calibrate import Grids, calibrate
from nacsr.frontends.symbolic.fitting.newton import Fit, Goal, newton, one_hot
from nacsr.frontends.symbolic.fitting.shapes import OPEN, TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Var, evaluate, size
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import lut_functions
from tests.unit.test_symbolic_frontend import make_problem

NAMES = ("a", "b", "c")
ROWS = 1500
WORKING = Fixed(16, 6)
LUTS = lut_functions()
FREE = Limits(200, 12, 100.0)
RNG = np.random.default_rng(7)
Z = RNG.normal(size=(ROWS, 3))
COLUMNS = dict(zip(NAMES, Z.T, strict=True))
GRAMMAR = Grammar(3, (), tuple(LUTS), 200, 200, tables=True)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    problem: Problem = make_problem(Z, (Z[:, 0] > 0).astype(np.int64), NAMES, ("no", "yes"))
    return Hardware(GRAMMAR, search_costs(problem, Fixed(16, 6), 6), period_ns(200.0))


def source_of(weights: np.ndarray | None = None) -> Source:
    return Source(GRAMMAR, COLUMNS, weights, LUTS, 6, WORKING)


def term(text: str) -> Expr:
    return parse(text, NAMES, {**LUTS, TABLE: OPEN})


def pool_of(*texts: str, weights: np.ndarray | None = None) -> Pool:
    return source_of(weights).pool([term(t) for t in texts])


def classes_of(score: np.ndarray) -> Goal:
    return Goal(one_hot(score.argmax(axis=1), score.shape[1]))


def fitted(pool: Pool, goal: Goal, path: Path, count: int) -> float:
    """The loss of the first links of a path, all their weights fitted."""
    columns = [[np.full((ROWS, 1), goal.unit)] for _ in range(goal.outputs)]
    for place, where in path.links[:count]:
        columns[where].append(pool.columns[:, pool.spans[place]] * goal.unit)
    fit = Fit(tuple(np.hstack(c).astype(np.float64) for c in columns), goal)
    total = fit.spans[-1].stop
    return goal.loss(fit.outputs(newton(fit, np.zeros(total), np.ones(total, bool), 8)))


# ---- prices and limits


def test_what_is_there_is_not_paid_again(hardware: Hardware) -> None:
    pool = pool_of("a*b", "table(a*b)", "c*c", "table(a*b + c*c)")
    prices = Prices(pool, hardware, 100.0)
    alone = prices.shared() + prices.links
    prices.take(0)
    after = prices.shared() + prices.links
    saved = alone - after
    assert saved[0] > 100  # the DSP of the product
    assert (after > 0).all()  # a weight, or entries, of its own, and an addition
    assert saved[1] == pytest.approx(saved[0])
    assert saved[2] == 0
    assert saved[3] == pytest.approx(saved[0])
    prices.take(0)
    assert ((prices.shared() + prices.links) == after).all()


def test_outputs_share_the_dearest_term(hardware: Hardware) -> None:
    product = Z[:, 0] * Z[:, 1]
    goal = classes_of(np.stack([product, np.zeros(ROWS), -product], axis=1))
    pool = pool_of("a", "b", "c", "a*b", "a*b*c", "b*(a + c)")
    path = assemble(pool, goal, hardware, FREE, Style(1.0))
    places = [place for place, _ in path.links]
    assert pool.terms[places[0]] == term("a*b")
    assert len({where for place, where in path.links if place == places[0]}) >= 2
    assert len(set(path.links)) == len(path.links)


@pytest.mark.parametrize("style", [Style(0.0), Style(0.0, together=True)])
@pytest.mark.parametrize("change", [{"max_size": 14}, {"max_cycles": 1}, {"max_links": 3}])
def test_limits_hold_at_every_step(
    hardware: Hardware, change: dict[str, int], style: Style
) -> None:
    goal = classes_of(np.stack([Z[:, 0] * Z[:, 1], Z[:, 2], -Z[:, 0]], axis=1))
    pool = pool_of("a", "b", "c", "a*b", "sin(a*b*c)*c", "table(a - b)", "max(a, b)")
    free = assemble(pool, goal, hardware, FREE, style)
    limits = replace(FREE, **change)
    path = assemble(pool, goal, hardware, limits, style)
    assert path.links
    assert path.links != free.links
    assert len(path.links) <= limits.max_links
    sums = expressions(pool, hardware, path.links, ["x", "y", "z"])
    assert all(size(e) <= limits.max_size for e in sums.values())
    for output in range(3):
        trees = [pool.trees[place] for place, where in path.links if where == output]
        assert hardware.cycles(trees) <= limits.max_cycles


@pytest.mark.parametrize("style", [Style(0.0), Style(0.0, together=True)])
@pytest.mark.parametrize("change", [{"max_luts": 120}, {"max_dsps": 0}])
def test_area_limits_hold(hardware: Hardware, change: dict[str, float], style: Style) -> None:
    goal = classes_of(np.stack([Z[:, 0] * Z[:, 1], Z[:, 2], -Z[:, 0]], axis=1))
    pool = pool_of("a", "b", "c", "a*b", "table(a*b)", "table(a - b)", "max(a, b)")
    free = assemble(pool, goal, hardware, FREE, style)
    path = assemble(pool, goal, hardware, replace(FREE, **change), style)
    assert path.links
    assert path.links != free.links
    for output in range(3):
        cost = hardware.total([pool.trees[p] for p, where in path.links if where == output])
        assert cost.luts <= change.get("max_luts", np.inf)
        assert cost.dsps <= change.get("max_dsps", np.inf)


def test_no_link_without_a_promise(hardware: Hardware) -> None:
    noise = one_hot(np.random.default_rng(1).integers(0, 2, ROWS), 2)
    path = assemble(pool_of("a", "b", "c"), Goal(noise), hardware, FREE, Style(1.0))
    assert len(path.links) <= 1  # Akaike's criterion lets one of six noise terms in at times


# ---- regressions and the ladder


@pytest.mark.parametrize("scale", [1e-3, 1.0, 500.0])
def test_a_regression_gets_better_with_every_rung(hardware: Hardware, scale: float) -> None:
    y = scale * (40 + 2 * Z[:, 0] + np.sin(2 * Z[:, 1]) + 0.3 * Z[:, 0] * Z[:, 2])
    goal = Goal(y[:, None], regression=True)
    pool = pool_of("a", "b", "c", "table(b)", "a*c", "table(a - c)", "table(a + c)")
    path = assemble(pool, goal, hardware, FREE, Style(1.0))
    counts = ladder(1, len(path.links), 4)
    losses = [fitted(pool, goal, path, n) for n in counts]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.05 * losses[0]
    assert {term("a"), term("table(b)")} <= {pool.terms[p] for p, _ in path.links}


@pytest.mark.parametrize("offset", [10.3, 25.8, -13.7])
@pytest.mark.parametrize("formula", ["a + 0", "table(a) + 0"])
def test_a_regression_keeps_its_offset(offset: float, formula: str) -> None:
    """An addition of any constant costs the same: there are no digits to save."""
    y = offset + Z[:, 0]
    goal, grids = Goal(y[:, None], regression=True), Grids(Fixed(16, 6), 6)
    fitted = calibrate({"y": term(formula)}, COLUMNS, goal, LUTS, grids)
    sums, tables = fitted.rounded(10)
    residual = y - evaluate(sums["y"], COLUMNS, {**LUTS, **tables})
    assert abs(residual.mean()) < 0.01
    assert residual.std() < 0.2


@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 12))
def test_a_ladder_has_its_ends_and_rises(low: int, more: int, rungs: int) -> None:
    found = ladder(low, low + more, rungs)
    assert len(found) <= max(rungs, 0)
    assert found == sorted(set(found))
    assert not rungs or found[-1] == low + more
    assert rungs < 2 or not more or found[0] == low


# ---- promises


def states(weights: np.ndarray | None) -> list[tuple[Goal, np.ndarray]]:
    """Goals, and the sums of their outputs where weights of all links but offsets are small."""
    score = np.stack([Z[:, 0] * Z[:, 1], 0.5 * Z[:, 2], np.zeros(ROWS)], axis=1)
    many = Goal(one_hot((score + RNG.gumbel(size=score.shape)).argmax(axis=1), 3), weights)
    p = 1 / (1 + np.exp(-0.6 * Z[:, 0] * Z[:, 1]))
    two = Goal(one_hot((RNG.uniform(size=ROWS) < p).astype(np.int64), 2), weights)
    y = 5 * Z[:, 2] + Z[:, 0] * Z[:, 1] + RNG.normal(size=ROWS)
    line = Goal(y[:, None], weights, regression=True)
    return [(many, 0.2 * score), (two, np.zeros((ROWS, 1))), (line, 5 * Z[:, 2:])]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_gains_are_what_a_newton_step_wins(which: int, weighted: bool) -> None:
    heavy = RNG.uniform(0.5, 1.5, ROWS)
    weights = heavy / heavy.mean() if weighted else None
    goal, sums = states(weights)[which]
    pool = pool_of("a", "a*b", "table(a*b)", "table(c)", weights=weights)
    alone = pool.unexplained(np.empty((ROWS, 0), np.float32))
    left = np.stack([alone] * goal.outputs)
    slopes = pool.inner((goal.errors(sums) * goal.unit).astype(np.float32))
    gains = pool.gains(slopes, goal.noise(sums), left, goal.rows)
    for row, span in zip(gains, pool.spans, strict=True):
        columns = pool.columns[:, span].astype(np.float64)
        for output in range(goal.outputs):
            promised = row[output] + 2 * columns.shape[1] / ROWS
            won = 2 * _won(goal, sums, columns, output)
            assert promised == pytest.approx(won, rel=0.35, abs=0.004)


def _won(goal: Goal, sums: np.ndarray, columns: np.ndarray, output: int) -> float:
    """What the best weights of some columns win of the log-likelihood of one row."""
    unit, heavy = goal.unit, np.ones(ROWS) if goal.weights is None else goal.weights
    weights = np.zeros(columns.shape[1])
    for _ in range(1 if goal.regression else 6):
        moved = sums.copy()
        moved[:, output] += unit * columns @ weights
        gradient = columns.T @ (goal.errors(moved)[:, output] * unit) / ROWS
        curve = goal.curvature(moved)[output, output] * unit**2
        weights += np.linalg.solve(columns.T @ (curve[:, None] * columns) / ROWS, gradient)
    moved = sums.copy()
    moved[:, output] += unit * columns @ weights
    if goal.regression:  # of Gaussian errors with a spread of their own
        before, after = (
            np.average((goal.targets - s)[:, 0] ** 2, weights=heavy) for s in (sums, moved)
        )
        return float(1 - after / before) / 2
    return goal.loss(sums) - goal.loss(moved)


def test_what_fitted_columns_explain_is_no_gain() -> None:
    """Of two nearly equal columns the second promises what it wins beside the first."""
    rng = np.random.default_rng(8)
    a, own = rng.normal(size=(2, ROWS))
    y = a + 0.5 * own
    goal = Goal(y[:, None], regression=True)
    columns = {"a": a, "b": (a + 0.3 * own) / np.hypot(1, 0.3), "c": rng.normal(size=ROWS)}
    grammar = Grammar(3, (), (), 9, 4)
    pool = Source(grammar, columns, None, {}, 6, WORKING).pool([Var(n) for n in columns])
    basis = pool.columns[:, :1]
    errors = (y - a)[:, None] / goal.unit
    noise = np.array([np.mean(errors**2)])
    beside = pool.gains(
        pool.inner(errors.astype(np.float32)), noise, pool.unexplained(basis)[None], goal.rows
    )
    naive = pool.gains(
        pool.inner(errors.astype(np.float32)),
        noise,
        pool.unexplained(basis[:, :0])[None],
        goal.rows,
    )
    assert naive[1, 0] < 0.2  # its correlation with the error is small
    assert beside[1, 0] > 0.5  # but it explains nearly all of it, beside the first
    assert beside[2, 0] < 0.05


# ---- new terms


def slope(inner: Expr) -> np.ndarray:
    """The derivatives of a subexpression by the inputs, the largest made one; not of a kink."""
    at = {n: np.array([0.0, *(float(n == m) for m in NAMES)]) for n in NAMES}
    values = evaluate(inner, at, LUTS)
    slopes = values[1:] - values[0]
    return slopes / (np.abs(slopes).max() or 1.0)


def test_breeding_finds_the_sum_of_three_inputs(hardware: Hardware) -> None:
    u = Z[:, 0] + Z[:, 1] - Z[:, 2]
    goal = Goal(one_hot((np.abs(u) < 1).astype(np.int64), 2))
    source = source_of()
    pool = first = source.pool([*map(Var, NAMES), *Breeder(NAMES, ["add"]).library()])
    rng = np.random.default_rng(1)
    for _ in range(2):
        path = assemble(pool, goal, hardware, FREE, Style(1.0))
        pool = enriched(pool, path, source, Breeder(NAMES, ["add"]), 400, rng)
    assert pool.terms[: len(first.terms)] == first.terms
    assert len(set(pool.terms)) == len(pool.terms)
    answers = [
        t
        for t in pool.terms
        if isinstance(t, Call)
        and t.op == TABLE
        and np.allclose(slope(t.args[0]) * slope(t.args[0])[0], [1, 1, -1])
    ]
    assert answers
    before, after = (assemble(p, goal, hardware, FREE, Style(1.0)) for p in (first, pool))
    assert pool.terms[after.links[0][0]] in answers
    assert fitted(pool, goal, after, 1) < 0.3 * fitted(first, goal, before, 1)


def test_breeding_from_nothing_new_keeps_the_pool(hardware: Hardware) -> None:
    """Of few inputs most mutants are there already, or do not vary, such as ``table(a - a)``."""
    goal = Goal(one_hot((np.abs(Z[:, 0]) < 1).astype(np.int64), 2))
    one = Source(Grammar(1, (), (), 200, 200, tables=True), {"a": Z[:, 0]}, None, {}, 6, WORKING)
    pool = one.pool([Var("a"), Call(TABLE, (Var("a"),))])
    path = assemble(pool, goal, hardware, FREE, Style(1.0))
    for seed in range(40):
        found = enriched(pool, path, one, Breeder(["a"], ["add"]), 1, np.random.default_rng(seed))
        assert found.terms[:2] == pool.terms
        assert np.isfinite(found.columns).all()


def test_terms_that_do_not_vary_or_are_not_finite_are_no_terms() -> None:
    pool = pool_of("a", "a - a", "table(b - b)", "a", "1/(c - c)", "a*b")
    assert pool.terms == (term("a"), term("a*b"))
    both = joined(pool, pool_of("a*b", "table(c)"))
    assert both.terms == (term("a"), term("a*b"), term("table(c)"))
    assert np.allclose(both.columns.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(
        np.cov(both.columns[:, both.spans[2]].T),
        np.eye(both.spans[2].stop - both.spans[2].start),
        atol=2e-3,
    )
