"""Op and Graph: SSA by index, so a graph is topologically ordered by construction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import GraphError
from nacsr.fixed import Fixed

Attr = int | str | Fixed | NDArray[np.int64]
"""What an attribute may be: arrays are read-only int64."""

Shape = tuple[int, ...]


def whole(value: object) -> NDArray[np.int64]:
    """A copy of an array of raw integers.

    Raises:
        GraphError: for numbers that are no integers of 64 bits.
    """
    try:
        given = np.array(value)
        array = given.astype(np.int64)
        same = given.size == 0 or (given.dtype.kind in "iufb" and bool((array == given).all()))
    except (ValueError, TypeError, OverflowError):
        same = False
    if not same:
        msg = "raw integers are expected; make them of real numbers with Fixed.quantize()"
        raise GraphError(msg)
    return array


def freeze(attrs: Mapping[str, object]) -> Mapping[str, Attr]:
    """Attributes in canonical form: sorted by name, sequences as read-only int64 arrays."""
    frozen: dict[str, Attr] = {}
    for name in sorted(attrs):
        value = attrs[name]
        if isinstance(value, int | str | Fixed) and not isinstance(value, bool):
            frozen[name] = value
        else:
            array = whole(value)
            array.setflags(write=False)
            frozen[name] = array
    return MappingProxyType(frozen)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One value of a graph.

    Attributes:
        name: a key of ``OPS``.
        args: indices of earlier ops.
        type: the fixed-point type of every element.
        shape: shape of one event's value, () for a scalar.
        attrs: constants of the op, see the op's row in ``OPS``.
    """

    name: str
    args: tuple[int, ...]
    type: Fixed
    shape: Shape = ()
    attrs: Mapping[str, Attr] = field(default_factory=lambda: MappingProxyType({}))

    def array(self, name: str) -> NDArray[np.int64]:
        """An array attribute."""
        return np.asarray(self.attrs[name], dtype=np.int64)

    def integer(self, name: str) -> int:
        """An integer attribute."""
        value = self.attrs[name]
        if not isinstance(value, int):
            msg = f"{self.name}: attribute {name!r} must be an integer"
            raise TypeError(msg)
        return value

    def fixed(self, name: str) -> Fixed:
        """An attribute that is a type."""
        value = self.attrs[name]
        if not isinstance(value, Fixed):
            msg = f"{self.name}: attribute {name!r} must be a fixed-point type"
            raise TypeError(msg)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A whole design: ops in order, and the named outputs.

    Two graphs are equal when their text is; ``digest`` is the SHA-256 of that text.
    """

    ops: tuple[Op, ...]
    outputs: tuple[tuple[str, int], ...]

    @property
    def inputs(self) -> tuple[tuple[str, int], ...]:
        """Name and index of every input op, in order."""
        return tuple(
            (str(op.attrs["name"]), i) for i, op in enumerate(self.ops) if op.name == "input"
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the text form, in hex."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def users(self) -> list[list[int]]:
        """For every op, the indices of the ops that read it."""
        readers: list[list[int]] = [[] for _ in self.ops]
        for i, op in enumerate(self.ops):
            for arg in op.args:
                readers[arg].append(i)
        return readers

    def __str__(self) -> str:
        from nacsr.ir.text import show

        return show(self)

    def __reduce__(self) -> tuple[Callable[[str], Graph], tuple[str]]:
        from nacsr.ir.text import parse  # between processes a graph travels as its text

        return parse, (str(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))
