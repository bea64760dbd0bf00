"""The family of trees: ladders of more and more of them, grown for LUTs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nacsr.frontends.base import Problem
from nacsr.frontends.reference.base import Proposed, counted, drawn, each, recorded, steps
from nacsr.frontends.reference.cuts import informative, strata
from nacsr.frontends.reference.trees.grow import Grower, Objective, Recipe
from nacsr.frontends.reference.trees.lower import lower
from nacsr.frontends.reference.trees.model import Ensemble, Node, Split, asked
from nacsr.frontends.reference.work import MOST_FEATURES
from nacsr.ir import verify
from nacsr.spec.references import TreesSpec

REGRESSION_BITS = 3
"""A regression's leaves have so many bits more, fractional but for one."""
BELOW = 2
"""Bits of a leaf above its fractional ones: of log odds, a window of four."""


def parts(spec: TreesSpec) -> list[TreesSpec]:
    """What can be done apart: every ladder."""
    return [spec.model_copy(update={"shapes": (shape,)}) for shape in spec.shapes]


def propose(problem: Problem, spec: TreesSpec, seed: int) -> Iterator[Proposed]:
    """See ``Propose``."""
    events = drawn(problem.train, spec.rows, seed)
    classes = len(problem.classes) if problem.task == "classification" else 0
    objective = Objective(events, classes)
    chosen = informative(events.words, strata(problem, events), MOST_FEATURES)
    types = [f.type for f in problem.features]
    for depth, bits in spec.shapes:
        recipe = Recipe(depth, bits, bits - BELOW, spec.price)
        if objective.regression:
            more = REGRESSION_BITS
            recipe = Recipe(depth, bits + more, bits - BELOW + more - 1, spec.price)
        grower = Grower(events.words, types, objective, recipe, chosen)
        for rounds in spec.rounds:
            found = proposed(problem, grower.grow(rounds))
            if found is not None:
                yield found


def proposed(problem: Problem, ensemble: Ensemble) -> Proposed | None:
    """The design of an ensemble, or None if it asks nothing."""
    if not ensemble.tests:
        return None
    graph = verify(lower(ensemble, problem.features, problem.outputs))
    deepest = max(len(set(asked(tree.root))) for tree in ensemble.trees)
    title = (
        f"trees: {len(ensemble.trees)} of {counted(deepest, 'question')} at most, "
        f"{counted(len(ensemble.tests), 'comparison')}, {steps(ensemble.fracs)}"
    )
    return Proposed(record(ensemble, problem.names), title, graph)


def record(ensemble: Ensemble, names: Sequence[str]) -> dict[str, Any]:
    """All that rebuilds an ensemble: a node is a leaf or ``[feature, threshold, below, above]``."""

    def node(found: Node) -> Any:
        if not isinstance(found, Split):
            return found
        test = found.test
        return [names[test.feature], test.threshold, node(found.below), node(found.above)]

    return {
        "trees": [[tree.output, node(tree.root)] for tree in ensemble.trees],
        "base": list(ensemble.base),
        "frac": recorded(ensemble.fracs),
    }


def rules(genotype: dict[str, Any], outputs: Sequence[str]) -> list[str]:
    """What a recorded ensemble asks and adds, a line a leaf, for people."""
    lines = []
    fracs = each(genotype["frac"], len(outputs))
    for place, (output, root) in enumerate(genotype["trees"]):
        lines.append(f"tree {place}, adds to {outputs[output]} ({steps([fracs[output]])}):")
        lines += _indented(root, 1)
    return lines


def _indented(node: Any, level: int) -> list[str]:
    indent = "  " * level
    if isinstance(node, int):
        return [f"{indent}{node:+d}"]
    name, threshold, below, above = node
    return [
        f"{indent}{name} >= {threshold}:",
        *_indented(above, level + 1),
        f"{indent}else:",
        *_indented(below, level + 1),
    ]
