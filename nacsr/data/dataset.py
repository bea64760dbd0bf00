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

from nacsr.data.arrays import Shape, alike, feature_names
from nacsr.data.bragg import CENTRES, patches
from nacsr.data.labels import encode, event_weights, targets
from nacsr.data.readers import read_csv, read_npz
from nacsr.data.table import Table, Wanted, from_array, nearest
from nacsr.errors import DataError, unknown

SHIPPED: Mapping[str, str] = {"jets": "jets.npz"}
"""Datasets that come with the package: name -> file beside this module."""

GENERATED: Mapping[str, tuple[str, ...]] = {"bragg": CENTRES}
"""Datasets that are drawn, not read: name -> names of their targets."""
TASKS = ("classification", "regression")


class Drawn(Protocol):
    """What ``load`` reads of a study's ``dataset.generate`` (``nacsr.spec.GenerateSpec``)."""

    @property
    def events(self) -> int:
        """How many."""
        ...

    @property
    def seed(self) -> int:
        """Of what is drawn."""
        ...

    @property
    def background(self) -> tuple[float, float]:
        """Least and most counts under every pixel."""
        ...


class Choice(Protocol):
    """What ``load`` reads of a study's ``dataset`` section (``nacsr.spec.DatasetSpec``)."""

    @property
    def source(self) -> str:
        """A shipped or generated name, or a path to ``.npz`` or ``.csv``."""
        ...

    @property
    def data(self) -> str | None:
        """Array of the features."""
        ...

    @property
    def particles(self) -> int | None:
        """How many of a set to keep."""
        ...

    @property
    def generate(self) -> Drawn:
        """What to draw of a generated source."""
        ...

    @property
    def task(self) -> str:
        """``classification`` or ``regression``."""
        ...

    @property
    def label(self) -> str | tuple[str, ...] | None:
        """Column or array of labels or targets, or several of targets."""
        ...

    @property
    def weight(self) -> str | None:
        """Column or array of event weights."""
        ...

    @property
    def features(self) -> tuple[str, ...] | None:
        """Names of the features, or kinds of value, to keep."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled events.

    Attributes:
        name: short name, for reports.
        x: physical values, float64 of shape (events, features), finite.
        y: class indices, int64 of shape (events,); of a regression the targets, float64 of
            shape (events,), or (events, targets) if there are several.
        features: one name a column, as formulas write it: ``pT [GeV]`` becomes ``pT_GeV``.
        classes: one name a class index; of a regression, the names of the targets.
        digest: SHA-256 over values, labels and names, in hex.
        about: one sentence of provenance.
        task: ``classification`` or ``regression``.
        weights: how much each event counts, float64 of shape (events,) and a mean of one;
            None: all the same.
        array: shape of an event whose features are the elements of an array, in C order:
            (particles, values of one) or (channels, rows, columns); () for a plain list.
        kinds: names of the kinds of value: of a particle's values, of the channels, or the
            features of a list.
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
    array: Shape = ()
    kinds: tuple[str, ...] = ()


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
    if spec.source in GENERATED:
        return _generated(spec)
    label = (spec.label,) if isinstance(spec.label, str) else spec.label or ()
    wanted = Wanted(label, spec.weight, spec.features, spec.data, spec.particles)
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
        x: real values, shape (events, features); or of sets, (events, particles, values), or
            images, (events, channels, rows, columns).
        y: integers or text, shape (events,); with ``classes``, indices into it. Real targets
            of a regression, shape (events,) or (events, targets).
        features: names of the columns, ``x0``, ``x1``, ... by default; of a particle's values,
            ``v0``, ``v1``, ...; of channels.
        classes: names of the classes; by default the sorted distinct labels. Of a regression
            the names of the targets, ``y``, or ``y0``, ``y1``, ..., by default.
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
        msg = (
            f"{name}: rows of features differ in length; expected shape (events, features): fill "
            "sets of particles up with zeros"
        )
        raise DataError(msg) from None
    heavy = None if weights is None else np.asarray(weights)
    label = classes if task == "regression" else None
    table = from_array(name, values, labels, features, classes=classes, weights=heavy, label=label)
    return _checked(name, table, task)


def _generated(spec: Choice) -> Dataset:
    """Events that are drawn."""
    name, given = spec.source, spec.generate
    targets = GENERATED[name]
    fixed = {"data": None, "particles": None, "weight": None, "features": None}
    for key, value in {**fixed, "label": targets}.items():
        if getattr(spec, key) not in (None, value):
            said = f"is {', '.join(targets)}" if value else "means nothing"
            msg = f"dataset.{key}: of source {name!r} it {said}; leave it out"
            raise DataError(msg)
    if spec.task != "regression":
        msg = f"dataset.task: source {name!r} predicts {', '.join(targets)}; set task: regression"
        raise DataError(msg)
    images, centres = patches(given.events, given.seed, given.background)
    low, high = given.background
    about = (
        f"{given.events:,} Bragg peaks drawn by nacsr with seed {given.seed}: pseudo-Voigt, "
        f"background {low:g} to {high:g} counts, Poisson noise; not measured ones"
    )
    table = from_array(name, images, centres, about=about, label=targets)
    return _checked(name, table, spec.task)


def _find(source: str, base: Path | None) -> Path:
    """The existing file that a source names."""
    path = (base or Path()) / Path(source).expanduser()
    if path.suffix.lower() not in {".npz", ".csv"}:
        if path.suffix or len(Path(source).parts) > 1:
            msg = f"dataset {source!r}: expected a .npz or .csv file; convert it to one of them"
            raise DataError(msg)
        raise DataError(
            unknown("dataset", source, (*SHIPPED, *GENERATED)) + ", or give a path to .npz or .csv"
        )
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
    kinds = _formula_names(table.where, table.kinds)
    features = feature_names(table.array, kinds)
    y: NDArray[Any]
    classes: tuple[str, ...]
    if task == "regression":
        y, classes = targets(table), _target_names(table, features)
    else:
        y, classes = encode(table)
    weights = event_weights(table)
    contents = hashlib.sha256(json.dumps([task, features, classes, *table.array]).encode())
    x = table.x
    for array in (x, y) if weights is None else (x, y, weights):
        contents.update(array.tobytes())
        array.setflags(write=False)
    about = table.about or f"{table.where}: {len(y)} events, origin not stated"
    digest = contents.hexdigest()
    return Dataset(name, x, y, features, classes, digest, about, task, weights, table.array, kinds)


def _formula_names(where: str, kinds: Sequence[str]) -> tuple[str, ...]:
    """Names that can stand in a formula."""
    names: dict[str, str] = {}
    for given in kinds:
        plain = _formula_name(where, "feature", given)
        if plain in names:
            msg = (
                f"{where}: features {names[plain]!r} and {given!r} are both {plain!r} in "
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


def _target_names(table: Table, features: Sequence[str]) -> tuple[str, ...]:
    """What a regression predicts, in formulas, apart from every feature and each other."""
    found: list[str] = []
    for label in table.label:
        name = _formula_name(table.where, "target", label)
        while name in features:
            name += "_target"
        if name in found:
            msg = f"{table.where}: two targets are {name!r} in formulas; rename one"
            raise DataError(msg)
        found.append(name)
    return tuple(found)


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
    for kind, columns in zip(table.kinds, alike(table.array, table.x.shape[1]), strict=True):
        low = table.x[:, columns].min(axis=0)
        if (low == table.x[:, columns].max(axis=0)).all():  # one pixel of a channel may be
            msg = (
                f"{table.where}: feature {kind!r} is {low[0] + 0.0:g} in every event; "  # no -0
                "leave it out with features: [...]"
            )
            raise DataError(msg)
