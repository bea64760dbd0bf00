"""Expected costs of single dense layers beside their Vivado HLS 2020.1 C-synthesis reports.

987 reports of github.com/Dendendelen/wa-hls4ml-search (results_format_test.csv: xcu250, 5 ns,
fixed<16,6> words and accumulators), kept in ``shared/data/wa_hls4ml`` beside the repository. Their
weights are not there: LeCun uniform and never trained (their generator says so), truncated to
fixed<prec,1> (2-bit layers of 64 and 96 inputs would be empty, were they rounded).

Errors are |predicted / reported - 1|. A row whose report says 0 counts as 0 if 0 is predicted,
else as 1. Nothing was fitted to the LUTs and DSPs of reuse factor 1. For higher ones the constants
of ``nacsr.cost.memories`` were read off rows of 12-bit weights, and the form of the rules off rows
of all precisions; so ``held_out`` fits the same form anew, by least squares, to the layers of up
to 128 outputs, or of more, and reports on the others.

    python benchmarks/cost_layers.py [folder of the data]
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from nacsr.cost import Build, Cost, Layer, expected
from nacsr.fixed import Fixed

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "wa_hls4ml"
COLUMNS = {
    "luts": "LUT_hls",
    "ffs": "FF_hls",
    "dsps": "DSP_hls",
    "brams": "BRAM_18K_hls",
    "latency_cycles": "WorstLatency_hls",
    "ii_cycles": "IntervalMax_hls",
}
Row = dict[str, str]


def read(folder: Path) -> list[Row]:
    """The rows that were synthesised."""
    with (folder / "results_format_test.csv").open() as file:
        return [r for r in csv.DictReader(file) if r["hls_synth_success"] == "TRUE"]


def predict(row: Row) -> Cost:
    """The expectation for one line of the reports."""
    inputs, outputs, bits, reuse = (int(row[k]) for k in ("d_in", "d_out", "prec", "rf"))
    layer = Layer(inputs, outputs, Fixed(bits, 1), Fixed(16, 6), relu=False)
    build = Build(strategy=row["strategy"], reuse_factor=reuse, accumulator=16)
    return expected((layer,), "vu13p", 200.0, build)


def error(cost: Cost, row: Row, metric: str) -> float:
    """Predicted / reported - 1, signed."""
    got, want = getattr(cost, metric), float(row[COLUMNS[metric]])
    if want == 0:
        return 0.0 if got == 0 else 1.0
    return float(got / want - 1.0)


def kind(row: Row) -> str:
    """Which rules a row is for."""
    if row["rf"] == "1":
        return "reuse factor 1"
    return f"{row['strategy']}, reuse factor > 1"


def show(title: str, rows: Iterable[Row]) -> None:
    """Mean errors of a group, with their bias."""
    costs = [(predict(r), r) for r in rows]
    parts = []
    for metric in COLUMNS:
        errors = [error(c, r, metric) for c, r in costs]
        parts.append(f"{metric} {np.mean(np.abs(errors)):6.2%} ({np.mean(errors):+.1%})")
    off = [abs(c.latency_cycles - int(r["WorstLatency_hls"])) for c, r in costs]
    print(f"{title:<42}{len(costs):>4}  {'  '.join(parts)}  cycles off by {np.mean(off):.2f}")


def main(folder: Path) -> None:
    """Print the mean errors of every kind, and of parts of it."""
    rows = read(folder)
    for name in dict.fromkeys(sorted(map(kind, rows))):
        group = [r for r in rows if kind(r) == name]
        print()
        show(name, group)
        split(group, "prec", lambda v: f"{v} bits")
        split(group, "d_in", lambda v: f"{v} inputs")
        if name == "resource, reuse factor > 1":
            held_out(group)
        if name == "reuse factor 1":
            for strategy in ("latency", "resource"):
                show(f"  strategy {strategy}", [r for r in group if r["strategy"] == strategy])


def terms(row: Row) -> list[float]:
    """What the rules of memories add up for LUTs, without their constants."""
    inputs, outputs, reuse = (int(row[k]) for k in ("d_in", "d_out", "rf"))
    multipliers = math.ceil(inputs * outputs / reuse)
    pair = 16 * multipliers if reuse == 2 * inputs else 0
    choices = 1 << (outputs - 1).bit_length()
    pick = 0 if pair else 16 * multipliers * (choices - 1) / 3
    return [1, 16 * inputs, 16 * outputs, pair, pick]


def held_out(rows: list[Row]) -> None:
    """Fit the constants to small layers and report on large ones, then the other way round."""
    x = np.array([terms(r) for r in rows])
    y = np.array([float(r["LUT_hls"]) for r in rows])
    small = np.array([int(r["d_out"]) <= 128 for r in rows])
    for fitted, on in ((small, "up to 128"), (~small, "more than 128")):
        found = np.linalg.lstsq(x[fitted] / y[fitted, None], np.ones(fitted.sum()))[0]
        inside, outside = (np.abs(x[s] @ found / y[s] - 1).mean() for s in (fitted, ~fitted))
        values = ", ".join(f"{v:.2f}" for v in found)
        print(
            f"LUTs fitted to {on} outputs: there {inside:.2%}, on the others {outside:.2%} "
            f"(shell, input, output, pair, pick: {values})"
        )


def split(rows: list[Row], key: str, label: Callable[[int], str]) -> None:
    """The same for every value of a column."""
    for value in sorted({int(r[key]) for r in rows}):
        show(f"  {label(value)}", [r for r in rows if int(r[key]) == value])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
