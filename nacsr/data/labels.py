"""What is to be predicted: classes or targets, and how much events weigh, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.data.table import Table, is_number
from nacsr.errors import DataError

MIN_ROWS = 10
"""Fewest events of a class: each of three parts of the split must have some."""
MIN_TARGETS = 30
"""Fewest events of a regression."""
WHOLE = 2**53
"""Floats beyond are no exact integers, and so no labels."""


def targets(table: Table) -> NDArray[np.float64]:
    """Targets of a regression: shape (events,), or (events, targets) if there are several.

    Raises:
        DataError: for what is no number, does not vary, or too few events.
    """
    columns = [_target(table.where, n, c) for n, c in zip(table.label, table.labels, strict=True)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _target(where: str, label: str, labels: NDArray[Any]) -> NDArray[np.float64]:
    if labels.dtype.kind not in "biuf":
        strange = [row for row, value in enumerate(labels.tolist()) if not _is_real(value)]
        if strange:  # one cell of text makes all of a column text: find that cell
            row = min(strange, key=lambda r: is_number(str(labels[r])))
            msg = (
                f"{where}: row {row + 1}, target {label!r}: expected a number, got "
                f"{str(labels[row])!r}; mend it, or set task: classification"
            )
            raise DataError(msg)
    y = np.array(labels, dtype=np.float64)  # a copy: it will be frozen
    _check_finite(where, f"target {label!r}", y)
    if y.min() == y.max():
        still = y[0] + 0.0  # no minus zero
        msg = f"{where}: target {label!r} is {still:g} in every event; there is nothing to predict"
        raise DataError(msg)
    if len(y) < MIN_TARGETS:
        msg = f"{where}: has {len(y)} events; a regression needs {MIN_TARGETS} or more"
        raise DataError(msg)
    return y


def _is_real(value: object) -> bool:
    return isinstance(value, int | float)


def _check_finite(where: str, what: str, values: NDArray[np.float64]) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        msg = (
            f"{where}: row {wrong[0] + 1}, {what} is {values[wrong[0]]}, the first of "
            f"{len(wrong)} that are not finite; drop or fill them"
        )
        raise DataError(msg)


def event_weights(table: Table) -> NDArray[np.float64] | None:
    """Event weights with a mean of one; None where all are the same.

    Raises:
        DataError: for a weight that is negative or not finite, or if all are zero.
    """
    weights, where = table.weights, table.where
    if weights is None:
        return None
    _check_finite(where, "weight", weights)
    if weights.min() < 0:
        row = int(np.argmax(weights < 0))
        msg = (
            f"{where}: row {row + 1}, weight is {weights[row]:g}; weights must be zero or "
            "positive: drop the event, or fold it into others before"
        )
        raise DataError(msg)
    if not weights.any():
        msg = f"{where}: every weight is zero; leave the weight out, or choose another column"
        raise DataError(msg)
    shares = weights / weights.max()  # sums of huge weights would overflow
    return None if shares.min() == 1 else shares / shares.mean()


def encode(table: Table) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices and class names.

    Raises:
        DataError: for labels that are no classes, or classes of too few events.
    """
    y, classes = _encoded(table)
    _check_classes(table.where, y, classes)
    return y, classes


def _encoded(table: Table) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    labels = _whole(table)
    if table.classes is None:
        values, y = np.unique(labels, return_inverse=True)
        return y.astype(np.int64), tuple(str(v) for v in values)
    classes = table.classes
    if len(set(classes)) < len(classes):
        msg = f"{table.where}: class names must differ, got {', '.join(classes)}"
        raise DataError(msg)
    if labels.dtype.kind == "U":
        place = {c: i for i, c in enumerate(classes)}
        strange = [str(v) for v in labels if str(v) not in place]
        if strange:
            msg = f"{table.where}: label {strange[0]!r} is not one of {', '.join(classes)}"
            raise DataError(msg)
        return np.array([place[str(v)] for v in labels], dtype=np.int64), classes
    if labels.min() < 0 or labels.max() >= len(classes):
        msg = (
            f"{table.where}: labels are {labels.min()}..{labels.max()}, but {len(classes)} class "
            f"names need 0..{len(classes) - 1}"
        )
        raise DataError(msg)
    return labels.astype(np.int64), classes


def _whole(table: Table) -> NDArray[Any]:
    """Labels as integers or text; whole-numbered floats become integers."""
    if len(table.labels) > 1:
        msg = (
            f"{table.where}: labels must be one an event, shape [{len(table.x)}], not "
            f"{[len(table.x), len(table.labels)]}; use argmax(1) on one-hot labels, or set task: "
            "regression to predict numbers"
        )
        raise DataError(msg)
    labels = table.labels[0]
    if labels.dtype.kind in "biuU":
        return labels.astype(np.int64) if labels.dtype.kind != "U" else labels
    if labels.dtype.kind == "O" and all(isinstance(v, str) for v in labels):
        return labels.astype(str)
    row = 0
    if labels.dtype.kind == "f":
        whole = (labels == np.rint(labels)) & (np.abs(labels) < WHOLE)
        if whole.all():
            return labels.astype(np.int64)
        row = int(np.argmin(whole))
    msg = (
        f"{table.where}: row {row + 1}: label {labels[row]!s} is no class; expected whole "
        "numbers or text, or set task: regression to predict numbers"
    )
    raise DataError(msg)


def _check_classes(where: str, y: NDArray[np.int64], classes: Sequence[str]) -> None:
    for name in classes:
        if not name.strip() or not name.isprintable() or ";" in name:
            msg = f"{where}: class name {name!r} cannot name an output; use letters and digits"
            raise DataError(msg)
    counts = np.bincount(y, minlength=len(classes))
    if int((counts > 0).sum()) == 1:
        only = classes[int(y[0])]
        msg = f"{where}: every event is of class {only!r}; a study needs two classes or more"
        raise DataError(msg)
    fewest = int(np.argmin(counts))
    if counts[fewest] < MIN_ROWS:
        msg = (
            f"{where}: class {classes[fewest]!r} has {counts[fewest]} events, of {len(classes)} "
            f"classes; each needs {MIN_ROWS} or more (is the right column the label?)"
        )
        raise DataError(msg)
