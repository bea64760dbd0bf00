"""Calibration: the weights of all classes' expressions fitted together on training events.

Expressions that were found one class against the rest are not on one scale, so the largest of
them is not yet the best guess. Each is a sum of weighted terms; with the terms held fixed,
the weights of all classes are a multinomial logistic regression, which is convex. Weights are
then moved one group after the other to two signed digits, the others refitted in between, so
that in hardware each costs one adder instead of a multiplier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.symbolic.digits import two_digits
from nacsr.frontends.symbolic.expr import Call, Expr, Num, evaluate
from nacsr.frontends.symbolic.softmax import Fit, likelihood, newton
from nacsr.luts import LutFunc

Real = NDArray[np.float64]

ROWS = 20_000  # training events used: many times the number of weights
STEPS = 8  # Newton steps; a convex problem from a good start
BATCH = 8  # weights moved to two digits between two Newton steps of the rest


def terms(expr: Expr) -> Iterator[tuple[float, Expr | None]]:
    """The weighted terms of a sum, in reading order; an offset is a weight of None."""
    match expr:
        case Num(value):
            yield value, None
        case Call("add" | "sub" as op, (left, right)):
            yield from terms(left)
            sign = 1.0 if op == "add" else -1.0
            yield from ((sign * w, t) for w, t in terms(right))
        case Call("neg", (inner,)):
            yield from ((-w, t) for w, t in terms(inner))
        case Call("mul", (Num(value), inner)) | Call("mul", (inner, Num(value))):
            yield value, inner
        case _:
            yield 1.0, expr


def reweight(expr: Expr, weights: Iterator[float], sign: float = 1.0) -> Expr:
    """The same sum, in the same order of additions, with the next weights of an iterator."""
    match expr:
        case Num():
            return Num(sign * next(weights))
        case Call("add", (left, right)):
            return _sum("add", reweight(left, weights, sign), reweight(right, weights, sign))
        case Call("sub", (left, right)):
            return _sum("sub", reweight(left, weights, sign), reweight(right, weights, -sign))
        case Call("neg", (inner,)):
            return reweight(inner, weights, sign)
        case Call("mul", (Num(), inner)) | Call("mul", (inner, Num())):
            return _weighted(sign * next(weights), inner)
        case _:
            return _weighted(sign * next(weights), expr)


def _weighted(weight: float, term: Expr) -> Expr:
    if weight == 0:
        return Num(0.0)
    return term if weight == 1 else Call("mul", (Num(weight), term))


def _sum(op: str, left: Expr, right: Expr) -> Expr:
    if right == Num(0.0):
        return left
    return right if left == Num(0.0) and op == "add" else Call(op, (left, right))


def calibrate(
    expressions: Mapping[str, Expr],
    columns: Mapping[str, Real],
    labels: NDArray[np.int64],
    luts: Mapping[str, LutFunc],
    lsb: float,
    *,
    snap: bool = True,
) -> dict[str, Expr]:
    """The same expressions with weights fitted for classification by the largest output.

    Args:
        expressions: one a class, in the order of the labels.
        columns: training values of every variable, each of shape (events,).
        labels: class index of every event.
        luts: the LUT functions.
        lsb: step of the constants, one unit of the working precision.
        snap: move the weights to two signed digits.
    """
    step = max(len(labels) // ROWS, 1)
    some = {name: column[::step] for name, column in columns.items()}
    whole = {c: _with_offset(e) for c, e in expressions.items()}
    start: list[float] = []
    parts: list[Real] = []
    units: list[float] = []
    for expr in whole.values():
        found = list(terms(expr))
        values = [_values(term, some, luts) for _, term in found]
        scale = [float(np.sqrt(np.mean(v * v))) or 1.0 for v in values]
        parts.append(np.stack([v / s for v, s in zip(values, scale, strict=True)], axis=1))
        start += [w * s for (w, _), s in zip(found, scale, strict=True)]
        units += scale
    fit, scales = Fit(tuple(parts), labels[::step]), np.array(units)
    weights = newton(fit, np.array(start), np.ones(len(start), bool), STEPS)
    chosen = _snapped(fit, scales, weights, lsb) if snap else weights / scales
    source = iter(chosen.tolist())
    return {c: reweight(e, source) for c, e in whole.items()}


def _with_offset(expr: Expr) -> Expr:
    if any(term is None for _, term in terms(expr)):
        return expr
    return Call("add", (expr, Num(0.0)))


def _values(term: Expr | None, columns: Mapping[str, Real], luts: Mapping[str, LutFunc]) -> Real:
    if term is None:
        return np.ones(len(next(iter(columns.values()))))
    return evaluate(term, columns, luts)


def _snapped(fit: Fit, units: Real, weights: Real, lsb: float) -> Real:
    """Weights of two digits, one after the other, the free ones making up for each.

    The order and the corrections are those of optimal brain surgery (Hassibi and Stork 1993):
    on the quadratic model of the likelihood, the weight whose move hurts most goes first,
    while there are most others to correct for it.
    """
    weights, free = weights.copy(), np.ones(len(weights), bool)
    while free.any():
        weights = newton(fit, weights, free, 1)
        hessian = likelihood(fit, weights)[2]
        for _ in range(BATCH):
            if not free.any():
                break
            at = np.flatnonzero(free)
            inverse = np.linalg.inv(hessian[np.ix_(at, at)])
            nearest = [two_digits(w, lsb) for w in weights[at] / units[at]]
            error = np.array(nearest) * units[at] - weights[at]
            pick = int(np.argmax(error**2 / np.diag(inverse)))
            weights[at] += inverse[:, pick] * (error[pick] / inverse[pick, pick])
            free[at[pick]] = False
    # every weight is of two digits now, but for the rounding of the division by its unit
    return np.array([two_digits(w, lsb) for w in (weights / units).tolist()])
