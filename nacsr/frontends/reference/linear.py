"""The linear family: words times weights of few signed powers of two, and sums of single cuts.

A word is cut to a few bits where they say most, so its tails saturate and centring goes into the
offset. The features that add most come first; all weights are fitted together again each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import span
from nacsr.frontends.base import Problem
from nacsr.frontends.reference import tables
from nacsr.frontends.reference.additive import Group
from nacsr.frontends.reference.base import (
    Proposed,
    counted,
    each,
    inputs,
    recorded,
    resolution,
    scored,
    steps,
)
from nacsr.frontends.reference.cuts import Cut, addresses
from nacsr.frontends.reference.fitting import fit
from nacsr.frontends.reference.work import Work
from nacsr.ir import Builder, Graph
from nacsr.ir.passes.csd import nonzero_digits
from nacsr.ir.passes.matrix import DistributedArithmetic
from nacsr.spec.references import LinearSpec

Real = NDArray[np.float64]
Ints = NDArray[np.int64]

RIDGE = 1.0
"""Penalty on weights of standardised addresses, in events."""
STEPS = 2
"""Fractional bits of sums beyond those that scores have at least."""
CUT_STEPS = (1, 3)


def parts(spec: LinearSpec) -> list[LinearSpec]:
    """What can be done apart: every width, and the sums of cuts."""
    apart = [
        spec.model_copy(update={"word_bits": (bits,), "cuts": False}) for bits in spec.word_bits
    ]
    return apart + ([spec.model_copy(update={"word_bits": ()})] if spec.cuts else [])


def propose(problem: Problem, spec: LinearSpec, seed: int) -> Iterator[Proposed]:
    """See ``Propose``."""
    for bits in spec.word_bits:
        yield from _weighted(Work.of(problem, spec.rows, seed), bits, spec.digits)
    if spec.cuts:
        yield from _single_cuts(Work.of(problem, spec.rows, seed))


def _single_cuts(work: Work) -> Iterator[Proposed]:
    """Sums of what one comparison a feature is worth."""
    groups = [Group((j,), (work.cut(j, 1),)) for j in work.features()]
    for found in tables.ladder(work, groups, len(groups), CUT_STEPS):
        cuts, frac = len(found.genotype["tables"]), found.genotype["frac"]
        yield replace(found, title=f"linear: {counted(cuts, 'cut')}, {steps(each(frac, 1))}")


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """A fitted sum of addresses.

    Attributes:
        places: indices of the features.
        cuts: what makes a word an address, one each.
        weights: shape (features, outputs).
        offsets: shape (outputs,).
    """

    places: tuple[int, ...]
    cuts: tuple[Cut, ...]
    weights: Real
    offsets: Real

    def addresses(self, words: Ints) -> Ints:
        """Of raw words (events, features of the problem), shape (events, features of mine)."""
        return addresses(self.cuts, words[:, list(self.places)])

    def referred(self, reference: int) -> Sum:
        """Scores minus that of one class."""
        weights = self.weights - self.weights[:, [reference]]
        return replace(self, weights=weights, offsets=self.offsets - self.offsets[reference])

    def rounded(self, fracs: Ints, digits: int) -> Ints:
        """Weights in steps of ``2**-frac`` of their output, of so many signed powers of two at
        most."""
        left = np.ldexp(self.weights, fracs)
        found = np.zeros(left.shape, np.int64)
        for _ in range(digits):
            power = np.floor(np.log2(np.maximum(np.abs(left), 0.75) * 4 / 3)).astype(np.int64)
            digit = np.where(np.abs(left) >= 0.75, np.sign(left) * np.exp2(power), 0.0)
            found += digit.astype(np.int64)
            left = left - digit
        return found


def _weighted(work: Work, bits: int, digits: Sequence[int]) -> Iterator[Proposed]:
    """Sums of more and more words."""
    features = work.features()
    cuts = [work.cut(j, bits) for j in features]
    columns = addresses(cuts, work.words[:, features]).astype(np.float64)
    mean, spread = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-9)
    z = ((columns - mean) / spread).astype(np.float32)
    chosen: list[int] = []
    weights = np.zeros((0, work.goal.outputs))
    while len(chosen) < len(features):
        residuals = work.goal.residuals(z[:, chosen] @ weights + work.goal.offsets())
        scale = np.maximum(residuals.std(axis=0), 1e-30)
        gains = ((z.T @ (residuals / scale)) ** 2).sum(axis=1)
        gains[chosen] = -1.0
        best = np.argsort(-gains, kind="stable").tolist()
        more = max(1, len(chosen) // tables.GROWTH)
        chosen += best[: min(more, len(features) - len(chosen))]
        weights, offsets = fit(z[:, chosen], work.goal, RIDGE * np.eye(len(chosen)))
        model = Sum(
            tuple(features[j] for j in chosen),
            tuple(cuts[j] for j in chosen),
            weights / spread[chosen, None],
            offsets - (mean[chosen] / spread[chosen]) @ weights,
        )
        for count in digits:
            found = proposed(work, model, count)
            if found is not None:
                yield found


def proposed(work: Work, model: Sum, digits: int) -> Proposed | None:
    """The design of a sum with weights of so many digits, or None if nothing is left of it."""
    problem, bits = work.problem, model.cuts[0].bits
    fracs = resolution(problem) + STEPS + bits  # the largest address counts in steps of a score
    model, weights, reference = _referred(work, model, fracs, digits)
    scores = np.ldexp((model.addresses(work.sample) @ weights).astype(np.float64), -fracs)
    offsets = work.centre(scores + model.offsets, reference) + model.offsets
    whole = np.round(np.ldexp(offsets, fracs - bits)).astype(np.int64)
    names = [problem.features[j].name for j in model.places]
    graph = _lowered(work, model, weights, whole, fracs)
    if graph is None:
        return None
    genotype = {
        "cuts": {n: cut.record() for n, cut in zip(names, model.cuts, strict=True)},
        "weights": {
            output: dict(zip(names, column, strict=True))
            for output, column in zip(problem.outputs, weights.T.tolist(), strict=True)
        },
        "offsets": np.left_shift(whole, bits).tolist(),
        "frac": recorded(fracs.tolist()),
    }
    count = int(np.count_nonzero(weights.any(axis=1)))
    words, short = counted(count, "word"), counted(bits, "bit")
    title = f"linear: {words} of {short}, weights of {counted(digits, 'digit')}"
    return Proposed(genotype, title, graph)


def _referred(work: Work, model: Sum, fracs: Ints, digits: int) -> tuple[Sum, Ints, int]:
    """The model minus the class that leaves the fewest digits, its weights, and that class."""
    if work.goal.regression:
        return model, model.rounded(fracs, digits), 0
    if work.paired:
        one = model.referred(0)
        one = replace(one, weights=one.weights[:, 1:], offsets=one.offsets[1:])
        return one, one.rounded(fracs, digits), 0
    every = [model.referred(c) for c in range(work.goal.outputs)]
    made = [(one, one.rounded(fracs, digits), c) for c, one in enumerate(every)]
    return min(made, key=lambda found: int(nonzero_digits(found[1]).sum()))


def _lowered(work: Work, model: Sum, weights: Ints, offsets: Ints, fracs: Ints) -> Graph | None:
    """Adders that outputs share, and an offset each, in coarser steps."""
    b = Builder()
    ports = inputs(b, work.problem.features)
    live = np.flatnonzero(weights.any(axis=1)).tolist()
    if not live:
        return None
    words = [model.cuts[k].whole(b, ports[model.places[k]]) for k in live]
    products = DistributedArithmetic().products(b, words, weights[live])
    values = []
    for value, offset, frac in zip(products, offsets.tolist(), fracs.tolist(), strict=True):
        scaled = b.op("shift", value, n=-frac)
        if offset:
            constant = b.const(offset, span(offset, offset, frac - model.cuts[0].bits))
            scaled = b.op("add", scaled, constant)
        values.append(scaled)
    return scored(b, work.problem.outputs, values)
