"""Networks as layers: the IR patterns that hls4ml can express exactly.

A layer is one op and, where the next op is a ``cast`` of its result, that cast too: the
types of all layers are the types of the graph, so nothing is left for a back end to choose.
Chains of exact ops with constants, such as the stem ``(x - offset) * 2**k`` or the division
of a sum by a count, are one ``affine`` layer. Sums over windows and axes are ``sum`` layers,
which multiply by one; there is no average to round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nacsr.emit.affine import Affine, operand
from nacsr.emit.network import MERGES, Constant, Layer, Network, Window
from nacsr.errors import EmitError, FixedError
from nacsr.fixed import Fixed, Rounding, hull
from nacsr.ir.graph import Graph, Op, Shape

EXACT_BITS = 53
"""Constants go through float64 text, which is exact up to this width."""
JOINS = frozenset({"concat", "stack"})
"""Ops that put values side by side."""
RANKS = range(1, 4)
"""Axes of what layers carry: (features,), (length, channels), (height, width, channels)."""


def to_network(graph: Graph) -> Network:
    """Read a graph as layers.

    Raises:
        EmitError: naming the first op that is no layer, and the back ends that can express it.
    """
    return _Matcher(graph).network()


class _Matcher:
    """Values of the graph become layers, in order; a reshape is made where it is read."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.needed = _needed(graph)
        self.readers = [[r for r in readers if r in self.needed] for readers in graph.users()]
        self.results = {i for _, i in graph.outputs}
        self.inner = {i for i in range(len(graph.ops)) if self._is_inner(i)}
        self.layers: list[Layer] = []
        self.made: dict[int, Layer] = {}  # value -> the layer whose elements it has
        self.reshaped: dict[tuple[str, Shape], Layer] = {}
        self.makers: Mapping[str, Callable[[int, Op], Layer]] = {
            "input": self._input,
            "cast": self._cast,
            "relu": self._elementwise,
            "leaky_relu": self._leaky_relu,
            "lut": self._lut,
            "dense": self._dense,
            "conv": self._conv,
            "pool": self._pool,
            "reduce": self._reduce,
            "reshape": self._reshape,
            "take": self._take,
            "concat": self._concat,
            "stack": self._concat,
        }

    def network(self) -> Network:
        for index, op in enumerate(self.graph.ops):
            if index in self.needed and op.name != "const" and index not in self.inner:
                self.made[index] = self._layer(index, op)
        return Network(tuple(self.layers), self._outputs())

    def _outputs(self) -> tuple[tuple[str, str], ...]:
        """Ports and layers; hls4ml wants them distinct and computed."""
        ports: dict[str, str] = {}
        for port, index in self.graph.outputs:
            layer = self.made.get(index)
            if layer is None or layer.kind == "input":
                raise self._refusal(index, f"output {port!r} is no result of a layer")
            if layer.name in ports:
                msg = f"outputs {ports[layer.name]!r} and {port!r} are one value"
                raise self._refusal(index, msg)
            ports[layer.name] = port
        return tuple((port, name) for name, port in ports.items())

    def _layer(self, index: int, op: Op) -> Layer:
        """The layer that computes a value: a new one, or the one that a cast ends."""
        if operand(self.graph, index) is not None:
            return self._affine(index, op)
        if op.name in MERGES:
            return self._merge(index, op)
        if op.name not in self.makers:
            known = sorted({*self.makers, *MERGES} - {"take"})
            raise self._refusal(index, f"is no layer ({', '.join(known)})")
        return self.makers[op.name](index, op)

    # --- ops on single elements ---------------------------------------------------------

    def _input(self, index: int, op: Op) -> Layer:
        if self.layers:
            raise self._refusal(index, "is a second input")
        self._check_rank(index, _shape(op))
        self.layers.append(Layer("words", "input", (), _shape(op), op.type, op.type.plain()))
        return self.layers[0]

    def _cast(self, index: int, op: Op) -> Layer:
        before = self._source(index, op.args[0])
        if self._fused(op.args[0]) or before.type == op.type:
            return before
        return self._elementwise(index, op)

    def _elementwise(self, index: int, op: Op, **constants: Constant) -> Layer:
        return self._add(index, op.name, (self._read(index),), constants=constants)

    def _leaky_relu(self, index: int, op: Op) -> Layer:
        slope = Constant(np.array(1), Fixed(1, 1 - op.integer("n"), False))
        return self._elementwise(index, op, param=slope)

    def _lut(self, index: int, op: Op) -> Layer:
        return self._elementwise(index, op, table=Constant(op.array("table"), op.type.plain()))

    def _affine(self, index: int, op: Op) -> Layer:
        source, form = Affine.of(self.graph, index, self.inner)
        before = self._source(index, source)
        if form.is_identity:  # hls4ml drops a layer that changes nothing
            if before.type == self._type(index):
                return before
            return self._add(index, "cast", (self._at(before, _shape(op)),))
        try:
            scale, bias = (Constant(*c) for c in form.constants())
        except FixedError as error:
            raise self._refusal(index, str(error)) from None
        layer = self._at(before, _shape(op))
        return self._add(index, "affine", (layer,), constants={"scale": scale, "bias": bias})

    def _merge(self, index: int, op: Op) -> Layer:
        a, b = (self._read(index, k) for k in range(2))
        if a.shape != b.shape:
            msg = f"joins shapes {list(a.shape)} and {list(b.shape)}, which hls4ml does not repeat"
            raise self._refusal(index, msg)
        return self._add(index, op.name, (a, b))

    # --- layers with weights and windows ------------------------------------------------

    def _dense(self, index: int, op: Op) -> Layer:
        """On a vector, or as a convolution of single elements along the leading axes."""
        x, constants = self._read(index), self._parameters(op)
        if len(x.shape) == 1:
            return self._add(index, "dense", (x,), constants=constants)
        self._check_rank(index, x.shape)
        rank = len(x.shape) - 1
        weight = constants["weight"]
        kernel = weight.raw.reshape(*(1,) * rank, *weight.raw.shape)
        constants["weight"] = Constant(kernel, weight.type)
        window = Window((1,) * rank, (1,) * rank, ((0, 0),) * rank)
        return self._add(index, "conv", (x,), constants=constants, window=window)

    def _conv(self, index: int, op: Op) -> Layer:
        before, after = op.array("padding").T.tolist()
        window = Window(
            op.array("weight").shape[:-2],
            tuple(op.array("stride").tolist()),
            tuple(zip(before, after, strict=True)),
        )
        constants = self._parameters(op)
        return self._add(index, "conv", (self._read(index),), constants=constants, window=window)

    def _parameters(self, op: Op) -> dict[str, Constant]:
        return {n: Constant(op.array(n), op.fixed(f"{n}_type")) for n in ("weight", "bias")}

    def _pool(self, index: int, op: Op) -> Layer:
        size = tuple(op.array("window").tolist())
        window = Window(size, tuple(op.array("stride").tolist()), ((0, 0),) * len(size))
        return self._windows(index, str(op.attrs["kind"]), self._read(index), window, _shape(op))

    def _reduce(self, index: int, op: Op) -> Layer:
        """One axis as one window over (leading axes, axis, rest)."""
        kind, axis = str(op.attrs["kind"]), op.integer("axis")
        shape = _shape(self.graph.ops[op.args[0]])
        if kind == "min":
            raise self._refusal(index, "takes a minimum over an axis")
        lead, rest = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        outer, size = ((), (shape[axis],)) if lead == 1 else ((lead,), (1, shape[axis]))
        seen = self._at(self._source(index, op.args[0]), (*outer, shape[axis], rest))
        window = Window(size, size, ((0, 0),) * len(size))
        return self._windows(index, kind, seen, window, (*outer, 1, rest))

    def _windows(self, index: int, kind: str, x: Layer, window: Window, shape: Shape) -> Layer:
        """The sum or the maximum of every window, channel by channel."""
        if kind == "max":
            return self._add(index, "maxpool", (x,), window=window, shape=shape)
        bit, channels = Fixed(1, 1, False), x.shape[-1]
        constants = {
            "weight": Constant(np.ones((*window.size, channels, 1), np.int64), bit),
            "bias": Constant(np.zeros(channels, np.int64), bit),
        }
        return self._add(index, "sum", (x,), constants=constants, window=window, shape=shape)

    # --- wiring -------------------------------------------------------------------------

    def _reshape(self, index: int, op: Op) -> Layer:
        return self._source(index, op.args[0])

    def _take(self, index: int, op: Op) -> Layer:
        """A take of all elements in order is a reshape."""
        count = math.prod(self.graph.ops[op.args[0]].shape)
        if not np.array_equal(op.array("index").ravel(), np.arange(count)):
            raise self._refusal(index, "moves elements")
        return self._source(index, op.args[0])

    def _concat(self, index: int, op: Op) -> Layer:
        """Two at a time; all but the last keep every bit."""
        axis = op.integer("axis") if op.name == "concat" else 0
        joined = self._read(index)
        for k in range(1, len(op.args)):
            other = self._read(index, k)
            size, last = joined.shape[axis] + other.shape[axis], k == len(op.args) - 1
            shape = (*joined.shape[:axis], size, *joined.shape[axis + 1 :])
            exact = op.type.plain() if last else hull(joined.type, other.type)
            type_ = self._type(index) if last else exact
            names = joined.name, other.name
            joined = self._new(index, Layer("", "concat", names, shape, type_, exact, axis=axis))
        return joined

    # --- shared -------------------------------------------------------------------------

    def _add(
        self,
        index: int,
        kind: str,
        sources: tuple[Layer, ...],
        constants: Mapping[str, Constant] | None = None,
        window: Window | None = None,
        shape: Shape | None = None,
    ) -> Layer:
        """A layer whose result is a value of the graph."""
        op = self.graph.ops[index]
        names, found = tuple(s.name for s in sources), shape or _shape(op)
        layer = Layer(
            "", kind, names, found, self._type(index), op.type.plain(), constants or {}, window
        )
        return self._new(index, layer)

    def _new(self, index: int, draft: Layer) -> Layer:
        self._check_rank(index, draft.shape)
        wide = [n for n, c in draft.constants.items() if c.type.width > EXACT_BITS]
        if wide:
            raise self._refusal(index, f"{wide[0]} is wider than {EXACT_BITS} bits")
        drop = draft.exact.frac - draft.type.frac
        if draft.type.rounding is not Rounding.TRN and drop > draft.exact.width:
            # the open headers abort on it in C simulation; the HLS back end widens first
            msg = f"rounds away {drop} bits of a {draft.exact.width}-bit value"
            raise self._refusal(index, msg)
        layer = replace(draft, name=f"{draft.kind}{len(self.layers)}")
        self.layers.append(layer)
        return layer

    def _at(self, layer: Layer, shape: Shape) -> Layer:
        """The elements of a layer in another shape."""
        if layer.shape == shape:
            return layer
        key = layer.name, shape
        if key not in self.reshaped:
            name = f"reshape{len(self.layers)}"
            type_ = layer.type
            self.reshaped[key] = Layer(name, "reshape", (layer.name,), shape, type_, type_.plain())
            self.layers.append(self.reshaped[key])
        return self.reshaped[key]

    def _read(self, index: int, argument: int = 0) -> Layer:
        """What an op reads, in the shape that it has in the graph."""
        value = self.graph.ops[index].args[argument]
        shape = _shape(self.graph.ops[value])
        self._check_rank(index, shape)
        return self._at(self._source(index, value), shape)

    def _source(self, index: int, value: int) -> Layer:
        """The layer that has the elements of a value."""
        if value not in self.made:
            raise self._refusal(index, f"reads %{value}, which is no result of a layer")
        return self.made[value]

    def _type(self, index: int) -> Fixed:
        """Type of a value's layer: that of the cast which the layer ends in, or the op's own."""
        return self.graph.ops[self.readers[index][0] if self._fused(index) else index].type

    def _fused(self, index: int) -> bool:
        """Whether the layer of this value ends in the cast that is its only reader."""
        readers, op = self.readers[index], self.graph.ops[index]
        alias = op.name in ("reshape", "take") or (op.name in JOINS and len(op.args) == 1)
        if alias or op.name in ("input", "cast") or index in self.results:
            return False
        return len(readers) == 1 and self.graph.ops[readers[0]].name == "cast"

    def _is_inner(self, index: int) -> bool:
        """Whether a value is only a step of the affine layer of its only reader."""
        if operand(self.graph, index) is None or index in self.results:
            return False
        readers = self.readers[index]
        return len(readers) == 1 and operand(self.graph, readers[0]) == index

    def _check_rank(self, index: int, shape: Shape) -> None:
        if len(shape) not in RANKS or 0 in shape:
            msg = f"has shape {list(shape)}, layers have 1 to 3 axes with elements"
            raise self._refusal(index, msg)

    def _refusal(self, index: int, why: str) -> EmitError:
        name = self.graph.ops[index].name
        return EmitError(
            f"%{index} {name}: {why}, so hls4ml cannot express it exactly; "
            "emit with hls or rtl instead"
        )


def _needed(graph: Graph) -> set[int]:
    """The values that an output depends on, and the input ports."""
    found = {i for _, i in graph.outputs} | {i for _, i in graph.inputs}
    for index in range(len(graph.ops) - 1, -1, -1):
        if index in found:
            found.update(graph.ops[index].args)
    return found


def _shape(op: Op) -> Shape:
    """Shape of a value as a layer has it: a scalar is a vector of one."""
    return op.shape or (1,)
