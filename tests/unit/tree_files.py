"""The smallest file of trees that is right, for tests to change."""

from __future__ import annotations

from typing import Any


def stump(**changes: Any) -> dict[str, Any]:
    """One question, two leaves, as ``nacsr-trees 1``; ``tree`` changes keys of the tree."""
    tree = {
        "output": 0,
        "left": [1, -1, -1],
        "right": [2, 0, 0],
        "feature": [1, 0, 0],
        "threshold": [0.25, 0.0, 0.0],
        "value": [0.0, -1.5, 2.0],
    }
    return {
        "format": "nacsr-trees 1",
        "features": ["pt", "eta"],
        "outputs": ["y"],
        "base": [0.5],
        "left_if": "<=",
        "compared_as": "float64",
        "trees": [{**tree, **changes.pop("tree", {})}],
        **changes,
    }
