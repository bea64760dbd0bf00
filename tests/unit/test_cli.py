"""The command line: every bad input is one line on stderr and exit code 2, no traceback."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nacsr.archive import FILE, Archive
from nacsr.cli import main

Rows = list[list[object]]


def call(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    before, sys.argv = sys.argv, ["nacsr", *map(str, args)]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.argv = before
    out = capsys.readouterr()
    return code, out.out, out.err


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The one line on stderr of a command that must be refused."""
    code, _, err = call(capsys, *args)
    assert code == 2, err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err


GOOD = "dataset: jets\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "budgett: quick\n", "budget"),
        (GOOD + "clock_mhz: fast\n", "clock_mhz"),
        (GOOD + "target: vu99\n", "vu9p"),
        (GOOD + "families:\n  network:\n    dept: [1]\n", "depth"),
        (GOOD + "objectives: [accuracy, lut]\n", "luts"),
        ("dataset: jet\n", "jets"),
        ("dataset: [\n", "line"),
        ("", "study.yaml"),
        (GOOD + "inputs:\n  types: {mass: 'ufixed<16,10>'}\n", "mass_mmdt"),
        (GOOD + "families:\n  expression:\n    functions: [sine]\n", "sin"),
    ],
)
def test_bad_study_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert says in refused(capsys, "run", path, "--out", tmp_path / "run")


def write_csv(path: Path, rows: Rows, header: list[str]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [[*r[:1], "nan", *r[2:]] for r in rows], "'b'"),
        (lambda rows: [[r[0], 5.0, r[2]] for r in rows], "every event"),
        (lambda rows: [[r[0], r[1], "s"] for r in rows], "two classes"),
        (lambda rows: [["many", r[1], r[2]] for r in rows], "many"),
    ],
)
def test_bad_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Rows], Rows], says: str
) -> None:
    rng = np.random.default_rng(0)
    rows = [[rng.normal(), rng.normal(), "s" if i % 2 else "b"] for i in range(60)]
    write_csv(tmp_path / "events.csv", change(rows), ["a", "b", "kind"])
    study = tmp_path / "study.yaml"
    study.write_text("dataset: {source: events.csv, label: kind}\n")
    assert says in refused(capsys, "run", study, "--out", tmp_path / "run")


def test_a_missing_column_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "events.csv", [[1, 2, "s"]] * 30, ["a", "b", "kind"])
    study = tmp_path / "study.yaml"
    study.write_text("dataset: {source: events.csv, label: kin}\n")
    assert "kind" in refused(capsys, "run", study, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("sine(x0)", "sin"),
        ("__import__('os').system('ls')", "formula"),
        ("x0.real", "attribute"),
        ("x0/0", "zero"),
        ("", "empty"),
        ("3.5", "no variable"),
        ("pi*x0", "3.14159"),
        ("sin*2", "call it"),
        ("nowhere:3f", "no archive here"),
        ("x0 +", "formula"),
    ],
)
def test_bad_expressions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], expression: str, says: str
) -> None:
    out = tmp_path / "design"
    assert says in refused(capsys, "compile", expression, "--out", out)
    assert not out.exists()


def test_bad_targets_precisions_and_back_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "design"
    assert "vu13p" in refused(capsys, "cost", "x0", "--target", "vu13")
    assert "fixed<" in refused(capsys, "cost", "x0", "--precision", "16")
    assert "hls4ml" in refused(capsys, "compile", "x0*x1", "--to", "hsl4ml", "--out", out)
    assert "hls" in refused(capsys, "compile", "x0*x1", "--to", "hls4ml", "--out", out)
    assert not out.exists()


def test_a_cost_is_that_of_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    def luts(*stage: str) -> tuple[str, float]:
        found = json.loads(call(capsys, "cost", "x0 + x1", "--to", "hls", *stage, "--json")[1])
        return next((m["stage"], m["value"]) for m in found if m["metric"] == "luts")

    assert luts() == luts("--stage", "csynth") == ("csynth", 24)
    assert luts("--stage", "vsynth") == ("vsynth", 17)
    assert "csynth, vsynth" in refused(capsys, "cost", "x0", "--to", "hls", "--stage", "pnr")
    assert "leave the stage out" in refused(
        capsys, "cost", "x0", "--to", "rtl", "--stage", "vsynth"
    )


def test_a_word_that_may_be_a_mistyped_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, "cost", "nowhere")
    assert (code, err.count("\n")) == (0, 1)
    assert "'nowhere' is taken as a formula of one variable; no such file or folder" in err
    for formula in ("x0", "x", "2*nowhere", "nowhere + x1"):
        assert call(capsys, "cost", formula)[2] == ""
    assert call(capsys, "cost", "pt", "eta")[2] == ""  # several formulas


def test_a_truncated_archive_and_a_folder_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nacsr run" in refused(capsys, "front", tmp_path)
    with Archive(tmp_path, create=True) as archive:
        for n in range(300):
            archive.set_meta(f"k{n}", "v" * 100)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[:5000])
    for command in ("front", "run"):
        assert "archive" in refused(capsys, command, tmp_path)


def test_a_folder_of_runs_names_those_inside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("poly", "gauss"):
        with Archive(tmp_path / name, create=True):
            pass
    both = f"{tmp_path / 'gauss'}, {tmp_path / 'poly'}"
    assert f"give one run of those in it: {both}\n" in refused(capsys, "front", tmp_path)
    assert both in refused(capsys, "show", tmp_path, "3fa2")
    assert f"give RUN:ID for a design of a run, with RUN one of {both}\n" in refused(
        capsys, "show", tmp_path
    )


def test_a_front_is_offered_at_stages_that_it_can_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("synth", "test"):
        message = refused(capsys, "front", tmp_path, "--stage", stage)
        assert message.endswith("Choose from: csynth, rtl, vsynth, pnr, cosim\n")


def test_an_unwritable_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    study = tmp_path / "study.yaml"
    study.write_text(GOOD)
    assert "file" in refused(capsys, "run", study, "--out", blocker / "run")
    assert "file" in refused(capsys, "compile", "x0*x1", "--out", blocker / "design")
    assert blocker.read_text() == "not a folder"


def test_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in refused(capsys, "run", tmp_path / "nowhere.yaml")
    assert "manifest" in refused(capsys, "verify", tmp_path)
    assert "hall_of_fame.csv" in refused(capsys, "cost", tmp_path / "hall_of_fame.csv")


@pytest.mark.parametrize(
    "command", ["run", "front", "show", "compile", "verify", "cost", "luts", "targets", "doctor"]
)
def test_help_teaches(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert "Usage" in out


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert "xcvu13p-flga2577-2-e" in call(capsys, "targets", "--json")[1]
    assert '"name": "gauss"' in call(capsys, "luts", "--json")[1]
    found = call(capsys, "doctor", "--json")[1]
    assert all(name in found for name in ('"g++"', '"iverilog (', '"Verilator ('))


def test_compile_cost_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "design"
    assert call(capsys, "compile", "0.3*x0*sin(2*x1) - 0.8", "--out", out)[0] == 0
    code, text, _ = call(capsys, "verify", out, "--events", 300, "--json")
    assert (code, '"mismatches": 0' in text) == (0, True)
    by_source = call(capsys, "cost", "0.3*x0*sin(2*x1) - 0.8", "--json")[1]
    assert call(capsys, "cost", out, "--json")[1] == by_source


def test_a_project_is_costed_for_its_own_device_and_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--target", "vu9p", "--clock-mhz", 400)
    source, out = "x0*x1*x2", tmp_path / "design"
    assert call(capsys, "compile", source, *place, "--out", out)[0] == 0
    own = call(capsys, "cost", out, "--json")[1]
    assert "xcvu9p-flga2577-2-e @ 400 MHz" in own
    assert own == call(capsys, "cost", source, *place, "--json")[1]
    assert "@ 200 MHz" in call(capsys, "cost", out, "--clock-mhz", 200, "--json")[1]
    assert "50..800" in refused(capsys, "cost", source, "--clock-mhz", 1e9)


def test_a_run_folder_keeps_its_own_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Archive(tmp_path, create=True):
        pass
    assert "keeps its own study" in refused(capsys, "run", tmp_path, "--seed", 5)


# ---- the compiler's options


def test_rtl_is_simulated_and_its_cycles_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p"
    code, text, _ = call(capsys, "compile", "x0*x1+x2", "--to", "rtl", "--out", out)
    assert code == 0
    assert "rtl project of" in text
    code, text, err = call(capsys, "verify", out)
    if "no Verilog simulator" in err:
        pytest.skip(err)
    assert code == 0
    assert "0 of 200 output words differ" in text
    assert "clock cycles from port to port, II = 1" in text


def test_a_budget_prints_what_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--max-error", "1e-2", "--range", "x0=-4:4", "--range", "x1 = -2:2"]
    code, text, _ = call(capsys, "compile", "gauss(x0)*x1", *options, "--out", tmp_path / "p")
    assert code == 0
    assert "Proven: y is within 0.00" in text


def test_ir_and_picture_of_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(capsys, "show", "x0*x1")
    assert code == 0
    assert text.startswith("nacsr-ir 1\n")
    code, text, _ = call(capsys, "show", "x0*x1", "--svg", tmp_path / "f.svg")
    assert code == 0
    assert (tmp_path / "f.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--range", "x0"], "NAME=LOW:HIGH"),
        (["--range", "x0=2:1", "--max-error", "1"], "NAME=LOW:HIGH"),
        (["--range", "x0=0:1"], "max_error"),
        (["--range", "x9=0:1", "--max-error", "1"], "x9"),
        (["--max-error", "-1"], "max_error"),
        (["--max-error", "1e-30"], "no number of bits"),
        (["--lut", "sin"], "sin.entries=64"),
        (["--lut", "sin.depth=3"], "max_error, entries"),
        (["--luts", "nowhere"], "not a folder"),
        (["--io", "io_serial"], "io_parallel or io_stream"),
        (["--reuse", "2"], "hls4ml's"),
        (["--to", "vhdl"], "rtl"),
    ],
)
def test_options_that_are_refused(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(capsys, "compile", "sin(x0)*x1", "--out", tmp_path / "p", *options)
    assert not (tmp_path / "p").exists()


def test_a_cost_by_the_options_of_hls4ml(capsys: pytest.CaptureFixture[str]) -> None:
    source = ("cost", "0.3*x0 - 0.8*x1", "--to", "hls4ml")
    shown = call(capsys, *source, "--strategy", "resource", "--reuse", 4)[1]
    assert "(strategy resource, reuse factor 4)" in shown
    found = json.loads(call(capsys, *source, "--io", "io_stream", "--json")[1])
    assert {m["flags"] for m in found} == {"io_stream"}
    assert "options of hls4ml, not of hls" in refused(
        capsys, "cost", "x0 + x1", "--to", "hls", "--reuse", 4
    )
