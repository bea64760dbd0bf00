"""The real functions that tables are made of, and what makes their tables small and provable.

Between two neighbours of ``turns`` and ``poles`` a function is monotone, so its largest and
smallest value over an interval lie at the ends of the interval or at a turn inside it: that is
how an error over a continuum is enumerated without sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Curve = Callable[[Real], Real]

MOST_TURNS = 1 << 20


@dataclass(frozen=True, slots=True)
class Function:
    """A real function; vectorised, never NaN.

    Attributes:
        value: the function, infinite at its poles.
        slope: its derivative.
        poles: where it is infinite, within one period if it has one.
        turns: where it has a local extremum, within one period if it has one.
        period: the smallest one, 0 for none.
        parity: "even" is ``f(-x) = f(x)``, "odd" is ``f(-x) = 2 * centre - f(x)``.
        centre: ``f(0)`` of an odd function.
        fold: the same symmetry about a quarter of the period, for which the word is a phase.
    """

    value: Curve
    slope: Curve
    poles: tuple[float, ...] = ()
    turns: tuple[float, ...] = ()
    period: float = 0.0
    parity: Literal["", "even", "odd"] = ""
    centre: float = 0.0
    fold: Literal["", "even", "odd"] = ""

    def __call__(self, x: Real) -> Real:
        """The value, silent at poles."""
        with np.errstate(all="ignore"):
            found: Real = self.value(np.asarray(x, dtype=np.float64))
        return found

    def turns_in(self, low: float, high: float) -> Real:
        """Every local extremum in [low, high], in order."""
        return _within(self.turns, self.period, low, high)

    def poles_in(self, low: float, high: float) -> Real:
        """Every pole in [low, high], in order."""
        return _within(self.poles, self.period, low, high)


def _within(points: tuple[float, ...], period: float, low: float, high: float) -> Real:
    if not period:
        return np.array([p for p in points if low <= p <= high])
    if (high - low) / period > MOST_TURNS:
        low, high = max(low, -MOST_TURNS * period / 2), min(high, MOST_TURNS * period / 2)
    first, last = math.floor(low / period) - 1, math.ceil(high / period) + 1
    places = (np.arange(first, last + 1)[:, None] * period + np.array([points])).ravel()
    inside: Real = places[(places >= low) & (places <= high)]
    return inside


def _erf(x: Real) -> Real:
    return _erf_of(x.tobytes()).reshape(x.shape)


@lru_cache(maxsize=64)
def _erf_of(data: bytes) -> Real:
    """Cached, since numpy has no erf and a search asks for the same points again and again."""
    return np.array([math.erf(v) for v in np.frombuffer(data, dtype=np.float64)])


def _sigmoid(x: Real) -> Real:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _sech2(x: Real) -> Real:
    return 1.0 - np.tanh(x) ** 2


_PI = math.pi

FUNCTIONS: Mapping[str, Function] = {
    "sin": Function(
        np.sin, np.cos, turns=(0.5 * _PI, 1.5 * _PI), period=2 * _PI, parity="odd", fold="even"
    ),
    "cos": Function(
        np.cos, lambda x: -np.sin(x), turns=(0.0, _PI), period=2 * _PI, parity="even", fold="odd"
    ),
    "sincos": Function(
        lambda x: 0.5 * np.sin(2.0 * x),
        lambda x: np.cos(2.0 * x),
        turns=(0.25 * _PI, 0.75 * _PI),
        period=_PI,
        parity="odd",
        fold="even",
    ),
    "tan": Function(
        np.tan, lambda x: 1.0 + np.tan(x) ** 2, poles=(0.5 * _PI,), period=_PI, parity="odd"
    ),
    "exp": Function(np.exp, np.exp),
    "gauss": Function(
        lambda x: np.exp(-x * x), lambda x: -2.0 * x * np.exp(-x * x), turns=(0.0,), parity="even"
    ),
    "log_abs": Function(
        lambda x: np.log(np.abs(x)), lambda x: 1.0 / x, poles=(0.0,), parity="even"
    ),
    "tanh": Function(np.tanh, _sech2, parity="odd"),
    "sqrt_abs": Function(
        lambda x: np.sqrt(np.abs(x)),
        lambda x: np.copysign(0.5, x) / np.sqrt(np.abs(x)),
        turns=(0.0,),
        parity="even",
    ),
    "inverse": Function(lambda x: 1.0 / x, lambda x: -1.0 / (x * x), poles=(0.0,), parity="odd"),
    "sigmoid": Function(_sigmoid, lambda x: 0.25 * _sech2(0.5 * x), parity="odd", centre=0.5),
    "sinh": Function(np.sinh, np.cosh, parity="odd"),
    "cosh": Function(np.cosh, np.sinh, turns=(0.0,), parity="even"),
    "erf": Function(_erf, lambda x: 2.0 / math.sqrt(_PI) * np.exp(-x * x), parity="odd"),
    "softplus": Function(lambda x: np.logaddexp(0.0, x), _sigmoid),
}
