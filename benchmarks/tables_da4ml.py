"""A table network as logic of da4ml, bit for bit: its lookups, and adders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from da4ml_logic import Inputs, Logic

from nacsr.frontends.neural.tables import model
from nacsr.frontends.neural.tables.state import BASE, MIDDLE, Layer, State

if TYPE_CHECKING:
    from da4ml.trace import FixedVariableArray
    from da4ml.trace.fixed_variable import FixedVariable


def logic(state: State, kind: str) -> Logic:
    """The network's scores of an event.

    Args:
        state: settled, reads standardised words; its pools are sums.
        kind: one of ``da4ml_logic.KINDS``.
    """
    first = state[0]
    if not first.signed.all() or first.away.any():
        msg = "its words are not read as they are standardised"
        raise ValueError(msg)
    i, f = (np.tile(bits.astype(np.int64), first.copies) for bits in (first.tops, first.reads))
    return Logic.traced(Inputs(i, f, "TRN", kind), lambda inputs: _scores(state, inputs))


def _scores(state: State, a: FixedVariableArray) -> FixedVariableArray:
    from da4ml.trace import FixedVariableArray

    particles = [a[at : at + len(state[0].live)] for at in range(0, len(a), len(state[0].live))]
    for n, layer in enumerate(state):
        if layer.pool:
            particles = [np.sum(np.array([list(p) for p in particles]), axis=0)]
            particles = [FixedVariableArray(particles[0], None)]
        if n:
            i, f = layer.tops.astype(np.int64), layer.reads.astype(np.int64)
            particles = [p.quantize(np.ones_like(i), i, f, "SAT", "TRN") for p in particles]
        table, bias = model.entries(layer), model.bias(layer)
        particles = [_sums(p, layer, table, bias.tolist()) for p in particles]
    (found,) = particles
    return found


def _sums(
    a: FixedVariableArray, layer: Layer, table: model.Array, bias: list[float]
) -> FixedVariableArray:
    from da4ml.trace import FixedVariableArray

    sums = [_sum(a, layer, table[:, :, j], b, j) for j, b in enumerate(bias)]
    return FixedVariableArray(np.array(sums), None)


def _sum(
    a: FixedVariableArray, layer: Layer, table: np.ndarray, bias: float, j: int
) -> FixedVariable:
    """One sum of tables; the bias stands in the first."""
    from da4ml.trace import FixedVariableArray
    from da4ml.trace.fixed_variable import FixedVariable

    found = []
    for i in np.flatnonzero(layer.live[:, j]).tolist():
        word = a[i]
        low, high, step = float(word.low), float(word.high), float(word.step)
        places = MIDDLE + np.rint(np.arange(low, high + step / 2, step) * 2**BASE).astype(int)
        entries = table[i, places].astype(np.float64) + bias
        bias = 0.0
        if np.ptp(entries):
            found.append(word.lookup(entries))
        else:  # where the word before has fewer values than the table
            bias = float(entries[0])
    if not found:
        return FixedVariable.from_const(bias, hwconf=a[0].hwconf)
    value = np.sum(FixedVariableArray(np.array(found), None)) if len(found) > 1 else found[0]
    return value + bias if bias else value
