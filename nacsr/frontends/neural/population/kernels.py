"""Compiled loops of one dense layer, feature-major: rows are neurons, columns events.

float32 throughout. Sums may be reordered to use vector units; rounding may not, so it
stands in functions of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import float32 as f32
from numpy.typing import NDArray

from nacsr.frontends.neural.population.compiled import compiled, reordered

Reals = NDArray[np.float32]

MAGIC = f32(12582912.0)
"""1.5 * 2**23: adding and subtracting it rounds half to even, for |x| < 2**22."""
EPSILON = f32(1e-5)
"""Added to a variance, as torch's BatchNorm does."""

RELU, LEAKY, TANH, SIGMOID, NONE = range(5)
LEAK = f32(2.0**-7)
MEAN, MAX, SUM = range(1, 4)


@compiled
def rounded(x: f32, low: f32, high: f32) -> f32:
    """Clamped, then rounded half to even; |low| and |high| below 2**22."""
    return (min(max(x, low), high) + MAGIC) - MAGIC


@compiled
def quantise(x: Reals, scale: f32, low: f32, high: f32, out: Reals) -> None:
    """Real numbers to the nearest of a grid: raw integers in [low, high], times 1/scale."""
    step = f32(1) / scale
    for i in range(x.size):
        out[i] = rounded(x[i] * scale, low, high) * step


@reordered
def moments(z: Reals, r: int) -> tuple[f32, f32]:
    """Mean and variance (of the population) of a row."""
    n, total = f32(z.shape[1]), f32(0)
    for j in range(z.shape[1]):
        total += z[r, j]
    mean, square = total / n, f32(0)
    for j in range(z.shape[1]):
        away = z[r, j] - mean
        square += away * away
    return mean, square / n


@compiled
def activate(z: Reals, r: int, mean: f32, scale: f32, shift: f32, kind: int, out: Reals) -> None:
    """An activation of a row of ``(z - mean) * scale + shift``: BatchNorm, or a bias."""
    if kind == RELU:
        for j in range(z.shape[1]):
            out[r, j] = max((z[r, j] - mean) * scale + shift, f32(0))
    elif kind == LEAKY:
        for j in range(z.shape[1]):
            t = (z[r, j] - mean) * scale + shift
            out[r, j] = max(t, t * LEAK)
    else:
        for j in range(z.shape[1]):
            out[r, j] = (z[r, j] - mean) * scale + shift


@compiled
def function(x: Reals, r: int, kind: int) -> None:
    """A function that becomes a table, of a row in place."""
    if kind == TANH:
        for j in range(x.shape[1]):
            x[r, j] = f32(math.tanh(x[r, j]))
    else:
        for j in range(x.shape[1]):
            x[r, j] = f32(1) / (f32(1) + f32(math.exp(-x[r, j])))


@compiled
def snap_row(x: Reals, r: int, scale: f32, low: f32, high: f32) -> None:
    """A row on a grid, in place."""
    step = f32(1) / scale
    for j in range(x.shape[1]):
        x[r, j] = rounded(x[r, j] * scale, low, high) * step


@compiled
def activate_back(
    z: Reals,
    r: int,
    mean: f32,
    scale: f32,
    shift: f32,
    kind: int,
    u: f32,
    low: f32,
    high: f32,
    d: Reals,
) -> None:
    """Gradient of a row through ``activate`` and a grid of scale ``u`` (0: none), in place.

    A ReLU's lower end is its own kink.
    """
    if kind == RELU:
        top = high if u > 0 else f32(np.inf)
        step = u if u > 0 else f32(1)
        for j in range(z.shape[1]):
            t = (z[r, j] - mean) * scale + shift
            d[r, j] = d[r, j] if (t > 0) and (t * step < top) else f32(0)
        return
    for j in range(z.shape[1]):
        t = (z[r, j] - mean) * scale + shift
        slope = LEAK if (kind == LEAKY) and (t <= 0) else f32(1)
        v = t * slope * u
        d[r, j] = d[r, j] * slope if (u == 0) or ((v > low) and (v < high)) else f32(0)


@compiled
def function_back(x: Reals, r: int, kind: int, d: Reals) -> None:
    """Gradient of a row through ``function``, whose values are ``x``."""
    for j in range(x.shape[1]):
        t = x[r, j]
        d[r, j] *= f32(1) - t * t if kind == TANH else t * (f32(1) - t)


@compiled
def clamped(x: Reals, r: int, scale: f32, low: f32, high: f32, d: Reals) -> None:
    """Straight-through gradient of ``snap_row``: zero where it clamped."""
    for j in range(x.shape[1]):
        t = x[r, j] * scale
        d[r, j] = d[r, j] if (t > low) and (t < high) else f32(0)


@reordered
def normalise_back(
    z: Reals, r: int, mean: f32, inverse: f32, gain: f32, d: Reals
) -> tuple[f32, f32]:
    """Gradient of a row through BatchNorm in training mode; ``d`` in place.

    Returns:
        The gradients of gain and bias.
    """
    n = f32(z.shape[1])
    sum_d, sum_dk = f32(0), f32(0)
    for j in range(z.shape[1]):
        sum_d += d[r, j]
        sum_dk += d[r, j] * ((z[r, j] - mean) * inverse)
    average, slope, factor = sum_d / n, sum_dk / n, gain * inverse
    for j in range(z.shape[1]):
        d[r, j] = factor * (d[r, j] - average - (z[r, j] - mean) * inverse * slope)
    return sum_dk, sum_d


@reordered
def row_sum(d: Reals, r: int) -> f32:
    """The sum of a row."""
    found = f32(0)
    for j in range(d.shape[1]):
        found += d[r, j]
    return found


@compiled
def inside(d: Reals, x: Reals, scale: f32, low: f32, high: f32) -> None:
    """Straight-through gradient of ``quantise``: zero where it clamped; ``d`` in place."""
    for i in range(d.size):
        t = x[i] * scale
        d[i] = d[i] if (t > low) and (t < high) else f32(0)


@compiled
def pool(x: Reals, kind: int, out: Reals) -> None:
    """Particles into one: x (channels, particles, events) -> out (channels, events)."""
    channels, particles, events = x.shape
    for c in range(channels):
        row = out[c]
        row[:] = x[c, 0]
        for p in range(1, particles):
            other = x[c, p]
            if kind == MAX:
                for j in range(events):
                    row[j] = max(row[j], other[j])
            else:
                for j in range(events):
                    row[j] += other[j]
        if kind == MEAN:
            for j in range(events):
                row[j] /= f32(particles)


@compiled
def pool_back(d: Reals, x: Reals, pooled: Reals, kind: int, out: Reals) -> None:
    """Gradient of ``pool``: equal maxima share it, as torch's amax does."""
    channels, particles, events = x.shape
    share = f32(1) / f32(particles) if kind == MEAN else f32(1)
    for c in range(channels):
        if kind == MAX:
            for j in range(events):
                ties = f32(0)
                for p in range(particles):
                    ties += f32(1) if x[c, p, j] == pooled[c, j] else f32(0)
                part = d[c, j] / ties
                for p in range(particles):
                    out[c, p, j] = part if x[c, p, j] == pooled[c, j] else f32(0)
        else:
            for p in range(particles):
                for j in range(events):
                    out[c, p, j] = d[c, j] * share


@compiled
def cross_entropy(z: Reals, y: Reals, weights: Reals, d: Reals) -> float:
    """Mean loss over events of classes y; ``d`` becomes its gradient."""
    classes, events = z.shape
    share, loss = f32(1) / f32(events), 0.0
    for j in range(events):
        top = z[0, j]
        for c in range(1, classes):
            top = max(top, z[c, j])
        total = f32(0)
        for c in range(classes):
            d[c, j] = f32(math.exp(z[c, j] - top))
            total += d[c, j]
        right = int(y[j])
        loss += weights[j] * (math.log(total) + top - z[right, j])
        factor = weights[j] * share
        for c in range(classes):
            d[c, j] *= factor / total
        d[right, j] -= factor
    return float(loss / events)


@compiled
def logistic(z: Reals, y: Reals, weights: Reals, d: Reals) -> float:
    """The same of two classes, 0 and 1, by one output."""
    share, loss = f32(1) / f32(z.shape[1]), 0.0
    for j in range(z.shape[1]):
        t = z[0, j]
        loss += weights[j] * (max(t, f32(0)) - t * y[j] + math.log1p(math.exp(-abs(t))))
        d[0, j] = weights[j] * share * (f32(1) / (f32(1) + f32(math.exp(-t))) - y[j])
    return float(loss / z.shape[1])


@compiled
def squares(z: Reals, y: Reals, weights: Reals, d: Reals) -> float:
    """The mean of squared errors of targets y (events * outputs, an event after the other)."""
    outputs, events = z.shape
    share, loss = f32(2) / f32(z.size), 0.0
    for c in range(outputs):
        for j in range(events):
            away = z[c, j] - y[j * outputs + c]
            loss += weights[j] * away * away
            d[c, j] = weights[j] * share * away
    return float(loss / z.size)


@compiled
def adam(
    p: Reals,
    g: Reals,
    m: Reals,
    v: Reals,
    rate: float,
    decay: float,
    l1: float,
    sparse: bool,
    step: int,
) -> None:
    """AdamW of Loshchilov & Hutter (1711.05101) with torch's defaults; step counts from 1.

    ``l1`` times the sum of absolute values is added to the loss; where ``sparse``, what is zero
    stays zero.
    """
    b1, b2, tiny = f32(0.9), f32(0.999), f32(1e-8)
    first = f32(rate / (1 - 0.9**step))
    second = f32(1 / math.sqrt(1 - 0.999**step))
    keep = f32(1 - rate * decay)
    pull, free = f32(l1), f32(0 if sparse else 1)
    for i in range(p.size):
        sign = f32(p[i] > 0) - f32(p[i] < 0)
        d = g[i] + pull * sign
        m[i] = b1 * m[i] + (f32(1) - b1) * d
        v[i] = b2 * v[i] + (f32(1) - b2) * d * d
        moves = max(sign * sign, free)
        p[i] = p[i] * keep - moves * (first * m[i] / (np.sqrt(v[i]) * second + tiny))
