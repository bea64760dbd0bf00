"""Taggers of jets: our formulas against additive tables at equal LUTs and clock cycles.

    python benchmarks/taggers.py --seeds 1 2 3 [--features 16 6 3] [--budget default]

A search a seed on the 155,484 generated jets (not the public set), designs picked on validation
events only, accuracies bit-true on test events, hardware at 200 MHz by our C-synthesis estimate.
The additive tables, fitted on training and validation events, are shown at their best: which
of a grid of them are compared is decided by the very test accuracies that are printed. Of
several seeds the medians are printed. The float models and the anchors are printed beside them,
unless ``--no-baselines`` saves the minutes that they take to fit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import baselines
from symbolic_data import JETS, jets

from nacsr.data.dataset import Dataset, load
from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.prepare import Prepared, prepare
from nacsr.records import Found
from nacsr.spec import BUDGETS, DatasetSpec, StudySpec
from nacsr.workers import Workers

EVENTS = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True, slots=True)
class Point:
    """A design: accuracy on validation and test events, hardware."""

    chosen_by: float
    accuracy: float
    luts: float
    dsps: float
    cycles: float


def study(seed: int, features: Sequence[str] | None, budget: str) -> tuple[StudySpec, Dataset]:
    """The search of one seed and its events."""
    source = {"source": str(JETS)} | ({"features": tuple(features)} if features else {})
    families = dict.fromkeys(("network", "linear", "tables", "trees"))
    families = families | {"expression": {"max_size": 200}}
    document = {"dataset": source, "seed": seed, "split": EVENTS, "budget": budget}
    spec = StudySpec.from_mapping(document | {"families": families})
    return spec, load(DatasetSpec(source=str(JETS), features=spec.dataset.features))


def run(job: Job, problem: Problem) -> Outcome:
    """A job of the expression family, in a worker."""
    return SymbolicFrontend.run(job, problem)


def searched(spec: StudySpec, prepared: Prepared, workers: int) -> list[Found]:
    """Every design that a search finds."""
    family = spec.families.expression
    if family is None:
        return []
    frontend = SymbolicFrontend(prepared.problem, family, BUDGETS[spec.budget], spec.seed)
    pool: Workers[Problem, Job, Outcome] = Workers(run, prepared.problem, workers)
    found: list[Found] = []
    try:
        while jobs := frontend.ask():
            outcomes = [pool.result(f) for f in [pool.submit(job) for job in jobs]]
            frontend.tell(jobs, outcomes)
            found += [f for o in outcomes for f in o.found if f.graph is not None]
    finally:
        pool.close()
    return found


def points(found: Sequence[Found], prepared: Prepared) -> list[Point]:
    """The designs that no other beats on validation events, measured on test events."""
    values = [{m.metric: m.value for m in f.measurements if not m.label} for f in found]
    goals = [(-v["accuracy"], v["luts"], v["dsps"], v["latency_cycles"]) for v in values]
    made = []
    for one, v, goal in zip(found, values, goals, strict=True):
        beaten = any(g != goal and all(a <= b for a, b in zip(g, goal, strict=True)) for g in goals)
        if beaten or one.graph is None:
            continue
        tested = performance(one.graph, prepared.problem, prepared.test, "test")[0].value
        made.append(Point(v["accuracy"], tested, v["luts"], v["dsps"], v["latency_cycles"]))
    return sorted(made, key=lambda p: p.luts)


def within(designs: Sequence[Point], luts: float, cycles: float) -> Point | None:
    """The best by validation accuracy without DSPs, LUTs and cycles within limits."""
    fit = [p for p in designs if p.luts <= luts and p.cycles <= cycles and not p.dsps]
    return max(fit, key=lambda p: p.chosen_by, default=None)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--features", type=int, nargs="+", default=[16, 6, 3])
    parser.add_argument("--budget", default="default", choices=BUDGETS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    order = baselines.ranked(jets(asked.seeds[0]))
    for count in asked.features:
        names = None if count >= len(order) else order[:count]
        print(f"\n{count} features" + (f": {', '.join(names)}" if names else ""))
        compare(names, asked)


def compare(names: Sequence[str] | None, asked: argparse.Namespace) -> None:
    """One table: every additive design that is not beaten, and what we have within its cost."""
    ours: list[list[Point]] = []
    theirs: list[list[baselines.Row]] = []
    floats: list[list[baselines.Row]] = []
    for seed in asked.seeds:
        began = time.monotonic()
        spec, dataset = study(seed, names, asked.budget)
        with tempfile.TemporaryDirectory() as place:
            prepared = prepare(spec, dataset, Path(place))
            ours.append(points(searched(spec, prepared, asked.workers), prepared))
        print(f"seed {seed}: search {time.monotonic() - began:.0f} s", flush=True)
        for p in ours[-1]:
            print(f"  {p.accuracy:.4f} {p.luts:7,.0f} LUT {p.dsps:3.0f} DSP {p.cycles:2.0f} cycles")
        task = jets(seed)
        task = task if names is None else task.only(names)
        rows = baselines.additive_tables(task)
        theirs.append([r for r in rows if r.method == "analytic, csynth"])
        if asked.baselines:
            floats.append([row for model in baselines.FLOATS for row in model(task)])
    print("additive tables: LUT, cycles, accuracy | ours within that: LUT, accuracy | difference")
    for name in dict.fromkeys(r.name for r in theirs[0]):
        line(name, [next(r for r in rows if r.name == name) for rows in theirs], ours)
    if asked.baselines:
        baselines.show([*baselines.medians(floats), *baselines.ANCHORS])


def line(name: str, rows: Sequence[baselines.Row], ours: Sequence[Sequence[Point]]) -> None:
    """Medians over the seeds for one additive design."""
    found = [
        within(designs, row.luts or 0, row.cycles or 0)
        for designs, row in zip(ours, rows, strict=True)
    ]
    luts, cycles, accuracy = (
        statistics.median(getattr(r, key) for r in rows) for key in ("luts", "cycles", "bit_true")
    )
    left = f"{name:28s} {luts:6,.0f} {cycles:2.0f} {accuracy:.4f} |"
    kept = [p for p in found if p is not None]
    if len(kept) < len(found):
        print(f"{left} none of ours is as small for {len(found) - len(kept)} seeds")
        return
    area = statistics.median(p.luts for p in kept)
    best = statistics.median(p.accuracy for p in kept)
    gaps = [p.accuracy - (r.bit_true or 0) for p, r in zip(kept, rows, strict=True)]
    wins = sum(g > 0 for g in gaps)
    print(
        f"{left} {area:6,.0f} {best:.4f} | {statistics.median(gaps):+.4f}, {wins}/{len(gaps)} seeds"
    )


if __name__ == "__main__":
    main()
