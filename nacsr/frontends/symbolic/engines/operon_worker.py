"""The process that Operon lives in: this module as a program, whose argument is a folder.

It reads ``request.json`` and ``data.npz`` of the folder, runs one search, and writes the formulas
of its front to ``front.json``. Operon's objects hold pointers to what their constructors were
given, and its results point into the algorithm: an object that is let go early crashes the
process. So every one has a name here until the last tree has been read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nacsr.frontends.symbolic.engines.child import follow_parent

NO_OPERON = 3
"""Exit status when pyoperon cannot be imported."""
CROSSOVER, MUTATION, INNER = 1.0, 0.25, 0.9  # pyoperon's own defaults, as are the others
TOURNAMENT = 5
FIRST_LENGTH = 10


def main(folder: Path) -> None:
    """Run the search that the folder describes."""
    follow_parent()
    try:
        import pyoperon
    except ImportError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(NO_OPERON)
    import numpy as np

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    with np.load(folder / "data.npz", allow_pickle=False) as data:
        found = front(pyoperon, data["z"], data["y"], **request["options"])
    (folder / "front.json").write_text(json.dumps(found), encoding="utf-8")


def front(
    op: Any,
    z: Any,
    y: Any,
    *,
    symbols: list[str],
    max_length: int,
    max_depth: int,
    population: int,
    evaluations: int,
    steps: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The front of one search on (mean squared error after linear scaling, length).

    Returns:
        of every formula its ``nodes``, and the ``scale`` and ``offset`` that it is to be given.
    """
    import numpy as np

    data = op.Dataset(np.asfortranarray(np.column_stack((z, y))))
    target = max(data.Variables, key=lambda v: v.Index)
    columns = {v.Hash: v.Index for v in data.Variables if v.Hash != target.Hash}
    inputs, rows = list(columns), op.Range(0, data.Rows)
    problem = op.Problem(data)
    problem.TrainingRange, problem.TestRange = rows, op.Range(data.Rows - 1, data.Rows)
    problem.Target, problem.InputHashes = target, inputs
    chosen, names = 0, meanings(op)
    for symbol in (*symbols, "Constant", "Variable"):
        chosen |= int(getattr(op.NodeType, names.get(symbol, symbol)))
    problem.ConfigurePrimitiveSet(chosen)
    primitives = problem.PrimitiveSet

    creator = op.BalancedTreeCreator(primitives, inputs, 0.0)
    coefficients = op.NormalCoefficientInitializer()
    coefficients.ParameterizeDistribution(0, 1)
    first = op.UniformLengthTreeInitializer(creator)
    fewest, _ = primitives.FunctionArityLimits()
    first.ParameterizeDistribution(fewest + 1, max(min(FIRST_LENGTH, max_length), fewest + 1))
    first.MinDepth, first.MaxDepth = 1, 1000

    table, error = op.DispatchTable(), op.MSE()
    accuracy, length = op.Evaluator(problem, table, error, True), op.LengthEvaluator(problem)
    evaluator = op.MultiEvaluator(problem)
    for one in (accuracy, length):
        one.Budget = evaluations
        evaluator.Add(one)
    evaluator.Budget = evaluations
    optimizer = op.LMOptimizer(table, problem, steps, 0)
    local = op.CoefficientOptimizer(optimizer)

    mutations = _mutations(op, primitives, inputs, creator, coefficients, max_depth, max_length)
    mutation = op.MultiMutation()
    for one in mutations:
        mutation.Add(one, 1.0)
    crossover = op.SubtreeCrossover(INNER, max_depth, max_length)
    comparison = op.CrowdedComparison()
    selectors = op.TournamentSelector(comparison), op.TournamentSelector(comparison)
    for one in selectors:
        one.TournamentSize = TOURNAMENT
    generator = op.BasicOffspringGenerator(evaluator, crossover, mutation, *selectors, local)
    reinserter, sorter = op.KeepBestReinserter(comparison), op.RankSorter()
    config = op.GeneticAlgorithmConfig(
        generations=evaluations,  # beyond reach: the budget ends the search
        max_evaluations=evaluations,
        local_iterations=steps,
        population_size=population,
        pool_size=population,
        p_crossover=CROSSOVER,
        p_mutation=MUTATION,
        p_local=1.0,
        p_lamarck=1.0,
        epsilon=0.0,
        seed=seed,
        max_time=sys.maxsize,
    )
    algorithm = op.NSGA2Algorithm(
        config, problem, first, coefficients, generator, reinserter, sorter
    )
    random = op.RandomGenerator(np.uint64(seed))
    algorithm.Run(random, None, 1, False)

    found = []
    best = algorithm.BestFront
    for one in best:
        tree = one.Genotype
        values = op.Evaluate(table, tree, data, rows)
        scale, offset = op.FitLeastSquares(values, y)
        found.append({"nodes": nodes(tree, columns, names), "scale": scale, "offset": offset})
    return found


def _mutations(
    op: Any, primitives: Any, inputs: Any, creator: Any, coefficients: Any, depth: int, length: int
) -> list[Any]:
    """Everything that may happen to a tree, with equal chances."""
    made = [op.NormalOnePointMutation(), op.NormalMultiPointMutation()]
    for one in made:
        one.ParameterizeDistribution(0, 1)
    return [
        *made,
        op.ChangeVariableMutation(inputs),
        op.ChangeFunctionMutation(primitives),
        op.ReplaceSubtreeMutation(creator, coefficients, depth, length),
        op.InsertSubtreeMutation(creator, coefficients, depth, length),
        op.RemoveSubtreeMutation(primitives),
    ]


def meanings(op: Any) -> dict[str, str]:
    """What symbols compute, where that is not what they are called.

    pyoperon 0.6.2 computes the larger number for ``Fmin`` and the smaller one for ``Fmax``, so
    this is found out by computing one.
    """
    import numpy as np

    data = op.Dataset(np.asfortranarray([[0.0], [0.0]]))
    table, rows = op.DispatchTable(), op.Range(0, 2)
    parts = [op.Node.Constant(1.0), op.Node.Constant(2.0), op.Node(op.NodeType.Fmin)]
    tree = op.Tree(parts).UpdateNodes()
    smaller = float(op.Evaluate(table, tree, data, rows).reshape(-1)[0]) == 1.0
    return {} if smaller else {"Fmin": "Fmax", "Fmax": "Fmin"}


def nodes(tree: Any, columns: dict[int, int], names: dict[str, str]) -> list[list[Any]]:
    """The tree in postfix order: name, number of arguments, value, and input, or -1.

    The argument that comes last is the first one; an input is multiplied by its value.
    """
    return [
        [
            names.get(node.Type.name, node.Type.name),
            node.Arity,
            node.Value,
            columns[node.HashValue] if node.IsVariable else -1,
        ]
        for node in tree.Nodes
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
