"""Live progress of a study: phase, best so far, time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from nacsr.frontends.base import Job, Outcome
from nacsr.measure import METRICS, QUALITY
from nacsr.study import Study


class Progress:
    """An observer that draws one bar a family; plain lines where there is no terminal."""

    def __init__(self, study: Study, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._total: dict[str, int] = {}
        self._expected = study.expected_jobs()
        self._best: dict[str, float] = {}
        self._metric = QUALITY[study.prepared.problem.judged_as][0]

    def __enter__(self) -> Progress:
        self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def asked(self, family: str, phase: str, jobs: int) -> None:
        """A batch begins."""
        self._total[family] = self._total.get(family, 0) + jobs
        total = max(self._total[family], self._expected.get(family, 0))
        if family not in self._tasks:
            self._tasks[family] = self._bars.add_task(family, total=total, best="")
        text = f"{family}: {phase}"
        self._bars.update(self._tasks[family], description=text, total=total)
        if not self._console.is_terminal:
            self._console.print(f"{text}, {jobs} job{'s' if jobs > 1 else ''}")

    def done(self, job: Job, outcome: Outcome, *, replayed: bool) -> None:
        """A job ended."""
        task = self._tasks[job.family]
        for found in outcome.found:
            for m in found.measurements:
                if m.metric == self._metric and m.stage == "validation":
                    best = self._best.get(job.family, m.value)
                    better = max if METRICS[m.metric].maximise else min
                    self._best[job.family] = better(best, m.value)
        found_best = self._best.get(job.family)
        text = "" if found_best is None else f"best validation {self._metric} {found_best:.4g}"
        self._bars.update(task, advance=1, best=text)
