"""The search itself: NSGA-II over sums of terms, on (loss, cycles, area) or (loss, complexity)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import DataError, SpecError
from nacsr.frontends.symbolic.engines.complexities import with_custom
from nacsr.frontends.symbolic.engines.embedded.constants import places, refined
from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engines.embedded.export import Export
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware, OperatorCost
from nacsr.frontends.symbolic.engines.embedded.selection import ranks, survivors
from nacsr.frontends.symbolic.engines.embedded.tables import on_float32
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar, Tree, variable
from nacsr.frontends.symbolic.engines.embedded.variation import Library, Variation
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.fitting.calibrate import terms
from nacsr.frontends.symbolic.fitting.saturation import SATURATED
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Var, walk
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.luts import LutFunc

ARGUMENTS = ("a", "b", "c")
"""Names of the arguments of the user's operators."""
ACCURATE = 0.8  # share of parents that are the most accurate of some
AMONG = 8  # of how many
MEMORY = 20_000  # candidates that are not computed twice
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
    config = replace(config, complexities=with_custom(config.complexities, config.custom))
    grammar = _grammar(sample, config)
    hardware = Hardware(grammar, costs, config.period_ns)
    functions = {f: on_float32(luts[f], config.precision.frac) for f in grammar.called}

    def evaluator(part: Sample, saturated: float = SATURATED) -> Evaluator:
        inputs, types = part.z.T, (config.precision, config.table_bits)
        return Evaluator(
            grammar, hardware, inputs, part.y, part.weights, functions, *types, saturated
        )

    rows = np.sort(rng.permutation(len(sample.y))[: config.rows])
    guesses = [_split(g, grammar, sample.names) for g in config.guesses]
    front = _evolve(evaluator(sample.take(rows)), config, guesses, rng)
    full = evaluator(sample, 2 * SATURATED)  # what a few rows allowed stays allowed
    rescored = full.assess_all([i.terms for i in front])
    legal = _front([i for i in rescored if i is not None], config)
    export = Export(full, sample, luts, config)
    return [export.scored(i) for i in legal]


def _grammar(sample: Sample, config: Config) -> Grammar:
    plain = Grammar(len(sample.names), (), config.functions, 1, 1)
    custom = {
        name: (c.arity, plain.tree(c.body, ARGUMENTS[: c.arity]))
        for name, c in config.custom.items()
    }
    grammar = Grammar(
        len(sample.names),
        config.operators,
        config.functions,
        config.max_size,
        config.max_depth,
        config.nesting,
        config.tables,
        custom,
    )
    for name, (arity, _) in custom.items():  # it would never be used, and nothing would say so
        if not grammar.allows((*(variable(0),) * arity, name)):
            msg = (
                f"families.expression.custom: {name!r} means {to_text(config.custom[name].body)}, "
                "which is beyond max_size or max_depth, or has a function inside another; raise "
                "these, or allow it by nesting"
            )
            raise SpecError(msg)
    return grammar


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
    first = [vary.trim(g) for g in guesses if g]
    first += [[t] for t in library.trees if len(t) == 1]  # the cheapest
    pool = evaluator.assess_all(first)
    for _ in range(config.population):  # a path may be empty
        if not pool or (
            len(pool) < config.population and evaluator.evaluations < config.evaluations
        ):
            pool += vary.greedy()
    population = _select(pool, config)
    seen = Seen()
    while evaluator.evaluations < config.evaluations:
        drawn = [vary.child(a, b) for a, b in _pairs(population, config, rng)]
        candidates = [terms for terms in drawn if seen.adds(terms)]
        evaluator.evaluations += len(drawn) - len(candidates)
        made = [c for c in evaluator.assess_all(candidates) if c is not None]
        tuned = [c for c in made if places(c.terms) and rng.random() < REFINE]
        population = _select([*population, *refined(evaluator, tuned), *made], config)
    return _front(population, config)


class Seen:
    """The last candidates: what they are worth is known, so they count but are not computed."""

    def __init__(self) -> None:
        self._sets: dict[frozenset[Tree], None] = {}

    def adds(self, terms: Sequence[Tree]) -> bool:
        """Whether this set of terms is new; it is not from now on."""
        one = frozenset(terms)
        if one in self._sets:
            return False
        if len(self._sets) >= MEMORY:
            del self._sets[next(iter(self._sets))]
        self._sets[one] = None
        return True


def _objectives(individuals: Iterable[Individual], config: Config) -> NDArray[np.float64]:
    return np.array([(i.loss, *_cost(i, config)) for i in individuals])


def _cost(individual: Individual, config: Config) -> tuple[float, ...]:
    """The objectives besides the loss: one complexity, or clock cycles and area."""
    if config.complexities:
        return (_complexity(individual, config),)
    return individual.cycles, individual.luts + config.dsp_luts * individual.dsps


def _complexity(individual: Individual, config: Config) -> float:
    """The sum over all nodes of ``weight * term + ... + offset``; leaves count one."""
    cost = config.complexities
    link = cost.get("mul", 1) + cost.get("add", 1) + 1
    return 1 + sum(link + sum(cost.get(str(s), 1) for s in t) for t in individual.terms)


def _select(pool: Sequence[Individual | None], config: Config) -> list[Individual]:
    """The survivors, best first; of individuals with equal outputs only the cheapest."""
    distinct: dict[tuple[int, int], Individual] = {}
    for one in pool:
        if one is None or not _legal(one, config):
            continue
        known = distinct.get(one.key)
        if known is None or _cost(one, config) < _cost(known, config):
            distinct[one.key] = one
    kept = list(distinct.values())
    if not kept:
        msg = "no expression fits max_size, max_cycles, max_luts and max_dsps; raise one of them"
        raise DataError(msg)
    return [kept[i] for i in survivors(_objectives(kept, config), config.population).tolist()]


def _legal(one: Individual, config: Config) -> bool:
    within = one.cycles <= config.max_cycles and one.size <= config.max_size
    return within and one.luts <= config.max_luts and one.dsps <= config.max_dsps


def _pairs(
    population: Sequence[Individual], config: Config, rng: np.random.Generator
) -> list[tuple[Individual, Individual]]:
    """Parents of a generation: most often the most accurate of some that cost no more than a
    random one, else the better of two.

    Most of a population is on the front, where fitness is distance from the neighbours: that
    alone would hardly ask for accuracy. Limits that are drawn ask for it at every cost.
    """
    losses, costs = _objectives(population, config)[:, :2].T
    drawn = rng.integers(len(population), size=(AMONG, 2 * config.population))
    within = np.where(costs[drawn] <= costs[drawn[0]], losses[drawn], np.inf)
    accurate = np.take_along_axis(drawn, within.argmin(0)[None], 0)[0]
    fitter = drawn[:2].min(0)  # the population is in order of fitness
    chosen = np.where(rng.random(2 * config.population) < ACCURATE, accurate, fitter).tolist()
    parents = [population[i] for i in chosen]
    return list(zip(parents[::2], parents[1::2], strict=True))


def _front(population: Sequence[Individual], config: Config) -> list[Individual]:
    if not population:
        return []
    best = np.flatnonzero(ranks(_objectives(population, config), 1) == 0)
    return sorted((population[i] for i in best.tolist()), key=lambda p: -p.loss)
