"""From a search space to genes, and from genes to a network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nacsr.errors import SpecError
from nacsr.frontends.neural.space.layers import (
    Attention,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Pool,
    Shape,
)
from nacsr.search.nsga2 import Gene, Genes
from nacsr.spec import DeepSetsSpec, ImageSpec, MlpSpec, NetworkSpec, StackSpec

READS = {"deepsets": ("particles", "values"), "cnn": ("channels", "rows", "columns")}
"""The axes of an event that a kind of network reads; perceptrons read any."""
PROJECTION_KERNEL = 3
CONVS = 2  # in a block


def genes(spec: NetworkSpec) -> dict[str, Gene]:
    """The genes of a search space; which of them count, others may decide."""
    match spec:
        case MlpSpec():
            found = _stack_genes(spec, "")
        case DeepSetsSpec():
            found = _sets_genes(spec)
        case ImageSpec():
            found = _image_genes(spec)
    found["weight_bits"] = _ordered(spec.weight_bits)
    found["activation_bits"] = _ordered(spec.activation_bits)
    return found


def decode(spec: NetworkSpec, values: Genes, shape: Shape, outputs: int) -> Network:
    """The network that genes stand for; genes that do not count leave no trace.

    Args:
        spec: the space.
        values: one choice a gene.
        shape: of one event; perceptrons read an array as the list of its elements.
        outputs: of the network.

    Raises:
        SpecError: if the network is impossible, such as one of convolutions for a list.
    """
    match spec:
        case MlpSpec():
            shape, layers = (math.prod(shape),), _hidden(spec, values, "")
        case DeepSetsSpec():
            layers = _sets_layers(spec, values)
        case ImageSpec():
            layers = _image_layers(spec, values, min(shape[1:], default=0))
    weights, bits = int(values["weight_bits"]), int(values["activation_bits"])
    last = Dense(outputs, weight_bits=weights, bits=None)
    return Network(shape, (*(sized(layer, weights, bits) for layer in layers), last), bits)


def check(spec: NetworkSpec, shape: Shape, outputs: int) -> None:
    """Refuse a space in which no network is possible for a shape of input.

    Raises:
        SpecError: with the reason of the smallest network of the space, or if all have attention.
    """
    if isinstance(spec, ImageSpec) and spec.blocks and set(spec.block_types) == {"attention"}:
        msg = (
            "families.network: every network of this space has attention, of which no design can "
            "be made; add conv or none to block_types"
        )
        raise SpecError(msg)
    smallest = {name: gene.options[0] for name, gene in genes(spec).items()}
    try:
        decode(spec, smallest, shape, outputs)
    except SpecError as error:
        msg = f"families.network: no network of kind {spec.kind} reads events of {list(shape)}: "
        wanted = READS.get(spec.kind)
        if wanted is not None and len(shape) != len(wanted):
            axes = ", ".join(("events", *wanted))
            msg += f"it takes those of an array ({axes}), see dataset.data; or choose another kind"
            raise SpecError(msg) from None
        raise SpecError(msg + str(error)) from None


def _ordered(options: Iterable[Any]) -> Gene:
    return Gene(tuple(sorted(set(options))), ordered=True)


def _choice(options: Iterable[Any]) -> Gene:
    return Gene(tuple(sorted(set(options))))


# --- genes of a kind of network -----------------------------------------------------------


def _stack_genes(spec: StackSpec, prefix: str, ends: int = 0) -> dict[str, Gene]:
    """Genes of hidden layers, and ``ends`` layers after them that choose as these do."""
    most = max(spec.depth)
    found = {f"{prefix}depth": _ordered(spec.depth)}
    found |= {f"{prefix}width{i}": _ordered(spec.widths) for i in range(most)}
    for i in range(most + ends) if spec.mixed else [""]:
        found[f"{prefix}activation{i}"] = _choice(spec.activations)
        found[f"{prefix}batchnorm{i}"] = _choice(spec.batchnorm)
    return found


def _sets_genes(spec: DeepSetsSpec) -> dict[str, Gene]:
    between = {"bottleneck": _ordered(spec.bottleneck), "pool": _choice(spec.pools)}
    return _stack_genes(spec.phi, "phi_", 1) | between | _stack_genes(spec.rho, "rho_")


def _image_genes(spec: ImageSpec) -> dict[str, Gene]:
    found = {"projection": _ordered(spec.projection)}
    for b in range(spec.blocks):
        found[f"block{b}"] = _choice(spec.block_types)
        found[f"block{b}_hidden"] = _ordered(spec.hidden)
        found[f"block{b}_activation"] = _choice(spec.activations)
        for c in range(CONVS):
            name = f"block{b}_conv{c}_"
            found[f"{name}channels"] = _ordered(spec.channels)
            found[f"{name}kernel"] = _ordered(spec.kernels)
            found[f"{name}batchnorm"] = _choice(spec.batchnorm)
            found[f"{name}activation"] = _choice(spec.activations)
    return found | _stack_genes(spec.head, "head_")


# --- layers out of genes ------------------------------------------------------------------


def _hidden(spec: StackSpec, values: Genes, prefix: str) -> list[Layer]:
    depth = int(values[f"{prefix}depth"])
    widths = [int(values[f"{prefix}width{i}"]) for i in range(depth)]
    return [Dense(w, *_after(spec, values, prefix, i)) for i, w in enumerate(widths)]


def _after(spec: StackSpec, values: Genes, prefix: str, layer: int) -> tuple[bool, str]:
    """Normalisation and activation of a layer."""
    i = str(layer) if spec.mixed else ""
    return bool(values[f"{prefix}batchnorm{i}"]), str(values[f"{prefix}activation{i}"])


def _sets_layers(spec: DeepSetsSpec, values: Genes) -> list[Layer]:
    phi, depth = _hidden(spec.phi, values, "phi_"), int(values["phi_depth"])
    bottleneck = Dense(int(values["bottleneck"]), *_after(spec.phi, values, "phi_", depth))
    rho = _hidden(spec.rho, values, "rho_")
    return [*phi, bottleneck, Pool(str(values["pool"])), *rho]


def _image_layers(spec: ImageSpec, values: Genes, size: int) -> list[Layer]:
    """Of a kernel that is larger than what is left of the image, the next smaller choice counts;
    a convolution for which there is none is left out.
    """
    layers: list[Layer] = [Conv(int(values["projection"]), PROJECTION_KERNEL)]
    room = size - PROJECTION_KERNEL + 1
    for b in range(spec.blocks):
        name = f"block{b}"
        if values[name] == "attention":
            act = str(values[f"{name}_activation"])
            layers.append(Attention(int(values[f"{name}_hidden"]), act))
        elif values[name] == "conv":
            for c in range(CONVS):
                top = min(int(values[f"{name}_conv{c}_kernel"]), room)
                kernel = max((k for k in spec.kernels if k <= top), default=0)
                if kernel:
                    layers.append(_conv(values, f"{name}_conv{c}_", kernel))
                    room -= kernel - 1
    return [*layers, Flatten(), *_hidden(spec.head, values, "head_")]


def sized(layer: Layer, weight_bits: int, bits: int) -> Layer:
    """A layer with the bits of its network."""
    match layer:
        case Dense() | Conv():
            return replace(layer, weight_bits=weight_bits, bits=bits)
        case Pool():
            return replace(layer, bits=bits)
    return layer


def _conv(values: Genes, prefix: str, kernel: int) -> Conv:
    return Conv(
        int(values[f"{prefix}channels"]),
        kernel,
        bool(values[f"{prefix}batchnorm"]),
        str(values[f"{prefix}activation"]),
    )
