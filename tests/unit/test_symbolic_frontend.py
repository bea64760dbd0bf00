"""The expression frontend: ask/tell, assembly, calibration, and classifiers measured bit-true."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nacsr.data.events import Events
from nacsr.data.words import derive_features, fit_scaling, to_words
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Found, Job, Outcome, Problem
from nacsr.frontends.stem import scores
from nacsr.frontends.symbolic.fitting.calibrate import Grids, calibrate, terms
from nacsr.frontends.symbolic.fitting.newton import (
    Fit,
    Goal,
    derivatives,
    newton,
    one_hot,
    one_step,
    penalised,
)
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Call, Num, Var, depth, evaluate, size
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import verify
from nacsr.luts import lut_functions
from nacsr.spec import BUDGETS, ExpressionSpec

JETS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "jets" / "jets_pythia8.npz"
NAMES = ("a", "b", "c", "d")
SPEC = ExpressionSpec(functions=("tanh",), max_size=24, max_cycles=5)
GRIDS = Grids(Fixed(16, 6), 6)
BUDGET = replace(BUDGETS["quick"], evaluations=700, rows=500, taggers=5)


def make_problem(
    x: np.ndarray, labels: np.ndarray, names: tuple[str, ...], classes: tuple[str, ...]
) -> Problem:
    train = int(0.75 * len(x))
    features = derive_features(x[:train], names)
    words = to_words(x, features)
    return Problem(
        features=features,
        classes=classes,
        scaling=fit_scaling(words[:train], features),
        train=Events(words[:train], labels[:train]),
        validation=Events(words[train:], labels[train:]),
        target="vu13p",
        clock_mhz=200.0,
        precision=Fixed(16, 6),
        digest="0123456789abcdef",
    )


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Three classes that a product and two inputs tell apart; no linear score can."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 4)) * [1.0, 20.0, 0.1, 3.0]
    u = x / [1.0, 20.0, 0.1, 3.0]
    score = np.stack([u[:, 0] * u[:, 1], 0.7 * u[:, 2], -u[:, 0] * u[:, 1]], axis=1)
    labels = (score + 0.1 * rng.normal(size=score.shape)).argmax(axis=1)
    return make_problem(x, labels, NAMES, ("left", "middle", "right"))


def play(frontend: SymbolicFrontend) -> list[tuple[Job, Outcome]]:
    """Run a frontend to its end; jobs and results must survive JSON."""
    done: list[tuple[Job, Outcome]] = []
    while jobs := frontend.ask():
        outcomes = []
        for job in jobs:
            stored = Job(job.family, job.kind, json.loads(json.dumps(job.payload)), job.label)
            assert stored.key == job.key
            outcome = SymbolicFrontend.run(stored, frontend.problem)
            outcomes.append(replace(outcome, result=json.loads(json.dumps(outcome.result))))
        frontend.tell(jobs, outcomes)
        done += zip(jobs, outcomes, strict=True)
    return done


@pytest.fixture(scope="module")
def played(problem: Problem) -> list[tuple[Job, Outcome]]:
    return play(SymbolicFrontend(problem, SPEC, BUDGET, 3))


def found_in(played: list[tuple[Job, Outcome]]) -> list[Found]:
    return [found for _, outcome in played for found in outcome.found]


def metrics(found: Found) -> dict[str, float]:
    return {m.metric: m.value for m in found.measurements}


def test_batches_and_what_is_found(played: list[tuple[Job, Outcome]]) -> None:
    kinds = [job.kind for job, _ in played]
    assert kinds[:4] == ["search", "search", "search", "assemble"]
    assert set(kinds[4:]) == {"design"}
    found = found_in(played)
    # coarse tables and fine ones, and two designs of what was found as it is
    assert 3 <= len(found) <= 2 * (BUDGET.taggers + 2)
    assert max(metrics(f)["accuracy"] for f in found) > 0.85  # a linear score stays below 0.5
    for f in found:
        assert set(metrics(f)) == {
            *("accuracy", "auc", "luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles")
        }
        assert metrics(f)["latency_cycles"] <= 8
        assert f.candidate.family == "expression"
        assert not f.candidate.reason


def test_the_genotype_rebuilds_the_measured_design(
    problem: Problem, played: list[tuple[Job, Outcome]]
) -> None:
    luts = lut_functions()
    for found in found_in(played):
        genotype: dict[str, Any] = json.loads(json.dumps(found.candidate.genotype))
        sums, known = formulas(genotype, NAMES, luts)
        assert tuple(sums) == problem.classes
        assert all(size(e) <= SPEC.max_size for e in sums.values())
        precision = Fixed.parse(genotype["precision"])
        graph = verify(lower(sums, problem.features, problem.scaling, precision, known))
        assert graph == found.graph
        guess = scores(graph, problem.features, problem.validation.words).argmax(axis=1)
        accuracy = float(np.mean(guess == problem.validation.y))
        assert accuracy == metrics(found)["accuracy"]
        assert all(m.digest == graph.digest for m in found.measurements)


def test_a_seed_decides_everything(problem: Problem, played: list[tuple[Job, Outcome]]) -> None:
    again = play(SymbolicFrontend(problem, SPEC, BUDGET, 3))
    assert [job.key for job, _ in again] == [job.key for job, _ in played]
    assert [o.result for _, o in again] == [o.result for _, o in played]
    assert [f.candidate.id for f in found_in(again)] == [f.candidate.id for f in found_in(played)]
    other = SymbolicFrontend(problem, SPEC, BUDGET, 4).ask()
    assert {j.key for j in other}.isdisjoint(job.key for job, _ in played)


def test_a_classifier_that_does_not_lower_is_found_with_its_reason(problem: Problem) -> None:
    texts = {"left": "nowhere + a", "middle": "b", "right": "c"}
    payload = {
        "expressions": texts,
        "precision": "fixed<16,6>",
        "precisions": [],
        "table_bits": 6,
        "seed": 1,
    }
    (found,) = SymbolicFrontend.run(Job("expression", "design", payload), problem).found
    assert "nowhere" in found.candidate.reason
    assert found.graph is None


def test_an_unknown_function_is_refused(problem: Problem) -> None:
    with pytest.raises(SpecError, match="did you mean 'tanh'"):
        SymbolicFrontend(problem, SPEC.model_copy(update={"functions": ("tanhh",)}), BUDGET, 1)


def test_more_features_than_there_are_inputs_are_refused(problem: Problem) -> None:
    with pytest.raises(SpecError) as caught:
        SymbolicFrontend(problem, SPEC.model_copy(update={"features": 99}), BUDGET, 1)
    says = "families.expression.features: there are 4 inputs, not 99; give so many at most"
    assert str(caught.value).startswith(says)
    every = SymbolicFrontend(problem, SPEC.model_copy(update={"features": 4}), BUDGET, 1)
    assert {j.kind for j in every.ask()} == {"search"}


@pytest.mark.parametrize(
    ("reach", "need"), [(31.9999, 7), (32.0, 7), (33.0, 7), (63.0, 7), (64.0, 8), (1000.0, 11)]
)
def test_a_target_beyond_the_precision_is_told_bits_that_hold_it(
    problem: Problem, reach: float, need: int
) -> None:
    y = np.where(np.arange(len(problem.train)) % 2, reach, -reach)
    train = replace(problem.train, y=y)
    line = replace(problem, task="regression", classes=("mass",), train=train)
    with pytest.raises(SpecError, match=f"with I of {need} or more"):
        SymbolicFrontend(line, SPEC, BUDGET, 1)
    SymbolicFrontend(replace(line, precision=Fixed(16, need)), SPEC, BUDGET, 1)


def test_restarts_and_the_pysr_engine_ask_for_their_jobs(problem: Problem) -> None:
    spec = SPEC.model_copy(update={"engine": "pysr"})
    jobs = SymbolicFrontend(problem, spec, replace(BUDGET, restarts=2), 1).ask()
    assert [(j.kind, j.payload["engine"]) for j in jobs] == [("search", "pysr")] * 6
    assert len({j.key for j in jobs}) == 6


# --- calibration -----------------------------------------------------------------------------


def test_terms_of_a_sum() -> None:
    expr = parse("1.5 - a*b + (c - 3*(d - 0.5))", NAMES, {})
    assert [w for w, _ in terms(expr)] == [1.5, -1.0, 1.0, -3.0]
    expr = parse("0.5*a - (b*2 - -c)", NAMES, {})
    assert list(terms(expr)) == [(0.5, Var("a")), (-2.0, Var("b")), (-1.0, Var("c"))]


def test_calibration_fits_one_scale_with_cheap_weights(problem: Problem) -> None:
    luts = lut_functions()
    values = problem.values(problem.train)
    columns = dict(zip(NAMES, values.T, strict=True))
    texts = {"left": "9 + 0.01*(a*b)", "middle": "3*c - 5", "right": "(-0.5)*(a*b) + 0.1*d"}
    start = {c: parse(t, NAMES, luts) for c, t in texts.items()}
    goal = Goal(one_hot(problem.train.y, 3))
    exact, _ = calibrate(start, columns, goal, luts, GRIDS, snap=False).rounded(5)
    cheap, tables = calibrate(start, columns, goal, luts, GRIDS).rounded(5)
    assert tables == {}

    def accuracy(sums: dict[str, Any]) -> float:
        table = np.stack([evaluate(e, columns, luts) for e in sums.values()], axis=1)
        return float(np.mean(table.argmax(axis=1) == problem.train.y))

    assert accuracy(start) < 0.5
    assert accuracy(exact) > 0.9
    assert accuracy(cheap) > accuracy(exact) - 0.01
    for expr in cheap.values():
        for weight, term in terms(expr):
            if term is None:  # an offset costs an adder, whatever its digits
                continue
            raw = abs(round(weight * 1024))
            assert raw == abs(weight) * 1024
            assert ((3 * raw) ^ raw).bit_count() <= 2
    assert depth(cheap["left"]) <= depth(start["left"])


def test_a_weight_of_zero_leaves_the_sum() -> None:
    rng = np.random.default_rng(0)
    columns = {n: rng.normal(size=4000) for n in ("a", "b")}
    labels = (columns["a"] > 0).astype(np.int64)
    start = {c: Call("add", (Var("a"), Var("b"))) for c in ("no", "yes")}
    goal = Goal(np.array([labels == 0, labels == 1]).T.astype(float))
    one = {"yes": start["yes"]}  # two classes have one sum
    sums, _ = calibrate(one, columns, goal, {}, Grids(Fixed(16, 15), 6)).rounded(5)
    assert all(term != Var("b") for e in sums.values() for _, term in terms(e))
    assert all(Num(0.0) not in e.args for e in sums.values() if isinstance(e, Call))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_and_hessian_are_those_of_the_likelihood(outputs: int, weighted: bool) -> None:
    rng = np.random.default_rng(2)
    classes = 2 if outputs == 1 else outputs
    given = rng.uniform(0.5, 1.5, 80)
    weights = given / given.mean() if weighted else None
    goal = Goal(one_hot(rng.integers(0, classes, 80), classes), weights)
    fit = Fit(tuple(rng.normal(size=(80, n)) for n in (2, 3, 1)[:outputs]), goal)
    w = rng.normal(size=fit.spans[-1].stop)
    gradient, hessian = derivatives(fit, w)
    for i, step in enumerate(np.eye(len(w)) * 1e-5):
        up, down = penalised(fit, w + step), penalised(fit, w - step)
        assert np.isclose((up - down) / 2e-5, gradient[i], atol=1e-7)
        change = derivatives(fit, w + step)[0] - derivatives(fit, w - step)[0]
        assert np.allclose(change / 2e-5, hessian[i], atol=1e-5)  # its products are float32
    best = newton(fit, w, np.ones(len(w), bool), 20)
    assert np.abs(derivatives(fit, best)[0]).max() < 1e-6


def test_a_step_on_some_weights_is_newtons_on_these() -> None:
    rng = np.random.default_rng(3)
    goal = Goal(one_hot(rng.integers(0, 3, 90), 3))
    fit = Fit(tuple(rng.normal(size=(90, n)) for n in (2, 4, 1)), goal)
    w = np.zeros(7)
    free = np.zeros(7, bool)
    free[4:6] = True
    assert np.allclose(one_step(fit, w, 1, slice(2, 4)), newton(fit, w, free, 1), atol=1e-5)


def test_least_squares_are_one_step_in_any_unit() -> None:
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(200, 3)) * 50
    y = columns @ [2.0, -1.0, 0.5] + rng.normal(size=200)
    goal = Goal(y[:, None], regression=True)
    fit = Fit((columns * goal.unit / 50,), goal)
    found = newton(fit, np.zeros(3), np.ones(3, bool), 1) * goal.unit / 50
    assert np.allclose(found, np.linalg.lstsq(columns, y, rcond=None)[0], atol=1e-3)


# --- real data -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not JETS.is_file(), reason="the shared jet file is not beside the repository")
def test_jets_at_the_default_budget() -> None:
    with np.load(JETS, allow_pickle=False) as data:
        order = np.random.default_rng(0).permutation(len(data["labels"]))
        order = order[: int(0.8 * len(order))]  # the rest would be the test events
        x, labels = data["features"][order].astype(np.float64), data["labels"][order]
        names = tuple(map(str, data["feature_names"]))
        classes = tuple(map(str, data["class_names"]))
    jets = make_problem(x, labels.astype(np.int64), names, classes)
    found = found_in(play(SymbolicFrontend(jets, ExpressionSpec(), BUDGETS["default"], 1)))
    best = max(found, key=lambda f: metrics(f)["accuracy"])
    assert metrics(best)["accuracy"] >= 0.67
    assert metrics(best)["latency_cycles"] <= 8
