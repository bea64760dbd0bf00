"""Running an external program: its output, or a ToolError of one line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nacsr.errors import ToolError


def run(
    command: Sequence[str],
    timeout_s: float,
    hint: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    late: str = "use fewer events or less design",
    group: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints.

    Args:
        command: program and arguments.
        timeout_s: seconds that it may take.
        hint: what to do if it cannot be started, such as "set IVERILOG to a working one".
        cwd: folder to run in.
        env: its environment; this process's own if None.
        late: what to do if it does not end in time.
        group: stop all that it started with it. Vendor tools are scripts that start others, which
            would go on without them, and hold the pipe.

    Raises:
        ToolError: if it cannot be started, or does not end in time.
    """
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
            start_new_session=group,
        )
    except OSError as error:
        msg = f"cannot run {command[0]}: {error.strerror}; {hint}"
        raise ToolError(msg) from None
    try:
        out, err = started.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(started, group)
        msg = f"{command[0]} did not end within {timeout_s:.0f} s; {late}"
        raise ToolError(msg) from None
    except BaseException:  # Ctrl-C does not reach another group
        _end(started, group)
        raise
    return subprocess.CompletedProcess(command, started.returncode, out, err)


def _end(started: subprocess.Popen[str], group: bool) -> None:
    """Kill a program, or its whole group, and take what it left in the pipes."""
    if group:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    else:
        started.kill()
    started.communicate()
