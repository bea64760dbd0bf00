"""xgboost's ensembles: its JSON, whole models and dumps, and fitted objects through that JSON.

Scores are margins, sums of leaves and a base; what is no such sum is refused with the reason.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nacsr.errors import SpecError
from nacsr.frontends.reference.trees.trained import DEEPEST, Trained, built, checked, names

_log = logging.getLogger("nacsr")

OBJECTIVES: Mapping[str, str] = {
    "binary:logistic": "logit",
    "reg:logistic": "logit",
    "binary:logitraw": "margin",
    "binary:hinge": "margin",
    "multi:softprob": "margin",
    "multi:softmax": "margin",
    "reg:squarederror": "margin",
    "reg:squaredlogerror": "margin",
    "reg:absoluteerror": "margin",
    "reg:pseudohubererror": "margin",
    "reg:quantileerror": "margin",
    "rank:pairwise": "margin",
    "rank:ndcg": "margin",
    "rank:map": "margin",
}
"""What ``base_score`` is, by xgboost's objective: a probability, or in units of the scores."""
EXPONENTIAL = (
    *("count:poisson", "reg:gamma", "reg:tweedie"),
    *("survival:cox", "survival:aft"),
)
"""Objectives whose predictions are exp of the sum."""


def of_model(model: Any) -> Trained:
    """A fitted ``Booster``, or one of xgboost's estimators for scikit-learn.

    Like their own ``predict``: an estimator that was stopped early ends with its best round, a
    ``Booster`` has all rounds.

    Raises:
        SpecError: naming what is not understood, or that it is not fitted.
    """
    if isinstance(getattr(model, "booster", None), str) and model.booster == "gblinear":
        raise SpecError(_no_trees("gblinear"))
    if not hasattr(model, "get_booster") and not hasattr(model, "save_raw"):
        msg = f"{type(model).__name__} of xgboost is no model; give a Booster or an estimator"
        raise SpecError(msg)
    try:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        text = booster.save_raw("json")
    except ValueError:  # NotFittedError and XGBoostError are
        msg = f"the {type(model).__name__} is not fitted; call its fit, or train, first"
        raise SpecError(msg) from None
    return of_json(json.loads(text.decode()), estimator=booster is not model)


def of_json(found: Any, estimator: bool | None = None) -> Trained:
    """The content of a file of ``save_model('model.json')``.

    Args:
        found: as ``json`` reads it.
        estimator: whether an estimator of scikit-learn's kind wrote it; by default as it says.

    Raises:
        SpecError: naming what is not understood.
        KeyError, TypeError, ValueError, IndexError: if it is no such content.
    """
    learner = found["learner"]
    params, booster = learner["learner_model_param"], learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        raise SpecError(_no_trees(booster["name"]))
    base = _base(params["base_score"], learner["objective"]["name"])
    dart = booster["name"] == "dart"
    model = booster["gbtree"]["model"] if dart else booster["model"]
    weights = booster["weight_drop"] if dart else [1.0] * len(model["trees"])
    count = max(int(params["num_class"]), int(params.get("num_target", 1)), 1)
    kept = _kept(model, learner.get("attributes", {}), estimator, count)
    roots = []
    parts = zip(model["tree_info"], model["trees"], weights, strict=True)
    for output, tree, weight in list(parts)[:kept]:
        _check_tree(tree)
        # xgboost's numbers are float32, written in decimals that need not be exact
        numbers = [float(np.float32(v)) for v in tree["split_conditions"]]
        left, right = tree["left_children"], tree["right_children"]
        values = [weight * v for v in numbers]
        node = built(left, right, tree["split_indices"], numbers, values)
        roots.append((int(output), node))
    inputs = learner.get("feature_names") or [f"f{j}" for j in range(int(params["num_feature"]))]
    return checked(inputs, names(count), base * (count if len(base) == 1 else 1), roots, True)


def of_dump(found: Any) -> Trained:
    """The content of a file of ``dump_model(..., dump_format='json')``: it knows neither classes
    nor base score, and is one output that begins at zero.

    Raises:
        SpecError: naming what is not understood.
        KeyError, TypeError, ValueError, IndexError: if it is no such content.
    """
    _log.warning("a dump of xgboost holds no base score and no classes: one output, base 0")
    places: dict[str, int] = {}

    def node(given: Mapping[str, Any], level: int = 0) -> Any:
        if "leaf" in given:
            return float(np.float32(given["leaf"]))
        if level > DEEPEST:
            msg = f"a tree is deeper than {DEEPEST} levels; train with a smaller max_depth"
            raise SpecError(msg)
        if "split_condition" not in given or isinstance(given["split_condition"], list):
            msg = "it splits on categories or indicators; train on numbers, dump without fmap"
            raise SpecError(msg)
        place = places.setdefault(str(given["split"]), len(places))
        sides = {child["nodeid"]: child for child in given["children"]}
        left, right = (node(sides[given[k]], level + 1) for k in ("yes", "no"))
        return place, float(np.float32(given["split_condition"])), left, right

    roots = [(0, node(tree)) for tree in found]
    return checked(list(places), ("y",), [0.0], roots, True)


def _no_trees(booster: str) -> str:
    return f"booster {booster!r} has no trees; train with gbtree"


def _base(text: Any, objective: str) -> list[float]:
    """What scores begin with: one number for all outputs, or one each (xgboost 3).

    >>> _base("5E-1", "binary:logistic"), _base("[1E0,-2.5E-1]", "multi:softprob")
    ([0.0], [1.0, -0.25])
    """
    if objective in EXPONENTIAL:
        msg = (
            f"objective {objective!r} predicts exp of a sum of leaves, and designs of trees are "
            "the sum; train on the logarithm with reg:squarederror"
        )
        raise SpecError(msg)
    if objective not in OBJECTIVES:
        msg = f"objective {objective!r} is not known; train with one of {', '.join(OBJECTIVES)}"
        raise SpecError(msg)
    found = [float(np.float32(v)) for v in str(text).strip("[]").split(",")]
    if OBJECTIVES[objective] == "margin":
        return found
    if not all(0.0 < p < 1.0 for p in found):
        msg = f"base_score {text} is no probability between 0 and 1; train with another"
        raise SpecError(msg)
    return [math.log(p / (1.0 - p)) for p in found]


def _kept(
    model: Mapping[str, Any], attributes: Mapping[str, Any], estimator: bool | None, outputs: int
) -> int | None:
    """Trees of the rounds that xgboost itself would use; None: all.

    Estimators predict with their best round, a Booster with all (``iteration_range``). An
    estimator's file has its parameters as the attribute ``scikit_learn``.
    """
    if "best_iteration" not in attributes:
        return None
    rounds = int(attributes["best_iteration"]) + 1
    a_round = int(model["gbtree_model_param"].get("num_parallel_tree", 1)) * outputs
    if estimator or (estimator is None and "scikit_learn" in attributes):
        return rounds * a_round
    if len(model["trees"]) > rounds * a_round:
        _log.warning(
            "a Booster predicts with all its rounds, and so does the design; the best ones are "
            "booster[:%d]",
            rounds,
        )
    return None


def _check_tree(tree: Mapping[str, Any]) -> None:
    if any(tree.get("split_type", ())) or tree.get("categories_nodes"):
        msg = "it splits on categories, which words do not have; train on numbers (one-hot)"
        raise SpecError(msg)
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        msg = "its leaves are vectors; train with multi_strategy='one_output_per_tree'"
        raise SpecError(msg)
