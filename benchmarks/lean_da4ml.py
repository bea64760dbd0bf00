"""A lean perceptron as logic of da4ml (distributed arithmetic), bit for bit, and what it costs.

da4ml's cost is about LUTs. Its pipeline has registers every five levels of its latency, as that
of the anchor (neural.md): five levels are said to fit into 5 ns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.state import Stack, State

if TYPE_CHECKING:
    from da4ml.trace import FixedVariableArray
    from da4ml.types import CombLogic

WORD = (1, 4, 6)
"""Sign, integer and fraction bits of a standardised word."""
CUTOFF = 5
"""Levels of da4ml's latency between two registers."""

Array = NDArray[np.float64]
Bits = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a network the logic does.

    Attributes:
        words: round and saturate the words; else the inputs arrive in the network's own types,
            and whatever standardises them has done it.
        saturates: values saturate, as they do in the network; else they wrap, which is another
            function, and a cheaper one.
    """

    words: bool
    saturates: bool


KINDS = {
    "own inputs": Kind(words=False, saturates=True),
    "words": Kind(words=True, saturates=True),
    "wrapped": Kind(words=False, saturates=False),
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """Of a pipeline: da4ml's cost in LUTs, clock cycles, register bits."""

    luts: float
    cycles: int
    registers: int


def logic(stack: Stack, state: State, kind: Kind) -> CombLogic:
    """The network's scores of an event.

    Args:
        stack, state: of a perceptron.
        kind: what of it.
    """
    from da4ml.trace import FixedVariableArray, HWConfig, comb_trace

    f, i = _input_bits(stack, state)
    own = (np.ones_like(i), i, np.maximum(f, -i))
    word = tuple(np.full_like(i, bits) for bits in WORD)
    inputs = FixedVariableArray.from_kif(
        *(word if kind.words else own), HWConfig(1, -1, -1), 0, {"hard_dc": 2}
    )
    a = inputs.quantize(*own, "SAT", "RND")
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
        a = _rectified(a, f, i, kind.saturates)
    return comb_trace(inputs, a)


def arriving(stack: Stack, state: State, x: Array) -> Array:
    """Words as inputs of the network's own types, shape (events, features)."""
    from da4ml.trace.ops import quantize

    f, i = _input_bits(stack, state)
    found: Array = quantize(x, 1, i, np.maximum(f, -i), "SAT", "RND")
    return found


def predicted(made: CombLogic, stack: Stack, state: State, x: Array, kind: Kind) -> Array:
    """Scores of words by da4ml's interpreter of its logic, shape (events, outputs)."""
    shown = x if kind.words else arriving(stack, state, x)
    found: Array = made.predict(np.ascontiguousarray(shown), n_threads=1)
    return found


def hardware(made: CombLogic) -> Hardware:
    """What a pipeline of it needs."""
    from da4ml.trace import to_pipeline

    pipeline = to_pipeline(made, CUTOFF, verbose=False)
    return Hardware(made.cost, len(pipeline[0]), int(pipeline.reg_bits))


def _input_bits(stack: Stack, state: State) -> tuple[Bits, Bits]:
    at = stack.read(0)
    return state.reads[at].astype(np.int64), state.read_tops[at].astype(np.int64)


def _last(f: Bits, i: Bits) -> Array:
    """The largest value of so many fraction and integer bits."""
    return np.ldexp(1.0, i) - np.ldexp(1.0, -f)


def _without_bits(f: Bits, i: Bits, width: Bits) -> Array:
    """What saturation makes of a value without any bits, a constant; NaN of others."""
    return np.where(width > 0, np.nan, _last(f, i))


def _rectified(a: FixedVariableArray, f: Bits, i: Bits, saturates: bool) -> FixedVariableArray:
    """ReLUs cut off below their fraction bits, saturated or wrapped above their integer bits."""
    i = np.maximum(i, -f)
    return a.relu(f=f).quantize(0, i, f, "SAT") if saturates else a.relu(i=i, f=f)
