"""Designs with both an estimate and reports: what a calibration is fitted to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from nacsr.archive import FILE as ARCHIVE
from nacsr.archive import Archive
from nacsr.compiler import from_project, from_run
from nacsr.cost.calibration import Pair, kind_of
from nacsr.design import Design
from nacsr.emit.project import MANIFEST, is_project, load
from nacsr.errors import NacsrError, ReportError
from nacsr.measure import HARDWARE, Measurement
from nacsr.synthesis import ingest
from nacsr.synthesis.reports import collect, measurements
from nacsr.synthesis.vendor import subject_of
from nacsr.targets import target as find_target

METHODS = ("vitis", "vivado")


def pairs(sources: Sequence[Path]) -> tuple[list[Pair], list[str]]:
    """Every pair that run folders, projects, and folders of projects hold.

    Returns:
        The pairs, and why a design has none, a line each.

    Raises:
        ReportError: if a source is none of these.
    """
    found: list[Pair] = []
    without: list[str] = []
    for source in sources:
        known = False
        for name, read in _designs(source):
            known = True
            try:
                made = list(_of_design(name, *read()))
            except NacsrError as error:
                without.append(f"{name}: {error}")
            else:
                found += made
                if not made:
                    without.append(f"{name}: no report of its own part and clock")
        if not known:
            msg = f"{source}: no run with reports, no emitted project, and no folder of these"
            raise ReportError(msg)
    return list(dict.fromkeys(found)), without


_Read = Callable[[], tuple[Design, Sequence[Measurement]]]


def _designs(source: Path) -> Iterator[tuple[str, _Read]]:
    """Names of designs, and how to read each with its measurements."""
    if (source / ARCHIVE).is_file():
        yield from _of_run(source)
    elif is_project(source):
        yield source.name, partial(_of_project, source)
    elif source.is_dir():
        for manifest in sorted(source.glob(f"**/{MANIFEST}")):
            if is_project(manifest.parent):
                yield manifest.parent.name, partial(_of_project, manifest.parent)


def _of_run(run: Path) -> Iterator[tuple[str, _Read]]:
    """The designs of a run that were measured, once for every flow."""
    with Archive(run) as archive:
        entries = archive.entries(designs_only=True)
    for entry in entries:
        flows: dict[str, list[Measurement]] = {}
        for m in entry.measurements:
            said = re.match(r"flow (\w+)", m.flags)
            if m.method in METHODS and said is not None:
                flows.setdefault(said[1], []).append(m)
        for flow, found in flows.items():
            yield f"{run.name}:{entry.id}", partial(_of_entry, run, entry.id, flow, found)


def _of_entry(
    run: Path, id_: str, flow: str, found: Sequence[Measurement]
) -> tuple[Design, Sequence[Measurement]]:
    return from_run(run, id_, to=flow), found


def _of_project(folder: Path) -> tuple[Design, Sequence[Measurement]]:
    """A project with what was attached to it, or else what lies in it."""
    design, found = from_project(folder), ingest.stored(folder)
    if not found:
        subject = subject_of(load(folder))
        found, _ = measurements(collect(folder, subject.tops), subject)
    return design, found


def _of_design(name: str, design: Design, reports: Iterable[Measurement]) -> Iterator[Pair]:
    """Estimates of today's rules, not refitted, beside the latest report of each metric."""
    cost = replace(design, calibration=None).cost()
    where = f"{find_target(design.setting.target).part} @ {design.setting.clock_mhz:g} MHz"
    latest = {(m.stage, m.metric): m for m in reports if m.target == where}
    for (stage, metric), m in latest.items():
        if metric in HARDWARE and m.method in METHODS:
            yield Pair(
                design.flow,
                kind_of(design.graph),
                metric,
                cost.stage,
                stage,
                float(getattr(cost, metric)),
                m.value,
                m.tool,
                m.target,
                f"{name} {design.graph.digest[:12]}",
            )
