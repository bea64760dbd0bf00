"""Compiled training of a lean network at given digits and fraction bits: Adam, straight through."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import float32 as f32
from numpy.typing import NDArray

from nacsr.frontends.neural.lean import kernels as lean
from nacsr.frontends.neural.lean.state import Bytes, Ints, Reals, Stack
from nacsr.frontends.neural.population import kernels as k
from nacsr.frontends.neural.population.compiled import compiled
from nacsr.frontends.neural.population.steps import gather, loss_of, stretch

HALF, NONE = f32(0.5), f32(0)


class Room(NamedTuple):
    """Scratch for a batch; ``stride`` columns for every row.

    Attributes:
        sums, values: of every neuron, before and after its ReLU.
        pooled, reads: of what every layer reads, before and after it is cut off.
        weights: in their digits, and biases, where the parameters are.
        d, e: gradients of two layers.
        stride: columns of the widest layer.
    """

    sums: Reals
    values: Reals
    pooled: Reals
    reads: Reals
    weights: Reals
    d: Reals
    e: Reals
    stride: int


class Noise(NamedTuple):
    """Sums over steps of the squared gradients by what layers read, and by neurons' values."""

    reads: Reals
    values: Reals


@compiled
def _source(stack: Stack, layer: int, x: Reals, events: int, room: Room) -> Reals:
    """What a layer reads before it is cut off."""
    ni, columns = stack.inputs[layer], stack.copies[layer] * events
    if layer == 0:
        return x
    if stack.pools[layer]:
        return stretch(room.pooled, stack.reads[layer] * room.stride, ni, columns)
    return stretch(room.values, stack.rows[layer - 1] * room.stride, ni, columns)


@compiled
def _read(stack: Stack, layer: int, x: Reals, events: int, room: Room) -> Reals:
    """What a layer reads, (inputs, columns)."""
    if stack.cuts[layer]:
        ni, columns = stack.inputs[layer], stack.copies[layer] * events
        return stretch(room.reads, stack.reads[layer] * room.stride, ni, columns)
    return _source(stack, layer, x, events, room)


@compiled
def _particles(stack: Stack, layer: int, events: int, room: Room) -> Reals:
    """What is pooled before a layer, (channels, particles, events)."""
    ni, particles = stack.inputs[layer], stack.copies[layer - 1]
    begin = stack.rows[layer - 1] * room.stride
    return room.values[begin : begin + ni * particles * events].reshape(ni, particles, events)


@compiled
def forward(
    stack: Stack,
    p: Reals,
    counts: Bytes,
    read_bits: Reals,
    value_bits: Reals,
    read_tops: Reals,
    value_tops: Reals,
    x: Reals,
    events: int,
    room: Room,
) -> Reals:
    """Scores (outputs, events) of a batch; what the way back needs stays in ``room``.

    Args:
        stack: the network.
        p, counts, read_bits, value_bits, read_tops, value_tops: its ``State``.
        x: inputs, (features, copies * events): a particle's events side by side.
        events: of the batch.
        room: scratch.
    """
    last = stack.inputs.size - 1
    for layer in range(last + 1):
        ni, no, at = stack.inputs[layer], stack.outputs[layer], stack.at[layer]
        columns = stack.copies[layer] * events
        source = _source(stack, layer, x, events, room)
        if stack.pools[layer]:
            k.pool(_particles(stack, layer, events, room), stack.pools[layer], source)
        a = _read(stack, layer, x, events, room)
        if stack.cuts[layer]:
            begin, end = stack.reads[layer], stack.reads[layer + 1]
            half = NONE if layer else HALF
            lean.snap_rows(source, read_bits[begin:end], read_tops[begin:end], half, a)
        n = ni * no
        q = room.weights[at : at + n]
        lean.snap_weights(p[at : at + n], counts[at : at + n], q)
        z = stretch(room.sums, stack.rows[layer] * room.stride, no, columns)
        np.dot(q.reshape(no, ni), a, z)
        bias = room.weights[at + n : at + n + no]
        for r in range(no):
            bias[r] = p[at + n + r] if counts[at + n + r] else f32(0)
        if layer == last:
            for r in range(no):
                for j in range(columns):
                    z[r, j] += bias[r]
        else:
            out = stretch(room.values, stack.rows[layer] * room.stride, no, columns)
            begin, end = stack.rows[layer], stack.rows[layer + 1]
            lean.relu_rows(z, bias, value_bits[begin:end], value_tops[begin:end], out)
    return z


@compiled
def backward(
    stack: Stack,
    counts: Bytes,
    value_tops: Reals,
    x: Reals,
    events: int,
    room: Room,
    noise: Noise,
    g: Reals,
) -> None:
    """Gradients ``g`` of weights and biases; ``room.d`` begins with that of the scores."""
    d_flat, e_flat = room.d, room.e
    for layer in range(stack.inputs.size - 1, -1, -1):
        ni, no, at = stack.inputs[layer], stack.outputs[layer], stack.at[layer]
        columns, n = stack.copies[layer] * events, ni * no
        d = stretch(d_flat, 0, no, columns)
        if layer < stack.inputs.size - 1:
            begin, end = stack.rows[layer], stack.rows[layer + 1]
            z = stretch(room.sums, begin * room.stride, no, columns)
            lean.relu_back(d, z, value_tops[begin:end])
            lean.add_squares(d, noise.values[begin:end])
        for r in range(no):
            g[at + n + r] = k.row_sum(d, r) if counts[at + n + r] else f32(0)
        np.dot(d, _read(stack, layer, x, events, room).T, g[at : at + n].reshape(no, ni))
        lower = stretch(e_flat, 0, ni, columns)
        np.dot(room.weights[at : at + n].reshape(no, ni).T, d, lower)
        d_flat, e_flat = e_flat, d_flat
        if stack.cuts[layer]:
            lean.add_squares(lower, noise.reads[stack.reads[layer] : stack.reads[layer + 1]])
        if stack.pools[layer]:
            particles = _particles(stack, layer, events, room)
            spread = e_flat[: particles.size].reshape(particles.shape)
            pooled = _source(stack, layer, x, events, room)
            k.pool_back(lower, particles, pooled, stack.pools[layer], spread)
            d_flat, e_flat = e_flat, d_flat


@compiled
def train(
    stack: Stack,
    room: Room,
    goal: int,
    x: Reals,
    y: Reals,
    weights: Reals,
    order: Ints,
    rates: NDArray[np.float64],
    p: Reals,
    counts: Bytes,
    read_bits: Reals,
    value_bits: Reals,
    read_tops: Reals,
    value_tops: Reals,
    m: Reals,
    v: Reals,
    begun: int,
    noise: Noise,
    losses: NDArray[np.float64],
) -> None:
    """Some steps.

    Args:
        stack: the network.
        room: scratch.
        goal: CROSS_ENTROPY, LOGISTIC or SQUARES of ``population.steps``.
        x: (events, words); those of a particle side by side.
        y: (events, targets): a class index, or real targets.
        weights: of the events.
        order: events of every step, (steps, batch).
        rates: learning rates, (steps,).
        p, counts, read_bits, value_bits, read_tops, value_tops: its ``State``; only ``p``
            changes.
        m, v: moments, in place.
        begun: steps that the moments have seen.
        noise: grows by what these steps see.
        losses: become those of every step; training ends at one that is not finite.
    """
    steps, events = order.shape
    features = stack.inputs[0]
    batch = np.empty((features, x.shape[1] // features * events), np.float32)
    targets = np.empty(events * y.shape[1], np.float32)
    worth = np.empty(events, np.float32)
    g = np.zeros(p.size, np.float32)
    losses[:] = np.nan
    for step in range(steps):
        gather(x, order[step], False, batch)
        for j in range(events):
            worth[j] = weights[order[step, j]]
            for c in range(y.shape[1]):
                targets[j * y.shape[1] + c] = y[order[step, j], c]
        scores = forward(
            stack,
            p,
            counts,
            read_bits,
            value_bits,
            read_tops,
            value_tops,
            batch,
            events,
            room,
        )
        d = stretch(room.d, 0, scores.shape[0], events)
        losses[step] = loss_of(goal, scores, targets, worth, d)
        if not np.isfinite(losses[step]):
            return
        backward(stack, counts, value_tops, batch, events, room, noise, g)
        k.adam(p, g, m, v, rates[step], 0.0, 0.0, False, begun + step + 1)
