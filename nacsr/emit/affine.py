"""Chains of exact ops with constants as one product and one sum: ``x * scale + bias``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Raw, span
from nacsr.ir.graph import Graph, Op, Shape

Integers = NDArray[np.object_]
"""Python integers: their products cannot wrap."""


def operand(graph: Graph, index: int) -> int | None:
    """The value that an op scales or shifts by constants; None if it does neither."""
    op = graph.ops[index]
    if op.name in ("shift", "neg"):
        found = op.args[0]
    elif op.name in ("add", "sub", "mul"):
        values = [a for a in op.args if graph.ops[a].name != "const"]
        if len(values) != 1:
            return None
        found = values[0]
    else:
        return None
    repeats = graph.ops[found].shape != op.shape  # a constant may have more elements
    return None if repeats or graph.ops[found].name == "const" else found


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Integers and their number of fractional bits, which may be negative."""

    raw: Integers
    frac: int

    def times(self, other: Scaled) -> Scaled:
        return Scaled(self.raw * other.raw, self.frac + other.frac)

    def plus(self, other: Scaled) -> Scaled:
        frac = max(self.frac, other.frac)
        parts = [x.raw * (1 << (frac - x.frac)) for x in (self, other)]
        return Scaled(parts[0] + parts[1], frac)

    def constant(self) -> tuple[Raw, Fixed]:
        """Raw integers in the narrowest type.

        Raises:
            FixedError: if that needs more than 63 bits.
        """
        flat = [int(n) for n in self.raw.ravel()]
        low = min(((n & -n).bit_length() - 1 for n in flat if n), default=0)
        type_ = span(min(flat) >> low, max(flat) >> low, self.frac - low)
        return np.array([n >> low for n in flat], np.int64).reshape(self.raw.shape), type_


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``x * scale + bias``, element by element, of a tensor of ``shape``."""

    scale: Scaled
    bias: Scaled
    shape: Shape

    @classmethod
    def of(cls, graph: Graph, index: int, inner: Collection[int]) -> tuple[int, Affine]:
        """The value that a chain of ops starts at, and what the chain computes of it.

        Args:
            graph: the graph.
            index: last op of the chain.
            inner: ops that are only steps of a chain.
        """
        op, value = graph.ops[index], operand(graph, index)
        if value is None:
            msg = f"%{index} {op.name} has no constant"
            raise ValueError(msg)
        c = zero = Scaled(_integers(0), 0)
        start, before = value, cls(Scaled(_integers(1), 0), zero, op.shape or (1,))
        if value in inner:
            start, before = cls.of(graph, value, inner)
        for constant in (graph.ops[a] for a in op.args if a != value):
            c = Scaled(_integers(constant.array("value")), constant.type.frac)
        return start, STEPS[op.name](before, op, c, op.args[0] == value)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        whole = self.scale.frac >= 0 and np.equal(self.scale.raw, 1 << self.scale.frac).all()
        return bool(whole) and not np.any(self.bias.raw)

    def constants(self) -> tuple[tuple[Raw, Fixed], tuple[Raw, Fixed]]:
        """Scale and bias: one number a channel if that says it all, else one an element.

        Raises:
            FixedError: if a constant needs more than 63 bits.
        """
        parts = (self.scale, self.bias)
        found = [np.broadcast_to(x.raw, self.shape) for x in parts]
        rows = [x.reshape(-1, self.shape[-1]) for x in found]
        if all((r == r[0]).all() for r in rows):
            found = [r[0] for r in rows]
        scale, bias = (Scaled(r, x.frac).constant() for r, x in zip(found, parts, strict=True))
        return scale, bias

    def times(self, factor: Scaled) -> Affine:
        return Affine(self.scale.times(factor), self.bias.times(factor), self.shape)

    def plus(self, offset: Scaled) -> Affine:
        return Affine(self.scale, self.bias.plus(offset), self.shape)


Step = Callable[[Affine, Op, Scaled, bool], Affine]
"""(what the chain computes so far, op, its constant, whether the value is the left argument)"""


def _integers(raw: object) -> Integers:
    return np.array(raw, dtype=object)


def _minus(affine: Affine) -> Affine:
    return affine.times(Scaled(_integers(-1), 0))


def _sub(affine: Affine, op: Op, c: Scaled, left: bool) -> Affine:
    return affine.plus(Scaled(-c.raw, c.frac)) if left else _minus(affine).plus(c)


STEPS: Mapping[str, Step] = {
    "add": lambda affine, op, c, left: affine.plus(c),
    "sub": _sub,
    "mul": lambda affine, op, c, left: affine.times(c),
    "neg": lambda affine, op, c, left: _minus(affine),
    "shift": lambda affine, op, c, left: affine.times(Scaled(_integers(1), -op.integer("n"))),
}
