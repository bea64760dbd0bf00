"""The archive: one append-only, crash-safe SQLite file for all families.

A job's outcome, the candidates that it found and their measurements are one transaction,
so a killed run leaves whole records only and resumes by replaying them. Failures stay, with
their reason. They meet here, through named metrics.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nacsr.entry import Entry, value_of
from nacsr.errors import ArchiveError, SpecError
from nacsr.ir import parse
from nacsr.measure import (
    ESTIMATED,
    OBJECTIVES,
    TIMING,
    Basis,
    Measurement,
    check_name,
    minimised,
)
from nacsr.records import Candidate, Found, Outcome
from nacsr.search.pareto import nondominated
from nacsr.targets import place as target_name
from nacsr.targets import target as find_target

FORMAT = 1
FILE = "archive.sqlite"

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, BadZipFile)
"""What reading a damaged record raises."""

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (key TEXT PRIMARY KEY, result TEXT NOT NULL, arrays BLOB);
CREATE TABLE IF NOT EXISTS candidates (
    id TEXT PRIMARY KEY, job TEXT NOT NULL, record TEXT NOT NULL, graph TEXT);
CREATE TABLE IF NOT EXISTS measurements (
    candidate TEXT NOT NULL, job TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_candidate ON measurements (candidate);
"""


_GIVE = "give the folder that 'nacsr run' wrote"


def runs_in(folder: Path) -> list[Path]:
    """The run folders directly in a folder, as a campaign makes one for every variant."""
    return sorted(place.parent for place in folder.glob(f"*/{FILE}"))


class Archive:
    """An archive file, opened for reading or for appending.

    Args:
        path: the run folder, or the file itself.
        create: make the file (and folder) if it is not there.

    Raises:
        ArchiveError: if it cannot be opened, is truncated, or of another version.
    """

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        given = Path(path)
        self.path = given if given.suffix == ".sqlite" else given / FILE
        if not create and not self.path.is_file():
            inside = ", ".join(map(str, runs_in(given)))
            give = f"give one run of those in it: {inside}" if inside else _GIVE
            msg = f"{given}: no archive here; {give}"
            raise ArchiveError(msg)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{self.path.parent}: cannot be made ({error.strerror}); choose a writable --out"
            raise ArchiveError(msg) from None
        try:
            self._db = sqlite3.connect(self.path)
            self._prepare(create)
        except sqlite3.Error as error:
            msg = (
                f"{self.path}: cannot open the archive ({error}); if it was cut off, restore a "
                "copy or start a new run with --out"
            )
            raise ArchiveError(msg) from None

    def _prepare(self, create: bool) -> None:
        check = self._db.execute("PRAGMA quick_check").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(str(check).splitlines()[0])
        if create:
            self._db.executescript(_TABLES)
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (str(FORMAT),))
            self._db.commit()
        found = self.meta("format")
        if found != str(FORMAT):
            msg = f"archive format {found}, this nacsr reads {FORMAT}"
            raise sqlite3.DatabaseError(msg)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as error:
            msg = f"{self.path}: cannot write ({error}); nothing recorded so far is lost"
            raise ArchiveError(msg) from None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except (sqlite3.Error, *MALFORMED) as error:
            msg = (
                f"{self.path}: a record cannot be read ({type(error).__name__}: {error}); restore "
                "a copy or start a new run with --out"
            )
            raise ArchiveError(msg) from None

    # --- writing -----------------------------------------------------------------------

    def set_meta(self, key: str, value: str) -> None:
        """Store one fact about the whole run."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def record(self, job_key: str, outcome: Outcome) -> None:
        """Append a finished job with everything that it found, all or nothing."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)",
                (job_key, json.dumps(outcome.result), _pack(outcome.arrays)),
            )
            db.execute("DELETE FROM measurements WHERE job = ?", (job_key,))  # a repeated job
            for found in outcome.found:
                self._add(db, job_key, found)

    def _add(self, db: sqlite3.Connection, job_key: str, found: Found) -> None:
        candidate = found.candidate
        db.execute(
            # a candidate met again keeps its first record, unless it failed this time
            "INSERT INTO candidates VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "record = excluded.record WHERE json_extract(excluded.record, '$.reason') != ''",
            (
                candidate.id,
                job_key,
                json.dumps(asdict(candidate)),
                None if found.graph is None else str(found.graph),
            ),
        )
        db.executemany(
            "INSERT INTO measurements VALUES (?, ?, ?)",
            [(candidate.id, job_key, json.dumps(m.to_dict())) for m in found.measurements],
        )

    # --- reading -----------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """One fact about the whole run, or None."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def outcome(self, job_key: str) -> Outcome | None:
        """The recorded outcome of a job, or None if it never finished."""
        with self._reading() as db:
            row = db.execute("SELECT result, arrays FROM jobs WHERE key = ?", (job_key,)).fetchone()
            if row is None:
                return None
            ids = db.execute(
                "SELECT DISTINCT candidate FROM measurements WHERE job = ? UNION "
                "SELECT id FROM candidates WHERE job = ?",
                (job_key, job_key),
            ).fetchall()
            found = [self._found(id_, job_key) for (id_,) in ids]
            return Outcome(json.loads(row[0]), _unpack(row[1]), tuple(found))

    def _found(self, id_: str, job_key: str) -> Found:
        entry = self.entry(id_)
        mine = self._measurements("candidate = ? AND job = ?", (id_, job_key))
        graph = None if entry.graph_text is None else parse(entry.graph_text)
        return Found(entry.candidate, mine, graph)

    def _measurements(self, where: str, values: Sequence[str]) -> tuple[Measurement, ...]:
        rows = self._db.execute(
            f"SELECT record FROM measurements WHERE {where} ORDER BY rowid", tuple(values)
        )
        return tuple(Measurement.from_dict(json.loads(r[0])) for r in rows)

    def entry(self, id_: str) -> Entry:
        """The candidate with that id (or an unambiguous beginning of it).

        Raises:
            ArchiveError: if none, or more than one, matches.
        """
        with self._reading() as db:
            rows = db.execute(
                "SELECT id, record, graph FROM candidates WHERE substr(id, 1, ?) = ?",
                (len(id_), id_),
            ).fetchall()
            if len(rows) == 1 and id_:
                return self._entry(*rows[0])
        what = f"{len(rows)} candidates begin with" if rows else "no candidate is called"
        msg = f"{self.path.parent}: {what} {id_!r}; 'nacsr front {self.path.parent}' lists them"
        raise ArchiveError(msg)

    def origin(self, id_: str) -> Outcome | None:
        """The outcome of the job that first met a candidate, or None if it is not kept.

        Raises:
            ArchiveError: as ``entry``.
        """
        with self._reading() as db:
            found = (self.entry(id_).id,)
            (key,) = db.execute("SELECT job FROM candidates WHERE id = ?", found).fetchone()
        return self.outcome(key)

    def entries(self, *, designs_only: bool = False) -> list[Entry]:
        """All candidates, ordered by id."""
        where = "WHERE graph IS NOT NULL" if designs_only else ""
        with self._reading() as db:
            rows = db.execute(f"SELECT id, record, graph FROM candidates {where} ORDER BY id")
            return [self._entry(*row) for row in rows.fetchall()]

    def _entry(self, id_: str, record: str, graph: str | None) -> Entry:
        fields = json.loads(record)
        fields["parents"] = tuple(fields["parents"])
        return Entry(Candidate(**fields), self._measurements("candidate = ?", (id_,)), graph)

    def counts(self) -> dict[str, int]:
        """Numbers of candidates, designs, failures and jobs."""
        entries = self.entries()
        with self._reading() as db:
            jobs = db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        return {
            "candidates": len(entries),
            "designs": sum(e.graph_text is not None for e in entries),
            "failed": sum(bool(e.failed) for e in entries),
            "jobs": int(jobs),
        }

    def place(self) -> str:
        """Part and clock of the run, as measurements name them; "" if none is written down."""
        setting = self.meta("setting")
        if setting is None:
            return ""
        try:
            read = json.loads(setting)
            return target_name(find_target(read["target"]), float(read["clock_mhz"]))
        except (*MALFORMED, SpecError):
            return ""

    def bases(self) -> list[Basis]:
        """Every method and stage of which some design has a number of LUTs, in order."""
        found = {
            Basis(m.method, m.stage)
            for entry in self.entries(designs_only=True)
            for m in entry.measurements
            if m.metric == "luts"
        }
        return sorted(found)

    def front(
        self,
        objectives: Sequence[str] = ("accuracy", "luts", "dsps", "latency_cycles"),
        method: str = ESTIMATED.method,
        stage: str = ESTIMATED.stage,
        limits: Mapping[str, float] | None = None,
        instead: Sequence[Basis] = (),
        family: str = "",
    ) -> list[Entry]:
        """The designs that no other design dominates, best in the first objective first.

        Hardware metrics are compared within one method and stage only, and on the run's own part
        and clock (reports of another one may be attached to a design); physics metrics are
        the bit-true ones of the validation events. A design that lacks one of them, failed,
        or exceeds a limit is left out; so are formulas where bit operations are an objective.

        Args:
            objectives: metric names; their sense is in ``METRICS``.
            method: method of the hardware numbers.
            stage: stage of the hardware numbers.
            limits: upper limits by metric name.
            instead: for designs without such numbers, the first of these that they have. Numbers
                of several methods or stages are ranked together only where these are given.
            family: the only one whose designs count; "": all.

        Raises:
            SpecError: for an unknown metric.
        """
        names = [*objectives, *(limits or {})]
        for name in names:
            check_name("objective", name, dict.fromkeys((*OBJECTIVES, *TIMING)))
        place = self.place()
        kept: list[Entry] = []
        points: list[list[float]] = []
        for entry in self.entries(designs_only=True):
            if family not in ("", entry.candidate.family):
                continue
            basis = entry.basis(names, (Basis(method, stage), *instead), place)
            values = [
                None if basis is None else value_of(entry, name, basis, place) for name in names
            ]
            if entry.failed or any(v is None for v in values):
                continue
            numbers = dict(zip(names, [v for v in values if v is not None], strict=True))
            if any(numbers[n] > top for n, top in (limits or {}).items()):
                continue
            kept.append(entry)
            points.append([minimised(n, numbers[n]) for n in objectives])
        if not kept:
            return []
        mask = nondominated(np.array(points))
        front = [(p, e) for p, e, on in zip(points, kept, mask, strict=True) if on]
        return [entry for _, entry in sorted(front, key=lambda pe: (pe[0], pe[1].id))]


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes | None:
    if not arrays:
        return None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(blob: bytes | None) -> dict[str, NDArray[Any]]:
    if blob is None:
        return {}
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
