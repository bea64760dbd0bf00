"""The reference families of a study: one batch of jobs, a ladder of designs each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nacsr.errors import NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.measure import minimised, usual_objectives
from nacsr.search.pareto import nondominated
from nacsr.spec.reading import tuples
from nacsr.spec.references import ReferenceSpec

FLOW = "hls"
KIND = "ladder"


class ReferenceFrontend:
    """One batch: every ladder of a family, and what of it no other design of it dominates."""

    def __init__(self, family: str, spec: ReferenceSpec, seed: int) -> None:
        self.family, self.phase = family, "ladders"
        self._next = jobs(family, spec, seed)

    def ask(self) -> list[Job]:
        """All ladders, once."""
        asked, self._next = self._next, []
        return asked

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Nothing is searched on."""
        self.phase = "done"

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """The designs of one ladder; what cannot be built ends it, and is told with a reason."""
        spec = REFERENCES[job.family].spec.model_validate(tuples(job.payload["spec"]), strict=False)
        found: dict[str, Found] = {}
        lost: tuple[Found, ...] = ()
        try:
            for one in REFERENCES[job.family].propose(problem, spec, job.payload["seed"]):
                candidate = Candidate(job.family, one.genotype, job.payload["seed"], one.title)
                measured = measure(one.graph, problem, FLOW)
                found.setdefault(candidate.id, Found(candidate, measured, one.graph))
        except NacsrError as error:
            lost = _lost(job, error)
        kept = best(list(found.values()), problem, spec.designs)
        return Outcome({"designs": len(found)}, found=(*kept, *lost))


def _lost(job: Job, error: NacsrError) -> tuple[Found, ...]:
    asked, seed = job.payload["spec"], job.payload["seed"]
    return (Found(Candidate(job.family, asked, seed, job.label, reason=str(error))),)


def jobs(family: str, spec: ReferenceSpec, seed: int) -> list[Job]:
    """One a ladder; together they keep about as many designs as the study asks for."""
    parts = REFERENCES[family].parts(spec)
    share = math.ceil(spec.designs / max(len(parts), 1))
    made = [part.model_copy(update={"designs": share}) for part in parts]
    return [
        Job(
            family,
            KIND,
            {"spec": part.model_dump(mode="json"), "seed": seed},
            label=f"{family} {number} of {len(made)}",
        )
        for number, part in enumerate(made, 1)
    ]


def best(found: Sequence[Found], problem: Problem, most: int) -> list[Found]:
    """Those that no other one dominates by the usual objectives, and that are half as good as the
    best beyond guessing; of too many some of every size, the smallest and the best among them."""
    if not found:
        return []
    points = np.array([_point(f, problem) for f in found])
    worst = (points[:, 0].min() + guessed(problem)) / 2
    kept = [k for k, on in enumerate(nondominated(points)) if on and points[k, 0] <= worst]
    kept.sort(key=lambda k: points[k, 0], reverse=True)  # worst first: the smallest
    if len(kept) > most:
        places = np.linspace(len(kept) - 1, 0, most) if most > 1 else np.array([len(kept) - 1])
        kept = [kept[k] for k in sorted({round(float(p)) for p in places})]
    return [found[k] for k in kept]


def _point(found: Found, problem: Problem) -> list[float]:
    values = {m.metric: m.value for m in found.measurements if not m.label}
    return [minimised(name, values[name]) for name in usual_objectives(problem.judged_as)]


def guessed(problem: Problem) -> float:
    """The usual objective, to be minimised, of who does not look: always the most frequent class,
    or the mean of the targets."""
    y, weights = problem.validation.y, problem.validation.weights
    if problem.task == "classification":
        counts = np.bincount(y, weights, minlength=len(problem.classes))
        return minimised("accuracy", float(counts.max() / counts.sum()))
    columns = np.asarray(y, np.float64).reshape(len(y), -1)
    squares = ((columns - np.average(columns, axis=0, weights=weights)) ** 2).sum(axis=1)
    if problem.judged_as == "location":
        return float(np.average(np.sqrt(squares), weights=weights))
    return float(np.sqrt(np.average(squares, weights=weights)))
