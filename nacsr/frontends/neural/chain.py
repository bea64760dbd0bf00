"""A quantised perceptron or deep set into the IR, exactly; image networks go by way of Brevitas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed
from nacsr.frontends.neural.lowering.arithmetic import quotient, shifted
from nacsr.frontends.neural.lowering.lower import OUTPUT_PORT
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.space import Dense, Layer, Network, Pool
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, verify

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
        network: dense layers and pools.
        plan: types of its quantisers.
        params: of every layer, real numbers.
        features: the words that arrive; those of a particle side by side.
        scaling: what standardises them.

    Raises:
        GraphError: if a value would need more than 63 bits.
    """
    builder = Builder()
    value = vector_stem(builder, features, scaling)
    if len(network.input) > 1:
        value = builder.op("reshape", value, to=network.input)
    value = builder.cast(value, plan[Place(-1, "after")])
    for number, layer in enumerate(network.layers):
        types = {p.what: t for p, t in plan.items() if p.layer == number}
        value = _layer(builder, value, layer, types, params[number])
    builder.output(OUTPUT_PORT, value)
    return verify(builder.build())


def _layer(
    builder: Builder,
    value: int,
    layer: Layer,
    types: Mapping[str, Fixed],
    params: Sequence[object],
) -> int:
    if isinstance(layer, Pool):
        return _pool(builder, value, layer.kind, types.get("after"))
    assert isinstance(layer, Dense)  # noqa: S101
    weight, bias = (np.asarray(p, dtype=np.float64) for p in params)
    value = builder.op(
        "dense",
        value,
        weight=types["weight"].quantize(weight.T),
        weight_type=types["weight"],
        bias=types["bias"].quantize(bias),
        bias_type=types["bias"],
    )
    return _activation(builder, value, layer.activation, types)


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
