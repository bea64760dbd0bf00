"""Running an external program: its output, or a ToolError of one line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nacsr.errors import ToolError

LATE = "use fewer events or less design"


def run(
    command: Sequence[str],
    timeout_s: float,
    hint: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    late: str = LATE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints.

    Args:
        command: program and arguments.
        timeout_s: seconds that it may take.
        hint: what to do if it cannot be started, such as "set IVERILOG to a working one".
        cwd: folder to run in.
        env: its environment; this process's own if None.
        late: what to do if it does not end in time.

    Raises:
        ToolError: if it cannot be started, or does not end in time.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
            start_new_session=True,  # so that what it started itself ends with it
        )
    except OSError as error:
        msg = f"cannot run {command[0]}: {error.strerror}; {hint}"
        raise ToolError(msg) from None
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            msg = f"{command[0]} did not end within {timeout_s:.3g} s; {late}"
            raise ToolError(msg) from None
        except BaseException:
            _kill(process)
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
