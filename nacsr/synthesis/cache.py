"""Results of synthesis, kept by what they depend on: sources, part, tool, version and flags."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from nacsr.errors import NacsrError
from nacsr.measure import Measurement, tool_name
from nacsr.synthesis.base import Job, Result

FORMAT = "nacsr-synthesis 1"
RULES = (
    *("nacsr.cost.rtl", "nacsr.cost.rules", "nacsr.synthesis.open", "nacsr.synthesis.vendor"),
    *("nacsr.synthesis.reports", "nacsr.tools.yosys", "nacsr.tools.vitis", "nacsr.tools.vivado"),
    *(f"nacsr.tools.reports.{name}" for name in ("text", "csynth", "utilisation", "timing")),
    "nacsr.tools.reports.cosim",
)
"""Modules that a result depends on besides the program."""
ASIDE = frozenset({"graph.ir", "Makefile", "README.md"})
"""Files of a project that no synthesis tool reads."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A result and the seconds that it took."""

    result: Result
    seconds: float


def folder() -> Path:
    """Where results are kept: ``nacsr/synthesis`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the standard says that a relative path is to be ignored
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "nacsr/synthesis"


def key(job: Job, tool: str, version: str, flags: str) -> str:
    """Digest of everything that a result depends on.

    Lines of comments do not count (a title is one), nor does what does not reach the tool: the
    testbench, its vectors and texts for people.
    """
    digest = hashlib.sha256()
    meta = job.project.meta
    told = (tool, version, flags, job.stage, meta.part, f"{meta.clock_mhz!r}")
    for word in (FORMAT, _own_code(), *told):
        digest.update(f"{word}\0".encode())
    for name, text in _sources(job):
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _own_code() -> str:
    """Digest of what reads a tool's results and of the rules that stand in for it."""
    digest = hashlib.sha256(tool_name().encode())
    for name in RULES:
        with suppress(OSError):  # no source beside the program: its version has to do
            digest.update(inspect.getsource(import_module(name)).encode())
    return digest.hexdigest()


def _sources(job: Job) -> Iterator[tuple[str, str]]:
    root = job.project.root
    for path in sorted(job.project.manifest["files"]):
        if path in ASIDE or path.startswith("tb/"):
            continue
        lines = (root / path).read_text(encoding="utf-8", errors="replace").splitlines()
        yield path, "\n".join(line for line in lines if not line.lstrip().startswith("//"))


def read(name: str) -> Entry | None:
    """The result of that key; None if there is none, or it is damaged."""
    try:
        record = json.loads((folder() / f"{name}.json").read_text(encoding="utf-8"))
        if record["format"] != FORMAT or record["key"] != name:
            return None
        found = tuple(Measurement.from_dict(m) for m in record["measurements"])
        notes = tuple(str(n) for n in record["notes"])
        return Entry(Result(found, notes), float(record["seconds"])) if found else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NacsrError):
        return None


def write(name: str, entry: Entry) -> None:
    """Keep a result in one step; a cache that cannot be written is none."""
    record = {
        "format": FORMAT,
        "key": name,
        "seconds": entry.seconds,
        "notes": entry.result.notes,
        "measurements": [m.to_dict() for m in entry.result.measurements],
    }
    with suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix=".", suffix=".json", dir=folder())
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(record, file, indent=1)
            Path(path).replace(folder() / f"{name}.json")
        except OSError:
            Path(path).unlink(missing_ok=True)
