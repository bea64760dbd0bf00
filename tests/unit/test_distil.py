"""Distillation: what a teacher answers, and what searches and designs make of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nacsr
from nacsr import teacher
from nacsr.data.dataset import Dataset
from nacsr.data.events import Events
from nacsr.design import Design
from nacsr.errors import SpecError
from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic import jobs
from nacsr.frontends.symbolic.fitting.newton import softened
from nacsr.frontends.symbolic.language.expr import evaluate
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.prepare import prepare
from nacsr.spec import StudySpec
from nacsr.teacher import taught
from tests.unit.test_symbolic_frontend import make_problem

NAMES = ("a", "b", "c")
RNG = np.random.default_rng(6)
X = RNG.normal(size=(300, 3))
SHOWN = X[:, [1, 0]]


def data(*classes: str) -> Dataset:
    if len(classes) == 1:
        return nacsr.from_arrays(X, X[:, 0], NAMES, classes, task="regression")
    return nacsr.from_arrays(X, np.arange(300) % len(classes), NAMES, classes)


def design_of(formulas: Mapping[str, str], *classes: str) -> Design:
    """A design of the inputs b and a, in this order."""
    made = nacsr.compile(dict(formulas))
    features = tuple({f.name: f for f in made.setting.features}[n] for n in ("b", "a"))
    return replace(made, setting=replace(made.setting, features=features, classes=classes))


def emitted(design: Design, folder: Path) -> str:
    return str(design.emit(folder / "project"))


# ---- answers


def test_a_regression_is_taught_its_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = design_of({"mass": "3*a - b"}, "mass")
    monkeypatch.setattr(teacher, "CHUNK", 7)
    answers = taught(emitted(design, tmp_path), data("mass"), X, "external")
    assert answers.shape == (300, 1)
    assert (answers == design.run(SHOWN)).all()
    assert np.abs(answers[:, 0] - (3 * X[:, 0] - X[:, 1])).max() < 0.01


def test_scores_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    design = design_of({"g": "a", "q": "2*b", "t": "a - b"}, "g", "q", "t")
    answers = taught(emitted(design, tmp_path), data("g", "q", "t"), X, "external")
    assert (answers == design.run(SHOWN)).all()
    assert np.abs(answers - np.stack([X[:, 0], 2 * X[:, 1], X[:, 0] - X[:, 1]], 1)).max() < 0.01


@pytest.mark.parametrize("formulas", [{"sig": "a - b"}, {"bkg": "b", "sig": "a"}])
def test_two_classes_are_one_score(tmp_path: Path, formulas: dict[str, str]) -> None:
    design = design_of(formulas, "bkg", "sig")
    answers = taught(emitted(design, tmp_path), data("bkg", "sig"), X, "external")
    assert answers.shape == (300, 1)
    assert np.abs(answers[:, 0] - (X[:, 0] - X[:, 1])).max() < 0.01


@pytest.mark.parametrize(
    ("events", "scaling", "says"),
    [
        (nacsr.from_arrays(X[:, 1:], X[:, 1] > 0, "bc", ["no", "yes"]), "external", "reads 'a'"),
        (data("no", "maybe"), "external", "is for no, yes, this study for no, maybe; give"),
        (data("no", "yes", "maybe"), "external", "this study for no, yes, maybe; give another"),
        (data("yes", "no"), "external", "is for no, yes, this study for yes, no; give another"),
        (data("no", "yes"), "folded", "its inputs.scaling is external, here folded; make both"),
    ],
)
def test_a_teacher_of_something_else_is_refused(
    tmp_path: Path, events: Dataset, scaling: str, says: str
) -> None:
    source = emitted(design_of({"yes": "a - b"}, "no", "yes"), tmp_path)
    with pytest.raises(SpecError) as caught:
        taught(source, events, events.x, scaling)
    assert str(caught.value).startswith(f"families.expression.target: {source}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "is no emitted project; give RUN:ID of a design"),
        ("a + b", "is no emitted project; give RUN:ID of a design"),
        ("{tmp}", "is no emitted project; give RUN:ID of a design"),
        ("{tmp}:12ab", "no archive here"),
        ("{tmp}:what", "no archive here"),
        (":12ab", "no archive here"),
    ],
)
def test_what_is_no_design_is_no_teacher(tmp_path: Path, source: str, says: str) -> None:
    with pytest.raises(SpecError, match=r"families\.expression\.target") as caught:
        taught(source.format(tmp=tmp_path), data("mass"), X, "external")
    assert says in str(caught.value)
    assert not list(tmp_path.iterdir())


def study_of(teacher: str | None) -> StudySpec:
    document = {
        "dataset": {"source": "arrays", "task": "regression"},
        "inputs": {"scaling": "external"},
        "families": {
            "network": None,
            "linear": None,
            "tables": None,
            "trees": None,
            "expression": {"target": teacher},
        },
    }
    return StudySpec.from_mapping(document)


def test_a_study_asks_the_teacher_for_its_training_events(tmp_path: Path) -> None:
    source = emitted(design_of({"mass": "3*a - b"}, "mass"), tmp_path)
    prepared = prepare(study_of(source), data("mass"), tmp_path)
    problem = prepared.problem
    assert problem.teacher is not None
    z = problem.values(problem.train)
    assert np.abs(problem.teacher[:, 0] - (3 * z[:, 0] - z[:, 1])).max() < 0.02


def test_another_teacher_of_the_same_name_is_another_problem(tmp_path: Path) -> None:
    """What an earlier teacher was asked must not be taken for what this one answers."""

    def digest(formula: str, folder: str = "taught") -> str:
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
        source = emitted(design_of({"mass": formula}, "mass"), tmp_path / folder)
        return prepare(study_of(source), data("mass"), tmp_path).problem.digest

    first = digest("3*a - b")
    assert digest("3*a + b") != first
    assert digest("3*a - b") == first
    plain = prepare(study_of(None), data("mass"), tmp_path).problem
    assert plain.teacher is None
    assert plain.digest != first


# ---- targets


@given(st.integers(1, 5), st.floats(0.1, 300))
def test_softened_targets_are_the_teachers_probabilities(outputs: int, scale: float) -> None:
    logits = scale * np.random.default_rng(outputs).normal(size=(50, outputs))
    found = softened(logits)
    two = np.hstack([np.zeros((50, 1)), logits]) if outputs == 1 else logits
    assert found.shape == two.shape
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == two.argmax(axis=1)).all()
    ratio = np.log(np.maximum(found, 1e-300))
    seen = (found > 1e-200).all(axis=1)
    assert np.allclose((ratio - ratio[:, :1])[seen], (two - two[:, :1])[seen], atol=1e-6)


def problem_of(*classes: str, task: str = "classification") -> Problem:
    labels = np.arange(300) % len(classes)
    made = make_problem(X, labels, NAMES, classes)
    if task == "classification":
        return made
    train = Events(made.train.words, X[:225, 0])
    return replace(made, task=task, train=train)


def test_searches_regress_the_teachers_scores_about_their_mean() -> None:
    logits = RNG.normal(size=(225, 3)) + 40
    three = replace(problem_of("g", "q", "t"), teacher=logits)
    columns = np.stack([jobs._target(three, j) for j in range(3)], axis=1)
    assert np.allclose(columns, logits - logits.mean(axis=1, keepdims=True))
    assert np.allclose(jobs._goal(three).targets, softened(logits))
    two = replace(problem_of("no", "yes"), teacher=logits[:, :1])
    assert (jobs._target(two, 0) == logits[:, 0]).all()
    assert jobs._goal(two).outputs == 1
    line = replace(problem_of("mass", task="regression"), teacher=logits[:, :1])
    assert (jobs._target(line, 0) == logits[:, 0]).all()
    assert (jobs._goal(line).targets == logits[:, :1]).all()
    assert jobs._goal(line).regression


def test_without_a_teacher_labels_are_the_targets() -> None:
    two = problem_of("no", "yes")
    assert (jobs._target(two, 0) == np.where(two.train.y == 1, 1, -1)).all()
    three = problem_of("g", "q", "t")
    assert (jobs._goal(three).targets.argmax(axis=1) == three.train.y).all()


def test_a_student_follows_its_teacher_and_not_the_labels() -> None:
    """The labels know ``a`` only, the teacher ``b`` only."""
    made = problem_of("no", "yes")
    z = made.values(made.train)
    labelled = replace(made.train, y=(z[:, 0] > 0).astype(np.int64))
    payload = {
        "expressions": {"yes": "1*a + 1*b"},
        "precision": "fixed<16,6>",
        "precisions": [],
        "table_bits": 6,
        "seed": 1,
    }
    for problem, follows in (
        (replace(made, train=labelled), "a"),
        (replace(made, train=labelled, teacher=2 * z[:, 1:2]), "b"),
    ):
        found = jobs.run_design(payload, problem).found[0]
        assert found.candidate.reason == ""
        weights = found.candidate.genotype["expressions"]["yes"]
        other = "b" if follows == "a" else "a"
        assert follows in weights
        assert _weight(weights, follows) > 20 * _weight(weights, other)


def _weight(text: str, name: str) -> float:
    """The weight of an input in a linear formula."""
    values = {n: np.array([0.0, float(n == name)]) for n in NAMES}
    low, high = evaluate(parse(text, NAMES, {}), values, {})
    return abs(float(high - low))
