"""Products with constants as shifts and additions: canonical signed digits, no multiplier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import span
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.matrix import csd, total
from nacsr.ir.passes.values import attempt, constant, exact, scaled, spread


@dataclass(frozen=True, slots=True)
class ConstMul:
    """x times a constant of few digits becomes additions of shifted x.

    Attributes:
        limit: nonzero digits up to which additions are cheaper than a multiplier.
        always: take any number of digits, for hardware without multipliers.
    """

    limit: int = 3
    always: bool = False
    name: str = "const_mul"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``."""

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name != "mul":
                return None
            for x, c in (args, args[::-1]):
                raw = constant(b, c)
                if raw is not None and constant(b, x) is None and self._takes(raw):
                    frac = b.type(c).frac
                    return attempt(_product, b, x, raw, frac)
            return None

        return exact(graph, rule)

    def _takes(self, raw: NDArray[np.int64]) -> bool:
        return self.always or int(nonzero_digits(raw).max(initial=0)) <= self.limit


def nonzero_digits(raw: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nonzero canonical signed digits of integers, elementwise.

    They sit where ``3n`` and ``n`` differ (Reitwiesner 1960).

    >>> nonzero_digits(np.array([0, 1, -8, 7, 5, 11])).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    n = np.abs(raw).astype(np.uint64)
    half, triple = n >> np.uint64(1), n + (n >> np.uint64(1))
    digits: NDArray[np.int64] = np.bitwise_count(half ^ triple).astype(np.int64)
    return digits


def _product(b: Builder, x: int, raw: NDArray[np.int64], frac: int) -> int:
    """``x * raw * 2**-frac``; a tensor of different constants goes element by element."""
    words = np.unique(raw)
    if words.size == 1:
        made = _times(b, x, int(words[0]), frac)
        return made if b.ops[x].shape else spread(b, made, raw.shape)
    parts = [
        _times(b, b.element(x, place), word, frac)
        for place, word in enumerate(raw.ravel().tolist())
    ]
    stacked = b.op("stack", *parts)
    return stacked if raw.ndim == 1 else b.op("reshape", stacked, to=list(raw.shape))


def _times(b: Builder, x: int, word: int, frac: int) -> int:
    """One constant times ``x``, in the bits that the product needs.

    The interval of a sum takes its terms for independent, so it says one bit too many.
    """
    terms = [(scaled(b, x, power - frac), digit) for power, digit in csd(word)]
    made = total(b, terms)
    low, high = sorted(word * end for end in b.ranges[x])
    if not word:
        return made
    zeros = (word & -word).bit_length() - 1
    frac += b.type(x).frac
    return b.cast(made, span(low >> zeros, high >> zeros, frac - zeros))
