"""Interval arithmetic on float64 that errs outwards: what it encloses is enclosed for certain.

An interval is ``(low, high)``; a result is moved to the next float64 outwards wherever the
float64 operation may have rounded (IEEE 754 rounds to nearest, so one step is enough). Sums
that are exact stay exact, and a product with zero is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from nacsr.fixed import MAX_WIDTH
from nacsr.luts import FUNCTIONS

Interval = tuple[float, float]

ZERO: Interval = (0.0, 0.0)
ANYTHING: Interval = (-math.inf, math.inf)

LIBRARY_ERROR = 2.0**-48
"""Relative error, or absolute error below one, granted to numpy's functions (a few 2**-52)."""

MOST = 2.0**20
"""Where multiples of a period are still exact enough: their error squared is below 2**-60."""

BENDS: Mapping[str, tuple[float, ...]] = {
    # where the slope has a local extremum, within one period if the function has one
    "sin": (0.0, math.pi),
    "cos": (0.5 * math.pi, 1.5 * math.pi),
    "sincos": (0.0, 0.5 * math.pi),
    "tan": (0.0,),
    "exp": (),
    "gauss": (-math.sqrt(0.5), math.sqrt(0.5)),
    "log_abs": (),
    "tanh": (0.0,),
    "sqrt_abs": (),
    "inverse": (),
    "sigmoid": (0.0,),
    "sinh": (0.0,),
    "cosh": (),
    "erf": (0.0,),
    "softplus": (),
}


def _down_sum(x: float, y: float) -> float:
    s = x + y
    back = s - x
    lost = (x - (s - back)) + (y - back)  # Knuth's two-sum: the exact error of s
    return s if lost >= 0 else math.nextafter(s, -math.inf)


def _up_sum(x: float, y: float) -> float:
    return -_down_sum(-x, -y)


def neg(a: Interval) -> Interval:
    """``-a``."""
    return -a[1], -a[0]


def add(a: Interval, b: Interval) -> Interval:
    """``a + b``."""
    return _down_sum(a[0], b[0]), _up_sum(a[1], b[1])


def sub(a: Interval, b: Interval) -> Interval:
    """``a - b``."""
    return add(a, neg(b))


def mul(a: Interval, b: Interval) -> Interval:
    """``a * b`` for independent values."""
    (p, q), (r, s) = a, b
    if r == s and abs(r) == 1.0:
        return a if r == 1.0 else neg(a)
    corners = (p * r, p * s, q * r, q * s)
    low, high = min(corners), max(corners)
    # a zero is exact: no value comes near the smallest float64
    return math.nextafter(low, -math.inf) if low else 0.0, (
        math.nextafter(high, math.inf) if high else 0.0
    )


def square(a: Interval) -> Interval:
    """``a * a`` for one and the same value."""
    low, high = absolute(a)
    return max(math.nextafter(low * low, -math.inf), 0.0), math.nextafter(high * high, math.inf)


def absolute(a: Interval) -> Interval:
    """``|a|``."""
    if a[0] >= 0:
        return a
    return (0.0 if a[1] > 0 else -a[1]), max(-a[0], a[1])


def hull(a: Interval, b: Interval) -> Interval:
    """The smallest interval around both."""
    return min(a[0], b[0]), max(a[1], b[1])


def both(a: Interval, b: Interval) -> Interval:
    """The intersection of two enclosures of one value."""
    return max(a[0], b[0]), min(a[1], b[1])


def size(a: Interval) -> float:
    """The largest absolute value."""
    return max(-a[0], a[1])


def finite(a: Interval) -> bool:
    """Whether both ends are numbers."""
    return math.isfinite(a[0]) and math.isfinite(a[1])


def above(a: Interval) -> int:
    """Bits above the binary point that an interval needs, sign included; negative if tiny."""
    low, high = a
    if not finite(a):
        return 2 * MAX_WIDTH
    top = math.frexp(high)[1] if high > 0 else -MAX_WIDTH
    if low >= 0:
        return top
    return max(top, math.frexp(math.nextafter(-low, 0.0))[1]) + 1


def reciprocal(a: Interval) -> Interval:
    """``1 / a``; anything if ``a`` contains zero."""
    if a[0] <= 0 <= a[1]:
        return ANYTHING
    low, high = 1.0 / a[1], 1.0 / a[0]
    if low == high and abs(math.frexp(low)[0]) == 0.5:
        return low, high  # of a power of two
    return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)


def values(function: str, x: Interval) -> Interval:
    """All values of a key of ``FUNCTIONS`` over ``x``; anything if it has a pole there.

    The function is monotone between its turns, so the ends of ``x`` and the turns inside it
    are enough.
    """
    known, x = FUNCTIONS[function], _window(FUNCTIONS[function].period, x)
    if len(known.poles_in(*x)):
        return ANYTHING
    return _over(known.value, x, known.turns_in(*_around(x)).tolist())


@lru_cache(maxsize=4096)
def slopes(function: str, x: Interval) -> Interval:
    """All derivatives of a key of ``FUNCTIONS`` over ``x``; anything if it has a pole there.

    The derivative is monotone between ``BENDS``.
    """
    known, x = FUNCTIONS[function], _window(FUNCTIONS[function].period, x)
    steep = function == "sqrt_abs" and x[0] <= 0 <= x[1]
    if steep or len(known.poles_in(*x)):
        return ANYTHING
    low, high = _around(x)
    bends = BENDS[function]
    if known.period:
        turns = range(math.floor(low / known.period) - 1, math.ceil(high / known.period) + 1)
        bends = tuple([k * known.period + b for k in turns for b in bends])
    return _over(known.slope, x, [b for b in bends if low <= b <= high])


@lru_cache(maxsize=4096)
def reach(function: str, x: Interval, error: float) -> int:
    """Bits above the point, sign included, of a domain that need not cover all of ``x``.

    Beyond its ends the function varies by half the error at most, so that it may saturate.
    """
    signed = x[0] < 0
    bits = math.frexp(size(x))[1] + signed
    while bits > signed:
        end = math.ldexp(1.0, bits - 1 - signed)
        outside = [p for p in ((end, x[1]), (x[0], -end)) if p[0] < p[1]]
        if any(high - low > error / 2 for low, high in (values(function, p) for p in outside)):
            break
        bits -= 1
    return bits


def moved(function: str, x: Interval, error: Interval) -> Interval:
    """``f(x + e) - f(x)`` for all x of ``x`` and e of ``error``."""
    reach = size(error)
    if reach == 0 or not math.isfinite(reach):
        return ANYTHING if reach else ZERO
    power = 2.0 ** math.frexp(reach)[1]  # a power of two: slopes are asked for again and again
    around = x[0] - power, x[1] + power
    if function == "sqrt_abs" and around[0] <= 0 <= around[1]:
        # |sqrt|x+e| - sqrt|x|| <= sqrt|e|: no slope bounds it at zero
        most = math.nextafter(math.sqrt(reach), math.inf)
        return -most, most
    slope = slopes(function, around)
    return mul(slope, error) if finite(slope) else ANYTHING


def _window(period: float, x: Interval) -> Interval:
    """``x``, or one whole period if ``x`` is as long, or too far out to count periods."""
    whole = period and (x[1] - x[0] >= period or size(x) > MOST)
    return (0.0, period) if whole else x


def _around(x: Interval) -> Interval:
    """A hair more than ``x``: multiples of pi are not exact."""
    reach = size(x) * 2.0**-50
    return x[0] - reach, x[1] + reach


def _over(curve: Callable[..., object], x: Interval, points: list[float]) -> Interval:
    with np.errstate(all="ignore"):
        found = np.asarray(curve(np.array([*x, *points])), dtype=np.float64)
    if not np.isfinite(found).all():
        return ANYTHING
    low, high = float(found.min()), float(found.max())
    return (
        low - LIBRARY_ERROR * max(abs(low), 1.0),
        high + LIBRARY_ERROR * max(abs(high), 1.0),
    )
