"""Physics metrics of classifiers, with their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def accuracy(scores: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Share of events whose highest score is their class, and its binomial error.

    Args:
        scores: shape (events, classes), on a common scale; the lowest index wins a tie,
            as the ``argmax`` op does.
        labels: class indices, shape (events,).

    Returns:
        The accuracy, and ``sqrt(q (1 - q) / events)`` with ``q = (right + 1) / (events + 2)``,
        Laplace's estimate, which is not zero where every event is right.
    """
    right, events = int(np.sum(np.argmax(scores, axis=1) == labels)), len(labels)
    q = (right + 1) / (events + 2)
    return right / events, float(np.sqrt(q * (1 - q) / events))


def log_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the softmax over classes, shape (events, classes).

    Scores of one event are only comparable with each other; probabilities are comparable
    between events, which a ROC curve needs.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of one class against the rest; ties count half.

    The Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982, 29).

    >>> auc(np.array([1.0, 2, 3, 3]), np.array([False, False, True, False]))
    0.8333333333333334
    """
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks = below[place] + (counts[place] + 1) / 2
    n1, n0 = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def auc_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982, eq. 1).

    An AUC of one is taken as half a pair short of it, so that the error is not zero.
    """
    area = min(area, 1 - 0.5 / (positives * negatives))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area)
    spread += (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))
