"""A small study, run once, that several tests look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.data.dataset import Dataset
from nacsr.spec import DatasetSpec, ExpressionSpec, FamiliesSpec, NetworkSpec, StudySpec

TINY = FamiliesSpec(
    expression=ExpressionSpec(functions=("gauss",), max_size=12),
    network=NetworkSpec(depth=(1,), widths=(4, 8), weight_bits=(4, 6), activation_bits=(6,)),
)


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
        "families": TINY,
    }
    return StudySpec.model_validate(fields | changes)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished small study."""
    out = tmp_path_factory.mktemp("study") / "run"
    study = nacsr.Study(tiny_spec(), out, dataset=tiny_dataset())
    study.run(workers=0)
    study.archive.close()
    return out
