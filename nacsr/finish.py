"""The end of a study: every design of the front emitted, verified and read on the test events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nacsr.archive import Archive
from nacsr.design import Design, Setting
from nacsr.emit import default_flow
from nacsr.emit.verify import Verification
from nacsr.entry import Entry
from nacsr.errors import CompileError, EmitError, GraphError, ToolError
from nacsr.frontends.judge import performance
from nacsr.ir import Graph, parse
from nacsr.measure import OPEN, VERILOG, Measurement
from nacsr.prepare import Prepared
from nacsr.records import Candidate, Found, Job, Outcome
from nacsr.spec import StudySpec
from nacsr.synthesis import available, synthesise
from nacsr.targets import target as find_target

VECTORS: Mapping[str, int] = {"emit": 10_000, "rtl": 300}
"""Test events shipped with an emitted design, at most: a simulator is slower than g++."""

OPEN_LUTS = 20_000
"""Estimated LUTs above which a study leaves a design out of open synthesis, which takes minutes."""


def estimate_job(entry: Entry) -> Job:
    """The job that estimates what the Verilog of a design takes."""
    return Job("design", "estimate", _payload(entry), label=entry.id)


def design_jobs(entry: Entry, spec: StudySpec) -> list[Job]:
    """The jobs that emit and verify a finalist: for its own flow, and as RTL.

    RTL is the flow that all families have in common, which makes their comparison fair, by
    estimates and by open synthesis.
    """
    luts = entry.find("luts", *VERILOG)
    small = luts is not None and luts.value <= OPEN_LUTS
    asked = _payload(entry), _payload(entry) | {"synthesise": small and can_synthesise(spec)}
    pairs = zip(("emit", "rtl"), asked, strict=True)
    return [Job("design", kind, payload, label=entry.id) for kind, payload in pairs]


def _payload(entry: Entry) -> dict[str, Any]:
    candidate = entry.candidate
    return {
        "id": entry.id,
        "family": candidate.family,
        "genotype": dict(candidate.genotype),
        "seed": candidate.seed,
        "title": candidate.title,
        "parents": list(candidate.parents),
        "graph": entry.graph_text,
    }


def can_synthesise(spec: StudySpec) -> bool:
    """Whether a study wants open synthesis, and the tools for it are here."""
    return spec.verify == "open" and available(OPEN.method) is None


def setting(prepared: Prepared) -> Setting:
    """Ports, device and clock of a study's designs."""
    p = prepared.problem
    return Setting(p.features, p.classes, p.scaling, p.target, p.clock_mhz)


def run_design_job(job: Job, prepared: Prepared) -> Outcome:
    """Emit a design into the run folder, run it, and compare every output word."""
    p: dict[str, Any] = dict(job.payload)
    candidate = Candidate(p["family"], p["genotype"], p["seed"], p["title"], tuple(p["parents"]))
    graph = parse(p["graph"])
    name = f"nacsr_{p['id']}"
    design = Design(
        graph,
        setting(prepared),
        name,
        p["title"],
        default_flow(graph),
        calibration=prepared.problem.calibration,
    )
    if job.kind == "estimate":
        return _estimated(design.to("rtl"), candidate)
    if job.kind == "rtl":
        folder = f"{p['id']}_rtl"
        return _rtl(design.to("rtl"), folder, candidate, prepared, p["synthesise"])
    try:
        checked = _emitted(design, p["id"], prepared, VECTORS["emit"])
    except (EmitError, GraphError, CompileError) as error:  # the design's fault, not the machine's
        failed = replace(candidate, reason=str(error))
        return Outcome({"mismatches": None}, found=(Found(failed),))
    found = _checked(checked, graph, prepared, VECTORS["emit"], "g++", "csim")
    data = {"mismatches": checked.mismatches, "folder": p["id"]}
    return Outcome(data, found=(Found(candidate, found),))


def verilog(graph: Graph, prepared: Prepared) -> tuple[Measurement, ...]:
    """What the Verilog of a graph takes, by estimate; () of what RTL cannot express."""
    calibration = prepared.problem.calibration
    design = Design(graph, setting(prepared), "estimate", "", "rtl", calibration=calibration)
    try:
        return _cost(design)
    except (EmitError, GraphError):
        return ()


def _estimated(design: Design, candidate: Candidate) -> Outcome:
    """What RTL cannot express has no such estimate, and a reason."""
    try:
        found = _cost(design)
    except (EmitError, GraphError) as error:
        return Outcome({"reason": str(error)})
    return Outcome(found=(Found(candidate, found),))


def _cost(design: Design) -> tuple[Measurement, ...]:
    place = design.setting
    return design.cost().measurements(
        find_target(place.target), place.clock_mhz, design.graph.digest
    )


def _emitted(design: Design, folder: str, prepared: Prepared, events: int) -> Verification:
    return design.verify(
        design.emit(prepared.out / "designs" / folder, prepared.test.words[:events])
    )


def _rtl(
    design: Design, folder: str, candidate: Candidate, prepared: Prepared, synthesised: bool
) -> Outcome:
    """A design that RTL cannot express stays a design; one without a simulator is not simulated."""
    out = prepared.out / "designs" / folder
    try:
        design.emit(out, prepared.test.words[: VECTORS["rtl"]])
    except (EmitError, GraphError) as error:
        return Outcome({"mismatches": None, "folder": "", "reason": str(error)})
    try:
        checked = design.verify(out)
    except (EmitError, CompileError) as error:  # Verilog that no simulator takes, or cycles amiss
        failed = replace(candidate, reason=f"flow rtl: {error}")
        return Outcome({"mismatches": None, "folder": folder}, found=(Found(failed),))
    except ToolError as error:
        why = {"mismatches": None, "folder": folder, "reason": str(error)}
        return Outcome(why, found=(Found(candidate),))
    found = _checked(checked, design.graph, prepared, VECTORS["rtl"], "simulation", "rtlsim")
    data: dict[str, Any] = {"mismatches": checked.mismatches, "folder": folder}
    if synthesised and checked.verified:
        try:
            found += synthesise(design, OPEN.method, emitted=(out, checked)).measurements
        except (EmitError, GraphError, ToolError) as error:  # it stays a design
            data["reason"] = f"not synthesised: {error}"
    return Outcome(data, found=(Found(candidate, found),))


def _checked(
    checked: Verification, graph: Graph, prepared: Prepared, events: int, method: str, stage: str
) -> tuple[Measurement, ...]:
    """What running an emitted design measured: words that differ, and clock cycles in RTL."""
    shipped = min(len(prepared.test), events)
    target = (
        f"{checked.words} words of {shipped} test events and {checked.events - shipped} "
        "random ones with corners"
    )
    values = {
        "mismatches": checked.mismatches,
        "latency_cycles": checked.latency_cycles,
        "ii_cycles": checked.ii_cycles,
    }
    return tuple(
        Measurement(n, v, method, stage, checked.tool, target, graph.digest)
        for n, v in values.items()
        if v is not None
    )


def measure_test(front: Sequence[Entry], archive: Archive, prepared: Prepared) -> None:
    """Read the test events once, for the final front: metrics of the task with their errors."""
    for entry in front:
        key = f"test {entry.id}"
        if archive.outcome(key) is None:
            measured = performance(entry.graph, prepared.problem, prepared.test, "test")
            archive.record(key, Outcome(found=(Found(entry.candidate, measured),)))
