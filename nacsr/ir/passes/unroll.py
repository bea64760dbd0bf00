"""Unrolling: tensors to scalars, so that every value is a wire. The ports stay as they are.

Layers must be plain before (``LowerLayers``): what is left here are elementwise ops, dense,
reduce, argmax and wiring. Every scalar gets the fewest bits that its own interval needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, span
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.ops import FREE_TYPE
from nacsr.ir.passes.base import READ_BITS
from nacsr.ir.passes.matrix import DistributedArithmetic, Multiplier, total
from nacsr.ir.tensor import WIRING, sources

Scalars = NDArray[np.int64]
"""Indices of scalar values, in the shape of the tensor that they are."""

LAYERS = frozenset({"conv", "pool", "leaky_relu"})
BIT = Fixed(1, 1, False)


@dataclass(frozen=True, slots=True)
class Unroll:
    """Tensor ops to scalar ops.

    Attributes:
        multiplier: how products with constant matrices are made.
        limit: scalar ops allowed; a larger design is refused.
    """

    multiplier: Multiplier = field(default_factory=DistributedArithmetic)
    limit: int = 200_000
    name: str = "unroll"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``.

        Raises:
            GraphError: for a layer that is not plain yet, or more scalar ops than ``limit``.
        """
        return _Unrolling(self, graph).run()


class _Unrolling:
    def __init__(self, options: Unroll, graph: Graph) -> None:
        self.options, self.graph = options, graph
        self.builder = Builder()
        self.values: list[Scalars] = []

    def run(self) -> Graph:
        for index, op in enumerate(self.graph.ops):
            if op.name in LAYERS:
                msg = f"%{index} {op.name}: lower the layers before unrolling them"
                raise GraphError(msg)
            args = tuple(self.values[a] for a in op.args)
            self.values.append(self._op(op, args))
            if len(self.builder.ops) > self.options.limit:
                msg = (
                    f"%{index} {op.name}: the design has more than {self.options.limit} scalar "
                    "operations here; use hls4ml, or a smaller network"
                )
                raise GraphError(msg)
        for port, index in self.graph.outputs:
            self.builder.output(port, self._assembled(index))
        return self.builder.build(ports=True)

    def _op(self, op: Op, args: tuple[Scalars, ...]) -> Scalars:
        if op.name == "input":
            return self._input(op)
        if op.name == "const":
            words = op.array("value").ravel().tolist()
            made = [self.builder.const(w, span(w, w, op.type.frac)) for w in words]
            return np.array(made, dtype=np.int64).reshape(op.shape)
        if op.name in WIRING:
            return self._wires(op, args)
        if op.name in _SPECIAL:
            return _SPECIAL[op.name](self, op, args)
        flat = [np.broadcast_to(a, op.shape).ravel().tolist() for a in args]
        made = [self._element(op, parts) for parts in zip(*flat, strict=True)]
        return np.array(made, dtype=np.int64).reshape(op.shape)

    def _input(self, op: Op) -> Scalars:
        port = self.builder.input(str(op.attrs["name"]), op.type, op.shape)
        if not op.shape:
            return np.array(port)
        places = range(math.prod(op.shape))
        made = [self.builder.element(port, k) for k in places]
        return np.array(made, dtype=np.int64).reshape(op.shape)

    def _wires(self, op: Op, args: tuple[Scalars, ...]) -> Scalars:
        number, place = sources(op, [self.graph.ops[a] for a in op.args])
        made = np.empty(op.shape, dtype=np.int64)
        for k, arg in enumerate(args):
            mine = (number == k) & (place >= 0)
            made[mine] = arg.reshape(-1)[place[mine]]
        if (place < 0).any():
            made[place < 0] = self.builder.const(0, BIT)
        return made

    def _element(self, op: Op, parts: tuple[int, ...]) -> int:
        """An elementwise op on scalars, with its operands' bits as they were where bits count."""
        count = READ_BITS.get(op.name, 0)
        old = [self.graph.ops[a].type.plain() for a in op.args[:count]]
        bits = [self.builder.cast(p, t) for p, t in zip(parts, old, strict=False)]
        type_ = op.type if op.name in FREE_TYPE else None
        made = self.builder.op(
            op.name, *bits, *parts[len(bits) :], type=type_, shape=(), **op.attrs
        )
        return self.builder.narrow(made)

    def dense(self, op: Op, args: tuple[Scalars, ...]) -> Scalars:
        """One constant matrix product a row of the input."""
        rows = args[0].reshape(-1, args[0].shape[-1])
        made = [self._row(op, row.tolist()) for row in rows]
        return np.array(made, dtype=np.int64).reshape(op.shape)

    def _row(self, op: Op, xs: list[int]) -> list[int]:
        """Inputs of one value (padding) go to the bias, the others through the multiplier."""
        b, weight = self.builder, op.array("weight")
        live = [k for k, x in enumerate(xs) if b.ranges[x][0] != b.ranges[x][1]]
        sums = self.options.multiplier.products(b, [xs[k] for k in live], weight[live])
        scaled = [b.op("shift", s, n=-op.fixed("weight_type").frac) for s in sums]
        frac = op.type.frac
        bias = (op.array("bias").astype(object) << (frac - op.fixed("bias_type").frac)).tolist()
        for k in set(range(len(xs))) - set(live):
            word = b.ranges[xs[k]][0]
            up = frac - b.type(xs[k]).frac - op.fixed("weight_type").frac
            word = word << up if up >= 0 else word >> -up  # exact: it fits the tensor's type
            bias = [c + word * int(w) for c, w in zip(bias, weight[k], strict=True)]
        return [self._plus(s, c, frac) for s, c in zip(scaled, bias, strict=True)]

    def _plus(self, value: int, word: int, frac: int) -> int:
        if not word:
            return self.builder.narrow(value)
        zeros = (word & -word).bit_length() - 1
        word, frac = word >> zeros, frac - zeros
        constant = self.builder.const(word, span(word, word, frac))
        return self.builder.narrow(self.builder.op("add", value, constant))

    def reduce(self, op: Op, args: tuple[Scalars, ...]) -> Scalars:
        """A balanced tree an element."""
        kind = str(op.attrs["kind"])
        axis = op.integer("axis")
        lanes = np.moveaxis(args[0], axis, -1).reshape(-1, args[0].shape[axis])
        made = [self._fold(kind, lane.tolist()) for lane in lanes]
        return np.array(made, dtype=np.int64).reshape(op.shape)

    def _fold(self, kind: str, lane: list[int]) -> int:
        if kind == "sum":
            return total(self.builder, [(x, 1) for x in lane])
        while len(lane) > 1:
            pairs = range(0, len(lane) - 1, 2)
            made = [self.builder.op(kind, lane[k], lane[k + 1]) for k in pairs]
            lane = [self.builder.narrow(m) for m in made] + lane[len(lane) - len(lane) % 2 :]
        return lane[0]

    def argmax(self, op: Op, args: tuple[Scalars, ...]) -> Scalars:
        """A tree of comparisons; the earlier of equal maxima wins."""
        b = self.builder
        nodes = [(x, b.const(k, op.type)) for k, x in enumerate(args[0].tolist())]
        while len(nodes) > 1:
            made = [self._larger(*nodes[k : k + 2]) for k in range(0, len(nodes) - 1, 2)]
            nodes = made + nodes[len(nodes) - len(nodes) % 2 :]
        return np.array(nodes[0][1])

    def _larger(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        build = self.builder
        later = build.op("compare", b[0], a[0], kind="gt")
        value = build.narrow(build.op("max", a[0], b[0]))
        return value, build.narrow(build.op("select", later, b[1], a[1]))

    def _assembled(self, index: int) -> int:
        """The scalars of an output, joined to its port's type and shape."""
        op, b = self.graph.ops[index], self.builder
        port = op.type.plain()
        scalars = [b.cast(s, port) for s in self.values[index].ravel().tolist()]
        if not op.shape:
            return scalars[0]
        stacked = b.op("stack", *scalars)
        return stacked if len(op.shape) == 1 else b.op("reshape", stacked, to=list(op.shape))


_SPECIAL: Mapping[str, Callable[[_Unrolling, Op, tuple[Scalars, ...]], Scalars]] = {
    "dense": _Unrolling.dense,
    "reduce": _Unrolling.reduce,
    "argmax": _Unrolling.argmax,
}
