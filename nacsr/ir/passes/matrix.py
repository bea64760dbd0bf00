"""Products with a constant matrix as additions and shifts of the IR.

``DistributedArithmetic`` asks da4ml's solver for the adders (Sun et al., "da4ml: Distributed
Arithmetic for Real-time Neural Networks on FPGAs"), which shares partial sums between outputs.
What comes back is replayed as ops of ours, so the interpreter can check it like any other
graph. ``AdderTree`` needs nothing: canonical signed digits, added as a balanced tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.ir.build import Builder

Weights = NDArray[np.int64]

SOLVER_BITS = 24
"""da4ml keeps weights in float32: beyond this many bits they would be rounded."""


class Multiplier(Protocol):
    """A way to multiply scalars with a constant matrix."""

    def products(self, builder: Builder, xs: Sequence[int], weights: Weights) -> list[int]:
        """Values ``sum_i xs[i] * weights[i, j]`` for every ``j``; weights are integers."""
        ...


def csd(value: int) -> list[tuple[int, int]]:
    """Canonical signed digits of an integer: (power of two, +1 or -1), lowest power first.

    >>> csd(7), csd(-6)
    ([(0, -1), (3, 1)], [(1, 1), (3, -1)])
    """
    digits, power = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)  # 1 or -1, so that the next digit is zero
            digits.append((power, digit))
            value -= digit
        value >>= 1
        power += 1
    return digits


def total(builder: Builder, terms: Sequence[tuple[int, int]]) -> int:
    """The sum of (value, +1 or -1) as a balanced tree, narrowest terms first."""
    if not terms:
        return builder.const(0, Fixed(1, 1, False))
    level = sorted(terms, key=lambda t: (builder.type(t[0]).width, t[0]))
    while len(level) > 1:
        merged = [_pair(builder, *level[k : k + 2]) for k in range(0, len(level) - 1, 2)]
        level = merged + level[len(level) - len(level) % 2 :]
    value, sign = level[0]
    return builder.narrow(value if sign > 0 else builder.op("neg", value))


def _pair(builder: Builder, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Two signed terms as one; only the sum of two negative ones keeps a sign."""
    if a[1] == b[1]:
        return builder.narrow(builder.op("add", a[0], b[0])), a[1]
    plus, minus = (a, b) if a[1] > 0 else (b, a)
    return builder.narrow(builder.op("sub", plus[0], minus[0])), 1


@dataclass(frozen=True, slots=True)
class AdderTree:
    """Canonical signed digits of every weight, added as one balanced tree an output."""

    def products(self, builder: Builder, xs: Sequence[int], weights: Weights) -> list[int]:
        """See ``Multiplier``."""
        return [total(builder, _digits(builder, xs, column)) for column in weights.T.tolist()]


def _digits(builder: Builder, xs: Sequence[int], column: Sequence[int]) -> list[tuple[int, int]]:
    return [
        (_shifted(builder, x, power), digit)
        for x, weight in zip(xs, column, strict=True)
        for power, digit in csd(weight)
    ]


def _shifted(builder: Builder, value: int, power: int) -> int:
    return builder.op("shift", value, n=power) if power else value


@dataclass(frozen=True, slots=True)
class DistributedArithmetic:
    """Shared shift-adds from da4ml's solver; wide weights fall back to adder trees.

    Attributes:
        delay: adder levels that an output may have beyond the fewest possible; -1 for any.
        solved: solutions so far: the kernel of a convolution is solved once for all places.
    """

    delay: int = 2
    solved: dict[tuple[object, ...], Any] = field(default_factory=dict, compare=False, repr=False)

    def products(self, builder: Builder, xs: Sequence[int], weights: Weights) -> list[int]:
        """See ``Multiplier``."""
        if not weights.size or not weights.any():
            return AdderTree().products(builder, xs, weights)
        if int(np.abs(weights).max()).bit_length() > SOLVER_BITS:
            return AdderTree().products(builder, xs, weights)
        values = list(xs)
        for stage in self._solve(builder, xs, weights).solutions:
            values = _replay(builder, stage, values)
        return values

    def _solve(self, builder: Builder, xs: Sequence[int], weights: Weights) -> Any:
        from da4ml.cmvm import solve

        intervals = []
        for x in xs:
            low, high = builder.ranges[x]
            step = builder.type(x).lsb
            intervals.append((low * step, high * step, step))
        key = (weights.tobytes(), weights.shape, tuple(intervals))
        if key not in self.solved:
            kernel = weights.astype(np.float32)
            self.solved[key] = solve(
                kernel, hard_dc=self.delay, qintervals=intervals, adder_size=1, carry_size=-1
            )
        return self.solved[key]


def _replay(builder: Builder, stage: Any, inputs: Sequence[int]) -> list[int]:
    """One stage of a solution: inputs and a list of additions, see ``da4ml.types.CombLogic``."""
    values: list[int] = []
    for op in stage.ops:
        if op.opcode == -1:
            values.append(_shifted(builder, inputs[op.id0], int(stage.inp_shifts[op.id0])))
            continue
        if op.opcode not in (0, 1):
            msg = f"da4ml returned operation {op.opcode} for a matrix; install da4ml 0.6"
            raise GraphError(msg)
        right = _shifted(builder, values[op.id1], int(op.data))
        sum_ = builder.op("sub" if op.opcode else "add", values[op.id0], right)
        values.append(builder.narrow(sum_))
    outputs = []
    places = zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True)
    for index, shift, negative in places:
        if index < 0:
            outputs.append(builder.const(0, Fixed(1, 1, False)))
            continue
        value = _shifted(builder, values[index], int(shift))
        outputs.append(builder.narrow(builder.op("neg", value)) if negative else value)
    return outputs
