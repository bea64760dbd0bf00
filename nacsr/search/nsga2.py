"""NSGA-II over discrete genes (pymoo), generation by generation: ask, then tell.

The search is a pure function of the genes, the seed and what it is told, so that a study
resumes by telling it the recorded results again; nothing of it is ever written down.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacsr.errors import SpecError
from nacsr.search.goals import Score

Value = int | str | bool
Genes = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Gene:
    """The choices of one gene; an ordered gene also moves to neighbouring choices.

    Raises:
        SpecError: without a choice, or with the same one twice.
    """

    options: tuple[Value, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            msg = f"a gene needs different choices, one or more, not {list(self.options)}"
            raise SpecError(msg)


class Nsga2:
    """The NSGA-II of Deb et al. (IEEE TEC 6, 2002, 182) with mixed variables.

    Args:
        genes: name and choices of every gene.
        objectives: how many objectives a score has.
        population: proposals a generation.
        seed: of every random choice.
        start: proposals of the first generation, whose others are drawn.
    """

    def __init__(
        self,
        genes: Mapping[str, Gene],
        objectives: int,
        population: int,
        seed: int,
        start: Sequence[Genes] = (),
    ) -> None:
        from pymoo.core.problem import Problem

        self._genes = dict(genes)
        self._asked: Any = None
        with _quiet():
            problem = Problem(vars=_variables(genes), n_obj=objectives, n_ieq_constr=1)
            self._problem = problem
            self._algorithm = _algorithm(population, [_indices(genes, one) for one in start])
            self._algorithm.setup(problem, termination=("n_gen", 1 << 30), seed=seed)

    def ask(self) -> list[Genes]:
        """The next generation. Small spaces may yield fewer proposals, or none when exhausted."""
        with _quiet():
            self._asked = self._algorithm.ask()  # None when there is nothing new to propose
        return [] if self._asked is None else [self._decode(one.X) for one in self._asked]

    def tell(self, results: Sequence[Score | None]) -> None:
        """Take the scores of the last generation, in order; None marks a failure.

        Whoever is within the limits ranks before all who are not, whatever their objectives;
        these rank by their excess (Deb's constrained domination), failures last.
        """
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        count = self._problem.n_obj
        # the objectives of failures are never compared with those of successes
        f = np.array([[0.0] * count if r is None else list(r.objectives) for r in results])
        g = np.array([[1.0 if r is None else r.excess / (1 + r.excess)] for r in results])
        with _quiet():
            Evaluator().eval(StaticProblem(self._problem, F=f, G=g), self._asked)
            self._algorithm.tell(infills=self._asked)

    def _decode(self, x: Mapping[str, Any]) -> Genes:
        return {name: gene.options[int(x[name])] for name, gene in self._genes.items()}


def _indices(genes: Mapping[str, Gene], values: Genes) -> dict[str, int]:
    """The inverse of ``_decode``."""
    return {name: gene.options.index(values[name]) for name, gene in genes.items()}


def _variables(genes: Mapping[str, Gene]) -> dict[str, Any]:
    """Genes as indices into their choices."""
    from pymoo.core.variable import Choice, Integer

    found: dict[str, Any] = {}
    for name, gene in genes.items():
        last = len(gene.options) - 1
        # pymoo's polynomial mutation divides by the range: a fixed gene must not be an Integer
        if gene.ordered and last > 0:
            found[name] = Integer(bounds=(0, last))
        else:
            found[name] = Choice(options=list(range(last + 1)))
    return found


def _algorithm(population: int, start: Sequence[Mapping[str, int]]) -> Any:
    # pymoo's MixedVariableGA crashes with more than one objective: NSGA2 with its operators
    from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )
    from pymoo.operators.selection.tournament import TournamentSelection

    class Begun(MixedVariableSampling):  # type: ignore[misc]
        """What is given, and draws for the rest of the first generation."""

        def _do(self, problem: Any, n_samples: int, **options: Any) -> list[Any]:
            return [*start, *super()._do(problem, max(n_samples - len(start), 0), **options)]

    mating = MixedVariableMating(
        selection=TournamentSelection(func_comp=binary_tournament),
        eliminate_duplicates=MixedVariableDuplicateElimination(),
    )
    return NSGA2(
        pop_size=population,
        sampling=Begun(),
        mating=mating,
        eliminate_duplicates=MixedVariableDuplicateElimination(),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pymoo's warnings (compiled modules, numpy's deprecations) from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
