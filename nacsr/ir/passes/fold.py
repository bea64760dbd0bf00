"""Constant folding: what no input changes is computed now, in the fewest bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.ops import OPS
from nacsr.ir.passes.base import keep
from nacsr.ir.passes.values import exact, literal


@dataclass(frozen=True, slots=True)
class Fold:
    """Constants, functions of constants and values of a single word become constants.

    They are re-typed to the fewest bits: a constant is quantised before it is costed.
    """

    name: str = "fold"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``; applied twice it changes nothing more."""

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name == "input":
                return None
            if op.name == "const":
                return literal(b, op.array("value"), op.type.frac, op.type)
            made = keep(b, graph, op, args)
            found = _value(b, made)
            if found is None:
                return made
            return literal(b, found, b.type(made).frac, op.type)

        return exact(graph, rule)


def _value(b: Builder, index: int) -> NDArray[np.int64] | None:
    """The raw integers of a value that no input changes, None for any other."""
    op = b.ops[index]
    low, high = b.ranges[index]
    if low == high:
        return np.full(op.shape, low)
    found = [_known(b, a) for a in op.args]
    words = [w[None] for w in found if w is not None]
    if len(words) < len(found):
        return None
    return np.broadcast_to(_result(b, op, words), op.shape)


def _known(b: Builder, index: int) -> NDArray[np.int64] | None:
    """A constant, or one cast back to the bits that a table or a choice reads."""
    op = b.ops[index]
    if op.name == "const":
        return op.array("value")
    if op.name == "cast" and b.ops[op.args[0]].name == "const":
        return _result(b, op, [b.ops[op.args[0]].array("value")[None]])
    return None


def _result(b: Builder, op: Op, words: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = OPS[op.name].eval(op, [b.ops[a] for a in op.args], words)[0]
    return found
