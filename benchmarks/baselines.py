"""What a tagger of jets must beat: linear and additive models, boosted trees, networks.

    python benchmarks/baselines.py --seed 1 2 3 [--features 3|6|16]

fits everything on four fifths of the 155,484 generated jets (not the public set) and prints
accuracies on the rest: of floating point, and bit-true where there is a design, with its
hardware at 200 MHz by our estimate. Of several seeds medians are printed; features are ranked on
the first one. Which designs of the grid of additive tables are shown is decided by the test
accuracies that are printed. Rows of the method "quoted" were measured once, elsewhere, on the
same jets by other splits and methods.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from additive import design, fit, work
from numpy.typing import NDArray
from symbolic_data import Task, jets

from nacsr.design import Design
from nacsr.frontends.reference.additive import Group, fit_tables
from nacsr.frontends.reference.cuts import Cut
from nacsr.frontends.reference.fitting import Goal
from nacsr.metrics import accuracy

TARGET, CLOCK_MHZ = "vu13p", 200.0
ADDRESS_BITS = (5, 6, 7)
FRACTIONAL_BITS = (1, 2, 3, 4)
BIN_BITS = 6
IMPORTANCE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """One classifier.

    Attributes:
        name: what it is.
        accuracy: of floating point on the test events; None if only the design was measured.
        bit_true: of the design; None without one.
        luts, dsps, cycles: of the design; None without one, or where nobody said.
        method: how the hardware was counted.
    """

    name: str
    accuracy: float | None
    bit_true: float | None = None
    luts: float | None = None
    dsps: float | None = None
    cycles: float | None = None
    method: str = "float, no hardware"


YOSYS = "quoted: combinational, yosys"
HGQ = "quoted: HGQ2 + da4ml, its own cost"
ANCHORS = (
    Row("trees 2 x depth 3, 6 bits", None, 0.6806, 85, 0, None, YOSYS),
    Row("trees 5 x depth 3", None, 0.6881, 346, 0, None, YOSYS),
    Row("trees 10 x depth 3", None, 0.6952, 750, 0, None, YOSYS),
    Row("trees 10 x depth 4", None, 0.7020, 1519, 0, None, YOSYS),
    Row("HGQ network", None, 0.6475, 220, 0, 2, HGQ),
    Row("HGQ network", None, 0.6682, 316, 0, 2, HGQ),
    Row("HGQ network", None, 0.6858, 616, 0, 2, HGQ),
    Row("HGQ network", None, 0.7002, 972, 0, 3, HGQ),
    Row("HGQ network", None, 0.7055, 1416, 0, 3, HGQ),
    Row("HGQ network", None, 0.7100, 2146, 0, 3, HGQ),
    Row("HGQ network", None, 0.7123, 3069, 0, 3, HGQ),
    Row("HGQ network", None, 0.7155, 4008, 0, 4, HGQ),
    Row("HGQ network", None, 0.7190, 5958, 0, 4, HGQ),
    Row("HGQ network", None, 0.7220, 11794, 0, 5, HGQ),
    Row("HGQ network", None, 0.7244, 15519, 0, 5, HGQ),
)
"""Measured on these jets with all 16 features, once each (design notes, neural.md)."""


def ranked(task: Task) -> tuple[str, ...]:
    """Features by permutation importance of boosted trees on training events, best first."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance

    x, y = task.values(task.train), task.train.y
    trees = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=0)
    trees.fit(x, y)
    some = slice(IMPORTANCE_ROWS)
    found = permutation_importance(trees, x[some], y[some], n_repeats=3, random_state=0)
    return tuple(task.names[j] for j in np.argsort(-found.importances_mean))


def _standardised(task: Task) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    train, test = task.values(task.train), task.values(task.test)
    mean, spread = train.mean(0), train.std(0)
    return (train - mean) / spread, (test - mean) / spread


def _score(task: Task, scores: NDArray[np.float64]) -> float:
    return float((scores.argmax(1) == task.test.y).mean())


def logistic(task: Task) -> list[Row]:
    """Multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    train, test = _standardised(task)
    fitted = LogisticRegression(max_iter=500).fit(train, task.train.y)
    return [Row("logistic regression", float(fitted.score(test, task.test.y)))]


def quadratic(task: Task) -> list[Row]:
    """All products of two features, by least squares on the one-hot classes."""

    def terms(z: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = np.triu_indices(z.shape[1])
        return np.hstack([np.ones((len(z), 1)), z, z[:, first] * z[:, second]])

    train, test = (terms(z) for z in _standardised(task))
    normal = train.T @ train + 1e-3 * np.eye(train.shape[1])  # two features are identical
    target = np.eye(len(task.classes))[task.train.y]
    weights = np.linalg.solve(normal, train.T @ target)
    return [Row(f"quadratic, {train.shape[1] - 1} terms", _score(task, test @ weights))]


def additive_floats(task: Task) -> list[Row]:
    """Additive tables on 64 bins of equal content a feature: no hardware cuts so, and so these
    say what the sum of one function a feature can do."""
    shares = np.arange(1, 1 << BIN_BITS) / (1 << BIN_BITS)
    edges = [np.unique(np.quantile(column, shares)) for column in task.train.words.T]

    def binned(words: NDArray[np.int64]) -> NDArray[np.int64]:
        columns = zip(edges, words.T, strict=True)
        return np.stack([np.searchsorted(e, c, side="right") for e, c in columns], 1)

    train, test = binned(task.train.words), binned(task.test.words)
    targets = np.eye(len(task.classes))[task.train.y]
    groups = [Group((j,), (Cut(0, 0, BIN_BITS),)) for j in range(train.shape[1])]
    least = fit_tables(groups, train, Goal(targets, regression=True))
    likely = fit_tables(groups, train, Goal(targets))
    return [
        Row("additive tables, least squares", _score(task, least.scores(test))),
        Row("additive tables, softmax", _score(task, likely.scores(test))),
    ]


def additive_tables(
    task: Task,
    bits: Sequence[int] = ADDRESS_BITS,
    fractional: Sequence[int] = FRACTIONAL_BITS,
    target: str = TARGET,
    clock_mhz: float = CLOCK_MHZ,
) -> list[Row]:
    """Additive tables in hardware, two rows a design: C-synthesis and our Verilog.

    Args:
        task: the events.
        bits: of an address, to be tried.
        fractional: fractional bits of an entry, to be tried.
        target: device.
        clock_mhz: clock frequency.
    """
    rows, found = [], work(task, target, clock_mhz)
    for width in bits:
        model = fit(found, width)
        real = _score(task, model.scores(task.test.words))
        for frac in fractional:
            name = f"additive, {width}-bit address, f={frac}"
            rows += _designed(task, design(found, model, frac, name), real)
    return rows


def _designed(task: Task, made: Design, real: float) -> list[Row]:
    right = accuracy(made.run(task.test.words), task.test.y)[0]
    rows = []
    for flow, method in (("hls", "analytic, csynth"), ("rtl", "analytic, rtl")):
        cost = made.to(flow).cost()
        rows.append(Row(made.title, real, right, cost.luts, cost.dsps, cost.latency_cycles, method))
    return rows


def front(rows: Iterable[Row]) -> list[Row]:
    """The designs that no other of the same method beats or equals in accuracy, LUTs, DSPs and
    cycles; rows without a design stay."""
    rows = list(rows)

    def beats(a: Row, b: Row) -> bool:
        one, two = ((-r.bit_true, r.luts, r.dsps, r.cycles) for r in (a, b))
        return one != two and all(x <= y for x, y in zip(one, two, strict=True))

    def beaten(row: Row) -> bool:
        same = [r for r in rows if r.bit_true is not None and r.method == row.method]
        return row.bit_true is not None and any(beats(r, row) for r in same)

    return [row for row in rows if not beaten(row)]


def trees(task: Task) -> list[Row]:
    """Boosted trees of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = []
    for rounds, depth, rate in ((10, 3, 0.5), (60, 3, 0.3), (60, None, 0.1)):
        fitted = HistGradientBoostingClassifier(
            max_iter=rounds,
            max_depth=depth,
            learning_rate=rate,
            early_stopping=False,
            random_state=task.seed,
        ).fit(task.values(task.train), task.train.y)
        size = "31 leaves" if depth is None else f"depth {depth}"
        right = float(fitted.score(task.values(task.test), task.test.y))
        rows.append(Row(f"boosted trees {rounds} x {size}", right))
    return rows


def network(task: Task, epochs: int = 90) -> list[Row]:
    """The 64-32-32 network in floating point."""
    import torch

    torch.manual_seed(task.seed)
    train, test = (torch.from_numpy(z).float() for z in _standardised(task))
    y = torch.from_numpy(task.train.y)
    sizes = (train.shape[1], 64, 32, 32, len(task.classes))
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    batches = [slice(n, n + 1024) for n in range(0, len(y), 1024)]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(batches))
    for _ in range(epochs):
        order = torch.randperm(len(y))
        for batch in batches:
            optimiser.zero_grad()
            rows = order[batch]
            torch.nn.functional.cross_entropy(model(train[rows]), y[rows]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        return [Row("network 64-32-32", _score(task, model(test).numpy()))]


FLOATS = (logistic, quadratic, additive_floats, trees, network)
BASELINES = (*FLOATS, additive_tables)


def medians(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Rows whose numbers are the medians of those of the same name and method."""

    def middle(rows: Sequence[Row], key: str) -> float | None:
        values = [getattr(row, key) for row in rows]
        return None if None in values else statistics.median(values)

    keys = ("accuracy", "bit_true", "luts", "dsps", "cycles")
    return [
        replace(rows[0], **{key: middle(rows, key) for key in keys})
        for rows in zip(*runs, strict=True)
    ]


def show(rows: Iterable[Row]) -> None:
    """One line a row."""
    print(f"{'':36} float   bit-true    LUT  DSP  cycles  method")
    for r in rows:
        real, true = ("-" if v is None else f"{v:.4f}" for v in (r.accuracy, r.bit_true))
        luts, dsps, cycles = ("-" if v is None else f"{v:,.0f}" for v in (r.luts, r.dsps, r.cycles))
        print(f"{r.name:36} {real:>6}  {true:>7} {luts:>7} {dsps:>4}  {cycles:>5}   {r.method}")


def main() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--features", type=int, nargs="+", default=[3, 6, 16])
    asked = parser.parse_args()
    torch.set_num_threads(1)  # small models: threads that wait for each other take longer
    with threadpool_limits(1):
        compare([jets(seed) for seed in asked.seed], asked.features)


def compare(tasks: Sequence[Task], counts: Sequence[int]) -> None:
    """Print medians over the tasks, which are the same data split by several seeds.

    Args:
        tasks: one a seed.
        counts: numbers of features; the best ones of the first task, so that all speak of the
            same.
    """
    order = ranked(tasks[0])
    for count in counts:
        started = time.perf_counter()
        parts = [task.only(order[:count]) for task in tasks]
        runs = [[row for model in BASELINES for row in model(part)] for part in parts]
        seconds = (time.perf_counter() - started) / len(runs)
        seeds = ", ".join(str(task.seed) for task in tasks)
        print(f"\n{count} features, seeds {seeds}, {seconds:.0f} s a seed: ", end="")
        print(", ".join(parts[0].names))
        show([*front(medians(runs)), *(ANCHORS if count == len(order) else ())])


if __name__ == "__main__":
    main()
