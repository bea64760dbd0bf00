"""The analytic cost beside rule4ml's on the same designs: errors against reports, and time.

rule4ml 0.2.0 (PyPI, GPL, 3..8 GB with TensorFlow and torch) is no dependency: make it an
environment of its own and name its Python. It runs in a child process and reads architectures
only. A fresh install aborts where TensorFlow and torch both load LLVM: ``pip uninstall triton``.

    python benchmarks/cost_rule4ml.py --rule4ml-python ENV/bin/python [--every 20]

Designs: 33 jet taggers (xcvu13p, Vitis HLS 2023.1) and single dense layers of wa_hls4ml (xcu250,
Vivado HLS 2020.1; all of reuse factor 1, every n-th of the others). Both are C-synthesis at 5 ns.
nacsr reads the weights of the taggers; of the layers none are published, so it expects them.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.cost import Cost

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
CHILD = Path(__file__).with_name("rule4ml_child.py")
METRICS = ("LUT", "FF", "DSP", "BRAM", "CYCLES")
OURS = ("luts", "ffs", "dsps", "brams", "latency_cycles")


@dataclass(frozen=True, slots=True)
class Case:
    """A design.

    Attributes:
        group: of the summary.
        network: what rule4ml reads, see ``rule4ml_child``.
        precisions: of the weights and of the words between layers: rule4ml takes one for both.
        cost: nacsr's estimate.
        report: what C-synthesis said, in the order of ``METRICS``; NaN where it was not kept.
    """

    group: str
    network: Mapping[str, Any]
    precisions: tuple[str, str]
    cost: Callable[[], Cost]
    report: tuple[float, ...]


def taggers(folder: Path) -> list[Case]:
    """The 33 of vu13p_dense."""
    from cost_vu13p import predict

    with (folder / "csynth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "weights.npz") as archive:
        weights = dict(archive)
    found = []
    for row in rows:
        narrow = "qkeras" in row["design"]
        network = {
            "name": row["design"],
            "sizes": [int(n) for n in row["layers"].split("-")],
            "last": "sigmoid" if row["layers"].endswith("-1") else "softmax",
            "reuse": 1,
            "strategy": "latency",
            "hls4ml": "1.1.0",
            "vivado": "2023.1",
        }
        columns = ("LUT", "FF", "DSP", "BRAM18", "latency_cycles")
        report = tuple(float(row[c] or "nan") for c in columns)
        group = "15 taggers, 7-bit weights" if narrow else "18 taggers, fixed<16,5>"
        types = ("ap_fixed<7, 1>" if narrow else "ap_fixed<16, 5>", "ap_fixed<16, 5>")
        found.append(Case(group, network, types, lambda row=row: predict(row, weights), report))
    return found


def layers(folder: Path, every: int) -> list[Case]:
    """Single layers of wa_hls4ml."""
    from cost_layers import predict, read

    rows = read(folder)
    single = [r for r in rows if int(r["rf"]) == 1]
    chosen = single + [r for r in rows if int(r["rf"]) > 1][::every]
    found = []
    for row in chosen:
        reuse = int(row["rf"])
        network = {
            "name": row["model_name"],
            "sizes": [int(row["d_in"]), int(row["d_out"])],
            "last": "linear",
            "reuse": reuse,
            "strategy": row["strategy"],
            "hls4ml": "0.8.1",
            "vivado": "2020.1",
        }
        columns = ("LUT_hls", "FF_hls", "DSP_hls", "BRAM_18K_hls", "WorstLatency_hls")
        report = tuple(float(row[c] or "nan") for c in columns)
        group = "layers, reuse factor 1" if reuse == 1 else "layers, reuse factor > 1"
        types = (f"ap_fixed<{row['prec']}, 1>", "ap_fixed<16, 6>")
        found.append(Case(group, network, types, lambda row=row: predict(row), report))
    return found


def theirs(python: Path, cases: Sequence[Case], which: int) -> tuple[np.ndarray, np.ndarray]:
    """rule4ml's predictions, shape (designs, metrics), and CPU seconds of each.

    Args:
        python: of its environment.
        cases: the designs.
        which: of the precisions it is told, 0 that of the weights.
    """
    request = json.dumps([{**case.network, "precision": case.precisions[which]} for case in cases])
    done = subprocess.run([python, CHILD], input=request, text=True, capture_output=True)
    if done.returncode:
        msg = f"rule4ml failed: {done.stderr.strip().splitlines()[-1:]}"
        raise SystemExit(msg)
    rows = json.loads(done.stdout)
    values = np.array([[row[m] for m in METRICS] for row in rows])
    return values, np.array([row["seconds"] for row in rows])


def ours(cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """The same of nacsr, from weights or sizes to the estimate."""
    values, seconds = [], []
    cases[0].cost()
    for case in cases:
        begin = time.process_time()
        cost = case.cost()
        seconds.append(time.process_time() - begin)
        values.append([getattr(cost, m) for m in OURS])
    return np.array(values, float), np.array(seconds)


def errors(found: np.ndarray, reports: np.ndarray) -> str:
    """Mean errors: percent where a report says more than 0, of cycles also in cycles."""
    cells = []
    for k, metric in enumerate(METRICS):
        some = reports[:, k] > 0
        relative = np.abs(found[some, k] / reports[some, k] - 1)
        cells.append(
            f"{metric} {100 * relative.mean():6.1f} %" if some.any() else f"{metric}      - "
        )
        cells[-1] += "" if some.all() else f" (n={some.sum()})"
    cells.append(f"cycles {np.nanmean(np.abs(found[:, -1] - reports[:, -1])):6.1f} off")
    return "  ".join(cells)


def main() -> None:
    """Print both tools, group by group."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rule4ml-python", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--every", type=int, default=20)
    asked = parser.parse_args()
    cases = taggers(asked.data / "vu13p_dense")
    cases += layers(asked.data / "wa_hls4ml", asked.every)
    tools = {
        "nacsr": ours(cases),
        "rule4ml, weights' bits": theirs(asked.rule4ml_python, cases, 0),
        "rule4ml, words' bits": theirs(asked.rule4ml_python, cases, 1),
    }
    reports = np.array([case.report for case in cases])
    for group in dict.fromkeys(case.group for case in cases):
        mine = np.array([case.group == group for case in cases])
        print(f"\n{group}: {mine.sum()} designs, mean |predicted / reported - 1|")
        for name, (values, seconds) in tools.items():
            text = errors(values[mine], reports[mine])
            print(f"  {name:<24}{text}  {1e3 * np.median(seconds[mine]):,.2f} CPU-ms")


if __name__ == "__main__":
    main()
