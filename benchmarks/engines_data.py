"""What engines.py searches on and judges by: jets, MAGIC and muon pairs, standardised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from symbolic_data import Task, jets, magic, muons

from nacsr.data.events import Events
from nacsr.data.words import derive_features, fit_scaling, to_words
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic import genotype
from nacsr.frontends.symbolic.engines.request import Scored
from nacsr.frontends.symbolic.fitting.calibrate import Grids, calibrate
from nacsr.frontends.symbolic.fitting.newton import Goal, one_hot
from nacsr.frontends.symbolic.language.expr import Expr, evaluate
from nacsr.metrics import auc

Real = NDArray[np.float64]

TARGET, CLOCK_MHZ = "vu13p", 200.0
PRECISION = Fixed(24, 12)
"""Wide: no formula of either engine is lost because a value inside it exceeds the type."""
TRAIN_ROWS = 20_000
"""Events that fronts are scored on and weights are fitted to."""
TABLE_BITS = 6
MUON_INPUTS = ("pt1", "pt2", "d_eta", "d_phi")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Data of one benchmark, split by one seed.

    Attributes:
        name: of the data.
        problem: features, hardware and all events.
        train, test: standardised inputs, shape (events, inputs).
        targets, truth: what is regressed, by output, for the same events.
        labels: class of the training events; None for a regression.
        answers: class of the test events; None for a regression.
    """

    name: str
    problem: Problem
    train: Real
    test: Real
    targets: Mapping[str, Real]
    truth: Mapping[str, Real]
    labels: NDArray[np.int64] | None
    answers: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Score:
    """``main``: accuracy of jets, AUC of MAGIC, R2 of the mass; ``second``: mean R2, of the mass
    the median relative error.
    """

    main: float
    second: float


@cache
def case(name: str, seed: int) -> Case:
    """The data of a name, split by a seed."""
    problem = _muon_problem(seed) if name == "dimuon" else _class_problem(name, seed)
    kept = _kept(seed, problem.train)
    train = Events(problem.train.words[kept], problem.train.y[kept])
    test, known = problem.validation, problem.task == "classification"
    return Case(
        name,
        problem,
        problem.values(train),
        problem.values(test),
        _targets(problem, train),
        _targets(problem, test),
        train.y if known else None,
        test.y if known else None,
    )


def task_of(name: str, seed: int) -> Task:
    """The classification of a name with the training events that ``case`` has."""
    task = (jets if name == "jets" else magic)(seed)
    kept = _kept(seed, task.train)
    return replace(task, train=Events(task.train.words[kept], task.train.y[kept]))


def _kept(seed: int, events: Events) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(len(events.y))[:TRAIN_ROWS]


def _class_problem(name: str, seed: int) -> Problem:
    task = (jets if name == "jets" else magic)(seed)
    scaling = fit_scaling(task.train.words, task.features)
    common = (task.train, task.test, TARGET, CLOCK_MHZ, PRECISION, "")
    return Problem(task.features, task.classes, scaling, *common)


def _muon_problem(seed: int) -> Problem:
    """The mass in GeV from both pT and the differences in eta and phi, a fifth held out."""
    x, mass = muons()
    pt1, eta1, phi1, pt2, eta2, phi2 = x.T
    d_phi = (phi1 - phi2 + np.pi) % (2 * np.pi) - np.pi
    inputs = np.stack([pt1, pt2, eta1 - eta2, d_phi], axis=1)
    order = np.random.default_rng(seed).permutation(len(mass))
    test, train = np.split(order, [len(mass) // 5])
    features = derive_features(inputs[train], MUON_INPUTS)
    parts = [Events(to_words(inputs[r], features), mass[r]) for r in (train, test)]
    scaling = fit_scaling(parts[0].words, features)
    common = (*parts, TARGET, CLOCK_MHZ, PRECISION, "", "regression")
    return Problem(features, ("mass",), scaling, *common)


def _targets(problem: Problem, events: Events) -> dict[str, Real]:
    if problem.task == "regression":
        return {problem.classes[0]: events.y.astype(np.float64)}
    return {
        name: np.where(events.y == problem.classes.index(name), 1.0, -1.0)
        for name in problem.outputs
    }


def judged(data: Case, formulas: Mapping[str, Scored]) -> Score:
    """What formulas, one an output, are worth on held-out events."""
    luts, columns = data.problem.luts, dict(zip(data.problem.names, data.test.T, strict=True))
    values = {
        name: evaluate(one.expr, columns, {**luts, **one.tables}) for name, one in formulas.items()
    }
    r2 = np.mean(
        [1 - np.mean((v - data.truth[n]) ** 2) / data.truth[n].var() for n, v in values.items()]
    )
    if data.answers is None:
        (value,), (true,) = values.values(), data.truth.values()
        return Score(float(r2), float(np.median(np.abs(value / true - 1))))
    if len(values) == 1:
        (value,) = values.values()
        return Score(auc(value, data.answers == 1), float(r2))
    scores = np.stack(list(_calibrated(data, formulas, columns).values()), axis=1)
    return Score(float((scores.argmax(1) == data.answers).mean()), float(r2))


def _calibrated(
    data: Case, formulas: Mapping[str, Scored], columns: Mapping[str, Real]
) -> dict[str, Real]:
    """Log-odds of the classes, all weights and tables fitted together on training events."""
    opened: dict[str, Expr] = {n: genotype.opened(s.expr, s.tables) for n, s in formulas.items()}
    train = dict(zip(data.problem.names, data.train.T, strict=True))
    goal = Goal(one_hot(data.labels, len(data.problem.classes)))
    luts, grids = data.problem.luts, Grids(PRECISION, TABLE_BITS)
    fitted, tables = calibrate(opened, train, goal, luts, grids, snap=False).rounded(PRECISION.frac)
    return {name: evaluate(e, columns, {**luts, **tables}) for name, e in fitted.items()}
