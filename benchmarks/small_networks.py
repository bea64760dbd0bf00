"""Table networks and lean ones of jets against HGQ2 and da4ml, in half of their CPU time.

    python benchmarks/small_networks.py [--sets] [--seeds 1 2 3] [--budget 660] [--anchor FILE]

Networks of several shapes are trained and made smaller on 70 % of the 155,484 generated jets
(not the public set), standardised beforehand. Every design on the way becomes logic by da4ml,
whose integers must equal the network's scores on every validation and test event; da4ml's cost
is the LUTs. Of a seed the designs are shown that no other beats on validation events in accuracy
and LUTs; accuracies are bit-true, of test events.

The anchor is what HGQ2 and da4ml reached on the same jets in 22 CPU-minutes (two runs of another
split, only with inputs in the network's own types), or what ``anchor_hgq.py`` writes:
anchor_hgq.jsonl is one run of it, 1800 epochs on the events of seed 1, 24 CPU-minutes. Compared
are hypervolumes (decades of LUTs times test error, below 20,000 LUTs and an error of 0.4), and
every point of the anchor with the best design that is not larger; a second hypervolume counts what
is smaller than the anchor's smallest design as if it were as large. ``--rows`` writes the events
for the anchor; a budget of 0 trains nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import lean_da4ml
import numpy as np
import tables_da4ml
from baselines import ANCHORS, HGQ
from da4ml_logic import KINDS, WORD, Array, Logic
from numpy.typing import NDArray
from symbolic_data import JETS

from nacsr.data.dataset import load
from nacsr.frontends.neural.descents import Task
from nacsr.frontends.neural.lean import model as lean_model
from nacsr.frontends.neural.lean.descent import descend as lean_descend
from nacsr.frontends.neural.lean.stage import Schedule as LeanSchedule
from nacsr.frontends.neural.lean.state import stack_of
from nacsr.frontends.neural.population.steps import CROSS_ENTROPY
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.frontends.neural.stacks import sizes
from nacsr.frontends.neural.tables import model as table_model
from nacsr.frontends.neural.tables.descent import descend as table_descend
from nacsr.frontends.neural.tables.stage import Schedule as TablesSchedule
from nacsr.prepare import prepare
from nacsr.spec import StudySpec

BUDGET = 660.0
"""CPU seconds of a seed: half of the anchor's."""
SCHEDULES = {
    "lean": LeanSchedule(first=6000, between=400, share=0.03, polish=4000, rung=0.75, least=3000.0),
    "tables": TablesSchedule(polish=1500),
}
SHAPES = (
    ("tables", (12,)),
    ("lean", (32, 16)),
    ("tables", (20,)),
    ("lean", (64, 32, 32)),
    ("lean", (32, 16)),
    ("tables", (8,)),
    ("lean", (40, 24)),
)
"""What is made smaller, in this order, and then anew from other weights."""
SETS = (
    ("tables", (12, "sum")),
    ("tables", (16, "sum", 12)),
    ("tables", (8, "sum")),
    ("tables", (16, 12, "sum")),
)
"""The same of deep sets."""
PARTICLES = 8
AGAIN = 100
"""Descents that one seed has numbers for."""
BATCH = 1024
ERROR = 0.0023
"""Statistical error of an accuracy, within which a point of the anchor counts as reached."""
WORST = (20_000.0, 0.4)
"""LUTs and error where hypervolumes end."""

Rows = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Point:
    """A design.

    Attributes:
        luts: da4ml's cost.
        accuracy: of test events.
        chosen_by: accuracy of validation events.
        cycles, registers: of the pipeline.
        name: where it comes from.
    """

    luts: float
    accuracy: float
    chosen_by: float
    cycles: int
    registers: int = 0
    name: str = ""


PUBLISHED = {
    "own inputs": [
        Point(r.luts or 0, r.bit_true or 0, math.nan, int(r.cycles or 0))
        for r in ANCHORS
        if r.method == HGQ
    ]
}
"""The anchor of the design notes: two runs, its designs chosen by validation accuracy there."""


PUBLISHED_SETS = {
    "own inputs": [
        Point(4_294, 0.573, math.nan, 4),
        Point(6_582, 0.591, math.nan, 4),
        Point(9_173, 0.600, math.nan, 5),
        Point(15_252, 0.615, math.nan, 5),
    ]
}
"""Deep sets of 8 particles there: one run of 1,308 CPU-s, said to be undertrained."""


def events(seed: int, *, sets: bool = False) -> dict[str, NDArray[np.float32]]:
    """Standardised words and classes of the three parts: x_train, y_train, x_val ... y_test.

    Args:
        seed: of the split.
        sets: whether they are the three features of eight particles, not those of the jet.
    """
    source: dict[str, object] = {"source": str(JETS)}
    document = {
        "dataset": source | ({"data": "constituents", "particles": PARTICLES} if sets else {}),
        "seed": seed,
        "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
        "inputs": {"scaling": "external"},
        "precision": "fixed<11,5>",
    }
    spec = StudySpec.from_mapping(document)
    with tempfile.TemporaryDirectory() as place:
        prepared = prepare(spec, load(spec.dataset), Path(place))
    problem = prepared.problem
    parts = {"train": problem.train, "val": problem.validation, "test": prepared.test}
    x = {f"x_{n}": problem.values(e).astype(np.float32) for n, e in parts.items()}
    return x | {f"y_{n}": e.y.astype(np.float32) for n, e in parts.items()}


@dataclass(frozen=True, slots=True)
class Design:
    """A network on the way down: exact scores of words, and logic by kind."""

    name: str
    scores: Callable[[Array], Array]
    logic: Callable[[str], Logic]


def descents(rows: Rows, seed: int) -> Iterator[Design]:
    """Designs of every shape, from the largest to the smallest; then anew from other weights."""
    x, y = rows["x_train"], rows["y_train"]
    inputs, classes = x.shape[1], int(y.max()) + 1
    sets = inputs == PARTICLES * 3
    shape = (PARTICLES, 3) if sets else (inputs,)
    inputs = shape[-1]
    top = 2.0 ** WORD[1]
    for again, (kind, parts) in enumerate(itertools.cycle(SETS if sets else SHAPES)):
        network = Network(shape, (*map(_layer, parts), Dense(classes)))
        task = Task(
            x=x,
            y=y[:, None],
            weights=np.ones(len(x), np.float32),
            goal=CROSS_ENTROPY,
            ends=(np.full(inputs, -top), np.full(inputs, top - 2.0 ** -WORD[2])),
            centre=np.zeros(inputs),
            signed=np.ones(inputs, np.bool_),
            batch=BATCH,
            seed=AGAIN * seed + again,
        )
        yield from (lean_designs if kind == "lean" else table_designs)(network, task)


def _layer(part: int | str) -> Dense | Pool:
    return Pool(part) if isinstance(part, str) else Dense(part, activation="relu")


def lean_designs(network: Network, task: Task) -> Iterator[Design]:
    """Of one descent."""
    stack, name = stack_of(network), f"lean {sizes(network)}"
    for state in lean_descend(stack, task, SCHEDULES["lean"]):
        yield Design(
            name,
            lambda x, state=state: lean_model.scores(stack, state, x)[0],
            partial(lean_da4ml.logic, stack, state),
        )


def table_designs(network: Network, task: Task) -> Iterator[Design]:
    """Of one descent."""
    name = f"tables {sizes(network)}"
    for state in table_descend(network, task, SCHEDULES["tables"]):
        yield Design(name, partial(table_model.scores, state), partial(tables_da4ml.logic, state))


def searched(rows: Rows, seed: int, budget: float) -> dict[str, list[Point]]:
    """Designs that are found within some CPU seconds, by kind of logic."""
    found: dict[str, list[Point]] = {kind: [] for kind in KINDS}
    began = time.process_time()
    for design in descents(rows, seed):
        for kind, point in measured(rows, design).items():
            found[kind].append(point)
        last, spent = found["own inputs"][-1], time.process_time() - began
        print(
            f"  {spent:5.0f} s  {design.name:18s} {last.luts:7,.0f} LUT {last.accuracy:.4f}",
            flush=True,
        )
        if spent > budget:
            print(f"seed {seed}: the budget ends in {design.name}")
            break
    return found


def measured(rows: Rows, design: Design) -> dict[str, Point]:
    """A design as each kind of logic.

    Raises:
        RuntimeError: if logic that is to be the network differs from it on an event.
    """
    scores = {part: design.scores(rows[f"x_{part}"]) for part in ("val", "test")}
    points = {}
    for kind in KINDS:
        made, accuracy = design.logic(kind), {}
        for part, wanted in scores.items():
            found = made.predicted(rows[f"x_{part}"].astype(np.float64))
            wrong = int((found != wanted).any(1).sum())
            if wrong:
                where = f"{wrong} {part} events"
                msg = f"{design.name}, {kind}: da4ml differs from the network on {where}"
                raise RuntimeError(msg)
            accuracy[part] = float((found.argmax(1) == rows[f"y_{part}"]).mean())
        needs = made.hardware
        points[kind] = Point(
            needs.luts,
            accuracy["test"],
            accuracy["val"],
            needs.cycles,
            needs.registers,
            design.name,
        )
    return points


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other beats or equals on validation events, by LUTs."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.luts, -p.chosen_by)):
        if not kept or point.chosen_by > kept[-1].chosen_by:
            kept.append(point)
    return kept


def hypervolume(points: Sequence[Point], least: float = 1.0) -> float:
    """Decades of LUTs, from ``least``, times error that designs beat, below ``WORST``."""
    from pymoo.indicators.hv import HV

    goals = np.array([[math.log10(max(p.luts, least)), 1 - p.accuracy] for p in points])
    return float(HV(ref_point=np.array([math.log10(WORST[0]), WORST[1]]))(goals))


def best_within(points: Iterable[Point], luts: float) -> Point | None:
    """The best by validation accuracy that is not larger."""
    return max((p for p in points if p.luts <= luts), key=lambda p: p.chosen_by, default=None)


def anchor_of(file: Path | None) -> dict[str, list[Point]]:
    """The anchor's front by kind of logic: the published one, or that of a run."""
    if file is None:
        return PUBLISHED
    runs = [json.loads(line) for line in file.read_text().splitlines()]
    keys = {"own inputs": "lut", "words": "lut_words"}
    return {
        kind: front(
            Point(r[key], r["test"], r["validation"], r["cycles"], r["ff"], f"epoch {r['epoch']}")
            for r in runs
        )
        for kind, key in keys.items()
    }


def show(
    kind: str, ours: Mapping[int, Sequence[Point]], anchor: Sequence[Point]
) -> dict[str, object]:
    """Print fronts and the comparison of a kind of logic; what it says as data.

    Args:
        kind: of logic.
        ours: a front a seed.
        anchor: a front, or nothing.
    """
    print(f"\n{kind}\n  seed     LUT  accuracy  cycles      FF  shape")
    for seed, points in ours.items():
        for p in points:
            print(f"  {seed:4d} {p.luts:7,.0f}    {p.accuracy:.4f}", end="  ")
            print(f"{p.cycles:6d}  {p.registers:6,d}  {p.name}")
    volumes = [hypervolume(points) for points in ours.values()]
    print(f"  hypervolume of ours: {', '.join(f'{v:.4f}' for v in volumes)}", end="")
    if not anchor:
        print("; the anchor has none of this kind")
        return {"hypervolumes": volumes}
    theirs, least = hypervolume(anchor), anchor[0].luts
    print(f"; of the anchor {theirs:.4f}")
    above = [hypervolume(points, least) for points in ours.values()]
    print(f"  of ours from {least:,.0f} LUTs on: {', '.join(f'{v:.4f}' for v in above)}")
    print("  anchor: LUT, accuracy | ours within that, by seed")
    reached = []
    for a in anchor:
        best = [best_within(points, a.luts) for points in ours.values()]
        reached.append(sum(p is not None and p.accuracy >= a.accuracy - ERROR for p in best))
        said = "  ".join("   -  " if p is None else f"{p.accuracy:.4f}" for p in best)
        print(f"  {a.luts:7,.0f} {a.accuracy:.4f} | {said} | reached {reached[-1]}/{len(best)}")
    document = {"hypervolumes": volumes, "from_least_of_anchor": above}
    return document | {"anchor_hypervolume": theirs, "reached": reached}


def main() -> None:
    """Print the comparison, and write it where asked."""
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", action="store_true", help="deep sets of 8 particles")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--budget", type=float, default=BUDGET, help="CPU seconds of a seed")
    parser.add_argument("--anchor", type=Path, help="lines of JSON of anchor_hgq.py")
    parser.add_argument("--rows", type=Path, help="write the first seed's events here (.npz)")
    parser.add_argument("--out", type=Path, help="write everything here (.json)")
    asked = parser.parse_args()
    if asked.rows is not None:
        np.savez(asked.rows, **events(asked.seeds[0], sets=asked.sets))
    if asked.budget <= 0:
        return
    anchor = PUBLISHED_SETS if asked.sets else anchor_of(asked.anchor)
    runs, seconds = {}, {}
    for seed in asked.seeds:
        began = time.process_time()
        with threadpool_limits(1):
            runs[seed] = searched(events(seed, sets=asked.sets), seed, asked.budget)
        seconds[seed] = time.process_time() - began
        print(f"seed {seed}: {seconds[seed]:.0f} CPU-s", flush=True)
    said = {}
    for kind in KINDS:
        fronts = {seed: front(run[kind]) for seed, run in runs.items()}
        said[kind] = show(kind, fronts, anchor.get(kind, []))
    if asked.out is not None:
        document = {
            "cpu_s": seconds,
            "versions": {name: version(name) for name in ("nacsr", "da4ml", "pymoo")},
            "anchor": {kind: [asdict(p) for p in points] for kind, points in anchor.items()},
            "designs": {
                seed: {kind: [asdict(p) for p in points] for kind, points in run.items()}
                for seed, run in runs.items()
            },
            "compared": said,
        }
        asked.out.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
