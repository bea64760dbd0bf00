"""Fitted trees of scikit-learn: words get the scores, and the classes, that those would give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble as sklearn
from sklearn import tree as trees

import nacsr
from nacsr.errors import SpecError
from nacsr.frontends.reference.trees.models import of_model
from nacsr.frontends.reference.trees.trained import _cuts
from tests.unit.trained_trees import (
    BOOST,
    FINE,
    FOREST,
    HIST,
    THREE,
    TWO,
    VALUE,
    Array,
    X,
    agrees,
    words,
)

TREE: dict[str, Any] = {"max_depth": 4, "random_state": 0}


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
