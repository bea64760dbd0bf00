"""What a row of the operator table is, and the helpers that rows share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nacsr.fixed import Fixed, Raw
from nacsr.ir.graph import Op, Shape

Range = tuple[int, int]
"""Lowest and highest raw integer."""


@dataclass(frozen=True, slots=True)
class OpDef:
    """A row of ``OPS``.

    Attributes:
        arity: number of arguments, -1 for any number above zero.
        attrs: names of the attributes it must carry.
        infer: (op as given, arguments) -> (type, shape). For ops whose type is a free
            choice (input, const, cast, lut) it checks the given one and returns it.
        eval: (op, arguments, raw arrays of shape (events, *shape)) -> raw array.
        bound: (op, arguments, ranges of the arguments) -> range of the result.
    """

    arity: int
    attrs: tuple[str, ...]
    infer: Callable[[Op, Sequence[Op]], tuple[Fixed, Shape]]
    eval: Callable[[Op, Sequence[Op], Sequence[Raw]], Raw]
    bound: Callable[[Op, Sequence[Op], Sequence[Range]], Range]


def align(raw: Raw, source: Fixed, to: Fixed) -> Raw:
    """Raw integers of ``source`` on the finer grid of ``to``: an exact left shift."""
    return raw if to.frac == source.frac else raw << np.int64(to.frac - source.frac)


def ends(t: Fixed) -> Range:
    """The range of every word of a type."""
    return t.min_raw, t.max_raw


def shift_range(r: Range, source: Fixed, to: Fixed) -> Range:
    """A range of ``source`` on the finer grid of ``to``."""
    up = to.frac - source.frac
    return r[0] << up, r[1] << up


def aligned_ranges(args: Sequence[Op], ranges: Sequence[Range], to: Fixed) -> list[Range]:
    """The ranges of all arguments on one grid."""
    return [shift_range(r, a.type, to) for a, r in zip(args, ranges, strict=True)]
