"""Compiled loops of layers of tables: rows are events (or particles), columns are values.

A table is a broken line between equidistant knots, taken at the words that address it and rounded.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import float32 as f32
from numpy.typing import NDArray

from nacsr.frontends.neural.population.compiled import compiled, reordered
from nacsr.frontends.neural.tables.state import BASE, ENTRIES, MIDDLE, SPACING

Reals = NDArray[np.float32]
Numbers = NDArray[np.float32] | NDArray[np.float64]
"""For training, or exact."""
Flags = NDArray[np.bool_]
Places = NDArray[np.int32]


@compiled
def expand(knots: Reals, live: Flags, steps: Reals, entries: Reals) -> None:
    """Entries of all tables, each rounded to its output's grid.

    Args:
        knots: (inputs, KNOTS, outputs).
        live: tables that are left, (inputs, outputs).
        steps: fraction bits, (outputs,).
        entries: become them, (inputs, ENTRIES, outputs).
    """
    scales = f32(2) ** steps
    for i in range(entries.shape[0]):
        for k in range(ENTRIES):
            knot, share = k // SPACING, f32(k % SPACING) / f32(SPACING)
            for j in range(entries.shape[2]):
                a, b, scale = knots[i, knot, j], knots[i, knot + 1, j], scales[j]
                cut = f32(math.floor((a + share * (b - a)) * scale + f32(0.5))) / scale
                entries[i, k, j] = cut if live[i, j] else f32(0)


@compiled
def address(
    x: Numbers, away: Numbers, reads: Reals, tops: Reals, signed: Flags, places: Places
) -> None:
    """Entries that words address: cut off below, saturated above.

    Args:
        x: values, (rows, inputs).
        away, reads, tops, signed: of a ``Layer``, (inputs,).
        places: become them, (rows, inputs).
    """
    for i in range(x.shape[1]):
        scale, half = f32(2) ** reads[i], f32(2) ** (reads[i] + tops[i])
        low = -half if signed[i] else f32(0)
        high = low + f32(2) * half - f32(1)
        spread, first = int(f32(2) ** (f32(BASE) - reads[i])), MIDDLE if signed[i] else 0
        for r in range(x.shape[0]):
            word = min(f32(math.floor((x[r, i] + away[i]) * scale)), high)
            word = word if word >= low else low  # what is no number, too
            places[r, i] = int(word) * spread + first


@reordered
def look_up(entries: Numbers, places: Places, used: Flags, bias: Numbers, z: Numbers) -> None:
    """Sums ``z`` (rows, outputs) of the tables of all inputs that are ``used``, and a bias."""
    for r in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[r, j] = bias[j]
        for i in range(places.shape[1]):
            if used[i]:
                k = places[r, i]
                for j in range(z.shape[1]):
                    z[r, j] += entries[i, k, j]


@reordered
def to_knots(
    d: Reals, places: Places, used: Flags, live: Flags, room: Reals, visits: Numbers, g: Reals
) -> None:
    """Gradient by the knots, straight through rounding.

    Args:
        d: gradient by the sums, (rows, outputs).
        places, used: as of ``look_up``.
        live: as of ``expand``.
        room: scratch of the size of all entries.
        visits: grow by how often every entry was read, (inputs, ENTRIES).
        g: becomes the gradient, of the knots' shape.
    """
    room[:] = 0
    for r in range(d.shape[0]):
        for i in range(places.shape[1]):
            if used[i]:
                k = places[r, i]
                visits[i, k] += 1.0
                for j in range(d.shape[1]):
                    room[i, k, j] += d[r, j]
    g[:] = 0
    for i in range(room.shape[0]):
        for k in range(ENTRIES):
            knot, share = k // SPACING, f32(k % SPACING) / f32(SPACING)
            for j in range(room.shape[2]):
                part = room[i, k, j] if live[i, j] else f32(0)
                g[i, knot, j] += (f32(1) - share) * part
                g[i, knot + 1, j] += share * part


@reordered
def to_inputs(
    d: Reals,
    entries: Reals,
    places: Places,
    used: Flags,
    x: Reals,
    reads: Reals,
    tops: Reals,
    e: Reals,
) -> None:
    """Gradient ``e`` (rows, inputs) by signed words: the slope between the entries beside them."""
    for i in range(x.shape[1]):
        step, end = int(f32(2) ** (f32(BASE) - reads[i])), f32(2) ** tops[i]
        first = MIDDLE - int(end * f32(2) ** f32(BASE))
        last = 2 * MIDDLE - first - step
        for r in range(x.shape[0]):
            slope = f32(0)
            if used[i] and x[r, i] > -end and x[r, i] < end and last > first:
                a, b = max(places[r, i] - step, first), min(places[r, i] + step, last)
                for j in range(d.shape[1]):
                    slope += d[r, j] * (entries[i, b, j] - entries[i, a, j])
                slope *= f32(2) ** f32(BASE) / f32(b - a)
            e[r, i] = slope


@compiled
def smooth(knots: Reals, rate: f32) -> None:
    """A step down the squared second differences of the knots, in place."""
    bends = np.empty((knots.shape[1], knots.shape[2]), np.float32)
    for i in range(knots.shape[0]):
        for n in range(1, knots.shape[1] - 1):
            for j in range(knots.shape[2]):
                bend = knots[i, n - 1, j] - f32(2) * knots[i, n, j] + knots[i, n + 1, j]
                bends[n, j] = rate * bend
        for n in range(1, knots.shape[1] - 1):
            for j in range(knots.shape[2]):
                knots[i, n - 1, j] -= bends[n, j]
                knots[i, n, j] += f32(2) * bends[n, j]
                knots[i, n + 1, j] -= bends[n, j]
