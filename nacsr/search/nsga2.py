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
        objectives: how many numbers ``tell`` gets for a proposal, all minimised.
        population: proposals a generation.
        seed: of every random choice.
    """

    def __init__(
        self, genes: Mapping[str, Gene], objectives: int, population: int, seed: int
    ) -> None:
        from pymoo.core.problem import Problem

        self._genes = dict(genes)
        self._asked: Any = None
        with _quiet():
            problem = Problem(vars=_variables(genes), n_obj=objectives, n_ieq_constr=1)
            self._problem = problem
            self._algorithm = _algorithm(population)
            self._algorithm.setup(problem, termination=("n_gen", 1 << 30), seed=seed)

    def ask(self) -> list[Genes]:
        """The next generation. Small spaces may yield fewer proposals, or none when exhausted."""
        with _quiet():
            self._asked = self._algorithm.ask()  # None when there is nothing new to propose
        return [] if self._asked is None else [self._decode(one.X) for one in self._asked]

    def tell(self, results: Sequence[Sequence[float] | None]) -> None:
        """Take the objectives of the last generation, in order; None marks a failure.

        Failures violate a constraint: any success ranks before them, whatever its objectives.
        """
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        count = self._problem.n_obj
        # the objectives of failures are never compared with those of successes
        f = np.array([[0.0] * count if r is None else list(r) for r in results])
        g = np.array([[1.0 if r is None else 0.0] for r in results])
        with _quiet():
            Evaluator().eval(StaticProblem(self._problem, F=f, G=g), self._asked)
            self._algorithm.tell(infills=self._asked)

    def _decode(self, x: Mapping[str, Any]) -> Genes:
        return {name: gene.options[int(x[name])] for name, gene in self._genes.items()}


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


def _algorithm(population: int) -> Any:
    # pymoo's MixedVariableGA crashes with more than one objective: NSGA2 with its operators
    from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )
    from pymoo.operators.selection.tournament import TournamentSelection

    mating = MixedVariableMating(
        selection=TournamentSelection(func_comp=binary_tournament),
        eliminate_duplicates=MixedVariableDuplicateElimination(),
    )
    return NSGA2(
        pop_size=population,
        sampling=MixedVariableSampling(),
        mating=mating,
        eliminate_duplicates=MixedVariableDuplicateElimination(),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pymoo's warnings (compiled modules, numpy's deprecations) from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
