"""Quantised networks into the IR: own arrays, and torch modules of Brevitas layers.

Own arrays are a sequence of steps: ``Affine`` (dense layer), ``Relu``, and ``Fixed`` (a
quantiser, which is a cast). Modules of any shape are traced. Accumulators are
exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Raw
from nacsr.frontends.stem import VECTOR_PORT, vector_stem
from nacsr.ir import Builder, Graph, evaluate, verify
from nacsr.ir.graph import Shape

if TYPE_CHECKING:
    from torch import nn

    from nacsr.frontends.neural.lowering.layout import View
    from nacsr.frontends.neural.lowering.trace import Program

OUTPUT_PORT = "scores"
FLOAT_BITS = 53
"""Sums of as many bits are exact in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A dense layer in raw integers: weight of shape (inputs, outputs), bias of (outputs,)."""

    weight: Raw
    weight_type: Fixed
    bias: Raw
    bias_type: Fixed


@dataclass(frozen=True, slots=True)
class Relu:
    """Negative values become zero."""


Step = Affine | Relu | Fixed


def apply(builder: Builder, value: int, steps: Sequence[Step]) -> int:
    """Steps applied to the last axis of a value.

    Raises:
        GraphError: if shapes do not match or a value would need more than 63 bits.
    """
    for step in steps:
        if isinstance(step, Fixed):
            value = builder.cast(value, step)
        elif isinstance(step, Relu):
            value = builder.op("relu", value)
        else:
            value = builder.op(
                "dense",
                value,
                weight=step.weight,
                weight_type=step.weight_type,
                bias=step.bias,
                bias_type=step.bias_type,
            )
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A module that was lowered, and how torch's arrays become its words.

    Attributes:
        graph: port ``x`` carries the input, channels last; the outputs are ``scores``, or one
            a key or place of what forward() returns. Masks and counts have ports of their own.
        input_type: type of an input word, with the modes of the module's own quantiser.
        input_axes: axis ``k`` of port ``x`` is axis ``input_axes[k]`` of torch, batch left out.
        output_axes: the same for every output port.
    """

    graph: Graph
    input_type: Fixed
    input_axes: tuple[int, ...]
    output_axes: Mapping[str, tuple[int, ...]]

    @property
    def title(self) -> str:
        """The architecture in a few words, such as ``16x16x1-conv4-max-5``."""
        parts = []
        for op in self.graph.ops:
            if op.name == "input" and op.attrs["name"] == VECTOR_PORT:
                parts.append("x".join(str(n) for n in op.shape))
            elif op.name in ("dense", "conv"):
                kind = "conv" if op.name == "conv" else ""
                parts.append(f"{kind}{op.array('weight').shape[-1]}")
            elif op.name in ("pool", "reduce") and op.shape:
                parts.append(str(op.attrs["kind"]))
        return "-".join(parts)

    @property
    def features(self) -> tuple[Feature, ...]:
        """All words that arrive: ``x0``, ``x1``... in the order of port ``x``, channels last.

        Then those of masks (``mask0``, ...) and of counts, by the names of forward()'s arguments.
        """
        ports = [(name, self.graph.ops[i]) for name, i in self.graph.inputs]
        found = []
        for name, op in sorted(ports, key=lambda p: not p[1].shape):  # scalars come last
            type_ = self.input_type if name == VECTOR_PORT else op.type
            names = [f"{name}{k}" for k in range(math.prod(op.shape))] if op.shape else [name]
            found += [Feature(n, type_) for n in names]
        return tuple(found)

    def words(self, values: NDArray[np.float64]) -> Raw:
        """Words of port ``x``, (events, words), from torch's array of values."""
        moved = _moved(np.asarray(values, dtype=np.float64), self.input_axes)
        return self.input_type.quantize(moved).reshape(len(moved), -1)


def _moved(values: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Torch's array in the order of a port."""
    return values.transpose(0, *(a + 1 for a in axes))


def from_module(
    module: nn.Module, input_type: Fixed | None = None, input_shape: Shape | None = None
) -> Graph:
    """The graph of ``read_module``."""
    return read_module(module, input_type, input_shape).graph


def read_module(
    module: nn.Module, input_type: Fixed | None = None, input_shape: Shape | None = None
) -> Lowered:
    """Lower a torch module of Brevitas layers: perceptrons, convolutions, deep sets.

    The graph returns, bit for bit, what the module returns in eval mode and float64. A few
    random events are compared before it is handed out.

    Args:
        module: any module that torch.fx can trace. Weights, biases and activations are
            quantised by Brevitas with power-of-two scales.
        input_type: type of the input's words; by default what the module's own first
            quantiser makes of them.
        input_shape: torch's shape of the input without the batch axis, such as
            (channels, height, width); by default a vector for the first dense layer.

    Raises:
        GraphError: naming the layer that cannot be expressed exactly, and the remedy.
    """
    from nacsr.frontends.neural.lowering.layout import framed
    from nacsr.frontends.neural.lowering.trace import Program, sample

    program = Program.of(module)
    type_ = program.first_quantiser() if input_type is None else input_type
    if type_ is None:
        msg = "the module does not quantise its input first; give input_type such as fixed<16,6>"
        raise GraphError(msg)
    shape = _vector(program.vector_size()) if input_shape is None else tuple(input_shape)
    if not all(n > 0 for n in shape):
        msg = f"the input's shape must be of positive sizes, not {list(shape)}"
        raise GraphError(msg)
    found: list[Lowered] = []
    for axes in PORT_ORDERS.get(len(shape), (tuple(range(len(shape))),)):
        builder = Builder()
        port = builder.input(VECTOR_PORT, type_.plain(), tuple(shape[a] for a in axes))
        raw = sample(type_, builder.ops[port].shape)
        back = tuple(int(a) for a in np.argsort(axes))
        values = _moved(type_.to_float(raw), back)
        x = framed(builder, port, axes)
        graph, outputs = _lower(program, builder, x, values, {VECTOR_PORT: raw})
        found.append(Lowered(graph, type_, axes, outputs))
        if not _takes(graph):
            break
    return min(found, key=lambda n: _takes(n.graph))


PORT_ORDERS: Mapping[int, Sequence[tuple[int, ...]]] = {
    2: ((0, 1), (1, 0)),
    3: ((1, 2, 0), (0, 1, 2)),
}
"""Orders of port ``x`` by its number of axes; of equally good ones the first is taken."""


def _takes(graph: Graph) -> int:
    """How often words change places."""
    return sum(op.name == "take" for op in graph.ops)


def _vector(size: int | None) -> Shape:
    if size is None:
        msg = "the input's shape is not known; give input_shape such as (channels, height, width)"
        raise GraphError(msg)
    return (size,)


def _lower(
    program: Program,
    builder: Builder,
    x: View,
    values: NDArray[np.float64],
    inputs: dict[str, Raw],
) -> tuple[Graph, dict[str, tuple[int, ...]]]:
    """The graph of a program, compared with torch, and the axes of its outputs.

    Args:
        program: the module's calls.
        builder: holds ``x`` and what it is computed from.
        x: the module's input.
        values: some values of it, in torch's order.
        inputs: the words of the graph's ports that give them.
    """
    import torch

    from nacsr.frontends.neural.lowering.layout import framed
    from nacsr.frontends.neural.lowering.trace import output_value, sample

    more = {}
    for port in program.ports:
        index = builder.input(port.name, port.type, port.shape)
        words = sample(port.type, port.shape, len(values))
        inputs[port.name] = words
        view = framed(builder, index, tuple(range(len(port.shape))))
        more[port.name] = view, torch.from_numpy(words.astype(np.float64))
    axes, wanted = {}, {}
    for name, view, seen in program.run(builder, x, torch.from_numpy(values.copy()), more):
        value, axes[name] = output_value(builder, name, view)
        builder.output(name, value)
        exact = getattr(seen, "value", seen)  # of a QuantTensor
        wanted[name] = _moved(exact.numpy().astype(np.float64), axes[name])
    graph = verify(builder.build(ports=True))
    _need_equal(graph, inputs, wanted)
    return graph, axes


def _need_equal(
    graph: Graph, inputs: Mapping[str, Raw], wanted: Mapping[str, NDArray[np.float64]]
) -> None:
    found = evaluate(graph, inputs)
    types = {name: graph.ops[i].type for name, i in graph.outputs}
    wrong = sum(int((types[n].to_float(found[n]) != w).sum()) for n, w in wanted.items())
    widest = max(op.type.width for op in graph.ops)
    if wrong and widest > FLOAT_BITS:
        msg = (
            f"the lowered network has values of {widest} bits, which torch rounds in float64, so "
            "that the two differ; use fewer bits"
        )
        raise GraphError(msg)
    if wrong:
        count = sum(w.size for w in wanted.values())
        msg = (
            f"the lowered network differs from the module in {wrong} of {count} outputs; if its "
            "forward() keeps a state, remove it, otherwise this is a fault of nacsr: report it"
        )
        raise GraphError(msg)


def from_brevitas(module: nn.Module, features: Sequence[Feature], scaling: Scaling) -> Graph:
    """Lower a Brevitas network that was trained on vectors of standardised values.

    The design's scores are, bit for bit, what the module returns in eval mode.

    Args:
        module: as ``read_module``.
        features: the words that arrive, in the order of the module's inputs.
        scaling: how words become the values that the module was trained on.

    Raises:
        GraphError: naming the layer that cannot be expressed exactly, and the remedy.
    """
    from nacsr.frontends.neural.lowering.layout import framed
    from nacsr.frontends.neural.lowering.trace import Program, sample

    program = Program.of(module)
    builder = Builder()
    x = framed(builder, vector_stem(builder, features, scaling), (0,))
    words = np.stack([sample(f.type, (), seed=j) for j, f in enumerate(features)], axis=1)
    values = standardise(words, features, scaling)
    return _lower(program, builder, x, values, {VECTOR_PORT: words})[0]
