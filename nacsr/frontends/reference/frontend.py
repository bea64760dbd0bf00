"""The reference families of a study: one batch of jobs, a ladder of designs each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import NacsrError
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure, rehearsed
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.ir import Graph
from nacsr.measure import ESTIMATED, HARDWARE, QUALITY, VERILOG, Basis, Measurement, minimised
from nacsr.search.pareto import nondominated
from nacsr.spec.reading import tuples
from nacsr.spec.references import ReferenceSpec

FLOW = "hls"
KIND = "ladder"

Estimate = Callable[[Graph], tuple[Measurement, ...]]
"""Further estimates of a design's hardware; () where there are none of it."""


def nothing(graph: Graph) -> tuple[Measurement, ...]:
    """No further estimates."""
    return ()


class ReferenceFrontend:
    """One batch: every ladder of a family, and what of it no other design of it dominates.

    Args:
        family: a key of ``REFERENCES``.
        spec: its section of the study.
        seed: of the study.
        objectives: those of the study.
    """

    def __init__(
        self, family: str, spec: ReferenceSpec, seed: int, objectives: Sequence[str]
    ) -> None:
        self.family, self.phase = family, "ladders"
        self._next = jobs(family, spec, seed, objectives)

    def ask(self) -> list[Job]:
        """All ladders, once."""
        asked, self._next = self._next, []
        return asked

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Nothing is searched on."""
        self.phase = "done"

    @staticmethod
    def run(job: Job, problem: Problem, further: Estimate = nothing) -> Outcome:
        """The designs of one ladder; whatever goes wrong ends it, and is told with a reason.

        Args:
            job: one of ``jobs``.
            problem: of the study.
            further: estimates the Verilog of a design, beside C-synthesis.
        """
        spec = REFERENCES[job.family].spec.model_validate(tuples(job.payload["spec"]), strict=False)
        found: dict[str, Found] = {}
        lost: tuple[Found, ...] = ()
        try:
            for one in REFERENCES[job.family].propose(problem, spec, job.payload["seed"]):
                candidate = Candidate(job.family, one.genotype, job.payload["seed"], one.title)
                measured = (*measure(one.graph, problem, FLOW), *further(one.graph))
                found.setdefault(candidate.id, Found(candidate, measured, one.graph))
        except Exception as error:  # references are an extra: they must not end a study
            lost = _lost(job, error)
        kept = best(list(found.values()), problem, job.payload["objectives"], spec.designs)
        return Outcome({"designs": len(found)}, found=(*kept, *lost))


def _lost(job: Job, error: Exception) -> tuple[Found, ...]:
    asked, seed = job.payload["spec"], job.payload["seed"]
    said = " ".join(str(error).split())
    reason = said if isinstance(error, NacsrError) else f"{type(error).__name__}: {said}"
    return (Found(Candidate(job.family, asked, seed, job.label, reason=reason)),)


def jobs(family: str, spec: ReferenceSpec, seed: int, objectives: Sequence[str]) -> list[Job]:
    """One a ladder; together they keep about as many designs as the study asks for."""
    parts = REFERENCES[family].parts(spec)
    share = math.ceil(spec.designs / max(len(parts), 1))
    made = [part.model_copy(update={"designs": share}) for part in parts]
    return [
        Job(
            family,
            KIND,
            {"spec": part.model_dump(mode="json"), "seed": seed, "objectives": list(objectives)},
            label=f"{family} {number} of {len(made)}",
        )
        for number, part in enumerate(made, 1)
    ]


def best(
    found: Sequence[Found], problem: Problem, objectives: Sequence[str], most: int
) -> list[Found]:
    """Those that no other one dominates by a study's objectives, with the estimates of C-synthesis
    or with those of Verilog, and that are half as good as the best beyond guessing; of too many
    some of every size, the smallest and the best among them."""
    if not found:
        return []
    guess = guessed(problem)
    metrics = [n for n in objectives if n in guess] or [QUALITY[problem.judged_as][0]]
    good = _points(found, metrics, ESTIMATED)
    useful = (good <= (good.min(axis=0) + [guess[n] for n in metrics]) / 2).any(axis=1)
    told = [f for f, use in zip(found, useful, strict=True) if use]
    kept = [f for f, on in zip(told, _on_fronts(told, objectives), strict=True) if on]
    kept.sort(key=lambda f: _point(f, metrics, ESTIMATED), reverse=True)  # worst: the smallest
    if len(kept) > most:
        places = np.linspace(len(kept) - 1, 0, most) if most > 1 else np.array([len(kept) - 1])
        kept = [kept[k] for k in sorted({round(float(p)) for p in places})]
    return kept


def _on_fronts(found: Sequence[Found], objectives: Sequence[str]) -> NDArray[np.bool_]:
    """Which designs are on the front of one estimate or the other."""
    first, second = (nondominated(_points(found, objectives, b)) for b in (ESTIMATED, VERILOG))
    return first | second


def _points(found: Sequence[Found], names: Sequence[str], basis: Basis) -> NDArray[np.float64]:
    points = [_point(f, names, basis) for f in found]
    return np.array(points, np.float64).reshape(len(found), len(names))


def _point(found: Found, names: Sequence[str], basis: Basis) -> list[float]:
    """Metrics to be minimised; of what was not measured nothing is worse."""
    values = {
        m.metric: minimised(m.metric, m.value)
        for m in found.measurements
        if not m.label and (m.metric not in HARDWARE or (m.method, m.stage) == basis)
    }
    return [values.get(name, math.inf) for name in names]


def guessed(problem: Problem) -> dict[str, float]:
    """Metrics of the validation events, to be minimised, of who does not look: always the most
    frequent class, or the mean of the targets."""
    y, weights = problem.validation.y, problem.validation.weights
    if problem.task == "classification":
        counts = np.bincount(y, weights, minlength=len(problem.classes))
        one = np.eye(len(problem.classes))[int(counts.argmax())]
    else:
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        one = np.average(columns, axis=0, weights=weights)
    told = rehearsed(np.broadcast_to(one, (len(y), len(one))), problem, "guess")
    return {m.metric: minimised(m.metric, m.value) for m in told if not m.label}
