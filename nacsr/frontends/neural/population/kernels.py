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
def moments(row: Reals) -> tuple[f32, f32]:
    """Mean and variance (of the population)."""
    total = f32(0)
    for j in range(row.size):
        total += row[j]
    mean = total / f32(row.size)
    square = f32(0)
    for j in range(row.size):
        away = row[j] - mean
        square += away * away
    return mean, square / f32(row.size)


@compiled
def normalise(z: Reals, gain: Reals, bias: Reals, standard: Reals, inverse: Reals) -> None:
    """BatchNorm in training mode, in place; keeps standard values and 1/sigma for the way back."""
    for r in range(z.shape[0]):
        row, kept = z[r], standard[r]
        mean, variance = moments(row)
        inverse[r] = f32(1) / f32(math.sqrt(variance + EPSILON))
        for j in range(row.size):
            kept[j] = (row[j] - mean) * inverse[r]
            row[j] = kept[j] * gain[r] + bias[r]


@reordered
def normalise_back(
    d: Reals, gain: Reals, standard: Reals, inverse: Reals, d_gain: Reals, d_bias: Reals
) -> None:
    """Gradients through ``normalise``; ``d`` in place."""
    n = f32(d.shape[1])
    for r in range(d.shape[0]):
        row, kept = d[r], standard[r]
        sum_d, sum_dk = f32(0), f32(0)
        for j in range(row.size):
            sum_d += row[j]
            sum_dk += row[j] * kept[j]
        d_bias[r], d_gain[r] = sum_d, sum_dk
        factor = gain[r] * inverse[r]
        mean, slope = sum_d / n, sum_dk / n
        for j in range(row.size):
            row[j] = factor * (row[j] - mean - kept[j] * slope)


@compiled
def shift_rows(z: Reals, bias: Reals) -> None:
    """Add one number to every row, in place."""
    for r in range(z.shape[0]):
        row, b = z[r], bias[r]
        for j in range(row.size):
            row[j] += b


@reordered
def row_sums(d: Reals, out: Reals) -> None:
    """The sum of every row."""
    for r in range(d.shape[0]):
        total, row = f32(0), d[r]
        for j in range(row.size):
            total += row[j]
        out[r] = total


@compiled
def activate(z: Reals, kind: int, out: Reals) -> None:
    """An activation of every element."""
    if kind == RELU:
        for i in range(z.size):
            out[i] = max(z[i], f32(0))
    elif kind == LEAKY:
        for i in range(z.size):
            out[i] = max(z[i], z[i] * LEAK)
    elif kind == TANH:
        for i in range(z.size):
            out[i] = f32(math.tanh(z[i]))
    elif kind == SIGMOID:
        for i in range(z.size):
            out[i] = f32(1) / (f32(1) + f32(math.exp(-z[i])))
    else:
        out[:] = z


@compiled
def activate_back(d: Reals, z: Reals, a: Reals, kind: int) -> None:
    """Gradient through ``activate``; ``d`` in place."""
    if kind == RELU:
        for i in range(d.size):
            d[i] = d[i] if z[i] > 0 else f32(0)
    elif kind == LEAKY:
        for i in range(d.size):
            d[i] = d[i] if z[i] > 0 else d[i] * LEAK
    elif kind == TANH:
        for i in range(d.size):
            d[i] *= f32(1) - a[i] * a[i]
    elif kind == SIGMOID:
        for i in range(d.size):
            d[i] *= a[i] * (f32(1) - a[i])


@compiled
def clamped_back(d: Reals, z: Reals, kind: int, grid: Reals) -> None:
    """Zero where the grid after an activation clamps, in place; ReLU's own kink comes later."""
    scale, low, high = grid[0], grid[1], grid[2]
    for i in range(d.size):
        t = z[i]
        if kind == LEAKY and t < 0:
            t *= LEAK
        u = t * scale
        # a ReLU's lower end is its own kink
        d[i] = d[i] if u < high and (u > low or kind == RELU) else f32(0)


@compiled
def inside(d: Reals, x: Reals, scale: f32, low: f32, high: f32) -> None:
    """Straight-through gradient of ``quantise``: zero where it clamped; ``d`` in place."""
    least, most = low / scale, high / scale
    for i in range(d.size):
        d[i] = d[i] if least < x[i] < most else f32(0)


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
def adam(p: Reals, g: Reals, m: Reals, v: Reals, rate: float, decay: float, step: int) -> None:
    """AdamW of Loshchilov & Hutter (1711.05101) with torch's defaults; step counts from 1."""
    b1, b2, tiny = f32(0.9), f32(0.999), f32(1e-8)
    first = f32(rate / (1 - 0.9**step))
    second = f32(1 / math.sqrt(1 - 0.999**step))
    keep = f32(1 - rate * decay)
    for i in range(p.size):
        m[i] = b1 * m[i] + (f32(1) - b1) * g[i]
        v[i] = b2 * v[i] + (f32(1) - b2) * g[i] * g[i]
        p[i] = p[i] * keep - first * m[i] / (np.sqrt(v[i]) * second + tiny)
