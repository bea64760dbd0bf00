"""Verification: an emitted project, compiled and run, against the interpreter, bit for bit."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nacsr.emit import vectors as vec
from nacsr.emit.project import EXPECTED, INPUT, MANIFEST, Project, load
from nacsr.emit.rtl_simulate import Simulation, simulate
from nacsr.errors import EmitError, ToolError
from nacsr.fixed import Raw
from nacsr.ir import evaluate
from nacsr.tools import gxx

TIMEOUT_S = 600.0
FLAGS = ("-O1",)

Runner = Callable[[Project, Raw, Raw, float], Simulation]
"""(project, input words, expected output words, seconds that it may take) -> what came out."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison found.

    Attributes:
        events: compared.
        words: output words compared.
        mismatches: output words that differ: 0 means verified.
        tool: the compiler or simulator and its version.
        first: the first word that differs, in words; "" if none does.
        edited: files that were changed by hand since the project was emitted.
        latency_cycles: measured from input to output ports, where clock cycles are simulated.
        ii_cycles: measured between results of events that entered back to back.
    """

    events: int
    words: int
    mismatches: int
    tool: str
    first: str = ""
    edited: tuple[str, ...] = ()
    latency_cycles: int | None = None
    ii_cycles: int | None = None

    @property
    def verified(self) -> bool:
        """Whether words were compared and all are equal."""
        return self.words > 0 and self.mismatches == 0


def verify(
    project_dir: Path,
    events: int | None = None,
    seed: int = 0,
    extra: int = 0,
    limit_s: float = TIMEOUT_S,
) -> Verification:
    """Compile a project with its own testbench, run it, and compare every output word.

    C++ runs as a program of g++, Verilog in iverilog or else verilator.

    Args:
        project_dir: an emitted project; it is not changed.
        events: how many random events, corners first; None runs the shipped vectors.
        seed: of the random words.
        extra: random events, corners first, behind the shipped vectors.
        limit_s: seconds that the compiled design may run.

    Raises:
        EmitError: if the project is not whole, its shipped vectors are not the interpreter's, or
            a simulated latency or interval is not what the project promises.
        ToolError: if the compiler is missing or refuses, or the testbench fails.
    """
    project = load(Path(project_dir))
    inputs, outputs = vec.input_layout(project.graph), vec.output_layout(project.graph)
    if events is None:
        shipped = vec.read(project.root / INPUT, inputs)
        extra = extra if inputs else 0  # a design without inputs has one event
        more = vec.flatten(vec.random_words(project.graph, extra, seed), inputs)[:extra]
        table = np.concatenate([shipped, more])
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
    simulation = _runner(project)(project, table, expected, limit_s)
    found = simulation.words
    if found.shape != expected.shape:
        msg = f"{project.root}: {len(found)} events came back, not {len(expected)}; see its tb/"
        raise EmitError(msg)
    _check_promises(project, simulation)
    different = found != expected
    return Verification(
        events=len(expected),
        words=expected.size,
        mismatches=int(different.sum()),
        tool=simulation.tool,
        first=_first(project, expected, found, different) if different.any() else "",
        edited=project.edited,
        latency_cycles=simulation.latency_cycles,
        ii_cycles=simulation.ii_cycles,
    )


def _runner(project: Project) -> Runner:
    if project.language not in RUNNERS:
        msg = (
            f"{project.root}: the language {project.language!r} in {MANIFEST} is not "
            f"{' or '.join(RUNNERS)}; emit the project again"
        )
        raise EmitError(msg)
    return RUNNERS[project.language]


def _check_promises(project: Project, simulation: Simulation) -> None:
    for name in ("latency_cycles", "ii_cycles"):
        promised, measured = project.manifest.get(name), getattr(simulation, name)
        if measured is not None and promised is not None and measured != promised:
            msg = f"{project.root}: {MANIFEST} promises {name} {promised}, the simulation measured "
            msg += f"{measured}; emit the project again"
            raise EmitError(msg)


def _run_cpp(project: Project, table: Raw, _: Raw, limit_s: float) -> Simulation:
    return Simulation(run(project, table, limit_s), gxx.version(), None, None)


def _run_verilog(project: Project, table: Raw, expected: Raw, limit_s: float) -> Simulation:
    return simulate(project, table, expected, limit_s=limit_s)


RUNNERS: Mapping[str, Runner] = {
    "c++": _run_cpp,
    "verilog": _run_verilog,
}
"""How a project runs, by the language of its sources."""


def run(project: Project, table: Raw, limit_s: float = TIMEOUT_S) -> Raw:
    """Compile a C++ project in a scratch folder and run its testbench on a table of words.

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
                command, cwd=project.root, capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            msg = f"the testbench of {project.root} did not end in {limit_s:.0f} s; fewer events"
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
