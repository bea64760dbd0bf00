"""The analytic cost of 33 networks beside their Vitis HLS 2023.1 C-synthesis reports.

Reports and weights: github.com/nairods/fastml_bitnet_benchmark (xcvu13p, 5 ns, hls4ml 1.2.0,
io_parallel, latency strategy, reuse factor 1), kept in ``shared/data/vu13p_dense`` beside the
repository. Biases are not published and taken as zero. The 15 qkeras designs come apart:
their other types are inferred. The 3 multiclass ones have 7-bit activations and the accumulators
that hls4ml infers. The 12 binary ones are a Keras model inside another, which hls4ml's
configuration by layer name does not reach: its default of fixed<16,6> holds for activations and
accumulators (counting DSPs and LUTs says the same).

    python benchmarks/cost_vu13p.py [folder of the data]
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from nacsr.cost import Build, Cost, dense_layers, estimate, expected
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder, Graph

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "vu13p_dense"
COLUMNS = {"LUT": "luts", "DSP": "dsps", "FF": "ffs", "latency_cycles": "latency_cycles"}


def build(
    layers: list[np.ndarray], weight: Fixed, hidden: Fixed, sigmoid: bool, sums: Fixed | None = None
) -> Graph:
    """Dense layers with relu between them; a table at the end of the binary classifiers.

    ``sums``, if given, is what every sum is cast to before anything reads it.
    """
    word = Fixed(16, 5, True, Rounding.RND, Overflow.SAT)
    builder = Builder()
    value = builder.input("x", word, (len(layers[0]),))
    for i, raw in enumerate(layers):
        last = i == len(layers) - 1
        bias = np.zeros(raw.shape[1], dtype=np.int64)
        value = builder.op(
            "dense", value, weight=raw, bias=bias, weight_type=weight, bias_type=weight
        )
        value = value if sums is None else builder.cast(value, sums)
        value = value if last else builder.op("relu", value)
        value = builder.cast(value, word if last and sums is None else sums or hidden)
    if sigmoid:  # hls4ml's table: 1024 entries over [-8, 8)
        address = Fixed(10, 4, True, overflow=Overflow.SAT)
        entries = address.to_float(np.arange(1024) - 1024 * (np.arange(1024) >= 512))
        table = Fixed(18, 8).quantize(1 / (1 + np.exp(-entries)))
        value = builder.cast(value, address)
        value = builder.op("lut", value, type=Fixed(18, 8), function="sigmoid", table=table)
    builder.output("y", value)
    return builder.build()


def predict(row: dict[str, str], weights: dict[str, np.ndarray]) -> Cost:
    """The estimate for one line of the reports."""
    count = len(row["layers"].split("-")) - 1
    layers = [weights[f"{row['design']}/w{i}"].astype(np.int64) for i in range(count)]
    frac = int(row["weight_frac_bits"])
    qkeras = "qkeras" in row["design"]
    weight = Fixed(7, 7 - frac) if qkeras else Fixed(16, 16 - frac)
    default = qkeras and row["task"] != "multiclass"
    hidden = Fixed(7, 3) if qkeras else Fixed(16, 5)
    hidden = hidden.with_modes("RND", "SAT")
    sigmoid = row["layers"].endswith("-1")
    graph = build(layers, weight, hidden, sigmoid, Fixed(16, 6) if default else None)
    options = Build(accumulator=16) if default else Build()
    return estimate(graph, "vu13p", 200.0, flow="hls4ml", build=options)


def before_weights(row: dict[str, str]) -> Cost:
    """The expectation for one line of the reports, from its architecture and types only."""
    qkeras = "qkeras" in row["design"]
    default = qkeras and row["task"] != "multiclass"
    frac = int(row["weight_frac_bits"])
    weight = Fixed(7, 7 - frac) if qkeras else Fixed(16, 16 - frac)
    word = Fixed(16, 6) if default else Fixed(16, 5, True, Rounding.RND, Overflow.SAT)
    narrow = Fixed(7, 3, True, Rounding.RND, Overflow.SAT)
    hidden = narrow if qkeras and not default else word
    sizes = [int(n) for n in row["layers"].split("-")]
    layers = list(dense_layers(sizes, weight.with_modes("RND"), hidden))
    layers[0] = replace(layers[0], activation=word)
    layers[-1] = replace(layers[-1], result=word, table=sizes[-1] == 1)
    return expected(layers, "vu13p", 200.0, Build(accumulator=16) if default else Build())


def show(title: str, pairs: list[tuple[Cost, dict[str, str]]]) -> None:
    """Print every design of a group, and its mean errors."""
    print(f"\n{title}: predicted / reported")
    errors = []
    for cost, row in pairs:
        got = [getattr(cost, m) for m in COLUMNS.values()]
        want = [int(row[c]) for c in COLUMNS]
        errors.append([g / w - 1 for g, w in zip(got, want, strict=True)])
        errors[-1][-1] = got[-1] - want[-1]
        text = "  ".join(
            f"{c[:3]} {g:>6}/{w:<6}" for c, g, w in zip(COLUMNS, got, want, strict=True)
        )
        print(f"{row['design']:<46}{text}")
    mean = np.abs(errors).mean(0)
    bias = np.mean(errors, axis=0)
    print(
        f"mean |error|: LUT {mean[0]:.2%} (bias {bias[0]:+.2%})  DSP {mean[1]:.2%}  "
        f"FF {mean[2]:.2%} (bias {bias[2]:+.2%})  cycles {mean[3]:.2f} "
        f"(bias {bias[3]:+.2f}, worst {np.abs(errors).max(0)[3]:.0f})"
    )
    for task in dict.fromkeys(row["task"] for _, row in pairs):
        part = [e for e, (_, row) in zip(errors, pairs, strict=True) if row["task"] == task]
        lut, dsp, ff, cycles = np.abs(part).mean(0)
        print(f"  {task:<14}LUT {lut:.2%}  DSP {dsp:.2%}  FF {ff:.2%}  cycles {cycles:.2f}")


def main(folder: Path) -> None:
    """Print both groups, with their weights and before they have any."""
    with (folder / "csynth.csv").open() as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "weights.npz") as archive:
        weights = dict(archive)
    for title, group in (
        ("fixed<16,5> everywhere", [r for r in rows if "qkeras" not in r["design"]]),
        ("qkeras, 7-bit weights", [r for r in rows if "qkeras" in r["design"]]),
    ):
        show(title, [(predict(row, weights), row) for row in group])
        show(f"{title}, before they have weights", [(before_weights(row), row) for row in group])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
