"""Train, validation and test: one split by seed, the same share of every class in each.

Events of a regression have no classes: they are shuffled all together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nacsr.data.dataset import Dataset
from nacsr.errors import DataError

_STREAM = 0x5B117  # keeps this random stream apart from others of the same seed

Rows = NDArray[np.int64]


class Shares(Protocol):
    """What ``split`` reads of a study's ``split`` section (``nacsr.spec.SplitSpec``)."""

    @property
    def train(self) -> float:
        """Share of the events to train on."""
        ...

    @property
    def validation(self) -> float:
        """Share of the events to select on; the rest is the test part."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row indices of the three parts, int64, disjoint, together all rows, shuffled."""

    train: Rows
    validation: Rows
    test: Rows

    @property
    def digest(self) -> str:
        """SHA-256 over the indices in order, in hex."""
        parts = (self.train, self.validation, self.test)
        lengths = np.array([len(p) for p in parts], dtype=np.int64)
        return hashlib.sha256(b"".join(a.tobytes() for a in (lengths, *parts))).hexdigest()


def split(dataset: Dataset, spec: Shares, seed: int) -> Split:
    """Split every class by the given shares; each part gets one event of it at least.

    Args:
        dataset: checked events.
        spec: shares of train and validation; the rest is the test part.
        seed: zero or positive.

    Raises:
        DataError: for a negative seed, or parts that nothing can be trained or measured on.
    """
    if seed < 0:
        msg = f"seed {seed}: expected zero or a positive integer"
        raise DataError(msg)
    rng = np.random.default_rng([_STREAM, seed])
    parts: tuple[list[Rows], list[Rows], list[Rows]] = ([], [], [])
    for _, group in _groups(dataset):
        rows = rng.permutation(group).astype(np.int64)
        first = min(max(round(len(rows) * spec.train), 1), len(rows) - 2)
        both = round(len(rows) * (spec.train + spec.validation))
        second = min(max(both, first + 1), len(rows) - 1)
        for part, chunk in zip(parts, np.split(rows, [first, second]), strict=True):
            part.append(chunk)
    train, validation, test = (rng.permutation(np.concatenate(p)) for p in parts)
    made = Split(train, validation, test)
    _check_parts(dataset, made)
    return made


def _groups(dataset: Dataset) -> list[tuple[str, Rows]]:
    """Events that are split by themselves, and what to call them."""
    if dataset.task == "regression":
        return [("", np.arange(len(dataset.y)))]
    return [
        (f" of class {name!r}", np.flatnonzero(dataset.y == c))
        for c, name in enumerate(dataset.classes)
    ]


def _check_parts(dataset: Dataset, made: Split) -> None:
    """Refuse parts whose events of a class all weigh nothing, and a target that stands still."""
    if dataset.weights is not None:
        for part in ("train", "validation", "test"):
            heavy = np.intersect1d(getattr(made, part), np.flatnonzero(dataset.weights))
            for whose, group in _groups(dataset):
                if not np.isin(heavy, group).any():
                    msg = (
                        f"dataset {dataset.name!r}: every {part} event{whose} has weight zero; "
                        f"raise split.{part}, split by another seed, or drop such events"
                    )
                    raise DataError(msg)
    if dataset.task == "regression":
        columns = dataset.y[made.train].reshape(len(made.train), -1).T
        for name, target in zip(dataset.classes, columns, strict=True):
            if (target == target[0]).all():
                which = "the target" if len(columns) == 1 else f"target {name!r}"
                msg = (
                    f"dataset {dataset.name!r}: {which} is {target[0]:g} in every training event; "
                    "raise split.train, or split by another seed"
                )
                raise DataError(msg)
