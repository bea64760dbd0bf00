"""Normal equations of sums of terms: mean products kept by pair, many sums solved at once.

What a fit needs of two terms is their mean product. It is computed once for every pair that
meets and kept with the newer of the two, so a child that shares all but one term with its
parents costs one column and a few dot products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]
Real = NDArray[np.float64]

RIDGE = 1e-4  # of the terms' unit variance: keeps weights of nearly equal terms small


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A term's values, centred and of unit variance, and what was taken off.

    Attributes:
        column: the values, shape (rows,).
        mean, spread: of the values before.
        number: terms are counted as they are made.
        moment: mean product with the standardised target.
        mark: mean product with the probe, which tells individuals apart.
        products: mean products with older terms, by their numbers.
    """

    column: Column
    mean: float
    spread: float
    number: int
    moment: float
    mark: float
    products: dict[int, float] = field(default_factory=dict)


def product(a: Term, b: Term) -> float:
    """Mean product of two terms: their correlation."""
    new, old = (a, b) if a.number > b.number else (b, a)
    found = new.products.get(old.number)
    if found is None:
        found = float(new.column.dot(old.column)) / len(new.column)
        new.products[old.number] = found
    return found


@cache
def _below(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places below the diagonal, in the order of rows."""
    return np.tril_indices(count, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Least-squares weights of the terms of a sum, the mean squared error that they leave, and
    the mark of what they fit.
    """

    weights: Real
    loss: float
    mark: float


def solve(sums: Sequence[Sequence[Term]], power: float) -> list[Fitted]:
    """Fit some sums of distinct terms, those with as many terms together.

    Args:
        sums: the terms of each.
        power: mean square of the standardised target.
    """
    alike: dict[int, list[int]] = {}
    for n, terms in enumerate(sums):
        alike.setdefault(len(terms), []).append(n)
    found: dict[int, Fitted] = {}
    for places in alike.values():
        found |= zip(places, _solve([sums[n] for n in places], power), strict=True)
    return [found[n] for n in range(len(sums))]


def _solve(sums: Sequence[Sequence[Term]], power: float) -> list[Fitted]:
    count = len(sums[0])
    moments = np.array([[t.moment for t in terms] for terms in sums])
    marks = np.array([[t.mark for t in terms] for terms in sums])
    gram = np.zeros((len(sums), count, count))
    gram[:, *_below(count)] = [
        [product(a, b) for i, a in enumerate(terms) for b in terms[:i]] for terms in sums
    ]
    gram += gram.swapaxes(1, 2) + np.eye(count)
    weights = np.linalg.solve(gram + RIDGE * np.eye(count), moments[..., None])[..., 0]
    left = power - (weights * (2 * moments - (gram @ weights[..., None])[..., 0])).sum(1)
    fits = zip(weights, left.tolist(), (weights * marks).sum(1).tolist(), strict=True)
    return [Fitted(*fit) for fit in fits]
