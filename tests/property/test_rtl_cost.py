"""Registers of the schedule are those that the Verilog declares; an estimate counts no others."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings

from nacsr.cost import Cost
from nacsr.cost.demand import demand
from nacsr.cost.rtl import estimate_rtl, table
from nacsr.emit.project import ports
from nacsr.emit.rtl import prepare
from nacsr.emit.rtl_pipeline import Pipeline, modules
from nacsr.errors import EmitError, GraphError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate
from nacsr.testing import graphs, random_graph, words

REGISTER = re.compile(r"^    reg (?:signed )?\[(\d+):0\] (\w+);", re.MULTILINE)


def declared(graph: Graph, period: float) -> tuple[int, int]:
    """Register bits in the text of the top module, and those of the schedule; no more are left
    in the estimate."""
    scalar, timing = prepare(graph, period)
    pipeline = Pipeline(scalar, timing)
    text = modules(pipeline, "top", *ports(graph, "top"), "")["top"]
    found = sum(int(high) + 1 for high, _ in REGISTER.findall(text))
    assert estimate_rtl(scalar, timing, pipeline.kept()).ffs <= found
    return found, sum(pipeline.registers()) + timing.latency_cycles


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


# --- what is left of them ----------------------------------------------------------------


def cost_of(graph: Graph) -> Cost:
    scalar, timing = prepare(graph, 5.0)
    return estimate_rtl(scalar, timing, Pipeline(scalar, timing).kept())


def test_bits_that_nobody_reads_cost_nothing() -> None:
    b = Builder()
    x, y = (b.input(n, Fixed(16, 16)) for n in "xy")
    b.output("low", b.cast(b.op("add", x, y), Fixed(6, 6)))
    found = cost_of(b.build())
    assert found.luts == 6
    assert found.ffs == 6 + 6 + 6 + 2  # of x, of y, of the sum, valid bits


def test_an_adder_takes_luts_where_both_operands_have_bits() -> None:
    b = Builder()
    x, y = b.input("x", Fixed(8, 8, False)), b.input("y", Fixed(8, 8, False))
    b.output("y", b.op("add", x, b.op("shift", y, n=5)))
    assert cost_of(b.build()).luts == 3


def test_three_registers_in_a_row_are_a_shift_register() -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 4))
    value = b.input("y", Fixed(12, 12))
    for _ in range(3):
        value = b.narrow(b.cast(b.op("mul", value, value), Fixed(12, 12)))
    b.output("z", b.op("add", value, x))
    scalar, timing = prepare(b.build(), 3.0)
    found = estimate_rtl(scalar, timing, Pipeline(scalar, timing).kept())
    assert timing.stages >= 3
    row = found.rows[next(i for i, op in enumerate(scalar.ops) if op.name == "input")]
    assert (row.ffs, row.luts) == (0, 4)


def test_tables_take_a_lut_for_every_64_words_of_a_bit_that_differ() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(0, 2, (256, 5)).astype(np.uint8)
    assert table(words) == 4 * 5
    words[:, 0] = 1  # constant
    words[:, 1] = np.arange(256) & 1  # a bit of the address
    words[:, 2] = np.tile(words[:64, 2], 4)  # the same words again
    words[:128, 3] = 0  # half of it constant
    assert table(words) == 0 + 0 + 1 + 2 + 4
    assert table(rng.integers(0, 2, (1024, 1)).astype(np.uint8)) == 16 + 1
    assert table(np.array([[0], [1]], np.uint8)) == 0


@pytest.mark.parametrize("name", ["add", "sub", "mul", "min", "max"])
def test_wider_operands_never_cost_less(name: str) -> None:
    for signed in (False, True):
        before = (0, 0)
        for width in range(2, 24):
            b = Builder()
            ports = [b.input(n, Fixed(width, width, signed)) for n in "xy"]
            b.output("z", b.op(name, *ports))
            found = cost_of(b.build())
            now = found.dsps, found.luts
            assert now >= before
            before = now


@given(graphs())
@settings(max_examples=40, deadline=None)
def test_bits_outside_of_the_demand_change_no_output(graph: Graph) -> None:
    """Bits of inputs that are said to be unread may be anything."""
    try:
        scalar, _ = prepare(graph, 5.0)
    except (EmitError, GraphError):
        assume(False)
    inputs, rng = words(scalar, 20, 1), np.random.default_rng(3)
    expected = evaluate(scalar, inputs)
    read = demand(scalar)
    changed = dict(inputs)
    for name, index in scalar.inputs:
        type_, bits = scalar.ops[index].type, read[index]
        noise = rng.integers(type_.min_raw, type_.max_raw, inputs[name].shape, endpoint=True)
        kept = ((1 << bits.count) - 1) << (bits.low + type_.frac) if bits.count else 0
        mixed = (inputs[name] & kept) | (noise & ~kept)
        spare = 64 - type_.width  # the sign goes on above the word
        changed[name] = mixed << spare >> spare if type_.signed else mixed
    found = evaluate(scalar, changed)
    for name, raw in expected.items():
        assert np.array_equal(found[name], raw), name
