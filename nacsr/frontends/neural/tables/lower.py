"""A table network into the IR: the compiler's fitted tables, and adders between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding, span
from nacsr.frontends.neural.goal import Units
from nacsr.frontends.neural.lanes import Lanes
from nacsr.frontends.neural.tables import model
from nacsr.frontends.neural.tables.model import Array
from nacsr.frontends.neural.tables.state import Layer, State
from nacsr.ir import Graph
from nacsr.ir.passes.matrix import total
from nacsr.luts import LutFunc
from nacsr.luts.uncentred import looked_up, moved


def lower(
    state: State,
    features: Sequence[Feature],
    scaling: Scaling,
    outputs: Sequence[str],
    units: Units | None = None,
) -> Graph:
    """The design from raw words to scores, one scalar port a feature that is used and an output.

    Args:
        state: the network.
        features: the words that arrive; those of a particle side by side.
        scaling: what standardises them.
        outputs: names of the output ports.
        units: of a regression's targets.

    Raises:
        GraphError: if no input reaches an output, or a value would need more than 63 bits.
    """
    lanes, size = Lanes(), len(state[0].live)
    ports = _words(lanes, features, scaling)
    particles = [ports[at : at + size] for at in range(0, len(ports), size)]
    for n, layer in enumerate(state):
        if layer.pool:
            values = lanes.pooled([[w.value for w in words] for words in particles], layer.pool)
            particles = [[_Word(value) for value in values]]
        particles = [_sums(lanes, n, layer, words) for words in particles]
    (scores,) = particles
    return lanes.graph(outputs, [word.value for word in scores], units)


@dataclass(frozen=True, slots=True)
class _Word:
    """What tables may read: a value of the graph, and what would have to be added to it."""

    value: int
    offset: Fraction = Fraction(0)


def _words(lanes: Lanes, features: Sequence[Feature], scaling: Scaling) -> list[_Word]:
    """The standardised words, not centred yet."""
    found = []
    for feature, offset, shift in zip(features, scaling.offsets, scaling.shifts, strict=True):
        port = lanes.builder.input(feature.name, feature.type.plain())
        away = Fraction(offset) * Fraction(feature.type.lsb) / Fraction(2) ** shift
        found.append(_Word(lanes.shift(port, -shift), -away))
    return found


def _sums(lanes: Lanes, n: int, layer: Layer, words: Sequence[_Word]) -> list[_Word]:
    """What a layer makes of the words of a particle; the bias stands in the first table."""
    table, found = model.entries(layer), []
    for j, constant in enumerate(model.bias(layer).tolist()):
        terms = []
        for i in np.flatnonzero(layer.live[:, j]).tolist():
            entries = table[i, layer.visited(i), j] + constant
            word = _Word(words[i].value, words[i].offset + Fraction(float(layer.away[i])))
            terms.append((_read(lanes, _fitted(f"t{n}_{i}_{j}", layer, i, j, entries), word), 1))
            constant = 0.0
        value = total(lanes.builder, terms) if terms else lanes.constant(constant)
        found.append(_Word(value))
    return found


def _fitted(name: str, layer: Layer, i: int, j: int, entries: Array) -> LutFunc:
    """A table as one of the compiler's."""
    steps, bits = int(layer.steps[j]), int(layer.bits[i])
    raw = np.ldexp(entries, steps).astype(np.int64)
    signed = bool(layer.signed[i])
    domain = Fixed(bits, int(layer.tops[i]) + 1, signed, Rounding.TRN, Overflow.SAT)
    value = span(int(raw.min()), int(raw.max()), steps)
    return LutFunc(name, "", domain, value, values=tuple(raw.tolist()))


def _read(lanes: Lanes, table: LutFunc, word: _Word) -> int:
    """A table of a word; what is below both its steps and those of the offset says nothing."""
    found = moved(lanes.builder, table, word.value, word.offset, more=0)
    if found is not None:
        return found
    whole = lanes.builder.type(word.value)
    frac = max(table.domain.frac, word.offset.denominator.bit_length() - 1)
    value = word.value
    if frac < whole.frac:
        width = max(whole.integer + frac, 1)
        value = lanes.builder.cast(value, Fixed(width, width - frac, whole.signed))
    return looked_up(lanes.builder, table, lanes.plus(value, float(word.offset)))
