"""The embedded engine against Operon, and hardware against size as what a search minimises.

    python benchmarks/engines.py [--quick] [--part operon|objectives] [--seed 1 2 3]

Operon: jets (five one-against-the-rest regressions), MAGIC (gamma against hadron) and the mass of
CMS muon pairs, at most c nodes a formula (of ours, after conversion), the same rows, operators,
functions and number of evaluations. Operon's evaluations are of residuals and of Jacobians; those
of the embedded engine are sums fitted, terms of its library and derivatives. The CPU time is that
of the search; what it takes Operon's process to start and to import is not counted. The
last row has fitted tables as well, which Operon cannot have.

Objectives: jets, searched on (loss, cycles, area) or on (loss, size); of either front the best
formula a class within a budget of cycles, at 200 MHz, where hardly a formula of this size takes
more than six, and at 400 MHz.

Beside them, on the same events: accuracies of the float baselines of jets and MAGIC, unless
``--no-baselines`` saves the minutes that they take to fit.

All scores are of held-out events, with the tables of the chip. Jets: accuracy after the weights
of the terms of all five formulas are fitted together (multinomial logistic regression, as for a
design), and the mean R2 of the five before. Medians over seeds, each a split of its own; the
range over seeds in brackets.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from statistics import median

import baselines
import numpy as np
from engines_data import CLOCK_MHZ, Score, case, judged, task_of

from nacsr.cost.schedule import period_ns
from nacsr.frontends.symbolic.engines.complexities import complexities
from nacsr.frontends.symbolic.engines.costs import dsp_luts, search_costs
from nacsr.frontends.symbolic.engines.operon import WORKER
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored

CASES = ("jets", "magic", "dimuon")
CAPS = (20, 40, 80)
BUDGETS = (4, 6, 8, 10)
CLOCKS = (200.0, 400.0)
LARGEST = 60
"""Nodes of a formula where cycles are the budget."""
OPERATORS = ("add", "sub", "mul")
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "jets": ("sin",),
    "magic": ("sin", "log_abs"),
    "dimuon": ("cos", "cosh", "sqrt_abs"),
}
NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Search:
    """One search for one output."""

    case: str
    output: str
    seed: int
    kind: str
    """A key of ``KINDS``."""
    cap: int
    evaluations: int
    rows: int
    clock_mhz: float = CLOCK_MHZ


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine, and what it may use or minimises."""

    engine: str
    tables: bool = False
    size_only: bool = False
    longer: bool = False
    """As many of Operon's own nodes as the others may have of ours."""


KINDS: Mapping[str, Kind] = {
    "operon": Kind("operon"),
    "operon, longer": Kind("operon", longer=True),
    "embedded": Kind("embedded"),
    "embedded+tables": Kind("embedded", tables=True),
    "cycles and area": Kind("embedded"),
    "size only": Kind("embedded", size_only=True),
}


def run(search: Search) -> tuple[list[Scored], float]:
    """The front of a search, and its CPU time in seconds."""
    data, kind = case(search.case, search.seed), KINDS[search.kind]
    problem = replace(data.problem, clock_mhz=search.clock_mhz)
    functions = FUNCTIONS[search.case]
    config = Config(
        evaluations=search.evaluations,
        rows=search.rows,
        operators=OPERATORS,
        functions=functions,
        precision=problem.precision,
        period_ns=period_ns(problem.clock_mhz),
        dsp_luts=dsp_luts(problem),
        max_size=2 * search.cap + 5 if kind.longer else search.cap,
        max_cycles=NO_LIMIT,
        tables=kind.tables,
    )
    if kind.size_only:
        clock, target = problem.clock_mhz, problem.target
        ones = complexities("ones", OPERATORS, functions, config.precision, clock, target)
        config = replace(config, complexities=ones)
    costs = search_costs(problem, config.precision, config.table_bits)
    sample = Sample(data.train, data.targets[search.output], problem.names)
    who = resource.RUSAGE_CHILDREN if kind.engine == "operon" else resource.RUSAGE_SELF
    before = cpu_s(who)
    front = ENGINES[kind.engine](sample, config, costs, problem.luts, search.seed)
    spent = cpu_s(who) - before
    return front, spent - (start_s() if kind.engine == "operon" else 0.0)


def cpu_s(who: int) -> float:
    """CPU seconds of this process, or of its children that have ended."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


@cache
def start_s() -> float:
    """CPU seconds that Operon's process takes to start and import."""
    before = cpu_s(resource.RUSAGE_CHILDREN)
    code = f"import numpy, pyoperon, {WORKER}"
    subprocess.run([sys.executable, "-c", code], check=True)
    return cpu_s(resource.RUSAGE_CHILDREN) - before


def one_thread() -> None:
    """In a worker: linear algebra stays on its core, and so CPU times compare."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of the searches of one engine for all outputs of a case."""

    score: Score
    cpu_s: float
    nodes: float


Results = dict[tuple[str, int, str], list[Outcome]]


def best(front: Sequence[Scored], cycles: float) -> Scored | None:
    """The most accurate formula within a number of cycles; fronts are by falling loss."""
    fit = [one for one in front if one.cycles <= cycles]
    return fit[-1] if fit else None


class Runs:
    """Every search of a benchmark, run by a pool of processes, and what was found judged there."""

    def __init__(self, pool: ProcessPoolExecutor, searches: Sequence[Search]) -> None:
        self.pool = pool
        self.found = dict(zip(searches, pool.map(run, searches), strict=True))

    def results(self, cycles: float = np.inf) -> Results:
        """Outcomes by case, cap and kind, one for every seed that has a formula for each output
        within the cycles.
        """
        wholes: dict[Search, list[Search]] = {}
        for one in self.found:
            wholes.setdefault(replace(one, output=""), []).append(one)
        chosen = {
            whole: {one.output: best(self.found[one][0], cycles) for one in parts}
            for whole, parts in wholes.items()
        }
        there = {w: formulas for w, formulas in chosen.items() if None not in formulas.values()}
        scores = self.pool.map(judge, there, there.values())
        found: Results = {}
        for (whole, formulas), score in zip(there.items(), scores, strict=True):
            spent = sum(self.found[one][1] for one in wholes[whole])
            nodes = float(np.mean([f.size for f in formulas.values() if f is not None]))
            row = found.setdefault((whole.case, whole.cap, whole.kind), [])
            row.append(Outcome(score, spent, nodes))
        return found


def judge(whole: Search, formulas: Mapping[str, Scored]) -> Score:
    """What formulas, one an output, are worth."""
    return judged(case(whole.case, whole.seed), formulas)


def searches(
    cases: Sequence[str],
    seeds: Sequence[int],
    kinds: Sequence[str],
    caps: Sequence[int],
    evaluations: int,
    rows: int,
) -> list[Search]:
    """One search an output."""
    return [
        Search(name, output, seed, kind, cap, evaluations, rows)
        for name in cases
        for cap in caps
        for seed in seeds
        for kind in kinds
        for output in case(name, seed).targets
    ]


def spread(values: Sequence[float], digits: int) -> str:
    """The median and the range."""
    return f"{median(values):.{digits}f} [{min(values):.{digits}f} {max(values):.{digits}f}]"


NAMES: Mapping[str, tuple[str, str]] = {
    "jets": ("accuracy", "mean R2"),
    "magic": ("AUC", "R2"),
    "dimuon": ("R2", "median relative error"),
}


def compared(asked: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    """The embedded engine and Operon."""
    kinds = ("operon", "operon, longer", "embedded", "embedded+tables")
    plan = searches(CASES, asked.seed, kinds, asked.caps, asked.evaluations, asked.rows)
    results = Runs(pool, plan).results()
    print(f"\nAgainst Operon: {asked.evaluations:,} evaluations a search on {asked.rows:,} rows")
    print(f"operators: {', '.join(OPERATORS)}")
    for name in CASES:
        first, second = NAMES[name]
        print(f"\nfunctions: {', '.join(FUNCTIONS[name])}")
        print(f"{name:7} c   engine           {first:24} {second:24} nodes  CPU s   of Operon's")
        for cap in asked.caps:
            for kind in kinds:
                rows, reference = results[name, cap, kind], results[name, cap, "operon"]
                share = median(a.cpu_s / b.cpu_s for a, b in zip(rows, reference, strict=True))
                print(
                    f"{'':7} {cap:<3} {kind:16} {spread([r.score.main for r in rows], 4):24} "
                    f"{spread([r.score.second for r in rows], 4):24} "
                    f"{median(r.nodes for r in rows):5.1f} {median(r.cpu_s for r in rows):6.2f} "
                    f"{share:6.2f} x",
                    flush=True,
                )


def objectives(asked: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
    """Cycles and area, or size."""
    kinds = ("size only", "cycles and area")
    plan = searches(("jets",), asked.seed, kinds, (LARGEST,), asked.evaluations, asked.rows)
    print(f"\nWhat is minimised beside the loss: jets, {asked.evaluations:,} evaluations a class")
    print("  MHz  cycles  second objective   accuracy                 mean R2")
    for clock in CLOCKS:
        runs = Runs(pool, [replace(search, clock_mhz=clock) for search in plan])
        for cycles in BUDGETS:
            results = runs.results(cycles)
            for kind in kinds:
                rows = results.get(("jets", LARGEST, kind), [])
                if len(rows) < len(asked.seed):
                    shown = f"nothing fits for {len(asked.seed) - len(rows)} seeds"
                else:
                    main, second = ([getattr(r.score, k) for r in rows] for k in ("main", "second"))
                    shown = f"{spread(main, 4):24} {spread(second, 4)}"
                print(f"{clock:5.0f}  {cycles:6}  {kind:18} {shown}", flush=True)


def references(asked: argparse.Namespace) -> None:
    """The float baselines on the events of the searches, which formulas are fitted to as well."""
    for name in ("jets", "magic"):
        tasks = [task_of(name, seed) for seed in asked.seed]
        rows = [[r for model in baselines.FLOATS for r in model(task)] for task in tasks]
        print(f"\n{name}: accuracy of baselines on {len(tasks[0].train):,} training events")
        baselines.show(baselines.medians(rows))


PARTS = {"operon": compared, "objectives": objectives}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few evaluations")
    parser.add_argument("--part", choices=[*PARTS], nargs="+", default=[*PARTS])
    parser.add_argument("--seed", type=int, nargs="+")
    parser.add_argument("--caps", type=int, nargs="+", default=list(CAPS))
    parser.add_argument("--evaluations", type=int)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    asked.seed = asked.seed or ([1] if asked.quick else [1, 2, 3])
    asked.evaluations = asked.evaluations or (3_000 if asked.quick else 10_000)
    workers, context = os.cpu_count() or 1, get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=one_thread) as pool:
        for part in asked.part:
            started = time.perf_counter()
            PARTS[part](asked, pool)
            print(f"{time.perf_counter() - started:.0f} s")
    if asked.baselines:
        references(asked)


if __name__ == "__main__":
    main()
