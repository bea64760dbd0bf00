"""What every reference family begins with: some training events, and cuts chosen on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.frontends.base import Problem
from nacsr.frontends.reference.base import drawn
from nacsr.frontends.reference.cuts import Cut, choose_cut, informative, strata
from nacsr.frontends.reference.fitting import Goal

Ints = NDArray[np.int64]

SLACK = 0.003
"""Mutual information (in nats) that a feature may lose for a cheaper address."""
CUT_ROWS = 20_000
"""Events that cuts, gains and rounded offsets are chosen on."""
MOST_FEATURES = 32
"""The most informative ones are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Training events of a problem.

    Attributes:
        problem: whose.
        words: raw, shape (events, features).
        strata: what cuts should tell apart, shape (events,).
        goal: what models of these events are fitted to.
    """

    problem: Problem
    words: Ints
    strata: Ints
    goal: Goal

    @classmethod
    def of(cls, problem: Problem, rows: int, seed: int) -> Work:
        """Training events in another order, so many at most."""
        events = drawn(problem.train, rows, seed)
        return cls(problem, events.words, strata(problem, events), Goal.of(problem, events))

    @property
    def sample(self) -> Ints:
        """Words of the events that choices are made on."""
        return self.words[:CUT_ROWS]

    def features(self, most: int = MOST_FEATURES) -> list[int]:
        """Indices of those worth a look, in their order."""
        return informative(self.sample, self.strata[:CUT_ROWS], most)

    def cut(self, feature: int, bits: int) -> Cut:
        """The best address of so many bits for one feature."""
        weights = None if self.goal.weights is None else self.goal.weights[:CUT_ROWS]
        type_ = self.problem.features[feature].type
        told = self.strata[:CUT_ROWS]
        return choose_cut(self.sample[:, feature], told, type_, bits, SLACK, weights)

    @property
    def paired(self) -> bool:
        """Whether one score stands for two classes: the second minus the first."""
        return self.problem.task == "classification" and len(self.problem.classes) == 2

    def centre(self, scores: NDArray[np.float64], reference: int) -> NDArray[np.float64]:
        """What to add to rounded scores of the sample, that they are right on average.

        Args:
            scores: shape (events, outputs).
            reference: the class whose score stays as it is.
        """
        goal = self.goal.take(CUT_ROWS)
        if self.paired:
            scores = np.stack([np.zeros(len(scores)), scores[:, 0]], axis=1)
        shift = goal.recentred(scores)
        if not goal.regression:
            shift = shift - shift[reference]
        return shift[1:] if self.paired else shift
