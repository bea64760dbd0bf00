"""verify: everything that must hold of a graph before it is interpreted or emitted."""

from __future__ import annotations

from nacsr.errors import GraphError
from nacsr.ir.build import infer
from nacsr.ir.graph import Graph
from nacsr.ir.ops import OPS
from nacsr.ir.rows import Range


def verify(graph: Graph) -> Graph:
    """Check structure, types and shapes against ``OPS``; return the graph unchanged.

    Raises:
        GraphError: naming the first op that is wrong, or an output.
    """
    if not graph.outputs:
        msg = "a graph needs at least one output"
        raise GraphError(msg)
    for index, op in enumerate(graph.ops):
        found = infer(op, graph.ops, index)
        if found.type != op.type or found.shape != op.shape:
            msg = (
                f"%{index} {op.name}: has type {op.type}{list(op.shape)}, "
                f"its arguments give {found.type}{list(found.shape)}"
            )
            raise GraphError(msg)
    for kind, names in (
        ("input", [n for n, _ in graph.inputs]),
        ("output", [n for n, _ in graph.outputs]),
    ):
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            msg = f"two {kind}s are named {sorted(twice)[0]!r}; names must differ"
            raise GraphError(msg)
    return graph


def ranges(graph: Graph) -> list[Range]:
    """The exact interval of every value, in raw integers, over all input words."""
    found: list[Range] = []
    for op in graph.ops:
        args = [graph.ops[a] for a in op.args]
        found.append(OPS[op.name].bound(op, args, [found[a] for a in op.args]))
    return found
