"""Vitis HLS and Vivado as synthesis tools: the emitted scripts run, their reports read.

No vendor tool was at hand: the contract with one (arguments, script, files) is what
``tests/unit/test_vendor_tools.py`` proves against recorded programs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nacsr.emit.project import Project
from nacsr.errors import ReportError, ToolError
from nacsr.synthesis.base import Job, Result, Tool
from nacsr.synthesis.reports import Reports, Subject, collect, differences, measurements
from nacsr.tools import vitis, vivado

STEPS: Mapping[str, tuple[str, ...]] = {"csynth": ("csynth",), "cosim": ("csynth", "cosim")}
"""Steps of Vitis HLS that a stage needs."""

_HLS4ML = ("csim", "csynth", "cosim", "validation", "export", "vsynth")


def subject_of(project: Project) -> Subject:
    """The design of an emitted project, as reports should speak of it."""
    meta = project.meta
    top = str(project.manifest["top"])
    return Subject(meta.name, project.graph.digest, (top,), meta.part, meta.clock_mhz, meta.flow)


def run_vitis(job: Job) -> Result:
    """Run C synthesis, and co-simulation where that is the stage.

    Raises:
        ToolError: if the tool is missing, fails, does not end in time, or writes no whole report.
    """
    _hls(job, STEPS[job.stage])
    return _result(job, {"csynth", job.stage})


def run_vivado(job: Job) -> Result:
    """Run logic synthesis, and placement and routing where that is the stage.

    A project in C++ goes through C synthesis first.

    Raises:
        ToolError: if a tool is missing, fails, does not end in time, or writes no whole report.
    """
    if job.project.meta.flow != "rtl":
        _hls(job, STEPS["csynth"])
    script = _script(job, "run_vivado.tcl", f"set stage {job.stage}\nsource build_vivado.tcl\n")
    vivado.run(script, job.left_s())
    return _result(job, {"vsynth", job.stage}, _told(job.project.root / "build_vivado.tcl"))


def _hls(job: Job, steps: tuple[str, ...]) -> None:
    if job.project.meta.flow == "hls4ml":
        names = {"csynth": "synth"}  # as hls4ml calls it
        chosen = " ".join(f"{names.get(s, s)} {int(s in steps)}" for s in _HLS4ML)
        text = f"set steps {{{chosen}}}\nsource build_prj.tcl\n"
    else:
        text = f"set steps {{{' '.join(steps)}}}\nsource build_vitis.tcl\n"
    vitis.run(_script(job, "run_vitis.tcl", text), job.left_s())


def _script(job: Job, name: str, text: str) -> Path:
    path = job.project.root / name
    path.write_text(text, encoding="utf-8")
    return path


def _told(script: Path) -> str:
    """The options of synthesis that Vivado was given."""
    found = re.search(r"^synth_design (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    words = re.sub(r"-(top|part) \S+\s*", "", found[1]) if found else ""
    return f"synth_design {words}".strip()


def _result(job: Job, stages: set[str], told: str = "") -> Result:
    subject = subject_of(job.project)
    try:
        reports = collect(job.project.root, subject.tops)
    except ReportError as error:
        raise ToolError(str(error)) from None
    if wrong := differences(reports, subject):
        msg = f"{job.project.root}: {wrong[0]}; the reports are of other sources, start afresh"
        raise ToolError(msg)
    if reports.cosim is not None and not reports.cosim.passed:
        msg = (
            f"{reports.cosim.path}: co-simulation failed; 'nacsr verify' says whether the C++ does"
        )
        raise ToolError(msg)
    made, notes = measurements(reports, subject, told)
    missing = sorted(stages - _stages(reports))
    if missing:
        msg = f"no report of {', '.join(missing)} in {job.project.root}; its logs say why"
        raise ToolError(msg)
    return Result(tuple(sorted(made, key=lambda m: m.stage != job.stage)), notes)


def _stages(reports: Reports) -> set[str]:
    found = set(reports.utilisation)
    found |= {"csynth"} if reports.csynth is not None else set()
    return found | ({"cosim"} if reports.cosim is not None else set())


def _stage(stage: str) -> str:
    """With the sources, which hold the scripts, this is all that the tool is told."""
    return stage


def _stage_after_hls(stage: str) -> str:
    """The same; what Vivado makes of C++ depends on the release of Vitis HLS as well."""
    try:
        return f"{stage}, {vitis.version()}"
    except ToolError:
        return stage


VITIS = Tool(
    about="Vitis HLS (or Vivado HLS): C synthesis and co-simulation of what was emitted",
    flows=("hls", "hls4ml"),
    stages=("csynth", "cosim"),
    version=vitis.version,
    flags=_stage,
    run=run_vitis,
)
VIVADO = Tool(
    about="Vivado: out-of-context synthesis, placement and routing; of C++ after Vitis HLS",
    flows=("rtl", "hls", "hls4ml"),
    stages=("vsynth", "pnr"),
    version=vivado.version,
    flags=_stage_after_hls,
    run=run_vivado,
)
