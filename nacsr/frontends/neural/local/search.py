"""The stages of the local search: recipes by TPE, then bit widths, then pruning."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.lessons import USUAL, Recipe
from nacsr.frontends.neural.local import points, pruning, training, widths
from nacsr.frontends.neural.local.points import Point
from nacsr.frontends.neural.local.tpe import Tuner
from nacsr.frontends.neural.space import Network
from nacsr.measure import METRICS, QUALITY, Measurement
from nacsr.spec import Budget, LocalSpec

T = TypeVar("T")
Batches = Generator[tuple[str, list[Job]], Sequence[Outcome], T]
"""Gives a phase and its jobs, and is sent their outcomes in order."""

RUNS: Mapping[str, Callable[[Job, Problem], Outcome]] = {
    "train": training.train,
    "widths": widths.widths,
    "prune": pruning.prune,
    "refine": training.refine,
}
"""What runs each kind of job."""
TOGETHER = 4
"""Trials of a network in a batch: fixed, so that they do not depend on the number of workers."""
SHORT = 3
"""A trial has the search's steps divided by this, and so has the last training with Brevitas."""
ROUND = 10
"""A round of pruning, or a change of bits, has its steps divided by this."""


@dataclass(frozen=True, slots=True)
class Known:
    """A point of the local search, what was done to it, and what was measured."""

    point: Point
    training: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """A network of the global search that is looked at closely.

    Attributes:
        network: its architecture.
        candidate: its id.
        known: what was found so far.
        starts: of which weights are taken out.
    """

    network: Network
    candidate: str
    known: list[Known] = field(default_factory=list)
    starts: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Local:
    """The local search of a study; a stage whose count is zero is left out."""

    problem: Problem
    spec: LocalSpec
    budget: Budget
    seed: int

    @property
    def picks(self) -> int:
        """How many networks are looked at closely."""
        return self.budget.picks if self.spec.picks is None else self.spec.picks

    @property
    def trials(self) -> int:
        """Recipes that are tried for each."""
        return self.budget.trials if self.spec.trials is None else self.spec.trials

    @property
    def expected_jobs(self) -> int:
        """Jobs at most."""
        return self.picks * (self.trials + 3) + self.spec.designs

    def search(self, picks: Sequence[Pick]) -> Batches[list[Known]]:
        """All stages."""
        recipes = yield from self._tuned(picks)
        yield from self._trained(picks, recipes)
        alive = [pick for pick in picks if pick.starts]
        if alive and (self.spec.bits or self.spec.mixed_tolerance is not None):
            yield from self._narrowed(alive)
        if alive and self.spec.rounds and self.spec.criteria:
            yield from self._pruned(alive)
        return [known for pick in picks for known in pick.known]

    def refined(self, known: Known) -> Job:
        """The job that makes a design of a point."""
        more = {"steps": self._steps(SHORT), "training": known.training}
        return self._job("refine", [known.point], more)

    # --- stages ------------------------------------------------------------------------

    def _tuned(self, picks: Sequence[Pick]) -> Batches[list[Recipe]]:
        """The best recipe of every pick, of those tried on short trainings."""
        tried: list[list[tuple[float, Recipe]]] = [[] for _ in picks]
        tuners = [
            Tuner(lessons.stream(self.seed, "tpe", pick.network.key), maximise=self._sign > 0)
            for pick in picks
        ]
        for begin in range(0, self.trials, TOGETHER):
            count = min(TOGETHER, self.trials - begin)
            asked = [tuner.ask(count) for tuner in tuners]
            made = [
                self._training(pick, recipe, SHORT, f"trial {begin + i + 1}")
                for pick, recipes in zip(picks, asked, strict=True)
                for i, recipe in enumerate(recipes)
            ]
            phase = f"local search: recipes {begin + count}/{self.trials}"
            outcomes = yield phase, made
            for n, (tuner, recipes) in enumerate(zip(tuners, asked, strict=True)):
                mine = [self._quality(o) for o in outcomes[n * count : (n + 1) * count]]
                tuner.tell(mine)
                pairs = zip(mine, recipes, strict=True)
                tried[n] += [(self._sign * v, recipe) for v, recipe in pairs if v is not None]
        return [max(one, key=lambda t: t[0])[1] if one else USUAL for one in tried]

    def _trained(self, picks: Sequence[Pick], recipes: Sequence[Recipe]) -> Batches[None]:
        """Every pick as long as the search trains at most."""
        pairs = zip(picks, recipes, strict=True)
        outcomes = yield (
            "local search: training",
            [self._training(pick, recipe, 1, "tuned") for pick, recipe in pairs],
        )
        for pick, outcome in zip(picks, outcomes, strict=True):
            pick.known.extend(_known(outcome))
            pick.starts.extend(known.point for known in pick.known)

    def _narrowed(self, picks: Sequence[Pick]) -> Batches[None]:
        """At other widths; the narrowest within the tolerance is pruned, too."""
        made = []
        for pick in picks:
            (begin,) = pick.known
            more = {
                "bits": list(self.spec.bits),
                "worst": self._worst(pick, self.spec.mixed_tolerance),
                "steps": self._steps(ROUND),
            }
            made.append(self._job("widths", [begin.point], more))
        outcomes = yield "local search: bit widths", made
        for pick, outcome in zip(picks, outcomes, strict=True):
            found = _known(outcome)
            pick.known.extend(found)
            if outcome.result["narrowest"] is not None:
                pick.starts.append(found[outcome.result["narrowest"]].point)

    def _pruned(self, picks: Sequence[Pick]) -> Batches[None]:
        made = []
        for pick in picks:
            starts = [(point, c) for point in pick.starts for c in self.spec.criteria]
            more = {
                "criteria": [criterion for _, criterion in starts],
                "rounds": self.spec.rounds,
                "share": self.spec.share,
                "every": self.spec.every,
                "worst": self._worst(pick, self.spec.pruning_tolerance),
                "steps": self._steps(ROUND),
            }
            made.append(self._job("prune", [point for point, _ in starts], more))
        outcomes = yield "local search: pruning", made
        for pick, outcome in zip(picks, outcomes, strict=True):
            pick.known.extend(_known(outcome))

    # --- jobs --------------------------------------------------------------------------

    def _training(self, pick: Pick, recipe: Recipe, shorter: int, words: str) -> Job:
        payload = {
            "network": pick.network.to_dict(),
            "recipe": asdict(recipe),
            "steps": self._steps(shorter),
            "parent": pick.candidate,
            "training": words,
            "seed": self.seed,
        }
        return Job(jobs.FAMILY, "train", payload, f"{pick.network.title}, {words}")

    def _job(self, kind: str, some: Sequence[Point], more: Mapping[str, Any]) -> Job:
        payload = {**points.payload(some), **more, "seed": self.seed}
        return Job(jobs.FAMILY, kind, payload, some[0].network.title, points.arrays(some))

    def _steps(self, shorter: int) -> int:
        events = len(self.problem.train.y)
        return max(lessons.useful_steps(self.budget.search_steps, events) // shorter, 10)

    @property
    def _metric(self) -> str:
        return QUALITY[self.problem.judged_as][0]

    @property
    def _sign(self) -> int:
        return 1 if METRICS[self._metric].maximise else -1

    def _worst(self, pick: Pick, tolerance: float | None) -> float | None:
        """The metric of a pick as it was first trained, less what it may lose."""
        value = _value(pick.known[0].measurements, self._metric)
        return None if tolerance is None else value * (1 - self._sign * tolerance)

    def _quality(self, outcome: Outcome) -> float | None:
        """The metric that a single training reached; None if it failed."""
        (found,) = outcome.found
        return None if found.candidate.reason else _value(found.measurements, self._metric)


def _known(outcome: Outcome) -> list[Known]:
    """The points of an outcome, whose candidates may stand in another order."""
    found = {one.candidate.id: one for one in outcome.found}
    made = []
    for point in points.read(outcome.result, outcome.arrays):
        one = found[point.candidate]
        made.append(Known(point, str(one.candidate.genotype["training"]), one.measurements))
    return made


def _value(measurements: Sequence[Measurement], metric: str) -> float:
    return next(m.value for m in measurements if m.metric == metric)
