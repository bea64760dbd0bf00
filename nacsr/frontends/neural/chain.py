"""A quantised network of the search into the IR, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature, Scaling
from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.frontends.neural.lowering.arithmetic import quotient, shifted
from nacsr.frontends.neural.lowering.layout import View, arrange, flat, framed, order
from nacsr.frontends.neural.lowering.lower import OUTPUT_PORT
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.space import Attention, Conv, Dense, Flatten, Layer, Network, Pool
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, verify

NO_DESIGN = (
    "attention cannot be compiled: it divides by sums of exponentials of an event; no design"
)
CHANNELS_LAST = (1, 2, 0)
"""The order of an image's axes in the IR."""
LEAK_SHIFT = 7
"""The slope of a leaky ReLU is two to the minus that."""
FUNCTIONS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def lower(
    network: Network,
    plan: Plan,
    params: Parameters,
    features: Sequence[Feature],
    scaling: Scaling,
) -> Graph:
    """The design from raw words to the scores, the last layer's exact accumulators.

    Args:
        network: any without attention.
        plan: types of its quantisers.
        params: of every layer, real numbers.
        features: the words that arrive: an event's array in C order.
        scaling: what standardises them.

    Raises:
        GraphError: for attention, or if a value would need more than 63 bits.
    """
    builder = Builder()
    value = vector_stem(builder, features, scaling)
    value = builder.cast(value, plan[Place(-1, "after")])
    x = View(value, np.arange(len(features)).reshape(network.input))
    for number, layer in enumerate(network.layers):
        types = {p.what: t for p, t in plan.items() if p.layer == number}
        x = _layer(builder, x, layer, types, params[number])
    builder.output(OUTPUT_PORT, x.value)
    return verify(builder.build())


def _layer(
    builder: Builder, x: View, layer: Layer, types: Mapping[str, Fixed], params: Sequence[object]
) -> View:
    match layer:
        case Dense() | Conv():
            x = _weighted(builder, x, layer, types, params)
            return replace(x, value=_activation(builder, x.value, layer.activation, types))
        case Pool(kind=kind):
            value = _pool(builder, arrange(builder, x, (0, 1)), kind, types.get("after"))
            return framed(builder, value, (0,))
        case Flatten():
            return View(x.value, x.places.ravel())
        case Attention():
            raise GraphError(NO_DESIGN)


def _weighted(
    builder: Builder,
    x: View,
    layer: Dense | Conv,
    types: Mapping[str, Fixed],
    params: Sequence[object],
) -> View:
    """The exact sums of a layer; weights take the order in which the words of a vector lie."""
    real, bias = (np.asarray(p, dtype=np.float64) for p in params)
    weight = types["weight"].quantize(real)
    attrs: dict[str, Any] = {
        "weight_type": types["weight"].plain(),
        "bias": types["bias"].quantize(bias),
        "bias_type": types["bias"].plain(),
    }
    if isinstance(layer, Conv):
        attrs |= {"weight": weight.transpose(2, 3, 1, 0), "stride": (1, 1)}
        value = arrange(builder, x, CHANNELS_LAST)
        value = builder.op("conv", value, padding=((0, 0), (0, 0)), **attrs)
        return framed(builder, value, CHANNELS_LAST)
    if x.places.ndim == 1:
        rows = weight.T[order(builder, x).ravel()]
        return framed(builder, builder.op("dense", flat(builder, x), weight=rows, **attrs), (0,))
    value = builder.op("dense", arrange(builder, x, (0, 1)), weight=weight.T, **attrs)
    return framed(builder, value, (0, 1))


def _activation(builder: Builder, value: int, name: str, types: Mapping[str, Fixed]) -> int:
    if name in FUNCTIONS:
        return _table(builder, value, name, types)
    if name == "relu":
        value = builder.op("relu", value)
    elif name == "leaky_relu":
        value = builder.op("leaky_relu", value, n=LEAK_SHIFT)
    after = types.get("after")
    return value if after is None else builder.cast(value, after)


def _table(builder: Builder, value: int, name: str, types: Mapping[str, Fixed]) -> int:
    """A function of a quantised sum, at every word of it."""
    before, after = types["before"], types["after"]
    words = np.arange(1 << before.width)
    words = np.where(words > before.max_raw, words - (1 << before.width), words)
    # float32, as it is trained: a value that lies between two steps rounds the same way
    exact = FUNCTIONS[name](before.to_float(words)).astype(np.float32).astype(np.float64)
    table = after.quantize(exact)
    address = builder.cast(value, before)
    return builder.op("lut", address, type=after.plain(), function=name, table=table)


def _pool(builder: Builder, value: int, kind: str, after: Fixed | None) -> int:
    count = builder.ops[value].shape[0]
    if kind == "max":
        return builder.op("reduce", value, kind="max", axis=0)
    value = builder.op("reduce", value, kind="sum", axis=0)
    if kind == "mean" and count & (count - 1) == 0:
        value = shifted(builder, value, -(count.bit_length() - 1))
    elif kind == "mean" and after is not None:
        return quotient(builder, value, count, after)
    return value if after is None else builder.cast(value, after)
