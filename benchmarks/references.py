"""The reference families on the generated jets: the best of each within budgets of LUTs.

    python benchmarks/references.py --seed 1 2 3

Of four fifths of 155,484 jets (not the public set) a tenth is kept for validation. Every family
proposes the ladders of a study (``--rows`` events to fit on); for each budget, by the estimate of
Verilog, the design that is best on validation events is synthesised by Yosys, simulated, and its
C++ compared with g++. Test accuracy, of the last fifth, is bit-true and decides nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from symbolic_data import Task, jets
from threadpoolctl import threadpool_limits

from nacsr.data.words import Scaling
from nacsr.design import Design, Setting
from nacsr.errors import NacsrError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.frontends.stem import scores
from nacsr.synthesis import synthesise

TARGET, CLOCK_MHZ = "vu13p", 200.0
BUDGETS = (50, 100, 200, 400, 800, 1_600)
"""LUTs."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A design: what it takes by the estimate of Verilog, and how good it is."""

    family: str
    design: Design
    luts: int
    validation: float
    test: float


def problem(task: Task) -> Problem:
    """The training part of a task, a tenth of it kept for validation."""
    order = np.random.default_rng(task.seed).permutation(len(task.train))
    tenth = len(task.train) // 10
    zeros = (0,) * len(task.features)
    return Problem(
        features=task.features,
        classes=task.classes,
        scaling=Scaling("external", zeros, zeros),
        train=task.train.take(order[tenth:]),
        validation=task.train.take(order[:tenth]),
        target=TARGET,
        clock_mhz=CLOCK_MHZ,
        precision=Fixed(16, 6),
        digest=f"{task.name} {task.seed}",
    )


def made(family: str, given: Problem, task: Task, rows: int) -> Iterator[Made]:
    """All designs of a family's ladders."""
    setting = Setting(given.features, given.classes, given.scaling, TARGET, CLOCK_MHZ)
    spec = REFERENCES[family].spec(rows=rows)
    for number, one in enumerate(REFERENCES[family].propose(given, spec, task.seed)):
        found = Design(one.graph, setting, f"{family}{number}", one.title, "hls")
        right = [
            float((scores(one.graph, given.features, e.words).argmax(1) == e.y).mean())
            for e in (given.validation, task.test)
        ]
        yield Made(family, found, found.to("rtl").cost().luts, *right)


def chosen(designs: Sequence[Made]) -> list[Made]:
    """For every budget the best by validation, each design once."""
    found: dict[int, Made] = {}
    for budget in BUDGETS:
        within = [m for m in designs if m.luts <= budget]
        if within:
            best = max(within, key=lambda m: m.validation)
            found[id(best)] = best
    return list(found.values())


def show(one: Made) -> None:
    """One line, after everything that a design consists of was compared bit for bit.

    Raises:
        NacsrError: if a word differs.
    """
    values = {m.metric: m.value for m in synthesise(one.design.to("rtl"), "yosys").measurements}
    wrong = values["mismatches"] + one.design.verify(events=1_000).mismatches
    if wrong:
        msg = f"{one.design.title}: {wrong:.0f} words differ"
        raise NacsrError(msg)
    print(f"{one.family:7} {one.validation:.4f} {one.test:.4f} ", end="")
    print(f"{values['luts']:6.0f} {one.luts:8} {values['ffs']:5.0f} ", end="")
    print(f"{values['latency_cycles']:6.0f}  {one.design.title}", flush=True)


def main() -> None:
    """Every seed is a split of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", type=int, default=200_000, help="events that are fitted")
    parser.add_argument("--family", nargs="+", choices=tuple(REFERENCES), default=list(REFERENCES))
    asked = parser.parse_args()
    with threadpool_limits(1):
        for seed in asked.seed:
            task = jets(seed)
            given = problem(task)
            print(f"seed {seed}: valid.   test    LUT (estim.)    FF cycles", flush=True)
            for family in asked.family:
                for one in chosen(list(made(family, given, task, asked.rows))):
                    show(one)


if __name__ == "__main__":
    main()
