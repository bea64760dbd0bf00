"""From a network to the genes that stand for it in a search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from nacsr.errors import SpecError
from nacsr.frontends.neural.space.genes import CONVS, decode, genes
from nacsr.frontends.neural.space.layers import (
    LAYERS,
    Attention,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Pool,
)
from nacsr.search.nsga2 import Genes
from nacsr.spec import DeepSetsSpec, ImageSpec, MlpSpec, NetworkSpec, StackSpec

L = TypeVar("L", Dense, Conv, Pool)


def encode(spec: NetworkSpec, network: Network) -> Genes:
    """The inverse of ``decode``; genes that do not count have their first choice.

    Raises:
        SpecError: if the space has no such network, naming the gene without that choice, or the
            first layer that would be another.
    """
    *hidden, last = network.layers or (Flatten(),)
    if not isinstance(last, Dense):
        msg = "the last layer is not dense"
        raise SpecError(msg)
    wanted = _wanted(spec, hidden)
    wanted |= {"weight_bits": last.weight_bits, "activation_bits": network.input_bits}
    found: Genes = {}
    for name, gene in genes(spec).items():
        value = wanted.get(name, gene.options[0])
        if value not in gene.options:
            choices = ", ".join(map(str, gene.options))
            msg = f"{name} {value} is not in the search space, which has {choices}; add it there"
            raise SpecError(msg)
        found[name] = value
    _same(decode(spec, found, network.input, last.width), network)
    return found


def _same(nearest: Network, network: Network) -> None:
    """Refuse what the genes could not say, such as layers of different bits."""
    if nearest == network:
        return
    pairs = enumerate(zip(network.layers, nearest.layers, strict=False))
    for i, (given, made) in pairs:
        if given != made:
            msg = f"layer {i + 1} is {given}, the search space would make it {made}"
            raise SpecError(msg)
    msg = f"the search space has no such network; the nearest is {nearest.title}"
    raise SpecError(msg)


def _wanted(spec: NetworkSpec, hidden: Sequence[Layer]) -> Genes:
    match spec:
        case MlpSpec():
            return _stack(spec, hidden, "")
        case DeepSetsSpec():
            return _sets(spec, hidden)
        case ImageSpec():
            return _image(spec, hidden)


def _stack(spec: StackSpec, layers: Sequence[Layer], prefix: str, ends: int = 0) -> Genes:
    """Genes of dense layers, of which the ``ends`` last have their widths elsewhere."""
    depth = len(layers) - ends
    found: Genes = {f"{prefix}depth": depth}
    for i, layer in enumerate(layers):
        dense = _need(layer, Dense)
        if i < depth:
            found[f"{prefix}width{i}"] = dense.width
        one = str(i) if spec.mixed else ""
        found.setdefault(f"{prefix}activation{one}", dense.activation)
        found.setdefault(f"{prefix}batchnorm{one}", dense.norm)
    return found


def _sets(spec: DeepSetsSpec, hidden: Sequence[Layer]) -> Genes:
    at = next((i for i, layer in enumerate(hidden) if isinstance(layer, Pool)), 0)
    if not at:
        msg = "deep sets have a dense layer and a pool before the outputs"
        raise SpecError(msg)
    before, pool, after = hidden[:at], _need(hidden[at], Pool), hidden[at + 1 :]
    found = _stack(spec.phi, before, "phi_", 1) | _stack(spec.rho, after, "rho_")
    return found | {"bottleneck": _need(before[-1], Dense).width, "pool": pool.kind}


def _image(spec: ImageSpec, hidden: Sequence[Layer]) -> Genes:
    at = next((i for i, layer in enumerate(hidden) if isinstance(layer, Flatten)), 0)
    if not at:
        msg = "image networks have a convolution and a flatten layer before the dense ones"
        raise SpecError(msg)
    found = _stack(spec.head, hidden[at + 1 :], "head_")
    found["projection"] = _need(hidden[0], Conv).channels
    left, block = list(hidden[1:at]), 0
    while left:
        taken = 1 if isinstance(left[0], Attention) else CONVS
        found |= _block(left[:taken], f"block{block}")
        left, block = left[taken:], block + 1
    if block > spec.blocks:
        msg = f"it has {block} blocks, the search space has {spec.blocks}; add blocks there"
        raise SpecError(msg)
    return found | {f"block{b}": "none" for b in range(block, spec.blocks)}


def _block(layers: Sequence[Layer], name: str) -> Genes:
    first = layers[0]
    if isinstance(first, Attention):
        shape: Genes = {f"{name}_hidden": first.hidden, f"{name}_activation": first.activation}
        return {name: "attention"} | shape
    found: Genes = {name: "conv"}
    for c, layer in enumerate(layers):
        conv, gene = _need(layer, Conv), f"{name}_conv{c}_"
        found |= {f"{gene}channels": conv.channels, f"{gene}kernel": conv.kernel}
        found |= {f"{gene}batchnorm": conv.norm, f"{gene}activation": conv.activation}
    return found


def _need(layer: Layer, kind: type[L]) -> L:
    if not isinstance(layer, kind):
        names = {type_: name for name, type_ in LAYERS.items()}
        msg = f"it has a layer {names[type(layer)]} where the search space has {names[kind]}"
        raise SpecError(msg)
    return layer
