"""What the tests of passes share: graphs of one input, and what is left of one after a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate, verify
from nacsr.ir.passes import Pass
from nacsr.testing import words

X = Fixed(6, 3)
Build = Callable[[Builder, int], int]


def graph_of(build: Build, t: Fixed = X, shape: tuple[int, ...] = ()) -> Graph:
    b = Builder()
    b.output("y", build(b, b.input("x", t, shape)))
    return verify(b.build(ports=True))


def left(step: Pass, graph: Graph) -> Counter[str]:
    """The ops after a pass, besides inputs, constants and slices of bits; the words checked."""
    after = verify(step.apply(graph))
    given = words(graph, 200, 1)
    expected, found = evaluate(graph, given), evaluate(after, given)
    assert all(np.array_equal(expected[n], found[n]) for n in expected)
    free = {"input", "const"}
    wires = [op for op in after.ops if op.name == "cast" and op.type == op.type.plain()]
    return Counter(op.name for op in after.ops if op.name not in free and op not in wires)


def c(b: Builder, raw: object, t: Fixed = X) -> int:
    return b.const(raw, t)
