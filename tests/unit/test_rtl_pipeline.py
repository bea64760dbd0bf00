"""Verilog pipelines of any schedule and any names, and the graphs that they are refused for."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.emit import rtl
from nacsr.emit.ports import ports
from nacsr.emit.rtl_pipeline import RESERVED, Pipeline, modules
from nacsr.emit.vectors import random_words
from nacsr.emit.verify import verify
from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.ir import Builder
from nacsr.ir.passes import scalar
from nacsr.ir.passes.schedule import Schedule
from tests.unit.rtl_projects import META, every_row, spread, written

# --- any schedule, any names -----------------------------------------------------------


def test_a_slow_clock_needs_fewer_cycles() -> None:
    b = Builder()
    x, y = b.input("x", Fixed(16, 6)), b.input("y", Fixed(16, 6))
    z = b.op("mul", x, y)
    for _ in range(2):
        z = b.op("mul", b.cast(z, Fixed(16, 6)), x)
    b.output("z", b.cast(z, Fixed(16, 6)))
    graph = b.build()
    stages = [rtl.prepare(graph, period)[1].stages for period in (100.0, 5.0, 2.0)]
    assert stages == sorted(stages)
    assert stages[0] == 1 < stages[1] < stages[2]


@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.integers(0, 1 << 30))
def test_outputs_do_not_depend_on_the_schedule(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    graph = every_row()
    timing = spread(graph, random.Random(seed))
    found = verify(written(graph, timing, tmp_path_factory.mktemp("p") / "p", 40, seed))
    assert found.verified
    assert found.latency_cycles == timing.latency_cycles


def test_a_schedule_that_reads_too_early_is_refused() -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 4))
    b.output("y", b.op("neg", b.op("mul", x, x)))
    graph = b.build()
    Pipeline(graph, Schedule((0, 0, 1), {1: 1}, 2))
    for cycle, latency in (((0, 0, 0), {1: 1}), ((0, 1, 0), {}), ((0, 0, 2), {})):
        with pytest.raises(EmitError, match="schedule the graph again"):
            Pipeline(graph, Schedule(cycle, latency, 2))


def test_names_of_ports_may_be_anything(tmp_path: Path) -> None:
    names = ["clk", "valid", "in_valid", "Δη", "v1", "x x", "jet tagger", "rom", "word", "code"]
    b = Builder()
    for name in names:
        b.output(f"{name} out", b.input(name, Fixed(5, 2)))
    b.output("out_valid", b.input("out_valid", Fixed(3, 3, False)))
    graph = b.build()
    found = verify(written(graph, Schedule((0,) * len(graph.ops)), tmp_path / "p"))
    assert found.verified
    assert found.latency_cycles == 2


def test_constants_and_unread_inputs(tmp_path: Path) -> None:
    b = Builder()
    b.output("c", b.const([[3, -4], [0, 1]], Fixed(4, 2)))
    alone = b.build()
    found = verify(written(alone, Schedule((0,)), tmp_path / "alone"))
    assert (found.verified, found.events, found.words) == (True, 1, 4)
    assert (found.latency_cycles, found.ii_cycles) == (2, None)
    b.input("never", Fixed(7, 3), (2,))
    unread = b.build(ports=True)
    assert verify(written(unread, Schedule((0, 0)), tmp_path / "unread")).verified


def test_equal_tables_are_one_module() -> None:
    b = Builder()
    x, y = b.input("x", Fixed(2, 2)), b.input("y", Fixed(2, 2))
    for k, arg in enumerate((x, y)):
        for name, table in (("f", [0, 1, 2, 3]), ("g", [3, 1, 2, 0])):
            looked = b.op("lut", arg, type=Fixed(3, 3), function=name, table=table)
            b.output(f"{name}{k}", looked)
    graph = b.build()
    registers = {i: 1 for i, op in enumerate(graph.ops) if op.name == "lut" and op.args[0] == x}
    pipeline = Pipeline(graph, Schedule((0,) * len(graph.ops), registers, 2))
    texts = modules(pipeline, "top", *ports(graph, "top", RESERVED), "about")
    clocked = [name for name, text in texts.items() if "output reg [" in text]
    assert (len(texts), len(clocked)) == (5, 2)
    assert sum(texts["top"].count(f"{name} v") for name in texts if name != "top") == 4


# --- refusals --------------------------------------------------------------------------


def test_what_has_no_verilog_is_refused() -> None:
    b = Builder()
    x = b.input("x", Fixed(8, 3), (2,))
    b.output("y", b.op("argmax", x))
    with pytest.raises(EmitError, match=r"%1 argmax: there is no Verilog for it"):
        Pipeline(b.build(), Schedule((0, 0)))
    b = Builder()
    b.output("y", b.op("cast", b.input("x", Fixed(8, 3)), type=Fixed.parse("fixed<4,3,RND,SAT>")))
    with pytest.raises(EmitError, match=r"%1 cast: rounds or saturates"):
        Pipeline(b.build(), Schedule((0, 0)))


def test_a_design_too_large_to_unroll_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 2), (6, 6, 2))
    weight = np.ones((3, 3, 2, 4), np.int64)
    y = b.op(
        "conv",
        x,
        weight=weight,
        weight_type=Fixed(2, 2),
        bias=[0] * 4,
        bias_type=Fixed(1, 1),
        stride=[1, 1],
        padding=[[0, 0], [0, 0]],
    )
    b.output("y", b.op("relu", y))
    graph = b.build()
    monkeypatch.setattr(scalar, "LIMIT", 1000)
    message = r"%1 conv: flow rtl unrolls every operation, 1152 here of 1216; the limit is 1000"
    with pytest.raises(EmitError, match=message) as caught:
        rtl.emit(graph, tmp_path / "p", META, random_words(graph, 3, 1))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_design_too_wide_inside_is_refused(tmp_path: Path) -> None:
    b = Builder()
    types = {"weight_type": Fixed(4, 4), "bias_type": Fixed(2, 2)}
    x = b.input("x", Fixed(60, 30, False), (1,))
    b.output("y", b.op("dense", x, weight=[[7]], bias=[1], **types))  # 63 bits, exactly
    graph = b.build()
    with pytest.raises(EmitError, match=r"flow rtl cannot unroll .*1\.\.63 bits.* Flow hls can"):
        rtl.emit(graph, tmp_path / "p", META, random_words(graph, 3, 1))
    assert not list(tmp_path.iterdir())
