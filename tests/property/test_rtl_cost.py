"""The registers that an estimate counts are those that the Verilog declares."""

from __future__ import annotations

import random
import re

import pytest

from nacsr.cost.rtl import estimate_rtl
from nacsr.emit.project import ports
from nacsr.emit.rtl import prepare
from nacsr.emit.rtl_pipeline import Pipeline, modules
from nacsr.errors import EmitError, GraphError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.testing import random_graph

REGISTER = re.compile(r"^    reg (?:signed )?\[(\d+):0\] (\w+);", re.MULTILINE)


def declared(graph: Graph, period: float) -> tuple[int, int]:
    """Register bits in the text of the top module, and those of the estimate."""
    scalar, timing = prepare(graph, period)
    pipeline = Pipeline(scalar, timing)
    text = modules(pipeline, "top", *ports(graph, "top"), "")["top"]
    found = sum(int(high) + 1 for high, _ in REGISTER.findall(text))
    return found, estimate_rtl(scalar, timing, pipeline.registers()).ffs


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 12)
    try:
        found, counted = declared(graph, rng.choice((1.5, 2.5, 5.0, 20.0)))
    except (EmitError, GraphError) as error:
        pytest.skip(str(error))
    assert found == counted


def test_ports_that_nobody_reads_cost_nothing() -> None:
    b = Builder()
    ports = [b.input(f"x{k}", Fixed(16, 6)) for k in range(8)]
    b.output("y", b.op("add", ports[0], ports[1]))
    found, counted = declared(b.build(ports=True), 5.0)
    assert found == counted == 2 * 16 + 17 + 2


def test_outputs_that_are_one_value_share_its_registers() -> None:
    b = Builder()
    x = b.input("x", Fixed(8, 4))
    y = b.op("mul", x, x)
    b.output("a", y)
    b.output("b", y)
    b.output("c", b.const(3, Fixed(4, 4)))
    found, counted = declared(b.build(), 5.0)
    assert found == counted
