"""The expression family: search a front an output, assemble designs, measure them bit-true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nacsr.errors import ExpressionError, SpecError, unknown
from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.symbolic import halls, jobs
from nacsr.frontends.symbolic.custom import Custom, custom_operators
from nacsr.frontends.symbolic.show import to_text
from nacsr.spec import Budget, ExpressionSpec

FAMILY = jobs.FAMILY


class SymbolicFrontend:
    """Batches: which features matter (if asked), a search an output and restart, one assembly, the
    designs that it proposes.

    Raises:
        SpecError: for a function that has no table, a feature that is not there, or a user's
            operator that means nothing.
        ExpressionError: for a hall of fame that cannot be read.
    """

    family = FAMILY

    def __init__(self, problem: Problem, spec: ExpressionSpec, budget: Budget, seed: int) -> None:
        self.problem, self.spec, self.budget, self.seed = problem, spec, budget, seed
        _check_names("functions", spec.functions, problem.luts)
        if isinstance(spec.features, tuple):
            _check_names("features", spec.features, problem.names)
        _check_names("halls", spec.halls, problem.outputs)
        self._custom = _custom(spec.custom, problem)
        self._guesses = {name: self._hall(path) for name, path in spec.halls.items()}
        self._inputs = list(spec.features if isinstance(spec.features, tuple) else problem.names)
        self.phase = "expressions: search"
        self._next = self._searches()
        if isinstance(spec.features, int) and spec.features < len(problem.names):
            self.phase = "expressions: features"
            self._next = [self._importance(spec.features)]

    def ask(self) -> list[Job]:
        """The next batch: features, searches, then the assembly, then designs."""
        asked, self._next = self._next, []
        return asked

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the last batch, in order."""
        kind = jobs[0].kind if jobs else "design"
        if kind == "design":
            self.phase = "expressions: done"
        elif kind == "features":
            self.phase = "expressions: search"
            self._inputs = list(outcomes[0].result["features"])
            self._next = self._searches()
        elif kind == "assemble":
            self.phase = "expressions: designs"
            self._next = [self._design(d) for d in outcomes[0].result["designs"]]
        else:
            self.phase = "expressions: assembly"
            found = [t for o in outcomes for t in o.result["terms"]]
            self._next = [self._assembly(list(dict.fromkeys(found)))] if found else []

    def _hall(self, path: str) -> list[str]:
        found = halls.read(path, self.problem.names, self.problem.luts, self._custom)
        return [to_text(expr) for expr in found]

    def _importance(self, count: int) -> Job:
        payload = {"count": count, "by": self.spec.importance, "seed": self.seed}
        return Job(FAMILY, "features", payload, label=f"{count} features")

    def _searches(self) -> list[Job]:
        asked = []
        for restart in range(self.budget.restarts):
            for index, name in enumerate(self.problem.outputs):
                entropy = np.random.SeedSequence([self.seed, restart, index])
                payload = self._common() | {
                    "engine": self.spec.engine,
                    "output": index,
                    "guesses": self._guesses.get(name, []),
                    "complexities": self.spec.complexities,
                    "implementation": self.spec.implementation,
                    "extra": dict(self.spec.pysr),
                    "seed": int(entropy.generate_state(1)[0]),
                    "evaluations": self.budget.evaluations,
                    "rows": self.budget.rows,
                }
                asked.append(Job(FAMILY, "search", payload, label=name))
        return asked

    def _common(self) -> dict[str, Any]:
        kept = (
            "operators", "functions", "custom", "nesting", "tables", "table_bits", "max_size",
            "max_depth", "max_cycles", "max_luts", "max_dsps",
        )  # fmt: skip
        spec = self.spec.model_dump(mode="json", include=set(kept))
        return spec | {"inputs": self._inputs, "precision": str(self.problem.precision)}

    def _assembly(self, terms: list[str]) -> Job:
        payload = self._common() | {
            "terms": terms,
            "designs": self.budget.taggers,
            "rows": 2 * self.budget.rows,
            "seed": self.seed,
        }
        return Job(FAMILY, "assemble", payload, label="designs")

    def _design(self, design: Mapping[str, Any]) -> Job:
        payload = {
            "expressions": dict(design["expressions"]),
            "precision": str(self.problem.precision),
            "precisions": list(self.spec.precisions),
            "table_bits": self.spec.table_bits,
            "seed": self.seed,
        }
        return Job(FAMILY, "design", payload, label=f"{design['links']} terms")

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job; a design that cannot be built is a ``Found`` with a reason."""
        return jobs.RUNNERS[job.kind](job.payload, problem)


def _check_names(key: str, names: Sequence[str] | Mapping[str, Any], known: Any) -> None:
    for name in names:
        if name not in known:
            kind = {"functions": "function", "features": "feature"}.get(key, "class")
            raise SpecError(f"families.expression.{key}: " + unknown(kind, name, known))


def _custom(custom: Mapping[str, str], problem: Problem) -> Mapping[str, Custom]:
    """The user's operators, refused before any work is done if they mean nothing."""
    try:
        return custom_operators(custom, problem.luts)
    except ExpressionError as error:
        msg = f"families.expression.custom: {error}"
        raise SpecError(msg) from None
