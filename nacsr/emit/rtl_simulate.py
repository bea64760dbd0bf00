"""Simulation of an emitted Verilog project: words, latency and initiation interval."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nacsr.emit import vectors as vec
from nacsr.emit.project import EXPECTED, INPUT, OUTPUT, Project
from nacsr.errors import EmitError, ToolError
from nacsr.fixed import Raw
from nacsr.tools import iverilog, verilator

SIMULATORS: Sequence[ModuleType] = (iverilog, verilator)
"""In order of preference: the first that is found simulates."""
TIMEOUT_S = 600.0
_REPORT = re.compile(r"^events=(\d+) words=\d+ mismatches=\d+ latency=(-?\d+) ii=(\d+)$", re.M)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulation gave.

    Attributes:
        words: output words of shape (events, words an event).
        tool: the simulator and its version.
        latency_cycles: from an event at the input ports to its result at the output ports.
        ii_cycles: between results of events that entered back to back; None for one event.
    """

    words: Raw
    tool: str
    latency_cycles: int | None
    ii_cycles: int | None


def simulator() -> ModuleType:
    """The first simulator that is there.

    Raises:
        ToolError: if none is.
    """
    reasons = []
    for tool in SIMULATORS:
        try:
            tool.find()
        except ToolError as error:
            reasons.append(str(error))
        else:
            return tool
    msg = "no Verilog simulator: " + "; or: ".join(reasons)
    raise ToolError(msg)


def simulate(
    project: Project,
    table: Raw,
    expected: Raw,
    tool: ModuleType | None = None,
    limit_s: float = TIMEOUT_S,
) -> Simulation:
    """Run a project's own testbench in a scratch folder.

    Args:
        project: a Verilog project.
        table: input words of shape (events, words an event).
        expected: output words that the testbench compares with.
        tool: a module of ``SIMULATORS``; the first that is found if None.
        limit_s: seconds that the simulation may run.

    Raises:
        ToolError: if no simulator is there, or it fails.
        EmitError: if the design gives a word of unknown bits.
    """
    tool = tool or simulator()
    with tempfile.TemporaryDirectory(prefix="nacsr-verify-") as scratch:
        folder = Path(scratch)
        (folder / INPUT).parent.mkdir()
        (folder / INPUT).write_text(vec.show(table), encoding="ascii")
        (folder / EXPECTED).write_text(vec.show(expected), encoding="ascii")
        bench = f"{project.manifest['top']}_tb"
        program = tool.compile([p.resolve() for p in project.sources], folder / "simulation", bench)
        said = tool.simulate(program, folder, limit_s)
        report = _REPORT.search(said)
        if report is None:
            last = (said.strip().splitlines() or ["nothing"])[-1]
            msg = f"the testbench of {project.root} reported no result, its last words: {last}"
            raise ToolError(msg)
        _check_known(project, folder / OUTPUT)
        words = vec.read(folder / OUTPUT, vec.output_layout(project.graph))
    events, latency, interval = (int(n) for n in report.groups())
    return Simulation(
        words, tool.version(), latency if events else None, interval if events > 1 else None
    )


def _check_known(project: Project, path: Path) -> None:
    """Unknown bits (x, z) cannot come out of a design as emitted: every register is loaded."""
    for event, line in enumerate(path.read_text(encoding="ascii").splitlines()):
        if re.search("[xXzZ]", line):
            msg = f"{project.root}, event {event}: the simulation gave an unknown word (x); "
            msg += "the Verilog was changed, emit the project again"
            raise EmitError(msg)
