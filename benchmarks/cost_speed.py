"""How many designs a second the cost model answers, on one core.

Jet-sized networks (16-64-32-32-5): expectations of architectures, none like another, and the
estimate of IR graphs with their weights; with the time of the parts of the latter.

    OMP_NUM_THREADS=1 python benchmarks/cost_speed.py [designs]
"""

from __future__ import annotations

import cProfile
import pstats
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from nacsr.cost import Build, dense_layers, estimate, expected
from nacsr.fixed import Fixed, Overflow
from nacsr.ir import Builder, Graph

SIZES = (16, 64, 32, 32, 5)


def architectures(count: int) -> list[Callable[[], object]]:
    """Estimates of architectures around the jet tagger's, each with its own sparsity."""
    rng = random.Random(1)
    found: list[Callable[[], object]] = []
    for _ in range(count):
        hidden = [rng.choice((16, 24, 32, 48, 64, 96)) for _ in range(3)]
        layers = dense_layers(
            (16, *hidden, 5),
            Fixed(rng.randint(4, 16), 1),
            Fixed(rng.randint(6, 16), 4),
            sparsity=rng.random(),
        )
        build = rng.choice((Build(), Build("resource", rng.choice((2, 4, 8)))))
        found.append(lambda layers=layers, build=build: expected(layers, "vu13p", 200.0, build))
    return found


def network(seed: int, bits: int = 8) -> Graph:
    """A jet tagger with random weights."""
    rng = np.random.default_rng(seed)
    word, weight = Fixed(16, 6), Fixed(bits, 1)
    hidden = Fixed(bits, 3, overflow=Overflow.SAT)
    builder = Builder()
    value = builder.input("x", word, SIZES[:1])
    for i, (n, m) in enumerate(pairwise(SIZES)):
        raw = np.rint(rng.normal(size=(n, m)) * 2 ** (bits - 3)).astype(np.int64)
        raw = raw.clip(weight.min_raw, weight.max_raw)
        bias = np.zeros(m, dtype=np.int64)
        value = builder.op(
            "dense", value, weight=raw, bias=bias, weight_type=weight, bias_type=weight
        )
        value = value if i == len(SIZES) - 2 else builder.op("relu", value)
        value = builder.cast(value, hidden)
    builder.output("y", value)
    return builder.build()


def rate(calls: list[Callable[[], object]]) -> float:
    """Calls a second of processor time, each once."""
    begin = time.process_time()
    for call in calls:
        call()
    return len(calls) / (time.process_time() - begin)


def main(count: int) -> None:
    """Print both rates, and where the time of the second goes."""
    expected(dense_layers((4, 4), Fixed(8, 1), Fixed(8, 4)), "vu13p", 200.0)  # makes its tables
    print(f"expectations: {rate(architectures(count)):,.0f} architectures/s")
    graphs = [network(seed) for seed in range(max(count // 10, 1))]
    calls: list[Callable[[], object]] = [
        lambda g=g: estimate(g, "vu13p", 200.0, "hls4ml") for g in graphs
    ]
    print(f"with weights: {rate(calls):,.0f} graphs/s")
    with cProfile.Profile() as profile:
        rate(calls)
    pstats.Stats(profile).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
