"""What tests of events that are arrays share: sets, images, targets, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nacsr.data.dataset import Dataset, from_arrays, load
from nacsr.errors import DataError
from nacsr.prepare import Prepared, prepare
from nacsr.spec import DatasetSpec, StudySpec

EVENTS = 60
RNG = np.random.default_rng(0)
SETS = RNG.normal(size=(EVENTS, 4, 3)) * [50, 0.1, 2] + [100, 0, 5]
IMAGES = RNG.normal(size=(EVENTS, 1, 3, 2)) ** 2
CLASSES = np.arange(EVENTS) % 2
TARGETS = RNG.normal(size=(EVENTS, 2))


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path / "a.npz", **arrays)
    return path


def refusal(base: Path, **choice: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(DatasetSpec(source="a.npz", **choice), base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def prepared_of(data: Dataset, **changes: Any) -> Prepared:
    spec = StudySpec(dataset=DatasetSpec(source="arrays", task=data.task), **changes)
    return prepare(spec, data, Path("nowhere"))


def located(x: np.ndarray = SETS, y: np.ndarray = TARGETS) -> Dataset:
    return from_arrays(x, y, task="regression", classes=["row", "column"])
