"""Pieces of emitted C++ that all rows share: loops, constant arrays, and where an op stands.

Loop variables are ``i`` and ``j``, which no port may be named, or begin with the value's own
name, as all other variables do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.emit.project import ctype
from nacsr.emit.vectors import size
from nacsr.fixed import Fixed
from nacsr.ir.graph import Op

LINE = 96
INTEGERS = ((8, "signed char"), (16, "short"), (32, "int"), (64, "long long"))


@dataclass(frozen=True, slots=True)
class Site:
    """One op at its place in the function.

    Attributes:
        op: the op.
        name: C++ variable of its value.
        args: the ops it reads.
        names: their C++ variables.
    """

    op: Op
    name: str
    args: tuple[Op, ...]
    names: tuple[str, ...]

    @property
    def type(self) -> str:
        """C++ type of an element."""
        return ctype(self.op.type)

    def arg(self, k: int, index: str = "i") -> str:
        """An element of argument ``k``; a scalar argument is the same for every index."""
        return self.names[k] + (f"[{index}]" if self.args[k].shape else "")

    def arg_as(self, k: int, to: Fixed) -> str:
        """Element ``i`` converted to a type that holds it exactly."""
        return self.arg(k) if self.args[k].type == to else f"{ctype(to)}({self.arg(k)})"


Row = Callable[[Site], list[str]]
"""The statements of one op."""


def comment(text: str) -> str:
    """Text that cannot leave a comment line: no line end, no backslash, no trigraph.

    >>> comment("a\\nb ??/ sin(x)")
    'a b _/ sin(x)'
    """
    return re.sub(r"[^ -~]|[\\\\?]+", "_", " ".join(text.split()))


def loop(index: str, count: int, body: Sequence[str], start: int = 0, step: int = 1) -> list[str]:
    """An unrolled loop."""
    advance = f"++{index}" if step == 1 else f"{index} += {step}"
    head = f"for (int {index} = {start}; {index} < {count}; {advance}) {{"
    inner = [line if line.startswith("#") else f"    {line}" for line in body]
    return [head, "#pragma HLS unroll", *inner, "}"]


def nest(loops: Sequence[tuple[str, int]], body: Sequence[str]) -> list[str]:
    """Loops inside one another, the first outermost: (index, count) each."""
    lines = list(body)
    for index, count in reversed(loops):
        lines = loop(index, count, lines)
    return lines


def flat(indices: Sequence[str], sizes: Sequence[int]) -> str:
    """The place of an element in a flat row-major array; an axis of one element has no say.

    >>> flat(["r", "c", "i"], [4, 8, 3]), flat(["r", "c", "i"], [4, 1, 3]), flat(["i"], [1])
    ('(r * 8 + c) * 3 + i', 'r * 3 + i', '0')
    """
    text = ""
    for index, count in zip(indices, sizes, strict=True):
        if count > 1:
            before = f"({text})" if " " in text else text
            text = f"{before} * {count} + {index}" if text else index
    return text or "0"


def affine(index: str, step: int, first: int = 0) -> str:
    """The place of a word among evenly spaced ones.

    >>> affine("i", 1), affine("i", 2, 5), affine("i", 0, 5)
    ('i', 'i * 2 + 5', '5')
    """
    if not step:
        return str(first)
    text = index if step == 1 else f"{index} * {step}"
    return f"{text} + {first}" if first else text


def integers(name: str, values: NDArray[np.int64]) -> list[str]:
    """A constant array in the narrowest C++ integer that holds all values; it becomes a ROM."""
    low, high = int(values.min()), int(values.max())
    bits = max(high, -low - 1).bit_length() + 1
    kind = next(kind for width, kind in INTEGERS if bits <= width)
    lines, line = [f"static const {kind} {name}[{values.size}] = {{"], "   "
    for value in values.ravel().tolist():
        word = f" {_literal(value)},"
        if len(line) + len(word) > LINE:
            lines.append(line)
            line = "   "
        line += word
    return [*lines, line, "};"]


def _literal(value: int) -> str:
    return str(value) if -(1 << 31) < value < 1 << 31 else f"{value}LL"


def from_raw(t: Fixed, word: str) -> str:
    """The value whose bits are those of an integer."""
    return f"nacsr::from_raw<{ctype(t)} >({word})"


def partition(name: str) -> str:
    """All elements of an array at once, as registers."""
    return f"#pragma HLS array_partition variable={name} complete"


def array(name: str, t: Fixed, count: int) -> list[str]:
    """A partitioned array."""
    return [f"{ctype(t)} {name}[{count}];", partition(name)]


def result(site: Site) -> list[str]:
    """The variable of an op's value, to be assigned."""
    if not site.op.shape:
        return [f"{site.type} {site.name};"]
    return array(site.name, site.op.type, size(site.op.shape))
