"""Fitted trees of xgboost, and its files: words get the margins that it would give."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacsr
from nacsr.errors import SpecError
from nacsr.frontends.reference.trees.models import of_model
from nacsr.frontends.reference.trees.read import read
from tests.unit.trained_trees import (
    THREE,
    TWO,
    VALUE,
    Array,
    X,
    agrees,
    words,
)


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
