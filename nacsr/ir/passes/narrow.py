"""Narrowing: every value in the fewest bits that its exact interval needs."""

from __future__ import annotations

from dataclasses import dataclass

from nacsr.fixed import span
from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.base import keep
from nacsr.ir.passes.casts import merged
from nacsr.ir.passes.values import exact, literal, lone, within


@dataclass(frozen=True, slots=True)
class Narrow:
    """A free cast (TRN, WRAP) after every value whose type has bits that are never used.

    Types downstream follow, so adders, products and tables shrink with them.
    """

    name: str = "narrow"

    def apply(self, graph: Graph) -> Graph:
        """See ``Pass``."""
        single = lone(graph)

        def rule(b: Builder, op: Op, args: tuple[int, ...]) -> int | None:
            if op.name == "input":
                return None
            if op.name == "const":
                return literal(b, op.array("value"), op.type.frac, op.type)
            if op.name == "cast":
                made = merged(b, args[0], op.type, op.args[0] in single)
            else:
                made = keep(b, graph, op, args)
            t = span(*b.ranges[made], b.type(made).frac)
            # a value that is always zero may need a bit above its type: it stays as it is
            fewer = within(t, b.type(made)) and t != b.type(made).plain()
            return merged(b, made, t, alone=True) if fewer else made

        return exact(graph, rule)
