"""The search itself: NSGA-II over sums of terms, on (loss, cycles, area) or (loss, complexity)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import DataError
from nacsr.frontends.symbolic.calibrate import terms
from nacsr.frontends.symbolic.engine.constants import places, refine
from nacsr.frontends.symbolic.engine.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engine.export import Export
from nacsr.frontends.symbolic.engine.hardware import Hardware, OperatorCost
from nacsr.frontends.symbolic.engine.selection import ranks, survivors
from nacsr.frontends.symbolic.engine.tables import on_float32
from nacsr.frontends.symbolic.engine.trees import Grammar, Tree
from nacsr.frontends.symbolic.engine.variation import Library, Variation
from nacsr.frontends.symbolic.expr import OPERATORS, Call, Expr, Var, walk
from nacsr.frontends.symbolic.request import Config, Sample, Scored
from nacsr.luts import LutFunc

ARGUMENTS = ("a", "b", "c")
"""Names of the arguments of the user's operators."""
REFINE = 0.1  # share of children with inner constants that get a Levenberg-Marquardt step


def search(
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    folder: Path | None = None,
) -> list[Scored]:
    """The embedded engine; see ``request.Engine``. Evaluations are sums of terms fitted,
    library terms and derivatives computed.
    """
    rng = np.random.default_rng(seed)
    grammar = _grammar(sample, config)
    hardware = Hardware(grammar, costs, config.period_ns)
    functions = {f: on_float32(luts[f], config.precision.frac) for f in config.functions}

    def evaluator(part: Sample) -> Evaluator:
        inputs, precision, bits = part.z.T, config.precision, config.table_bits
        return Evaluator(
            grammar, hardware, inputs, part.y, part.weights, functions, precision, bits
        )

    rows = np.sort(rng.permutation(len(sample.y))[: config.rows])
    guesses = [_split(g, grammar, sample.names) for g in config.guesses]
    front = _evolve(evaluator(sample.take(rows)), config, guesses, rng)
    full = evaluator(sample)
    rescored = [full.assess(i.terms) for i in front]
    legal = _front([i for i in rescored if i is not None], config)
    export = Export(full, sample, luts, config)
    return [export.scored(i) for i in legal]


def _grammar(sample: Sample, config: Config) -> Grammar:
    plain = Grammar(len(sample.names), (), config.functions, 1, 1)
    custom = {
        name: (c.arity, plain.tree(c.body, ARGUMENTS[: c.arity]))
        for name, c in config.custom.items()
    }
    return Grammar(
        len(sample.names),
        config.operators,
        config.functions,
        config.max_size,
        config.max_depth,
        config.nesting,
        config.tables,
        custom,
    )


def _split(expr: Expr, grammar: Grammar, names: Sequence[str]) -> tuple[Tree, ...]:
    """The terms of a guess that the grammar allows, of these inputs and functions only."""
    known = {*OPERATORS, *grammar.functions}
    found = []
    for _, term in terms(expr):
        nodes = () if term is None else tuple(node for node, _ in walk(term))
        calls = {node.op for node in nodes if isinstance(node, Call)}
        inputs = {node.name for node in nodes if isinstance(node, Var)}
        if term is not None and calls <= known and inputs <= set(names):
            found.append(grammar.tree(term, names))
    return tuple(t for t in found if grammar.allows(t))


LIBRARY = 4_000  # simple terms at most: their columns stay in memory


def _evolve(
    evaluator: Evaluator,
    config: Config,
    guesses: Sequence[tuple[Tree, ...]],
    rng: np.random.Generator,
) -> list[Individual]:
    library = Library(evaluator, rng, min(config.evaluations // 2, LIBRARY))
    if not library.trees:
        msg = "no input varies over the training rows; check the data and its words"
        raise DataError(msg)
    vary = Variation(evaluator, library, config.max_size, rng)
    pool: list[Individual | None] = [evaluator.assess(vary.trim(g)) for g in guesses if g]
    pool += [evaluator.assess([t]) for t in library.trees if len(t) == 1]  # the cheapest
    for _ in range(config.population):  # a path may be empty
        if not pool or (
            len(pool) < config.population and evaluator.evaluations < config.evaluations
        ):
            pool += [evaluator.assess(terms) for terms in vary.greedy()]
    population = _select(pool, config)
    while evaluator.evaluations < config.evaluations:
        children: list[Individual | None] = []
        for _ in range(config.population):
            child = evaluator.assess(
                vary.child(_tournament(population, rng), _tournament(population, rng))
            )
            if child is not None and places(child.terms) and rng.random() < REFINE:
                children.append(refine(evaluator, child))
            children.append(child)
        population = _select([*population, *children], config)
    return _front(population, config)


def _objectives(individuals: Iterable[Individual], config: Config) -> NDArray[np.float64]:
    if config.complexities:
        return np.array([(i.loss, _complexity(i, config)) for i in individuals])
    return np.array([(i.loss, i.cycles, i.luts + config.dsp_luts * i.dsps) for i in individuals])


def _complexity(individual: Individual, config: Config) -> float:
    """The sum over all nodes of ``weight * term + ... + offset``; leaves count one."""
    cost = config.complexities
    link = cost.get("mul", 1) + cost.get("add", 1) + 1
    return 1 + sum(link + sum(cost.get(str(s), 1) for s in t) for t in individual.terms)


def _select(pool: Sequence[Individual | None], config: Config) -> list[Individual]:
    """The survivors, best first; of individuals with equal outputs only the cheapest."""
    distinct: dict[bytes, Individual] = {}
    for one in pool:
        if one is None or not _legal(one, config):
            continue
        known = distinct.get(one.key)
        if known is None or (one.cycles, one.luts) < (known.cycles, known.luts):
            distinct[one.key] = one
    kept = list(distinct.values())
    if not kept:
        msg = "no expression fits max_size, max_cycles, max_luts and max_dsps; raise one of them"
        raise DataError(msg)
    return [kept[i] for i in survivors(_objectives(kept, config), config.population).tolist()]


def _legal(one: Individual, config: Config) -> bool:
    within = one.cycles <= config.max_cycles and one.size <= config.max_size
    return within and one.luts <= config.max_luts and one.dsps <= config.max_dsps


def _tournament(population: Sequence[Individual], rng: np.random.Generator) -> Individual:
    """The better of two; the population is in order of fitness."""
    return population[int(rng.integers(len(population), size=2).min())]


def _front(population: Sequence[Individual], config: Config) -> list[Individual]:
    if not population:
        return []
    best = np.flatnonzero(ranks(_objectives(population, config), 1) == 0)
    return sorted((population[i] for i in best.tolist()), key=lambda p: -p.loss)
