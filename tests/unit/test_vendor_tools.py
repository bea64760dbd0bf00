"""The contract with Vitis HLS and Vivado, against stand-ins that check it (``vendor_fake``)."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nacsr.compiler import compile as compile_source
from nacsr.design import Design
from nacsr.errors import SpecError, ToolError
from nacsr.synthesis import synthesise
from nacsr.tools import vendor, vitis, vivado
from tests.unit import vendor_fake, vendor_texts
from tests.unit.test_cli import call

tcl = pytest.mark.skipif(shutil.which("tclsh") is None, reason="no tclsh to run the scripts with")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put stand-ins of some releases into a folder; it is on PATH unless that is left out."""
    for name in ("VITIS_HLS", "VIVADO", "XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vendor.release.cache_clear()

    def put(path: bool = True, **programs: str) -> Path:
        folder = tmp_path / "installed" / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        for name, version in programs.items():
            name = name.replace("vitis_run", "vitis-run")
            program = folder / name
            fake = Path(vendor_fake.__file__)
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {fake} {name} {version} "$@"\n')
            program.chmod(0o755)
        if path:
            monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder

    return put


@pytest.fixture(scope="module")
def formula() -> Design:
    return compile_source("0.5*x0*x1 + 0.25", name="trigger")


@pytest.mark.parametrize(
    ("program", "version", "tool"),
    [
        ("vitis_run", "2024.1", "Vitis HLS 2024.1"),
        ("vitis_hls", "2022.1.2", "Vitis HLS 2022.1.2"),
        ("vivado_hls", "2018.2", "Vivado HLS 2018.2"),
    ],
)
def test_vitis_is_found_and_says_its_release(
    program: str, version: str, tool: str, install: Install
) -> None:
    install(**{program: version})
    assert vitis.version() == tool


def test_vivado_is_found_where_settings_say(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install(path=False, vivado="2023.1", vitis_hls="2023.1")
    with pytest.raises(ToolError, match=r"vivado not found on PATH or under \$XILINX_VIVADO"):
        vivado.find()
    with pytest.raises(ToolError, match=r"settings64\.sh, or set VITIS_HLS$"):
        vitis.find()
    monkeypatch.setenv("XILINX_VIVADO", str(folder.parent))
    assert vivado.version() == "Vivado 2023.1"
    assert vitis.version() == "Vitis HLS 2023.1"
    monkeypatch.setenv("VIVADO", str(folder.parent))
    assert vivado.find() == str(folder / "vivado")
    monkeypatch.setenv("VIVADO", str(folder / "vivado"))
    assert vivado.find() == str(folder / "vivado")
    monkeypatch.setenv("VIVADO", "/nowhere")
    with pytest.raises(ToolError, match="VIVADO='/nowhere' names no program"):
        vivado.find()


def test_a_tool_that_says_no_release_is_refused(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVADO", "/bin/true")
    vendor.release.cache_clear()
    with pytest.raises(ToolError, match="says no release"):
        vivado.version()


@tcl
@pytest.mark.parametrize("program", ["vitis_run", "vitis_hls", "vivado_hls"])
def test_c_synthesis_of_a_formula(
    program: str, formula: Design, install: Install, tmp_path: Path
) -> None:
    version = "2019.2" if program == "vivado_hls" else "2024.1"
    install(**{program: version})
    found = synthesise(formula, "vitis", folder=tmp_path / "out")
    tool = "Vivado HLS" if program == "vivado_hls" else "Vitis HLS"
    assert {m.stage for m in found.measurements} == {"csynth"}
    assert {m.tool for m in found.measurements} == {f"{tool} {version}"}
    assert {m.target for m in found.measurements} == {"xcvu13p-flga2577-2-e @ 200 MHz"}
    assert {m.digest for m in found.measurements} == {formula.graph.digest}
    assert {m.flags for m in found.measurements} == {"flow hls; clock uncertainty 0.62 ns"}
    values = {m.metric: m.value for m in found.measurements}
    used = {n: v for n, v in vendor_texts.USED.items() if n != "urams"}
    assert values == {**used, "latency_cycles": 10, "ii_cycles": 1, "fmax_mhz": 1000 / 4.049}
    log = (tmp_path / "out/vitis.log").read_text()
    assert "csynth_design" in log
    assert "csim_design" not in log
    assert "export_design" not in log


@tcl
def test_co_simulation(
    formula: Design, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(vitis_hls="2023.1")
    found = synthesise(formula, "vitis", stage="cosim", folder=tmp_path / "out")
    assert {m.stage for m in found.measurements} == {"csynth", "cosim"}
    first = found.find("latency_cycles")
    assert first is not None
    assert (first.stage, first.value, first.tool) == ("cosim", 10.0, "Vitis HLS 2023.1")
    monkeypatch.setenv("FAKE_COSIM", "Fail")
    with pytest.raises(ToolError, match="co-simulation failed"):
        synthesise(formula, "vitis", stage="cosim", folder=tmp_path / "failed")


@tcl
@pytest.mark.parametrize("version", ["2020.1", "2023.1", "2025.1"])
def test_place_and_route_of_verilog(
    version: str, formula: Design, install: Install, tmp_path: Path
) -> None:
    install(vivado=version)
    found = synthesise(formula.to("rtl"), "vivado", stage="pnr", folder=tmp_path / "out")
    assert [m.stage for m in found.measurements] == ["pnr"] * 5 + ["vsynth"] * 5
    assert {m.tool for m in found.measurements} == {f"Vivado {version}"}
    told = "flow rtl; synth_design -mode out_of_context -retiming"
    luts, fmax = found.find("luts"), found.find("fmax_mhz")
    assert luts is not None
    assert fmax is not None
    assert (luts.value, luts.flags) == (1526, f"{told}; Routed")
    assert fmax.value == pytest.approx(1000 / (5 - 1.406))
    script = (tmp_path / "out/run_vivado.tcl").read_text()
    assert script == "set stage pnr\nsource build_vivado.tcl\n"


@tcl
def test_synthesis_alone_does_not_place(formula: Design, install: Install, tmp_path: Path) -> None:
    install(vivado="2023.1")
    found = synthesise(formula.to("rtl"), "vivado", folder=tmp_path / "out")
    assert {m.stage for m in found.measurements} == {"vsynth"}
    assert "place_design" not in (tmp_path / "out/vivado.log").read_text()


@tcl
def test_vivado_of_cpp_goes_through_vitis(
    formula: Design, install: Install, tmp_path: Path
) -> None:
    install(vivado="2023.1", vitis_run="2023.2")
    found = synthesise(formula, "vivado", folder=tmp_path / "out")
    assert {(m.stage, m.tool) for m in found.measurements} == {
        ("csynth", "Vitis HLS 2023.2"),
        ("vsynth", "Vivado 2023.1"),
    }
    (tmp_path / "installed/bin/vitis-run").unlink()
    with pytest.raises(ToolError, match="not found on PATH"):
        synthesise(formula, "vivado", folder=tmp_path / "without", cache=False)


@tcl
def test_an_hls4ml_project_goes_through_its_own_script(install: Install, tmp_path: Path) -> None:
    from tests.unit.tiny_nets import META, whole

    install(vivado="2023.1", vitis_run="2023.2")
    zeros = (0,) * len(META.features)
    from nacsr.data.words import Scaling
    from nacsr.design import Setting

    setting = Setting(META.features, META.classes, Scaling("folded", zeros, zeros), "vu9p", 200.0)
    design = Design(whole(), setting, "tiny net", "a network", "hls4ml")
    found = synthesise(design, "vivado", stage="pnr", folder=tmp_path / "out")
    assert {m.stage for m in found.measurements} == {"csynth", "vsynth", "pnr"}
    assert all(m.flags.startswith("flow hls4ml") for m in found.measurements)
    assert {m.target for m in found.measurements} == {"xcvu9p-flga2577-2-e @ 200 MHz"}


@tcl
def test_a_second_question_is_answered_from_the_first(
    formula: Design, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(vitis_hls="2023.1")
    first = synthesise(formula, "vitis")
    monkeypatch.setenv("FAKE_FAILS", "1")
    again = synthesise(formula, "vitis")
    assert (first.cached, again.cached) == (False, True)
    assert again.measurements == first.measurements


@tcl
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("FAKE_FAILS", r"^vitis_hls ended with 1: ERROR: \[FAKE 1\] License checkout failed \(log"),
        ("FAKE_SILENT", "no report here"),
    ],
)
def test_a_tool_that_fails_says_why(
    what: str,
    message: str,
    formula: Design,
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(vitis_hls="2023.1")
    monkeypatch.setenv(what, "1")
    with pytest.raises(ToolError, match=message):
        synthesise(formula, "vitis", folder=tmp_path / "out")


def test_a_tool_that_hangs_is_stopped_with_what_it_started(
    formula: Design, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(vitis_hls="2023.1")
    monkeypatch.setenv("FAKE_HANGS", "1")
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"did not end within [0-9.]+ s; raise the time limit"):
        synthesise(formula, "vitis", folder=tmp_path / "out", limit_s=2.0)
    assert time.monotonic() - began < 30


@tcl
def test_the_command_line(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(vivado="2023.1")
    where = ("--tool", "vivado", "--stage", "pnr", "--out", tmp_path / "out")
    project = compile_source("0.5*x0*x1", to="rtl").emit(tmp_path / "project")
    code, out, err = call(capsys, "synth", project, *where)
    assert code == 0, err
    assert "278.2 MHz" in out
    assert "Vivado 2023.1" in out
    code, out, _ = call(capsys, "doctor", "--json")
    found = {c["what"]: c for c in json.loads(out)}
    assert (found["Vivado"]["state"], found["Vivado"]["detail"]) == ("ok", "Vivado 2023.1")
    assert "set VITIS_HLS" in found["Vitis HLS"]["detail"]


def test_stages_are_those_of_the_tool(formula: Design) -> None:
    with pytest.raises(SpecError, match="unknown stage of vitis 'pnr'"):
        synthesise(formula, "vitis", stage="pnr")
