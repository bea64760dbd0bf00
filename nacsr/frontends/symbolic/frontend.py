"""The expression family: search a front an output, assemble designs, measure them bit-true."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import ExpressionError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.symbolic import jobs
from nacsr.frontends.symbolic.engines import halls
from nacsr.frontends.symbolic.language.custom import Custom, custom_operators
from nacsr.frontends.symbolic.language.expr import OPERATORS
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.spec import Budget, ExpressionSpec

FAMILY = jobs.FAMILY
KINDS = {"functions": "function", "features": "feature", "nesting": "symbol", "halls": "class"}
"""What the names under a key of the study are."""
FOUND = 0.25
"""Designs of formulas as they were found, for every assembled one."""
BEYOND = 0.05
"""Share of the targets of a regression that may saturate."""
_log = logging.getLogger("nacsr")


class SymbolicFrontend:
    """Batches: which features matter (if asked), a search an output and restart, one assembly, the
    designs that it proposes.

    Raises:
        SpecError: for a function that has no table, a feature or class that is not there, a user's
            operator that means nothing, or a hall of fame that cannot be read.
    """

    family = FAMILY

    def __init__(self, problem: Problem, spec: ExpressionSpec, budget: Budget, seed: int) -> None:
        self.problem, self.spec, self.budget, self.seed = problem, spec, budget, seed
        self._custom = _custom(spec.custom, problem)
        _check(spec, problem)
        _check_targets(problem)
        self._guesses = {name: self._hall(name, path) for name, path in spec.halls.items()}
        self._found: list[dict[str, Any]] = []
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
            assembled = outcomes[0].result["designs"]
            self._next = [self._design(d) for d in [*assembled, *self._found]]
        else:
            self.phase = "expressions: assembly"
            found = dict.fromkeys(t for o in outcomes for t in o.result["terms"])
            self._found = self._combined(jobs, outcomes)
            # a front may be one constant: inputs and tables of them are terms all the same
            fitted = any(o.result["front"] for o in outcomes)
            self._next = [self._assembly(list(found))] if fitted else []

    def _hall(self, name: str, path: str) -> list[str]:
        try:
            found = halls.read(path, self.problem.names, self.problem.luts, self._custom)
        except ExpressionError as error:
            msg = f"families.expression.halls.{name}: {error}"
            raise SpecError(msg) from None
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

    def _combined(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
        """Designs of the very formulas that were found, from the shortest of every output to the
        most accurate ones; none if an output has none.
        """
        fronts: list[list[str]] = [[] for _ in self.problem.outputs]
        losses = [np.inf] * len(fronts)
        for job, outcome in zip(jobs, outcomes, strict=True):
            front, at = outcome.result["front"], job.payload["output"]
            if front and front[-1]["loss"] < losses[at]:  # the best of all restarts
                fronts[at], losses[at] = outcome.result["formulas"], front[-1]["loss"]
        longest = max(map(len, fronts))
        if not all(fronts):
            return []
        found = 1.0 if self.spec.engine == "hof" else FOUND  # what the user gave is shown
        count = min(longest, max(int(found * self.budget.taggers), 2))
        made = {}
        for share in np.linspace(1, 0, count).tolist():
            chosen = [front[round(share * (len(front) - 1))] for front in fronts]
            texts = dict(zip(self.problem.outputs, chosen, strict=True))
            made[str(texts)] = {"links": 0, "expressions": texts}
        return list(made.values())

    def _design(self, design: Mapping[str, Any]) -> Job:
        payload = {
            "expressions": dict(design["expressions"]),
            "precision": str(self.problem.precision),
            "precisions": list(self.spec.precisions),
            "table_bits": self.spec.table_bits,
            "seed": self.seed,
        }
        label = f"{design['links']} terms" if design["links"] else "as found"
        return Job(FAMILY, "design", payload, label=label)

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job; a design that cannot be built is a ``Found`` with a reason."""
        return jobs.RUNNERS[job.kind](job.payload, problem)


def _check(spec: ExpressionSpec, problem: Problem) -> None:
    """Refuse images, and names that mean nothing here."""
    if len(problem.array) == 3:
        sizes = " x ".join(map(str, problem.array))
        msg = (
            f"families.expression: events are images of {sizes}, and formulas read single values; "
            "set expression: null, or give features that you computed from them"
        )
        raise SpecError(msg)
    _check_names("functions", spec.functions, problem.luts)
    if isinstance(spec.features, tuple):
        _check_names("features", spec.features, problem.names)
        if not spec.features or len(set(spec.features)) < len(spec.features):
            msg = "families.expression.features: name one input at least, and none twice"
            raise SpecError(msg)
    elif spec.features is not None and spec.features > len(problem.names):
        msg = (
            f"families.expression.features: there are {len(problem.names)} inputs, not "
            f"{spec.features}; give so many at most, or leave it out to use all"
        )
        raise SpecError(msg)
    symbols = [*OPERATORS, *problem.luts, *spec.custom]
    for outer, inside in (spec.nesting or {}).items():
        _check_names("nesting", (outer, *inside), symbols)
    _check_names("halls", spec.halls, problem.outputs)
    bare = [name for name in problem.outputs if name not in spec.halls]
    if spec.engine == "hof" and bare:
        msg = f"families.expression.halls: engine: hof needs one a class; add one for {bare[0]!r}"
        raise SpecError(msg)


def _check_targets(problem: Problem) -> None:
    """Refuse a regression whose formulas would only saturate, or round to one value."""
    if problem.task == "regression":
        columns = problem.train.y.reshape(len(problem.train), -1).T
        for name, y in zip(problem.outputs, columns, strict=True):
            _check_target(name, y, problem.precision)


def _check_target(name: str, y: NDArray[np.float64], type_: Fixed) -> None:
    if np.mean(np.abs(y) > type_.max) > BEYOND:
        most = np.quantile(np.abs(y), 1 - BEYOND)
        need = max(int(np.floor(np.log2(most))) + 2, type_.integer + 1)  # I bits end below 2^(I-1)
        msg = (
            f"precision: {type_} ends at {type_.max:g}, and {name!r} reaches "
            f"{np.abs(y).max():g}; give fixed<W,I> with I of {need} or more, or predict it in "
            "another unit"
        )
        raise SpecError(msg)
    beyond = int(np.sum(np.abs(y) > type_.max))
    if beyond:
        _log.warning(
            "%d of %d training targets are beyond %s, at whose ends terms saturate: give more "
            "integer bits, or expect large errors on such events",
            beyond,
            len(y),
            type_,
        )
    if np.std(y) < type_.lsb:
        msg = (
            f"precision: {type_} has steps of {type_.lsb:g}, and {name!r} varies by "
            f"{np.std(y):g} only; give more fractional bits, or predict it in another unit"
        )
        raise SpecError(msg)


def _check_names(key: str, names: Sequence[str] | Mapping[str, Any], known: Any) -> None:
    for name in names:
        if name not in known:
            kind = KINDS[key]
            raise SpecError(f"families.expression.{key}: " + unknown(kind, name, known))


def _custom(custom: Mapping[str, str], problem: Problem) -> Mapping[str, Custom]:
    """The user's operators, refused before any work is done if they mean nothing."""
    try:
        return custom_operators(custom, problem.luts, problem.names)
    except ExpressionError as error:
        msg = f"families.expression.custom: {error}"
        raise SpecError(msg) from None
