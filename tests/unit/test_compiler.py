"""The compiler's front door: sources, back ends, budgets, tables, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.cost.rtl import estimate_rtl
from nacsr.design import Setting
from nacsr.emit import FLOWS
from nacsr.emit.hls4ml_model import Hls4mlOptions
from nacsr.emit.rtl import prepare
from nacsr.emit.rtl_pipeline import Pipeline
from nacsr.errors import EmitError, NacsrError, SpecError, ToolError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, parse, verify
from nacsr.luts import fit
from nacsr.luts.price import price_of
from tests.unit.test_lut_jets import taggers  # noqa: F401, a fixture

FORMULA = "0.31*x0*sin(2*x1) + 0.5*x2*x2 - 0.79*max(x0, x1)"


def verified(design: nacsr.Design, folder: Path) -> nacsr.emit.verify.Verification:
    """Emit, run and compare; skipped where no simulator is."""
    try:
        found = design.verify(design.emit(folder))
    except ToolError as error:
        if design.flow == "rtl":
            pytest.skip(str(error))
        raise
    assert found.verified, found.first
    return found


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_the_published_jet_taggers(flow, taggers, tmp_path):  # noqa: F811
    design = nacsr.compile(taggers, to=flow, target="vu9p", precision="fixed<16,6>")
    cost = design.cost()
    assert cost.latency_cycles <= 8
    assert cost.ii_cycles == 1
    found = verified(design, tmp_path / flow)
    if flow == "rtl":
        assert (found.latency_cycles, found.ii_cycles) == (cost.latency_cycles, 1)


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_names_that_are_keywords(flow, tmp_path):
    design = nacsr.compile("class*wire + always*module - int*x", to=flow, name="endmodule")
    verified(design, tmp_path / flow)


def test_a_design_moves_between_back_ends(tmp_path):
    design = nacsr.compile(FORMULA)
    assert design.flow == "hls"
    moved = design.to("rtl")
    assert moved.graph == design.graph
    assert moved.cost().stage == "rtl"
    folder = moved.emit(tmp_path / "rtl")
    assert nacsr.compiler.from_project(folder).to("hls").cost() == design.cost()
    with pytest.raises(SpecError, match=r"unknown back end 'vhdl'.*rtl"):
        design.to("vhdl")


def test_no_more_registers_are_estimated_than_the_verilog_declares(tmp_path):
    design = nacsr.compile(FORMULA, to="rtl")
    folder = design.emit(tmp_path / "p")
    text = next((folder / "src").glob("trigger.v")).read_text()
    declared = re.findall(r"^    reg (?:signed )?\[(\d+):0\] (\w+);", text, re.MULTILINE)
    assert 0 < design.cost().ffs <= sum(int(high) + 1 for high, _ in declared)


def test_a_faster_clock_costs_cycles():
    slow, fast = (nacsr.compile(FORMULA, to="rtl", clock_mhz=f).cost() for f in (100, 500))
    assert slow.latency_cycles < fast.latency_cycles
    assert slow.ffs < fast.ffs


def test_an_error_budget_is_kept_and_reported():
    ranges = {"x0": (-2.0, 2.0), "x1": (-2.0, 2.0), "x2": (-1.0, 1.0)}
    loose, tight = (
        nacsr.compile(FORMULA, max_error=e, ranges=ranges, precision="fixed<16,4>")
        for e in (0.05, 0.005)
    )
    assert loose.bounds["y"] <= 0.05
    assert tight.bounds["y"] <= 0.005
    assert price_of(loose.graph) < price_of(tight.graph)
    x = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
    x = Fixed(16, 4).to_float(tight.words(x))  # the formula of the words that arrive
    real = 0.31 * x[:, 0] * np.sin(2 * x[:, 1]) + 0.5 * x[:, 2] ** 2
    real -= 0.79 * np.maximum(x[:, 0], x[:, 1])
    assert np.abs(tight.run(x)[:, 0] - real).max() <= tight.bounds["y"]


def test_tables_by_accuracy_and_by_size():
    coarse = nacsr.compile("sin(x0)", lut={"max_error": 0.1})
    fine = nacsr.compile("sin(x0)", lut={"sin": {"max_error": 0.001}})
    assert coarse.cost().luts < fine.cost().luts
    small = nacsr.compile("exp(x0)", lut={"exp": {"entries": 32}})
    assert sum(op.array("table").size for op in small.graph.ops if op.name == "lut") <= 32
    own = {"sin": fit("sin", -4, 4, max_error=0.01)}
    assert nacsr.compile("sin(x0)", luts=own).graph != nacsr.compile("sin(x0)").graph


def test_sine_times_cosine_is_one_table():
    names = [
        op.attrs["function"]
        for op in nacsr.compile("sin(x0)*cos(x0)").graph.ops
        if op.name == "lut"
    ]
    assert set(names) == {"sincos"}
    own = {"sin": fit("sin", -4, 4, max_error=0.01)}  # what a user made is what is used
    kept = nacsr.compile("sin(x0)*cos(x0)", luts=own).graph
    assert {op.attrs["function"] for op in kept.ops if op.name == "lut"} == {"sin", "cos"}


def test_a_folder_of_functions(tmp_path):
    (tmp_path / "steps.toml").write_text(
        'name = "steps"\ndomain = "fixed<2,2,TRN,SAT>"\nvalue = "fixed<4,2>"\n'
        'values = [-8, -1, 1, 7]\nabout = "four steps"\n'
    )
    design = nacsr.compile("steps(x0)", luts=tmp_path)
    assert design.run([[-2.0], [-1.0], [0.0], [1.0], [9.0]])[:, 0].tolist() == [
        -2.0,
        -0.25,
        0.25,
        1.75,
        1.75,
    ]


def test_projects_keep_their_options_and_bounds(tmp_path):
    design = dense(4)
    again = nacsr.compiler.from_project(design.emit(tmp_path / "a"))
    assert again.options == design.options
    assert again.cost() == design.cost()
    assert design.cost().ii_cycles == 2
    loop = nacsr.compile(tmp_path / "a", options=Hls4mlOptions(reuse_factor=1))
    assert loop.cost().ii_cycles == 1
    proven = nacsr.compile("gauss(x0)", max_error=0.01, ranges={"x0": (-2, 2)})
    again = nacsr.compile(proven.emit(tmp_path / "b"), to="rtl")
    assert again.flow == "rtl"
    assert (again.bounds, again.ranges) == (proven.bounds, {"x0": (-2.0, 2.0)})


@pytest.mark.parametrize("options", [{"io_type": 1}, {"depth": 3}, {"reuse_factor": 2}])
def test_options_in_a_manifest_that_are_none(options):
    with pytest.raises(EmitError, match="cannot read the hls4ml options"):
        Hls4mlOptions.read(options)


def test_a_sign_hides_no_square():
    for text in ("exp(-x0*x0)", "exp(x0*(-x0))", "exp(-x0*x0/2)"):
        assert nacsr.compile(text, max_error=0.02).bounds["y"] <= 0.02


def test_a_setting_for_all_leaves_poles_alone():
    design = nacsr.compile("sin(x0)/x1", lut={"max_error": 0.01})
    assert design.graph != nacsr.compile("sin(x0)/x1").graph


def test_rows_of_a_hall_that_are_left_out_are_named_once(tmp_path, caplog):
    path = tmp_path / "hall.csv"
    path.write_text("Complexity,Loss,Equation\n1,nan,x0\n3,0.5,x0*x1\n5,0.4,wibble(x0)\n")
    assert nacsr.compile(str(path)).graph == nacsr.compile("x0*x1").graph
    (record,) = caplog.records
    what = "left out what cannot be read or has no loss: complexity 1, 5"
    assert record.getMessage() == f"{path}: {what}"
    nacsr.compile(str(path), row=1)  # a row that was asked for is no surprise
    assert len(caplog.records) == 1


REFUSED = {
    "a folder that is no project": (lambda: nacsr.compile("nacsr"), "is a folder, but no project"),
    "text that is none": (lambda: nacsr.compile([1, 2]), "must be text, not 1"),
    "an output that cannot be named": (
        lambda: nacsr.compile({"a;b": "x0"}),
        "cannot name an output 'a;b'",
    ),
    "entries without end": (
        lambda: nacsr.compile("sin(x0)", lut={"entries": float("inf")}),
        "must be a whole number",
    ),
    "tables and a budget": (
        lambda: nacsr.compile("sin(x0)", lut={"entries": 8}, max_error=1),
        "lut goes without max_error",
    ),
    "real numbers for raw ones": (
        lambda: Builder().const([0.5], Fixed(8, 4)),
        "raw integers are expected",
    ),
    "a shape without elements": (
        lambda: Builder().const([], Fixed(8, 4)),
        "every axis needs one",
    ),
    "ranges without a budget": (
        lambda: nacsr.compile("x0", ranges={"x0": (0, 1)}),
        "ranges go with max_error",
    ),
    "hls4ml options elsewhere": (
        lambda: nacsr.compile("x0", options=Hls4mlOptions(reuse_factor=2)).emit("nowhere"),
        "are hls4ml's; flow hls has none",
    ),
    "an expression for hls4ml": (
        lambda: nacsr.compile("abs(x0)", to="hls4ml").emit("nowhere"),
        r"%\d+ abs: .*hls or rtl",
    ),
    "a cost by another back end's options": (
        lambda: replace(dense(4), flow="hls").cost(),
        "options of hls4ml, not of hls",
    ),
    "a zero divisor": (lambda: nacsr.compile("x0/0"), "division by a constant that is zero"),
    "a pole under a budget": (lambda: nacsr.compile("1/x0", max_error=0.1), "pole"),
    "a pole times zero": (lambda: nacsr.compile("(x0 > x0)/(x0 > x0) + x0", max_error=0.1), "pole"),
    "an unknown table setting": (
        lambda: nacsr.compile("sin(x0)", lut={"sine": {"entries": 8}}),
        "unknown function 'sine'",
    ),
    "two table settings": (
        lambda: nacsr.compile("sin(x0)", lut={"max_error": 0.1, "entries": 8}),
        "max_error or entries, one of them",
    ),
    "a table that is no number": (
        lambda: nacsr.compile("sin(x0)", lut={"max_error": "small"}),
        "must be a number",
    ),
    "a cycle in the IR": (
        lambda: verify(
            parse(
                "nacsr-ir 1\n%0 = add(%1, %1) : fixed<9,9>\n%1 = neg(%0) : fixed<9,9>\nreturn y=%1"
            )
        ),
        "%0 add: an argument must be an earlier value",
    ),
    "70 bits": (lambda: wide(), "%2 mul: .*70.*cast an operand"),
    "shapes": (lambda: shapes(), "shapes .* do not match"),
    "a large table": (lambda: table(), r"%1 lut: a table of 2\*\*20 entries; limit 2\*\*16"),
}


def dense(size: int) -> nacsr.Design:
    """A design with options of hls4ml."""
    b = Builder()
    x = b.input("x", Fixed(6, 3), (size,))
    t = Fixed(4, 2)
    y = b.op("dense", x, weight=np.eye(size), weight_type=t, bias=np.zeros(size), bias_type=t)
    b.output("y", y)
    options = Hls4mlOptions(strategy="resource", reuse_factor=2)
    features = tuple(nacsr.data.words.Feature(f"x{k}", Fixed(6, 3)) for k in range(size))
    scaling = nacsr.data.words.Scaling("external", (0,) * size, (0,) * size)
    setting = Setting(features, ("a",) * size, scaling, "vu13p", 200.0)
    return nacsr.Design(b.build(), setting, "d", "d", "hls4ml", options)


def wide() -> None:
    b = Builder()
    b.op("mul", b.input("a", Fixed(35, 5)), b.input("b", Fixed(35, 5)))


def shapes() -> None:
    b = Builder()
    b.op("add", b.input("a", Fixed(8, 5), (2,)), b.input("b", Fixed(8, 5), (3,)))


def table() -> None:
    b = Builder()
    x = b.input("a", Fixed(20, 5))
    b.op("lut", x, type=Fixed(8, 8), function="f", table=np.zeros(4))


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    run, message = REFUSED[case]
    with pytest.raises(NacsrError, match=message) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert not Path("nowhere").exists()


def test_a_design_too_large_to_unroll():
    b = Builder()
    x = b.input("x", Fixed(6, 3), (600,))
    weight = np.ones((600, 600), dtype=np.int64)
    t = Fixed(4, 2)
    y = b.op("dense", x, weight=weight, weight_type=t, bias=np.zeros(600), bias_type=t)
    b.output("y", y)
    with pytest.raises(EmitError, match=r"%1 dense: flow rtl unrolls .* limit is 200000"):
        prepare(b.build(), 5.0)


def test_every_back_end_says_what_it_is():
    assert set(FLOWS) == {"hls", "hls4ml", "rtl"}
    for flow in FLOWS.values():
        assert flow.about


def test_estimates_of_rtl_have_their_own_stage_and_bands():
    scalar, timing = prepare(nacsr.compile(FORMULA).graph, 5.0)
    cost = estimate_rtl(scalar, timing, Pipeline(scalar, timing).kept())
    device = nacsr.targets.target("vu13p")
    found = {m.metric: m for m in cost.measurements(device, 200.0, "d")}
    assert {m.stage for m in found.values()} == {"rtl"}
    assert found["luts"].error == max(0.3 * cost.luts, 20)
    assert found["latency_cycles"].error == 0  # the design has the latency of its schedule
