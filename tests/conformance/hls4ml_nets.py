"""What the tests of hls4ml's C++ share: random layers, ways to build them, and projects."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.emit import hls4ml
from nacsr.emit import vectors as vec
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.project import ProjectMeta
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder, Graph, evaluate

EVENTS = 1000
TRAINED = ("RND_CONV", "SAT")  # the modes that quantisers of training use


@dataclass(frozen=True)
class Dice:
    """Random types and constants of a network."""

    rng: np.random.Generator
    any_modes: bool

    def upto(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def modes(self, type_: Fixed) -> Fixed:
        if not self.any_modes:
            return type_.with_modes(*TRAINED)
        rounding, overflow = self.rng.choice(list(Rounding)), self.rng.choice(list(Overflow))
        return type_.with_modes(str(rounding), str(overflow))

    def features(self, count: int, folded: bool) -> tuple[tuple[Feature, ...], Scaling]:
        if not folded:
            features = tuple(Feature(f"f{j}", Fixed(16, 5)) for j in range(count))
            return features, Scaling("external", (0,) * count, (0,) * count)
        types = [Fixed(16, self.upto(2, 12), bool(self.upto(0, 1))) for _ in range(count)]
        features = tuple(Feature(f"f{j}", t) for j, t in enumerate(types))
        offsets = tuple(self.upto(t.min_raw, t.max_raw) for t in types)
        return features, Scaling("folded", offsets, tuple(self.upto(-3, 8) for _ in types))

    def linear(self, outputs: int, shape: Sequence[int]) -> dict[str, object]:
        """Weights of a layer that sees ``shape``, some of them at the ends of their type."""
        bits = int(self.rng.choice([4, 6, 8, 12]))
        integer = self.upto(-2, 2)
        type_, bias_type = Fixed(bits, integer), Fixed(bits + 2, integer + self.upto(-2, 1))
        size = (*shape, outputs)
        weight = self.rng.integers(type_.min_raw, type_.max_raw, size, endpoint=True)
        weight.flat[0], weight.flat[-1] = type_.max_raw, type_.min_raw  # saturated
        weight[..., self.upto(0, outputs - 1)] = 0  # only its bias is left
        bias = self.rng.integers(bias_type.min_raw, bias_type.max_raw, outputs, endpoint=True)
        return {"weight": weight, "weight_type": type_, "bias": bias, "bias_type": bias_type}

    def dense(self, b: Builder, x: int, outputs: int) -> int:
        return b.op("dense", x, **self.linear(outputs, b.ops[x].shape[-1:]))

    def conv(self, b: Builder, x: int, outputs: int) -> int:
        """Windows of 1 to 3, steps of 1 to 3, zeros before and after; small outputs."""
        *sizes, channels = b.ops[x].shape
        window = [self.upto(1, min(3, n)) for n in sizes]
        # hls4ml's streams skip no rows with windows of one row
        stride = [self.upto(1, 3) if w > 1 else 1 for w in window]
        padding = [[self.upto(0, 1), self.upto(0, 1)] for _ in sizes]
        weights = self.linear(outputs, (*window, channels))
        return b.op("conv", x, stride=stride, padding=padding, **weights)

    def pool(self, b: Builder, x: int, mean: bool) -> int:
        window = [self.upto(1, min(3, n)) for n in b.ops[x].shape[:-1]]
        if not mean:
            return b.op("pool", x, kind="max", window=window, stride=window)
        total = b.op("pool", x, kind="sum", window=window, stride=[min(w, 2) for w in window])
        return self.divided(b, total, int(np.prod(window)))

    def divided(self, b: Builder, x: int, count: int) -> int:
        return b.op("mul", x, b.const(round(2**10 / count), Fixed(11, 1, False)))

    def fitted(self, b: Builder, x: int) -> int:
        """A cast that some values overflow and that drops fractional bits of most."""
        graph, t = Graph(tuple(b.ops), (("y", x),)), b.type(x)
        reached = np.abs(evaluate(graph, vec.random_words(graph, 100, seed=0))["y"])
        integer = int(np.quantile(reached, 0.8)).bit_length() - t.frac + t.signed
        return b.cast(x, self.modes(Fixed(int(self.rng.choice([6, 8, 10])), integer, t.signed)))

    def bent(self, b: Builder, x: int) -> int:
        """An activation: leaky, rectified or none, and a cast."""
        kind = self.rng.choice(["leaky_relu", "relu", "none"])
        if kind == "leaky_relu":
            x = b.op("leaky_relu", x, n=self.upto(1, 4))
        elif kind == "relu":
            x = b.op("relu", x)
        return self.fitted(b, x)

    def activation(self, b: Builder, x: int) -> int:
        rectified = self.upto(0, 3) > 0
        if rectified:
            x = b.op("relu", x)
        bits = int(self.rng.choice([4, 6, 8, 12]))
        return b.cast(x, self.modes(Fixed(bits, self.upto(0, 4), not rectified)))

    def table(self, b: Builder, x: int) -> int:
        x = b.cast(x, self.modes(Fixed(6, self.upto(1, 3))))
        table = self.rng.integers(-256, 256, 64)
        x = b.op("lut", x, type=Fixed(9, 2), function="random", table=table)
        return b.cast(x, self.modes(Fixed(5, 2, signed=False))) if self.upto(0, 1) else x


OPTIONS = (
    Hls4mlOptions(),
    Hls4mlOptions("io_stream"),
    Hls4mlOptions(strategy="resource", reuse_factor=4),
    Hls4mlOptions("io_stream", "resource", 30),
)


def emit(
    graph: Graph, out: Path, name: str = "tagger", options: Hls4mlOptions | None = None
) -> Path:
    meta = ProjectMeta(name, "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", ())
    return hls4ml.emit(graph, out, meta, vec.random_words(graph, 20, seed=1), options)
