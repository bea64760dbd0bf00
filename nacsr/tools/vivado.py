"""Vivado: logic synthesis, placement and routing by a script."""

from __future__ import annotations

from pathlib import Path

from nacsr.tools.vendor import batch, locate, release

LOG = "vivado.log"
HINT = "set VIVADO to a working vivado"


def find() -> str:
    """The program: ``$VIVADO``, or on PATH, or where settings64.sh says that it is.

    Raises:
        ToolError: if it is not there.
    """
    return locate("VIVADO", ("vivado",), ("XILINX_VIVADO",))


def version() -> str:
    """Name and release, such as ``Vivado 2023.1``.

    Raises:
        ToolError: if it is missing or does not say.
    """
    return f"Vivado {release(find(), '-version', HINT)}"


def run(script: Path, timeout_s: float) -> str:
    """Run a Tcl script in its own folder; what it printed, which ``vivado.log`` there keeps.

    Raises:
        ToolError: if the tool is missing, fails, or does not end in time.
    """
    command = [find(), "-mode", "batch", "-nojournal", "-nolog", "-source", script.name]
    return batch(command, script.parent / LOG, HINT, timeout_s)
