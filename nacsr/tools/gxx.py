"""g++: compiles emitted C++ so that it can be compared with the interpreter."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nacsr.errors import CompileError, ToolError

FLAGS = ("-std=c++14", "-w", "-fno-exceptions")
"""C++14 is what Vitis HLS compiles; ``-w``: the warnings of vendor headers are not ours;
without exceptions g++ compiles large constant arrays several times faster."""
TIMEOUT_S = 600.0
_ERROR = re.compile(r"^.*?(?:fatal )?error: .*$", re.MULTILINE)


def find() -> tuple[str, ...]:
    """The compiler as a command: ``$CXX`` if set (it may carry options), else g++ on PATH.

    Raises:
        ToolError: if it is not there.
    """
    chosen = os.environ.get("CXX", "")
    words = shlex.split(chosen) or ["g++"]
    program = shutil.which(words[0])
    if program is None:
        where = f"CXX={chosen!r} does not name a program" if chosen else "g++ not found on PATH"
        msg = f"{where}; install g++, or set CXX to a C++14 compiler"
        raise ToolError(msg)
    return (program, *words[1:])


def version() -> str:
    """The first line that the compiler says about itself.

    Raises:
        ToolError: if it is missing or fails.
    """
    done = _run([*find(), "--version"])
    if done.returncode or not done.stdout.strip():
        msg = f"{find()[0]} --version failed with exit code {done.returncode}; set CXX to another"
        raise ToolError(msg)
    return done.stdout.splitlines()[0]


def compile(
    sources: Sequence[Path],
    out: Path,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
) -> Path:
    """Compile ``sources`` into the program ``out``, as one unit, so that headers are read once.

    Args:
        sources: C++ files.
        out: the program to write.
        includes: folders of headers.
        flags: options after ``FLAGS``, such as ``-O1``.

    Raises:
        CompileError: with the first error that the compiler reports in the sources.
        ToolError: if the compiler is missing, or ended without naming an error.
    """
    command = [*find(), *FLAGS, *flags]
    command += [f"-I{folder}" for folder in includes]
    command += [word for source in sources[:-1] for word in ("-include", str(source))]
    command += [str(sources[-1]), "-o", str(out)]
    done = _run(command)
    if done.returncode:
        first = _ERROR.search(done.stderr)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{command[0]} cannot compile {sources[0]}: {first[0] if first else last}"
        raise CompileError(msg) if first else ToolError(msg)
    return out


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
        )
    except OSError as error:
        msg = f"cannot run {command[0]}: {error.strerror}; set CXX to a working C++ compiler"
        raise ToolError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{command[0]} did not end within {TIMEOUT_S:.0f} s; emit a smaller design"
        raise ToolError(msg) from None
