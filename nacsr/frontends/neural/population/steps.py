"""Compiled training of many networks, batch by batch: forward, backward and AdamW.

The networks of a program share their batches and nothing else; each works on its own stretch of
one flat vector of parameters. So a network trains to the same numbers whatever is beside it.
"""

from __future__ import annotations

import numpy as np
from numpy import float32 as f32
from numpy.typing import NDArray

from nacsr.frontends.neural.population import kernels as k
from nacsr.frontends.neural.population.compiled import compiled
from nacsr.frontends.neural.population.kernels import Reals
from nacsr.frontends.neural.population.program import Grids, Ints, Program, Room
from nacsr.frontends.neural.population.windows import convolve, convolve_back, convolve_below

CROSS_ENTROPY, LOGISTIC, SQUARES = range(3)


@compiled
def snap(x: Reals, grid: Reals, out: Reals) -> None:
    """``x`` on a grid, or as it is."""
    if grid[0] > 0:
        k.quantise(x, grid[0], grid[1], grid[2], out)
    else:
        out[:] = x


@compiled
def snap_back(d: Reals, x: Reals, grid: Reals) -> None:
    """Gradient of ``snap``, in place."""
    if grid[0] > 0:
        k.inside(d, x, grid[0], grid[1], grid[2])


@compiled
def stretch(flat: Reals, row: int, rows: int, columns: int) -> Reals:
    """Some rows of a flat scratch, as a matrix."""
    return flat[row : row + rows * columns].reshape(rows, columns)


@compiled
def forward(
    program: Program, grids: Grids, net: int, p: Reals, x: Reals, events: int, room: Room
) -> Reals:
    """All layers of a network; what the way back needs stays in ``room``.

    Args:
        p: its parameters.
        x: its input on its grid, (features, copies * events): the events of a particle or pixel
            side by side.
        events: of the batch.

    Returns:
        Scores of shape (outputs, events).
    """
    a = x
    for layer in range(program.first[net], program.first[net + 1]):
        ni, no, w_at = program.inputs[layer], program.outputs[layer], program.weights[layer]
        columns = program.copies[layer] * events
        row = program.rows[layer] * events
        if program.pools[layer]:
            pooled = stretch(room.pooled, row, ni, events)
            k.pool(a.reshape(ni, a.shape[1] // events, events), program.pools[layer], pooled)
            a = stretch(room.read, row, ni, events)
            snap(pooled.ravel(), grids.pooled[layer], a.ravel())
        wq = room.weights[w_at : w_at + ni * no]
        snap(p[w_at : w_at + ni * no], grids.weights[layer], wq)
        z = stretch(room.sums, row, no, columns)
        if program.windows[layer] > 1:
            convolve(program, layer, events, a, wq.reshape(no, ni), z, room)
        else:
            np.dot(wq.reshape(no, ni), a.reshape(ni, columns), z)
        a = stretch(room.values, row, no, columns)
        bias = w_at + ni * no
        if not program.norms[layer]:
            snap(p[bias : bias + no], grids.biases[layer], room.weights[bias : bias + no])
        free = stretch(room.free, row, no, columns)
        _activated(program, grids, layer, p, z, free, a, room)
    return a


@compiled
def _activated(
    program: Program,
    grids: Grids,
    layer: int,
    p: Reals,
    z: Reals,
    free: Reals,
    out: Reals,
    room: Room,
) -> None:
    """A layer's values from its sums: row by row, while each is in the nearest cache."""
    kind, norm, lines = program.activations[layer], program.norms[layer], room.lines
    at = program.weights[layer] + program.inputs[layer] * program.outputs[layer]
    before, after = grids.before, grids.after
    b_scale, b_low, b_high = before[layer, 0], before[layer, 1], before[layer, 2]
    a_scale, a_low, a_high = after[layer, 0], after[layer, 1], after[layer, 2]
    for r in range(z.shape[0]):
        n = program.rows[layer] + r
        mean, factor, inverse = f32(0), f32(1), f32(1)
        if norm:
            mean, variance = k.moments(z, r)
            inverse = f32(1) / f32(np.sqrt(variance + k.EPSILON))
            factor = p[at + r] * inverse
        shift = p[at + z.shape[0] + r] if norm else room.weights[at + r]
        lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3] = mean, factor, shift, inverse
        if kind == k.TANH or kind == k.SIGMOID:
            k.activate(z, r, mean, factor, shift, k.NONE, free)
            if b_scale > 0:
                k.snap_row(free, r, b_scale, b_low, b_high)
            k.function(free, r, kind)
            for j in range(z.shape[1]):
                out[r, j] = free[r, j]
        else:
            k.activate(z, r, mean, factor, shift, kind, out)
        if a_scale > 0:
            k.snap_row(out, r, a_scale, a_low, a_high)


@compiled
def _activated_back(
    program: Program,
    grids: Grids,
    layer: int,
    p: Reals,
    z: Reals,
    free: Reals,
    d: Reals,
    room: Room,
    g: Reals,
) -> None:
    """Gradient of a layer's sums from that of its values, in place, and of gains and biases."""
    kind, norm, lines = program.activations[layer], program.norms[layer], room.lines
    at = program.weights[layer] + program.inputs[layer] * program.outputs[layer]
    before, after = grids.before, grids.after
    b_scale, b_low, b_high = before[layer, 0], before[layer, 1], before[layer, 2]
    a_scale, a_low, a_high = after[layer, 0], after[layer, 1], after[layer, 2]
    for r in range(z.shape[0]):
        n = program.rows[layer] + r
        mean, factor, shift, inverse = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
        if kind == k.TANH or kind == k.SIGMOID:
            if a_scale > 0:
                k.clamped(free, r, a_scale, a_low, a_high, d)
            k.function_back(free, r, kind, d)
            if b_scale > 0:
                k.activate_back(z, r, mean, factor, shift, k.NONE, b_scale, b_low, b_high, d)
        else:
            k.activate_back(z, r, mean, factor, shift, kind, a_scale, a_low, a_high, d)
        if norm:
            g[at + r], g[at + z.shape[0] + r] = k.normalise_back(z, r, mean, inverse, p[at + r], d)
        else:
            g[at + r] = k.row_sum(d, r)


@compiled
def backward(
    program: Program, grids: Grids, net: int, p: Reals, x: Reals, events: int, room: Room, g: Reals
) -> None:
    """Gradients ``g`` of a network's parameters; ``room.d`` begins with that of its scores."""
    d_flat, e_flat = room.d, room.e
    for layer in range(program.first[net + 1] - 1, program.first[net] - 1, -1):
        ni, no, w_at = program.inputs[layer], program.outputs[layer], program.weights[layer]
        columns = program.copies[layer] * events
        row = program.rows[layer] * events
        d = stretch(d_flat, 0, no, columns)
        z, free = stretch(room.sums, row, no, columns), stretch(room.free, row, no, columns)
        _activated_back(program, grids, layer, p, z, free, d, room, g)
        after = w_at + ni * no
        if not program.norms[layer]:
            snap_back(g[after : after + no], p[after : after + no], grids.biases[layer])
        begins = layer == program.first[net]
        if begins:
            a = x
        elif program.pools[layer]:
            a = stretch(room.read, row, ni, events)
        else:
            above = layer - 1
            wide = program.copies[above] * events
            a = stretch(room.values, program.rows[above] * events, program.outputs[above], wide)
        weight, slope = room.weights[w_at:after].reshape(no, ni), g[w_at:after].reshape(no, ni)
        if program.windows[layer] > 1:
            convolve_back(program, layer, events, d, a, slope, room)
        else:
            np.dot(d, a.reshape(ni, columns).T, slope)
        snap_back(g[w_at:after], p[w_at:after], grids.weights[layer])
        if not begins:
            if program.windows[layer] > 1:
                convolve_below(program, layer, events, d, weight, e_flat, room)
            else:
                np.dot(weight.T, d, stretch(e_flat, 0, ni, columns))
            d_flat, e_flat = e_flat, d_flat
            if program.pools[layer]:
                _pooled_back(program, grids, layer, events, room, d_flat, e_flat)
                d_flat, e_flat = e_flat, d_flat


@compiled
def _pooled_back(
    program: Program, grids: Grids, layer: int, events: int, room: Room, d: Reals, out: Reals
) -> None:
    """From the gradient of what ``layer`` reads to that of the particles before its pool."""
    channels, row = program.inputs[layer], program.rows[layer] * events
    particles = program.copies[layer - 1]
    pooled = stretch(room.pooled, row, channels, events)
    there = d[: channels * events]
    snap_back(there, pooled.ravel(), grids.pooled[layer])
    size = channels * particles * events
    before = program.rows[layer - 1] * events
    x = room.values[before : before + size].reshape(channels, particles, events)
    spread = out[:size].reshape(channels, particles, events)
    k.pool_back(there.reshape(channels, events), x, pooled, program.pools[layer], spread)


@compiled
def given(program: Program) -> tuple[int, bool]:
    """Features of a particle or channels of a pixel; whether the words of a channel, and not
    those of a particle, lie side by side."""
    window = program.windows[program.first[0]]
    return program.inputs[program.first[0]] // max(window, 1) ** 2, window > 0


@compiled
def gather(x: Reals, order: Ints, image: bool, out: Reals) -> None:
    """Events ``order`` of x (events, words) as columns: out (features, particles * events)."""
    features, words, events = out.shape[0], x.shape[1], order.size
    copies = words // features
    for j in range(events):
        event = x[order[j]]
        for c in range(copies):
            for f in range(features):
                out[f, c * events + j] = event[f * copies + c if image else c * features + f]


@compiled
def loss_of(kind: int, z: Reals, y: Reals, weights: Reals, d: Reals) -> float:
    """Mean loss, and its gradient in ``d``."""
    if kind == CROSS_ENTROPY:
        return k.cross_entropy(z, y, weights, d)
    if kind == LOGISTIC:
        return k.logistic(z, y, weights, d)
    return k.squares(z, y, weights, d)


@compiled
def train(
    program: Program,
    grids: Grids,
    room: Room,
    goal: int,
    x: Reals,
    y: Reals,
    weights: Reals,
    order: Ints,
    rates: NDArray[np.float64],
    decay: float,
    l1: float,
    sparse: bool,
    p: Reals,
    m: Reals,
    v: Reals,
    losses: NDArray[np.float64],
) -> None:
    """Some steps of every network.

    Args:
        goal: CROSS_ENTROPY, LOGISTIC or SQUARES.
        x: (events, words); the features of a particle side by side, the pixels of a channel.
        y: (events, targets): a class index, or real targets.
        weights: of the events.
        order: events of every step, (steps, batch).
        rates: learning rates, (steps,).
        decay: of weights.
        l1: weight of the sum of absolute parameters in the loss.
        sparse: whether parameters of zero stay zero.
        p, m, v: parameters and moments, in place.
        losses: (networks, steps); a network whose loss is not finite is left alone from there.
    """
    steps, events = order.shape
    features, image = given(program)
    batch = np.empty((features, x.shape[1] // features * events), np.float32)
    snapped = np.empty_like(batch)
    targets = np.empty(events * y.shape[1], np.float32)
    worth = np.empty(events, np.float32)
    g = np.zeros(np.max(program.parameters[1:] - program.parameters[:-1]), np.float32)
    alive = np.ones(program.first.size - 1, np.bool_)
    for step in range(steps):
        gather(x, order[step], image, batch)
        for j in range(events):
            worth[j] = weights[order[step, j]]
            for c in range(y.shape[1]):
                targets[j * y.shape[1] + c] = y[order[step, j], c]
        for net in range(alive.size):
            losses[net, step] = np.nan
            if not alive[net]:
                continue
            begin, end = program.parameters[net], program.parameters[net + 1]
            mine = p[begin:end]
            snap(batch.ravel(), grids.given[net], snapped.ravel())
            scores = forward(program, grids, net, mine, snapped, events, room)
            d = stretch(room.d, 0, scores.shape[0], events)
            losses[net, step] = loss_of(goal, scores, targets, worth, d)
            alive[net] = np.isfinite(losses[net, step])
            if alive[net]:
                backward(program, grids, net, mine, snapped, events, room, g[: end - begin])
                k.adam(
                    mine,
                    g[: end - begin],
                    m[begin:end],
                    v[begin:end],
                    rates[step],
                    decay,
                    l1,
                    sparse,
                    step + 1,
                )
