"""Which bits of the values of a scalar graph somebody reads; logic synthesis drops the others.

Bits are named by the power of two that they are worth: a word of type ``fixed<W, I>`` has those
from ``I - W`` to ``I - 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nacsr.fixed import Fixed
from nacsr.ir import Graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import compared


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits from ``low`` up to below ``high``; none where both are the same."""

    low: int
    high: int

    @classmethod
    def of(cls, type_: Fixed) -> Bits:
        """All of a word."""
        return cls(-type_.frac, type_.width - type_.frac)

    @property
    def count(self) -> int:
        """How many."""
        return max(self.high - self.low, 0)

    def joined(self, other: Bits) -> Bits:
        """Those of both, and those between them."""
        if not self.count or not other.count:
            return self if self.count else other
        return Bits(min(self.low, other.low), max(self.high, other.high))

    def inside(self, type_: Fixed) -> Bits:
        """What must be read of a word to know these bits of its number: above a signed word its
        sign goes on."""
        whole = Bits.of(type_)
        high = min(self.high, whole.high)
        low = max(self.low, whole.low)
        if type_.signed and self.high > whole.high:
            low = min(low, whole.high - 1)
        return Bits(min(low, high), high)

    def contains(self, other: Bits) -> bool:
        """Whether all bits of another are among these."""
        return self.low <= other.low and other.high <= self.high


NONE = Bits(0, 0)


def demand(graph: Graph) -> list[Bits]:
    """The bits of every value that an output depends on, of an array those of any element.

    Args:
        graph: ops as ``nacsr.emit.rtl`` prepares them.
    """
    found = [NONE] * len(graph.ops)
    for _, index in graph.outputs:
        found[index] = Bits.of(graph.ops[index].type)
    for index in range(len(graph.ops) - 1, -1, -1):
        op = graph.ops[index]
        if not found[index].count:
            continue
        args = [graph.ops[a] for a in op.args]
        wanted = RULES.get(op.name, _whole)(op, args, found[index])
        for a, bits in zip(op.args, wanted, strict=True):
            found[a] = found[a].joined(bits)
    return found


def _whole(_: Op, args: list[Op], __: Bits) -> list[Bits]:
    return [Bits.of(a.type) for a in args]


def _same(_: Op, args: list[Op], read: Bits) -> list[Bits]:
    return [read.inside(a.type) for a in args]


def _shift(op: Op, args: list[Op], read: Bits) -> list[Bits]:
    n = op.integer("n")
    return [Bits(read.low - n, read.high - n).inside(args[0].type)]


def _sum(op: Op, args: list[Op], read: Bits) -> list[Bits]:
    """No bit depends on higher ones; where the other operand has no bits yet, a bit is passed on
    as it is, unless it is to be negated."""
    found = []
    for k, (arg, other) in enumerate((args, args[::-1])):
        passed = op.name == "add" or k == 0
        low = max(min(read.low, -other.type.frac), -arg.type.frac) if passed else -arg.type.frac
        found.append(Bits(low, max(read.high, low + 1)).inside(arg.type))
    return found


def _below(_: Op, args: list[Op], read: Bits) -> list[Bits]:
    """Of a negation."""
    return [Bits(-a.type.frac, read.high).inside(a.type) for a in args]


def _compare(op: Op, args: list[Op], __: Bits) -> list[Bits]:
    whole = [Bits.of(a.type) for a in args]
    if not any(a.name == "const" for a in args):
        return whole
    width = compared(op, args)
    return [Bits(max(b.high - width, b.low), b.high) for b in whole]


def _select(_: Op, args: list[Op], read: Bits) -> list[Bits]:
    return [Bits.of(args[0].type), *(read.inside(a.type) for a in args[1:])]


def _relu(_: Op, args: list[Op], read: Bits) -> list[Bits]:
    whole = Bits.of(args[0].type)
    return [read.inside(args[0].type).joined(Bits(whole.high - 1, whole.high))]


RULES: Mapping[str, Callable[[Op, list[Op], Bits], list[Bits]]] = {
    "cast": _same,
    "shift": _shift,
    "add": _sum,
    "sub": _sum,
    "neg": _below,
    "compare": _compare,
    "select": _select,
    "relu": _relu,
    **dict.fromkeys(("take", "stack", "concat", "reshape"), _same),
}
"""What an op reads of its arguments when some of its own bits are read; all of them, otherwise."""
