"""Scalar graphs of networks that have no multipliers: sums, shifts and pools between ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, span
from nacsr.frontends.neural.goal import Units
from nacsr.frontends.neural.pools import mean_shift
from nacsr.ir import Builder, Graph, verify
from nacsr.ir.passes.matrix import total

ZERO = Fixed(1, 1, False)


@dataclass(frozen=True, slots=True)
class Lanes:
    """Appends to a builder; a lane is the values of a particle, or of the one that there is."""

    builder: Builder = field(default_factory=Builder)

    def shift(self, value: int, n: int) -> int:
        """A value times two to the power of ``n``."""
        return self.builder.op("shift", value, n=n) if n else value

    def plus(self, value: int, constant: float) -> int:
        """A sum with a constant, which is a whole number of some power of two."""
        if not constant:
            return value
        return self.builder.narrow(self.builder.op("add", value, self.constant(constant)))

    def constant(self, value: float) -> int:
        """A number in the fewest bits."""
        if not value:
            return self.builder.const(0, ZERO)
        mantissa, power = float(value).as_integer_ratio()
        frac = power.bit_length() - 1
        zeros = (mantissa & -mantissa).bit_length() - 1 if frac == 0 else 0
        word = mantissa >> zeros
        return self.builder.const(word, span(word, word, frac - zeros))

    def pooled(self, lanes: Sequence[Sequence[int]], kind: str) -> list[int]:
        """One lane of many."""
        columns = [list(column) for column in zip(*lanes, strict=True)]
        if kind == "max":
            return [self._largest(column) for column in columns]
        shift = -mean_shift(len(lanes)) if kind == "mean" else 0
        sums = [total(self.builder, [(x, 1) for x in column]) for column in columns]
        return [self.shift(value, shift) for value in sums]

    def _largest(self, column: list[int]) -> int:
        while len(column) > 1:
            pairs = range(0, len(column) - 1, 2)
            made = [self.builder.op("max", column[k], column[k + 1]) for k in pairs]
            column = made + column[len(column) - len(column) % 2 :]
        return column[0]

    def graph(self, outputs: Sequence[str], scores: Sequence[int], units: Units | None) -> Graph:
        """The graph of these outputs, in the units of a regression's targets.

        Raises:
            GraphError: if no input reaches an output, or a value would need more than 63 bits.
        """
        values = list(scores)
        if units is not None:
            pairs = zip(values, units.centre, strict=True)
            values = [self.plus(self.shift(value, units.shift), centre) for value, centre in pairs]
        for name, value in zip(outputs, values, strict=True):
            self.builder.output(name, value)
        made = self.builder.build()
        if not made.inputs:
            msg = "nothing is left of the network: no input reaches an output"
            raise GraphError(msg)
        return verify(made)
