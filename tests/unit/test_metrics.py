from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.metrics import (
    accuracy,
    auc,
    auc_error,
    effective,
    log_probabilities,
    quantile,
    relative_errors,
    rmse,
)

Event = tuple[int, int, int, int]
"""Score of class 0 and of class 1, label, and how often the event is there."""

EVENTS = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 1), st.integers(0, 4)),
    min_size=1,
    max_size=20,
).filter(lambda events: {0, 1} <= {label for _, _, label, times in events if times})


def columns(events: list[Event], *, repeat: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and weights; repeated events weigh one each."""
    rows = np.array([e for e in events for _ in range(e[3] if repeat else 1)])
    weights = np.ones(len(rows)) if repeat else rows[:, 3].astype(np.float64)
    return rows[:, :2], rows[:, 2], weights


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


@given(EVENTS)
def test_a_whole_weight_is_a_repeated_event(events: list[Event]) -> None:
    (once, label, weights), (many, repeated, _) = (columns(events, repeat=r) for r in (0, 1))
    for scores, other in ((once, many), (once[:, :1], many[:, :1])):
        assert accuracy(scores, label, weights)[0] == accuracy(other, repeated)[0]
    merit, more = once[:, 0] - once[:, 1], many[:, 0] - many[:, 1]
    assert auc(merit, label == 1, weights) == auc(more, repeated == 1)
    predictions, targets = (once[:, k].astype(float) for k in (0, 1))
    plenty, wanted = (many[:, k].astype(float) for k in (0, 1))
    assert rmse(predictions, targets, weights)[0] == rmse(plenty, wanted)[0]
    for share in (0.25, 0.5, 0.95):
        assert quantile(predictions, share, weights)[0] == quantile(plenty, share)[0]


@given(EVENTS)
def test_weighted_metrics_are_exact_shares(events: list[Event]) -> None:
    scores, label, weights = columns(events, repeat=False)
    total = sum(t for *_, t in events)
    right = sum(t for a, _, y, t in events if (a > 0) == y)
    assert accuracy(scores[:, :1], label, weights)[0] == float(Fraction(right, total))
    pairs = won = Fraction(0)
    for a, _, y, t in events:
        for b, _, other, s in events:
            if y == 1 and other == 0:
                pairs += t * s
                won += t * s * Fraction((a > b) + (a >= b), 2)
    assert auc(scores[:, 0], label == 1, weights) == float(won / pairs)
    squares = sum(t * (a - b) ** 2 for a, b, _, t in events)
    found = rmse(scores[:, 0].astype(float), scores[:, 1].astype(float), weights)[0]
    assert found == math.sqrt(Fraction(squares, total))


def test_one_column_is_positive_where_the_second_class_is_guessed() -> None:
    scores, labels = np.array([[3], [0], [-1], [5]]), np.array([1, 0, 0, 0])
    assert accuracy(scores, labels)[0] == 0.75
    both = np.concatenate([np.zeros_like(scores), scores], axis=1)
    assert accuracy(both, labels) == accuracy(scores, labels)


def test_errors_go_by_the_effective_number_of_events() -> None:
    weights = np.array([4.0] + [1.0] * 12)
    assert effective(13) == 13
    assert effective(13, weights) == 256 / 28
    scores, labels = np.array([[1, 0]] * 13), np.array([0] * 10 + [1] * 3)
    value, error = accuracy(scores, labels, weights)
    assert value == 13 / 16
    q = (value * (256 / 28) + 1) / (256 / 28 + 2)
    assert error == np.sqrt(q * (1 - q) / (256 / 28)) > accuracy(scores, labels)[1]


def test_errors_cover_the_spread_of_many_samples() -> None:
    """One standard deviation of each metric over 300 samples is within 20 % of its error."""
    rng = np.random.default_rng(5)
    found: list[list[tuple[float, float]]] = []
    for _ in range(300):
        weights = rng.choice([0.5, 2.0], 400)
        noise = rng.normal(size=400)
        targets = np.full(400, 2.0)
        errors, kept = relative_errors(targets + noise, targets, weights)
        values = [rmse(targets + noise, targets, weights), quantile(errors, 0.5, kept)]
        found.append([*values, quantile(errors, 0.95, kept)])
    table = np.array(found)
    assert np.allclose(table[:, :, 0].std(0), table[:, :, 1].mean(0), rtol=0.2)
    assert np.allclose(table[:, :, 0].mean(0), [1, 0.6745 / 2, 1.96 / 2], rtol=0.03)


def test_relative_errors_leave_out_targets_of_zero() -> None:
    errors, weights = relative_errors(
        np.array([1.0, 5.0, -3.0]), np.array([2.0, 0.0, -2.0]), np.array([1.0, 2.0, 3.0])
    )
    assert errors.tolist() == [0.5, 0.5]
    assert weights is not None
    assert weights.tolist() == [1.0, 3.0]


def test_a_quantile_passes_over_events_without_weight() -> None:
    values, weights = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert quantile(values, 0.0, weights)[0] == 2
    assert quantile(values, 0.5, weights)[0] == 2
    assert quantile(values, 1.0, weights)[0] == 3


def test_a_perfect_prediction() -> None:
    assert rmse(np.arange(4.0), np.arange(4.0)) == (0.0, 0.0)
    assert rmse(np.arange(4.0) + 3, np.arange(4.0)) == (3.0, 0.0)


@pytest.mark.parametrize("weights", [None, np.ones(6)])
def test_no_weights_are_equal_weights(weights: np.ndarray | None) -> None:
    scores, labels = np.array([[1, 0]] * 6), np.array([0, 0, 1, 0, 1, 1])
    assert accuracy(scores, labels, weights) == accuracy(scores, labels)
    assert effective(6, weights) == 6
