"""A regression of several targets: read, judged by distance, searched by both families."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacsr
from nacsr.data.dataset import from_arrays, load
from nacsr.data.events import Events
from nacsr.data.split import split
from nacsr.errors import DataError, SpecError
from nacsr.finish import setting
from nacsr.fixed import Fixed
from nacsr.frontends.base import Job, Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.goal import Rows, Units
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import score_type, scores
from nacsr.frontends.symbolic.fitting.newton import RIDGE, Fit, Goal, newton
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.ir import Builder
from nacsr.metrics import mean_distance, rmse
from nacsr.report.rows import quality, rows
from nacsr.report.table import cells, notes, with_error
from nacsr.spec import (
    BUDGETS,
    DatasetSpec,
    DeepSetsSpec,
    ExpressionSpec,
    FamiliesSpec,
    LeanSpec,
    SplitSpec,
    StackSpec,
    StudySpec,
)
from tests.unit.array_events import EVENTS, SETS, TARGETS, located, prepared_of, refusal, written

RNG = np.random.default_rng(1)


# ---- what is read


def test_targets_are_columns_arrays_or_both_names(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(EVENTS, 3)), TARGETS
    lines = [",".join(map(repr, map(float, row))) for row in np.hstack([x, y])]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c,row,column", *lines]))
    names = np.array(["row", "column"])
    written(tmp_path, x=x, labels=y, label_names=names, row=y[:, 0], centres=y, centre_names=names)
    for source, label in (
        ("a.csv", ("row", "column")),
        ("a.npz", None),
        ("a.npz", ("row", "column")),
        ("a.npz", "centres"),
    ):
        spec = DatasetSpec(source=source, task="regression", label=label)
        data = load(spec, tmp_path)
        assert (data.y == y).all()
        assert data.classes == ("row", "column")
    turned = DatasetSpec(source="a.npz", task="regression", label=("column", "row"))
    assert (load(turned, tmp_path).y == y[:, ::-1]).all()
    np.savez(tmp_path / "b.npz", x=x, y=np.zeros(EVENTS), row=y[:, 0], column=y[:, 1])
    apart = DatasetSpec(source="b.npz", task="regression", label=("row", "column"))
    assert (load(apart, tmp_path).y == y).all()


@pytest.mark.parametrize(
    ("y", "choice", "expected"),
    [
        (TARGETS, {"label": ("y0", "z")}, "no label named 'z'; It has: y0, y1"),
        (TARGETS[:, 0], {"label": ("row", "y")}, "no label named 'row'; It has: x, y"),
        (TARGETS * [1, 0], {}, "target 'y1' is 0 in every event"),
        (np.where(TARGETS > 1.5, np.inf, TARGETS), {}, "target 'y"),
        (TARGETS, {"task": "classification"}, "shape [60], not [60, 2]; use argmax(1)"),
        (TARGETS[..., None], {}, "labels must be one an event, shape [60], not [60, 2, 1]"),
    ],
)
def test_what_targets_are_refused(
    tmp_path: Path, y: np.ndarray, choice: dict[str, Any], expected: str
) -> None:
    written(tmp_path, x=SETS, y=y)
    assert expected in refusal(tmp_path, **{"task": "regression"} | choice)


def test_names_of_targets_fit_the_targets() -> None:
    with pytest.raises(DataError, match=r"1 names for 2 targets, m; give one each"):
        from_arrays(SETS, TARGETS, task="regression", classes=["m"])
    with pytest.raises(DataError, match=r"two targets are 'a_b' in formulas"):
        from_arrays(SETS, TARGETS, task="regression", classes=["a b", "a-b"])
    spec = {"version": 1, "dataset": {"source": "jets", "label": ["a", "b"]}}
    with pytest.raises(SpecError, match="several labels are targets; set task: regression"):
        StudySpec.from_mapping(spec)


def test_objectives_are_those_of_the_targets() -> None:
    named = DatasetSpec(source="a.npz", task="regression", label=("row", "column"))
    assert StudySpec(dataset=named).objectives[0] == "mean_distance"
    with pytest.raises(SpecError, match=r"median_error is none of a regression: mean_distance, rm"):
        StudySpec.from_mapping(
            {"dataset": named.model_dump(), "objectives": ["median_error"], "version": 1}
        )
    with pytest.raises(SpecError, match=r"median_error is none of a regression of row, column"):
        prepared_of(located(), objectives=("median_error",))
    data = from_arrays(SETS, TARGETS[:, 0], task="regression")
    with pytest.raises(SpecError, match=r"mean_distance is none of a regression of y; choose"):
        prepared_of(data, objectives=("mean_distance",))
    made = prepared_of(located(), objectives=("mean_distance",)).problem
    assert made.outputs == ("row", "column")


def test_a_target_that_stands_still_in_training_is_named() -> None:
    y = np.stack([np.arange(EVENTS), np.arange(EVENTS) == 7], axis=1)
    moving = located(y=TARGETS)
    seed = next(s for s in range(30) if 7 not in split(moving, SplitSpec(), s).train)
    with pytest.raises(DataError, match="target 'column' is 0 in every training event"):
        split(located(y=y), SplitSpec(), seed)


def test_distance_and_rmse_agree_with_numpy() -> None:
    guesses, weights = TARGETS + RNG.normal(size=TARGETS.shape), RNG.uniform(0, 2, EVENTS)
    away = np.linalg.norm(guesses - TARGETS, axis=1)
    value, error = mean_distance(guesses, TARGETS)
    assert value == pytest.approx(away.mean(), rel=1e-12)
    assert error == pytest.approx(away.std() / np.sqrt(EVENTS), rel=1e-12)
    heavy = mean_distance(guesses, TARGETS, weights)[0]
    assert heavy == pytest.approx(np.average(away, weights=weights), rel=1e-12)
    assert rmse(guesses, TARGETS)[0] == pytest.approx(np.sqrt((away**2).mean() / 2), rel=1e-12)
    assert rmse(guesses[:, :1], TARGETS[:, :1]) == rmse(guesses[:, 0], TARGETS[:, 0])


def test_a_design_of_two_targets_is_judged_by_distance() -> None:
    problem = prepared_of(located(SETS[:, :1])).problem
    builder = Builder()
    for name, feature in zip("ab", problem.features, strict=False):
        builder.output(name, builder.input(feature.name, feature.type.plain()))
    graph, events = builder.build(), problem.validation
    found = {m.metric: m.value for m in performance(graph, problem, events, "validation")}
    guesses = score_type(graph).to_float(scores(graph, problem.features, events.words))
    assert list(found) == ["mean_distance", "rmse"]
    assert found["mean_distance"] == mean_distance(guesses, events.y)[0]
    assert found["rmse"] == rmse(guesses, events.y)[0]


def test_units_centre_every_target_and_share_one_step() -> None:
    y = RNG.normal(size=(500, 2)) * 20 + [300, -7]
    events = Events(np.zeros((500, 1), np.int64), y)
    units = Units.of(events)
    z = units.standard(y)
    assert (abs(z.mean(0)) < 0.1).all()
    assert 0.7 < z.std() < 1.5
    assert Rows.of(np.zeros((500, 1)), events, 2, "regression").y.shape == (500, 2)
    assert np.array(units.centre) + np.ldexp(z, units.shift) == pytest.approx(y, rel=1e-12)


# ---- what is searched


@pytest.fixture(scope="module")
def two_targets() -> Problem:
    x = np.random.default_rng(5).normal(size=(900, 2, 2)) * [3, 100] + [0, 50]
    flat = x.reshape(900, 4)
    y = np.stack([90 + flat[:, 0] - flat[:, 2], -5 + 0.03 * flat[:, 1]], axis=1)
    return prepared_of(located(x, y)).problem


@pytest.mark.parametrize("kind", ["search", "final"])
def test_networks_of_two_targets(two_targets: Problem, kind: str) -> None:
    network = Network((4,), (Dense(8, True, "relu", 8), Dense(2, False, "none", 8, None)))
    same = {"steps": 400, "seed": 1}
    payload = {
        "search": {"networks": [network.to_dict()], "rung": 0} | same,
        "final": {"network": network.to_dict(), "parent": ""} | same,
    }[kind]
    (found,) = NeuralFrontend.run(Job("network", kind, payload, ""), two_targets).found
    assert found.candidate.reason == ""  # the lowered network equals Brevitas bit for bit
    value = {m.metric: m.value for m in found.measurements}
    assert value["mean_distance"] < 0.3 * 3  # of the spread of the targets


def test_several_targets_are_fitted_by_least_squares() -> None:
    columns = [RNG.normal(size=(EVENTS, n)) for n in (3, 2)]
    fit = Fit(tuple(columns), Goal(TARGETS, RNG.uniform(0.5, 1.5, EVENTS), regression=True))
    heavy, unit = fit.goal.weights, fit.goal.unit
    assert heavy is not None
    found = newton(fit, np.zeros(5), np.ones(5, bool), 6)
    for x, y, mine in zip(columns, TARGETS.T, (found[:3], found[3:]), strict=True):
        scale = EVENTS * unit**2
        ridged = (x.T * heavy) @ x / scale + RIDGE * np.eye(x.shape[1])
        assert mine == pytest.approx(np.linalg.solve(ridged, (x.T * heavy) @ y / scale), abs=1e-6)


def test_formulas_of_two_targets(two_targets: Problem) -> None:
    budget = replace(BUDGETS["quick"], evaluations=300, rows=400, taggers=3)
    problem = replace(two_targets, precision=Fixed(20, 9))
    front = SymbolicFrontend(problem, ExpressionSpec(functions=(), max_size=20), budget, 1)
    found = []
    while jobs := front.ask():
        outcomes = [SymbolicFrontend.run(job, problem) for job in jobs]
        front.tell(jobs, outcomes)
        found += [f for o in outcomes for f in o.found]
    designs = [f for f in found if f.graph is not None]
    assert designs
    assert all(len(f.graph.outputs) == 2 for f in designs if f.graph is not None)
    best = min(m.value for f in designs for m in f.measurements if m.metric == "mean_distance")
    assert best < 0.2  # the formulas are sums


# ---- whole studies


@pytest.mark.slow
def test_a_study_of_sets_with_two_targets(tmp_path: Path) -> None:
    """Both families reach the front, and C++ and Verilog equal the interpreter."""
    sets = np.random.default_rng(7).normal(size=(900, 4, 2)) * [1, 30] + [0, 10]
    sets[:300, 3] = 0  # a particle that is not there
    y = np.stack([sets[:, :, 0].sum(1), sets[:, :, 1].max(1) / 30], axis=1)
    space = DeepSetsSpec(
        phi=StackSpec(depth=(0,), widths=(4,)),
        bottleneck=(4,),
        pools=("mean", "max"),
        rho=StackSpec(depth=(0, 1), widths=(4,)),
        weight_bits=(6,),
        activation_bits=(6,),
        lean=LeanSpec(stacks=((4,),), phi=1, share=0.3),
    )
    spec = StudySpec(
        dataset=DatasetSpec(source="arrays", task="regression", label=("row", "column")),
        budget="quick",
        families=FamiliesSpec(
            expression=ExpressionSpec(functions=(), max_size=12),
            network=space,
            linear=None,
            tables=None,
            trees=None,
        ),
    )
    study = nacsr.Study(spec, tmp_path / "run", dataset=located(sets, y))
    front = study.run(workers=0)
    assert {e.candidate.family for e in front} == {"expression", "network"}
    problem, test = study.prepared.problem, study.prepared.test
    for entry in front:
        for method, stage in (("g++", "csim"), ("simulation", "rtlsim")):
            checked = entry.find("mismatches", method, stage)
            assert checked is not None
            assert checked.value == 0
        found = entry.find("mean_distance", "interpreter", "test")
        guesses = score_type(entry.graph).to_float(
            scores(entry.graph, problem.features, test.words)
        )
        assert found is not None
        assert (found.value, found.error) == mean_distance(guesses, test.y)
    shown = rows(front, setting(study.prepared))
    assert quality(shown) == "mean_distance"
    assert all(list(r.further) == ["rmse"] for r in shown)
    assert with_error(shown[0].further["rmse"], None) in cells(shown[0], ())
    assert any(line.startswith("mean_distance: Euclidean") for line in notes(shown))
