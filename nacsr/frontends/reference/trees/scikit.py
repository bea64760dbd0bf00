"""Fitted tree models of scikit-learn, read off their attributes.

Forests are the mean of their trees: of classifiers the outputs are probabilities, of two classes
``p1 - p0``. Boosted models are the raw sums that ``decision_function``, or ``predict`` of a
regressor, gives. Forests and gradient boosting compare float32 with a float64 threshold, histogram
boosting float64 with float64.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nacsr.errors import SpecError
from nacsr.frontends.reference.trees.trained import Trained, built, checked, names

_log = logging.getLogger("nacsr")

Roots = list[tuple[int, Any]]
SIDES = ("left", "right")


def of_model(model: Any) -> Trained:
    """A fitted model.

    Raises:
        SpecError: if its type is not known, it is not fitted, or it is no sum of leaves.
    """
    found = {k.__name__ for k in type(model).__mro__ if k.__module__.startswith("sklearn.")}
    kind = next((name for name in READERS if name in found), None)
    if kind is None:
        msg = (
            f"{type(model).__name__} is no model of trees that is known; give one of "
            f"{', '.join(READERS)} (of a pipeline or a search its own, as model[-1] or "
            "model.best_estimator_)"
        )
        raise SpecError(msg)
    attribute, reader = READERS[kind]
    if not hasattr(model, attribute):
        msg = f"the {type(model).__name__} is not fitted; call its fit first"
        raise SpecError(msg)
    count = getattr(model, "n_outputs_", 1)
    if count > 1:
        msg = f"the {type(model).__name__} has {count} targets; fit a model for each"
        raise SpecError(msg)
    base, roots = reader(model)
    features = getattr(model, "feature_names_in_", None)
    inputs = [f"f{j}" for j in range(model.n_features_in_)] if features is None else features
    outputs, single = _outputs(model), not kind.startswith("Hist")
    return checked([str(name) for name in inputs], outputs, base, roots, False, single)


def _outputs(model: Any) -> tuple[str, ...]:
    """A score a class; one for two classes, named after the second; one of a regressor."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return names(1)
    texts = all(isinstance(c, str) for c in classes)
    found = tuple(map(str, classes)) if texts else names(len(classes))
    if len(classes) == 2:
        return found[1:] if texts else names(1)
    return found


def _of_trees(model: Any, estimators: Iterable[Any]) -> tuple[list[float], Roots]:
    """Base and trees of a mean of trees."""
    parts = [estimator.tree_ for estimator in estimators]
    roots: Roots = []
    for part in parts:
        values = part.value[:, 0, :] / len(parts)
        if values.shape[1] == 2 and hasattr(model, "classes_"):
            values = values[:, 1:] - values[:, :1]
        roots += [(k, _built(part, column)) for k, column in enumerate(values.T)]
    return [0.0] * len(_outputs(model)), roots


def _of_boosting(model: Any) -> tuple[list[float], Roots]:
    if model.init not in (None, "zero"):
        msg = (
            f"the {type(model).__name__} adds its trees to another model, init={model.init!r}; "
            "fit it with init=None or init='zero'"
        )
        raise SpecError(msg)
    # without an estimator of the user's own it is the same everywhere
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    roots = [
        (k, _built(estimator.tree_, model.learning_rate * estimator.tree_.value.ravel()))
        for stage in model.estimators_
        for k, estimator in enumerate(stage)
    ]
    return base.tolist(), roots


def _of_histograms(model: Any) -> tuple[list[float], Roots]:
    if model.loss in ("poisson", "gamma"):
        msg = (
            f"loss {model.loss!r} predicts exp of a sum of leaves, and designs of trees are the "
            "sum; fit the logarithm with loss='squared_error'"
        )
        raise SpecError(msg)
    if model.is_categorical_ is not None:
        msg = "it splits on categories, which words do not have; fit it on numbers (one-hot)"
        raise SpecError(msg)
    stages = [[predictor.nodes for predictor in stage] for stage in model._predictors]
    if any(np.isinf(nodes["num_threshold"]).any() for stage in stages for nodes in stage):
        _log.warning("the model asks whether values are missing, which words never are")
    roots = [(k, _of_nodes(nodes)) for stage in stages for k, nodes in enumerate(stage)]
    return np.ravel(model._baseline_prediction).tolist(), roots


def _of_nodes(nodes: Any) -> Any:
    """A tree of histogram boosting: a structured array, whose leaves have children 0."""
    sides = [np.where(nodes["is_leaf"] != 0, -1, nodes[k].astype(np.int64)) for k in SIDES]
    arrays = (*sides, nodes["feature_idx"], nodes["num_threshold"], nodes["value"])
    return built(*(a.tolist() for a in arrays))


def _built(part: Any, values: Any) -> Any:
    sides = part.children_left.tolist(), part.children_right.tolist()
    return built(*sides, part.feature.tolist(), part.threshold.tolist(), values.tolist())


Reader = Callable[[Any], tuple[list[float], Roots]]


def _one(model: Any) -> tuple[list[float], Roots]:
    return _of_trees(model, [model])


def _forest(model: Any) -> tuple[list[float], Roots]:
    return _of_trees(model, model.estimators_)


READERS: Mapping[str, tuple[str, Reader]] = {
    "HistGradientBoostingClassifier": ("_predictors", _of_histograms),
    "HistGradientBoostingRegressor": ("_predictors", _of_histograms),
    "GradientBoostingClassifier": ("estimators_", _of_boosting),
    "GradientBoostingRegressor": ("estimators_", _of_boosting),
    "RandomForestClassifier": ("estimators_", _forest),
    "RandomForestRegressor": ("estimators_", _forest),
    "ExtraTreesClassifier": ("estimators_", _forest),
    "ExtraTreesRegressor": ("estimators_", _forest),
    "DecisionTreeClassifier": ("tree_", _one),
    "DecisionTreeRegressor": ("tree_", _one),
}
"""By a type's name: what a fitted model has, and how it is read."""
