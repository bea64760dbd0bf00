"""Read event tables from ``.npz`` and ``.csv``. Nothing is unpickled or evaluated."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.data.table import (
    Table,
    Wanted,
    from_array,
    is_number,
    label_names,
    nearest,
    not_a_number,
    select,
)
from nacsr.errors import DataError

FEATURE_KEYS = ("features", "X", "x")
LABEL_KEYS = ("labels", "y", "Y")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


# ---- npz


def read_npz(file: IO[bytes], where: str, wanted: Wanted) -> Table:
    """Read ``features`` (or ``X``) and ``labels`` (or ``y``) of an ``.npz`` archive.

    Optional arrays: ``feature_names`` (of an array ``constituents``: ``constituent_names``),
    ``label_names`` of several targets, ``class_names``, ``provenance``.

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
    data = _key(where, "feature", keys, (wanted.data,) if wanted.data else FEATURE_KEYS)
    names = "feature_names" if data in FEATURE_KEYS else _names_key(data)
    labels, label = _label_arrays(archive, where, wanted.label)
    weights = None
    if wanted.weight is not None:
        weights = archive[_key(where, "weight", keys, (wanted.weight,))]
    return from_array(
        where,
        archive[data],
        labels,
        _names(archive, names, where),
        wanted.features,
        classes=_names(archive, "class_names", where),
        about=str(archive["provenance"]) if "provenance" in keys else "",
        weights=weights,
        label=label,
        particles=wanted.particles,
    )


def _label_arrays(
    archive: Mapping[str, NDArray[Any]], where: str, wanted: Sequence[str]
) -> tuple[NDArray[Any], Sequence[str] | None]:
    """Labels, and their names where they have some.

    Several labels are arrays of one number an event, or columns of the usual array.
    """
    keys = list(archive)
    if len(wanted) > 1 and set(wanted) <= set(keys):
        return _side_by_side(where, {name: archive[name] for name in wanted}), wanted
    key = _key(where, "label", keys, wanted if len(wanted) == 1 else LABEL_KEYS)
    labels = archive[key]
    names = _names(archive, "label_names" if key in LABEL_KEYS else _names_key(key), where)
    if len(wanted) > 1:
        known = label_names(where, names, labels.shape[1]) if labels.ndim == 2 else keys
        return labels[:, select(where, known, wanted, "label")], wanted
    return labels, wanted if labels.ndim == 1 else names


def _side_by_side(where: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Arrays of one number an event as the columns of one."""
    if len({c.shape for c in columns.values()}) > 1 or any(c.ndim != 1 for c in columns.values()):
        shapes = ", ".join(f"{name} {list(c.shape)}" for name, c in columns.items())
        msg = f"{where}: several labels must be arrays of one number an event, not {shapes}"
        raise DataError(msg)
    return np.stack(list(columns.values()), axis=1)


def _names_key(key: str) -> str:
    """Where the names of an array's columns are: ``constituent_names`` of ``constituents``."""
    return f"{key.removesuffix('s')}_names"


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
    for key in ("data", "particles"):
        if getattr(wanted, key) is not None:
            msg = (
                f"{where}: dataset.{key} is for arrays of an .npz file; leave it out, or write one"
            )
            raise DataError(msg)
    columns = list(zip(*rows, strict=True))
    labels = wanted.label or (next(n for n in reversed(header) if n != wanted.weight),)
    apart = {name: _place(where, header, "label", name, wanted) for name in labels}
    if wanted.weight in apart:
        msg = f"{where}: {wanted.weight!r} is the weight, it cannot be the label too"
        raise DataError(msg)
    weights = None
    if wanted.weight is not None:
        at = _place(where, header, "weight", wanted.weight, wanted)
        apart[wanted.weight] = at
        weights = _column(where, wanted.weight, columns[at])
    others = [j for j in range(len(header)) if j not in apart.values()]
    picked = [others[k] for k in select(where, [header[j] for j in others], wanted.features)]
    values = [_column(where, header[j], columns[j]) for j in picked]
    x = np.stack(values, axis=1) if values else np.empty((len(rows), 0))
    names = tuple(header[j] for j in picked)
    return Table(
        where,
        np.ascontiguousarray(x),
        tuple(_labels(where, name, columns[apart[name]]) for name in labels),
        names,
        names,
        weights=weights,
        label=labels,
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
        raise DataError(not_a_number(where, row, name, cells[row])) from None


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
