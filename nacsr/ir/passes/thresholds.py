"""Comparisons with a constant: which word is the first that is large enough, and what decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nacsr.fixed import Fixed
from nacsr.ir.graph import Op

LUT_INPUTS = 6
FLIPPED: Mapping[str, str] = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """``word of the variable >= word``, or not.

    Attributes:
        place: which argument the variable is.
        word: a raw word of the variable's type, or one beyond its ends.
        holds: False where the comparison is the opposite of that.
    """

    place: int
    word: int
    holds: bool

    def bits(self, variable: Fixed) -> int:
        """High bits of the variable that decide; 0 where all words are large enough, or none."""
        return deciding(self.word, variable)


def deciding(first: int, variable: Fixed) -> int:
    """High bits of a word that tell whether it is at least ``first``; 0 where all are, or none.

    >>> [deciding(n, Fixed(8, 8, False)) for n in (128, 64, 65, 0)]
    [1, 2, 8, 0]
    """
    if not variable.min_raw < first <= variable.max_raw:
        return 0
    if not first:
        return 1
    return variable.width - (first & -first).bit_length() + 1


def in_a_row(bits: int) -> int:
    """LUTs in a row that look at so many bits of a word: the first at six of them, each further one
    at five and the answer so far. A sign, or nothing, is a wire.

    >>> [in_a_row(n) for n in (0, 1, 2, 6, 7, 11, 12)]
    [0, 0, 1, 1, 2, 2, 3]
    """
    return math.ceil((bits - 1) / (LUT_INPUTS - 1))


def threshold(
    kind: str, types: Sequence[Fixed], constants: Sequence[int | None]
) -> Threshold | None:
    """The threshold of a comparison of which one side is a constant; None for any other.

    Args:
        kind: of the comparison.
        types: of both sides.
        constants: the raw word of a side that is one.
    """
    if kind not in FLIPPED or (constants[0] is None) == (constants[1] is None):
        return None
    place = int(constants[0] is not None)
    kind = FLIPPED[kind] if place else kind
    word = constants[1 - place] or 0
    up = types[place].frac - types[1 - place].frac
    above = kind in ("gt", "le")  # beyond the constant, not at it
    if up >= 0:
        first = (word << up) + above
    else:
        first = (word >> -up) + 1 if above else -(-word >> -up)
    return Threshold(place, first, kind in ("ge", "gt"))


def against(op: Op, args: Sequence[Op]) -> Threshold | None:
    """The threshold of a comparison with a constant; None of any other operation."""
    if op.name != "compare":
        return None
    return threshold(str(op.attrs["kind"]), [a.type for a in args], _constants(args))


def _constants(args: Sequence[Op]) -> list[int | None]:
    return [int(a.array("value")) if a.name == "const" else None for a in args]


def compared(op: Op, args: Sequence[Op]) -> int:
    """High bits that a comparison (also that of a smaller or larger value) looks at: with a
    constant only those that decide."""
    types = [a.type for a in args]
    words = _constants(args)
    kinds = ("ge", "gt") if op.name != "compare" else (str(op.attrs["kind"]),)
    found = [t for kind in kinds if (t := threshold(kind, types, words)) is not None]
    if not found:
        return max(t.width for t in types)
    return max(min(t.bits(types[t.place]) for t in found), 1)
