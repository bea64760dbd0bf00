"""Trees on the generated jets: accuracy beside LUTs of open synthesis, and the estimate beside it.

    python benchmarks/trees.py --seed 1 2 3           grown trees, picked by validation events
    python benchmarks/trees.py --cost                 estimate / Yosys on tree designs of all kinds
    python benchmarks/trees.py --xgboost              our import beside xgboost's own predictions
    python benchmarks/trees.py --conifer PYTHON       conifer's own figures for that model

Of four fifths of 155,484 jets (not the public set) a tenth is kept for validation: which design
stands for a budget of LUTs is decided there, and only there. Its accuracy on the last fifth is
bit-true; LUTs, FFs and cycles are those of ``nacsr synth --tool yosys``, ports registered. What
``--conifer`` needs has an environment of its own: xgboost and conifer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from symbolic_data import Task, jets

import nacsr
from nacsr.data.words import Scaling
from nacsr.design import Design, Setting
from nacsr.errors import NacsrError
from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees.grow import Grower, Objective, Recipe
from nacsr.frontends.reference.trees.lower import lower
from nacsr.frontends.reference.trees.model import Ensemble
from nacsr.metrics import accuracy
from nacsr.synthesis import synthesise

TARGET, CLOCK_MHZ = "vu13p", 200.0
BUDGETS = {100: 0.675, 400: 0.687, 800: 0.695}
"""LUTs, and the accuracy that is wanted for them."""
RECIPES = (
    (Recipe(6, 3, 1, price=2.5e-4, passes=2), (1, 2, 3)),
    (Recipe(6, 4, 2, price=1e-4, passes=2), (2, 3, 5)),
    (Recipe(6, 4, 2, price=4e-5, passes=2), (8, 11, 16)),
)
"""How trees are grown, and the numbers of rounds that become designs."""
QUICK_ROWS = 8_000
"""Events that trees are grown on where only their cost is looked at."""


@dataclass(frozen=True, slots=True)
class Row:
    """A design: what it is, accuracies, the estimate, and what was measured."""

    name: str
    validation: float
    test: float
    estimated: tuple[float, float]
    luts: float
    ffs: float
    cycles: float

    @property
    def ratio(self) -> float:
        """LUTs estimated / measured."""
        return self.estimated[0] / self.luts


def design(task: Task, ensemble: Ensemble, name: str) -> Design:
    """The RTL design of an ensemble."""
    zeros = (0,) * len(task.features)
    scaling = Scaling("external", zeros, zeros)
    setting = Setting(task.features, task.classes, scaling, TARGET, CLOCK_MHZ)
    return Design(lower(ensemble, task.features, task.classes), setting, "trees", name, "rtl")


def measured(made: Design, validation: float, test: float) -> Row:
    """The row of a design, synthesised; every word is simulated on the way.

    Raises:
        NacsrError: if it cannot be synthesised, or a word differs.
    """
    cost = made.cost()
    values = {m.metric: m.value for m in synthesise(made, "yosys").measurements}
    if values["mismatches"]:
        msg = f"{made.title}: {values['mismatches']:.0f} words differ"
        raise NacsrError(msg)
    found = (values[k] for k in ("luts", "ffs", "latency_cycles"))
    return Row(made.title, validation, test, (cost.luts, cost.ffs), *found)


def grown(task: Task) -> Iterator[Row]:
    """A ladder of designs, grown on nine tenths of the events that are not for the test."""
    train, types = task.train, [f.type for f in task.features]
    order = np.random.default_rng(task.seed).permutation(len(train))
    kept, fitted = train.take(order[: len(train) // 10]), train.take(order[len(train) // 10 :])
    for recipe, rounds in RECIPES:
        grower = Grower(fitted.words, types, Objective(fitted, len(task.classes)), recipe)
        for count in rounds:
            name = f"{count} x {recipe.depth} questions, {recipe.bits} bits"
            made = design(task, grower.grow(count), name)
            right = [accuracy(made.run(e.words), e.y)[0] for e in (kept, task.test)]
            yield measured(made, *right)


HEAD = f"{'':26} valid.   test    LUT (estim.)   FF cycles"


def show(row: Row) -> None:
    """One line."""
    print(f"{row.name:26} {row.validation:.4f} {row.test:.4f} ", end="")
    print(f"{row.luts:6.0f} {row.estimated[0]:8.0f} {row.ffs:5.0f} {row.cycles:6.0f}", flush=True)


def ladder(seeds: Sequence[int]) -> None:
    """Designs of every seed, and for every budget what validation picks."""
    for seed in seeds:
        print(f"seed {seed}: {HEAD}")
        rows = []
        for row in grown(jets(seed)):
            show(row)
            rows.append(row)
        for budget, wanted in BUDGETS.items():
            cheap = [r for r in rows if r.luts <= budget]
            best = max(cheap, key=lambda r: r.validation, default=None)
            if best is not None:
                print(
                    f"  at most {budget} LUT, {wanted} wanted: {best.test:.4f} in {best.luts:.0f}"
                )


# --- the estimate ------------------------------------------------------------------------------


def trained(task: Task, rounds: int, depth: int, rows: int = QUICK_ROWS) -> dict[str, object]:
    """scikit-learn's histogram boosting on words, as ``nacsr-trees 1``."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(
        max_iter=rounds, max_depth=depth, learning_rate=0.5, early_stopping=False
    ).fit(task.values(task.train)[:rows], task.train.y[:rows])
    trees = [
        {
            "output": output,
            "feature": nodes["feature_idx"].tolist(),
            "threshold": nodes["num_threshold"].tolist(),
            "left": np.where(nodes["is_leaf"], -1, nodes["left"].astype(int)).tolist(),
            "right": nodes["right"].tolist(),
            "value": nodes["value"].tolist(),
        }
        for stage in fitted._predictors
        for output, nodes in enumerate(p.nodes for p in stage)
    ]
    return {
        "format": "nacsr-trees 1",
        "features": task.names,
        "outputs": task.classes,
        "base": fitted._baseline_prediction.ravel().tolist(),
        "left_if": "<=",
        "compared_as": "float64",
        "types": [str(f.type.plain()) for f in task.features],
        "trees": trees,
    }


def tree_designs(task: Task) -> Iterator[Design]:
    """Grown trees of many shapes, and trained ones at two widths of scores."""
    types = [f.type for f in task.features]
    events = task.train.take(slice(QUICK_ROWS))
    objective = Objective(events, len(task.classes))
    for depth, bits, price, most in (
        (2, 2, 1e-4, 6), (3, 3, 1e-4, 6), (4, 2, 1e-4, 6), (4, 4, 0.0, 6), (5, 3, 5e-4, 6),
        (6, 3, 1e-4, 6), (6, 4, 0.0, 6), (6, 5, 1e-3, 6),
    ):  # fmt: skip
        recipe = Recipe(depth, bits, bits - 2, price=price)
        grower = Grower(events.words, types, objective, recipe)
        for rounds in (1, 3, most):
            name = f"grown {rounds} x {depth}, {bits} bits, price {price:g}"
            yield design(task, grower.grow(rounds), name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        for rounds, depth in ((1, 2), (2, 3), (5, 3), (2, 4), (2, 5)):
            path.write_text(json.dumps(trained(task, rounds, depth)))
            for width in (6, 10):
                made = nacsr.compile(path, precision=f"fixed<{width},4>", to="rtl")
                yield Design(
                    made.graph, made.setting, "trees", f"trained {rounds} x {depth}, {width} bits",
                    "rtl",
                )  # fmt: skip


def cost(seed: int) -> None:
    """The estimate beside Yosys."""
    print(f"{'':36} estim. yosys ratio |  FF estim. yosys")
    rows = []
    for made in tree_designs(jets(seed)):
        row = measured(made, 0.0, 0.0)
        rows.append(row)
        print(f"{row.name:36} {row.estimated[0]:6.0f} {row.luts:5.0f} {row.ratio:5.2f} ", end="")
        print(f"| {row.estimated[1]:6.0f} {row.ffs:6.0f}", flush=True)
    summary([r.ratio for r in rows], "LUT")
    summary([r.estimated[1] / r.ffs for r in rows], "FF")


def summary(ratios: Iterable[float], what: str) -> None:
    """Median, range, and what nine of ten stay within."""
    found = sorted(ratios)
    off = sorted(abs(r - 1) for r in found)
    print(
        f"{what} estimate / yosys, n={len(found)}: median {statistics.median(found):.3f}, "
        f"{found[0]:.2f}..{found[-1]:.2f}, nine of ten within {off[int(0.9 * len(off))]:.0%}"
    )


# --- models of others --------------------------------------------------------------------------

WORD = Fixed.parse("fixed<12,1,RND,SAT>")


def inputs(task: Task, words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Words as numbers in -1..1, the same for every library."""
    return words / 2.0**16


def compared(seed: int, rounds: int = 10, depth: int = 3) -> None:
    """Our import of a model of xgboost beside its own predictions on the same 12-bit numbers."""
    import xgboost

    task = jets(seed)
    told = {"objective": "multi:softprob", "num_class": len(task.classes), "seed": seed}
    data = xgboost.DMatrix(inputs(task, task.train.words), label=task.train.y)
    model = xgboost.train({**told, "max_depth": depth, "eta": 0.5}, data, rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(path)
        made = nacsr.compile(path, precision=str(WORD.plain()), to="rtl")
    x = WORD.to_float(WORD.quantize(inputs(task, task.test.words)))
    theirs = model.predict(xgboost.DMatrix(x), output_margin=True)
    ours = made.run(x)
    other = theirs.argmax(1) != ours.argmax(1)
    top = np.sort(theirs, 1)
    close = top[:, -1] - top[:, -2] <= 2 * max(made.bounds.values())
    print(f"same class: {1 - other.mean():.5f} of {len(x)} events at {WORD.plain()}")
    print(f"of {other.sum()} others {(other & close).sum()} are closer than the rounding of leaves")
    print(f"scores: {np.abs(theirs - ours).max():.5f} apart at most, proven: ", end="")
    print(f"{max(made.bounds.values()):.5f}; accuracy {(ours.argmax(1) == task.test.y).mean():.4f}")
    show(measured(made, float("nan"), accuracy(ours, task.test.y)[0]))


CONIFER = """
import sys
import numpy as np, xgboost, conifer
from conifer.utils.performance import performance_estimates
given = np.load(sys.argv[1])
data = xgboost.DMatrix(given["x"], label=given["y"])
told = {"objective": "multi:softprob", "num_class": 5, "seed": 1, "max_depth": 3, "eta": 0.5}
for rounds in (2, 5, 10):
    model = xgboost.train(told, data, rounds)
    settings = {"backend": "cpp", "output_dir": "x", "project_name": "trees",
                "precision": "ap_fixed<12,4>"}
    made = conifer.converters.convert_from_xgboost(model, settings)
    for backend in ("vhdl", "xilinxhls"):
        print(conifer.__version__, rounds, "rounds:", performance_estimates(made, backend), backend)
"""


def conifer(python: str, seed: int) -> None:
    """What conifer's own fitted rules say of models like the one of ``--xgboost``: no report of a
    vendor's tool, and nothing that Yosys read, since its back ends write VHDL and HLS."""
    task = jets(seed)
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.npz"
        np.savez(events, x=inputs(task, task.train.words), y=task.train.y)
        done = subprocess.run([python, "-c", CONIFER, str(events)], capture_output=True, cwd=folder)
        print((done.stdout + done.stderr).decode()[-3000:])


def main() -> None:
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--xgboost", action="store_true")
    parser.add_argument("--conifer", default="", metavar="PYTHON")
    asked = parser.parse_args()
    with threadpool_limits(1):
        if asked.cost:
            cost(asked.seed[0])
        elif asked.xgboost:
            compared(asked.seed[0])
        elif asked.conifer:
            conifer(asked.conifer, asked.seed[0])
        else:
            ladder(asked.seed)


if __name__ == "__main__":
    main()
