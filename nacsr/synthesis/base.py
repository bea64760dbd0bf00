"""What a synthesis tool is: the projects that it reads, and the measurements that it gives back.

A tool never sees a ``Design``: it is given an emitted project, the same files that a user can
take elsewhere. ``nacsr.synthesis.synthesise`` is the front door; ``nacsr.synthesis.tools`` holds
the registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nacsr.emit.project import Project
from nacsr.emit.verify import Verification
from nacsr.errors import ToolError
from nacsr.measure import Measurement

LIMIT_S = 300.0
"""Seconds that a tool may take if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool made of a project.

    Attributes:
        measurements: each with its method, stage, tool, flags and band; of the project's graph,
            part and clock (see ``Job.measurement``).
        notes: what a reader of the numbers should know, one line each.
    """

    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """What a tool is asked for.

    Attributes:
        project: an emitted project in a folder of its own; the tool writes its script, log and
            reports into that folder and changes nothing else.
        stage: what the numbers are to speak of, one of the tool's stages.
        deadline: moment of ``time.monotonic`` at which the tool must have ended.
        seen: what simulating the project found, where that was done already.
    """

    project: Project
    stage: str
    deadline: float
    seen: Verification | None = None

    def left_s(self) -> float:
        """Seconds that are left.

        Raises:
            ToolError: if none is.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            msg = "the time limit was reached before the tool was; raise it with --limit"
            raise ToolError(msg)
        return left

    @property
    def target(self) -> str:
        """Part and clock, as measurements name them."""
        meta = self.project.meta
        return f"{meta.part} @ {meta.clock_mhz:g} MHz"

    def measurement(
        self,
        metric: str,
        value: float,
        method: str,
        tool: str,
        *,
        stage: str | None = None,
        error: float | None = None,
        flags: str = "",
    ) -> Measurement:
        """A measurement of the project's graph on its part at its clock."""
        return Measurement(
            metric,
            float(value),
            method,
            stage or self.stage,
            tool,
            self.target,
            self.project.graph.digest,
            error,
            flags=flags,
        )


class Synthesiser(Protocol):
    """Runs a tool on a project.

    Raises:
        ToolError: if the tool is missing, fails, or does not end in time.
    """

    def __call__(self, job: Job) -> Result: ...


@dataclass(frozen=True, slots=True)
class Tool:
    """A row of ``TOOLS``.

    Attributes:
        about: a line for people.
        flows: back ends whose projects it reads; a design of another one is emitted by the first.
        stages: keys of ``nacsr.measure.STAGES`` that it can be asked for, the default first.
        version: name and version, such as ``Yosys 0.23``; raises ToolError where it is missing.
        flags: what it is told at a stage; with version and sources the key of the cache.
        run: the tool.
    """

    about: str
    flows: Sequence[str]
    stages: Sequence[str]
    version: Callable[[], str]
    flags: Callable[[str], str]
    run: Synthesiser
