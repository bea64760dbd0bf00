"""The symbolic half given what it cannot use: one line each, and nothing condemned."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.errors import SpecError, ToolError
from nacsr.frontends.symbolic.engines import embedded as engine
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.spec import BUDGETS
from nacsr.study import Study
from tests.study.symbolic_studies import (
    CLASSES,
    HALL,
    LABELS,
    NAMES,
    U,
    X,
    finished,
    spec_of,
    study_of,
)
from tests.unit.test_cli import call, refused

pytestmark = pytest.mark.usefixtures("few_evaluations")


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
