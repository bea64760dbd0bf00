"""Verification: an emitted project, compiled and run, against the interpreter, bit for bit."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nacsr.emit import vectors as vec
from nacsr.emit.project import EXPECTED, INPUT, Project, load
from nacsr.errors import EmitError, ToolError
from nacsr.fixed import Raw
from nacsr.ir import evaluate
from nacsr.tools import gxx

TIMEOUT_S = 600.0
FLAGS = ("-O1",)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison found.

    Attributes:
        events: compared.
        words: output words compared.
        mismatches: output words that differ: 0 means verified.
        tool: the compiler and its version.
        first: the first word that differs, in words; "" if none does.
        edited: files that were changed by hand since the project was emitted.
    """

    events: int
    words: int
    mismatches: int
    tool: str
    first: str = ""
    edited: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether words were compared and all are equal."""
        return self.words > 0 and self.mismatches == 0


def verify(
    project_dir: Path, events: int | None = None, seed: int = 0, extra: int = 0
) -> Verification:
    """Compile a project with its own testbench, run it, and compare every output word.

    Args:
        project_dir: an emitted project; it is not changed.
        events: how many random events, corners first; None runs the shipped vectors.
        seed: of the random words.
        extra: random events, corners first, behind the shipped vectors.

    Raises:
        EmitError: if the project is not whole, or its shipped vectors are not the interpreter's.
        ToolError: if the compiler is missing or refuses, or the testbench fails.
    """
    project = load(Path(project_dir))
    inputs, outputs = vec.input_layout(project.graph), vec.output_layout(project.graph)
    if events is None:
        shipped = vec.read(project.root / INPUT, inputs)
        words = vec.random_words(project.graph, extra, seed)
        table = np.concatenate([shipped, vec.flatten(words, inputs)])
        words = vec.unflatten(table, inputs)
    else:
        words = vec.random_words(project.graph, events, seed)
        table = vec.flatten(words, inputs)
    expected = vec.flatten(evaluate(project.graph, words), outputs)
    if events is None and not np.array_equal(
        expected[: len(expected) - extra], vec.read(project.root / EXPECTED, outputs)
    ):
        msg = f"{project.root}: {EXPECTED} is not what graph.ir computes; emit the project again"
        raise EmitError(msg)
    found = run(project, table)
    if found.shape != expected.shape:
        msg = f"{project.root}: {len(found)} events came back, not {len(expected)}; see its tb/"
        raise EmitError(msg)
    different = found != expected
    first = _first(project, expected, found, different) if different.any() else ""
    count = int(different.sum())
    return Verification(len(expected), expected.size, count, gxx.version(), first, project.edited)


def run(project: Project, table: Raw) -> Raw:
    """Compile the project in a scratch folder and run its testbench on a table of words.

    Returns:
        Output words of shape (events, words an event).

    Raises:
        ToolError: if the compiler or the testbench fails.
        EmitError: if the testbench writes something else than words.
    """
    with tempfile.TemporaryDirectory(prefix="nacsr-verify-") as scratch:
        folder = Path(scratch)
        program = gxx.compile(project.sources, folder / "testbench", project.includes, FLAGS)
        (folder / "input.txt").write_text(vec.show(table), encoding="ascii")
        command = [str(program), str(folder / "input.txt"), str(folder / "output.txt")]
        try:
            done = subprocess.run(
                command, cwd=project.root, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            msg = f"the testbench of {project.root} did not end in {TIMEOUT_S:.0f} s; fewer events"
            raise ToolError(msg) from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            msg = f"the testbench of {project.root} ended with {done.returncode}: {last}"
            raise ToolError(msg)
        return vec.read(folder / "output.txt", vec.output_layout(project.graph))


def _first(project: Project, expected: Raw, found: Raw, different: Raw) -> str:
    event, column = (int(k) for k in np.argwhere(different)[0])
    labels = [
        name if not shape else f"{name}[{k}]"
        for name, _, shape in vec.output_layout(project.graph)
        for k in range(vec.size(shape))
    ]
    return (
        f"event {event}, output {labels[column]}: "
        f"expected raw {expected[event, column]}, found {found[event, column]}"
    )
