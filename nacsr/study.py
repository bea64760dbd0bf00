"""A study: frontends ask, workers run, the archive records; the same run resumes by replay."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from nacsr.archive import FILE, Archive
from nacsr.cost.calibration import Calibration
from nacsr.data.dataset import Dataset, load
from nacsr.design import stored_calibration
from nacsr.entry import Entry
from nacsr.errors import ArchiveError, FileError, SpecError
from nacsr.finish import (
    design_jobs,
    estimate_job,
    measure_test,
    run_design_job,
    setting,
    verilog,
)
from nacsr.frontends.base import Frontend, Job, Outcome
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.reference import frontend as reference
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.fronts import contenders, finalists, front, limits
from nacsr.measure import ARCHITECTURE, HARDWARE, VERILOG, tool_name
from nacsr.prepare import Prepared, prepare
from nacsr.search.goals import Goals
from nacsr.spec import BUDGETS, Budget, StudySpec, read_yaml
from nacsr.spec.document import up_to_date
from nacsr.spec.messages import difference
from nacsr.spec.references import ReferenceSpec
from nacsr.tools import gxx
from nacsr.workers import Workers

RUNNERS: Mapping[str, Callable[[Job, Prepared], Outcome]] = {
    "expression": lambda job, prepared: SymbolicFrontend.run(job, prepared.problem),
    "network": lambda job, prepared: NeuralFrontend.run(job, prepared.problem),
    "design": run_design_job,
    **dict.fromkeys(
        REFERENCES,
        lambda job, prepared: reference.ReferenceFrontend.run(
            job, prepared.problem, partial(verilog, prepared=prepared)
        ),
    ),
}


class Observer(Protocol):
    """Told what happens, for a progress display."""

    def asked(self, family: str, phase: str, jobs: int) -> None:
        """A batch begins."""

    def done(self, job: Job, outcome: Outcome, *, replayed: bool) -> None:
        """A job ended."""


class Silent:
    """An observer that shows nothing."""

    def asked(self, family: str, phase: str, jobs: int) -> None:
        """A batch begins."""

    def done(self, job: Job, outcome: Outcome, *, replayed: bool) -> None:
        """A job ended."""


def run_job(job: Job, prepared: Prepared) -> Outcome:
    """Execute one job of any family; runs in a worker process."""
    return RUNNERS[job.family](job, prepared)


@dataclass(slots=True)
class _Batch:
    """Jobs that a frontend asked for together, and what came back so far."""

    jobs: Sequence[Job]
    outcomes: list[Outcome | None]

    @property
    def whole(self) -> bool:
        return all(o is not None for o in self.outcomes)


class Study:
    """One study in one run folder.

    Args:
        spec: what to search.
        out: the run folder; made if it is not there, resumed if it holds the same study.
        dataset: events from Python instead of ``spec.dataset``.
        base: folder that relative paths of datasets and calibrations start from.
        calibration: instead of the file that ``spec.calibration`` names.
        budget: instead of the one that ``spec.budget`` names.

    Raises:
        SpecError: if the folder holds another study.
        DataError: if the dataset cannot be used.
    """

    def __init__(
        self,
        spec: StudySpec,
        out: Path | str,
        *,
        dataset: Dataset | None = None,
        base: Path | None = None,
        budget: Budget | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.spec, self.out = spec, Path(out)
        self.budget = budget or BUDGETS[spec.budget]
        self.dataset = dataset if dataset is not None else load(spec.dataset, base)
        if calibration is None and spec.calibration is not None:
            calibration = Calibration.load((base or Path()) / spec.calibration)
        self.prepared = prepare(spec, self.dataset, self.out, calibration)
        self.archive = Archive(self.out, create=True)
        self._first = self._frontends()  # a study that cannot be searched claims no folder
        self._claim()
        if base is not None:
            self.archive.set_meta("base", str(base.resolve()))

    @classmethod
    def resume(cls, out: Path | str) -> Study:
        """The study that a run folder holds.

        Raises:
            ArchiveError: if there is none.
        """
        with Archive(out) as archive:
            spec, base, budget = stored_spec(archive), archive.meta("base"), archive.meta("budget")
            calibration = stored_calibration(archive)
        return cls(
            spec,
            out,
            base=Path(base) if base else None,
            budget=Budget(**json.loads(budget)) if budget else None,
            calibration=calibration,
        )

    def _frontends(self) -> list[Frontend]:
        problem, budget, seed = self.prepared.problem, self.budget, self.spec.seed
        frontends: list[Frontend] = []
        if (expression := self.spec.families.expression) is not None:
            frontends.append(SymbolicFrontend(problem, expression, budget, seed))
        if (network := self.spec.families.network) is not None:
            goals = Goals(self.spec.objectives, self.spec.target, limits(self.spec))
            frontends.append(NeuralFrontend(problem, network, budget, seed, goals))
        objectives = self.spec.objectives
        frontends += [
            reference.ReferenceFrontend(name, section, seed, objectives)
            for name, section in self._references()
        ]
        return frontends

    def _references(self) -> list[tuple[str, ReferenceSpec]]:
        """Reference families; none where a front is of what only networks have."""
        if any(name in ARCHITECTURE for name in self.spec.objectives):
            return []
        return list(self.spec.families.references.items())

    def _claim(self) -> None:
        """Write down which study this folder holds, or check that it is this one."""
        digest = self.prepared.problem.digest
        calibration = self.prepared.problem.calibration
        mine = {
            "spec": self.spec.to_yaml(),
            "calibration": "" if calibration is None else calibration.to_json(),
            "problem": digest,
            "tool": tool_name(),
            "budget": json.dumps(asdict(self.budget)),
        }
        other = {
            "spec": "another study",
            "calibration": "the same study with another calibration",
            "problem": "the same study on other events",
            "tool": "work of another version of nacsr",
            "budget": "the same study with another budget",
        }
        for key, value in mine.items():
            found = self.archive.meta(key)
            if found is not None and key == "spec":
                found = up_to_date(found)
            if found is not None and found != value:
                which = f": {_differs(found, value)}" if key == "spec" else ""
                msg = f"{self.out} holds {other[key]}{which}; choose another folder with --out"
                raise SpecError(msg)
            self.archive.set_meta(key, value)
        about = f"{self.dataset.name}, {len(self.dataset.y)} events. {self.dataset.about}"
        self.archive.set_meta("dataset", about)
        self.archive.set_meta("setting", setting(self.prepared).to_json())

    def run(self, workers: int | None = None, observer: Observer | None = None) -> list[Entry]:
        """Search, emit and verify every design of the front, then read the test events.

        Ctrl-C and crashes lose only the jobs in flight; call it again to go on.

        Args:
            workers: processes; one a core by default. The result does not depend on it, except
                that 0 (this process) leaves BLAS its threads, which may change last bits.
            observer: told of progress.

        Returns:
            The front, best in the first objective first.
        """
        gxx.version()  # a missing compiler is better known before the search than after it
        with _alone(self.out):
            return self._run(workers, observer or Silent())

    def _run(self, workers: int | None, seen: Observer) -> list[Entry]:
        self.frontends = self._first or self._frontends()  # afresh: recorded work is replayed
        self._first = []
        count = os.cpu_count() or 1 if workers is None else workers
        pool: Workers[Prepared, Job, Outcome] = Workers(run_job, self.prepared, count)
        try:
            self._search(pool, seen)
            ending = self._verified(pool, seen)
        finally:
            pool.close()
        measure_test(ending, self.archive, self.prepared)
        return self.front()

    def front(self) -> list[Entry]:
        """The front by the study's objectives and constraints."""
        return front(self.archive, self.spec)

    def expected_jobs(self) -> dict[str, int]:
        """Jobs a family at most, for a progress display."""
        b, problem = self.budget, self.prepared.problem
        found = {"expression": len(problem.outputs) * b.restarts + 1 + b.taggers}
        if (network := self.spec.families.network) is not None:
            found["network"] = NeuralFrontend.expected_jobs(problem, network, b)
        for name, section in self._references():
            found[name] = len(reference.jobs(name, section, self.spec.seed, self.spec.objectives))
        return found

    # --- the loop ----------------------------------------------------------------------

    def _search(self, pool: Workers[Prepared, Job, Outcome], seen: Observer) -> None:
        """Keep one batch of every frontend in flight until all have no more to ask."""
        flying: dict[Future[Outcome], tuple[Frontend, _Batch, int]] = {}
        waiting = [f for f in self.frontends if self._launch(f, pool, flying, seen)]
        while waiting:
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in finished:
                frontend, batch, place = flying.pop(future)
                self._land(batch, place, pool.result(future), seen)
                if batch.whole:
                    frontend.tell(batch.jobs, [o for o in batch.outcomes if o is not None])
                    if not self._launch(frontend, pool, flying, seen):
                        waiting.remove(frontend)

    def _launch(
        self,
        frontend: Frontend,
        pool: Workers[Prepared, Job, Outcome],
        flying: dict[Future[Outcome], tuple[Frontend, _Batch, int]],
        seen: Observer,
    ) -> bool:
        """Start the frontend's next batch that is not in the archive already; False at its end."""
        while jobs := frontend.ask():
            seen.asked(frontend.family, frontend.phase, len(jobs))
            batch = _Batch(jobs, [self.archive.outcome(job.key) for job in jobs])
            for job, outcome in zip(jobs, batch.outcomes, strict=True):
                if outcome is not None:
                    seen.done(job, outcome, replayed=True)
            if batch.whole:
                frontend.tell(jobs, [o for o in batch.outcomes if o is not None])
                continue
            for place, job in enumerate(jobs):
                if batch.outcomes[place] is None:
                    flying[pool.submit(job)] = (frontend, batch, place)
            return True
        return False

    def _land(self, batch: _Batch, place: int, outcome: Outcome, seen: Observer) -> None:
        job = batch.jobs[place]
        self.archive.record(job.key, outcome)
        batch.outcomes[place] = outcome
        seen.done(job, outcome, replayed=False)

    def _verified(self, pool: Workers[Prepared, Job, Outcome], seen: Observer) -> list[Entry]:
        """Emit and verify the finalists; one that fails leaves, and the next one moves up."""
        while True:
            estimated = [
                estimate_job(entry)
                for entry in contenders(self.archive, self.spec)
                if entry.basis(HARDWARE, (VERILOG,)) is None
            ]
            if self._finish("estimate the Verilog", estimated, pool, seen):
                continue
            found = finalists(self.archive, self.spec)
            jobs = [job for entry in found for job in design_jobs(entry, self.spec)]
            if not self._finish("emit and verify", jobs, pool, seen):
                return found

    def _finish(
        self, phase: str, jobs: Sequence[Job], pool: Workers[Prepared, Job, Outcome], seen: Observer
    ) -> bool:
        """Run what of these jobs has not ended; False where all have."""
        missing = [job for job in jobs if not self._emitted(job)]
        if not missing:
            return False
        seen.asked("design", phase, len(missing))
        batch = _Batch(missing, [None] * len(missing))
        flying = {pool.submit(job): place for place, job in enumerate(missing)}
        while flying:
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in finished:
                self._land(batch, flying.pop(future), pool.result(future), seen)
        return True

    def _emitted(self, job: Job) -> bool:
        """Whether a job ended, and what it wrote is still there."""
        outcome = self.archive.outcome(job.key)
        if outcome is None:
            return False
        folder = str(outcome.result.get("folder") or "")
        return not folder or (self.out / "designs" / folder / "manifest.json").is_file()


def _differs(there: str, here: str) -> str:
    """The first key in which two studies, as YAML texts, differ."""
    old, new = (read_yaml(text, "study") for text in (there, here))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return difference(old, new) or "keys in another order"
    return "it cannot be read"


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the run folder, so that two processes never work in it at once."""
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"another nacsr works in {out}; wait for it, or choose another folder with --out"
            raise FileError(msg) from None
        yield


def default_out(spec: StudySpec) -> Path:
    """Where a study without ``--out`` goes."""
    return Path("runs") / spec.name


def stored_spec(archive: Archive) -> StudySpec:
    """The study that an archive belongs to.

    Raises:
        ArchiveError: if none is written there.
    """
    text = archive.meta("spec")
    if text is None:
        msg = f"{archive.path}: holds no study; start one with nacsr run SPEC --out DIR"
        raise ArchiveError(msg)
    where = str(archive.path)
    return StudySpec.from_mapping(read_yaml(up_to_date(text), where), where)


def is_run(path: Path) -> bool:
    """Whether a path is a run folder."""
    return (path / FILE).is_file()
