"""Published designs whose architecture and precision are given: predicted next to printed.

Printed figures: ``shared/data/published_results.csv`` beside the repository, transcribed from the
papers. Nobody prints weights, so they are drawn: in quantised networks normal, three deviations
filling the word (the scale of a tensor is its largest weight); in plain fixed point uniform within
sqrt(3 / inputs), as layers begin. Nothing was tuned on these rows.

    python benchmarks/cost_published.py [--data FILE] [--write docs/published.md]

With ``--write`` the table goes into that document, between its two marks.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import Cost, estimate
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder, Graph

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "published_results.csv"
MARKS = ("<!-- begin cost_published -->", "<!-- end cost_published -->")
METRICS = {"LUT": "luts", "DSP": "dsps", "FF": "ffs", "latency_cycles": "latency_cycles"}
SHORT = {"latency_cycles": "cycles"}
STAGES = ("csynth", "vsynth")
EIGHT = Fixed(8, 1)
SLOPE = 3
"""Leaky relus are taken to have the slope 2**-3."""


@dataclass(frozen=True, slots=True)
class Row:
    """A printed design, and how it is rebuilt; what is assumed stands in docs/published.md.

    Attributes:
        table, model: of the row in the file.
        graph: makes the network, by the type of the words between its layers.
        words: those types; two where the source does not say.
        build: options of hls4ml.
        luts: LUTs printed, where several rows share a name.
    """

    table: str
    model: str
    graph: Callable[[Fixed], Graph]
    words: tuple[Fixed, ...]
    build: Mapping[str, Any] = field(default_factory=dict)
    luts: str = ""
    target: str = "vu13p"
    clock_mhz: float = 200.0


@dataclass(slots=True)
class Network:
    """A network under construction.

    Attributes:
        weight: type of the weights.
        word: type of the words between layers.
        scaled: whether the weights have a scale of their own, so that they fill their words.
        seed: of the weights.
    """

    weight: Fixed
    word: Fixed
    scaled: bool = True
    seed: int = 0
    builder: Builder = field(default_factory=Builder)
    at: int = -1

    def read(self, *shape: int) -> Network:
        """The input."""
        self.at = self.builder.input("x", self.word.plain(), shape)
        return self

    def drawn(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """Weights, the last axis that of the outputs."""
        rng = np.random.default_rng((self.seed, *shape))
        type_ = self.weight.with_modes("RND", "SAT")
        if self.scaled:
            return type_.quantize(rng.normal(0, type_.max / 3, tuple(shape)))
        spread = math.sqrt(3 / math.prod(shape[:-1]))
        return type_.quantize(rng.uniform(-spread, spread, tuple(shape)))

    def _linear(self, name: str, shape: Sequence[int], **more: Any) -> None:
        self.at = self.builder.op(
            name,
            self.at,
            weight=self.drawn(shape),
            bias=self.drawn((1, shape[-1])).ravel(),
            weight_type=self.weight,
            bias_type=self.weight,
            **more,
        )

    def dense(self, outputs: int, activation: str = "relu") -> Network:
        """A layer on the last axis; a batch norm behind it is folded into it."""
        self._linear("dense", (self.builder.ops[self.at].shape[-1], outputs))
        return self.activated(activation)

    def conv(self, outputs: int, activation: str = "") -> Network:
        """Kernels of 3 by 3 without padding."""
        shape = (3, 3, self.builder.ops[self.at].shape[-1], outputs)
        padding = np.zeros((2, 2), np.int64)
        self._linear("conv", shape, stride=np.array([1, 1]), padding=padding)
        return self.activated(activation)

    def activated(self, activation: str) -> Network:
        """The word behind a layer: relu, leaky, or none."""
        if activation == "relu":
            self.at = self.builder.op("relu", self.at)
        elif activation == "leaky":
            self.at = self.builder.op("leaky_relu", self.at, n=SLOPE)
        self.at = self.builder.cast(self.at, self.word)
        return self

    def mean(self) -> Network:
        """Over the first axis, of a power of two."""
        axis = self.builder.ops[self.at].shape[0]
        self.at = self.builder.op("reduce", self.at, kind="sum", axis=0)
        self.at = self.builder.op("shift", self.at, n=-(axis.bit_length() - 1))
        self.at = self.builder.cast(self.at, self.word)
        return self

    def flat(self) -> Network:
        """One axis."""
        size = math.prod(self.builder.ops[self.at].shape)
        self.at = self.builder.op("reshape", self.at, to=np.array([size]))
        return self

    def done(self) -> Graph:
        """The graph."""
        self.builder.output("y", self.at)
        return self.builder.build()


Layers = Sequence[tuple[int, str]]


def deep_set(phi: Layers, rho: Layers) -> Callable[[Fixed], Graph]:
    """8 particles of 3 features, the mean of what phi makes of them, rho."""

    def made(word: Fixed) -> Graph:
        network = Network(EIGHT, word).read(8, 3)
        for outputs, activation in phi:
            network.dense(outputs, activation)
        network.mean()
        for outputs, activation in rho:
            network.dense(outputs, activation)
        return network.done()

    return made


def bragg(kernels: Layers, layers: Layers) -> Callable[[Fixed], Graph]:
    """11 by 11 pixels, convolutions, dense layers."""

    def made(word: Fixed) -> Graph:
        network = Network(EIGHT, word).read(11, 11, 1)
        for outputs, activation in kernels:
            network.conv(outputs, activation)
        network.flat()
        for outputs, activation in layers:
            network.dense(outputs, activation)
        return network.done()

    return made


def jets(weight: Fixed, scaled: bool = True) -> Callable[[Fixed], Graph]:
    """16-64-32-32-5."""

    def made(word: Fixed) -> Graph:
        network = Network(weight, word, scaled).read(16)
        for n, m in pairwise((16, 64, 32, 32, 5)):
            network.dense(m, "relu" if (n, m) != (32, 5) else "")
        return network.done()

    return made


B1, B2 = "Table 1+2 (arch: B1)", "Table 3+4 (arch: B2)"
R, L, N = "relu", "leaky", ""
IMAGES = {"reuse_factor": 4, "strategy": "resource", "io_type": "io_stream"}
SETS = {"reuse_factor": 2}
PLAIN = Fixed(18, 8, True, Rounding.TRN, Overflow.WRAP)
WORDS = (Fixed(8, 3, True, Rounding.RND, Overflow.SAT), Fixed(16, 6))
"""As narrow as the weights, or hls4ml's default."""
SIX = (Fixed(6, 3, True, Rounding.RND, Overflow.SAT), Fixed(16, 6))

ROWS = (
    Row(
        B1,
        "BraggNN-Large",
        bragg(((8, N), (64, N), (32, N)), ((32, L), (64, R), (64, L), (2, N))),
        WORDS,
        IMAGES,
    ),
    Row(
        B1,
        "BraggNN-Medium",
        bragg(((8, N), (16, R), (4, L)), ((64, L), (64, L), (16, L), (2, N))),
        WORDS,
        IMAGES,
    ),
    Row(
        B1,
        "BraggNN-Small",
        bragg(((8, N), (2, L), (4, L)), ((64, L), (32, R), (16, L), (2, N))),
        WORDS,
        IMAGES,
    ),
    Row(
        B1,
        "BraggNN-Tiny",
        bragg(((8, N),), ((32, L), (32, L), (32, L), (2, N))),
        WORDS,
        IMAGES,
    ),
    Row(B2, "DeepSets-Baseline", deep_set(((32, R), (32, R)), ((16, R), (5, N))), WORDS, SETS),
    Row(
        B2,
        "DeepSets-Large",
        deep_set(((64, R), (16, N)), ((128, R), (16, L), (64, R), (5, N))),
        WORDS,
        SETS,
    ),
    Row(
        B2,
        "DeepSets-Medium",
        deep_set(((32, R), (8, N)), ((32, L), (16, L), (64, L), (5, N))),
        WORDS,
        SETS,
    ),
    Row(
        B2,
        "DeepSets-Small",
        deep_set(((16, L), (8, N)), ((8, R), (10, L), (16, L), (5, N))),
        WORDS,
        SETS,
    ),
    Row(B2, "DeepSets-Tiny", deep_set(((8, R), (8, N)), ((32, R), (5, N))), WORDS, SETS),
    Row(
        "Table 3",
        "JetDNN Baseline [27]",
        jets(PLAIN, scaled=False),
        (PLAIN,),
        target="vu9p",
        clock_mhz=100.0,
    ),
    Row(
        "Table 4",
        "MetaML [27] FPL23",
        jets(PLAIN, scaled=False),
        (PLAIN,),
        luts="69751",
        target="vu9p",
    ),
    Row("Table 4", "QKeras Q6 [5] NMI21", jets(Fixed(6, 1)), SIX, target="vu9p"),
)


def predicted(row: Row, word: Fixed, stage: str) -> Cost:
    """The estimate at a stage."""
    from nacsr.cost import Build

    more = {} if stage == "csynth" else {"stage": stage}
    build = Build(**row.build)
    graph = row.graph(word)
    return estimate(graph, row.target, row.clock_mhz, "hls4ml", build=build, **more)


def printed(row: Row, rows: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The line of the file.

    Raises:
        ValueError: if it is not there once.
    """
    found = [
        r
        for r in rows
        if r["table"] == row.table and r["model"] == row.model and row.luts in ("", r["LUT"])
    ]
    if len(found) != 1:
        msg = f"{len(found)} lines for {row.table}, {row.model} in the file; expected one"
        raise ValueError(msg)
    return found[0]


def cell(value: float, text: str) -> str:
    """A prediction and, where a number is printed, its ratio to that."""
    return f"{value:,.0f}" + (f" ({value / float(text):.2f})" if text and float(text) else "")


def table(rows: Sequence[Mapping[str, str]], stages: Sequence[str]) -> list[str]:
    """Lines of Markdown."""
    head = ["design", "words"]
    for name in METRICS:
        head += [f"{SHORT.get(name, name)} printed", *stages]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row in ROWS:
        want = printed(row, rows)
        for word in row.words:
            costs = [predicted(row, word, stage) for stage in stages]
            cells = [row.model, f"{word.width} bits"]
            for column, metric in METRICS.items():
                text = want[column]
                cells.append(f"{float(text):,.0f}" if text else "-")
                cells += [cell(getattr(cost, metric), text) for cost in costs]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table, or put it into a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    with asked.data.open(newline="") as file:
        lines = table(list(csv.DictReader(file)), asked.stages)
    if asked.write is None:
        print("\n".join(lines))
        return
    text = asked.write.read_text()
    begin, end = MARKS
    made = "\n".join((begin, "", *lines, "", end))
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        msg = f"{asked.write} has no marks {begin} and {end}; put them where the table belongs"
        raise SystemExit(msg)
    asked.write.write_text(pattern.sub(lambda _: made, text))


if __name__ == "__main__":
    main()
