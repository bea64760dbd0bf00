"""Results made elsewhere, attached to the design that they are of.

The measurements of a run's design go into its archive; those of an emitted project into
``measurements.json`` beside its manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nacsr.archive import Archive
from nacsr.compiler import setting_of
from nacsr.emit import default_flow
from nacsr.emit.project import MANIFEST, Project, is_project, load
from nacsr.entry import Entry
from nacsr.errors import FileError, ReportError, SpecError
from nacsr.measure import Measurement
from nacsr.records import Found, Outcome
from nacsr.synthesis.reports import Reports, Subject, collect, differences, measurements
from nacsr.synthesis.vendor import subject_of
from nacsr.targets import target as find_target

FORMAT = "nacsr-measurements 1"
FILE = "measurements.json"
RUN_NAMES = ("nacsr_{}", "trigger")
"""Tops of a run's design: as the study emitted it, and as 'nacsr compile RUN:ID' does."""
UP = 6
"""Folders above the reports in which their project is looked for: <project>/vitis/solution/..."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was attached, and to what.

    Attributes:
        name: of the design.
        where: the file that keeps it now.
        measurements: what the reports measured.
        notes: what a reader should know, a line each.
        known: whether all of it was there already.
    """

    name: str
    where: Path
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...]
    known: bool


def into_run(run: Path, id_: str, reports: Path, force: bool = False) -> Ingested:
    """Attach reports to a design of a run.

    Args:
        run: the run folder.
        id_: of the design, or its beginning.
        reports: folder with the reports, or one report.
        force: attach reports of another top, part or clock; every number then says so.

    Raises:
        ArchiveError: if there is no such design.
        ReportError: if the reports cannot be read or do not fit.
    """
    with Archive(run) as archive:
        entry = archive.entry(id_)
        subject = _subject(archive, entry, reports)
        found, made, notes = _measured(reports, subject, force)
        key = f"ingest {entry.id} {_digest(made)}"
        known = archive.outcome(key) is not None
        if not known:
            record = {"reports": _sources(found), "notes": list(notes)}
            archive.record(key, Outcome(record, found=(Found(entry.candidate, made),)))
        return Ingested(entry.id, archive.path, made, notes, known)


def keep(run: Path, id_: str, made: Sequence[Measurement]) -> bool:
    """Record what a synthesis tool said about a design of a run; False if it was known already.

    Raises:
        ArchiveError: if there is no such design.
    """
    with Archive(run) as archive:
        entry = archive.entry(id_)
        key = f"synth {entry.id} {_digest(made)}"
        if archive.outcome(key) is not None:
            return False
        archive.record(key, Outcome(found=(Found(entry.candidate, tuple(made)),)))
        return True


def into_project(folder: Path, reports: Path, force: bool = False) -> Ingested:
    """Attach reports to an emitted project.

    Args:
        folder: the project.
        reports: folder with the reports (it may be the project), or one report.
        force: attach reports of another top, part or clock, or of edited sources; every number
            then says so.

    Raises:
        EmitError: if the folder is no whole project.
        ReportError: if the reports cannot be read or do not fit.
        FileError: if they cannot be kept.
    """
    project = load(folder)
    edited = [f"sources edited since they were emitted: {', '.join(project.edited)}"]
    found, made, notes = _measured(
        reports, subject_of(project), force, edited if project.edited else ()
    )
    kept, key = _read(folder, project), _digest(made)
    known = key in kept
    kept.pop(key, None)  # what is ingested again is the latest
    kept[key] = {
        "reports": _sources(found),
        "notes": list(notes),
        "measurements": [m.to_dict() for m in made],
    }
    document = {"format": FORMAT, "graph": project.graph.digest, "ingested": kept}
    try:
        (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {folder / FILE}: {error.strerror}; make the project writable"
        raise FileError(msg) from None
    return Ingested(project.meta.name, folder / FILE, made, notes, known)


def stored(folder: Path) -> tuple[Measurement, ...]:
    """The measurements attached to an emitted project, the latest last; () if there are none.

    Raises:
        EmitError: if the folder is no whole project.
        ReportError: if they cannot be read.
    """
    if not (folder / FILE).is_file():
        return ()
    kept = _read(folder, load(folder))
    return tuple(Measurement.from_dict(m) for part in kept.values() for m in part["measurements"])


def project_of(reports: Path) -> Path | None:
    """The emitted project that reports lie in, if they do."""
    place = reports if reports.is_dir() else reports.parent
    near = (place, *place.resolve().parents[:UP])
    return next((folder for folder in near if is_project(folder)), None)


def _subject(archive: Archive, entry: Entry, reports: Path) -> Subject:
    """The run's design: by its project where the reports lie in one, else by the run alone."""
    graph, setting = entry.graph, setting_of(archive)
    if (folder := project_of(reports)) is not None:
        project = load(folder)
        if project.graph.digest != graph.digest:
            msg = f"{reports} lies in the project of another design than {entry.id}: {folder}"
            raise ReportError(msg)
        return subject_of(project)
    tops = tuple(name.format(entry.id) for name in RUN_NAMES)
    tops += tuple(f"{top}_net" for top in tops)
    part = find_target(setting.target).part
    usual = default_flow(graph)
    return Subject(entry.id, graph.digest, tops, part, setting.clock_mhz, usual_flow=usual)


def _measured(
    reports: Path, subject: Subject, force: bool, wrong: Sequence[str] = ()
) -> tuple[Reports, tuple[Measurement, ...], tuple[str, ...]]:
    found = collect(reports, () if force else subject.tops)
    if not subject.flow:
        subject = replace(subject, flow=_flow(found, subject))
    wrong = [*wrong, *differences(found, subject)]
    if wrong and not force:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        msg = f"{wrong[0]}{more}; give the reports of {subject.name}, or attach them with --force"
        raise ReportError(msg)
    made, notes = measurements(found, subject, warned=wrong)
    if not made:
        msg = f"{reports}: no number could be read; {'; '.join(notes) or 'run the tool again'}"
        raise ReportError(msg)
    return found, made, (*wrong, *notes)


def _flow(found: Reports, subject: Subject) -> str:
    """The flow of reports that lie in no project: our Verilog has another clock than HLS's."""
    clocks = {c.name for report in found.timing.values() for c in report.clocks}
    if found.csynth is None and clocks == {"clk"}:
        return "rtl"
    return subject.usual_flow if found.csynth is not None or clocks == {"ap_clk"} else ""


def _digest(made: Sequence[Measurement]) -> str:
    text = json.dumps([m.to_dict() for m in made], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sources(found: Reports) -> list[dict[str, str]]:
    """Names and digests of the reports."""
    return [
        {"name": r.path.name, "sha256": hashlib.sha256(r.path.read_bytes()).hexdigest()}
        for r in found.all
    ]


def _read(folder: Path, project: Project) -> dict[str, Any]:
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        kept = dict(document["ingested"])
        for part in kept.values():
            for record in part["measurements"]:
                Measurement.from_dict(record)
        sound = document["format"] == FORMAT and document["graph"] == project.graph.digest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SpecError) as error:
        msg = f"{path}: cannot be read ({error!r}); remove it and ingest the reports again"
        raise ReportError(msg) from None
    if not sound:
        msg = f"{path}: not of the design that {MANIFEST} names; remove it and ingest again"
        raise ReportError(msg)
    return kept
