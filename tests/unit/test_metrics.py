from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nacsr.metrics import accuracy, auc, auc_error, log_probabilities


def test_accuracy_breaks_ties_towards_the_first_class() -> None:
    scores = np.array([[1, 1, 0], [0, 2, 2], [5, 1, 1], [0, 0, 1]])
    value, error = accuracy(scores, np.array([0, 2, 0, 2]))
    assert value == 0.75
    assert error == np.sqrt(4 / 6 * (1 - 4 / 6) / 4)


def test_no_error_is_zero() -> None:
    assert accuracy(np.array([[1, 0]] * 80), np.zeros(80, dtype=np.int64)) > (1.0, 0.0)
    assert auc_error(1.0, 40, 40) > 0


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_pairs(events: list[tuple[int, bool]]) -> None:
    score = np.array([s for s, _ in events], dtype=float)
    positive = np.array([p for _, p in events])
    if positive.all() or not positive.any():
        return
    pairs = [(a, b) for a in score[positive] for b in score[~positive]]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    assert abs(auc(score, positive) - wins / len(pairs)) < 1e-12


def test_auc_error_shrinks_with_events() -> None:
    assert auc_error(0.9, 2000, 8000) < auc_error(0.9, 20, 80) < 0.1


def test_probabilities_compare_events_that_scores_cannot() -> None:
    # both events prefer class 0; the second does so more clearly, with a lower score
    logs = log_probabilities(np.array([[9.0, 8.0, 8.0], [3.0, 0.0, 0.0]]))
    assert logs[1, 0] > logs[0, 0]
    assert np.abs(np.exp(logs).sum(axis=1) - 1).max() < 1e-12
