"""Networks as layers: the IR pattern that hls4ml can express exactly.

A layer is one op and, where the next op is a ``cast`` of its result, that cast too: the
types of all layers are the types of the graph, so nothing is left for a back end to choose.
The stem ``(x - offset) * 2**k`` is one ``affine`` layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import EmitError
from nacsr.fixed import Fixed, Raw, Rounding, span
from nacsr.ir.graph import Graph, Op

KINDS = frozenset({"input", "dense", "relu", "lut", "cast"})
"""Ops that are layers by themselves."""
EXACT_BITS = 53
"""Constants go through float64 text, which is exact up to this width."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Weights of a layer: raw integers and their type."""

    raw: Raw
    type: Fixed

    @property
    def values(self) -> NDArray[np.float64]:
        """The real numbers, exact."""
        return self.type.to_float(self.raw)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer.

    Attributes:
        name: a C++ identifier, unique in the network.
        kind: ``input``, ``affine`` (``x * scale + bias``), ``dense``, ``relu``, ``lut``, ``cast``.
        source: name of the layer it reads, "" for the input.
        size: number of elements of its result.
        type: type of its result, with the modes of the cast it ends in.
        exact: type of its result before that cast, which holds every value.
        constants: ``scale``, ``weight``, ``bias`` or ``table``, as its kind asks.
    """

    name: str
    kind: str
    source: str
    size: int
    type: Fixed
    exact: Fixed
    constants: Mapping[str, Constant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers in order, the input first; ``outputs`` pairs port names and layer names."""

    layers: tuple[Layer, ...]
    outputs: tuple[tuple[str, str], ...]


def to_network(graph: Graph) -> Network:
    """Read a graph as layers.

    Raises:
        EmitError: naming the first op that is no layer, and the back end that can express it.
    """
    return _Matcher(graph).network()


class _Matcher:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.users()
        self.results = {i for _, i in graph.outputs}
        self.stems = {i: op.args[0] for i, op in enumerate(graph.ops) if self._is_stem(i)}
        self.layers: list[Layer] = []
        self.made_by: dict[int, Layer] = {}  # value -> the layer whose result it is

    def network(self) -> Network:
        for index, op in enumerate(self.graph.ops):
            if op.name != "const" and index not in self.stems.values():
                self.made_by[index] = self._layer(index, op)
        return Network(tuple(self.layers), self._outputs())

    def _outputs(self) -> tuple[tuple[str, str], ...]:
        """Ports and layers; hls4ml wants them distinct and computed."""
        ports: dict[str, str] = {}
        for port, index in self.graph.outputs:
            layer = self.made_by.get(index)
            if layer is None or layer.kind == "input":
                raise self._refusal(index, f"output {port!r} is no result of a layer")
            if layer.name in ports:
                msg = f"outputs {ports[layer.name]!r} and {port!r} are one value"
                raise self._refusal(index, msg)
            ports[layer.name] = port
        return tuple((port, name) for name, port in ports.items())

    def _layer(self, index: int, op: Op) -> Layer:
        """The layer that computes a value: a new one, or the one that a cast ends."""
        if op.name not in KINDS and index not in self.stems:
            raise self._refusal(index, f"is no layer ({', '.join(sorted(KINDS))} or the stem)")
        if len(op.shape) != 1:
            raise self._refusal(index, f"has shape {list(op.shape)}, layers carry vectors")
        if op.name == "cast":
            before = self._source(index, op.args[0])
            if self._fused(op.args[0]) or before.type == op.type:
                return before
        layer = self._new(index, op)
        self.layers.append(layer)
        return layer

    def _new(self, index: int, op: Op) -> Layer:
        if op.name == "input":
            if self.layers:
                raise self._refusal(index, "is a second input")
            return Layer("words", "input", "", op.shape[0], op.type, op.type.plain())
        constants: dict[str, Constant] = {}
        kind, source = op.name, op.args[0]
        if index in self.stems:
            kind, source = "affine", self.graph.ops[self.stems[index]].args[0]
            constants = self._affine(index)
        elif kind == "dense":
            constants = {
                part: Constant(op.array(part), op.fixed(f"{part}_type"))
                for part in ("weight", "bias")
            }
        elif kind == "lut":
            constants = {"table": Constant(op.array("table"), op.type.plain())}
        wide = [n for n, c in constants.items() if c.type.width > EXACT_BITS]
        if wide:
            raise self._refusal(index, f"{wide[0]} is wider than {EXACT_BITS} bits")
        type_ = self.graph.ops[self.readers[index][0]].type if self._fused(index) else op.type
        drop = op.type.frac - type_.frac
        if type_.rounding is not Rounding.TRN and drop > op.type.width:
            # the open headers abort on it in C simulation; the HLS back end widens first
            raise self._refusal(index, f"rounds away {drop} bits of a {op.type.width}-bit value")
        name = f"{kind}{len(self.layers)}"
        before = self._source(index, source)
        return Layer(name, kind, before.name, op.shape[0], type_, op.type.plain(), constants)

    def _source(self, index: int, value: int) -> Layer:
        """The layer that a layer reads."""
        if value not in self.made_by:
            raise self._refusal(index, f"reads %{value}, which is no result of a layer")
        return self.made_by[value]

    def _fused(self, index: int) -> bool:
        """Whether the layer of this value ends in the cast that is its only reader."""
        readers, op = self.readers[index], self.graph.ops[index]
        if op.name in ("input", "cast") or index in self.results or len(readers) != 1:
            return False
        return self.graph.ops[readers[0]].name == "cast"

    def _is_stem(self, index: int) -> bool:
        """Whether a value is ``(vector - constant) * constant``."""
        ops, mul = self.graph.ops, self.graph.ops[index]
        if mul.name != "mul" or ops[mul.args[1]].name != "const":
            return False
        sub = ops[mul.args[0]]
        alone = len(self.readers[mul.args[0]]) == 1 and mul.args[0] not in self.results
        return alone and sub.name == "sub" and ops[sub.args[1]].name == "const"

    def _affine(self, index: int) -> dict[str, Constant]:
        """``(x - c) * k`` is ``x * k + (-c * k)``, exact in integers."""
        mul = self.graph.ops[index]
        offset_op = self.graph.ops[self.graph.ops[mul.args[0]].args[1]]
        factor_op = self.graph.ops[mul.args[1]]
        factor = np.broadcast_to(factor_op.array("value"), mul.shape)
        bias = -np.broadcast_to(offset_op.array("value"), mul.shape) * factor
        frac = offset_op.type.frac + factor_op.type.frac
        bias_type = span(int(bias.min()), int(bias.max()), frac)
        return {
            "scale": Constant(factor, factor_op.type.plain()),
            "bias": Constant(bias, bias_type),
        }

    def _refusal(self, index: int, why: str) -> EmitError:
        name = self.graph.ops[index].name
        return EmitError(
            f"%{index} {name}: {why}, so hls4ml cannot express it exactly; emit with hls instead"
        )
