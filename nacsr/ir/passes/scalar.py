"""A design as scalars with constant products as shared additions: what RTL is made of.

Order matters: casts go first (they hide products), layers are made plain before they are
unrolled, and only scalars have intervals of their own that say which ends of a cast are reached.
"""

from __future__ import annotations

import math
from functools import lru_cache

from nacsr.errors import GraphError
from nacsr.ir.graph import Graph, Op
from nacsr.ir.passes.affine import FoldAffine
from nacsr.ir.passes.algebra import Algebra
from nacsr.ir.passes.base import Pass, run
from nacsr.ir.passes.casts import MergeCasts
from nacsr.ir.passes.csd import ConstMul
from nacsr.ir.passes.expand import ExpandCasts
from nacsr.ir.passes.fold import Fold
from nacsr.ir.passes.layers import LowerLayers
from nacsr.ir.passes.narrow import Narrow
from nacsr.ir.passes.unroll import Unroll
from nacsr.ir.tensor import WIRING

LIMIT = 200_000
"""Scalar operations of the largest design that is unrolled."""

TENSOR_PASSES: tuple[Pass, ...] = (Fold(), Algebra(), FoldAffine(), MergeCasts(), LowerLayers())
SCALAR_PASSES: tuple[Pass, ...] = (
    Fold(),
    Algebra(),
    ConstMul(always=True),
    MergeCasts(),
    ExpandCasts(),  # of scalars: each has its own interval, so many ends are out of reach
    Narrow(),
    MergeCasts(),
)


@lru_cache(maxsize=2)  # a design is costed and then emitted
def unrolled(graph: Graph) -> Graph:
    """The scalar design that computes a graph.

    Args:
        graph: the design, verified, of at most ``LIMIT`` scalar operations.

    Raises:
        GraphError: if it has more, or a step needs more bits than there are: an exact sum of
            parts may be wider than the whole.
    """
    return run(graph, (*TENSOR_PASSES, Unroll(limit=LIMIT), *SCALAR_PASSES))


def largest(graph: Graph) -> tuple[int, int, int]:
    """How many scalar operations a graph becomes, and where most of them are.

    Returns:
        Their number, the index of the op that becomes the most, and how many those are.
    """
    counts = [operations(op, [graph.ops[a] for a in op.args]) for op in graph.ops]
    worst = max(range(len(counts)), key=counts.__getitem__)
    return sum(counts), worst, counts[worst]


def operations(op: Op, args: list[Op]) -> int:
    """How many scalar operations an op becomes, constants that are zero left out."""
    if op.name in WIRING or op.name in ("input", "const"):
        return 0
    if op.name in ("dense", "conv"):
        places = math.prod(op.shape[:-1])
        return places * int((op.array("weight") != 0).sum())
    if op.name == "pool":
        return math.prod((*op.shape, *op.array("window").tolist()))
    return max(math.prod(x.shape) for x in (op, *args))


def check(graph: Graph, what: str) -> None:
    """Refuse what is too large to unroll.

    Args:
        graph: the design.
        what: who unrolls it, as the message begins.

    Raises:
        GraphError: naming the largest op.
    """
    count, worst, most = largest(graph)
    if count > LIMIT:
        msg = (
            f"%{worst} {graph.ops[worst].name}: {what} unrolls every operation, {most} here of "
            f"{count}; the limit is {LIMIT}. Use hls4ml, or a smaller design"
        )
        raise GraphError(msg)
