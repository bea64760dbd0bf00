"""What trained trees are tried on, and how they must agree with what they were."""

from __future__ import annotations

from typing import Any

import numpy as np

from nacsr.design import Design
from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees.trained import Trained, _cuts

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

BOOST: dict[str, Any] = {"n_estimators": 4, "max_depth": 3, "random_state": 0}
FOREST: dict[str, Any] = {"n_estimators": 5, "max_depth": 4, "random_state": 0}
HIST: dict[str, Any] = {"max_iter": 4, "max_leaf_nodes": 6, "random_state": 0}


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
