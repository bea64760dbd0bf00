"""Compiled loops of lean layers, feature-major: rows are neurons, columns events.

A weight is a sum of a few signed powers of two, each an adder; a value is cut off below some
fraction bit. Half a step is left to the biases, which cost nothing more for it.
"""

from __future__ import annotations

import math

from numpy import float32 as f32

from nacsr.frontends.neural.lean.state import Bytes
from nacsr.frontends.neural.population.compiled import compiled, reordered
from nacsr.frontends.neural.population.kernels import Reals

FLOOR_BITS = 7
FLOOR = f32(2.0**-FLOOR_BITS)
"""The smallest power of two in a weight."""


@compiled
def digits(w: f32, count: int) -> f32:
    """The number that the first ``count`` signed powers of two towards ``w`` sum to.

    Each is the nearest to what is left, so they are the leading digits of a canonical signed
    digit form: no two are neighbours.
    """
    q = f32(0)
    for _ in range(count):
        left = w - q
        size = abs(left)
        if size < FLOOR * f32(0.5):
            break
        mantissa, exponent = math.frexp(size)
        power = f32(2.0) ** f32(exponent - 1 if mantissa < 0.75 else exponent)
        power = max(power, FLOOR)
        q += power if left > 0 else -power
    return q


@compiled
def snap_weights(w: Reals, counts: Bytes, q: Reals) -> None:
    """Every weight in as many digits as it has."""
    for i in range(w.size):
        q[i] = digits(w[i], counts[i])


@compiled
def snap_rows(x: Reals, fractions: Reals, tops: Reals, half: f32, out: Reals) -> None:
    """Rows cut off below their fraction bits, after ``half`` a step was added, and saturated.

    Args:
        x: values.
        fractions: fraction bits of every row.
        tops: integer bits of every row.
        half: of a step.
        out: becomes the values, -2**top <= v < 2**top.
    """
    for r in range(x.shape[0]):
        scale = f32(2.0) ** fractions[r]
        step, top = f32(1) / scale, f32(2.0) ** tops[r]
        for j in range(x.shape[1]):
            cut = f32(math.floor(x[r, j] * scale + half)) * step
            out[r, j] = max(min(cut, top - step), -top)


@compiled
def relu_rows(z: Reals, bias: Reals, fractions: Reals, tops: Reals, out: Reals) -> None:
    """Biases added to rows, in place; and what is positive of that, cut off and saturated."""
    for r in range(z.shape[0]):
        scale = f32(2.0) ** fractions[r]
        step, b = f32(1) / scale, bias[r]
        last = f32(2.0) ** tops[r] - step
        for j in range(z.shape[1]):
            t = z[r, j] + b
            z[r, j] = t
            out[r, j] = min(f32(math.floor(max(t, f32(0)) * scale)) * step, last)


@compiled
def relu_back(d: Reals, z: Reals, tops: Reals) -> None:
    """Gradient of ``relu_rows``, straight through the grid, in place."""
    for r in range(d.shape[0]):
        top = f32(2.0) ** tops[r]
        for j in range(d.shape[1]):
            d[r, j] = d[r, j] if (z[r, j] > 0) and (z[r, j] < top) else f32(0)


@reordered
def add_squares(d: Reals, sums: Reals) -> None:
    """The sum of squares of every row, added to ``sums``."""
    for r in range(d.shape[0]):
        found = f32(0)
        for j in range(d.shape[1]):
            found += d[r, j] * d[r, j]
        sums[r] += found


@compiled
def tighten(w: Reals, counts: Bytes) -> None:
    """No more digits than a weight uses: fewer that give the same number, in place."""
    for i in range(w.size):
        value = digits(w[i], counts[i])
        while counts[i] > 0 and digits(w[i], counts[i] - 1) == value:
            counts[i] -= 1
