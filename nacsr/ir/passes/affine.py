"""Scales and offsets around a dense or conv layer become part of its weights and bias.

BatchNorm at inference is one product and one sum a channel. Folding is exact: weights and bias
stay integers, with as many bits as the products need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.csd import nonzero_digits
from nacsr.ir.passes.values import attempt, constant, exact, fewest_bits, lone

Exact = NDArray[Any]
"""Python integers: products of wide ones must not wrap before their width is known."""

LINEAR = frozenset({"dense", "conv"})
SCALES = frozenset({"mul", "shift", "neg"})
OFFSETS = frozenset({"add", "sub"})


@dataclass(frozen=True, slots=True)
class FoldAffine:
    """mul, add, sub, neg and shift by constants of a channel, before or after a layer.

    Attributes:
        always: fold scales even where the weights' nonzero digits become more than before,
            counting those of the scale: one multiplier saved, but every weight made wider.
    """

    always: bool = False
    name: str = "fold_affine"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``; folds until nothing more folds."""
        while True:
            made = self._once(graph)
            if len(made.ops) >= len(graph.ops):
                return made
            graph = made

    def _once(self, graph: Graph) -> Graph:
        single = lone(graph)

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name in LINEAR and op.args[0] in single:
                return self._before(b, op, args[0])
            if op.name in SCALES | OFFSETS:
                return self._after(b, op, args, single)
            return None

        return exact(graph, rule)

    def _after(
        self, b: Builder, op: Op, args: tuple[int, ...], single: frozenset[int]
    ) -> int | None:
        for place, (old, new) in enumerate(zip(op.args, args, strict=True)):
            layer = b.ops[new]
            if layer.name not in LINEAR or old not in single or layer.shape != op.shape:
                continue
            step = _affine(b, op, args, place)
            if step is None:
                return None
            linear = _Linear.of(layer)
            after = linear.scaled(step.scale, step.frac, -1).plus(step.offset, step.offset_frac)
            if self._pays(linear, after, step.each(op.shape[-1])):
                return attempt(after.build, b, layer.args[0])
        return None

    def _before(self, b: Builder, op: Op, arg: int) -> int | None:
        """Scales and offsets in front of a layer, as long as they fold."""
        inner, made = b.ops[arg], None
        if inner.name not in SCALES | OFFSETS:
            return None
        for place, x in enumerate(inner.args):
            step = _affine(b, inner, inner.args, place)
            if step is None or b.ops[x].shape != inner.shape:
                continue
            if step.offset.any() and op.name == "conv" and op.array("padding").any():
                continue  # the zeros around an image get no offset
            linear = _Linear.of(op)
            moved = linear.inputs_times(step.offset)
            after = linear.scaled(step.scale, step.frac, -2)
            after = after.plus(moved, step.offset_frac + linear.frac)
            if self._pays(linear, after, step.each(inner.shape[-1])):
                made = attempt(after.build, b, x)
            if made is not None:
                return made
        return None

    def _pays(self, before: _Linear, after: _Linear, scale: Exact) -> bool:
        return self.always or after.digits() <= before.digits() + _digits(scale)


@dataclass(frozen=True, slots=True)
class _Step:
    """x * scale * 2**-frac + offset * 2**-offset_frac, one constant a channel or one for all."""

    scale: Exact
    frac: int
    offset: Exact
    offset_frac: int

    @classmethod
    def of(cls, scale: Any, frac: int = 0, offset: Any = 0, offset_frac: int = 0) -> _Step:
        first, second = (np.asarray(n, dtype=object) for n in (scale, offset))
        return cls(first, frac, second, offset_frac)

    def each(self, channels: int) -> Exact:
        """The scale of every channel."""
        return np.broadcast_to(self.scale, (channels,))


@dataclass(frozen=True, slots=True)
class _Linear:
    """A layer's constants as integers of any size."""

    op: Op
    weight: Exact
    frac: int
    bias: Exact
    bias_frac: int

    @classmethod
    def of(cls, op: Op) -> _Linear:
        weight, bias = (op.array(n).astype(object) for n in ("weight", "bias"))
        return cls(op, weight, op.fixed("weight_type").frac, bias, op.fixed("bias_type").frac)

    def scaled(self, scale: Exact, frac: int, axis: int) -> _Linear:
        """Outputs (axis -1, with the bias) or inputs (axis -2) times ``scale * 2**-frac``."""
        if axis == -2:
            column = scale.reshape(-1, 1) if scale.ndim else scale
            return replace(self, weight=self.weight * column, frac=self.frac + frac)
        made = replace(self, weight=self.weight * scale, frac=self.frac + frac)
        return replace(made, bias=self.bias * scale, bias_frac=self.bias_frac + frac)

    def plus(self, offset: Exact, frac: int) -> _Linear:
        """The bias plus ``offset * 2**-frac``."""
        if not offset.any():
            return self
        grid = max(frac, self.bias_frac)
        total = (self.bias << (grid - self.bias_frac)) + (offset << (grid - frac))
        return replace(self, bias=total, bias_frac=grid)

    def inputs_times(self, value: Exact) -> Exact:
        """What a constant on the inputs adds to the outputs, on the weights' grid and its own."""
        column = value.reshape(-1, 1) if value.ndim else value
        rows = self.weight * column
        return np.asarray(rows.reshape(-1, rows.shape[-1]).sum(0))

    def digits(self) -> int:
        return _digits(self.weight)

    def build(self, b: Builder, x: int) -> int:
        weight, weight_type = fewest_bits(self.weight, self.frac)
        bias, bias_type = fewest_bits(self.bias, self.bias_frac)
        attrs: dict[str, Any] = dict(self.op.attrs)
        attrs |= {"weight": weight, "weight_type": weight_type}
        attrs |= {"bias": bias, "bias_type": bias_type}
        return b.op(self.op.name, x, **attrs)


def _digits(raw: Exact) -> int:
    """Nonzero signed digits in all; numbers beyond a word count as too many."""
    if max((abs(int(w)) for w in raw.ravel()), default=0) >= 1 << 62:
        return 1 << 62
    return int(nonzero_digits(raw.astype(np.int64)).sum())


def _affine(b: Builder, op: Op, args: tuple[int, ...], place: int) -> _Step | None:
    """What ``op`` does to its argument at ``place``; None where its partner is no constant."""
    if op.name == "shift":
        n = op.integer("n")
        return _Step.of(1 << max(n, 0), max(-n, 0))
    if op.name == "neg":
        return _Step.of(-1)
    partner = args[1 - place]
    c, frac = _channels(b, partner), b.type(partner).frac
    if c is None:
        return None
    if op.name == "mul":
        return _Step.of(c, frac)
    subtrahend = op.name == "sub" and place == 1
    return _Step.of(-1 if subtrahend else 1, 0, -c if (op.name, place) == ("sub", 0) else c, frac)


def _channels(b: Builder, index: int) -> Exact | None:
    """A constant that depends on the channel (last axis) at most: a vector or a scalar."""
    raw = constant(b, index)
    if raw is None:
        return None
    if not raw.ndim:
        return raw.astype(object)
    rows = raw.reshape(-1, raw.shape[-1])
    return rows[0].astype(object) if (rows == rows[0]).all() else None
