"""Trained ensembles of the user's own: xgboost's JSON, and arrays of any trees as JSON.

Nothing is unpickled. A trained tree compares a float with a float; here the first word that the
comparison sends to the right is found, so that every word goes where the trained tree sends it:
xgboost goes left where ``float32(x) < t``, scikit-learn where ``x <= t``. Words are never missing.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.errors import FileError, SpecError
from nacsr.fixed import MAX_WIDTH, Fixed
from nacsr.frontends.reference.trees.model import Ensemble, Node, Test, Tree, joined, known

_log = logging.getLogger("nacsr")

FORMAT = "nacsr-trees 1"
DEEPEST = 64
"""Levels of a tree that is read: deeper ones are no trees for hardware, or no trees."""
OBJECTIVES: Mapping[str, str] = {
    "binary:logistic": "logit",
    "reg:logistic": "logit",
    "multi:softprob": "margin",
    "multi:softmax": "margin",
    "reg:squarederror": "margin",
}
"""What ``base_score`` is, by xgboost's objective: a probability, or in units of the scores."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained ensemble in floating point.

    Attributes:
        features: names of the inputs, in order.
        outputs: names: one score a class, one for two classes (positive: the second), or values.
        base: what each output begins with.
        roots: output and root of every tree; a node is a float, or (feature, threshold, left,
            right).
        strict: left where ``x < t`` (xgboost), and not where ``x <= t``.
        single: whether inputs are compared as float32.
        types: words of the inputs, where the file says them.
    """

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    base: tuple[float, ...]
    roots: tuple[tuple[int, Any], ...]
    strict: bool
    single: bool
    types: tuple[Fixed, ...] | None = None

    def words(self, precision: Fixed) -> tuple[Fixed, ...]:
        """The words of all inputs: the file's, or of one precision."""
        return self.types or (precision,) * len(self.features)

    def span(self) -> float:
        """No score is further from zero."""
        ends = np.array([[b, b] for b in self.base], np.float64)
        for output, root in self.roots:
            found = _leaves(root)
            ends[output] += min(found), max(found)
        return float(np.abs(ends).max())

    def frac(self, width: int) -> int:
        """Fractional bits of scores of so many bits."""
        above = math.floor(math.log2(max(self.span(), 2.0**-MAX_WIDTH))) + 1
        return width - 1 - above

    def frac_within(self, max_error: float) -> int:
        """Fractional bits that keep every score within an error: each leaf, and the base, is off
        by half a step at most."""
        counts = np.bincount([o for o, _ in self.roots], minlength=len(self.outputs)) + 1
        return max(math.ceil(math.log2(counts.max() / (2.0 * max_error))), 0)

    def bound(self, output: int, frac: int) -> float:
        """The largest error of a score by the rounding of leaves and base, which are known."""
        off = abs(_rounded(self.base[output], frac) * 2.0**-frac - self.base[output])
        for place, root in self.roots:
            if place == output:
                off += max(abs(_rounded(v, frac) * 2.0**-frac - v) for v in _leaves(root))
        return float(off)

    def ensemble(self, types: Sequence[Fixed], frac: int) -> Ensemble:
        """The same trees on words.

        Args:
            types: of the inputs.
            frac: fractional bits of leaves.
        """
        trees = [Tree(o, self._node(root, types, frac)) for o, root in self.roots]
        return Ensemble(tuple(trees), tuple(_rounded(b, frac) for b in self.base), frac)

    def _node(self, node: Any, types: Sequence[Fixed], frac: int) -> Node:
        if isinstance(node, float):
            return _rounded(node, frac)
        feature, threshold, left, right = node
        word = self._first_right(threshold, types[feature])
        below, above = (self._node(side, types, frac) for side in (left, right))
        low, high = types[feature].min_raw, types[feature].max_raw
        if word <= low or word > high:
            return above if word <= low else below
        test = Test(feature, word)
        return joined(test, known(below, test, False), known(above, test, True))

    def _first_right(self, threshold: float, word: Fixed) -> int:
        """The smallest word that goes to the right, one above the largest where none does."""
        kind = np.float32 if self.single else np.float64

        def right(raw: int) -> bool:
            value = kind(math.ldexp(raw, -word.frac))
            return bool(value >= threshold if self.strict else value > threshold)

        low, high = word.min_raw, word.max_raw + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if right(middle) else (middle + 1, high)
        return low


def _rounded(value: float, frac: int) -> int:
    return math.floor(math.ldexp(value, frac) + 0.5)


def _leaves(node: Any) -> list[float]:
    return [node] if isinstance(node, float) else [*_leaves(node[2]), *_leaves(node[3])]


# --- files -----------------------------------------------------------------------------------


def read(path: Path) -> Trained:
    """An ensemble out of a JSON file: a model or a dump of xgboost, or ``nacsr-trees 1``.

    Raises:
        FileError: if it cannot be read.
        SpecError: naming what in it is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}; give a JSON file of trees"
        raise FileError(msg) from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no JSON ({error}); save xgboost's models as .json, not .ubj or pickles"
        raise SpecError(msg) from None
    reader = _reader(found)
    if reader is None:
        msg = (
            f"{path} holds no trees that are known: expected save_model('model.json') or "
            f'dump_model(..., dump_format=\'json\') of xgboost, or "format": "{FORMAT}"'
        )
        raise SpecError(msg)
    try:
        return reader(found)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        msg = f"{path}: the trees are not well formed ({error!r}); export the model again"
        raise SpecError(msg) from None
    except SpecError as error:
        msg = f"{path}: {error}"
        raise SpecError(msg) from None


def _reader(found: Any) -> Callable[[Any], Trained] | None:
    if isinstance(found, list):
        return _dump
    if isinstance(found, dict) and "learner" in found:
        return _xgboost
    return _arrays if isinstance(found, dict) and found.get("format") == FORMAT else None


def _xgboost(found: Any) -> Trained:
    learner = found["learner"]
    params, objective = learner["learner_model_param"], learner["objective"]["name"]
    if objective not in OBJECTIVES:
        msg = f"objective {objective!r} is not known; train with one of {', '.join(OBJECTIVES)}"
        raise SpecError(msg)
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        msg = f"booster {booster['name']!r} has no trees; train with gbtree"
        raise SpecError(msg)
    dart = booster["name"] == "dart"
    model = booster["gbtree"]["model"] if dart else booster["model"]
    weights = booster["weight_drop"] if dart else [1.0] * len(model["trees"])
    count = max(int(params["num_class"]), int(params.get("num_target", 1)), 1)
    base = [float(v) for v in str(params["base_score"]).strip("[]").split(",")]
    if OBJECTIVES[objective] == "logit":
        base = [math.log(p / (1.0 - p)) for p in base]
    roots = []
    for output, tree, weight in zip(model["tree_info"], model["trees"], weights, strict=True):
        _check_tree(tree)
        # xgboost's numbers are float32, written in decimals that need not be exact
        numbers = [float(np.float32(v)) for v in tree["split_conditions"]]
        left, right = tree["left_children"], tree["right_children"]
        values = [weight * v for v in numbers]
        node = _built(left, right, tree["split_indices"], numbers, values)
        roots.append((int(output), node))
    names = learner.get("feature_names") or [f"f{j}" for j in range(int(params["num_feature"]))]
    return _checked(names, _names(count), base * (count if len(base) == 1 else 1), roots, True)


def _check_tree(tree: Mapping[str, Any]) -> None:
    if any(tree.get("split_type", ())) or tree.get("categories_nodes"):
        msg = "it splits on categories, which words do not have; train on numbers (one-hot)"
        raise SpecError(msg)
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        msg = "its leaves are vectors; train with multi_strategy='one_output_per_tree'"
        raise SpecError(msg)


def _dump(found: Any) -> Trained:
    """A dump knows neither classes nor base score: one output, from zero on."""
    _log.warning("a dump of xgboost holds no base score and no classes: one output, base 0")
    names: dict[str, int] = {}

    def node(given: Mapping[str, Any], level: int = 0) -> Any:
        if "leaf" in given:
            return float(np.float32(given["leaf"]))
        if level > DEEPEST:
            msg = f"a tree is deeper than {DEEPEST} levels; limit max_depth"
            raise SpecError(msg)
        if "split_condition" not in given or isinstance(given["split_condition"], list):
            msg = "it splits on categories or indicators; train on numbers, dump without fmap"
            raise SpecError(msg)
        place = names.setdefault(str(given["split"]), len(names))
        sides = {child["nodeid"]: child for child in given["children"]}
        left, right = (node(sides[given[k]], level + 1) for k in ("yes", "no"))
        return place, float(np.float32(given["split_condition"])), left, right

    roots = [(0, node(tree)) for tree in found]
    return _checked(list(names), ("y",), [0.0], roots, True)


def _arrays(found: Any) -> Trained:
    outputs = [str(name) for name in found["outputs"]]
    strict = {"<": True, "<=": False}[found["left_if"]]
    single = {"float32": True, "float64": False}[found["compared_as"]]
    roots = []
    for tree in found["trees"]:
        keys = ("left", "right", "feature", "threshold", "value")
        left, right, feature, threshold, value = (tree[k] for k in keys)
        roots.append((int(tree["output"]), _built(left, right, feature, threshold, value)))
    types = None if found.get("types") is None else [Fixed.parse(t) for t in found["types"]]
    return _checked(found["features"], outputs, found["base"], roots, strict, single, types)


def _names(count: int) -> tuple[str, ...]:
    return ("y",) if count == 1 else tuple(f"y{k}" for k in range(count))


def _built(
    left: Sequence[int],
    right: Sequence[int],
    feature: Sequence[int],
    threshold: Sequence[float],
    value: Sequence[float],
) -> Any:
    """A tree out of arrays, a place a node; a leaf has a negative left child."""

    def node(place: int, level: int) -> Any:
        if level > DEEPEST:
            msg = f"a tree is deeper than {DEEPEST} levels, or its nodes go in a circle"
            raise SpecError(msg)
        if left[place] < 0:
            return float(value[place])
        sides = (node(int(k), level + 1) for k in (left[place], right[place]))
        return int(feature[place]), float(threshold[place]), *sides

    return node(0, 0)


def _checked(
    features: Sequence[str],
    outputs: Sequence[str],
    base: Sequence[float],
    roots: Sequence[tuple[int, Any]],
    strict: bool,
    single: bool = True,
    types: Sequence[Fixed] | None = None,
) -> Trained:
    """A trained ensemble whose parts fit each other.

    Raises:
        SpecError: naming what does not.
    """
    if len(base) != len(outputs):
        msg = f"{len(base)} base scores for {len(outputs)} outputs; give one each"
        raise SpecError(msg)
    if len(set(features)) < len(features) or (types is not None and len(types) != len(features)):
        msg = "features need a name each, all different, and types one each where there are some"
        raise SpecError(msg)
    for output, root in roots:
        if not 0 <= output < len(outputs):
            msg = f"a tree adds to output {output} of {len(outputs)}"
            raise SpecError(msg)
        _check_node(root, len(features))
    if not any(isinstance(root, tuple) for _, root in roots):
        msg = "no tree asks anything, so there is nothing to compile; train more rounds"
        raise SpecError(msg)
    if not all(math.isfinite(b) for b in base):
        msg = f"a base score is not finite: {list(base)}; train with another base_score"
        raise SpecError(msg)
    trees, given = tuple(roots), None if types is None else tuple(types)
    names = tuple(map(str, features))
    return Trained(names, tuple(outputs), tuple(map(float, base)), trees, strict, single, given)


def _check_node(node: Any, features: int) -> None:
    if isinstance(node, float):
        if not math.isfinite(node):
            msg = "a leaf is not finite; train again with a larger lambda"
            raise SpecError(msg)
        return
    feature, threshold, left, right = node
    if not 0 <= feature < features or math.isnan(threshold):
        msg = f"a node asks about feature {feature} of {features}, threshold {threshold}"
        raise SpecError(msg)
    _check_node(left, features)
    _check_node(right, features)
