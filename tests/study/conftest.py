"""A small study, run once, that several tests look at."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.data.dataset import Dataset
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.spec import (
    BUDGETS,
    DatasetSpec,
    ExpressionSpec,
    FamiliesSpec,
    LeanSpec,
    LocalSpec,
    MlpSpec,
    StudySpec,
    TablesSpec,
)
from nacsr.tools import gxx

TINY = FamiliesSpec(
    expression=ExpressionSpec(functions=("gauss",), max_size=12),
    network=MlpSpec(
        depth=(1,),
        widths=(4, 8),
        weight_bits=(4, 6),
        activation_bits=(6,),
        local=LocalSpec(picks=1, trials=2, mixed_tolerance=None, rounds=2, designs=1),
        lean=LeanSpec(stacks=((4,),), share=0.3),
        tables=TablesSpec(stacks=((4,),), share=0.3),
    ),
    linear=None,  # references have a study of their own
    tables=None,
    trees=None,
)


BUDGET = replace(BUDGETS["quick"], taggers=2, finalists=1, final_steps=200)
"""Few designs: most of a small study is g++ and Brevitas."""


def tiny_dataset() -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(900, 4)) * [1, 30, 0.01, 5] + [0, 100, 0.05, 0]
    z = (x - x.mean(0)) / x.std(0)
    y = np.argmax([z[:, 0] * z[:, 1], z[:, 2] ** 2 - 1, 0.8 * z[:, 3]], axis=0)
    names = ["eta", "mass gev", "c1", "n"]
    return nacsr.from_arrays(x, y, features=names, classes=["g", "q", "t"])


def tiny_spec(**changes: object) -> StudySpec:
    fields = {
        "name": "tiny",
        "dataset": DatasetSpec(source="arrays"),
        "budget": "quick",
        "verify": "bits",  # yosys has tests of its own
        "families": TINY,
    }
    families = changes.get("families")
    if isinstance(families, dict):  # references only where a test names them
        changes["families"] = {**dict.fromkeys(REFERENCES), **families}
    return StudySpec.model_validate(fields | changes)


def tiny_study(out: Path, **changes: object) -> nacsr.Study:
    return nacsr.Study(tiny_spec(**changes), out, dataset=tiny_dataset(), budget=BUDGET)


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same sources are compiled once: studies here are run again and again."""
    store, true = tmp_path_factory.mktemp("programs"), gxx.compile

    def compile(
        sources: Sequence[Path], out: Path, includes: Sequence[Path] = (), flags: Sequence[str] = ()
    ) -> Path:
        gxx.version()  # a compiler that is missing is missed
        root = Path(os.path.commonpath(sources))
        seen = hashlib.sha256(repr(flags).encode())
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".cpp", ".h")):
            seen.update(path.name.encode() + path.read_bytes())
        program = store / seen.hexdigest()
        if not program.exists():
            true(sources, program, includes, flags)
        shutil.copy(program, out)
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gxx, "compile", compile)
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished small study."""
    out = tmp_path_factory.mktemp("study") / "run"
    study = tiny_study(out)
    study.run(workers=0)
    study.archive.close()
    return out


@pytest.fixture
def few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick budget that is quicker."""
    budget = replace(BUDGETS["quick"], evaluations=600, rows=400, taggers=3)
    monkeypatch.setitem(BUDGETS, "quick", budget)
