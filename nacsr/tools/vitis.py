"""Vitis HLS (and Vivado HLS before it): C simulation, C synthesis, co-simulation by a script."""

from __future__ import annotations

from pathlib import Path

from nacsr.tools.vendor import batch, locate, release

NAMES = ("vitis-run", "vitis_hls", "vivado_hls")
"""The program by release: from 2023.2, from 2020.2, before."""
LOG = "vitis.log"
HINT = "set VITIS_HLS to a working vitis-run or vitis_hls"


def find() -> str:
    """The program: ``$VITIS_HLS``, or on PATH, or where settings64.sh says that it is.

    Raises:
        ToolError: if it is not there.
    """
    return locate("VITIS_HLS", NAMES, ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO"))


def version() -> str:
    """Name and release, such as ``Vitis HLS 2023.1``.

    Raises:
        ToolError: if it is missing or does not say.
    """
    program = find()
    option = "--version" if _is_run(program) else "-version"
    tool = "Vivado HLS" if Path(program).stem == "vivado_hls" else "Vitis HLS"
    return f"{tool} {release(program, option, HINT)}"


def run(script: Path, timeout_s: float) -> str:
    """Run a Tcl script in its own folder; what it printed, which ``vitis.log`` there keeps.

    Raises:
        ToolError: if the tool is missing, fails, or does not end in time.
    """
    program = find()
    how = ["--mode", "hls", "--tcl"] if _is_run(program) else ["-f"]
    return batch([program, *how, script.name], script.parent / LOG, HINT, timeout_s)


def _is_run(program: str) -> bool:
    return Path(program).stem == "vitis-run"
