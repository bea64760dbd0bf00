"""Processes of other engines: started in a group of their own, and never left behind.

Libraries such as Julia's or Operon's bring signal handlers, threads and crashes of their own,
so each runs in a process that the search waits for, watches, and ends when it is interrupted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 3.0


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    watch: Callable[[], None] | None = None,
    poll_s: float = POLL_S,
) -> tuple[int, str]:
    """Run this Python; the exit status (negative: the signal that ended it) and its stderr.

    Whatever ends the wait, such as Ctrl-C, ends the process and all that it started.

    Args:
        arguments: of the interpreter, such as ``["-m", "module"]``.
        folder: where its output is kept.
        environment: variables to set besides the present ones.
        watch: called every ``poll_s`` seconds while it runs.
    """
    with (folder / "stderr.txt").open("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    process.wait(poll_s)
                    break
                except subprocess.TimeoutExpired:
                    if watch is not None:
                        watch()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        errors.seek(0)
        return process.returncode, errors.read()


def follow_parent() -> None:
    """In such a process: end when the one that started it is gone, however that ended."""
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def last_line(text: str) -> str:
    """The line of an output that says what went wrong."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no output"
