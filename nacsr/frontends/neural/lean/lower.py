"""A lean network into the IR: adders and wires between its ports, shared by da4ml's solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Rounding, span
from nacsr.frontends.neural.goal import Units
from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.kernels import FLOOR_BITS
from nacsr.frontends.neural.lean.state import POOLS, Reals, Stack, State
from nacsr.ir import Builder, Graph, verify
from nacsr.ir.passes.matrix import DistributedArithmetic, total

ZERO = Fixed(1, 1, False)


def lower(
    stack: Stack,
    state: State,
    features: Sequence[Feature],
    scaling: Scaling,
    outputs: Sequence[str],
    units: Units | None = None,
) -> Graph:
    """The design from raw words to scores, one scalar port a feature that is used and an output.

    Args:
        stack, state: the network.
        features: the words that arrive; those of a particle side by side.
        scaling: what standardises them.
        outputs: names of the output ports.
        units: of a regression's targets.

    Raises:
        GraphError: if no input reaches an output, or a value would need more than 63 bits.
    """
    work = _Lowering(stack, state, Builder(), features, scaling)
    for name, value in zip(outputs, work.scores(units), strict=True):
        work.builder.output(name, value)
    graph = work.builder.build()
    if not graph.inputs:
        msg = "nothing is left of the network: no input reaches an output"
        raise GraphError(msg)
    return verify(graph)


@dataclass(slots=True)
class _Lowering:
    stack: Stack
    state: State
    builder: Builder
    features: Sequence[Feature]
    scaling: Scaling
    multiplier: DistributedArithmetic

    def __init__(
        self,
        stack: Stack,
        state: State,
        builder: Builder,
        features: Sequence[Feature],
        scaling: Scaling,
    ) -> None:
        self.stack, self.state, self.builder = stack, state, builder
        self.features, self.scaling = features, scaling
        self.multiplier = DistributedArithmetic()

    def scores(self, units: Units | None) -> list[int]:
        """Values of the outputs."""
        lanes = self._inputs()
        last = len(self.stack.inputs) - 1
        for layer in self.stack.layers:
            if self.stack.pools[layer]:
                lanes = [self._pooled(lanes, layer)]
            lanes = [self._layer(lane, layer, layer == last) for lane in lanes]
        (found,) = lanes
        if units is None:
            return found
        return [
            self._plus(self._shift(value, units.shift), centre)
            for value, centre in zip(found, units.centre, strict=True)
        ]

    def _inputs(self) -> list[list[int]]:
        """What the first layer reads, particle by particle."""
        size = int(self.stack.inputs[0])
        used = model.counts(self.stack, self.state, 0).sum(0)
        return [
            [self._input(begin + i, i) if used[i] else self._zero() for i in range(size)]
            for begin in range(0, len(self.features), size)
        ]

    def _input(self, j: int, i: int) -> int:
        """A word, centred and rounded half up: half a step goes into the offset."""
        b, feature = self.builder, self.features[j]
        fraction, top = int(self.state.reads[i]), int(self.state.read_tops[i])
        shift, type_ = self.scaling.shifts[j], feature.type.plain()
        value = b.input(feature.name, type_)
        step = 2.0 ** (shift - fraction)
        half = step / 2 if step > type_.lsb else 0.0
        offset = float(type_.to_float(np.array(self.scaling.offsets[j])))
        value = self._shift(self._plus(value, half - offset), -shift)
        width = fraction + top + 1
        return b.cast(value, Fixed(width, top + 1, True, Rounding.TRN, Overflow.SAT))

    def _layer(self, xs: list[int], layer: int, last: bool) -> list[int]:
        """Sums of digits and a bias; then what is positive, cut off and saturated."""
        stack, state, b = self.stack, self.state, self.builder
        whole = np.ldexp(model.weights(stack, state, layer), FLOOR_BITS).astype(np.int64)
        live = [i for i, x in enumerate(xs) if b.ranges[x] != (0, 0)]
        sums = self.multiplier.products(b, [xs[i] for i in live], whole.T[live])
        shift, bias = -FLOOR_BITS, model.biases(stack, state, layer)
        pairs = zip(sums, bias.tolist(), strict=True)
        values = [self._plus(self._shift(value, shift), c) for value, c in pairs]
        if last:
            return values
        mine = stack.neurons(layer)
        values = [b.narrow(b.op("relu", value)) for value in values]
        return self._cut(values, state.values[mine], state.value_tops[mine])

    def _cut(self, values: Sequence[int], fractions: Reals, tops: Reals) -> list[int]:
        """Values that are not negative, cut off and saturated."""
        grids = zip(fractions.astype(int).tolist(), tops.astype(int).tolist(), strict=True)
        return [
            self.builder.cast(value, Fixed(f + top, top, False, Rounding.TRN, Overflow.SAT))
            if f + top > 0
            else self._zero()
            for value, (f, top) in zip(values, grids, strict=True)
        ]

    def _pooled(self, lanes: list[list[int]], layer: int) -> list[int]:
        kind, read = int(self.stack.pools[layer]), self.stack.read(layer)
        columns = [list(column) for column in zip(*lanes, strict=True)]
        if kind == POOLS["max"]:
            return [self._largest(column) for column in columns]
        shift = -model.mean_shift(len(lanes)) if kind == POOLS["mean"] else 0
        sums = [self._shift(total(self.builder, [(x, 1) for x in c]), shift) for c in columns]
        return self._cut(sums, self.state.reads[read], self.state.read_tops[read])

    def _largest(self, column: list[int]) -> int:
        while len(column) > 1:
            pairs = range(0, len(column) - 1, 2)
            made = [self.builder.op("max", column[k], column[k + 1]) for k in pairs]
            column = made + column[len(column) - len(column) % 2 :]
        return column[0]

    def _shift(self, value: int, n: int) -> int:
        return self.builder.op("shift", value, n=n) if n else value

    def _plus(self, value: int, constant: float) -> int:
        """A sum with a constant, which is a whole number of some power of two."""
        if not constant:
            return value
        mantissa, power = float(constant).as_integer_ratio()
        frac = power.bit_length() - 1
        zeros = (mantissa & -mantissa).bit_length() - 1 if frac == 0 else 0
        word = mantissa >> zeros
        made = self.builder.const(word, span(word, word, frac - zeros))
        return self.builder.narrow(self.builder.op("add", value, made))

    def _zero(self) -> int:
        return self.builder.const(0, ZERO)
