"""The expression family: search a front a class, assemble classifiers, measure them bit-true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nacsr.cost import estimate, operator_costs
from nacsr.cost.operators import OperatorCost
from nacsr.cost.schedule import period_ns
from nacsr.errors import DataError, NacsrError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.symbolic.assemble import Limits, Pool, assemble, expressions, make_pool
from nacsr.frontends.symbolic.calibrate import calibrate, terms
from nacsr.frontends.symbolic.engine.hardware import Hardware
from nacsr.frontends.symbolic.engine.trees import Grammar
from nacsr.frontends.symbolic.engines import ENGINES
from nacsr.frontends.symbolic.expr import OPERATORS, Expr, Var
from nacsr.frontends.symbolic.lower import lower
from nacsr.frontends.symbolic.parse import parse
from nacsr.frontends.symbolic.request import Config, Sample, Scored
from nacsr.frontends.symbolic.show import to_text
from nacsr.luts import LutFunc
from nacsr.spec import Budget, ExpressionSpec
from nacsr.targets import target

FAMILY = "expression"
FLOW = "hls"
ASSEMBLY_ROWS = 20_000
THRIFT = (0.0, 0.5, 1.0)
"""How much cost weighs in the choice of terms: one ladder of classifiers each."""


class SymbolicFrontend:
    """Three batches: a search a class and restart, one assembly, the classifiers it proposes.

    Raises:
        SpecError: for a function that has no table.
    """

    family = FAMILY

    def __init__(self, problem: Problem, spec: ExpressionSpec, budget: Budget, seed: int) -> None:
        known = problem.luts
        for name in spec.functions:
            if name not in known:
                raise SpecError(
                    "families.expression.functions: " + unknown("function", name, known)
                )
        self.problem, self.spec, self.budget, self.seed = problem, spec, budget, seed
        self.phase = "expressions: search"
        self._next = self._searches()

    def ask(self) -> list[Job]:
        """The next batch: searches, then the assembly, then classifiers."""
        jobs, self._next = self._next, []
        return jobs

    def tell(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the last batch, in order."""
        if not jobs or jobs[0].kind == "tagger":
            self.phase = "expressions: done"
        elif jobs[0].kind == "assemble":
            self.phase = "expressions: classifiers"
            self._next = [self._tagger(t) for t in outcomes[0].result["taggers"]]
        else:
            self.phase = "expressions: assembly"
            found = [r["expression"] for o in outcomes for r in o.result["front"]]
            self._next = [self._assembly(list(dict.fromkeys(found)))] if found else []

    def _searches(self) -> list[Job]:
        jobs = []
        for restart in range(self.budget.restarts):
            for index, name in enumerate(self.problem.classes):
                entropy = np.random.SeedSequence([self.seed, restart, index])
                payload = self._common() | {
                    "class": index,
                    "seed": int(entropy.generate_state(1)[0]),
                    "evaluations": self.budget.evaluations,
                    "rows": self.budget.rows,
                }
                jobs.append(Job(FAMILY, "search", payload, label=f"class {name}"))
        return jobs

    def _common(self) -> dict[str, Any]:
        return {
            "engine": self.spec.engine,
            "operators": list(self.spec.operators),
            "functions": list(self.spec.functions),
            "max_size": self.spec.max_size,
            "max_cycles": self.spec.max_cycles,
            "precision": str(self.problem.precision),
        }

    def _assembly(self, found: list[str]) -> Job:
        payload = self._common() | {"expressions": found, "taggers": self.budget.taggers}
        return Job(FAMILY, "assemble", payload, label="classifiers")

    def _tagger(self, tagger: Mapping[str, Any]) -> Job:
        payload = {
            "expressions": dict(tagger["expressions"]),
            "precision": str(self.problem.precision),
            "seed": self.seed,
        }
        return Job(FAMILY, "tagger", payload, label=f"{tagger['links']} terms")

    @staticmethod
    def run(job: Job, problem: Problem) -> Outcome:
        """Execute one job; a classifier that cannot be built is a ``Found`` with a reason."""
        if job.kind == "assemble":
            return _assemble(job.payload, problem)
        if job.kind == "tagger":
            return _measure(job.payload, problem)
        return _search(job.payload, problem)


def _names(problem: Problem) -> list[str]:
    return [f.name for f in problem.features]


def _costs(
    problem: Problem, precision: Fixed, luts: Mapping[str, LutFunc]
) -> dict[str, OperatorCost]:
    """Operator costs as the search sees them.

    Constant factors have two signed digits in the end, so they cost an adder. A function costs
    what its own ops do on a word of the precision, at least one cycle; its block RAMs count as
    the LUTs that are the same share of the chip.
    """
    chip = target(problem.target)
    costs = dict(operator_costs(precision, problem.clock_mhz, problem.target))
    costs["const_mul"] = costs["add"]
    for name, lut in luts.items():
        made = estimate(lut.graph(precision), problem.target, problem.clock_mhz)
        cycles = max(made.latency_cycles, 1)
        costs[name] = OperatorCost(
            delay_ns=cycles * period_ns(problem.clock_mhz),
            luts=made.luts + made.brams * chip.luts / chip.brams,
            dsps=made.dsps,
            ffs=made.ffs,
            cycles=cycles,
        )
    return costs


def _dsp_luts(problem: Problem) -> float:
    """LUTs that are the same share of the chip as one DSP."""
    chip = target(problem.target)
    return chip.luts / chip.dsps


def _search(p: Mapping[str, Any], problem: Problem) -> Outcome:
    """One expression front, for one class against the rest."""
    precision, luts = Fixed.parse(p["precision"]), problem.luts
    config = Config(
        evaluations=p["evaluations"],
        rows=p["rows"],
        operators=tuple(p["operators"]),
        functions=tuple(p["functions"]),
        max_size=p["max_size"],
        max_cycles=p["max_cycles"],
        period_ns=period_ns(problem.clock_mhz),
        precision=precision,
        dsp_luts=_dsp_luts(problem),
    )
    y = np.where(problem.train.y == p["class"], 1.0, -1.0)
    costs = _costs(problem, precision, luts)
    sample = Sample(problem.values(problem.train), y, problem.names)
    try:
        front = ENGINES[p["engine"]](sample, config, costs, luts, p["seed"])
    except DataError as error:  # the other classes and families go on
        name = problem.classes[p["class"]]
        genotype = {"class": name, "training": "search"}
        failed = Candidate(FAMILY, genotype, p["seed"], f"search for {name}", reason=str(error))
        return Outcome({"front": []}, found=(Found(failed),))
    return Outcome({"front": [_record(s) for s in front]})


def _record(scored: Scored) -> dict[str, Any]:
    return {
        "expression": to_text(scored.expr),
        "loss": scored.loss,
        "cycles": scored.cycles,
        "luts": scored.luts,
        "dsps": scored.dsps,
    }


def _assemble(p: Mapping[str, Any], problem: Problem) -> Outcome:
    """Classifiers of all sizes, from the terms of every expression found."""
    step = max(len(problem.train.y) // ASSEMBLY_ROWS, 1)
    labels = problem.train.y[::step]
    limits = Limits(p["max_size"], p["max_cycles"], _dsp_luts(problem))
    pool = _pool(p, problem, step)
    taggers: list[dict[str, Any]] = []
    for n, thrift in enumerate(THRIFT):
        path = assemble(pool, labels, len(problem.classes), limits, thrift)
        rungs = p["taggers"] // len(THRIFT) + (n < p["taggers"] % len(THRIFT))
        for links in _ladder(len(problem.classes), len(path), rungs):
            sums = expressions(pool, path[:links], problem.classes)
            taggers.append({"links": links, "expressions": _texts(sums)})
    distinct = {str(t["expressions"]): t for t in taggers}
    return Outcome({"taggers": list(distinct.values())})


def _pool(p: Mapping[str, Any], problem: Problem, step: int) -> Pool:
    names, luts = _names(problem), problem.luts
    costs = _costs(problem, Fixed.parse(p["precision"]), luts)
    grammar = Grammar(len(names), tuple(OPERATORS), tuple(luts), p["max_size"], p["max_size"])
    hardware = Hardware(grammar, costs, period_ns(problem.clock_mhz))
    parts: list[Expr] = [Var(n) for n in names]
    for text in p["expressions"]:
        parts += [t for _, t in terms(parse(text, names, luts)) if t is not None]
    return make_pool(parts, names, _columns(problem, step), luts, hardware)


def _ladder(low: int, high: int, rungs: int) -> list[int]:
    """``rungs`` numbers from ``low`` to ``high`` in equal ratios; the ends are among them."""
    if rungs <= 1 or high <= low:
        return [high][:rungs]
    return sorted({round(n) for n in np.geomspace(low, high, rungs).tolist()})


def _columns(problem: Problem, step: int = 1) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    values = problem.values(problem.train)[::step]
    return dict(zip(_names(problem), values.T, strict=True))


def _texts(sums: Mapping[str, Expr]) -> dict[str, str]:
    return {name: to_text(expr) for name, expr in sums.items()}


def _measure(p: Mapping[str, Any], problem: Problem) -> Outcome:
    """Calibrate, lower and measure one classifier."""
    precision, luts = Fixed.parse(p["precision"]), problem.luts
    try:
        sums = {c: parse(t, _names(problem), luts) for c, t in p["expressions"].items()}
        columns = _columns(problem)
        sums = calibrate(sums, columns, problem.train.y, luts, precision.lsb)
        candidate = _candidate(p, sums)
        graph = lower(sums, problem.features, problem.scaling, precision, luts)
        measured = measure(graph, problem, FLOW)
    except NacsrError as failure:
        failed = Candidate(
            FAMILY, dict(p), p["seed"], _title(p["expressions"].items()), reason=str(failure)
        )
        return Outcome(found=(Found(failed),))
    return Outcome(found=(Found(candidate, measured, graph),))


def _candidate(p: Mapping[str, Any], sums: Mapping[str, Expr]) -> Candidate:
    genotype = {"expressions": _texts(sums), "precision": p["precision"]}
    title = _title((name, to_text(expr, 3)) for name, expr in sums.items())
    return Candidate(FAMILY, genotype, p["seed"], title)


def _title(texts: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in texts)
