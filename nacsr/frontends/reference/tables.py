"""The family of additive tables: ladders of more and more of them, chosen by gain.

A table is added where the residuals of the tables so far say most (a step of boosting); then all
are fitted together again. Six address bits cost as much as fewer, a LUT a bit of an entry, so a
table of two features costs what one of one feature does.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.base import Problem
from nacsr.frontends.reference.additive import Additive, Group, Rounded, fit_tables
from nacsr.frontends.reference.base import (
    Proposed,
    counted,
    inputs,
    recorded,
    resolution,
    scored,
    steps,
)
from nacsr.frontends.reference.fitting import Goal
from nacsr.frontends.reference.work import CUT_ROWS, Work
from nacsr.ir import Builder
from nacsr.spec.references import AdditiveSpec

Ints = NDArray[np.int64]

PAIR_BITS = ((3, 3), (4, 2), (2, 4))
"""Address bits of both features of a table of two: six together."""
ALONE_BITS = 6
"""Of a table of one feature among tables of two."""
MOST_PAIRED = 16
"""Features that are paired at most: pairs grow with the square."""
GROWTH = 3
"""A ladder's next model has one table more, or a share of as many as it has."""
DAMPING = 5.0
"""Events by which a gain is damped where an address is rare."""


def parts(spec: AdditiveSpec) -> list[AdditiveSpec]:
    """What can be done apart: every ladder."""
    apart = [spec.model_copy(update={"address_bits": (b,), "pairs": 0}) for b in spec.address_bits]
    paired = [spec.model_copy(update={"address_bits": ()})] if spec.pairs else []
    return apart + paired


def propose(problem: Problem, spec: AdditiveSpec, seed: int) -> Iterator[Proposed]:
    """See ``Propose``."""
    work = Work.of(problem, spec.rows, seed)
    for bits in spec.address_bits:
        groups = [_alone(work, j, bits) for j in work.features()]
        yield from ladder(work, groups, len(groups), spec.steps)
    if spec.pairs:
        yield from ladder(work, candidates(work), spec.pairs, spec.steps)


def candidates(work: Work) -> list[Group]:
    """Tables of one feature, and of two."""
    found = [_alone(work, j, ALONE_BITS) for j in work.features()]
    paired = work.features(MOST_PAIRED)
    sizes = sorted({b for bits in PAIR_BITS for b in bits})
    cuts = {(j, b): work.cut(j, b) for j in paired for b in sizes}
    for pair in itertools.combinations(paired, 2):
        for bits in PAIR_BITS:
            both = tuple(cuts[j, b] for j, b in zip(pair, bits, strict=True))
            found.append(Group(pair, both))
    return found


def _alone(work: Work, feature: int, bits: int) -> Group:
    return Group((feature,), (work.cut(feature, bits),))


def ladder(
    work: Work, groups: Sequence[Group], most: int, finer: Sequence[int]
) -> Iterator[Proposed]:
    """Designs of more and more tables, by so many bits finer than scores are at least."""
    for model in grown(groups, most, work.words, work.goal):
        for step in finer:
            found = proposed(work, model, step)
            if found is not None:
                yield found


def grown(candidates: Sequence[Group], most: int, words: Ints, goal: Goal) -> Iterator[Additive]:
    """Models of more and more tables, those that add most first.

    Args:
        candidates: addresses to choose from.
        most: tables of the last model, at most.
        words: raw words, shape (events, features).
        goal: of these events.
    """
    sample = words[:CUT_ROWS]
    places = {group: group.address(sample) for group in candidates}
    model: Additive | None = None
    chosen: list[Group] = []
    while len(chosen) < min(most, len(candidates)):
        scores = np.tile(goal.offsets(), (len(words), 1)) if model is None else model.scores(words)
        residuals = goal.residuals(scores)[:CUT_ROWS]
        gains = {g: _gain(a, residuals, g.entries) for g, a in places.items() if g not in chosen}
        best = sorted(gains, key=lambda g: -gains[g])  # stable: equal ones in their order
        more = max(1, len(chosen) // GROWTH)
        chosen += best[: min(more, most - len(chosen))]
        model = fit_tables(chosen, words, goal, model)
        yield model


def _gain(address: Ints, residuals: NDArray[np.float64], entries: int) -> float:
    """How much of the squared residuals a table at this address would explain."""
    counts = np.bincount(address, minlength=entries)
    sums = [np.bincount(address, column, entries) for column in residuals.T]
    scale = np.maximum(residuals.var(axis=0), 1e-30)
    return float(
        sum((s**2 / (counts + DAMPING)).sum() / v for s, v in zip(sums, scale, strict=True))
    )


def proposed(work: Work, model: Additive, step: int) -> Proposed | None:
    """The design of a model with entries by ``step`` bits finer than scores are at least, or None
    if nothing is left."""
    problem, fracs = work.problem, step + resolution(work.problem)
    rounded = best_reference(problem, model, fracs)
    off = work.centre(np.ldexp(rounded.scores(work.sample), -fracs), rounded.reference)
    rounded = rounded.shifted(np.round(np.ldexp(off, fracs)).astype(np.int64))
    b = Builder()
    graph = scored(b, problem.outputs, rounded.lower(b, inputs(b, problem.features)))
    if graph is None:
        return None
    genotype = {
        "tables": [
            {"cuts": group.record(problem.names), "values": table.T.tolist()}
            for group, table in zip(rounded.groups, rounded.tables, strict=True)
        ],
        "offsets": rounded.offsets.tolist(),
        "frac": recorded(fracs.tolist()),
    }
    return Proposed(genotype, _title(rounded), graph)


def best_reference(problem: Problem, model: Additive, fracs: Ints) -> Rounded:
    """Rounded tables of an output each: of two classes their difference, of more of them minus the
    one that leaves the fewest bits."""
    if problem.task == "regression":
        return model.rounded(fracs)
    if len(problem.classes) == 2:
        return model.referred(0).column(1).rounded(fracs)
    every = (model.referred(c).rounded(fracs, c) for c in range(len(problem.classes)))
    return min(every, key=lambda rounded: rounded.bits)


def _title(rounded: Rounded) -> str:
    """How many tables, of what addresses, in what steps."""
    sizes = Counter("+".join(str(cut.bits) for cut in group.cuts) for group in rounded.groups)
    which = ", ".join(
        f"{count} of {bits} bit{'' if bits == '1' else 's'}"
        for bits, count in sorted(sizes.items())
    )
    features = len({place for group in rounded.groups for place in group.places})
    return f"tables: {which}, {counted(features, 'feature')}, {steps(rounded.fracs.tolist())}"
