"""Trained trees of other packages: words get the scores, and the classes, that those would give."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nacsr
from nacsr.cli.app import app
from nacsr.design import Design
from nacsr.errors import FileError, NacsrError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees.models import of_model
from nacsr.frontends.reference.trees.read import read
from nacsr.frontends.reference.trees.trained import Trained, _cuts
from tests.unit.tree_files import stump

sklearn = pytest.importorskip("sklearn.ensemble")
from sklearn import tree as trees  # noqa: E402

FINE = Fixed.parse("fixed<12,3,RND,SAT>")
COARSE = Fixed.parse("fixed<7,3,RND,SAT>")
"""Training values: what lies half way between two of them is one of the fine words."""
SUMS = 1e-12
"""Of sums in double precision."""
Array = np.ndarray[Any, Any]


def drawn(rows: int, seed: int = 0, word: Fixed = COARSE) -> Array:
    values = np.random.default_rng(seed).normal(size=(rows, 3)) * 1.5
    return word.to_float(word.quantize(values))


X = drawn(300)
VALUE = np.sin(X[:, 0]) + X[:, 1] * (X[:, 2] > 0.4)
TWO = (VALUE > 0.3).astype(int)
THREE = TWO + (VALUE > 1.2)


def words(trained: Trained, word: Fixed = FINE, rows: int = 3000) -> Array:
    """Values of words, of which half are at thresholds or next to them."""
    x, rng = drawn(rows, 1, word), np.random.default_rng(2)
    at = np.array([cut for _, root in trained.roots for cut in _cuts(root)])
    for j in range(x.shape[1]):
        mine = at[at[:, 0] == j, 1]
        if len(mine):
            near = rng.choice(mine, rows) + rng.integers(-1, 2, rows) * word.lsb
            x[:, j] = np.where(rng.random(rows) < 0.5, word.to_float(word.quantize(near)), x[:, j])
    return x


def agrees(design: Design, x: Array, scores: Array, slack: float = SUMS) -> None:
    """Scores are within the proven bounds, and so are those of events whose class differs."""
    theirs, ours = scores.reshape(len(x), -1), design.run(x)
    bounds = np.array([design.bounds[name] for name in design.setting.classes]) + slack
    assert ours.shape == theirs.shape
    assert (np.abs(ours - theirs) <= bounds).all()
    if ours.shape[1] > 1:
        rows = np.arange(len(x))
        mine, other = ours.argmax(1), theirs.argmax(1)
        gap, allowed = theirs[rows, other] - theirs[rows, mine], bounds[mine] + bounds[other]
        assert (gap[mine != other] <= allowed[mine != other]).all()
    else:
        differs = (ours > 0) != (theirs > 0)
        assert (np.abs(theirs) <= bounds)[differs].all()


# --- scikit-learn -----------------------------------------------------------------------------

TREE: dict[str, Any] = {"max_depth": 4, "random_state": 0}
BOOST: dict[str, Any] = {"n_estimators": 4, "max_depth": 3, "random_state": 0}
FOREST: dict[str, Any] = {"n_estimators": 5, "max_depth": 4, "random_state": 0}
HIST: dict[str, Any] = {"max_iter": 4, "max_leaf_nodes": 6, "random_state": 0}


def margins(model: Any, x: Array) -> Array:
    found: Array
    if hasattr(model, "decision_function"):
        found = model.decision_function(x)
    elif hasattr(model, "predict_proba"):
        found = model.predict_proba(x)
        found = found[:, 1] - found[:, 0] if found.shape[1] == 2 else found
    else:
        found = model.predict(x)
    return found


CLASSIFIERS = [
    trees.DecisionTreeClassifier(**TREE),
    trees.ExtraTreeClassifier(**TREE),
    sklearn.RandomForestClassifier(**FOREST),
    sklearn.ExtraTreesClassifier(**FOREST, class_weight="balanced"),
    sklearn.GradientBoostingClassifier(**BOOST, learning_rate=0.4),
    sklearn.GradientBoostingClassifier(**BOOST, init="zero", subsample=0.7),
    sklearn.HistGradientBoostingClassifier(**HIST),
]
REGRESSORS = [
    trees.DecisionTreeRegressor(**TREE, criterion="absolute_error"),
    sklearn.RandomForestRegressor(**FOREST, bootstrap=False, max_features=2),
    sklearn.ExtraTreesRegressor(**FOREST),
    sklearn.GradientBoostingRegressor(**BOOST, loss="huber"),
    sklearn.GradientBoostingRegressor(**BOOST, loss="quantile", alpha=0.7, init="zero"),
    sklearn.HistGradientBoostingRegressor(**HIST, loss="absolute_error"),
]


def named(models: Sequence[Any]) -> list[str]:
    return [f"{type(model).__name__}-{k}" for k, model in enumerate(models)]


@pytest.mark.parametrize("targets", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=named(CLASSIFIERS))
def test_a_classifiers_scores_and_classes_are_ours(model: Any, targets: Array) -> None:
    model.fit(X, targets)
    x = words(of_model(model))
    design = nacsr.compile(model, precision="fixed<12,3>")
    theirs, ours = margins(model, x), design.run(x)
    agrees(design, x, theirs)
    guess = (ours[:, 0] > 0).astype(int) if targets is TWO else ours.argmax(1)
    close = np.sort(theirs.reshape(len(x), -1), 1)
    gap = np.abs(close[:, -1]) if targets is TWO else close[:, -1] - close[:, -2]
    clear = gap > 2 * max(design.bounds.values())
    assert clear.mean() > 0.9
    assert np.array_equal(guess[clear], model.predict(x)[clear])
    assert design.setting.classes == (("y",) if targets is TWO else ("y0", "y1", "y2"))


@pytest.mark.parametrize("model", REGRESSORS, ids=named(REGRESSORS))
def test_a_regressors_values_are_ours(model: Any) -> None:
    model.fit(X, VALUE)
    x = words(of_model(model))
    for told in ({"precision": "fixed<12,3>"}, {"precision": "fixed<12,3>", "max_error": 1e-3}):
        design = nacsr.compile(model, **told)
        agrees(design, x, model.predict(x))
        assert max(design.bounds.values()) <= 0.02
    assert max(design.bounds.values()) <= 1e-3


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (trees.DecisionTreeRegressor(), np.round(VALUE)),
        (trees.DecisionTreeClassifier(), THREE),
        (sklearn.ExtraTreesClassifier(4), TWO),
        (sklearn.ExtraTreesRegressor(4), np.round(4 * VALUE)),
    ],
)
def test_exact_leaves_give_exact_scores(model: Any, targets: Array) -> None:
    model.set_params(random_state=0).fit(X, targets)
    design = nacsr.compile(model, precision="fixed<12,3>")
    x = words(of_model(model))
    assert set(design.bounds.values()) == {0.0}
    assert np.array_equal(design.run(x), margins(model, x).reshape(len(x), -1))


def test_a_tree_of_a_thousand_questions() -> None:
    x = FINE.to_float(np.arange(-600, 600))[:, None]
    y = np.random.default_rng(0).integers(-4, 5, len(x))
    model = trees.DecisionTreeRegressor(random_state=0).fit(x, y)
    assert len(_cuts(of_model(model).roots[0][1])) > 1000
    design = nacsr.compile(model, precision="fixed<12,3>")
    assert np.array_equal(design.run(x)[:, 0], y)


@pytest.mark.parametrize("kind", [trees.DecisionTreeRegressor, sklearn.GradientBoostingRegressor])
def test_thresholds_between_neighbouring_float32(kind: Any) -> None:
    """Half way between two of them is no float32: inputs are, the threshold is not rounded."""
    next_to = np.float32(4.0) + np.float32(2.0**-21) * np.arange(4, dtype=np.float32)
    model = kind(random_state=0).fit(next_to[:, None], np.array([0.0, 4.0, 1.0, 7.0]))
    steps = np.arange(-64, 3 * 512 + 64)
    x = 4.0 + np.ldexp(steps.astype(float), -30)[:, None]
    design = nacsr.compile(model, precision="fixed<34,4>")
    agrees(design, x, model.predict(x))
    assert len(set(design.run(x)[:, 0])) == 4


def test_histogram_boosting_compares_in_double_precision() -> None:
    x = 4.0 + np.ldexp(np.arange(8.0), -29)[:, None]  # of float32 all are the same
    told = {"min_samples_leaf": 1, "learning_rate": 1.0, "max_iter": 2}
    model = sklearn.HistGradientBoostingRegressor(**told).fit(x, np.arange(8.0) % 3)
    design = nacsr.compile(model, precision="fixed<34,4>")
    near = 4.0 + np.ldexp(np.arange(-4.0, 20.0), -30)[:, None]
    agrees(design, near, model.predict(near))
    assert len(set(design.run(near)[:, 0])) >= 3


def test_strings_become_names() -> None:
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(X, columns=["jet pt", "eta", "m/GeV"])
    for labels, expected in (
        (np.array(["qcd", "w", "top"])[THREE], ("qcd", "top", "w")),
        (np.array(["qcd", "w"])[TWO], ("w",)),
    ):
        for kind in (sklearn.RandomForestClassifier, sklearn.GradientBoostingClassifier):
            model = kind(n_estimators=3, max_depth=3, random_state=0).fit(x, labels)
            design = nacsr.compile(model)
            assert design.setting.classes == expected
            assert [f.name for f in design.setting.features] == ["jet pt", "eta", "m/GeV"]
            scores = design.run(X)
            if len(expected) > 1:
                right = np.array(expected)[scores.argmax(1)] == model.predict(x)
            else:
                right = (scores[:, 0] > 0) == (model.predict(x) == "w")
            assert right.mean() > 0.999


def test_what_is_learnt_of_missing_values_is_left_out(caplog: Any) -> None:
    holes = X.copy()
    holes[::3, 0] = np.nan
    model = sklearn.HistGradientBoostingRegressor(**HIST).fit(
        holes, 5 * np.isnan(holes[:, 0]) + VALUE
    )
    with caplog.at_level(logging.WARNING, "nacsr"):
        design = nacsr.compile(model, precision="fixed<12,3>")
    assert "whether values are missing" in caplog.text
    x = words(of_model(model))
    agrees(design, x, model.predict(x))


def categorical() -> Any:
    model = sklearn.HistGradientBoostingRegressor(**HIST, categorical_features=[0])
    return model.fit(np.abs(np.round(X)), VALUE)


def pipeline() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), trees.DecisionTreeRegressor(max_depth=2)).fit(X, VALUE)


def custom_init() -> Any:
    first = trees.DecisionTreeRegressor(max_depth=2)
    return sklearn.GradientBoostingRegressor(**BOOST, init=first).fit(X, VALUE)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        *((lambda m=kind: m(), "is not fitted; call its fit") for kind in map(type, CLASSIFIERS)),
        (lambda: sklearn.IsolationForest(n_estimators=2).fit(X), "IsolationForest is no model of"),
        (pipeline, r"Pipeline is no model of trees that is known; .*model\[-1\]"),
        (
            lambda: sklearn.RandomForestRegressor(2).fit(X, np.stack([VALUE, TWO], 1)),
            "RandomForestRegressor has 2 targets; fit a model for each",
        ),
        (
            lambda: trees.DecisionTreeClassifier().fit(X, np.stack([THREE, TWO], 1)),
            "DecisionTreeClassifier has 2 targets",
        ),
        (custom_init, r"adds its trees to another model, init=DecisionTreeRegressor"),
        (
            lambda: sklearn.HistGradientBoostingRegressor(**HIST, loss="poisson").fit(X, THREE),
            "loss 'poisson' predicts exp of a sum",
        ),
        (categorical, "splits on categories"),
        (lambda: trees.DecisionTreeRegressor().fit(X, X[:, 0] * 0), "no tree asks anything"),
        (
            lambda: trees.DecisionTreeClassifier().fit(X, np.array(["a;b", "c", "d"])[THREE]),
            "cannot name an output 'a;b'",
        ),
        (object, "cannot compile <object object"),
        (lambda: 3, "cannot compile 3; give a formula"),
    ],
)
def test_models_that_are_refused(made: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        nacsr.compile(made())
    assert "\n" not in str(error.value)


def test_formulas_options_do_not_go_with_a_model() -> None:
    model = trees.DecisionTreeRegressor(max_depth=2).fit(X, VALUE)
    with pytest.raises(SpecError, match="DecisionTreeRegressor holds trained trees; lut cannot"):
        nacsr.compile(model, lut={"max_error": 1e-3})
    with pytest.raises(SpecError, match="max_error must be above zero"):
        nacsr.compile(model, max_error=0.0)


# --- xgboost ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xgboost() -> Any:
    return pytest.importorskip("xgboost", reason="xgboost is not installed: nacsr[trees]")


FLOAT32_SUMS = 2e-6
XGB: dict[str, Any] = {"n_estimators": 5, "max_depth": 3, "n_jobs": 1, "random_state": 0}
LONG = {**XGB, "n_estimators": 40, "learning_rate": 1.0, "early_stopping_rounds": 2}


@pytest.mark.parametrize(
    ("kind", "told", "targets"),
    [
        ("XGBClassifier", XGB, TWO),
        ("XGBClassifier", {**XGB, "objective": "binary:hinge"}, TWO),
        ("XGBClassifier", {**XGB, "objective": "binary:logitraw", "base_score": 0.3}, TWO),
        ("XGBClassifier", {**XGB, "num_parallel_tree": 2, "subsample": 0.5}, THREE),
        ("XGBClassifier", {**XGB, "booster": "dart", "rate_drop": 0.5}, THREE),
        ("XGBClassifier", LONG, TWO),
        ("XGBClassifier", {**LONG, "num_parallel_tree": 2, "subsample": 0.8}, THREE),
        ("XGBRFClassifier", XGB, THREE),
        ("XGBRegressor", XGB, VALUE + 3),
        ("XGBRegressor", {**LONG, "booster": "dart", "rate_drop": 0.3}, VALUE),
        ("XGBRegressor", {**XGB, "objective": "reg:absoluteerror"}, VALUE),
        ("XGBRegressor", {**XGB, "objective": "reg:pseudohubererror"}, VALUE),
        ("XGBRegressor", {**XGB, "booster": "dart"}, np.stack([VALUE, 2 - VALUE], 1)),
        (
            "XGBRegressor",
            {**XGB, "objective": "reg:quantileerror", "quantile_alpha": [0.2, 0.8]},
            VALUE,
        ),
    ],
)
def test_an_estimator_of_xgboost_and_its_file_predict_as_it_does(
    xgboost: Any, tmp_path: Path, kind: str, told: dict[str, Any], targets: Array
) -> None:
    model = getattr(xgboost, kind)(**told)
    # what the first rounds learn of turned-round targets is worse than none
    stops = "early_stopping_rounds" in told
    model.fit(
        X, targets, **({"eval_set": [(X[::2], targets[::-2])], "verbose": 0} if stops else {})
    )
    x = words(of_model(model))
    design = nacsr.compile(model, precision="fixed<12,3>")
    agrees(design, x, model.predict(x, output_margin=True), FLOAT32_SUMS)
    if stops:
        assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "m.json")
    assert read(tmp_path / "m.json") == of_model(model)


def test_a_ranker(xgboost: Any) -> None:
    model = xgboost.XGBRanker(**XGB).fit(X, THREE, qid=np.arange(len(X)) // 30)
    x = words(of_model(model))
    agrees(nacsr.compile(model, precision="fixed<12,3>"), x, model.predict(x), FLOAT32_SUMS)


def test_a_booster_predicts_with_all_its_rounds(xgboost: Any, tmp_path: Path, caplog: Any) -> None:
    data = xgboost.DMatrix(X, label=VALUE, feature_names=["a", "b", "c"])
    other = xgboost.DMatrix(X, label=VALUE[::-1], feature_names=["a", "b", "c"])
    model = xgboost.train(
        {"max_depth": 2, "nthread": 1, "eta": 1.0},
        data,
        30,
        evals=[(other, "other")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    with caplog.at_level(logging.WARNING, "nacsr"):
        design = nacsr.compile(model, precision="fixed<12,3>", max_error=1e-4)
    assert f"booster[:{model.best_iteration + 1}]" in caplog.text
    x = words(of_model(model))
    inside = xgboost.DMatrix(x, feature_names=["a", "b", "c"])
    agrees(design, x, model.predict(inside), FLOAT32_SUMS)
    assert [f.name for f in design.setting.features] == ["a", "b", "c"]
    best = model[: model.best_iteration + 1]
    agrees(nacsr.compile(best, precision="fixed<12,3>"), x, best.predict(inside), FLOAT32_SUMS)
    model.save_model(tmp_path / "m.json")
    assert read(tmp_path / "m.json") == of_model(model)


def fitted(xgboost: Any, kind: str, targets: Array, **told: Any) -> Any:
    return getattr(xgboost, kind)(**{**XGB, **told}).fit(X, targets)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda xgb: xgb.XGBClassifier(), "the XGBClassifier is not fitted; call its fit"),
        (lambda xgb: xgb.Booster(), "the Booster is not fitted; call its fit, or train, first"),
        (lambda xgb: xgb.XGBRegressor(booster="gblinear"), "booster 'gblinear' has no trees"),
        (lambda xgb: xgb.DMatrix(X), "DMatrix of xgboost is no model; give a Booster"),
        (
            lambda xgb: xgb.train({"booster": "gblinear"}, xgb.DMatrix(X, label=VALUE), 1),
            "booster 'gblinear' has no trees; train with gbtree",
        ),
        (
            lambda xgb: fitted(xgb, "XGBRegressor", THREE, objective="reg:tweedie"),
            "'reg:tweedie' predicts exp of a sum of leaves",
        ),
        (
            lambda xgb: fitted(
                xgb,
                "XGBRegressor",
                np.stack([VALUE, VALUE], 1),
                multi_strategy="multi_output_tree",
                tree_method="hist",
            ),
            "leaves are vectors",
        ),
    ],
)
def test_models_of_xgboost_that_are_refused(
    xgboost: Any, made: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message) as error:
        nacsr.compile(made(xgboost))
    assert "\n" not in str(error.value)


def content(**changes: Any) -> dict[str, Any]:
    """What xgboost 1.7 writes of one stump, as far as it is read."""
    stump = {
        "split_conditions": [5e-1, -1.0, 2.0],
        "split_indices": [1, 0, 0],
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_type": [0, 0, 0],
        "tree_param": {"size_leaf_vector": "0"},
    }
    params = {"base_score": "5E-1", "num_class": "0", "num_feature": "2", **changes.pop("p", {})}
    model = {
        "trees": [stump, stump],
        "tree_info": [0, 0],
        "gbtree_model_param": {"num_trees": "2"},
    }
    learner = {
        "learner_model_param": params,
        "gradient_booster": {"name": "gbtree", "model": model},
        "objective": {"name": "binary:logistic"},
        **changes,
    }
    return {"learner": learner, "version": [1, 7, 6]}


def test_base_scores_of_all_versions(tmp_path: Path) -> None:
    path = tmp_path / "m.json"

    def base(text: str, objective: str, count: int = 0) -> tuple[float, ...]:
        params = {"base_score": text, "num_class": str(count)}
        path.write_text(json.dumps(content(p=params, objective={"name": objective})))
        return read(path).base

    assert base("5E-1", "binary:logistic") == base("[5E-1]", "reg:logistic") == (0.0,)
    assert base("-2.5E-1", "reg:squarederror") == base("[-2.5E-1]", "rank:ndcg") == (-0.25,)
    assert base("5E-1", "multi:softmax", 3) == (0.5, 0.5, 0.5)
    assert base("[5E-1,0E0,-1E0]", "multi:softprob", 3) == (0.5, 0.0, -1.0)
    with pytest.raises(SpecError, match="base_score 1E0 is no probability"):
        base("1E0", "binary:logistic")
    with pytest.raises(SpecError, match="2 base scores for 3 outputs"):
        base("[1E0,2E0]", "multi:softprob", 3)
    with pytest.raises(SpecError, match=r"objective 'mine' is not known; .*reg:squarederror"):
        base("1E0", "mine")


def test_only_an_estimators_file_ends_with_its_best_round(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "m.json"
    for attributes, count in (
        ({"best_iteration": "0"}, 2),
        ({"best_iteration": "0", "scikit_learn": "{}"}, 1),
        ({"scikit_learn": "{}"}, 2),
    ):
        caplog.clear()
        path.write_text(json.dumps(content(attributes=attributes)))
        assert len(read(path).roots) == count
        assert ("all its rounds" in caplog.text) == (attributes == {"best_iteration": "0"})


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_saved_trees_are_read_as_they_were(tmp_path: Path, suffix: str) -> None:
    for model, targets in (
        (sklearn.HistGradientBoostingClassifier(**HIST), THREE),
        (sklearn.GradientBoostingClassifier(**BOOST), np.array(["no", "yes"])[TWO]),
        (sklearn.RandomForestRegressor(**FOREST), VALUE),
    ):
        model.fit(X, targets)
        path = nacsr.save_trees(model, tmp_path / f"trees{suffix}")
        assert read(path) == of_model(model)
        made = nacsr.compile(path)
        assert made.graph.digest == nacsr.compile(model).graph.digest
        assert made.title == f"trees of trees{suffix}"
    out = str(tmp_path / "project")
    told = ["compile", str(path), "--precision", "12,3", "--to", "rtl", "--out", out]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert nacsr.compile(out).run(X).shape == (len(X), 1)


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    model = trees.DecisionTreeRegressor(max_depth=2).fit(X, VALUE)
    with pytest.raises(SpecError, match=r"name a file that ends in \.json or \.npz"):
        nacsr.save_trees(model, tmp_path / "trees.pkl")
    with pytest.raises(FileError, match="cannot write"):
        nacsr.save_trees(model, tmp_path / "nowhere" / "trees.json")
    with pytest.raises(SpecError, match="dict is no model of trees that is known"):
        nacsr.save_trees({}, tmp_path / "trees.json")


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.UBJ", "m.model", "dir/m.pickle"])
def test_pickles_and_binaries_are_refused(name: str) -> None:
    done = CliRunner().invoke(app, ["compile", name, "--out", "nowhere"])
    assert isinstance(done.exception, SpecError)  # main() prints it, and exits with 2
    text = str(done.exception)
    assert "nacsr.save_trees(model, 'model.json')" in text
    assert "\n" not in text


def test_what_is_no_npz_of_trees_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(FileError, match="cannot read"):
        read(path)
    np.savez(path, words=np.arange(3))
    with pytest.raises(SpecError, match="holds no trees that are known"):
        read(path)
    np.savez(path, format=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileError, match=r"cannot read .*allow_pickle"):
        read(path)
    np.savez(path, format="nacsr-trees 1", features=["a"], outputs=["y"])
    with pytest.raises(SpecError, match="not well formed"):
        read(path)


ladder = list(range(1, 61))


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (stump(tree={"right": [-1, 0, 0]}), "node -1 of a tree is reached twice, or is none"),
        (stump(tree={"left": [1, -1, -1], "right": [1, 0, 0]}), "node 1 of a tree is reached"),
        # two to the sixty ways through sixty nodes
        (
            stump(
                tree={
                    "left": [*ladder, -1],
                    "right": [*ladder, 0],
                    "feature": [0] * 61,
                    "threshold": [0.0] * 61,
                    "value": [0.0] * 61,
                }
            ),
            "is reached twice",
        ),
        (stump(tree={"feature": [0.5, 0, 0]}), "not well formed"),
        (stump(tree={"left": [1e400, -1, -1]}), "not well formed"),
        (stump(outputs=["a;b"]), "cannot name an output 'a;b'"),
        (stump(outputs=["a", "a"], base=[0.0, 0.0]), "cannot name an output 'a'"),
        ({"learner": []}, "not well formed"),
        ({"learner": {"learner_model_param": {}}}, "not well formed"),
        ([{"leaf": "x"}], "not well formed"),
    ],
)
def test_arrays_that_are_no_trees(tmp_path: Path, given_: Any, message: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(given_))
    with pytest.raises(NacsrError, match=message) as error:
        nacsr.compile(path)
    assert str(path) in str(error.value)


def test_words_that_do_not_reach_the_thresholds(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "m.json"
    far = stump()
    far["trees"].append({**far["trees"][0], "threshold": [-150.0, 0, 0], "feature": [0, 0, 0]})
    path.write_text(json.dumps(far))
    with caplog.at_level(logging.WARNING, "nacsr"):
        nacsr.compile(path, precision="fixed<12,9>")
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "nacsr"):
        design = nacsr.compile(path, precision="fixed<12,4>")
    assert "beyond the words of pt; give a wider precision than fixed<12,4>" in caplog.text
    assert design.run([[-8.0, 0.0]]).tolist() == [[1.0]]
    path.write_text(json.dumps(stump(tree={"threshold": [99.0, 0, 0]})))
    with pytest.raises(SpecError, match="no score depends on the words fixed<12,4>"):
        nacsr.compile(path, precision="fixed<12,4>")


def test_scores_that_no_word_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(stump(base=[1e6])))
    with pytest.raises(SpecError, match=r"scores up to 1e\+06 .* allow a larger max_error"):
        nacsr.compile(path, max_error=1e-15)


# --- random trees -----------------------------------------------------------------------------

WORD = Fixed.parse("fixed<6,3>")


@st.composite
def tree_arrays(draw: st.DrawFn, features: int, outputs: int) -> dict[str, Any]:
    """Nodes in any order but for the root; thresholds are words, or lie between, or beyond."""
    keys = ("left", "right", "feature", "threshold", "value")
    found: dict[str, Any] = {key: [0] for key in keys}
    free = [0]
    for _ in range(draw(st.integers(0, 7))):
        place = free.pop(draw(st.integers(0, len(free) - 1)))
        sides = [len(found["left"]), len(found["left"]) + 1]
        for key in keys:
            found[key] += [0, 0]
        free += sides
        found["left"][place], found["right"][place] = draw(st.permutations(sides))
        found["feature"][place] = draw(st.integers(0, features - 1))
        on_words = st.integers(-70, 70).map(lambda k: k / 16)
        found["threshold"][place] = draw(st.one_of(on_words, st.floats(-5, 5)))
    for place in free:
        found["left"][place] = -1
        found["value"][place] = draw(
            st.one_of(st.integers(-64, 64).map(lambda k: k / 8), st.floats(-8, 8))
        )
    return {"output": draw(st.integers(0, outputs - 1)), **found}


def naive(found: dict[str, Any], row: Sequence[float]) -> list[float]:
    kind = {"float32": np.float32, "float64": np.float64}[found["compared_as"]]
    sums = list(found["base"])
    for tree in found["trees"]:
        place = 0
        while tree["left"][place] >= 0:
            value = float(kind(row[tree["feature"][place]]))
            cut = tree["threshold"][place]
            goes_left = value < cut if found["left_if"] == "<" else value <= cut
            place = tree["left" if goes_left else "right"][place]
        sums[tree["output"]] += tree["value"][place]
    return sums


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_trees_compute_what_a_plain_walk_computes(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    features, outputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    tree = tree_arrays(features, outputs)
    found = stump(
        features=[f"f{j}" for j in range(features)],
        outputs=[f"s{k}" for k in range(outputs)],
        base=data.draw(st.lists(st.floats(-4, 4), min_size=outputs, max_size=outputs)),
        left_if=data.draw(st.sampled_from(("<", "<="))),
        compared_as=data.draw(st.sampled_from(("float32", "float64"))),
        trees=data.draw(
            st.lists(tree, min_size=1, max_size=4).filter(
                lambda some: any(t["left"][0] > 0 for t in some)
            )
        ),
    )
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_text(json.dumps(found))
    max_error = data.draw(st.sampled_from((None, 0.3, 1e-3)))
    grid = WORD.to_float(np.arange(WORD.min_raw, WORD.max_raw + 1))
    every = np.array(list(itertools.product(grid, repeat=features)))
    x = every[np.random.default_rng(0).permutation(len(every))[:200]]
    theirs = np.array([naive(found, row) for row in x.tolist()])
    trained = read(path)
    try:
        design = nacsr.compile(path, precision=str(WORD), max_error=max_error)
    except SpecError as error:
        assert "no score depends on the words fixed<6,3>" in str(error)  # noqa: PT017
        frac = trained.frac(WORD.width) if max_error is None else trained.frac_within(max_error)
        bounds = np.array([trained.bound(k, frac) for k in range(outputs)])
        assert (np.ptp(theirs, axis=0) <= 2 * bounds + SUMS).all()
        return
    bounds = np.array(list(design.bounds.values()))
    assert (np.abs(design.run(x) - theirs) <= bounds + SUMS).all()
    assert max_error is None or (bounds <= max_error).all()
