"""The reference interpreter against hls4ml's compiled ``predict``, samples a second, same run.

Both get the same words, one process, one thread, and must return the same numbers. hls4ml's
time does not contain its compilation, which is printed beside it.

    python benchmarks/interpreter.py [events]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it: hls4ml's predict has one thread

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nacsr.emit.hls4ml_model import Hls4mlOptions, model_graph, prepared, quiet
from nacsr.emit.layers import to_network
from nacsr.emit.project import ProjectMeta
from nacsr.emit.vectors import random_words
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate, verify

WEIGHT, BIAS = Fixed(6, 1), Fixed(8, 4)
ACTIVATION = Fixed(6, 3, False, "RND_CONV", "SAT")
ROUNDS = 5
rng = np.random.default_rng(1)


def linear(b: Builder, x: int, outputs: int, last: bool = False) -> int:
    """Dense on the last axis, relu and a quantiser behind it."""
    shape = (b.ops[x].shape[-1], outputs)
    weight, bias = rng.integers(-31, 32, shape), rng.integers(-99, 99, outputs)
    x = b.op("dense", x, weight=weight, weight_type=WEIGHT, bias=bias, bias_type=BIAS)
    return x if last else b.cast(b.op("relu", x), ACTIVATION)


def convolution(b: Builder, x: int, outputs: int) -> int:
    """A 3 x 3 convolution, relu and a quantiser behind it."""
    weight = rng.integers(-31, 32, (3, 3, b.ops[x].shape[-1], outputs))
    bias, none = rng.integers(-99, 99, outputs), [[0, 0], [0, 0]]
    parameters = {"weight": weight, "weight_type": WEIGHT, "bias": bias, "bias_type": BIAS}
    x = b.op("conv", x, stride=[1, 1], padding=none, **parameters)
    return b.cast(b.op("relu", x), ACTIVATION)


def mlp() -> Graph:
    """16-64-32-32-5."""
    b = Builder()
    x = b.input("x", Fixed(8, 4), (16,))
    for width in (64, 32, 32):
        x = linear(b, x, width)
    b.output("y", linear(b, x, 5, last=True))
    return b.build()


def cnn() -> Graph:
    """16 x 16 pixels, two convolutions of 8 channels, max pooling, 16-5."""
    b = Builder()
    x = convolution(b, b.input("x", Fixed(8, 4), (16, 16, 1)), 8)
    x = b.op("pool", x, kind="max", window=[2, 2], stride=[2, 2])
    x = convolution(b, x, 8)
    x = linear(b, b.op("reshape", x, to=[200]), 16)
    b.output("y", linear(b, x, 5, last=True))
    return b.build()


def deep_set() -> Graph:
    """32 particles of 6 features, 32-32 each, mean, 32-5."""
    b = Builder()
    x = b.input("x", Fixed(8, 4), (32, 6))
    for width in (32, 32):
        x = linear(b, x, width)
    mean = b.op("shift", b.op("reduce", x, kind="sum", axis=0), n=-5)
    x = linear(b, b.cast(mean, ACTIVATION), 32)
    b.output("y", linear(b, x, 5, last=True))
    return b.build()


def best(run: Callable[[], object]) -> float:
    """The shortest time of several, in seconds."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def compare(name: str, graph: Graph, events: int) -> float:
    """Print both speeds and their ratio; return the ratio."""
    words = random_words(verify(graph), events, 1)
    meta = ProjectMeta(name, "xcvu13p-flga2577-2-e", "vu13p", 200.0, "hls4ml", ())
    values = np.ascontiguousarray(graph.ops[0].type.to_float(words["x"]), dtype=np.float32)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        options = Hls4mlOptions()
        network = prepared(to_network(graph), options)
        model = model_graph(network, name, Path(scratch), meta, options)
        begin = time.perf_counter()
        model.compile()
        compilation = time.perf_counter() - begin
        theirs = best(lambda: model.predict(values))
        found = model.predict(values).reshape(events, -1)
    ours = best(lambda: evaluate(graph, words))
    output = graph.ops[graph.outputs[0][1]].type
    if not np.array_equal(output.to_float(evaluate(graph, words)["y"]), found):
        msg = f"{name}: hls4ml and the interpreter differ"
        raise SystemExit(msg)
    ratio = theirs / ours
    speeds = f"interpreter {events / ours:>10,.0f}/s   hls4ml predict {events / theirs:>9,.0f}/s"
    print(f"{name:9} {speeds}   ratio {ratio:5.1f}   (after {compilation:.0f} s of g++)")
    return ratio


def main(events: int) -> None:
    """All three networks."""
    ratios = [
        compare(f.__name__, f(), events // share)
        for f, share in ((mlp, 1), (cnn, 8), (deep_set, 8))
    ]
    print(f"smallest ratio {min(ratios):.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 80_000)
