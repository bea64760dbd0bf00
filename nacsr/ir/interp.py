"""The reference interpreter: numpy on raw integers. It defines what a design computes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nacsr.errors import GraphError
from nacsr.fixed import Raw
from nacsr.ir.graph import Graph
from nacsr.ir.ops import OPS

CHUNK_WORDS = 1 << 16  # words of the widest value at once: keeps the working set in cache


def evaluate(graph: Graph, inputs: Mapping[str, Raw]) -> dict[str, Raw]:
    """Run a graph on raw words.

    Args:
        graph: a verified graph.
        inputs: int64 array of shape (events, *shape) for every input port.

    Returns:
        int64 array of shape (events, *shape) for every output port.

    Raises:
        GraphError: for a missing port, a wrong shape or a word outside the port's type.
    """
    events = _check_inputs(graph, inputs)
    widest = max((math.prod(op.shape) for op in graph.ops), default=1)
    chunk = max(CHUNK_WORDS // max(widest, 1), 64)
    parts = []
    for start in range(0, max(events, 1), chunk):
        stop = min(start + chunk, events)
        parts.append(_run(graph, {n: x[start:stop] for n, x in inputs.items()}, stop - start))
    return {name: np.concatenate([p[name] for p in parts]) for name, _ in graph.outputs}


def _check_inputs(graph: Graph, inputs: Mapping[str, Raw]) -> int:
    events = None
    for name, index in graph.inputs:
        op = graph.ops[index]
        if name not in inputs:
            msg = f"input {name!r} is missing; the graph reads {[n for n, _ in graph.inputs]}"
            raise GraphError(msg)
        words = inputs[name]
        if words.dtype != np.int64 or words.shape[1:] != op.shape:
            msg = (
                f"input {name!r} must be int64 of shape (events, *{list(op.shape)}), "
                f"not {words.dtype} {list(words.shape)}"
            )
            raise GraphError(msg)
        if words.size and (words.min() < op.type.min_raw or words.max() > op.type.max_raw):
            msg = f"input {name!r} has words outside {op.type}"
            raise GraphError(msg)
        if events is not None and len(words) != events:
            msg = f"input {name!r} has {len(words)} events, others {events}"
            raise GraphError(msg)
        events = len(words)
    return 1 if events is None else events


def _run(graph: Graph, inputs: Mapping[str, Raw], events: int) -> dict[str, Raw]:
    values: list[Raw | None] = []
    last_use = {a: i for i, op in enumerate(graph.ops) for a in op.args}
    kept = {i for _, i in graph.outputs}
    for index, op in enumerate(graph.ops):
        if op.name == "input":
            values.append(inputs[str(op.attrs["name"])])
            continue
        raws = [_value(values, a) for a in op.args]
        values.append(OPS[op.name].eval(op, [graph.ops[a] for a in op.args], raws))
        for a in set(op.args):
            if last_use[a] == index and a not in kept:
                values[a] = None
    return {
        name: np.array(np.broadcast_to(_value(values, i), (events, *graph.ops[i].shape)))
        for name, i in graph.outputs
    }


def _value(values: list[Raw | None], index: int) -> Raw:
    value = values[index]
    if value is None:
        msg = f"%{index} was freed before its last use"
        raise GraphError(msg)
    return value
