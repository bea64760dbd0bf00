"""Running an external program: its output, or a ToolError of one line."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from nacsr.errors import ToolError


def run(
    command: Sequence[str],
    timeout_s: float,
    hint: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints.

    Args:
        command: program and arguments.
        timeout_s: seconds that it may take.
        hint: what to do if it cannot be started, such as "set IVERILOG to a working one".
        cwd: folder to run in.
        env: its environment; this process's own if None.

    Raises:
        ToolError: if it cannot be started, or does not end in time.
    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd=cwd,
            env=env,
        )
    except OSError as error:
        msg = f"cannot run {command[0]}: {error.strerror}; {hint}"
        raise ToolError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{command[0]} did not end within {timeout_s:.0f} s; use fewer events or less design"
        raise ToolError(msg) from None
