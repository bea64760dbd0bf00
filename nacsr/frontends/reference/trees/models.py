"""Fitted models of other packages as sources: which package made one, and its trees.

A type says by the names of its modules where it is from, so no package is imported to ask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nacsr.errors import SpecError
from nacsr.frontends.reference.trees import scikit, xgboosts
from nacsr.frontends.reference.trees.read import write
from nacsr.frontends.reference.trees.trained import Trained

READERS = {"sklearn": scikit.of_model, "xgboost": xgboosts.of_model}
PACKAGES = (*READERS, "torch")


def package(source: object) -> str | None:
    """Of ``PACKAGES`` the one that an object's type is from, or built on."""
    found = (kind.__module__.partition(".")[0] for kind in type(source).__mro__)
    return next((name for name in found if name in PACKAGES), None)


def of_model(model: Any) -> Trained:
    """A fitted model in floating point.

    Raises:
        SpecError: if it is none of trees, not fitted, or no sum of leaves.
    """
    reader = READERS.get(package(model) or "")
    if reader is None:
        msg = (
            f"{type(model).__name__} is no model of trees that is known; give one of xgboost or "
            "scikit-learn, or write nacsr-trees 1 (docs/trees.md)"
        )
        raise SpecError(msg)
    return reader(model)


def save_trees(model: Any, path: str | Path) -> Path:
    """Write the trees of a fitted model, so that ``nacsr compile`` can read them; no pickle.

    Args:
        model: of xgboost (``Booster``, ``XGBClassifier``, ...) or of scikit-learn (boosting,
            histogram boosting, forests, decision trees).
        path: of the file, which ends in .json or .npz.

    Returns:
        The path.

    Raises:
        SpecError: if the model is none of trees, not fitted, or no sum of leaves, or the path
            ends otherwise.
        FileError: if it cannot be written.
    """
    place = Path(path)
    write(of_model(model), place)
    return place
