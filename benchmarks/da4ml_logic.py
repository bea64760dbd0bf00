"""Logic of da4ml (distributed arithmetic): its inputs, what it computes, and what it costs.

da4ml's cost is about LUTs. Its pipeline has registers every five levels of its latency, as that
of the anchor (neural.md): five levels are said to fit into 5 ns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from da4ml.trace import FixedVariableArray
    from da4ml.types import CombLogic

WORD = (1, 4, 6)
"""Sign, integer and fraction bits of a standardised word."""
CUTOFF = 5
"""Levels of da4ml's latency between two registers."""
KINDS = ("own inputs", "words")
"""Of logic: the inputs arrive in the network's own types, and whatever standardises them has done
it; or as words, which the logic cuts off and saturates.
"""

Array = NDArray[np.float64]
Bits = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Of a pipeline: da4ml's cost in LUTs, clock cycles, register bits."""

    luts: float
    cycles: int
    registers: int


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a network reads of every input.

    Attributes:
        integers, fractions: its bits, beside a sign.
        rounding: ``RND`` or ``TRN``.
        kind: one of ``KINDS``.
    """

    integers: Bits
    fractions: Bits
    rounding: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Logic:
    """Scores of an event from its inputs."""

    comb: CombLogic
    inputs: Inputs

    @classmethod
    def traced(
        cls, inputs: Inputs, network: Callable[[FixedVariableArray], FixedVariableArray]
    ) -> Logic:
        """What a function makes of the inputs as the network reads them."""
        from da4ml.trace import FixedVariableArray, HWConfig, comb_trace

        i, f = inputs.integers, inputs.fractions
        own = (np.ones_like(i), i, np.maximum(f, -i))
        word = tuple(np.full_like(i, bits) for bits in WORD)
        arriving = own if inputs.kind == "own inputs" else word
        given = FixedVariableArray.from_kif(*arriving, HWConfig(1, -1, -1), 0, {"hard_dc": 2})
        read = given.quantize(*own, "SAT", inputs.rounding)
        return cls(comb_trace(given, network(read)), inputs)

    def predicted(self, x: Array) -> Array:
        """Scores of words by da4ml's interpreter, shape (events, outputs)."""
        from da4ml.trace.ops import quantize

        if self.inputs.kind == "own inputs":
            i, f = self.inputs.integers, self.inputs.fractions
            x = quantize(x, 1, i, np.maximum(f, -i), "SAT", self.inputs.rounding)
        found: Array = self.comb.predict(np.ascontiguousarray(x), n_threads=1)
        return found

    @property
    def hardware(self) -> Hardware:
        """What a pipeline of it needs."""
        from da4ml.trace import to_pipeline

        pipeline = to_pipeline(self.comb, CUTOFF, verbose=False)
        return Hardware(self.comb.cost, len(pipeline[0]), int(pipeline.reg_bits))
