"""What the jobs of the expression family do: pure functions of a payload and the problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.schedule import period_ns
from nacsr.errors import DataError, NacsrError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Candidate, Found, Outcome, Problem
from nacsr.frontends.judge import measure
from nacsr.frontends.symbolic import genotype
from nacsr.frontends.symbolic.assembly.assemble import (
    Limits,
    Style,
    assemble,
    enriched,
    expressions,
    ladder,
    promising,
    suits,
)
from nacsr.frontends.symbolic.assembly.breeding import Breeder, simplest
from nacsr.frontends.symbolic.assembly.pool import Source, drawn
from nacsr.frontends.symbolic.engines.complexities import complexities
from nacsr.frontends.symbolic.engines.costs import dsp_luts, search_costs
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.frontends.symbolic.engines.request import Config, Sample
from nacsr.frontends.symbolic.fitting.calibrate import Grids, calibrate, terms
from nacsr.frontends.symbolic.fitting.newton import Goal, one_hot, softened
from nacsr.frontends.symbolic.fitting.shapes import OPEN, TABLE
from nacsr.frontends.symbolic.importance import most_important
from nacsr.frontends.symbolic.language.custom import custom_operators
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Var, walk
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.luts import LutFunc

FAMILY = "expression"
FLOW = "hls"
STYLES = (
    Style(1.0),
    Style(0.5, reference=True, together=True, terms="single"),
    Style(0.5, reference=True, together=True),
    Style(0.5, terms="plain"),
    Style(0.0, reference=True, together=True),
)
"""One ladder of designs each."""
ALONE = (Style(1.0), Style(0.0), Style(0.5, terms="plain"))
"""Of one output, which shares nothing and has no reference."""
ROUNDS = 2
"""How often the pool of terms is bred on before designs are taken from it."""
MUTANTS = 400
PROMISING = 600
"""Terms that the designs of any terms are made of; what the time goes into is reading them."""
LOGIT_FRACS = (2, 4)
"""Fractional bits of tables of log-odds: finer steps change no decision that matters."""

Real = NDArray[np.float64]
Payload = Mapping[str, Any]


def run_features(p: Payload, problem: Problem) -> Outcome:
    """The most important features."""
    z, train = problem.values(problem.train), problem.train
    kept = most_important(z, train.y, problem.task, p["count"], p["by"], p["seed"], train.weights)
    return Outcome({"features": [problem.names[j] for j in kept]})


def run_search(p: Payload, problem: Problem) -> Outcome:
    """The terms of one expression front, for one output."""
    precision, luts = Fixed.parse(p["precision"]), problem.luts
    columns = _columns(problem, p["inputs"])
    z = np.stack(list(columns.values()), axis=1)
    sample = Sample(z, _target(problem, p["output"]), tuple(columns), problem.train.weights)
    costs = search_costs(problem, precision, p["table_bits"])
    try:
        engine = ENGINES[p["engine"]]
        front = engine(sample, _config(p, problem), costs, luts, p["seed"], _folder(p, problem))
    except DataError as error:  # the other outputs and families go on
        name = problem.outputs[p["output"]]
        failed = {"class": name, "training": "search"}
        title = f"search for {name}"
        lost = Candidate(FAMILY, failed, p["seed"], title, reason=str(error))
        return Outcome({"front": [], "terms": [], "formulas": []}, found=(Found(lost),))
    found: dict[str, None] = {}
    for s in front:
        opened = genotype.opened(s.expr, s.tables)
        found |= {to_text(t): None for _, t in terms(opened) if t is not None}
    record = [
        {"loss": s.loss, "cycles": s.cycles, "luts": s.luts, "dsps": s.dsps}
        | genotype.record({"y": s.expr}, s.tables)
        for s in front
    ]
    formulas = [to_text(genotype.opened(s.expr, s.tables)) for s in front]
    return Outcome({"front": record, "terms": list(found), "formulas": formulas})


def _folder(p: Payload, problem: Problem) -> Path | None:
    """Where an engine keeps the files of one search."""
    if problem.folder is None:
        return None
    engine, name = str(p["engine"]), f"{p['output']}_{p['seed']}"
    return problem.folder / engine / name


def _config(p: Payload, problem: Problem) -> Config:
    precision, luts = Fixed.parse(p["precision"]), problem.luts
    custom = custom_operators(p["custom"], luts)
    return Config(
        evaluations=p["evaluations"],
        rows=p["rows"],
        operators=tuple(p["operators"]),
        functions=tuple(p["functions"]),
        precision=precision,
        period_ns=period_ns(problem.clock_mhz),
        dsp_luts=dsp_luts(problem),
        max_size=p["max_size"],
        max_depth=p["max_depth"],
        max_cycles=p["max_cycles"],
        max_luts=math.inf if p["max_luts"] is None else p["max_luts"],
        max_dsps=math.inf if p["max_dsps"] is None else p["max_dsps"],
        nesting=p["nesting"],
        custom=custom,
        tables=p["tables"],
        table_bits=p["table_bits"],
        guesses=tuple(parse(text, problem.names, luts, custom) for text in p["guesses"]),
        complexities=_complexities(p, problem),
        extra=p["extra"],
    )


def _target(problem: Problem, output: int) -> Real:
    """What the expression of one output regresses."""
    if problem.task == "regression":
        values: Real = _targets(problem)[:, output]
        return values
    if problem.teacher is not None:
        taught: Real = problem.teacher[:, output] - problem.teacher.mean(axis=1) * (
            problem.teacher.shape[1] > 1
        )
        return taught
    wanted = problem.classes.index(problem.outputs[output])
    return np.where(problem.train.y == wanted, 1.0, -1.0)


def _goal(problem: Problem) -> Goal:
    """What all outputs are fitted to together."""
    weights = problem.train.weights
    if problem.task == "regression":
        return Goal(_targets(problem), weights, regression=True)
    if problem.teacher is not None:
        return Goal(softened(problem.teacher), weights)
    return Goal(one_hot(problem.train.y, len(problem.classes)), weights)


def _targets(problem: Problem) -> Real:
    """What a regression is fitted to, shape (events, targets)."""
    values = problem.train.y if problem.teacher is None else problem.teacher
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def run_assemble(p: Payload, problem: Problem) -> Outcome:
    """Designs of all sizes, from the terms of every expression found."""
    step = max(len(problem.train) // p["rows"], 1)
    goal = _goal(problem).take(slice(None, None, step))
    hardware, source = _workshop(p, problem, goal, slice(None, None, step))
    breeder = Breeder(source.names, p["operators"], p["functions"], p["tables"])
    rng = np.random.default_rng(p["seed"])
    terms = _terms(p, problem, source.names)
    simple = drawn(source.allowed(breeder.library()), len(terms), rng)
    pool, limits = source.pool([*terms, *simple]), _limits(p, problem)
    for _ in range(ROUNDS):
        path = assemble(pool, goal, hardware, limits, STYLES[0])
        pool = enriched(pool, path, source, breeder, MUTANTS, rng)
    best = promising(pool, path, source, PROMISING)
    designs: dict[str, dict[str, Any]] = {}
    every = STYLES if goal.outputs > 1 else ALONE
    styles = [s for s in every if p["tables"] or s.terms == "any"]
    for n, style in enumerate(styles):
        some = (best if style.terms == "any" else pool).only(partial(suits, style=style))
        links = assemble(some, goal, hardware, limits, style).links
        rungs = p["designs"] // len(styles) + (n < p["designs"] % len(styles))
        for count in ladder(min(goal.outputs, len(links)), len(links), rungs):
            sums = expressions(some, hardware, links[:count], problem.outputs)
            texts = {name: to_text(expr) for name, expr in sums.items()}
            designs[str(texts)] = {"links": count, "expressions": texts}
    return Outcome({"designs": list(designs.values())})


def _workshop(p: Payload, problem: Problem, goal: Goal, rows: slice) -> tuple[Hardware, Source]:
    """What terms cost, and their columns."""
    precision, names = Fixed.parse(p["precision"]), tuple(p["inputs"])
    limits = p["max_size"], p["max_depth"], p["nesting"], p["tables"]
    grammar = Grammar(len(names), (), tuple(problem.luts), *limits)
    costs = search_costs(problem, precision, p["table_bits"])
    columns = {n: c[rows] for n, c in _columns(problem, names).items()}
    source = Source(
        grammar, columns, goal.weights, problem.luts, p["table_bits"], precision, goal.targets
    )
    return Hardware(grammar, costs, period_ns(problem.clock_mhz)), source


def _terms(p: Payload, problem: Problem, names: Sequence[str]) -> list[Expr]:
    """All inputs, and the terms that the searches found."""
    readable = {**problem.luts, TABLE: OPEN}
    found = [simplest(parse(text, names, readable)) for text in p["terms"]]
    return [*(Var(n) for n in names), *(t for t in found if t is not None)]


def _limits(p: Payload, problem: Problem) -> Limits:
    luts, dsps = (math.inf if p[k] is None else p[k] for k in ("max_luts", "max_dsps"))
    return Limits(p["max_size"], p["max_cycles"], dsp_luts(problem), luts, dsps)


def _columns(problem: Problem, names: Any = None) -> dict[str, Real]:
    columns = dict(zip(problem.names, problem.values(problem.train).T, strict=True))
    return columns if names is None else {n: columns[n] for n in names}


def run_design(p: Payload, problem: Problem) -> Outcome:
    """Calibrate, lower and measure one design, at the study's precision and the others asked."""
    precisions = dict.fromkeys([p["precision"], *p["precisions"]])
    found = [f for text in precisions for f in _measured(p, problem, Fixed.parse(text))]
    return Outcome(found=tuple(found))


def _measured(p: Payload, problem: Problem, precision: Fixed) -> list[Found]:
    """The design with coarse tables and with fine ones."""
    luts, grids = problem.luts, Grids(precision, p["table_bits"])
    readable = {**luts, TABLE: OPEN}
    try:
        sums = {c: parse(t, problem.names, readable) for c, t in p["expressions"].items()}
        fitted = calibrate(sums, _columns(problem), _goal(problem), luts, grids)
    except NacsrError as failure:
        return [_lost(p, precision, failure)]
    made = {str(f): f for f in map(fitted.rounded, _fracs(problem, precision))}
    return [_design(p, problem, precision, *rounded) for rounded in made.values()]


def _lost(p: Payload, precision: Fixed, failure: NacsrError) -> Found:
    kept = {k: p[k] for k in ("expressions", "table_bits")} | {"precision": str(precision)}
    title = "; ".join(f"{c}: {text}" for c, text in p["expressions"].items())
    return Found(Candidate(FAMILY, kept, p["seed"], title, reason=str(failure)))


def _fracs(problem: Problem, precision: Fixed) -> list[int]:
    """Fractional bits that tables may have."""
    if problem.task == "regression":
        return [precision.frac]
    return sorted({min(precision.frac, frac) for frac in LOGIT_FRACS})


def _design(
    p: Payload,
    problem: Problem,
    precision: Fixed,
    sums: Mapping[str, Expr],
    tables: Mapping[str, LutFunc],
) -> Found:
    candidate = _candidate(p, sums, tables, precision)
    luts = {**problem.luts, **tables}
    try:
        graph = lower(sums, problem.features, problem.scaling, precision, luts)
    except NacsrError as failure:
        return _lost(p, precision, failure)
    return Found(candidate, measure(graph, problem, FLOW), graph)


def _candidate(
    p: Payload, sums: Mapping[str, Expr], tables: Mapping[str, LutFunc], precision: Fixed
) -> Candidate:
    made = genotype.record(sums, tables) | {"precision": str(precision)}
    title = "; ".join(f"{name}: {to_text(expr, 3)}" for name, expr in sums.items())
    if p["precisions"]:  # or rows of a front would look alike
        title = f"{precision} {title}"
    return Candidate(FAMILY, made, p["seed"], title)


def _complexities(p: Payload, problem: Problem) -> dict[str, int]:
    """Costs for a search on one complexity; empty: on the true clock cycles."""
    if (p["complexities"], p["implementation"]) == ("auto", "lut"):
        return {}
    bodies = [one.body for one in custom_operators(p["custom"], problem.luts).values()]
    parts = {node.op for body in bodies for node, _ in walk(body) if isinstance(node, Call)}
    return complexities(
        p["complexities"],
        [o for o in OPERATORS if o in parts or o in p["operators"]],
        [f for f in problem.luts if f in parts or f in p["functions"]],
        Fixed.parse(p["precision"]),
        problem.clock_mhz,
        problem.target,
        p["implementation"],
        problem.luts,
    )


RUNNERS: Mapping[str, Callable[[Payload, Problem], Outcome]] = {
    "features": run_features,
    "search": run_search,
    "assemble": run_assemble,
    "design": run_design,
}
