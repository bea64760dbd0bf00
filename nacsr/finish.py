"""The end of a study: every design of the front emitted, verified and read on the test events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nacsr.archive import Archive, Entry
from nacsr.design import Design, Setting
from nacsr.emit import default_flow
from nacsr.errors import CompileError, EmitError, GraphError
from nacsr.frontends.judge import classification
from nacsr.ir import parse
from nacsr.measure import Measurement
from nacsr.prepare import Prepared
from nacsr.records import Candidate, Found, Job, Outcome
from nacsr.spec import StudySpec

VECTORS = 10_000
"""Test events shipped with an emitted design, at most."""


def design_job(entry: Entry, spec: StudySpec) -> Job:
    """The job that emits and verifies a design of the front."""
    candidate = entry.candidate
    payload = {
        "id": entry.id,
        "family": candidate.family,
        "genotype": dict(candidate.genotype),
        "seed": candidate.seed,
        "title": candidate.title,
        "parents": list(candidate.parents),
        "graph": entry.graph_text,
        "study": spec.name,
    }
    return Job("design", "emit", payload, label=entry.id)


def setting(prepared: Prepared) -> Setting:
    """Ports, device and clock of a study's designs."""
    p = prepared.problem
    return Setting(p.features, p.classes, p.scaling, p.target, p.clock_mhz)


def run_design_job(job: Job, prepared: Prepared) -> Outcome:
    """Emit a design into the run folder, compile it with g++ and compare every output word."""
    p: dict[str, Any] = dict(job.payload)
    candidate = Candidate(p["family"], p["genotype"], p["seed"], p["title"], tuple(p["parents"]))
    graph = parse(p["graph"])
    name = f"nacsr_{p['id']}"
    design = Design(graph, setting(prepared), name, p["title"], default_flow(graph))
    shipped = min(len(prepared.test_words), VECTORS)
    try:
        folder = design.emit(prepared.out / "designs" / p["id"], prepared.test_words[:VECTORS])
        checked = design.verify(folder)
    except (EmitError, GraphError, CompileError) as error:  # the design's fault, not the machine's
        failed = replace(candidate, reason=str(error))
        return Outcome({"mismatches": None}, found=(Found(failed),))
    measurement = Measurement(
        "mismatches",
        checked.mismatches,
        method="g++",
        stage="csim",
        tool=checked.tool,
        target=f"{checked.words} words of {shipped} test events and {checked.events - shipped} "
        "random ones with corners",
        digest=graph.digest,
    )
    return Outcome({"mismatches": checked.mismatches}, found=(Found(candidate, (measurement,)),))


def measure_test(front: Sequence[Entry], archive: Archive, prepared: Prepared) -> None:
    """Read the test events once, for the final front: accuracy and AUCs with their errors."""
    for entry in front:
        key = f"test {entry.id}"
        if archive.outcome(key) is None:
            measured = classification(
                entry.graph, prepared.problem, prepared.test_words, prepared.test_labels, "test"
            )
            archive.record(key, Outcome(found=(Found(entry.candidate, measured),)))
