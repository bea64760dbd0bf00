"""The stem of every design: from raw words to standardised values.

Expressions read one scalar port a feature; networks read one vector port of all words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Raw, hull
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir.rows import align

VECTOR_PORT = "x"


def scalar_stem(builder: Builder, features: Sequence[Feature], scaling: Scaling, j: int) -> int:
    """The standardised value of feature ``j``, exact: ``(x - offset) >> shift``."""
    feature = features[j]
    value = builder.input(feature.name, feature.type.plain())
    if scaling.offsets[j]:
        offset = builder.const(scaling.offsets[j], feature.type.plain())
        value = builder.op("sub", value, offset)
    if scaling.shifts[j]:
        value = builder.op("shift", value, n=-scaling.shifts[j])
    return value


def vector_stem(builder: Builder, features: Sequence[Feature], scaling: Scaling) -> int:
    """All standardised values as one vector, exact; cast it to the network's input type.

    Folded: the port carries raw words as integers (LSB 1), which are centred and multiplied
    by one power of two a feature (wires). External: the port has the words' common type.
    """
    shape = (len(features),)
    if scaling.identity and len({f.type.plain() for f in features}) == 1:
        return builder.input(VECTOR_PORT, features[0].type.plain(), shape)
    signed = any(f.type.signed for f in features)
    width = max(f.type.width + (signed and not f.type.signed) for f in features)
    port = Fixed(width, width, signed)
    words = builder.input(VECTOR_PORT, port, shape)
    centred = builder.op("sub", words, builder.const(scaling.offsets, port))
    powers = [-f.type.frac - s for f, s in zip(features, scaling.shifts, strict=True)]
    low, high = min(powers), max(powers)
    scale = Fixed(high - low + 1, high + 1, False)
    factors = builder.const([1 << (p - low) for p in powers], scale)
    return builder.op("mul", centred, factors)


def bind(graph: Graph, features: Sequence[Feature], words: Raw) -> dict[str, Raw]:
    """The interpreter's inputs for words of shape (events, features).

    A scalar port is the feature of its name; ports with a shape take, in their order, as many
    columns as they have elements, beginning with the first.

    Raises:
        GraphError: if a port is not a feature, or the ports need more columns than there are.
    """
    columns = {f.name: words[:, j] for j, f in enumerate(features)}
    inputs, begin = {}, 0
    for name, index in graph.inputs:
        shape = graph.ops[index].shape
        end = begin + math.prod(shape)
        if shape and end > words.shape[1]:
            msg = f"port {name!r} needs {list(shape)} words; only {words.shape[1] - begin} are left"
            raise GraphError(msg)
        if shape:
            inputs[name] = np.ascontiguousarray(words[:, begin:end]).reshape(-1, *shape)
            begin = end
        elif name in columns:
            inputs[name] = np.ascontiguousarray(columns[name])
        else:
            msg = f"the design reads {name!r}; the features are {', '.join(columns)}"
            raise GraphError(msg)
    return inputs


def scores(graph: Graph, features: Sequence[Feature], words: Raw) -> Raw:
    """Bit-true outputs for words of shape (events, features), on one common scale.

    Returns:
        Raw integers of shape (events, outputs), comparable with each other: vector outputs
        are laid side by side and every column is aligned to the finest output grid.
    """
    outputs = evaluate(graph, bind(graph, features, words))
    types = {name: graph.ops[i].type for name, i in graph.outputs}
    common = score_type(graph)
    columns = [align(outputs[name], types[name], common) for name, _ in graph.outputs]
    events = len(words)
    return np.concatenate(
        [c.reshape(events, -1) if c.shape else np.full((events, 1), c) for c in columns], axis=1
    )  # a constant output has no events


def score_type(graph: Graph) -> Fixed:
    """The common scale of ``scores``: the smallest type that holds every output."""
    return hull(*(graph.ops[i].type for _, i in graph.outputs))
