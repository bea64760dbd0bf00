"""What becomes a design: what was assembled, and what engines found as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.frontends.base import Problem
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.spec import ExpressionSpec
from tests.unit.test_symbolic_frontend import BUDGET, found_in, make_problem, metrics, play

NAMES = ("a", "b", "c")
Z = np.random.default_rng(2).normal(size=(900, 3))
SEARCH = """
import numpy as np
from tests.unit.test_designs_found import NAMES, Z, regression
from tests.unit.test_symbolic_frontend import BUDGET, found_in, play
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.spec import ExpressionSpec
spec = ExpressionSpec(functions=("exp", "tan", "sin"), max_size=40)
for found in found_in(play(SymbolicFrontend(regression(), spec, BUDGET, 3))):
    print(found.candidate.title, [m.value for m in found.measurements])
"""


def regression() -> Problem:
    """A sum of two inputs and a product."""
    target = Z[:, 0] + Z[:, 1] + 0.5 * Z[:, 2] * Z[:, 0]
    made = make_problem(Z, np.zeros(len(Z), np.int64), NAMES, ("y",))
    cut = len(made.train)
    train = replace(made.train, y=target[:cut])
    test = replace(made.validation, y=target[cut:])
    return replace(made, train=train, validation=test, task="regression")


def best(spec: ExpressionSpec) -> float:
    found = found_in(play(SymbolicFrontend(regression(), spec, BUDGET, 3)))
    return min(metrics(f)["rmse"] for f in found)


@pytest.mark.parametrize("tables", [True, False])
def test_an_exact_formula_is_a_design(tables: bool) -> None:
    """Tables of single inputs would cost less and never be exact."""
    spec = ExpressionSpec(functions=(), tables=tables, max_size=40)
    assert best(spec) < 0.05


def test_formulas_of_finished_runs_are_designs(tmp_path: Path) -> None:
    hall = tmp_path / "hall_of_fame.csv"
    hall.write_text("Complexity,Loss,Equation\n1,1.0,a\n9,0.01,a + b + 0.5*(c*a)\n")
    spec = ExpressionSpec(engine="hof", halls={"y": str(hall)}, functions=(), tables=False)
    frontend = SymbolicFrontend(regression(), spec, BUDGET, 3)
    played = play(frontend)
    labels = [job.label for job, _ in played if job.kind == "design"]
    assert labels.count("as found") == 2
    shown = [f for job, o in played if job.label == "as found" for f in o.found]
    assert min(metrics(f)["rmse"] for f in shown) < 0.02


def test_results_do_not_depend_on_the_hash_seed() -> None:
    """Sets of strings have another order in every process."""
    told = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", SEARCH], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0]
    assert told[0] == told[1]
