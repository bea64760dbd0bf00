"""Tasks and event weights: through data, the split, judging, networks and whole studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.data.dataset import Dataset, from_arrays, load
from nacsr.data.events import Events
from nacsr.data.split import split
from nacsr.data.words import Feature, Scaling
from nacsr.entry import Entry
from nacsr.errors import DataError, GraphError, SpecError
from nacsr.finish import setting
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.stem import scores
from nacsr.ir import Builder, Graph
from nacsr.metrics import accuracy, auc, quantile, relative_errors, rmse
from nacsr.prepare import prepare
from nacsr.report.rows import labels, quality, rows
from nacsr.report.table import cells, notes, with_error
from nacsr.spec import DatasetSpec, FamiliesSpec, LeanSpec, MlpSpec, SplitSpec, StudySpec

ROWS = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3))
T = X[:, 0] * 2 + 90.5
W = RNG.uniform(0.5, 2, ROWS)
Y = np.arange(ROWS) % 2


def write_csv(path: Path, edit: dict[int, str] | None = None) -> Path:
    """Two features, a weight between them, a real target last."""
    table = np.stack([X[:, 0], W, X[:, 1], T], axis=1).tolist()
    lines = [",".join(map(repr, row)) for row in table]
    for row, text in (edit or {}).items():
        lines[row - 1] = text
    path.write_text("\n".join(["pt,w,eta,m inv", *lines]))
    return path


def refusal(**choice: object) -> str:
    with pytest.raises(DataError) as caught:
        load(DatasetSpec.model_validate(choice))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- data


def test_csv_targets_and_weights(tmp_path: Path) -> None:
    path = str(write_csv(tmp_path / "a.csv"))
    data = load(DatasetSpec(source=path, task="regression", weight="w"))
    assert data.task == "regression"
    assert data.features == ("pt", "eta")
    assert data.classes == ("m_inv",)
    assert data.y.dtype == np.float64
    assert (data.y == T).all()
    assert data.weights is not None
    assert np.allclose(data.weights, W / W.mean(), rtol=1e-14)
    plain = load(DatasetSpec(source=path, task="regression"))
    assert plain.features == ("pt", "w", "eta")
    assert plain.weights is None
    assert plain.digest != data.digest


def test_npz_targets_and_weights(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=Y, mass=T.astype(np.float32), w=W, class_names=["a", "b"])
    source = str(tmp_path / "a.npz")
    data = load(DatasetSpec(source=source, task="regression", label="mass", weight="w"))
    assert data.classes == ("mass",)
    assert (data.y == T.astype(np.float32)).all()
    assert data.weights is not None
    both = load(DatasetSpec(source=source, weight="w"))
    assert both.classes == ("a", "b")
    assert both.weights is not None
    assert (both.weights == data.weights).all()
    assert load(DatasetSpec(source=source)).weights is None
    assert load(DatasetSpec(source=source, task="regression")).classes == ("y",)


def test_the_last_column_but_the_weight_is_the_label(tmp_path: Path) -> None:
    rows = [f"{a},{b},{y},{w}" for (a, b, _), y, w in zip(X.tolist(), Y, W.tolist(), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,y,w", *rows]))
    data = load(DatasetSpec(source=str(tmp_path / "a.csv"), weight="w"))
    assert data.features == ("a", "b")
    assert (data.y == Y).all()


def test_weights_are_part_of_the_digest_and_have_a_mean_of_one() -> None:
    one, twice, other = (from_arrays(X, Y, weights=w) for w in (W, W * 4, W[::-1]))
    assert one.digest == twice.digest != other.digest
    assert one.weights is not None
    assert abs(one.weights.mean() - 1) < 1e-12
    assert from_arrays(X, Y, weights=np.full(ROWS, 0.3)).weights is None
    assert from_arrays(X, Y, weights=np.full(ROWS, 1e308)).weights is None


def test_names_of_targets() -> None:
    assert from_arrays(X, T, task="regression").classes == ("y",)
    assert from_arrays(X, T, task="regression", classes=["2 m"]).classes == ("x2_m",)
    names = ["x", "y", "y_target"]
    assert from_arrays(X, T, names, task="regression").classes == ("y_target_target",)


def test_targets_may_have_two_values_and_are_copied() -> None:
    y = Y.astype(np.float64)
    data = from_arrays(X, y, task="regression")
    y[0] += 1
    assert sorted(set(data.y)) == [0, 1]
    assert (data.y == Y).all()
    assert data.digest != from_arrays(X, Y).digest


def test_the_same_numbers_as_text_are_no_targets() -> None:
    with pytest.raises(DataError, match=r"row 1, target 'y': expected a number, got '\d"):
        from_arrays(X, T.astype(str), task="regression")
    mixed = T.astype(object)
    mixed[4] = None
    with pytest.raises(DataError, match=r"row 5, target 'y': expected a number, got 'None'"):
        from_arrays(X, mixed, task="regression")


@pytest.mark.parametrize(
    ("y", "weights", "task", "expected"),
    [
        (np.where(Y, T, np.inf), None, "regression", "row 1, target 'y' is inf, the first of 20"),
        (np.full(ROWS, 3.5), None, "regression", "target 'y' is 3.5 in every event"),
        (T[:29], None, "regression", "has 29 events; a regression needs 30 or more"),
        (T, None, "regresion", "unknown task 'regresion', did you mean 'regression'?"),
        (T, None, "classification", "set task: regression to predict numbers"),
        (np.where(Y, np.nan, 1.0), None, "classification", "row 2: label nan is no class"),
        (np.where(Y, 1e300, 1.0), None, "classification", "label 1e+300 is no class"),
        (Y, -W, "classification", "row 1, weight is -"),
        (Y, np.zeros(ROWS), "classification", "every weight is zero; leave the weight out"),
        (Y, np.where(Y, W, np.nan), "classification", "row 1, weight is nan, the first of 20"),
        (Y, W[1:], "classification", "weights must be one an event, shape [40], not [39]"),
        (Y, W.astype(str), "classification", "column 'weight': expected a number"),
    ],
)
def test_what_is_refused(
    y: np.ndarray, weights: np.ndarray | None, task: str, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        from_arrays(X[: len(y)], y, task=task, weights=weights)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "row", "expected"),
    [
        ({"task": "regression"}, "1.0,1,2.0,heavy", "row 3, target 'm inv': expected a number"),
        ({"task": "regression"}, "1.0,1,2.0,inf", "row 3, target 'm inv' is inf"),
        ({"task": "classification"}, "1.0,1,2.0,0.5", "set task: regression"),
        ({"weight": "w", "task": "regression"}, "1.0,-1,2.0,9", "row 3, weight is -1"),
        ({"weight": "w", "task": "regression"}, "1.0,x,2.0,9", "column 'w': expected a number"),
        ({"weight": "we"}, "1.0,1,2.0,9", "no weight column 'we'"),
        ({"weight": "w", "label": "w"}, "1.0,1,2.0,9", "'w' is the weight"),
        ({"weight": "w", "features": ["w"]}, "1.0,1,2.0,9", "'w' is the weight, it cannot be a fe"),
    ],
)
def test_what_csv_files_are_refused(
    tmp_path: Path, choice: dict[str, object], row: str, expected: str
) -> None:
    path = write_csv(tmp_path / "a.csv", {3: row})
    choice = {k: tuple(v) if isinstance(v, list) else v for k, v in choice.items()}
    assert expected in refusal(source=str(path), **choice)


def test_a_class_with_two_rows_is_named() -> None:
    y = np.r_[np.zeros(20), np.ones(18), 2, 2].astype(int)
    with pytest.raises(DataError, match="class 'rare' has 2 events, of 3 classes; each needs 10"):
        from_arrays(X, y, classes=["a", "b", "rare"])


# ---- the split


def test_a_regression_is_split_by_shares() -> None:
    data = from_arrays(RNG.normal(size=(200, 2)), np.arange(200.0), task="regression")
    made, again = (split(data, SplitSpec(), seed) for seed in (1, 1))
    assert made.digest == again.digest != split(data, SplitSpec(), 2).digest
    assert [len(p) for p in (made.train, made.validation, made.test)] == [120, 40, 40]
    assert sorted(np.r_[made.train, made.validation, made.test]) == list(range(200))
    assert abs(data.y[made.test].mean() - 99.5) < 40


def test_weights_do_not_move_the_split() -> None:
    assert (
        split(from_arrays(X, Y), SplitSpec(), 3).digest
        == split(from_arrays(X, Y, weights=W), SplitSpec(), 3).digest
    )


def test_parts_that_cannot_be_trained_or_measured_on_are_refused() -> None:
    heavy = from_arrays(X, Y, classes=["a", "b"], weights=np.where(np.arange(ROWS) == 1, 1, 1 - Y))
    with pytest.raises(DataError, match=r"every \w+ event of class 'b' has weight zero"):
        split(heavy, SplitSpec(), 0)
    still = from_arrays(X, np.arange(ROWS) == 7, task="regression")
    seeds = [s for s in range(30) if 7 not in split_rows(still, s)]
    assert seeds
    with pytest.raises(DataError, match="the target is 0 in every training event"):
        split(still, SplitSpec(), seeds[0])


def split_rows(data: Dataset, seed: int) -> set[int]:
    """Training rows of the same events with a target that is never refused."""
    moving = from_arrays(data.x, np.arange(len(data.y)), task="regression")
    return set(split(moving, SplitSpec(), seed).train.tolist())


def test_a_study_and_its_events_have_one_task(tmp_path: Path) -> None:
    spec = StudySpec(dataset=DatasetSpec(source="arrays", task="regression"))
    with pytest.raises(SpecError, match=r"dataset\.task: the study is a regression, its events"):
        prepare(spec, from_arrays(X, Y), tmp_path)


# ---- judging

WORD = Fixed(8, 4)


def problem_of(task: str, classes: tuple[str, ...], events: Events) -> Problem:
    features = tuple(Feature(n, WORD) for n in "ab")
    still = Scaling("external", (0, 0), (0, 0))
    return Problem(
        features, classes, still, events, events, "vu13p", 200.0, Fixed(16, 6), "d", task
    )


def identity(ports: str) -> Graph:
    """A design that returns the words of its ports."""
    builder = Builder()
    for name in ports:
        builder.output(f"out_{name}", builder.input(name, WORD))
    return builder.build()


def some_events(y: np.ndarray) -> Events:
    words = np.random.default_rng(4).integers(WORD.min_raw, WORD.max_raw + 1, (len(y), 2))
    return Events(words, y, np.random.default_rng(5).uniform(0, 2, len(y)))


def test_a_binary_design_of_one_output_is_judged_by_its_sign() -> None:
    events = some_events(np.arange(300) % 2)
    problem = problem_of("classification", ("bkg", "sig"), events)
    found = performance(identity("a"), problem, events, "test")
    assert [(m.metric, m.label) for m in found] == [("accuracy", ""), ("auc", "sig")]
    raw = events.words[:, :1]
    assert (found[0].value, found[0].error) == accuracy(raw, events.y, events.weights)
    assert found[1].value == auc(raw[:, 0], events.y == 1, events.weights)
    assert {(m.method, m.stage) for m in found} == {("interpreter", "test")}


def test_two_outputs_are_one_output_of_their_difference() -> None:
    events = some_events(np.arange(300) % 2)
    problem = problem_of("classification", ("bkg", "sig"), events)
    builder = Builder()
    a, b = (builder.input(n, WORD) for n in "ab")
    builder.output("sig", builder.op("sub", b, a))
    one = performance(builder.build(), problem, events, "validation")
    two = performance(identity("ab"), problem, events, "validation")
    assert [m.value for m in one] == [m.value for m in two]


def test_a_regression_is_judged_in_its_own_units() -> None:
    y = np.random.default_rng(6).normal(size=300)
    y[:3] = 0
    events = some_events(y)
    problem = problem_of("regression", ("m",), events)
    found = {m.metric: m for m in performance(identity("a"), problem, events, "validation")}
    predictions = WORD.to_float(events.words[:, 0])
    assert (found["rmse"].value, found["rmse"].error) == rmse(predictions, y, events.weights)
    errors = relative_errors(predictions, y, events.weights)
    for metric, share in (("median_error", 0.5), ("p95_error", 0.95)):
        value, error = quantile(errors[0], share, errors[1])
        assert (found[metric].value, found[metric].error) == (value, error)
    zero = Events(events.words, np.zeros(300), events.weights)
    assert [m.metric for m in performance(identity("a"), problem, zero, "test")] == ["rmse"]


def test_outputs_must_fit_the_task() -> None:
    events = some_events(np.arange(300) % 3)
    problem = problem_of("classification", ("a", "b", "c"), events)
    with pytest.raises(GraphError, match="the design has 2 outputs; a classification of a, b, c"):
        performance(identity("ab"), problem, events, "test")


# ---- whole studies, networks only

NETWORK = MlpSpec(
    depth=(1,),
    widths=(4, 8),
    weight_bits=(6,),
    activation_bits=(8,),
    local=None,
    lean=LeanSpec(stacks=((4,),), share=0.3),
)


def study_of(data: Dataset, out: Path) -> tuple[nacsr.Study, list[Entry]]:
    spec = StudySpec(
        name="tasks",
        dataset=DatasetSpec(source="arrays", task=data.task),
        budget="quick",
        families=FamiliesSpec(
            expression=None, network=NETWORK, linear=None, tables=None, trees=None
        ),
    )
    study = nacsr.Study(spec, out, dataset=data)
    return study, study.run(workers=0)


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(8).normal(size=(1200, 3)) * [1, 30, 0.1] + [0, 100, 0]


@pytest.mark.slow
def test_a_regression_study(tmp_path: Path, inputs: np.ndarray) -> None:
    target = 90 + 5 * inputs[:, 0] + 0.1 * (inputs[:, 1] - 100)
    weights = np.random.default_rng(9).uniform(0.5, 1.5, 1200)
    data = from_arrays(inputs, target, task="regression", classes=["mass"], weights=weights)
    study, front = study_of(data, tmp_path / "run")
    test, problem = study.prepared.test, study.prepared.problem
    assert front
    values = []
    for entry in front:
        assert entry.failed == ""
        ((_, output),) = entry.graph.outputs
        raw = scores(entry.graph, problem.features, test.words)
        predictions = entry.graph.ops[output].type.to_float(raw)
        assert predictions.shape == (240, 1)
        found = entry.find("rmse", "interpreter", "test")
        assert found is not None
        assert (found.value, found.error) == rmse(predictions[:, 0], test.y, test.weights)
        validation = entry.find("rmse", "interpreter", "validation")
        assert validation is not None
        values.append(validation.value)
    assert values == sorted(values)  # the best comes first
    assert values[0] < 0.2 * target.std()
    shown = rows(front, setting(study.prepared))
    assert quality(shown) == "rmse"
    assert labels(shown, data.classes) == []
    assert [r.validation for r in shown] == values
    for row in shown:
        assert list(row.further) == list(row.further_error) == ["median_error", "p95_error"]
        errors = (
            f"{100 * row.further['median_error']:#.3g} % {100 * row.further['p95_error']:#.3g} %"
        )
        assert errors in cells(row, ())
    assert "Designs were selected by validation rmse" in notes(shown)[0]
    assert not any(line.startswith("AUC") for line in notes(shown))


@pytest.mark.slow
def test_a_binary_study_has_one_output(tmp_path: Path, inputs: np.ndarray) -> None:
    y = inputs[:, 0] + 5 * inputs[:, 2] > 0.3
    study, front = study_of(from_arrays(inputs, y, classes=["bkg", "sig"]), tmp_path / "run")
    test, problem = study.prepared.test, study.prepared.problem
    assert front
    for entry in front:
        raw = scores(entry.graph, problem.features, test.words)
        assert raw.shape == (len(test), 1)
        found = entry.find("accuracy", "interpreter", "test")
        assert found is not None
        assert (found.value, found.error) == accuracy(raw, test.y)
        assert entry.find("auc", "interpreter", "test", "bkg") is None
    shown = rows(front, setting(study.prepared))
    assert max(r.test or 0 for r in shown) > 0.9
    assert quality(shown) == "accuracy"
    assert labels(shown, ("bkg", "sig")) == ["sig"]
    assert f"{shown[0].auc['sig']:.3f}".lstrip("0") in cells(shown[0], ("bkg", "sig"))
    assert any(line.startswith("AUC: sig against the other class") for line in notes(shown))


def test_numbers_far_from_one_keep_their_digits() -> None:
    assert with_error(0.72, 0.0123) == "0.7200 ± 0.0123"
    assert with_error(1.2345e-5, 2.34e-7) == "1.234e-05 ± 2.3e-07"
    assert with_error(123.456, None) == "123.5"
    assert with_error(None, 0.1) == "-"
