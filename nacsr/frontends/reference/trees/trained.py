"""Trained ensembles in floating point, and the same trees on words.

A trained tree compares a float with a float; here the first word that the comparison sends to the
right is found, so that every word goes where the trained tree sends it: xgboost goes left where
``float32(x) < t``, scikit-learn where ``x <= t``. Words are never missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from nacsr.errors import SpecError
from nacsr.fixed import MAX_WIDTH, Fixed
from nacsr.frontends.reference.trees.model import Ensemble, Node, Question, Tree, joined, known

DEEPEST = 64
"""Levels of a tree that is read: deeper ones are no trees for hardware, or no trees."""


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

    def frac(self, width: int) -> int:
        """Fractional bits of leaves of so many bits, the sign included; fewer where the base would
        not fit a word beside them."""
        leaf = max(abs(leaf) for _, root in self.roots for leaf in _leaves(root))
        least = max(map(abs, self.base)) * 2.0 ** (width + 4 - MAX_WIDTH)
        return width - 2 - math.floor(math.log2(max(leaf, least, 2.0**-MAX_WIDTH)))

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

    def beyond(self, types: Sequence[Fixed]) -> tuple[str, ...]:
        """Inputs with a threshold that lies beyond all their words."""
        found = set()
        for feature, threshold in (pair for _, root in self.roots for pair in _cuts(root)):
            word = types[feature]
            if not word.min_raw * word.lsb <= threshold <= word.max_raw * word.lsb:
                found.add(feature)
        return tuple(self.features[k] for k in sorted(found))

    def ensemble(self, types: Sequence[Fixed], frac: int) -> Ensemble:
        """The same trees on words.

        Args:
            types: of the inputs.
            frac: fractional bits of leaves.

        Raises:
            SpecError: if a score may need more bits than a word can have.
        """
        sums = list(map(abs, self.base))
        for output, root in self.roots:
            sums[output] += max(map(abs, _leaves(root)))
        bits = math.frexp(max(sums))[1] + frac + 2
        if max(sums) and bits > MAX_WIDTH:
            msg = (
                f"scores up to {max(sums):.3g} in steps of 2**-{frac} need {bits} bits, and words "
                f"have {MAX_WIDTH} at most; allow a larger max_error, or a narrower precision"
            )
            raise SpecError(msg)
        trees = [Tree(o, self._node(root, types, frac)) for o, root in self.roots]
        base = tuple(_rounded(b, frac) for b in self.base)
        return Ensemble(tuple(trees), base, (frac,) * len(base))

    def _node(self, node: Any, types: Sequence[Fixed], frac: int) -> Node:
        if isinstance(node, float):
            return _rounded(node, frac)
        feature, threshold, left, right = node
        word = self._first_right(threshold, types[feature])
        below, above = (self._node(side, types, frac) for side in (left, right))
        low, high = types[feature].min_raw, types[feature].max_raw
        if word <= low or word > high:
            return above if word <= low else below
        test = Question(feature, word)
        return joined(test, known(below, test, False), known(above, test, True))

    def _first_right(self, threshold: float, word: Fixed) -> int:
        """The smallest word that goes to the right, one above the largest where none does."""
        kind = np.float32 if self.single else np.float64

        def right(raw: int) -> bool:
            # a float32 beside a Python float would make that one a float32 as well
            value = float(kind(math.ldexp(raw, -word.frac)))
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


def _cuts(node: Any) -> list[tuple[int, float]]:
    """Feature and threshold of every node."""
    return [] if isinstance(node, float) else [node[:2], *_cuts(node[2]), *_cuts(node[3])]


# --- from arrays -----------------------------------------------------------------------------


def built(
    left: Sequence[int],
    right: Sequence[int],
    feature: Sequence[int],
    threshold: Sequence[float],
    value: Sequence[float],
) -> Any:
    """A tree out of arrays, a place a node; a leaf has a negative left child.

    Raises:
        SpecError: if it is too deep, or nodes are reached twice.
        IndexError, TypeError, ValueError: if the arrays do not fit each other.
    """
    seen: set[int] = set()

    def node(place: int, level: int) -> Any:
        if place in seen or place < 0:
            msg = f"node {place} of a tree is reached twice, or is none; export the model again"
            raise SpecError(msg)
        if level > DEEPEST:
            msg = f"a tree is deeper than {DEEPEST} levels; train with a smaller max_depth"
            raise SpecError(msg)
        seen.add(place)
        if left[place] < 0:
            return float(value[place])
        sides = [node(index(k), level + 1) for k in (left[place], right[place])]
        cut = float(threshold[place])
        # only what is missing can be on the other side of infinity
        return sides[cut < 0] if math.isinf(cut) else (index(feature[place]), cut, *sides)

    return node(0, 0)


def names(count: int) -> tuple[str, ...]:
    """Of outputs that have none."""
    return ("y",) if count == 1 else tuple(f"y{k}" for k in range(count))


def checked(
    features: Sequence[str],
    outputs: Sequence[str],
    base: Sequence[float],
    roots: Sequence[tuple[int, Any]],
    strict: bool,
    single: bool = True,
    types: Sequence[Fixed] | None = None,
) -> Trained:
    """A trained ensemble whose parts fit each other; its parts are those of ``Trained``.

    Raises:
        SpecError: naming what does not.
    """
    if len(base) != len(outputs):
        msg = f"{len(base)} base scores for {len(outputs)} outputs; give one each"
        raise SpecError(msg)
    if len(set(features)) < len(features) or (types is not None and len(types) != len(features)):
        msg = "features need a name each, all different, and types one each where there are some"
        raise SpecError(msg)
    for name in outputs:
        if outputs.count(name) > 1 or not name.isprintable() or not name.strip() or ";" in name:
            msg = f"cannot name an output {name!r}; use different printable texts without ';'"
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
    inputs, scores = tuple(map(str, features)), tuple(map(str, outputs))
    return Trained(inputs, scores, tuple(map(float, base)), trees, strict, single, given)


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
