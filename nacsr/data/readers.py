"""Read event tables from ``.npz`` and ``.csv``. Nothing is unpickled or evaluated."""

from __future__ import annotations

import csv
import difflib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import DataError

FEATURE_KEYS = ("features", "X", "x")
LABEL_KEYS = ("labels", "y", "Y")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What a file holds, before it is checked as a dataset.

    Attributes:
        where: name of the source, for messages.
        x: float64 values, shape (events, features).
        labels: class labels or targets as they were found, shape (events,).
        features: one name a column.
        classes: names of the classes 0, 1, ... where the file gives them.
        about: provenance, where the file gives it.
        weights: finite or not, float64 of shape (events,), where there are weights.
        label: name of what the labels are, where the file or the user gives one.
    """

    where: str
    x: NDArray[np.float64]
    labels: NDArray[Any]
    features: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    about: str = ""
    weights: NDArray[np.float64] | None = None
    label: str = "y"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts of a file to read.

    Attributes:
        label: column or array of labels; None: the usual one.
        weight: column or array of event weights; None: there are none.
        features: names of the features to keep; None: all others.
    """

    label: str | None = None
    weight: str | None = None
    features: tuple[str, ...] | None = None


def nearest(name: str, choices: Sequence[str]) -> str:
    """``did you mean ...?`` and the choices, shortened where they are many."""
    close = difflib.get_close_matches(name, choices, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
    return f"{guess}It has: {shown}"


def select(where: str, names: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Positions of the wanted columns, all by default.

    Raises:
        DataError: for an unknown, repeated or empty selection, or repeated names in the file.
    """
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice:
        msg = f"{where}: two features are named {twice[0]!r}; names must differ"
        raise DataError(msg)
    if wanted is None:
        return list(range(len(names)))
    if not wanted:
        msg = f"{where}: features: [] selects none; name at least one, or leave the key out"
        raise DataError(msg)
    for i, name in enumerate(wanted):
        if name not in names:
            msg = f"{where}: no feature named {name!r}; {nearest(name, names)}"
            raise DataError(msg)
        if name in wanted[:i]:
            msg = f"{where}: features: names {name!r} twice; name it once"
            raise DataError(msg)
    return [list(names).index(n) for n in wanted]


# ---- npz


def read_npz(file: IO[bytes], where: str, wanted: Wanted) -> Table:
    """Read ``features`` (or ``X``) and ``labels`` (or ``y``) of an ``.npz`` archive.

    Optional arrays: ``feature_names``, ``class_names``, ``provenance``.

    Args:
        file: the archive, open for reading bytes.
        where: its name, for messages.
        wanted: names of arrays and features.

    Raises:
        DataError: for anything but a whole archive with the arrays named above.
    """
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            msg = f"{where}: holds one array without a name; write it with numpy.savez"
            raise DataError(msg)
        with archive:
            return _from_archive(archive, where, wanted)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError) as error:
        if "allow_pickle" in str(error):
            hint = "holds Python objects, which are never loaded; save plain arrays of numbers"
        else:
            hint = "is not a whole .npz archive (truncated or of another format); write it again"
        msg = f"{where}: {hint}"
        raise DataError(msg) from None


def _from_archive(archive: Mapping[str, NDArray[Any]], where: str, wanted: Wanted) -> Table:
    keys = list(archive)
    label = _key(where, "label", keys, (wanted.label,) if wanted.label else LABEL_KEYS)
    x = archive[_key(where, "feature", keys, FEATURE_KEYS)]
    weights = None
    if wanted.weight is not None:
        weights = archive[_key(where, "weight", keys, (wanted.weight,))]
    return from_array(
        where,
        x,
        archive[label],
        _names(archive, "feature_names", where),
        wanted.features,
        classes=_names(archive, "class_names", where),
        about=str(archive["provenance"]) if "provenance" in keys else "",
        weights=weights,
        label=wanted.label or "y",
    )


def _key(where: str, kind: str, keys: Sequence[str], usual: Sequence[str]) -> str:
    for key in usual:
        if key in keys:
            return key
    wanted = " or ".join(repr(u) for u in usual)
    msg = f"{where}: no {kind} array {wanted}; {nearest(usual[0], keys)}"
    raise DataError(msg)


def _names(archive: Mapping[str, NDArray[Any]], key: str, where: str) -> tuple[str, ...] | None:
    if key not in archive:
        return None
    names = archive[key]
    if names.ndim != 1 or names.dtype.kind != "U":
        msg = f"{where}: {key} must be a list of text, not {names.dtype} {list(names.shape)}"
        raise DataError(msg)
    return tuple(str(n) for n in names)


def from_array(
    where: str,
    x: NDArray[Any],
    labels: NDArray[Any],
    names: Sequence[str] | None = None,
    wanted: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    about: str = "",
    weights: NDArray[Any] | None = None,
    label: str = "y",
) -> Table:
    """A table from arrays, with names ``x0``, ``x1``, ... where none are given.

    Raises:
        DataError: for wrong shapes, or values that are not real numbers.
    """
    if x.ndim != 2:
        msg = f"{where}: features must have shape (events, features), not {list(x.shape)}"
        raise DataError(msg)
    if labels.shape != x.shape[:1]:
        msg = (
            f"{where}: labels must be one an event, shape [{len(x)}], "
            f"not {list(labels.shape)}; use argmax(1) on one-hot labels"
        )
        raise DataError(msg)
    if weights is not None:
        if weights.shape != x.shape[:1]:
            msg = (
                f"{where}: weights must be one an event, shape [{len(x)}], "
                f"not {list(weights.shape)}"
            )
            raise DataError(msg)
        weights = _numbers(where, weights[:, None], ("weight",))[:, 0]
    names = tuple(f"x{j}" for j in range(x.shape[1])) if names is None else tuple(names)
    if len(names) != x.shape[1]:
        msg = f"{where}: {len(names)} feature names for {x.shape[1]} columns; give one a column"
        raise DataError(msg)
    columns = select(where, names, wanted)
    chosen = tuple(names[j] for j in columns)
    values = _numbers(where, x[:, columns], chosen)
    given = tuple(classes) if classes else None
    return Table(where, values, labels, chosen, given, about, weights, label)


def _numbers(where: str, x: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """Real numbers as float64; text and objects are refused at their first cell."""
    if x.dtype.kind in "biuf":
        return np.ascontiguousarray(x, dtype=np.float64)
    for row, column in np.ndindex(x.shape):
        cell = x[row, column]
        if not isinstance(cell, int | float | np.integer | np.floating):
            raise DataError(_not_a_number(where, row, names[column], str(cell)))
    return np.ascontiguousarray(x, dtype=np.float64)


def _not_a_number(where: str, row: int, column: str, text: str) -> str:
    return (
        f"{where}: row {row + 1}, column {column!r}: expected a number, got {text!r}; mend it, "
        "or choose other columns with features: [...]"
    )


# ---- csv


def read_csv(path: Path, wanted: Wanted) -> Table:
    """Read a comma-separated file with a header row.

    Rows are counted from 1 after the header. Only the wanted columns must hold numbers. The
    label is the last column, or the last but the weight, where none is named.

    Args:
        path: the file, UTF-8.
        wanted: names of columns.

    Raises:
        DataError: naming the row and column of the first thing that is wrong.
    """
    where = path.name
    header, rows = _rows(path)
    columns = list(zip(*rows, strict=True))
    apart = {}  # columns that are no features
    if wanted.weight is not None:
        apart["weight"] = _place(where, header, "weight", wanted.weight, wanted)
    label = wanted.label or next(n for n in reversed(header) if n != wanted.weight)
    apart["label"] = _place(where, header, "label", label, wanted)
    if label == wanted.weight:
        msg = f"{where}: {label!r} is the weight, it cannot be the label too"
        raise DataError(msg)
    others = [j for j in range(len(header)) if j not in apart.values()]
    picked = [others[k] for k in select(where, [header[j] for j in others], wanted.features)]
    values = [_column(where, header[j], columns[j]) for j in picked]
    x = np.stack(values, axis=1) if values else np.empty((len(rows), 0))
    weights = None
    if wanted.weight is not None:
        weights = _column(where, wanted.weight, columns[apart["weight"]])
    return Table(
        where,
        np.ascontiguousarray(x),
        _labels(where, label, columns[apart["label"]]),
        tuple(header[j] for j in picked),
        weights=weights,
        label=label,
    )


def _place(where: str, header: Sequence[str], kind: str, name: str, wanted: Wanted) -> int:
    """Position of the column of labels or weights."""
    if name not in header:
        msg = f"{where}: no {kind} column {name!r}; {nearest(name, header)}"
        raise DataError(msg)
    if header.count(name) > 1:
        msg = f"{where}: two columns are named {name!r}; names must differ"
        raise DataError(msg)
    if wanted.features is not None and name in wanted.features:
        msg = f"{where}: {name!r} is the {kind}, it cannot be a feature too"
        raise DataError(msg)
    return header.index(name)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, all of one length."""
    where = path.name
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{where}: is not a UTF-8 text table ({error}); save it as comma-separated text"
        raise DataError(msg) from None
    while rows and not rows[-1]:
        rows.pop()
    if len(rows) < 2:
        msg = f"{where}: has no events; expected a header row and one row an event"
        raise DataError(msg)
    header = [name.strip() for name in rows[0]]
    if len(header) == 1:
        found = [text for mark, text in SEPARATORS.items() if mark in header[0]]
        hint = f"it seems separated by {found[0]}; " if found else ""
        msg = f"{where}: has one column; {hint}expected features and a label between commas"
        raise DataError(msg)
    if "" in header:
        msg = f"{where}: column {header.index('') + 1} has no name; name it in the header row"
        raise DataError(msg)
    for index, row in enumerate(rows[1:]):
        if len(row) != len(header):
            msg = f"{where}: row {index + 1} has {len(row)} cells, the header {len(header)}"
            raise DataError(msg + "; mend or remove the row")
    return header, rows[1:]


def _column(where: str, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
    except ValueError:
        row = next(i for i, cell in enumerate(cells) if not is_number(cell))
        raise DataError(_not_a_number(where, row, name, cells[row])) from None


def is_number(cell: str) -> bool:
    """Whether a text reads as a real number, infinite ones included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _labels(where: str, name: str, cells: Sequence[str]) -> NDArray[Any]:
    """Integers where every cell is one, else real numbers where every cell is one, else text."""
    stripped = [cell.strip() for cell in cells]
    if "" in stripped:
        row = stripped.index("") + 1
        msg = f"{where}: row {row}, column {name!r}: the label is empty; fill it, or drop the row"
        raise DataError(msg)
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in stripped], dtype=kind)
        except (ValueError, OverflowError):
            continue
    return np.array(stripped)
