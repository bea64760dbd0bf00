"""The RTL back end: what a project holds, that it proves itself, and what it notices."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from nacsr.emit import rtl, rtl_simulate
from nacsr.emit.project import MANIFEST
from nacsr.emit.rtl_pipeline import SOURCELESS
from nacsr.emit.vectors import random_words
from nacsr.emit.verify import verify
from nacsr.emit.verilog import ROWS, Operand, Word
from nacsr.errors import CompileError, EmitError, ToolError
from nacsr.fixed import Fixed, Raw
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir.graph import Op
from nacsr.ir.passes.schedule import Schedule
from nacsr.tools import iverilog, verilator
from tests.unit.rtl_projects import META, every_row, spread, written

FIXED_SEED = 3


@pytest.fixture(scope="module")
def graph() -> Graph:
    return every_row()


@pytest.fixture(scope="module")
def pristine(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emit") / "project"
    return written(graph, spread(graph, random.Random(FIXED_SEED)), out)


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))


# --- what is written -------------------------------------------------------------------


def test_the_graph_of_these_tests_has_every_row(graph: Graph) -> None:
    assert {op.name for op in graph.ops} - SOURCELESS == set(ROWS)


@pytest.mark.parametrize(
    "name",
    [
        "src/jet_tagger.v",
        "src/jet_tagger_table0.v",
        "tb/jet_tagger_tb.v",
        "jet_tagger.xdc",
        "build_vivado.tcl",
        "Makefile",
        "README.md",
    ],
)
def test_emitted_text_is_unchanged(
    pristine: Path, golden: Callable[[str, str], None], name: str
) -> None:
    golden(f"rtl/{name}", (pristine / name).read_text(encoding="utf-8"))


def test_a_project_proves_itself_and_its_timing(pristine: Path, graph: Graph) -> None:
    promised = spread(graph, random.Random(FIXED_SEED)).latency_cycles
    for found in (verify(pristine), verify(pristine, events=500, seed=7)):
        assert found.verified
        assert found.tool.startswith("iverilog 1")
        assert (found.latency_cycles, found.ii_cycles) == (promised, 1)
        assert found.words == 6 * found.events
    manifest = json.loads((pristine / MANIFEST).read_text())
    assert manifest["language"] == "verilog"
    assert (manifest["latency_cycles"], manifest["ii_cycles"]) == (promised, 1)


def test_emit_prepares_schedules_and_writes(tmp_path: Path) -> None:
    b = Builder()
    x = b.input("x", Fixed(8, 3), (4,))
    y = b.op(
        "dense",
        x,
        weight=[[1, -7], [0, 3], [-5, 1], [2, 2]],
        weight_type=Fixed(4, 1),
        bias=[5, -7],
        bias_type=Fixed(5, 3),
    )
    b.output("y", b.op("cast", y, type=Fixed.parse("fixed<6,3,RND_CONV,SAT>")))
    b.output("best", b.op("argmax", y))
    graph = b.build()
    found = verify(rtl.emit(graph, tmp_path / "p", META, random_words(graph, 100, 1)))
    assert found.verified
    assert found.latency_cycles is not None
    assert found.latency_cycles >= 2  # input and output registers


# --- it would notice -------------------------------------------------------------------


def _instead(name: str, *order: int) -> Callable[[Op, Sequence[Operand]], str]:
    """Another op's row, or the same with its operands in another order."""
    true = ROWS[name]
    return lambda op, args: true(op, [args[k] for k in order or range(len(args))])


def _unsigned(op: Op, args: Sequence[Operand]) -> str:
    return f"{{{args[0].whole}}} * {{{args[1].whole}}}"


MUTANTS: Mapping[str, Callable[[Op, Sequence[Operand]], str]] = {
    "cast": lambda op, args: args[0].bits(Fixed(op.type.width, op.type.integer + 1)),
    "add": _instead("sub"),
    "sub": _instead("sub", 1, 0),
    "neg": _instead("cast"),
    "mul": _unsigned,
    "abs": _instead("cast"),
    "min": _instead("max"),
    "max": _instead("min"),
    "compare": _instead("compare", 1, 0),
    "select": _instead("select", 0, 2, 1),
    "relu": _instead("cast"),
    "lut": lambda op, args: f"~{args[0].whole}",
    "pack": lambda op, args: ROWS["lut"](op, [args[0]]) + f" ^ {op.type.width}'d1",
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_wrong_row_is_noticed(
    name: str, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, name, MUTANTS[name])
    found = verify(written(graph, spread(graph, random.Random(FIXED_SEED)), tmp_path / "p"))
    assert found.mismatches
    assert "expected raw" in found.first


def test_a_wrong_shift_is_noticed(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Word.shifted
    monkeypatch.setattr(Word, "shifted", lambda word, n: true(word, n + 1))
    assert verify(written(graph, Schedule((0,) * len(graph.ops)), tmp_path / "p")).mismatches


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [("v0_d2 <= v0_d1", "v0_d2 <= ~v0_d1"), ("v0 <= pT", "v0 <= ~pT"), ("word[4:0]", "word[9:5]")],
)
def test_an_edited_design_is_noticed(project: Path, old: str, new: str) -> None:
    replace_in(project / "src/jet_tagger.v", old, new)
    found = verify(project)
    assert found.edited == ("src/jet_tagger.v",)
    assert found.mismatches


def test_a_word_that_is_no_number_is_noticed(project: Path) -> None:
    replace_in(project / "src/jet_tagger.v", "v0_d2 <= v0_d1", "v0_d2 <= v0")  # a cycle early
    with pytest.raises(EmitError, match="event 59: the simulation gave an unknown word"):
        verify(project)


def test_make_check_says_pass_or_fail(project: Path) -> None:
    make = ["make", "-s", "check"]
    done = subprocess.run(make, cwd=project, capture_output=True, text=True, check=True)
    assert "PASS" in done.stdout
    replace_in(project / "src/jet_tagger_table0.v", "rom[0] = 4'ha", "rom[0] = 4'hb")
    done = subprocess.run(make, cwd=project, capture_output=True, text=True)
    assert "FAIL" in done.stdout
    assert done.returncode


def test_a_broken_promise_is_refused(project: Path) -> None:
    manifest = json.loads((project / MANIFEST).read_text())
    for name, value in (("latency_cycles", 3), ("ii_cycles", 2)):
        (project / MANIFEST).write_text(json.dumps({**manifest, name: value}))
        with pytest.raises(EmitError, match=rf"promises {name} {value}, the simulation measured"):
            verify(project)


def test_a_project_of_an_unknown_language_is_refused(project: Path) -> None:
    manifest = json.loads((project / MANIFEST).read_text())
    (project / MANIFEST).write_text(json.dumps({**manifest, "language": "vhdl"}))
    with pytest.raises(EmitError, match=r"'vhdl' in manifest\.json is not c\+\+ or verilog"):
        verify(project)


def test_results_that_stay_out_are_noticed(project: Path) -> None:
    replace_in(project / "src/jet_tagger.v", "in_valid};", "1'b0};")
    with pytest.raises(EmitError, match="0 events came back, not 60"):
        verify(project)


def test_a_lowering_that_changes_words_is_refused(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = random_words(graph, 30, 1)
    b = Builder()
    x = b.input("x", Fixed(4, 2))
    b.output("y", b.op("neg", x))
    other = b.build()
    monkeypatch.setattr(rtl, "prepare", lambda g, period: (other, Schedule((0, 0))))
    with pytest.raises(EmitError, match="changed the ports"):
        rtl.emit(graph, tmp_path / "p", META, words)
    b = Builder()
    b.output("y", b.op("abs", b.input("x", Fixed(4, 2))))
    with pytest.raises(EmitError, match="changed the ports"):  # another type
        rtl.emit(b.build(), tmp_path / "p", META, random_words(other, 30, 1))
    b = Builder()
    b.output("y", b.op("sub", b.input("x", Fixed(4, 2)), b.const(0, Fixed(1, 1))))
    with pytest.raises(EmitError, match=r"changed \d+ words of output 'y'"):
        rtl.emit(b.build(), tmp_path / "p", META, random_words(other, 30, 1))
    assert not list(tmp_path.iterdir())


# --- tools -----------------------------------------------------------------------------


def test_missing_simulators_say_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IVERILOG", "no-such-simulator")
    with pytest.raises(ToolError, match="IVERILOG='no-such-simulator' does not name a program"):
        iverilog.find()
    monkeypatch.setenv("VERILATOR", "no-such-linter")
    with pytest.raises(ToolError, match=r"no Verilog simulator: .*apt install iverilog.*pip inst"):
        verify(project)
    monkeypatch.delenv("IVERILOG")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="iverilog not found; apt install iverilog"):
        iverilog.version()


def test_the_second_simulator_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rtl_simulate.simulator() is iverilog
    monkeypatch.setenv("IVERILOG", "no-such-simulator")
    assert rtl_simulate.simulator() is verilator


def test_verilog_that_does_not_compile_is_its_first_message(project: Path) -> None:
    replace_in(project / "src/jet_tagger.v", "wire signed", "wire wire")
    with pytest.raises(CompileError, match=r"does not take jet_tagger\.v: .*: syntax error") as at:
        verify(project)
    assert "\n" not in str(at.value)


def test_a_warning_of_the_compiler_counts(tmp_path: Path) -> None:
    source = tmp_path / "odd.v"
    source.write_text("module odd(input [3:0] a, output b); assign b = a[7]; endmodule\n")
    with pytest.raises(CompileError, match=r"does not take odd\.v: .*odd\.v:1"):
        iverilog.compile([source], tmp_path / "odd", "odd")


def test_the_text_is_clean_under_verilators_lint(pristine: Path, project: Path) -> None:
    sources = sorted((pristine / "src").glob("*.v"))
    assert verilator.version().startswith("verilator ")
    assert verilator.lint(sources, "jet_tagger") == ""
    replace_in(project / "src/jet_tagger.v", "v0 <= pT;", "v0 <= {1'b0, pT};")
    assert "WIDTHTRUNC" in verilator.lint(sorted((project / "src").glob("*.v")), "jet_tagger")


def test_words_of_the_project_are_the_interpreters(pristine: Path, graph: Graph) -> None:
    words = random_words(graph, 60, 1)
    expected: dict[str, Raw] = evaluate(graph, words)
    rows = np.loadtxt(pristine / "tb/expected.txt", dtype=np.int64)
    assert np.array_equal(rows[:, 0], expected["out"])
    assert np.array_equal(rows[:, 1], expected["bits"])
    assert np.array_equal(rows[:, 2:], expected["begin"].reshape(60, 4))
