"""Physics metrics of classifiers and regressions, with their errors.

Events may have weights: a metric is then what it would be if every event were there as often
as it weighs. Errors go by the effective number of events (``effective``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64] | None
Values = NDArray[np.float64]


def effective(events: int, weights: Weights = None) -> float:
    """Number of unweighted events that are worth as much: ``(sum w)**2 / sum w**2``.

    L. Kish, Survey Sampling (1965), section 11.7.
    """
    if weights is None:
        return float(events)
    return float(np.sum(weights)) ** 2 / float(np.sum(np.square(weights)))


# --- classification ---------------------------------------------------------------------


def accuracy(
    scores: NDArray[np.int64 | np.float64], labels: NDArray[np.int64], weights: Weights = None
) -> tuple[float, float]:
    """Share of events that are guessed right, and its binomial error.

    The guess is the class of the highest score; of a single column of scores, class 1 where
    the score is positive.

    Args:
        scores: shape (events, classes) or (events, 1), on a common scale; the lowest index
            wins a tie, as the ``argmax`` op does.
        labels: class indices, shape (events,).
        weights: how much each event counts, shape (events,).

    Returns:
        The accuracy, and ``sqrt(q (1 - q) / n)`` with ``q = (n accuracy + 1) / (n + 2)``,
        Laplace's estimate, which is not zero where every event is right. ``n`` is the
        effective number of events.
    """
    guesses = scores[:, 0] > 0 if scores.shape[1] == 1 else np.argmax(scores, axis=1)
    value = _mean((guesses == labels).astype(np.float64), weights)
    events = effective(len(labels), weights)
    q = (value * events + 1) / (events + 2)
    return value, float(np.sqrt(q * (1 - q) / events))


def log_probabilities(scores: Values) -> Values:
    """Logarithm of the softmax over classes, shape (events, classes).

    Scores of one event are only comparable with each other; probabilities are comparable
    between events, which a ROC curve needs.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Values = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def auc(
    score: NDArray[np.float64 | np.int64], positive: NDArray[np.bool_], weights: Weights = None
) -> float:
    """Area under the ROC curve of one class against the rest; ties count half.

    The Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982, 29): the share of
    pairs of a positive and a negative event in which the positive scores higher, a pair
    counting as much as the product of its weights.

    >>> auc(np.array([1.0, 2, 3, 3]), np.array([False, False, True, False]))
    0.8333333333333334
    """
    heavy = np.ones(len(score)) if weights is None else weights
    distinct, place = np.unique(score, return_inverse=True)
    pros, cons = (np.bincount(place[s], heavy[s], len(distinct)) for s in (positive, ~positive))
    below = np.cumsum(cons) - cons
    return float((pros * (below + cons / 2)).sum() / (pros.sum() * cons.sum()))


def auc_error(area: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982, eq. 1).

    An AUC of one is taken as half a pair short of it, so that the error is not zero. Of
    weighted events the numbers are the effective ones.
    """
    area = min(area, 1 - 0.5 / (positives * negatives))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area)
    spread += (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


# --- regression -------------------------------------------------------------------------


def rmse(predictions: Values, targets: Values, weights: Weights = None) -> tuple[float, float]:
    """Root of the mean squared error, and its standard error.

    Args:
        predictions: shape (events,) or (events, targets), in the units of the targets.
        targets: the same shape.
        weights: how much each event counts, shape (events,).

    Returns:
        The value, over all targets; and, by the delta method, the standard error of the mean of
        the squares over twice the value (zero where every event has the same error).
    """
    squares = np.square(predictions - targets).reshape(len(targets), -1).mean(axis=1)
    mean = _mean(squares, weights)
    value = math.sqrt(mean)
    variance = _mean(np.square(squares - mean), weights) / effective(len(squares), weights)
    return value, math.sqrt(variance) / (2 * value) if value else 0.0


def mean_distance(
    predictions: Values, targets: Values, weights: Weights = None
) -> tuple[float, float]:
    """Mean Euclidean distance between predictions and targets, and its standard error.

    Args:
        predictions: shape (events, targets), all in one unit.
        targets: the same shape.
        weights: how much each event counts, shape (events,).

    >>> mean_distance(np.array([[3.0, 4.0], [0.0, 1.0]]), np.zeros((2, 2)))
    (3.0, 1.4142135623730951)
    """
    distances = np.sqrt(np.square(predictions - targets).sum(axis=1))
    mean = _mean(distances, weights)
    variance = _mean(np.square(distances - mean), weights)
    return mean, math.sqrt(variance / effective(len(distances), weights))


def relative_errors(
    predictions: Values, targets: Values, weights: Weights = None
) -> tuple[Values, Weights]:
    """``|prediction / target - 1|`` and the weights, of the events whose target is not zero."""
    there = targets != 0
    found: Values = np.abs(predictions[there] / targets[there] - 1)
    return found, None if weights is None else weights[there]


def quantile(values: Values, share: float, weights: Weights = None) -> tuple[float, float]:
    """The smallest value that at least a share of the events do not exceed, and its error.

    Args:
        values: shape (events,), one event or more.
        share: of the events, or of the sum of their weights, between 0 and 1.
        weights: how much each event counts, shape (events,), not all zero.

    Returns:
        The quantile, and half the distance between the order statistics one binomial standard
        deviation of the share below and above it (David and Nagaraja, Order Statistics, 2003,
        section 7.1).
    """
    order = np.argsort(values, kind="stable")
    heavy = np.ones(len(values)) if weights is None else weights[order]
    reach = np.cumsum(heavy)

    def at(part: float) -> float:
        wanted = min(max(part, 0.0), 1.0) * reach[-1]
        first = int(np.searchsorted(reach, wanted)) if wanted > 0 else int(np.argmax(reach > 0))
        return float(values[order[first]])

    deviation = math.sqrt(share * (1 - share) / effective(len(values), weights))
    return at(share), (at(share + deviation) - at(share - deviation)) / 2


def _mean(values: Values, weights: Weights) -> float:
    if weights is None:
        return float(np.sum(values) / len(values))
    return float(np.sum(values * weights) / np.sum(weights))
