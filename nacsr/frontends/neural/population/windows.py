"""Convolutions of a program: a pixel of the result at a time, all of which is in the cache.

What a window sees there of every event is a matrix, so that a convolution is a dense layer for
every pixel. Images are (channels, pixels * events), the events of a pixel side by side.
"""

from __future__ import annotations

import numpy as np
from numpy import float32 as f32

from nacsr.frontends.neural.population.compiled import compiled
from nacsr.frontends.neural.population.kernels import Reals
from nacsr.frontends.neural.population.program import Program, Room


@compiled
def convolve(
    program: Program, layer: int, events: int, a: Reals, weight: Reals, z: Reals, room: Room
) -> None:
    """The sums ``z`` of a layer that reads ``a``; its weight is (outputs, inputs)."""
    seen, part = _scratch(program, layer, events, room)
    x, sums = _read(program, layer, events, a), _given(program, layer, events, z)
    for pixel in range(sums.shape[1]):
        _see(program, layer, pixel, x, seen)
        np.dot(weight, seen, part)
        sums[:, pixel] = part


@compiled
def convolve_back(
    program: Program, layer: int, events: int, d: Reals, a: Reals, slope: Reals, room: Room
) -> None:
    """Gradient ``slope`` of the weight from that of the sums."""
    seen, part = _scratch(program, layer, events, room)
    x, sums = _read(program, layer, events, a), _given(program, layer, events, d)
    slope[:] = f32(0)
    for pixel in range(sums.shape[1]):
        _see(program, layer, pixel, x, seen)
        part[:] = sums[:, pixel]
        slope += np.dot(part, seen.T)


@compiled
def convolve_below(
    program: Program, layer: int, events: int, d: Reals, weight: Reals, out: Reals, room: Room
) -> None:
    """Gradient of what a layer reads, at the beginning of ``out``, from that of its sums."""
    seen, part = _scratch(program, layer, events, room)
    sums = _given(program, layer, events, d)
    channels = program.inputs[layer] // program.windows[layer] ** 2
    pixels = program.images[layer, 0] * program.images[layer, 1]
    x = _read(program, layer, events, out[: channels * pixels * events])
    x[:] = f32(0)
    for pixel in range(sums.shape[1]):
        part[:] = sums[:, pixel]
        np.dot(weight.T, part, seen)
        _see_back(program, layer, pixel, seen, x)


@compiled
def _scratch(program: Program, layer: int, events: int, room: Room) -> tuple[Reals, Reals]:
    """What a window sees, and what it gives, of every event."""
    ni, no = program.inputs[layer], program.outputs[layer]
    return room.seen[: ni * events].reshape(ni, events), room.part[: no * events].reshape(
        no, events
    )


@compiled
def _read(program: Program, layer: int, events: int, a: Reals) -> Reals:
    """What a layer reads, as (channels, pixels, events)."""
    return a.reshape(-1, program.images[layer, 0] * program.images[layer, 1], events)


@compiled
def _given(program: Program, layer: int, events: int, z: Reals) -> Reals:
    """What a layer gives, as (channels, pixels, events)."""
    return z.reshape(program.outputs[layer], program.copies[layer], events)


@compiled
def _see(program: Program, layer: int, pixel: int, x: Reals, out: Reals) -> None:
    """What the window of a pixel of the result sees, in the order of the weights."""
    window, across = program.windows[layer], program.images[layer, 1]
    first = pixel // (across - window + 1) * across + pixel % (across - window + 1)
    row = 0
    for c in range(x.shape[0]):
        for dy in range(window):
            for dx in range(window):
                out[row] = x[c, first + dy * across + dx]
                row += 1


@compiled
def _see_back(program: Program, layer: int, pixel: int, d: Reals, out: Reals) -> None:
    """Gradient of ``_see``, added to ``out``."""
    window, across = program.windows[layer], program.images[layer, 1]
    first = pixel // (across - window + 1) * across + pixel % (across - window + 1)
    row = 0
    for c in range(out.shape[0]):
        for dy in range(window):
            for dx in range(window):
                there = out[c, first + dy * across + dx]
                for j in range(there.size):
                    there[j] += d[row, j]
                row += 1
