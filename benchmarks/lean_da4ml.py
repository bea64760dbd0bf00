"""A lean perceptron as logic of da4ml, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from da4ml_logic import Array, Bits, Inputs, Logic

from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.state import Stack, State

if TYPE_CHECKING:
    from da4ml.trace import FixedVariableArray


def logic(stack: Stack, state: State, kind: str) -> Logic:
    """The network's scores of an event.

    Args:
        stack, state: of a perceptron.
        kind: one of ``da4ml_logic.KINDS``.
    """
    at = stack.read(0)
    i, f = state.read_tops[at].astype(np.int64), state.reads[at].astype(np.int64)
    return Logic.traced(Inputs(i, f, "RND", kind), lambda inputs: _scores(stack, state, inputs))


def _scores(stack: Stack, state: State, a: FixedVariableArray) -> FixedVariableArray:
    at = stack.read(0)
    f, i = state.reads[at].astype(np.int64), state.read_tops[at].astype(np.int64)
    constant = _without_bits(f, i, f + i + 1)
    for layer in stack.layers:
        w, b = model.weights(stack, state, layer), model.biases(stack, state, layer)
        known = ~np.isnan(constant)
        b = b + w[:, known] @ constant[known]
        w = np.where(known, 0.0, w)
        a = a @ w.T + b
        if layer == len(stack.inputs) - 1:
            break
        mine = stack.neurons(layer)
        f, i = state.values[mine].astype(np.int64), state.value_tops[mine].astype(np.int64)
        cut = np.ldexp(np.floor(np.ldexp(np.maximum(b, 0), f)), -f)
        constant = np.where(w.any(1), np.nan, np.minimum(cut, _last(f, i)))
        constant = np.where(f + i > 0, constant, _last(f, i))
        a = a.relu(f=f).quantize(0, np.maximum(i, -f), f, "SAT")
    return a


def _last(f: Bits, i: Bits) -> Array:
    """The largest value of so many fraction and integer bits."""
    return np.ldexp(1.0, i) - np.ldexp(1.0, -f)


def _without_bits(f: Bits, i: Bits, width: Bits) -> Array:
    """What saturation makes of a value without any bits, a constant; NaN of others."""
    return np.where(width > 0, np.nan, _last(f, i))
