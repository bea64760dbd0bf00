"""Small symbolic studies of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import nacsr
from nacsr.data.dataset import Dataset
from nacsr.emit.project import load
from nacsr.entry import Entry
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Call, Expr, walk
from nacsr.luts import lut_functions
from nacsr.spec import StudySpec
from nacsr.study import Study

NAMES = ("a", "b", "c", "d")
CLASSES = ("left", "middle", "right")
RNG = np.random.default_rng(5)
U = RNG.normal(size=(600, 4))
X = U * [1, 20, 0.1, 3]
SCORES = np.stack([U[:, 0] * U[:, 1], 0.7 * U[:, 2], -U[:, 0] * U[:, 1]], axis=1)
LABELS = (SCORES + 0.1 * RNG.normal(size=SCORES.shape)).argmax(axis=1)
HALL = "Complexity,Loss,Equation\n1,0.8,-0.3\n3,0.7,{0}\n5,0.4,({0}) - 3.1f-1\n"
FORMULAS = dict(zip(CLASSES, ("0.5 * (a * b)", "c * 0.6", "-0.5 * (a * b)"), strict=True))


def multiclass() -> Dataset:
    return nacsr.from_arrays(X, LABELS, features=NAMES, classes=CLASSES)


def binary() -> Dataset:
    """Signal where ``a * b`` is large; background at negative ``b`` weighs next to nothing."""
    signal = U[:, 0] * U[:, 1] > 0.2
    weights = np.where(~signal & (U[:, 1] < 0), 1e-3, 1.0)
    return nacsr.from_arrays(X, signal, features=NAMES, classes=("bkg", "sig"), weights=weights)


def regression() -> Dataset:
    target = 3 + U[:, 0] + np.sin(U[:, 1])
    return nacsr.from_arrays(X, target, features=NAMES, classes=("mass",), task="regression")


DATA = {"multiclass": multiclass, "binary": binary, "regression": regression}


def spec_of(expression: dict[str, Any], task: str = "classification", **more: Any) -> StudySpec:
    document = {
        "dataset": {"source": "arrays", "task": task},
        "budget": "quick",
        "verify": "bits",
        "families": {
            "network": None,
            "linear": None,
            "tables": None,
            "trees": None,
            "expression": {"max_size": 24} | expression,
        },
    }
    return StudySpec.from_mapping(document | more)


def study_of(kind: str, out: Path, expression: dict[str, Any], **more: Any) -> Study:
    task = "regression" if kind == "regression" else "classification"
    return Study(spec_of(expression, task, **more), out, dataset=DATA[kind]())


def finished(study: Study, workers: int = 0) -> list[Entry]:
    """The front of a study, every design of it emitted and the same bit for bit."""
    front = study.run(workers)
    assert front
    for entry in front:
        check = entry.find("mismatches", "g++", "csim")
        assert check is not None
        assert check.value == 0
        assert load(study.out / "designs" / entry.id).graph == entry.graph
        rtl = entry.find("mismatches", "simulation", "rtlsim")
        assert rtl is None or rtl.value == 0
    return front


def written(entry: Entry) -> list[Expr]:
    return list(formulas(entry.candidate.genotype, NAMES, lut_functions())[0].values())


def calls(tree: Expr) -> list[Call]:
    return [node for node, _ in walk(tree) if isinstance(node, Call)]


def best(entry: Entry, metric: str) -> float:
    found = entry.find(metric, "interpreter", "test")
    assert found is not None
    return found.value
