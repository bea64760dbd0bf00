"""Datasets: labelled events with named features, checked before anything uses them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.data.readers import Table, Wanted, from_array, is_number, nearest, read_csv, read_npz
from nacsr.errors import DataError, unknown

SHIPPED: Mapping[str, str] = {"jets": "jets.npz"}
"""Datasets that come with the package: name -> file beside this module."""

MIN_ROWS = 10
"""Fewest events of a class: each of three parts of the split must have some."""
MIN_TARGETS = 30
"""Fewest events of a regression."""
TASKS = ("classification", "regression")
WHOLE = 2**53
"""Floats beyond are no exact integers, and so no labels."""


class Choice(Protocol):
    """What ``load`` reads of a study's ``dataset`` section (``nacsr.spec.DatasetSpec``)."""

    @property
    def source(self) -> str:
        """A shipped name, or a path to ``.npz`` or ``.csv``."""
        ...

    @property
    def task(self) -> str:
        """``classification`` or ``regression``."""
        ...

    @property
    def label(self) -> str | None:
        """Column or array of labels or targets."""
        ...

    @property
    def weight(self) -> str | None:
        """Column or array of event weights."""
        ...

    @property
    def features(self) -> tuple[str, ...] | None:
        """Names of the features to keep."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled events.

    Attributes:
        name: short name, for reports.
        x: physical values, float64 of shape (events, features), finite.
        y: class indices, int64 of shape (events,); of a regression the targets, float64.
        features: one name a column, as formulas write it: ``pT [GeV]`` becomes ``pT_GeV``.
        classes: one name a class index; of a regression, the name of the target.
        digest: SHA-256 over values, labels and names, in hex.
        about: one sentence of provenance.
        task: ``classification`` or ``regression``.
        weights: how much each event counts, float64 of shape (events,) and a mean of one;
            None: all the same.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[Any]
    features: tuple[str, ...]
    classes: tuple[str, ...]
    digest: str
    about: str
    task: str = "classification"
    weights: NDArray[np.float64] | None = None


def load(spec: Choice, base: Path | None = None) -> Dataset:
    """The dataset that a study names.

    Args:
        spec: source, task, label, weight and features.
        base: folder that relative paths start from (the study file's), or the current one.

    Raises:
        DataError: one line that names the file, the row and column where there is one, and
            the remedy.

    >>> from nacsr.spec import DatasetSpec
    >>> jets = load(DatasetSpec(source="jets"))
    >>> jets.x.shape, jets.classes
    ((10000, 16), ('g', 'q', 'w', 'z', 't'))
    """
    wanted = Wanted(spec.label, spec.weight, spec.features)
    if spec.source in SHIPPED:
        with files("nacsr.data").joinpath(SHIPPED[spec.source]).open("rb") as file:
            return _checked(spec.source, read_npz(file, spec.source, wanted), spec.task)
    path = _find(spec.source, base)
    try:
        if path.suffix.lower() == ".csv":
            table = read_csv(path, wanted)
        else:
            with path.open("rb") as file:
                table = read_npz(file, path.name, wanted)
    except OSError as error:
        msg = f"dataset {spec.source!r}: cannot be read ({error.strerror}); check its permissions"
        raise DataError(msg) from None
    return _checked(path.stem, table, spec.task)


def from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
    *,
    task: str = "classification",
    weights: ArrayLike | None = None,
) -> Dataset:
    """A dataset from arrays in memory.

    Args:
        x: real values, shape (events, features).
        y: integers or text, shape (events,); with ``classes``, indices into it. Real targets
            of a regression.
        features: names of the columns, ``x0``, ``x1``, ... by default.
        classes: names of the classes; by default the sorted distinct labels. Of a regression
            the name of the target, ``y`` by default.
        name: short name, for reports and messages.
        task: ``classification`` or ``regression``.
        weights: how much each event counts, zero or positive, shape (events,).

    Raises:
        DataError: as ``load``.
    """
    if task not in TASKS:
        raise DataError(f"{name}: " + unknown("task", task, TASKS))
    try:
        values, labels = np.asarray(x), np.asarray(y)
    except ValueError:
        msg = f"{name}: rows of features differ in length; expected shape (events, features)"
        raise DataError(msg) from None
    heavy = None if weights is None else np.asarray(weights)
    label = "y"
    if task == "regression" and classes is not None:
        if len(classes) != 1:
            msg = f"{name}: a regression has one target to name, got {', '.join(classes)}"
            raise DataError(msg)
        label = classes[0]
    table = from_array(name, values, labels, features, classes=classes, weights=heavy, label=label)
    return _checked(name, table, task)


def _find(source: str, base: Path | None) -> Path:
    """The existing file that a source names."""
    path = (base or Path()) / Path(source).expanduser()
    if path.suffix.lower() not in {".npz", ".csv"}:
        if path.suffix or len(Path(source).parts) > 1:
            msg = f"dataset {source!r}: expected a .npz or .csv file; convert it to one of them"
            raise DataError(msg)
        raise DataError(unknown("dataset", source, SHIPPED) + ", or give a path to .npz or .csv")
    if not path.is_file():
        folder = path.parent
        if not folder.is_dir():
            msg = f"dataset {source!r}: there is no folder {folder}; check the path"
            raise DataError(msg)
        tables = sorted(p.name for p in folder.iterdir() if p.suffix in {".npz", ".csv"})
        hint = nearest(path.name, tables) if tables else "It has no .npz or .csv"
        msg = f"dataset {source!r}: no file {path.name!r} in {folder.resolve()}; {hint}"
        raise DataError(msg)
    return path


def _checked(name: str, table: Table, task: str) -> Dataset:
    """The dataset of a table that passes every check."""
    if not table.features or not len(table.x):
        what = "events" if table.features else "features"
        msg = f"{table.where}: has no {what}; expected one row an event, one column a feature"
        raise DataError(msg)
    _check_values(table)
    features = _formula_names(table)
    y: NDArray[Any]
    classes: tuple[str, ...]
    if task == "regression":
        y, classes = _targets(table), (_target_name(table, features),)
    else:
        y, classes = _encode(table)
        _check_classes(table.where, y, classes)
    weights = _weights(table)
    contents = hashlib.sha256(json.dumps([task, features, classes]).encode())
    x = table.x
    for array in (x, y) if weights is None else (x, y, weights):
        contents.update(array.tobytes())
        array.setflags(write=False)
    about = table.about or f"{table.where}: {len(y)} events, origin not stated"
    return Dataset(name, x, y, features, classes, contents.hexdigest(), about, task, weights)


def _formula_names(table: Table) -> tuple[str, ...]:
    """Feature names that can stand in a formula."""
    names: dict[str, str] = {}
    for given in table.features:
        plain = _formula_name(table.where, "feature", given)
        if plain in names:
            msg = (
                f"{table.where}: features {names[plain]!r} and {given!r} are both {plain!r} in "
                "formulas; rename one"
            )
            raise DataError(msg)
        names[plain] = given
    return tuple(names)


def _formula_name(where: str, kind: str, given: str) -> str:
    """Letters, digits and underscores of a name, not beginning with a digit."""
    plain = re.sub(r"\W+", "_", given).strip("_")
    if not plain:
        msg = f"{where}: {kind} name {given!r} has no letters or digits; rename it"
        raise DataError(msg)
    return f"x{plain}" if plain[0].isdecimal() else plain


def _target_name(table: Table, features: Sequence[str]) -> str:
    """What a regression predicts, in formulas, apart from every feature."""
    name = _formula_name(table.where, "target", table.label)
    while name in features:
        name += "_target"
    return name


def _check_values(table: Table) -> None:
    finite = np.isfinite(table.x)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        msg = (
            f"{table.where}: row {row + 1}, column {table.features[column]!r} is "
            f"{table.x[row, column]}, the first of {int((~finite).sum())} values that are not "
            "finite; drop or fill them"
        )
        raise DataError(msg)
    constant = np.flatnonzero(table.x.min(axis=0) == table.x.max(axis=0))
    if len(constant):
        j = int(constant[0])
        value = table.x[0, j] + 0.0  # no minus zero
        msg = (
            f"{table.where}: feature {table.features[j]!r} is {value:g} in every event; "
            "leave it out with features: [...]"
        )
        raise DataError(msg)


def _targets(table: Table) -> NDArray[np.float64]:
    """Targets of a regression."""
    where, label, labels = table.where, table.label, table.labels
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
        msg = f"{where}: target {label!r} is {y[0]:g} in every event; there is nothing to predict"
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


def _weights(table: Table) -> NDArray[np.float64] | None:
    """Event weights with a mean of one; None where all are the same."""
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


def _encode(table: Table) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices and class names."""
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
    labels = table.labels
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
