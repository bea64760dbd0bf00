"""Designs that reports are of: formulas, a run of one of them, reports as files."""

from __future__ import annotations

from pathlib import Path

from nacsr.archive import Archive
from nacsr.compiler import compile as compile_source
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import StudySpec
from nacsr.targets import target

FORMULAS = (
    "0.5*x0*x1",
    "x0*x1*x2 + 1",
    "x0*x0 - 0.3*x1",
    "x1*x2*x0*x0",
    "x2*x2*x1 - x0",
    "x0*x1*x1",
)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        suffix = ".xml" if name.endswith("_csynth") else ".rpt"
        (folder / f"{name}{suffix}").write_text(text)
    return folder


def recorded(folder: Path) -> tuple[Path, str]:
    """A run with one expression, recorded by hand, and the id of that."""
    design = compile_source(FORMULAS[0])
    candidate = Candidate("expression", {"expressions": {"y": FORMULAS[0]}}, 1, FORMULAS[0])
    cost = design.cost().measurements(target("vu13p"), 200.0, design.graph.digest)
    with Archive(folder, create=True) as archive:
        archive.set_meta("setting", design.setting.to_json())
        archive.set_meta("spec", StudySpec.from_mapping({"dataset": "jets"}).to_yaml())
        archive.record("k", Outcome(found=(Found(candidate, cost, design.graph),)))
    return folder, candidate.id
