"""Architectures as data: the layers between an input and the outputs.

The shape of the input says what a network is: (features,) a perceptron, (particles, features)
deep sets, (channels, height, width) an image network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nacsr.errors import SpecError, unknown

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "none")
POOLS = ("mean", "max", "sum")
LEAK = 2.0**-7
"""Slope of a leaky ReLU below zero (Weitz et al., arXiv:2501.05515): a shift."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer on the last axis, a normalisation and an activation.

    Attributes:
        width: neurons.
        norm: whether BatchNorm follows, folded into the weights after training.
        activation: a member of ``ACTIVATIONS``.
        weight_bits: bits of every weight.
        bits: bits of what the activation gives; None leaves the exact sums, as of the outputs.
    """

    width: int
    norm: bool = False
    activation: str = "none"
    weight_bits: int = 8
    bits: int | None = 8


@dataclass(frozen=True, slots=True)
class Conv:
    """A square convolution of stride 1 without padding; the rest as of ``Dense``."""

    channels: int
    kernel: int
    norm: bool = False
    activation: str = "none"
    weight_bits: int = 8
    bits: int | None = 8


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention over the pixels: x + project(softmax(q k) v), all four 1x1 convolutions.

    It divides by sums of exponentials of an event, so it is trained and counted but not lowered
    (nor could it be synthesised in arXiv:2501.05515).
    """

    hidden: int
    activation: str = "none"


@dataclass(frozen=True, slots=True)
class Pool:
    """From a set of particles to one vector: their ``mean``, ``max`` or ``sum``."""

    kind: str
    bits: int | None = 8


@dataclass(frozen=True, slots=True)
class Flatten:
    """An image as one vector, channels first."""


Layer = Dense | Conv | Attention | Pool | Flatten
LAYERS: Mapping[str, type[Layer]] = {
    "dense": Dense,
    "conv": Conv,
    "attention": Attention,
    "pool": Pool,
    "flatten": Flatten,
}


@dataclass(frozen=True, slots=True)
class Network:
    """An architecture with its bit widths: the genotype of the network family.

    Attributes:
        input: shape of one event.
        layers: in order; the last dense layer gives the outputs.
        input_bits: bits of every input.

    Raises:
        SpecError: for layers that do not fit together, naming the first of them.
    """

    input: Shape
    layers: tuple[Layer, ...]
    input_bits: int = 8

    def __post_init__(self) -> None:
        _ = self.shapes

    @property
    def shapes(self) -> list[Shape]:
        """Shape after every layer."""
        found, shape = [], self.input
        for number, layer in enumerate(self.layers):
            shape = after(layer, shape, f"layer {number + 1} of {len(self.layers)}")
            found.append(shape)
        return found

    @property
    def kind(self) -> str:
        """``MLP``, ``deep sets`` or ``CNN``."""
        return {1: "MLP", 2: "deep sets", 3: "CNN"}[len(self.input)]

    @property
    def lowers(self) -> bool:
        """Whether the network can become a design."""
        return not any(isinstance(layer, Attention) for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal networks have equal values."""
        names = {type_: name for name, type_ in LAYERS.items()}
        layers = [{"layer": names[type(layer)], **asdict(layer)} for layer in self.layers]
        return {"input": list(self.input), "input_bits": self.input_bits, "layers": layers}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Network:
        """The inverse of ``to_dict``.

        Raises:
            SpecError: for a layer that is not known, or with other fields.
        """
        layers = tuple(_layer(one) for one in record["layers"])
        return cls(tuple(record["input"]), layers, record.get("input_bits", 8))

    @property
    def key(self) -> str:
        """Canonical JSON: one key a network, whatever genes it came from."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @property
    def title(self) -> str:
        """For people, such as ``MLP 16-32-16-5 relu bn w6 a8``."""
        weighted = [layer for layer in self.layers if isinstance(layer, Dense | Conv)]
        inner = [layer for layer in weighted if layer.bits is not None]
        same = len({(layer.activation, layer.norm) for layer in inner}) <= 1
        parts = [_name(layer, marked=not same) for layer in self.layers]
        body = "-".join(p for p in parts if p).replace("-|-", " | ")
        ending = ""
        if same and inner:
            ending = f" {inner[0].activation}" + (" bn" if inner[0].norm else "")
        weights = _range(layer.weight_bits for layer in weighted)
        values = _range([self.input_bits, *(layer.bits for layer in inner if layer.bits)])
        sizes = "x".join(str(n) for n in self.input)
        return f"{self.kind} {sizes}-{body}{ending} w{weights} a{values}"


def after(layer: Layer, shape: Shape, where: str) -> Shape:
    """The shape after a layer.

    Raises:
        SpecError: if the layer cannot follow that shape, or has a size of zero or less.
    """
    match layer:
        case Dense(width=size, activation=act):
            _need(len(shape) < 3, where, "a dense layer", "a Flatten before it", shape)
            result: Shape = (*shape[:-1], size)
        case Conv(channels=size, kernel=kernel, activation=act):
            _need(len(shape) == 3, where, "a convolution", "an image (channels, h, w)", shape)
            _need(
                1 <= kernel <= min(shape[1:]), where, f"a {kernel}x{kernel} kernel", "room", shape
            )
            result = (size, shape[1] - kernel + 1, shape[2] - kernel + 1)
        case Attention(hidden=size, activation=act):
            _need(len(shape) == 3, where, "attention", "an image (channels, h, w)", shape)
            result = shape
        case Pool(kind=kind):
            _need(len(shape) == 2, where, "a pool", "a set (particles, features)", shape)
            if kind not in POOLS:
                raise SpecError(f"{where}: " + unknown("pool", kind, POOLS))
            return shape[1:]
        case Flatten():
            return (math.prod(shape),)
    if act not in ACTIVATIONS:
        raise SpecError(f"{where}: " + unknown("activation", act, ACTIVATIONS))
    if size < 1:
        msg = f"{where}: a size must be 1 or more, got {size}"
        raise SpecError(msg)
    return result


def _need(holds: bool, where: str, what: str, wanted: str, shape: Sequence[int]) -> None:
    if not holds:
        msg = f"{where}: {what} needs {wanted}; the shape there is {list(shape)}"
        raise SpecError(msg)


def _layer(record: Mapping[str, Any]) -> Layer:
    fields = dict(record)
    name = fields.pop("layer", None)
    if name not in LAYERS:
        raise SpecError(unknown("layer", str(name), LAYERS))
    try:
        return LAYERS[name](**fields)
    except TypeError as error:
        msg = f"layer {name}: {str(error).split('() ')[-1]}"
        raise SpecError(msg) from None


def _name(layer: Layer, marked: bool) -> str:
    match layer:
        case Dense(width=width, norm=norm, activation=act, bits=bits):
            core = str(width)
        case Conv(channels=channels, kernel=kernel, norm=norm, activation=act, bits=bits):
            core = f"c{channels}k{kernel}"
        case Attention(hidden=hidden):
            return f"attention{hidden}"
        case Pool(kind=kind):
            return f"|-{kind}-|"
        case Flatten():
            return "|"
    if not marked or (bits is None and not norm):
        return core
    marks = [act] * (act != "none") + ["bn"] * norm
    return f"{core}({','.join(marks)})" if marks else core


def _range(widths: Any) -> str:
    found = sorted(set(widths))
    return str(found[0]) if len(found) == 1 else f"{found[0]}..{found[-1]}"
