"""A lean network into the IR: adders and wires between its ports, shared by da4ml's solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural.goal import Units
from nacsr.frontends.neural.lanes import Lanes
from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.kernels import FLOOR_BITS
from nacsr.frontends.neural.lean.state import KINDS, SUMS, Reals, Stack, State
from nacsr.ir import Graph
from nacsr.ir.passes.matrix import DistributedArithmetic


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
    lanes = Lanes()
    work = _Lowering(stack, state, lanes, features, scaling, DistributedArithmetic())
    return lanes.graph(outputs, work.scores(), units)


@dataclass(frozen=True, slots=True)
class _Lowering:
    stack: Stack
    state: State
    lanes: Lanes
    features: Sequence[Feature]
    scaling: Scaling
    multiplier: DistributedArithmetic

    def scores(self) -> list[int]:
        """Values of the outputs."""
        found = self._inputs()
        last = len(self.stack.inputs) - 1
        for layer in self.stack.layers:
            if self.stack.pools[layer]:
                found = [self._pooled(found, layer)]
            found = [self._layer(lane, layer, layer == last) for lane in found]
        (scores,) = found
        return scores

    def _inputs(self) -> list[list[int]]:
        """What the first layer reads, particle by particle."""
        size = int(self.stack.inputs[0])
        used = model.counts(self.stack, self.state, 0).sum(0).tolist()
        return [
            [
                self._input(begin + i, i) if used[i] else self.lanes.constant(0.0)
                for i in range(size)
            ]
            for begin in range(0, len(self.features), size)
        ]

    def _input(self, j: int, i: int) -> int:
        """A word, centred and rounded half up: half a step goes into the offset."""
        b, feature = self.lanes.builder, self.features[j]
        fraction, top = int(self.state.reads[i]), int(self.state.read_tops[i])
        shift, type_ = self.scaling.shifts[j], feature.type.plain()
        value = b.input(feature.name, type_)
        step = 2.0 ** (shift - fraction)
        half = step / 2 if step > type_.lsb else 0.0
        offset = float(type_.to_float(np.array(self.scaling.offsets[j])))
        value = self.lanes.shift(self.lanes.plus(value, half - offset), -shift)
        width = fraction + top + 1
        return b.cast(value, Fixed(width, top + 1, True, Rounding.TRN, Overflow.SAT))

    def _layer(self, xs: list[int], layer: int, last: bool) -> list[int]:
        """Sums of digits and a bias; then what is positive, cut off and saturated."""
        stack, state, b = self.stack, self.state, self.lanes.builder
        whole = np.ldexp(model.weights(stack, state, layer), FLOOR_BITS).astype(np.int64)
        live = [i for i, x in enumerate(xs) if b.ranges[x] != (0, 0)]
        sums = self.multiplier.products(b, [xs[i] for i in live], whole.T[live])
        shift, bias = -FLOOR_BITS, model.biases(stack, state, layer)
        pairs = zip(sums, bias.tolist(), strict=True)
        values = [self.lanes.plus(self.lanes.shift(value, shift), c) for value, c in pairs]
        if last:
            return values
        mine = stack.neurons(layer)
        values = [b.narrow(b.op("relu", value)) for value in values]
        return self._cut(values, state.values[mine], state.value_tops[mine])

    def _cut(self, values: Sequence[int], fractions: Reals, tops: Reals) -> list[int]:
        """Values that are not negative, cut off and saturated."""
        grids = zip(fractions.astype(int).tolist(), tops.astype(int).tolist(), strict=True)
        return [
            self.lanes.builder.cast(value, Fixed(f + top, top, False, Rounding.TRN, Overflow.SAT))
            if f + top > 0
            else self.lanes.constant(0.0)
            for value, (f, top) in zip(values, grids, strict=True)
        ]

    def _pooled(self, lanes: list[list[int]], layer: int) -> list[int]:
        kind, read = int(self.stack.pools[layer]), self.stack.read(layer)
        found = self.lanes.pooled(lanes, KINDS[kind])
        if kind not in SUMS:
            return found
        return self._cut(found, self.state.reads[read], self.state.read_tops[read])
