"""The symbolic half as its users meet it: bad input, every task, engines, limits, resumption."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacsr
from nacsr.data.dataset import Dataset
from nacsr.emit.project import load
from nacsr.entry import Entry
from nacsr.errors import SpecError, ToolError
from nacsr.frontends.stem import scores
from nacsr.frontends.symbolic.engines import embedded as engine
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, size, variables, walk
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import lut_functions
from nacsr.spec import BUDGETS, StudySpec
from nacsr.study import Study
from tests.study.test_study import Stop, story
from tests.unit.test_cli import call, refused

NAMES = ("a", "b", "c", "d")
CLASSES = ("left", "middle", "right")
RNG = np.random.default_rng(5)
U = RNG.normal(size=(600, 4))
X = U * [1, 20, 0.1, 3]
SCORES = np.stack([U[:, 0] * U[:, 1], 0.7 * U[:, 2], -U[:, 0] * U[:, 1]], axis=1)
LABELS = (SCORES + 0.1 * RNG.normal(size=SCORES.shape)).argmax(axis=1)
HALL = "Complexity,Loss,Equation\n1,0.8,-0.3\n3,0.7,{0}\n5,0.4,({0}) - 3.1f-1\n"
FORMULAS = dict(zip(CLASSES, ("0.5 * (a * b)", "c * 0.6", "-0.5 * (a * b)"), strict=True))


def multiclass() -> Dataset:
    return nacsr.from_arrays(X, LABELS, features=NAMES, classes=CLASSES)


def binary() -> Dataset:
    """Signal where ``a * b`` is large; background at negative ``b`` weighs next to nothing."""
    signal = U[:, 0] * U[:, 1] > 0.2
    weights = np.where(~signal & (U[:, 1] < 0), 1e-3, 1.0)
    return nacsr.from_arrays(X, signal, features=NAMES, classes=("bkg", "sig"), weights=weights)


def regression() -> Dataset:
    target = 3 + U[:, 0] + np.sin(U[:, 1])
    return nacsr.from_arrays(X, target, features=NAMES, classes=("mass",), task="regression")


DATA = {"multiclass": multiclass, "binary": binary, "regression": regression}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = replace(BUDGETS["quick"], evaluations=600, rows=400, taggers=3)
    monkeypatch.setitem(BUDGETS, "quick", budget)


def spec_of(expression: dict[str, Any], task: str = "classification", **more: Any) -> StudySpec:
    document = {
        "dataset": {"source": "arrays", "task": task},
        "budget": "quick",
        "verify": "bits",
        "families": {
            "network": None,
            "linear": None,
            "tables": None,
            "trees": None,
            "expression": {"max_size": 24} | expression,
        },
    }
    return StudySpec.from_mapping(document | more)


def study_of(kind: str, out: Path, expression: dict[str, Any], **more: Any) -> Study:
    task = "regression" if kind == "regression" else "classification"
    return Study(spec_of(expression, task, **more), out, dataset=DATA[kind]())


def finished(study: Study, workers: int = 0) -> list[Entry]:
    """The front of a study, every design of it emitted and the same bit for bit."""
    front = study.run(workers)
    assert front
    for entry in front:
        check = entry.find("mismatches", "g++", "csim")
        assert check is not None
        assert check.value == 0
        assert load(study.out / "designs" / entry.id).graph == entry.graph
        rtl = entry.find("mismatches", "simulation", "rtlsim")
        assert rtl is None or rtl.value == 0
    return front


def written(entry: Entry) -> list[Expr]:
    return list(formulas(entry.candidate.genotype, NAMES, lut_functions())[0].values())


def calls(tree: Expr) -> list[Call]:
    return [node for node, _ in walk(tree) if isinstance(node, Call)]


def best(entry: Entry, metric: str) -> float:
    found = entry.find(metric, "interpreter", "test")
    assert found is not None
    return found.value


# ---- bad input


def events_file(folder: Path, **cells: str) -> Path:
    """Events as csv; ``r17c2`` replaces that cell of the row, ``r3label`` its label."""
    rows = [[*map(repr, x), CLASSES[y]] for x, y in zip(X.tolist(), LABELS, strict=True)]
    for place, text in cells.items():
        row, _, column = place[1:].partition("c")
        rows[int(row)][int(column)] = text
    path = folder / "events.csv"
    path.write_text("\n".join(",".join(r) for r in [[*NAMES, "kind"], *rows]))
    return path


def command(folder: Path, expression: str) -> tuple[str, Path, str, Path]:
    text = (
        "dataset: events.csv\nbudget: quick\n"
        "families: {network: null, linear: null, tables: null, trees: null, "
        f"expression: {{{expression}}}}}\n"
    )
    (folder / "study.yaml").write_text(text)
    return "run", folder / "study.yaml", "--out", folder / "run"


def told(capsys: pytest.CaptureFixture[str], folder: Path, expression: str) -> str:
    return refused(capsys, *command(folder, expression), "--workers", 0)


def test_a_class_with_two_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events_file(tmp_path, r3c4="rare", r8c4="rare")
    line = told(capsys, tmp_path, "")
    assert "events.csv: class 'rare' has 2 events, of 4 classes; each needs 10 or more" in line


@pytest.mark.parametrize("text", ["inf", "-inf", "nan"])
def test_values_that_are_not_finite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    events_file(tmp_path, r17c2=text)
    line = told(capsys, tmp_path, "")
    assert f"events.csv: row 18, column 'c' is {text}" in line
    assert "drop or fill" in line


FOREIGN = {
    "story.csv": "once upon a time\nthere was a file\n",
    "foreign.csv": "Complexity,Loss,Equation\n1,0.5,foreign text here\n",
    "code.csv": "Complexity,Loss,Equation\n1,0.5,\"__import__('os')\"\n",
}


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("operators: []", ("expression.operators", "at least one")),
        (
            "custom: {bad: 'a/b'}",
            ("operator 'bad' is not a number at a = 0, b = 0", "keep"),
        ),
        ("custom: {bad: 'log(a - 3)'}", ("custom: operator 'bad' is infinite", "keep")),
        (
            "custom: {table: 'a + b'}",
            ("custom: operator 'table' has the name", "rename"),
        ),
        ("functions: [sinn]", ("expression.functions: unknown", "did you mean 'sin'?")),
        ("nesting: {sinn: {exp: 0}}", ("expression.nesting: unknown", "did you mean 'sin'?")),
        ("nesting: {sin: {exq: 0}}", ("expression.nesting: unknown", "did you mean 'exp'?")),
        ("features: [a, bb]", ("expression.features: unknown feature 'bb'", "Choose from: a, b")),
        ("features: []", ("expression.features", "one input at least")),
        ("features: [a, a]", ("expression.features", "none twice")),
        ("engine: hof", ("expression: engine: hof needs halls",)),
        ("halls: {up: story.csv}", ("expression.halls: unknown class 'up'", "left, middle")),
        ("halls: {left: none.csv}", ("halls.left: none.csv: there is no such file; give",)),
        ("halls: {left: story.csv}", ("halls.left: story.csv: is no hall of fame", "expected")),
        ("halls: {left: foreign.csv}", ("halls.left: foreign.csv, complexity 1", "check the")),
        ("halls: {left: code.csv}", ("halls.left: code.csv, complexity 1",)),
        ("engine: hof, halls: {left: good.csv}", ("expression.halls", "add one for 'middle'")),
        ("target: nowhere:12ab", ("expression.target: nowhere:12ab: nowhere: no archive here",)),
        ("target: a + b", ("expression.target: a + b: is no emitted project; give RUN:ID",)),
        ("lut_folder: nowhere", ("expression: nowhere is not a folder",)),
        ("precisions: ['ufixed<8,4>']", ("precisions: must be signed",)),
    ],
)
def test_bad_searches_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    expression: str,
    says: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    events_file(tmp_path)
    for name, text in {**FOREIGN, "good.csv": HALL.format("a")}.items():
        (tmp_path / name).write_text(text)
    line = told(capsys, tmp_path, expression)
    assert all(part in line for part in says), line


@pytest.mark.parametrize(
    ("scale", "precision", "says"),
    [
        (30.0, "fixed<16,6>", "ends at 31.999, and 'mass' reaches 1"),
        (30.0, "fixed<16,6>", "with I of 9 or more, or predict it in another unit"),
        (1e-5, "fixed<16,6>", "has steps of 0.000976562, and 'mass' varies by"),
    ],
)
def test_targets_beyond_the_precision(
    tmp_path: Path, scale: float, precision: str, says: str
) -> None:
    target = scale * (3 + U[:, 0] + np.sin(U[:, 1]))
    data = nacsr.from_arrays(X, target, features=NAMES, classes=("mass",), task="regression")
    spec = spec_of({}, "regression", precision=precision)
    with pytest.raises(SpecError, match=r"^precision: fixed<16,6> ") as caught:
        Study(spec, tmp_path / "run", dataset=data)
    assert says in str(caught.value)


def test_a_refusal_is_the_same_in_a_process_of_its_own(tmp_path: Path) -> None:
    events_file(tmp_path)
    (tmp_path / "study.yaml").write_text(
        "dataset: events.csv\nfamilies: {expression: {custom: {bad: 'a/b'}}}\n"
    )
    command = [sys.executable, "-m", "nacsr", "run", "study.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("nacsr: families.expression.custom: operator 'bad' is not a")


def without_julia(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "juliacall.py").write_text("raise Exception('could not find Julia')")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_without_julia_the_study_stops_and_condemns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of("binary", tmp_path / "run", {"engine": "pysr", "tables": False})
    with monkeypatch.context() as patch:
        without_julia(patch, tmp_path)
        with pytest.raises(ToolError, match=r"Julia was not found .*; use engine: embedded here"):
            study.run(workers=0)
    assert study.archive.counts()["jobs"] == 0
    assert not study.archive.entries()
    # the same command, as it goes on where there is a Julia
    monkeypatch.setitem(BUDGETS, "quick", replace(BUDGETS["quick"], taggers=1))
    monkeypatch.setitem(ENGINES, "pysr", engine.search)
    assert finished(study)


def test_limits_that_nothing_fits_leave_the_reason(tmp_path: Path) -> None:
    study = study_of("multiclass", tmp_path / "run", {"max_luts": 1})
    assert study.run(workers=0) == []
    failed = {e.candidate.title: e.failed for e in study.archive.entries()}
    assert set(failed) == {f"search for {name}" for name in CLASSES}
    assert all("max_luts" in reason for reason in failed.values())


def test_an_empty_front_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events_file(tmp_path)
    code, _, err = call(capsys, *command(tmp_path, "max_luts: 1"), "--workers", 0)
    *_, line = err.splitlines()
    assert code == 2
    assert "the front is empty. No expression design is on this front: none of the 3" in line
    assert "most often because " in line
    assert "max_luts" in line


# ---- whole studies


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
