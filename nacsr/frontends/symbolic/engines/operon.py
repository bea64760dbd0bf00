"""The Operon backend (``pip install nacsr[operon]``): fast genetic programming, in C++.

Operon searches on (mean squared error, length), with one thread and a seed. It knows a part of
the operators and of the real functions behind our tables, multiplies every input by a
coefficient, and has neither nesting rules nor weights of rows: rows are drawn by their weights
instead. Its front is scored on our tables and priced by critical path and area afterwards.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.cost import OperatorCost
from nacsr.errors import ExpressionError, ToolError
from nacsr.frontends.symbolic.engines import child, pricing
from nacsr.frontends.symbolic.engines.operon_worker import NO_OPERON
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var, fold
from nacsr.luts import LutFunc

WORKER = "nacsr.frontends.symbolic.engines.operon_worker"

OPERATORS: Mapping[str, str] = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "min": "Fmin",
    "max": "Fmax",
    "abs": "Abs",
    "square": "Square",
}
"""Operon's names of our operators."""

FUNCTIONS: Mapping[str, str] = {
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "exp": "Exp",
    "log_abs": "Logabs",
    "sqrt_abs": "Sqrtabs",
    "tanh": "Tanh",
    "sinh": "Sinh",
    "cosh": "Cosh",
}
"""Operon's names of the real functions of our tables."""

LOCAL_STEPS = 3  # Levenberg-Marquardt steps for the coefficients of every new formula
SUM_LEVELS = 4  # levels above a term: the sum that it stands in, its scale and the offset
_log = logging.getLogger("nacsr")


def search(
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    folder: Path | None = None,
) -> list[Scored]:
    """Operon; see ``request.Engine``. Evaluations are of residuals and of Jacobians.

    It works on ``config.rows`` rows drawn by the seed, with replacement by their weights if they
    have any. Operators and functions that Operon does not know are left out with a warning.
    """
    pricing.check(sample)
    symbols = known(config, luts)
    rows = _rows(sample, config.rows, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory(prefix="nacsr-operon-") as place:
        found = _run(Path(place), options(config, symbols, seed), sample.take(rows))
    back = {theirs: ours for ours, theirs in symbols.items()}
    trees = _expressions(found, sample.names, back, luts)
    return pricing.front((pricing.score(e, sample, config, costs, luts) for e in trees), config)


def known(config: Config, luts: Mapping[str, LutFunc]) -> dict[str, str]:
    """Operon's names of the operators and functions of a search that it has.

    Raises:
        ToolError: if it has none of them.
    """
    found = {o: OPERATORS[o] for o in config.operators if o in OPERATORS}
    for name in config.functions:
        theirs = FUNCTIONS.get(luts[name].function)
        if theirs is not None and theirs not in found.values():
            found[name] = theirs
    left = [s for s in (*config.operators, *config.functions) if s not in found]
    if not found:
        msg = (
            f"Operon has none of the operators {', '.join(left) or '(there are none)'}; give some "
            f"of {', '.join((*OPERATORS, *FUNCTIONS))}, or use engine: embedded"
        )
        raise ToolError(msg)
    if left:
        _log.warning("Operon searches without %s, which it does not have", ", ".join(left))
    return found


def options(config: Config, symbols: Mapping[str, str], seed: int) -> dict[str, Any]:
    """Arguments of ``operon_worker.front``, JSON-able.

    One of its leaves is three of our nodes (a coefficient, an input, a product), and scale and
    offset are four more, so its limit on length is what surely fits ``max_size``.
    """
    return {
        "symbols": list(symbols.values()),
        "max_length": max((config.max_size - 5) // 2, 1),
        "max_depth": config.max_depth + SUM_LEVELS,
        "population": config.population,
        "evaluations": config.evaluations,
        "steps": LOCAL_STEPS,
        "seed": seed % 2**63,
    }


def _rows(sample: Sample, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    events = len(sample.y)
    if sample.weights is None:
        return np.sort(rng.permutation(events)[:count])
    chance = sample.weights / sample.weights.sum()
    return np.sort(rng.choice(events, size=min(count, events), p=chance))


def _run(work: Path, options: Mapping[str, Any], sample: Sample) -> list[dict[str, Any]]:
    """One Operon process: what ``operon_worker.front`` returns."""
    (work / "request.json").write_text(json.dumps({"options": options}), encoding="utf-8")
    np.savez(work / "data.npz", z=sample.z, y=sample.y)
    status, output = child.run(["-m", WORKER, str(work)], work)
    if status == NO_OPERON:
        msg = (
            f"pyoperon is not here ({child.last_line(output)}); pip install nacsr[operon], or use "
            "engine: embedded"
        )
        raise ToolError(msg)
    if status:
        reason = child.last_line(output) if status > 0 else f"ended by signal {-status}"
        msg = f"Operon failed ({reason}); use other operators or rows, or engine: embedded"
        raise ToolError(msg)
    found: list[dict[str, Any]] = json.loads((work / "front.json").read_text(encoding="utf-8"))
    return found


def _expressions(
    found: Iterable[Mapping[str, Any]],
    names: Sequence[str],
    symbols: Mapping[str, str],
    luts: Mapping[str, LutFunc],
) -> list[Expr]:
    """Formulas of nodes, constants gathered; one with a constant that is not finite is left out."""
    trees: dict[Expr, None] = {}
    for one in found:
        scale, offset = Num(_short(one["scale"])), Num(_short(one["offset"]))
        scaled = Call("mul", (scale, expression(one["nodes"], names, symbols)))
        try:
            trees[gathered(fold(Call("add", (scaled, offset)), luts))] = None
        except ExpressionError as error:
            _log.info("Operon: a formula is left out: %s", error)
    return list(trees)


def expression(
    nodes: Sequence[Sequence[Any]], names: Sequence[str], symbols: Mapping[str, str]
) -> Expr:
    """A formula of Operon's nodes, see ``operon_worker.nodes``.

    Args:
        nodes: name, arity, value and input of every node, in postfix order.
        names: of the inputs.
        symbols: our names by Operon's.
    """
    stack: list[Expr] = []
    for kind, arity, value, index in nodes:
        if arity == 0:
            stack.append(_leaf(value, names[index] if index >= 0 else None))
            continue
        args = tuple([stack.pop() for _ in range(arity)])  # the last of them is the first
        stack.append(Call(symbols[kind], args))
    return stack[0]


def _leaf(value: float, name: str | None) -> Expr:
    """A constant, or an input times its coefficient."""
    number = Num(_short(value))
    if name is None:
        return number
    return Var(name) if number == Num(1.0) else Call("mul", (number, Var(name)))


def _short(value: float) -> float:
    """Six digits: finer than any constant is quantised, short to print."""
    return float(f"{value:.6g}")


def gathered(expr: Expr) -> Expr:
    """The same value with one constant factor a product, in place of one an input."""
    factor, rest = _split(expr)
    if rest is None:
        return Num(factor)
    return rest if factor == 1.0 else Call("mul", (Num(_short(factor)), rest))


def _split(expr: Expr) -> tuple[float, Expr | None]:
    """The constant factor of a product, and what it multiplies."""
    match expr:
        case Num(value):
            return value, None
        case Call("mul", (left, right)):
            (a, u), (b, v) = _split(left), _split(right)
            product = u or v if u is None or v is None else Call("mul", (u, v))
            return a * b, product
        case Call(op, args):
            return 1.0, Call(op, tuple([gathered(a) for a in args]))
    return 1.0, expr
