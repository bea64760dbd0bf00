"""Icarus Verilog: compiles emitted Verilog in a moment and simulates it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from nacsr.errors import CompileError, ToolError
from nacsr.tools.process import run

FLAGS = ("-g2001", "-Wall", "-Wno-timescale")
TIMEOUT_S = 600.0
HINT = "apt install iverilog, or set IVERILOG to its iverilog program"


def find() -> str:
    """The compiler: ``$IVERILOG`` if set, else iverilog on PATH.

    Raises:
        ToolError: if it is not there.
    """
    chosen = os.environ.get("IVERILOG", "")
    program = shutil.which(chosen or "iverilog")
    if program is None:
        where = f"IVERILOG={chosen!r} does not name a program" if chosen else "iverilog not found"
        msg = f"{where}; {HINT}"
        raise ToolError(msg)
    return program


def version() -> str:
    """Name and version, such as ``iverilog 11.0``.

    Raises:
        ToolError: if it is missing or says nothing.
    """
    done = run([find(), "-V"], TIMEOUT_S, HINT)
    found = re.search(r"Icarus Verilog version (\S+)", done.stdout)
    if found is None:
        msg = f"{find()} -V does not say a version; {HINT}"
        raise ToolError(msg)
    return f"iverilog {found[1]}"


def compile(sources: Sequence[Path], out: Path, top: str) -> Path:
    """Compile Verilog files to the simulation ``out``.

    Args:
        sources: design and testbench.
        out: the file to write.
        top: module to simulate.

    Raises:
        CompileError: with the first message about the sources; warnings count as well.
        ToolError: if the compiler is missing.
    """
    command = [find(), *FLAGS, "-s", top, "-o", str(out), *(str(s) for s in sources)]
    done = run(command, TIMEOUT_S, HINT)
    if done.returncode or done.stderr.strip():
        first = (done.stderr.strip().splitlines() or ["no message"])[0]
        msg = f"{command[0]} does not take {sources[0].name}: {first}"
        raise CompileError(msg)
    return out


def simulate(simulation: Path, cwd: Path, timeout_s: float = TIMEOUT_S) -> str:
    """Run a compiled simulation in a folder; what it printed.

    Raises:
        ToolError: if vvp, which comes with iverilog, is missing or fails.
    """
    beside = Path(find()).resolve().parent / "vvp"
    vvp = str(beside) if beside.is_file() else shutil.which("vvp") or "vvp"
    done = run([vvp, "-n", str(simulation)], timeout_s, HINT, cwd)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        msg = f"{vvp} ended with {done.returncode}: {last}"
        raise ToolError(msg)
    return done.stdout
