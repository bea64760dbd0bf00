"""What the tests of the RTL back end share: a graph of every row, schedules, and projects."""

from __future__ import annotations

import random
from pathlib import Path

from nacsr.data.words import Feature
from nacsr.emit import rtl
from nacsr.emit.project import Draft, ProjectMeta
from nacsr.emit.vectors import random_words
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.ir.passes.schedule import Schedule

META = ProjectMeta(
    name="jet tagger",
    part="xcvu9p-flga2577-2-e",
    target="vu9p",
    clock_mhz=240.0,
    flow="rtl",
    features=(Feature("pT", Fixed(8, 4)), Feature("clk", Fixed(6, 6, False))),
    classes=("quark", "gluon"),
    title="every row once",
)


def every_row() -> Graph:
    """A scalar graph with every op that has Verilog, and wiring at both ends."""
    b = Builder()
    x = b.input("pT", Fixed(8, 4))
    n = b.input("clk", Fixed(6, 6, False))
    word = b.input("word", Fixed(5, 2), (3,))
    v = [b.element(word, k) for k in range(3)]
    half = b.const(3, Fixed(3, 1, False))
    product = b.op("mul", b.op("add", x, half), b.op("sub", n, x))
    small = b.cast(product, Fixed(6, 5))
    table = [(k * k) % 13 - 6 for k in range(64)]
    looked = b.op("lut", small, type=Fixed(4, 2), function="made up", table=table)
    less = b.op("compare", x, v[1], kind="lt")
    chosen = b.op("select", less, b.op("neg", x), b.op("shift", b.op("abs", v[0]), n=-2))
    ends = b.op("min", b.op("max", chosen, looked), b.op("relu", v[2]))
    b.output("out", ends)
    b.output("bits", b.op("pack", less, small))
    b.output("begin", b.op("reshape", b.op("stack", x, looked, small, half), to=[2, 2]))
    return b.build()


def spread(graph: Graph, rng: random.Random) -> Schedule:
    """Any schedule that keeps the order: ops wait, products and tables may hold registers."""
    cycle: list[int] = []
    latency: dict[int, int] = {}
    for index, op in enumerate(graph.ops):
        ready = [cycle[a] + latency.get(a, 0) for a in op.args if graph.ops[a].name != "const"]
        cycle.append(max(ready, default=0) + rng.choice((0, 0, 0, 1, 2)) * bool(ready))
        if op.name in ("mul", "lut"):
            latency[index] = rng.choice((0, 0, 1, 2))
    ends = [cycle[i] + latency.get(i, 0) for _, i in graph.outputs]
    return Schedule(tuple(cycle), latency, 1 + max(ends) + rng.randint(0, 1))


def written(graph: Graph, timing: Schedule, out: Path, events: int = 60, seed: int = 1) -> Path:
    draft = Draft(graph, META)
    rtl.fill(draft, graph, timing, random_words(graph, events, seed))
    return draft.save(out)
