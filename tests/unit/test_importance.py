"""Feature selection: planted features are found, by both methods, and by the events that count."""

from __future__ import annotations

import numpy as np
import pytest

from nacsr.frontends.symbolic import importance
from nacsr.frontends.symbolic.importance import most_important

METHODS = ("forest", "permutation")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "TREES", 25)


def events(task: str, seed: int = 2, rows: int = 800) -> tuple[np.ndarray, np.ndarray]:
    """Ten inputs of which the fifth and the second matter, in this order."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 10))
    y = 2 * z[:, 4] + np.abs(z[:, 1]) + 0.1 * rng.normal(size=rows)
    return z, y if task == "regression" else np.digitize(y, [-0.5, 1.5])


@pytest.mark.parametrize("by", METHODS)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_planted_features_are_found(task: str, by: str) -> None:
    z, y = events(task)
    assert most_important(z, y, task, 1, by, 3) == [4]
    assert most_important(z, y, task, 2, by, 3) == [1, 4]  # in the features' own order
    assert most_important(z, y, task, 10, by, 3) == list(range(10))


@pytest.mark.parametrize("by", METHODS)
def test_a_seed_decides_everything(by: str) -> None:
    z, y = events("classification")
    found = [most_important(z, y, "classification", 6, by, 5) for _ in range(2)]
    assert found[0] == found[1]
    assert all(isinstance(j, int) for j in found[0])  # it goes into JSON
    others = {tuple(most_important(z, y, "classification", 6, by, 2**40 + n)) for n in range(3)}
    assert len(others) > 1  # of noise the seed chooses
    assert all({1, 4} <= set(kept) for kept in others)


@pytest.mark.parametrize("by", METHODS)
@pytest.mark.parametrize("light", [0.0, 1e-4])
def test_events_count_by_their_weights(by: str, light: float) -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(1200, 5))
    first = np.arange(1200) % 4 == 0
    y = np.where(first, z[:, 2], z[:, 0]) > 0
    weights = np.where(first, 4.0, light)
    assert most_important(z, y, "classification", 1, by, 1) == [0]
    assert most_important(z, y, "classification", 1, by, 1, weights / weights.mean()) == [2]


def test_permutation_asks_other_events_than_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "ROWS", 300)
    z, y = events("classification")
    assert most_important(z, y, "classification", 2, "permutation", 3) == [1, 4]
    few = slice(0, 250)  # too few to keep some apart
    assert 4 in most_important(z[few], y[few], "classification", 2, "permutation", 3)
