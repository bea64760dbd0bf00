"""Networks whose words travel through hls4ml's streams, one pack of channels after another.

A pack holds the elements of the last axis. hls4ml 1.3.0 repacks exactly where one size divides
the other; its flattening leaves the packs as they are, which only a dense layer may read; and
the zeros that it inserts itself go to the wrong reader of a value that several layers read.
So a network is brought into a form that needs none of these.
"""

from __future__ import annotations

from dataclasses import replace

from nacsr.emit.network import Layer, Network, Window
from nacsr.errors import EmitError

COPIES = 7
"""Most readers of a stream that hls4ml's ``Clone`` serves."""


def for_streams(network: Network) -> Network:
    """The same network with zeros as layers of their own, and reshapes in exact steps.

    Raises:
        EmitError: for a layer that hls4ml cannot stream.
    """
    layers: list[Layer] = []
    for layer in network.layers:
        _check(network, layer)
        if layer.kind == "reshape" and _needs_row(network, layer):
            row = replace(layer, name=f"{layer.name}_row", shape=(1, layer.size))
            layers += [row, replace(layer, sources=(row.name,))]
        elif layer.window is not None and any(map(any, layer.window.padding)):
            layers += _padded(network[layer.sources[0]], layer, layer.window)
        else:
            layers.append(layer)
    return Network(tuple(layers), network.outputs)


def _padded(source: Layer, layer: Layer, window: Window) -> tuple[Layer, Layer]:
    """A layer with a window as one that adds the zeros and one that does not."""
    sizes = (n + sum(p) for n, p in zip(source.shape, window.padding, strict=False))
    zeros = replace(
        source,
        name=f"{layer.name}_zeros",
        kind="pad",
        sources=(source.name,),
        shape=(*sizes, source.shape[-1]),
        constants={},
        window=replace(window, size=(1,) * len(window.size), stride=(1,) * len(window.size)),
    )
    bare = replace(window, padding=((0, 0),) * len(window.size))
    return zeros, replace(layer, sources=(zeros.name,), window=bare)


def _needs_row(network: Network, layer: Layer) -> bool:
    """Whether all elements must be one pack between the packs of now and then."""
    before, after = network[layer.sources[0]].shape[-1], layer.shape[-1]
    if len(layer.shape) > 1:
        return before % after != 0 and after % before != 0
    readers = [x.kind for x in network.layers if layer.name in x.sources]
    return before != after and readers != ["dense"]


def _check(network: Network, layer: Layer) -> None:
    """Refuse what hls4ml's stream templates do not compute, which only simulation would tell."""
    window, why = layer.window or Window((), (), ()), ""
    row = len(window.size) == 2 and window.size[0] == 1 and window.stride[0] > 1
    if layer.kind == "maxpool" and window.overlaps:
        why = "pools windows that are not side by side"
    elif row and (layer.kind == "sum" or (layer.kind == "conv" and window.size[1] > 1)):
        why = "skips rows with a window of one row"
    elif _readers(network, layer) > COPIES:
        why = f"has more than {COPIES} readers"
    if why:
        msg = f"layer {layer.name} {why}, which hls4ml does not stream exactly; choose io_parallel"
        raise EmitError(msg)


def _readers(network: Network, layer: Layer) -> int:
    read = sum(x.sources.count(layer.name) for x in network.layers)
    return read + sum(name == layer.name for _, name in network.outputs)
