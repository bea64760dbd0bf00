"""The symbolic half as its users meet it: every task, engines, limits, resumption."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.errors import SpecError
from nacsr.frontends.stem import scores
from nacsr.frontends.symbolic.language.expr import Num, size, variables
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.study import Study
from tests.study.symbolic_studies import (
    CLASSES,
    FORMULAS,
    HALL,
    LABELS,
    NAMES,
    X,
    best,
    calls,
    finished,
    multiclass,
    spec_of,
    study_of,
    written,
)
from tests.study.test_study import Stop, story

pytestmark = pytest.mark.usefixtures("few_evaluations")


def test_a_tagger_of_own_and_piecewise_operators(tmp_path: Path) -> None:
    expression = {
        "operators": ["greater", "cond", "select", "mul"],
        "functions": [],
        "custom": {"ratio": "a/(abs(b) + 1)"},
        "tables": False,
        "max_cycles": 6,
        "max_luts": 4000,
    }
    front = finished(study_of("multiclass", tmp_path / "run", expression))
    assert max(best(e, "accuracy") for e in front) > 0.75
    for entry in front:
        used = {node.op for tree in written(entry) for node in calls(tree)}
        assert used <= {"add", "sub", "greater", "cond", "select", "mul", "div", "abs"}
        assert all(size(e) <= 24 for e in written(entry))


@pytest.mark.slow
def test_a_formula_of_a_regression_is_found(tmp_path: Path) -> None:
    study = study_of("regression", tmp_path / "run", {"functions": ["sin"]})
    entry = finished(study)[0]
    (formula,) = written(entry)
    assert {"a", "b"} <= set(variables(formula))
    found = entry.find("rmse", "interpreter", "validation")
    assert found is not None
    assert found.value < 0.15 * study.prepared.test.y.std()
    words = study.prepared.test.words
    raw = scores(entry.graph, study.prepared.problem.features, words)
    ((_, output),) = entry.graph.outputs
    predicted = entry.graph.ops[output].type.to_float(raw)[:, 0]
    difference = predicted - study.prepared.test.y
    assert best(entry, "rmse") == pytest.approx(float(np.sqrt(np.mean(difference**2))))


@pytest.mark.slow
def test_a_binary_study_with_weights_has_one_score(tmp_path: Path) -> None:
    study = study_of("binary", tmp_path / "run", {"functions": []})
    front = finished(study)
    problem, test = study.prepared.problem, study.prepared.test
    assert test.weights is not None
    for entry in front:
        assert list(entry.candidate.genotype["expressions"]) == ["sig"]
        raw = scores(entry.graph, problem.features, test.words)
        assert raw.shape == (len(test), 1)
        right = (raw[:, 0] > 0) == (test.y == 1)
        assert best(entry, "accuracy") == pytest.approx(np.average(right, weights=test.weights))
    assert best(front[0], "accuracy") > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kept", [2, ["b", "a"]])
def test_few_features_at_many_precisions(tmp_path: Path, kept: int | list[str]) -> None:
    precisions = ["fixed<12,6>", "fixed<8,4>"]
    expression = {"features": kept, "precisions": precisions, "functions": []}
    study = study_of("multiclass", tmp_path / "run", expression)
    finished(study)
    entries = [e for e in study.archive.entries() if not e.failed]
    used = {v for e in entries for tree in written(e) for v in variables(tree)}
    assert used <= ({"a", "b"} if isinstance(kept, list) else used)
    assert 0 < len(used) <= 2
    found = {e.candidate.genotype["precision"] for e in entries}
    assert found == {"fixed<16,6>", *precisions}


@pytest.mark.slow
def test_limits_hold_for_every_design(tmp_path: Path) -> None:
    limits = {"max_dsps": 0, "max_luts": 150, "max_cycles": 2, "operators": ["add", "mul"]}
    study = study_of("multiclass", tmp_path / "run", limits)
    finished(study)
    designs = study.archive.entries(designs_only=True)
    assert designs
    for entry in designs:
        dsps = entry.find("dsps", "analytic", "csynth")
        assert dsps is not None
        assert dsps.value == 0, entry.candidate.title


@pytest.mark.slow
def test_functions_nest_only_where_they_may(tmp_path: Path) -> None:
    rules = {"sin": {"sin": 0, "gauss": 1}, "gauss": {"sin": 0, "gauss": 0}}
    expression = {"functions": ["sin", "gauss"], "nesting": rules, "operators": ["mul", "add"]}
    study = study_of("binary", tmp_path / "run", expression | {"tables": False})
    finished(study)
    nodes = [
        node
        for e in study.archive.entries(designs_only=True)
        for t in written(e)
        for node in calls(t)
    ]
    assert {"sin", "gauss"} & {node.op for node in nodes}
    for node in nodes:
        below = [inner.op for arg in node.args for inner in calls(arg)]
        assert all(rules.get(node.op, {}).get(op, 1) for op in below), below


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pyoperon") is None, reason="needs nacsr[operon]")
def test_operon(tmp_path: Path) -> None:
    expression = {"engine": "operon", "functions": ["tanh"], "tables": False}
    front = finished(study_of("multiclass", tmp_path / "run", expression))
    assert best(front[0], "accuracy") > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["hof", "embedded"])
def test_finished_runs_of_pysr(tmp_path: Path, engine: str) -> None:
    halls = {}
    for name, formula in FORMULAS.items():
        halls[name] = str(tmp_path / f"{name}.csv")
        Path(halls[name]).write_text(HALL.format(formula) + "7,0.3,wibble(a)\n")
    if engine == "embedded":
        halls = {"left": halls["left"]}
    expression = {"engine": engine, "halls": halls, "tables": False, "functions": []}
    study = study_of("multiclass", tmp_path / "run", expression)
    front = finished(study)
    assert best(front[0], "accuracy") > 0.8
    if engine == "hof":
        assert {
            str(c)
            for e in front
            for t in written(e)
            for c in calls(t)
            if c.op == "mul" and not any(isinstance(a, Num) for a in c.args)
        } == {str(parse("a*b", NAMES, {}))}


# ---- distillation


@pytest.mark.slow
def test_distillation_from_a_network_interrupted_or_not(tmp_path: Path) -> None:
    network = {"depth": [1], "widths": [8], "weight_bits": [6], "activation_bits": [8]}
    network |= {"local": None, "lean": None, "tables": None}
    families = {"network": network, "expression": None}
    first = Study(spec_of({}, families=families), tmp_path / "first", dataset=multiclass())
    teacher = f"{tmp_path / 'first'}:{finished(first)[0].id}"
    expression = {"target": teacher, "functions": [], "operators": ["add", "mul"]}
    plain = study_of("multiclass", tmp_path / "plain", expression)
    problem = plain.prepared.problem
    assert problem.teacher is not None
    assert problem.teacher.shape == (len(problem.train), 3)
    front = story(finished(plain))
    stopped = study_of("multiclass", tmp_path / "stopped", expression)
    for after in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            stopped.run(workers=0, observer=Stop(after))
    assert story(stopped.run(workers=0)) == front
    shared = [study_of("multiclass", tmp_path / f"w{n}", expression) for n in (1, 2)]
    one, two = (story(s.run(workers=n)) for n, s in enumerate(shared, 1))
    assert one == two
    wrong_teachers(teacher)


def wrong_teachers(teacher: str) -> None:
    """Studies that this teacher cannot teach, each refused in a line that says why."""
    data, spec = multiclass(), spec_of({"target": teacher})
    fewer = nacsr.from_arrays(X[:, :3], LABELS, features=NAMES[:3], classes=CLASSES)
    others = nacsr.from_arrays(X, LABELS, features=NAMES, classes=["g", "q", "t"])
    external = spec_of({"target": teacher}, inputs={"scaling": "external"})
    for study, events, says in (
        (spec, fewer, "reads 'd', this study has a, b, c; add that feature"),
        (spec, others, "is for left, middle, right, this study for g, q, t; give another"),
        (external, data, "its inputs.scaling is folded, here external; make both the same"),
    ):
        with pytest.raises(SpecError, match=r"families\.expression\.target: ") as caught:
            Study(study, Path(teacher.rpartition(":")[0]) / "unused", dataset=events)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
