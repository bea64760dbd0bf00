"""Tables: what a source of events holds, before it is checked as a dataset."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.data.arrays import KIND_AXIS, Shape, default_kinds, feature_names
from nacsr.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What a file holds, before it is checked as a dataset.

    Attributes:
        where: name of the source, for messages.
        x: float64 values, shape (events, features).
        labels: class labels or targets as they were found, each of shape (events,).
        features: one name a column.
        kinds: one name a kind of value: a column, a value of a particle, or a channel.
        classes: names of the classes 0, 1, ... where the file gives them.
        about: provenance, where the file gives it.
        weights: finite or not, float64 of shape (events,), where there are weights.
        label: names of what the labels are.
        array: shape of an event whose features are the elements of an array, else ().
    """

    where: str
    x: NDArray[np.float64]
    labels: tuple[NDArray[Any], ...]
    features: tuple[str, ...]
    kinds: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    about: str = ""
    weights: NDArray[np.float64] | None = None
    label: tuple[str, ...] = ("y",)
    array: Shape = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts of a file to read.

    Attributes:
        label: columns or arrays of labels; (): the usual one.
        weight: column or array of event weights; None: there are none.
        features: names of the features, or kinds of value, to keep; None: all others.
        data: array of the features; None: the usual one.
        particles: how many to keep of every set, the first ones; None: all.
    """

    label: tuple[str, ...] = ()
    weight: str | None = None
    features: tuple[str, ...] | None = None
    data: str | None = None
    particles: int | None = None


def nearest(name: str, choices: Sequence[str]) -> str:
    """``did you mean ...?`` and the choices, shortened where they are many."""
    close = difflib.get_close_matches(name, choices, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
    return f"{guess}It has: {shown}"


def select(
    where: str, names: Sequence[str], wanted: Sequence[str] | None, kind: str = "feature"
) -> list[int]:
    """Positions of the wanted columns, all by default.

    Raises:
        DataError: for an unknown, repeated or empty selection, or repeated names in the file.
    """
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice:
        msg = f"{where}: two {kind}s are named {twice[0]!r}; names must differ"
        raise DataError(msg)
    if wanted is None:
        return list(range(len(names)))
    if not wanted:
        msg = f"{where}: {kind}s: [] selects none; name at least one, or leave the key out"
        raise DataError(msg)
    for i, name in enumerate(wanted):
        if name not in names:
            msg = f"{where}: no {kind} named {name!r}; {nearest(name, names)}"
            raise DataError(msg)
        if name in wanted[:i]:
            msg = f"{where}: {kind}s: names {name!r} twice; name it once"
            raise DataError(msg)
    return [list(names).index(n) for n in wanted]


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
    label: Sequence[str] | None = None,
    particles: int | None = None,
) -> Table:
    """A table from arrays, with names ``x0``, ``x1``, ... where none are given.

    Raises:
        DataError: for wrong shapes, or values that are not real numbers.
    """
    columns = _label_columns(where, labels, len(x) if x.ndim else 0)
    if weights is not None:
        if weights.shape != x.shape[:1]:
            msg = (
                f"{where}: weights must be one an event, shape [{len(x)}], "
                f"not {list(weights.shape)}"
            )
            raise DataError(msg)
        weights = numbers(where, weights[:, None], ("weight",))[:, 0]
    picked, kinds = _picked(where, x, names, wanted, particles)
    array = picked.shape[1:] if picked.ndim > 2 else ()
    features = feature_names(array, kinds)
    flat = picked.reshape(len(picked), len(features))
    given = tuple(classes) if classes else None
    titles = label_names(where, label, len(columns))
    values = numbers(where, flat, features)
    return Table(where, values, columns, features, kinds, given, about, weights, titles, array)


def _label_columns(where: str, labels: NDArray[Any], events: int) -> tuple[NDArray[Any], ...]:
    """Labels, or the columns of several targets."""
    if labels.ndim not in (1, 2) or len(labels) != events or 0 in labels.shape[1:]:
        msg = (
            f"{where}: labels must be one an event, shape [{events}], "
            f"not {list(labels.shape)}; use argmax(1) on one-hot labels"
        )
        raise DataError(msg)
    return (labels,) if labels.ndim == 1 else tuple(labels.T)


def label_names(where: str, given: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """One name a label."""
    if not given:
        return ("y",) if count == 1 else tuple(f"y{k}" for k in range(count))
    if len(given) != count:
        msg = f"{where}: {len(given)} names for {count} targets, {', '.join(given)}; give one each"
        raise DataError(msg)
    return tuple(given)


def _picked(
    where: str,
    x: NDArray[Any],
    names: Sequence[str] | None,
    wanted: Sequence[str] | None,
    particles: int | None,
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The wanted kinds of value of the first particles, and their names."""
    if x.ndim not in KIND_AXIS:
        msg = (
            f"{where}: features must have shape (events, features), (events, particles, values) or "
            f"(events, channels, rows, columns), not {list(x.shape)}"
        )
        raise DataError(msg)
    if particles is not None:
        x = _leading(where, x, particles)
    axis = KIND_AXIS[x.ndim]
    count = x.shape[axis]
    kinds = default_kinds(x.ndim, count) if names is None else tuple(names)
    if len(kinds) != count:
        what = {2: "columns", 3: "values of a particle", 4: "channels"}[x.ndim]
        msg = f"{where}: {len(kinds)} feature names for {count} {what}; give one each"
        raise DataError(msg)
    places = select(where, kinds, wanted)
    return x.take(places, axis), tuple(kinds[k] for k in places)


def _leading(where: str, x: NDArray[Any], particles: int) -> NDArray[Any]:
    """The first particles of every set."""
    if x.ndim != 3:
        msg = (
            f"{where}: dataset.particles is for sets of shape (events, particles, values), not "
            f"{list(x.shape)}; leave it out, or name an array of sets with data:"
        )
        raise DataError(msg)
    if particles > x.shape[1]:
        msg = f"{where}: dataset.particles is {particles}, but a set has {x.shape[1]}; take fewer"
        raise DataError(msg)
    return x[:, :particles]


def numbers(where: str, x: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """Real numbers as float64; text and objects are refused at their first cell."""
    if x.dtype.kind in "biuf":
        return np.ascontiguousarray(x, dtype=np.float64)
    for row, column in np.ndindex(x.shape):
        cell = x[row, column]
        if not isinstance(cell, int | float | np.integer | np.floating):
            raise DataError(not_a_number(where, row, names[column], str(cell)))
    return np.ascontiguousarray(x, dtype=np.float64)


def not_a_number(where: str, row: int, column: str, text: str) -> str:
    """What is wrong with a cell of a column of numbers."""
    return (
        f"{where}: row {row + 1}, column {column!r}: expected a number, got {text!r}; mend it, "
        "or choose other columns with features: [...]"
    )


def is_number(cell: str) -> bool:
    """Whether a text reads as a real number, infinite ones included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
