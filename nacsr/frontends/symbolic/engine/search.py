"""The search itself: NSGA-II over sums of terms, on (loss, cycles, area)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import DataError
from nacsr.frontends.symbolic.engine.constants import places, refine
from nacsr.frontends.symbolic.engine.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engine.hardware import Hardware, OperatorCost
from nacsr.frontends.symbolic.engine.selection import ranks, survivors
from nacsr.frontends.symbolic.engine.sums import earliest_first
from nacsr.frontends.symbolic.engine.tables import on_float32
from nacsr.frontends.symbolic.engine.trees import Grammar
from nacsr.frontends.symbolic.engine.variation import Library, Variation
from nacsr.frontends.symbolic.expr import Call, Expr, Num
from nacsr.luts import LutFunc

REFINE = 0.1  # share of children with inner constants that get a Levenberg-Marquardt step


@dataclass(frozen=True, slots=True)
class Config:
    """What one search may use.

    Attributes:
        evaluations: budget: sums of terms fitted, library terms and derivatives computed.
        rows: size of the random subset of rows that the search works on.
        operators: operators, keys of ``OPERATORS`` that take no division.
        functions: names of LUT functions.
        max_size: nodes of a whole expression.
        max_cycles: clock cycles of a whole expression.
        period_ns: usable part of a clock period.
        reach: magnitude that no intermediate value may exceed on the training rows.
        dsp_luts: LUTs that one DSP counts as; the chip's own ratio of both makes a share of
            the chip cost the same in either currency.
        max_depth: levels of one term.
        population: individuals kept.
    """

    evaluations: int
    rows: int
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    max_size: int
    max_cycles: int
    period_ns: float
    reach: float
    dsp_luts: float
    max_depth: int = 5
    population: int = 200


@dataclass(frozen=True, slots=True)
class Scored:
    """An expression of the final front: mean squared error on all rows, cost, nodes."""

    expr: Expr
    loss: float
    cycles: int
    luts: float
    dsps: float
    size: int


def search(
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    names: Sequence[str],
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
) -> list[Scored]:
    """Regress ``y`` on the columns of ``z``.

    Args:
        z: inputs, shape (rows, inputs), standardised.
        y: target, shape (rows,).
        names: one name an input.
        costs: delay and area of every operator (``nacsr.cost.operators``).
        luts: the LUT functions; the search runs on their tables.
        seed: decides everything that is random.

    Returns:
        The Pareto front on (loss, cycles, area), scored on all rows, by falling loss.

    Raises:
        DataError: if the shapes do not match, or no input varies.
    """
    if z.ndim != 2 or y.shape != z.shape[:1] or z.shape[1] != len(names) or not len(y):
        msg = f"expected z (rows, {len(names)}) and y (rows,), not {z.shape} and {y.shape}"
        raise DataError(msg)
    rng = np.random.default_rng(seed)
    grammar = Grammar(
        z.shape[1], config.operators, config.functions, config.max_size, config.max_depth
    )
    hardware = Hardware(grammar, costs, config.period_ns)
    functions = {f: on_float32(luts[f]) for f in config.functions}

    def evaluator(rows: NDArray[np.int64] | slice) -> Evaluator:
        inputs = np.ascontiguousarray(z[rows].T, dtype=np.float32)
        return Evaluator(grammar, hardware, inputs, y[rows], functions, config.reach)

    sample = np.sort(rng.permutation(len(y))[: config.rows])
    front = _evolve(evaluator(sample), config, rng)
    full = evaluator(slice(None))
    rescored = [full.assess(i.terms) for i in front]
    legal = _front([i for i in rescored if i is not None], config)
    return [_export(i, full, names) for i in legal]


LIBRARY = 4_000  # simple terms at most: their columns stay in memory


def _evolve(evaluator: Evaluator, config: Config, rng: np.random.Generator) -> list[Individual]:
    library = Library(evaluator, rng, min(config.evaluations // 2, LIBRARY))
    if not library.trees:
        msg = "no input varies over the training rows; check the data and its words"
        raise DataError(msg)
    vary = Variation(evaluator, library, config.max_size, rng)
    pool: list[Individual | None] = []
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
    return np.array([(i.loss, i.cycles, i.luts + config.dsp_luts * i.dsps) for i in individuals])


def _select(pool: Sequence[Individual | None], config: Config) -> list[Individual]:
    """The survivors, best first; of individuals with equal outputs only the cheapest."""
    distinct: dict[bytes, Individual] = {}
    for one in pool:
        if one is None or one.cycles > config.max_cycles or one.size > config.max_size:
            continue
        known = distinct.get(one.key)
        if known is None or (one.cycles, one.luts) < (known.cycles, known.luts):
            distinct[one.key] = one
    kept = list(distinct.values())
    if not kept:
        msg = "no expression fits max_cycles and max_size; raise one of them"
        raise DataError(msg)
    return [kept[i] for i in survivors(_objectives(kept, config), config.population).tolist()]


def _tournament(population: Sequence[Individual], rng: np.random.Generator) -> Individual:
    """The better of two; the population is in order of fitness."""
    return population[int(rng.integers(len(population), size=2).min())]


def _front(population: Sequence[Individual], config: Config) -> list[Individual]:
    if not population:
        return []
    best = np.flatnonzero(ranks(_objectives(population, config), 1) == 0)
    return sorted((population[i] for i in best.tolist()), key=lambda p: -p.loss)


def _export(individual: Individual, evaluator: Evaluator, names: Sequence[str]) -> Scored:
    """The individual as an expression, its weights folded in, the earliest terms added first."""
    hardware, grammar = evaluator.hardware, evaluator.grammar
    weights, offset = evaluator.affine(individual)
    parts: list[tuple[float, Expr]] = [(0.0, Num(_short(offset)))]
    for tree, weight in zip(individual.terms, weights, strict=True):
        term = Call("mul", (Num(_short(weight)), grammar.expression(tree, names)))
        parts.append((hardware.weighted(tree), term))
    whole = earliest_first(parts, hardware.costs["add"].delay_ns, hardware.period)
    loss = individual.loss * evaluator.variance
    return Scored(whole, loss, individual.cycles, individual.luts, individual.dsps, individual.size)


def _short(value: float) -> float:
    """Six digits: finer than any weight is quantised, short to print."""
    return float(f"{value:.6g}")
