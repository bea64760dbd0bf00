"""The front door of synthesis: a design goes in, measurements come out."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from nacsr.design import Design
from nacsr.emit.project import load
from nacsr.emit.verify import Verification
from nacsr.errors import FileError, SpecError, ToolError, unknown
from nacsr.measure import Measurement
from nacsr.synthesis import cache as store
from nacsr.synthesis.base import LIMIT_S, Job, Result, Tool
from nacsr.synthesis.tools import TOOLS


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What a tool said about a design.

    Attributes:
        tool: name in ``TOOLS``.
        version: the program and its version.
        measurements: of the design, on its part at its clock.
        notes: what a reader of the numbers should know.
        seconds: wall time that it took; of a cached result, that it took then.
        cached: whether the result was there already.
        folder: where sources, script and log are, if they were to be kept.
    """

    tool: str
    version: str
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...]
    seconds: float
    cached: bool
    folder: Path | None

    def find(self, metric: str) -> Measurement | None:
        """The measurement of a metric."""
        return next((m for m in self.measurements if m.metric == metric), None)


def tool_of(name: str) -> Tool:
    """A row of ``TOOLS``.

    Raises:
        SpecError: for an unknown name, listing the known ones.
    """
    if name not in TOOLS:
        raise SpecError(unknown("tool", name, TOOLS))
    return TOOLS[name]


def available(name: str) -> str | None:
    """Why a tool cannot be used here, in one line; None if it can.

    Raises:
        SpecError: for an unknown name.
    """
    try:
        tool_of(name).version()
    except ToolError as error:
        return str(error)
    return None


def synthesise(
    design: Design,
    tool: str = "yosys",
    *,
    stage: str | None = None,
    folder: Path | str | None = None,
    limit_s: float = LIMIT_S,
    cache: bool = True,
    emitted: tuple[Path, Verification] | None = None,
) -> Synthesis:
    """Emit a design, and run a synthesis tool on what was emitted.

    Args:
        design: any; one of a flow that the tool does not read is emitted by the flow that it
            does (``rtl`` for yosys).
        tool: a key of ``TOOLS``.
        stage: what the numbers are to speak of; the tool's first stage if None.
        folder: a new folder where the project, the tool's script and its log are kept; a
            temporary one if None.
        limit_s: seconds that the tool may take in all.
        cache: whether an earlier result of the same sources, tool, version, flags and part is
            taken, and this one kept.
        emitted: the project of the design, which is not changed, and what verifying it found,
            where both are there already.

    Raises:
        SpecError: for an unknown tool or stage, or a limit that is not positive.
        FileError: if the folder exists and is not empty; nothing there is touched.
        EmitError: if the design cannot be emitted for the tool, or the folder not be written.
        ToolError: if the tool is missing, fails, or does not end in time.
    """
    chosen = tool_of(tool)
    wanted = chosen.stages[0] if stage is None else stage
    if wanted not in chosen.stages:
        raise SpecError(unknown(f"stage of {tool}", wanted, chosen.stages))
    if not limit_s > 0:
        msg = f"the time limit must be above 0 s, not {limit_s:g}"
        raise SpecError(msg)
    if folder is not None:
        _check_new(Path(folder))
    version = chosen.version()
    fitting = design if design.flow in chosen.flows else design.to(chosen.flows[0])
    with tempfile.TemporaryDirectory(prefix="nacsr-synth-") as scratch:
        place = Path(scratch) / "project" if folder is None else Path(folder)
        if emitted is None:
            fitting.emit(place)
        else:
            shutil.copytree(emitted[0], place, dirs_exist_ok=True)
        seen = None if emitted is None else emitted[1]
        job = Job(load(place), wanted, time.monotonic() + limit_s, seen)
        key = store.key(job, tool, version, chosen.flags(wanted))
        # a folder that is to be kept gets its logs, so the tool runs
        found = store.read(key) if cache and folder is None else None
        if found is not None:
            return _synthesis(tool, version, job, found.result, found.seconds, None)
        began = time.monotonic()
        result = chosen.run(job)
        seconds = time.monotonic() - began
    wrong = any(m.metric == "mismatches" and m.value for m in result.measurements)
    if cache and not wrong:  # words of another event, or of a mended tool, may differ less
        store.write(key, store.Entry(result, seconds))
    kept = None if folder is None else Path(folder)
    return replace(_synthesis(tool, version, job, result, seconds, kept), cached=False)


def _check_new(folder: Path) -> None:
    """Refuse a place that holds anything: an earlier project's edits and reports are kept.

    Raises:
        FileError: if it does.
    """
    try:
        taken = any(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"{folder}: cannot be the folder of a synthesis ({error.strerror}); name a new one"
        raise FileError(msg) from None
    if taken:
        msg = f"{folder} exists and is not empty; name a new folder, or remove it"
        raise FileError(msg)


def _synthesis(
    tool: str, version: str, job: Job, result: Result, seconds: float, folder: Path | None
) -> Synthesis:
    """A result as one of this design: another may have had the same sources."""
    target, digest = job.target, job.project.graph.digest
    own = tuple(replace(m, target=target, digest=digest) for m in result.measurements)
    return Synthesis(tool, version, own, result.notes, seconds, True, folder)
