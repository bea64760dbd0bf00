"""A campaign: variants of one study run one after the other, then swept over bit widths together.

Every variant is a study in a folder of its own, so it resumes as any study does. A variant that
fails is a result with its reason; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from nacsr.data.dataset import Dataset, load
from nacsr.entry import Entry
from nacsr.errors import NacsrError, SpecError
from nacsr.frontends.base import Problem
from nacsr.measure import QUALITY, judged_as
from nacsr.spec import CampaignSpec, StudySpec
from nacsr.spec.campaign import JOIN
from nacsr.study import Observer, Silent, Study
from nacsr.sweep import (
    Arithmetic,
    Formulas,
    Point,
    arithmetics,
    best_formulas,
    best_network,
    points,
    read_widths,
)

Watch = Callable[[str, Study], AbstractContextManager[Observer]]
"""Makes an observer for a variant, by its name and study."""


def silent(name: str, study: Study) -> AbstractContextManager[Observer]:
    """Show nothing."""
    return nullcontext(Silent())


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What became of one variant.

    Attributes:
        name: of the variant and of its folder.
        study: the study that ran; None if it failed.
        front: its front.
        reason: why it failed, or "".
    """

    name: str
    study: Study | None
    front: tuple[Entry, ...] = ()
    reason: str = ""

    @property
    def family(self) -> str:
        """What varies first: the name up to the first dash."""
        return self.name.partition(JOIN)[0]

    @property
    def mode(self) -> str:
        """What varies besides: the name after the first dash, or ""."""
        return self.name.partition(JOIN)[2]

    @property
    def formulas(self) -> tuple[Entry, ...]:
        """The expressions of the front, the most accurate first."""
        if self.study is None:
            return ()
        return tuple(best_formulas(self.front, self.study.prepared.problem.judged_as))


class Campaign:
    """Variants of one study in one folder.

    Args:
        spec: the variants and the sweep.
        out: the folder; every variant has a run folder in it, resumed if it is there.
        dataset: events from Python instead of the studies' dataset.
        base: folder that relative dataset paths start from.

    Raises:
        SpecError: for bit widths that cannot be.
        DataError: if the dataset cannot be used.
    """

    def __init__(
        self,
        spec: CampaignSpec,
        out: Path | str,
        *,
        dataset: Dataset | None = None,
        base: Path | None = None,
    ) -> None:
        self.spec, self.out, self.base = spec, Path(out), base
        self.settings = _settings(spec)
        first = next(iter(spec.variants.values()))
        self.dataset = dataset if dataset is not None else load(first.dataset, base)

    def run(self, workers: int | None = None, watch: Watch = silent) -> Iterator[Result]:
        """Run the variants in their order; each is given as it ends.

        Args:
            workers: as for ``Study.run``.
            watch: told of the progress of every variant.
        """
        for name, spec in self.spec.variants.items():
            try:
                yield self._ran(name, spec, workers, watch)
            except NacsrError as failure:  # the other variants go on
                yield Result(name, None, reason=str(failure))

    def _ran(self, name: str, spec: StudySpec, workers: int | None, watch: Watch) -> Result:
        study = Study(spec, self.out / name, dataset=self.dataset, base=self.base)
        with watch(name, study) as observer:
            return Result(name, study, tuple(study.run(workers, observer)))

    def points(self, results: Sequence[Result]) -> Iterator[Point]:
        """The most accurate formulas of every variant at every bit width, on validation events.

        Quality is compared with the best network of all variants, where there is one.
        """
        if self.spec.sweep is None:
            return
        networks = [e for r in results for e in r.front]
        network = best_network(
            networks,
            QUALITY[judged_as(self.dataset.task, len(self.dataset.classes))][0],
            "validation",
        )
        for result in results:
            if result.study is not None:
                for entry in result.formulas[: self.spec.sweep.top]:
                    id_ = f"{result.name}:{entry.id}"
                    yield from self._swept(id_, entry, result.study.prepared.problem, network)

    def _swept(
        self, id_: str, entry: Entry, problem: Problem, network: float | None
    ) -> Iterator[Point]:
        try:
            formulas = [Formulas.of(entry, problem, id_)]
            yield from points(formulas, problem, problem.validation, self.settings, network=network)
        except NacsrError as failure:  # no reference in float64: a design that overflows it
            metric, reason = QUALITY[problem.judged_as][0], str(failure)
            for arithmetic in self.settings:
                yield Point(id_, arithmetic, metric, float("nan"), network, (), reason)

    @property
    def expected_points(self) -> int:
        """Points at most, for a progress display."""
        top = 0 if self.spec.sweep is None else self.spec.sweep.top
        return len(self.spec.variants) * top * len(self.settings)


def _settings(spec: CampaignSpec) -> tuple[Arithmetic, ...]:
    if spec.sweep is None:
        return ()
    try:
        return arithmetics(read_widths(spec.sweep.widths), spec.sweep.integer)
    except SpecError as error:
        msg = f"sweep: {error}"
        raise SpecError(msg) from None
