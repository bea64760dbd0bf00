"""Constants of two signed binary digits: a product with one is a single adder, and no DSP."""

from __future__ import annotations

import math


def nearest_power(value: float) -> float:
    """The power of two nearest to a positive number."""
    power: float = 2.0 ** math.floor(math.log2(value))
    return 2 * power if value >= 1.5 * power else power


def two_digits(value: float, lsb: float) -> float:
    """The number ``±2^a ± 2^b`` or ``±2^a`` nearest to ``value``, a multiple of ``lsb``.

    Zero if ``value`` is below half an ``lsb``.

    >>> two_digits(0.7, 2.0**-10), two_digits(-5.2, 0.5), two_digits(0.001, 0.5)
    (0.75, -5.0, 0.0)
    """
    size = abs(value)
    if size < lsb / 2:
        return 0.0
    total = max(nearest_power(size), lsb)
    rest = size - total
    if abs(rest) >= lsb / 2:
        total += math.copysign(max(nearest_power(abs(rest)), lsb), rest)
    return math.copysign(total, value)
