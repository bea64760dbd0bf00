"""A stand-in for vitis-run, vitis_hls, vivado_hls and vivado, for tests of the contract with them.

It knows the command lines that the real programs take, runs the Tcl that it is given in tclsh with
every command of the tool recorded, refuses scripts that name files which are not there or use
commands out of order, and then writes reports where the real programs write them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import vendor_texts as texts  # it runs as a program, too

BANNERS = {
    "vitis-run": "****** vitis-run v{v} (64-bit)\n  **** SW Build 1 on Thu Jan 1 00:00:00 MST",
    "vitis_hls": "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v{v} (64-bit)",
    "vivado_hls": "Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC v{v} (64-bit)",
    "vivado": "Vivado v{v} (64-bit)\nSW Build 1 on Thu Jan 1 00:00:00 MST",
}
VERSION_OPTION = {"vitis-run": "--version"}
SCRIPT_OPTIONS = {
    "vitis-run": ["--mode", "hls", "--tcl"],
    "vitis_hls": ["-f"],
    "vivado_hls": ["-f"],
    "vivado": ["-mode", "batch", "-nojournal", "-nolog", "-source"],
}
STUBS = """
proc unknown args { puts "CALL|[join $args |]" }
proc get_ports args { return [lindex $args end] }
proc exit {{code 0}} { puts "EXIT|$code"; flush stdout; rename exit {}; __exit $code }
"""


def calls(script: str) -> list[list[str]]:
    """The commands of the tool that a script gives, in order."""
    text = "rename exit __exit\n" + STUBS.replace("rename exit {}; ", "")
    done = subprocess.run(
        ["tclsh"], input=f"{text}\nsource {script}\n", capture_output=True, text=True
    )
    if done.returncode:
        fail(done.stderr.strip() or "the script failed")
    lines = done.stdout.splitlines()
    return [line.split("|")[1:] for line in lines if line.startswith("CALL|")]


def fail(what: str) -> None:
    sys.stdout.write(f"INFO: [Common] starting\nERROR: [FAKE 1] {what}\n")
    raise SystemExit(1)


def option(call: list[str], name: str) -> str:
    return call[call.index(name) + 1]


def hls(version: str, made: list[list[str]]) -> None:
    """Vitis HLS: project, top, files, solution, part and clock, then what was asked for."""
    place = {c[0]: c for c in made}
    for call in made:
        for word in call[1:]:
            if call[0] == "add_files" and not word.startswith("-") and not Path(word).exists():
                fail(
                    f"Cannot find file {word}"
                ) if "cflags" not in word and " " not in word else None
    project, solution = place["open_project"][-1], place["open_solution"][-1]
    top, part = place["set_top"][1], place["set_part"][1]
    period = float(option(place["create_clock"], "-period"))
    folder = Path(project) / solution
    if "csynth_design" in place:
        reports = folder / "syn/report"
        reports.mkdir(parents=True)
        whole = texts.csynth_xml(version, top=top, part=part, period=period)
        (reports / f"{top}_csynth.xml").write_text(whole)
        (reports / f"{top}_stage_csynth.xml").write_text(
            whole.replace(f">{top}<", f">{top}_stage<")
        )
        (folder / "syn/verilog").mkdir()
        (folder / f"syn/verilog/{top}.v").write_text(f"module {top}; endmodule\n")
    if "cosim_design" in place:
        if "csynth_design" not in place:
            fail("cosim_design before csynth_design")
        (folder / "sim/report").mkdir(parents=True)
        status = os.environ.get("FAKE_COSIM", "Pass")
        (folder / f"sim/report/{top}_cosim.rpt").write_text(texts.cosim(version, status))


def vivado(version: str, made: list[list[str]]) -> None:
    """Vivado: sources, synthesis, implementation, and reports of the state at that moment."""
    state, top, part, clock, period = "", "", "", "ap_clk", 5.0
    for call in made:
        if call[0] in ("read_verilog", "read_xdc"):
            files = [w for w in call[1].split() if w != "out_of_context" and w[0] != "-"]
            files = call[-1:] if call[0] == "read_xdc" else files
            missing = [f for f in files if not Path(f).is_file()]
            if missing or not files:
                fail(f"cannot read {missing}")
            if call[0] == "read_xdc":
                found = re.search(r"-period (\S+) -name (\S+)", Path(call[-1]).read_text())
                assert found is not None
                period, clock = float(found[1]), found[2]
        elif call[0] == "synth_design":
            state, top, part = "Synthesized", option(call, "-top"), option(call, "-part")
            if option(call, "-mode") != "out_of_context":
                fail("expected -mode out_of_context")
        elif call[0] == "create_clock":
            period, clock = float(option(call, "-period")), option(call, "-name")
        elif call[0] == "place_design":
            state = "Fully Placed"
        elif call[0] == "route_design":
            state = (
                "Routed" if state == "Fully Placed" else fail("route_design before place_design")
            )
        elif call[0] == "report_utilization":
            text = texts.utilisation(version, state, design=top, part=part)
            Path(option(call, "-file")).write_text(text)
        elif call[0] == "report_timing_summary":
            text = texts.timing(
                version, period=period, state=state, clock=clock, design=top, part=part
            )
            Path(option(call, "-file")).write_text(text)


def main() -> None:
    name, version, *arguments = sys.argv[1:]
    if arguments == [VERSION_OPTION.get(name, "-version")]:
        sys.stdout.write(BANNERS[name].format(v=version) + "\n")
        return
    *how, script = arguments
    if how != SCRIPT_OPTIONS[name]:
        fail(f"unknown arguments {arguments}")
    if os.environ.get("FAKE_HANGS"):
        subprocess.run(["sleep", "60"])
    if os.environ.get("FAKE_FAILS"):
        fail("License checkout failed")
    made = calls(script)
    if not os.environ.get("FAKE_SILENT"):
        vivado(version, made) if name == "vivado" else hls(version, made)
    sys.stdout.write("\n".join("|".join(c) for c in made) + "\n")


if __name__ == "__main__":
    main()
