"""Networks whose da4ml cost and open synthesis are looked at, in families.

``random`` ones are of uniform weights; ``trained`` ones are jet taggers that others published
(shared/data/vu13p_dense beside the repository: 16 bits, quantised to fewer here, and 7 bits as they
were trained); ``sets`` share a network over particles and ``images`` a kernel over places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder, Graph

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "vu13p_dense"
Weights = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A design of a family."""

    family: str
    name: str
    graph: Graph


def layer(b: Builder, x: int, weight: Weights, type_: Fixed, bias: Weights, word: Fixed) -> int:
    """Dense, relu, and a cast to the word that the next layer reads."""
    y = b.op("dense", x, weight=weight, bias=bias, weight_type=type_, bias_type=type_)
    return b.cast(b.op("relu", y), word)


def last(b: Builder, x: int, weight: Weights, type_: Fixed, bias: Weights) -> None:
    """Dense, and the output port."""
    y = b.op("dense", x, weight=weight, bias=bias, weight_type=type_, bias_type=type_)
    b.output("y", b.cast(y, Fixed(12, 6, True, Rounding.TRN, Overflow.SAT)))


def mlp(weights: list[Weights], type_: Fixed, read: Fixed, word: Fixed, seed: int) -> Graph:
    """A perceptron: ``word`` between its layers, small biases of its own."""
    rng, b = np.random.default_rng(seed), Builder()
    x = b.input("x", read, (len(weights[0]),))
    for k, weight in enumerate(weights):
        bias = rng.integers(type_.min_raw // 2, type_.max_raw // 2 + 1, weight.shape[1])
        if k == len(weights) - 1:
            last(b, x, weight, type_, bias)
        else:
            x = layer(b, x, weight, type_, bias, word)
    return b.build()


def unsigned(bits: int, integer: int) -> Fixed:
    """A word behind a relu."""
    return Fixed(bits, integer, False, Rounding.RND, Overflow.SAT)


def drawn(shape: tuple[int, ...], bits: int, kept: float, rng: np.random.Generator) -> Weights:
    """Uniform signed weights, a share of them kept and the others zero."""
    end = (1 << (bits - 1)) - 1
    return rng.integers(-end, end + 1, shape) * (rng.random(shape) < kept)


RANDOM = (
    ((16, 8, 5), 4, 1.0),
    ((16, 16, 5), 4, 0.5),
    ((16, 16, 8, 5), 5, 0.5),
    ((16, 16, 16, 5), 6, 0.3),
    ((16, 32, 16, 5), 6, 0.6),
    ((16, 32, 32, 5), 4, 0.3),
    ((16, 32, 32, 5), 8, 0.15),
    ((8, 16, 16, 1), 8, 1.0),
    ((16, 64, 32, 32, 5), 4, 0.2),
    ((16, 64, 32, 32, 5), 6, 0.2),
    ((32, 24, 10), 5, 0.7),
    ((10, 10, 10, 10), 7, 0.8),
)
"""Widths of layers, bits of weights (and words), share of weights that are not zero."""


def random_networks() -> Iterator[Named]:
    """Perceptrons of uniform weights."""
    for seed, (sizes, bits, kept) in enumerate(RANDOM):
        rng = np.random.default_rng(seed)
        weights = [drawn(pair, bits, kept, rng) for pair in pairwise(sizes)]
        word = unsigned(bits, 3)
        read = Fixed(bits + 2, 3)
        graph = mlp(weights, Fixed(bits, 1), read, word, seed)
        name = f"{'-'.join(map(str, sizes))} {bits}b {kept:.0%}"
        yield Named("random", name, graph)


TRAINED = (
    ("dense_baseline_64_32_32_seed42", 3),
    ("multiclass_dense_baseline_64_32_32_seed43", 4),
    ("dense_128_32_seed44", 4),
    ("topqg_dense_baseline_64_32_32_seed42", 5),
    ("multiclass_dense_128_32_seed42", 6),
    ("multiclass_qkeras_b7_64_32_32_seed42", 7),
    ("qkeras_b7_128_32_seed43", 7),
    ("topqg_qkeras_b7_64_32_32_seed44", 7),
)
"""Published networks, and bits that their weights are quantised to (the 7-bit ones as they are)."""


def trained_networks(folder: Path = DATA) -> Iterator[Named]:
    """Published jet taggers; none where the data is absent."""
    if not (folder / "weights.npz").exists():
        return
    with np.load(folder / "weights.npz") as archive:
        arrays = dict(archive)
    for name, bits in TRAINED:
        count = sum(key.startswith(f"{name}/w") for key in arrays)
        raw = [arrays[f"{name}/w{k}"].astype(np.float64) for k in range(count)]
        fine = 6 if "b7" in name else 11
        type_ = Fixed(bits, bits - 6 if "b7" in name else 1, True, Rounding.RND, Overflow.SAT)
        weights = [type_.quantize(np.ldexp(w, -fine)) for w in raw]
        graph = mlp(weights, type_, Fixed(bits + 2, 3), unsigned(bits, 3), 0)
        yield Named("trained", f"{name} {bits}b", graph)


def set_networks() -> Iterator[Named]:
    """Deep sets: a network for every particle, a sum over them, a network for the sum."""
    for seed, (particles, inner, bits) in enumerate(((8, 8, 4), (8, 16, 5), (16, 8, 6))):
        rng, b = np.random.default_rng(100 + seed), Builder()
        type_, word = Fixed(bits, 1), unsigned(bits, 3)
        x = b.input("x", Fixed(bits + 2, 3), (particles, 3))
        for shape in ((3, inner), (inner, inner)):
            bias = np.zeros(shape[1], np.int64)
            x = layer(b, x, drawn(shape, bits, 0.5, rng), type_, bias, word)
        x = b.cast(b.op("reduce", x, kind="sum", axis=0), unsigned(bits + 3, 6))
        x = layer(b, x, drawn((inner, 16), bits, 0.5, rng), type_, np.zeros(16, np.int64), word)
        last(b, x, drawn((16, 5), bits, 0.5, rng), type_, np.zeros(5, np.int64))
        yield Named("sets", f"{particles} particles, {inner} wide, {bits}b", b.build())


def image_networks() -> Iterator[Named]:
    """A convolution, pooling, and a dense layer."""
    for seed, (side, channels, bits) in enumerate(((8, 2, 4), (8, 4, 5), (11, 3, 4))):
        rng, b = np.random.default_rng(200 + seed), Builder()
        type_, word = Fixed(bits, 1), unsigned(bits, 3)
        x = b.input("x", Fixed(bits + 1, 2, False), (side, side, 1))
        x = b.op(
            "conv",
            x,
            weight=drawn((3, 3, 1, channels), bits, 0.8, rng),
            bias=np.zeros(channels, np.int64),
            weight_type=type_,
            bias_type=type_,
            stride=np.array([1, 1]),
            padding=np.zeros((2, 2), np.int64),
        )
        x = b.cast(b.op("relu", x), word)
        x = b.op("pool", x, kind="max", window=np.array([2, 2]), stride=np.array([2, 2]))
        x = b.op("reshape", x, to=np.array([int(np.prod(b.ops[x].shape))]))
        size = b.ops[x].shape[0]
        last(b, x, drawn((size, 2), bits, 0.5, rng), type_, np.zeros(2, np.int64))
        yield Named("images", f"{side}x{side}, {channels} channels, {bits}b", b.build())


def designs() -> Iterator[Named]:
    """All of them."""
    yield from random_networks()
    yield from trained_networks()
    yield from set_networks()
    yield from image_networks()
