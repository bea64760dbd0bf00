"""Vendor tools: found where the user has them, never needed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from nacsr.errors import ToolError
from nacsr.tools.process import run
from nacsr.tools.reports.text import version

START_S = 120.0
"""Seconds that a vendor tool may take to say its version: licences and shared disks are slow."""
LATE = "raise the time limit with --limit"


def locate(variable: str, names: Sequence[str], roots: Sequence[str]) -> str:
    """Find a vendor program.

    Args:
        variable: environment variable that names the program, or the folder it is installed in.
        names: of the program, the newest first; looked for on PATH.
        roots: variables that ``settings64.sh`` sets to folders of an installation.

    Raises:
        ToolError: if it is not there, saying what to set.
    """
    given = os.environ.get(variable, "")
    if given:
        places = [given, *(str(Path(given) / "bin" / name) for name in names)]
    else:
        folders = [os.environ[root] for root in roots if os.environ.get(root)]
        places = [*names, *(str(Path(f) / "bin" / name) for f in folders for name in names)]
    for place in places:
        found = shutil.which(place)
        if found and Path(found).is_file():
            return found
    if given:
        msg = f"{variable}={given!r} names no program and no folder with bin/{names[0]} in it"
    else:
        also = " or ".join(f"${root}" for root in roots)
        msg = (
            f"{' or '.join(names)} not found on PATH or under {also}; source its settings64.sh, "
            f"or set {variable}"
        )
    raise ToolError(msg)


@lru_cache(maxsize=8)  # a vendor tool takes seconds to say it
def release(program: str, option: str, hint: str) -> str:
    """The release that a program says it is, such as ``2023.1``.

    Raises:
        ToolError: if it does not say.
    """
    done = run([program, option], START_S, hint, late=hint)
    for line in (*done.stdout.splitlines(), *done.stderr.splitlines()):
        if found := version(line):
            return found
    msg = f"{program} {option} says no release such as 2023.1; {hint}"
    raise ToolError(msg)


def batch(command: Sequence[str], log: Path, hint: str, timeout_s: float) -> str:
    """Run a vendor tool in the folder of its log, which keeps all that it prints.

    Raises:
        ToolError: if it fails or does not end in time, with its first line of error.
    """
    done = run(command, timeout_s, hint, cwd=log.parent, late=LATE)
    text = done.stdout + done.stderr
    log.write_text(text, encoding="utf-8")
    if done.returncode:
        lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
        first = next((line for line in lines if re.match(r"(ERROR|FATAL)\b", line)), lines[-1])
        msg = f"{Path(command[0]).name} ended with {done.returncode}: {first} (log: {log.name})"
        raise ToolError(msg)
    return text
