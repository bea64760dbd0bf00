"""Event weights in searches: subsets keep a mean of one, and noise stays noise."""

from __future__ import annotations

import numpy as np
import pytest

from nacsr.data.events import Events, unit_mean
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.assembly.assemble import Limits, Style, assemble, enriched
from nacsr.frontends.symbolic.assembly.breeding import Breeder
from nacsr.frontends.symbolic.assembly.pool import Source, counted
from nacsr.frontends.symbolic.engines.costs import search_costs
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar
from nacsr.frontends.symbolic.engines.request import Sample
from nacsr.frontends.symbolic.fitting.newton import Goal, one_hot
from nacsr.frontends.symbolic.language.expr import Var
from nacsr.luts import lut_functions
from tests.unit.test_symbolic_frontend import make_problem

NAMES = ("a", "b", "c")
ROWS = 2_000
RNG = np.random.default_rng(11)
Z = RNG.normal(size=(ROWS, 3))
FREE = Limits(200, 12, 100.0)


def heavy(sigma: float) -> np.ndarray:
    """Weights of a few large and many small ones."""
    return unit_mean(np.random.default_rng(3).lognormal(sigma=sigma, size=ROWS))


def workshop(weights: np.ndarray) -> tuple[Hardware, Source]:
    grammar = Grammar(3, (), (), 60, 6, tables=True)
    problem = make_problem(Z, (Z[:, 0] > 0).astype(np.int64), NAMES, ("no", "yes"))
    hardware = Hardware(grammar, search_costs(problem, Fixed(16, 6), 6), 4.375)
    columns = dict(zip(NAMES, Z.T, strict=True))
    return hardware, Source(grammar, columns, weights, lut_functions(), 6, Fixed(16, 6))


def test_subsets_have_a_mean_of_one() -> None:
    weights, rows = heavy(2.0), np.arange(0, ROWS, 3)
    labels = np.zeros(ROWS, np.int64)
    parts = [
        Events(np.zeros((ROWS, 1), np.int64), labels, weights).take(rows),
        Sample(Z, Z[:, 0], NAMES, weights).take(rows),
        Goal(Z[:, :1], weights, regression=True).take(slice(None, None, 3)),
    ]
    for part in parts:
        assert part.weights is not None
        assert part.weights.mean() == pytest.approx(1.0)
        assert np.allclose(part.weights / part.weights[0], weights[rows] / weights[0])
    assert unit_mean(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_noise_is_not_signal(sigma: float) -> None:
    """Few events of large weights could look like anything."""
    weights = heavy(sigma)
    hardware, source = workshop(weights)
    pool = source.pool([*map(Var, NAMES), *Breeder(NAMES, ("add", "mul")).library()])
    found = []
    for seed in range(4):
        labels = np.random.default_rng(seed).integers(2, size=ROWS)
        goal = Goal(one_hot(labels, 2), weights)
        found.append(len(assemble(pool, goal, hardware, FREE, Style(1.0)).links))
    assert np.mean(found) <= 3


def test_what_a_weighted_path_explains_is_taken_off_new_terms() -> None:
    weights = heavy(2.0)
    hardware, source = workshop(weights)
    pool = source.pool([*map(Var, NAMES), *Breeder(NAMES, ("add", "mul")).library()])
    goal = Goal((Z[:, :1] * Z[:, 1:2]) + Z[:, 2:], weights, regression=True)
    path = assemble(pool, goal, hardware, FREE, Style(1.0))
    assert path.links
    left = pool.unexplained(counted(path.basis, weights))
    least = np.linalg.eigvalsh(left)[:, 0]
    assert least.min() > -1e-3  # covariances
    bred = enriched(pool, path, source, Breeder(NAMES, ("add", "mul")), 50, RNG)
    assert bred.terms[: len(pool.terms)] == pool.terms
