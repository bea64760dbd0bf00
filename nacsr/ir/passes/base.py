"""What a pass is: valid IR in, valid IR out, the same ports and, unless it says so, the same bits.

A pass is a frozen dataclass whose fields are its options. Most are one function an op, given
to ``rewrite``, which rebuilds the graph through a ``Builder``: common subexpressions are
shared and dead code is dropped by every pass, because the builder does so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nacsr.fixed import Fixed
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.ops import FREE_TYPE
from nacsr.ir.verify import verify


class Pass(Protocol):
    """A step of the compiler."""

    @property
    def name(self) -> str:
        """What ``--passes`` and messages call it."""
        ...

    def apply(self, graph: Graph) -> Graph:
        """The graph after this step."""
        ...


Rule = Callable[[Builder, Op, tuple[int, ...]], int | None]
"""(builder, op of the old graph, its arguments in the new one) -> the value that replaces it.

None keeps the op. The value must equal the old one as a number; its type may differ.
"""


def run(graph: Graph, passes: Sequence[Pass]) -> Graph:
    """Apply passes in order; the result is verified after each.

    Raises:
        GraphError: if a pass made a graph that is not valid.
    """
    for step in passes:
        graph = verify(step.apply(graph))
    return graph


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Rebuild a graph op by op; ports keep their names, types and order."""
    builder = Builder()
    place: list[int] = []
    for op in graph.ops:
        args = tuple(place[a] for a in op.args)
        found = rule(builder, op, args)
        place.append(keep(builder, graph, op, args) if found is None else found)
    made: dict[str, int] = {}
    for constants in (False, True):  # last, for they are made anew where a pass is applied again
        for name, index in graph.outputs:
            if (builder.ops[place[index]].name == "const") is constants:
                type_ = graph.ops[index].type.plain()
                made[name] = _as_port(builder, place[index], type_)
    for name, _ in graph.outputs:
        builder.output(name, made[name])
    return builder.build(ports=True)


def _as_port(builder: Builder, index: int, type: Fixed) -> int:
    """A value in the type of its port; a constant becomes one of that type."""
    op = builder.ops[index]
    if op.name != "const" or op.type == type:
        return builder.cast(index, type)
    return builder.const(type.cast(op.array("value"), op.type), type)


READ_BITS: Mapping[str, int | None] = {"lut": 1, "select": 1, "pack": None}
"""Ops that read the bits of their first arguments, and of how many of them; None: of all."""


def keep(builder: Builder, graph: Graph, op: Op, args: tuple[int, ...]) -> int:
    """The op as it was, on new arguments.

    An argument may have another type than it had, so the ops that read bits and not numbers
    (a table's address, a condition, bits side by side) get the old type back.
    """
    if op.name in READ_BITS:
        count = READ_BITS[op.name]
        old = [graph.ops[a].type.plain() for a in op.args[:count]]
        bits = tuple(builder.cast(a, t) for a, t in zip(args, old, strict=False))
        args = (*bits, *args[len(bits) :])
    type_ = op.type if op.name in FREE_TYPE else None
    shape = op.shape if op.name == "input" else ()
    return builder.op(op.name, *args, type=type_, shape=shape, **op.attrs)
