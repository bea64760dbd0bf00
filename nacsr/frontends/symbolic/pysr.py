"""The PySR backend: the same search as the embedded engine's, by PySR in its own process.

PySR's search itself was not executed in nacsr's CI, which has no Julia. What is tested there:
that the real ``PySRRegressor.fit`` accepts every option below and hands it to one
``SymbolicRegression.Options`` call, with a stand-in for ``juliacall``; and everything that
happens to the hall of fame afterwards. The end-to-end test is marked ``julia``.

PySR has one integer complexity beside the loss, so it searches on (loss, clock cycles summed
over operators), the latency-aware training of Tsoi et al.; its hall of fame is then priced by
critical path and area like the embedded engine's front.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.cost import OperatorCost
from nacsr.errors import DataError, FixedError, ToolError
from nacsr.fixed import Rounding
from nacsr.frontends.symbolic.engine.hardware import chain, is_power_of_two
from nacsr.frontends.symbolic.engine.selection import ranks
from nacsr.frontends.symbolic.expr import (
    Call,
    Column,
    Expr,
    Num,
    Var,
    evaluate,
    size,
    substitute,
    walk,
)
from nacsr.frontends.symbolic.hall import parse_hall
from nacsr.frontends.symbolic.pysr_worker import NO_JULIA
from nacsr.frontends.symbolic.request import Config, Sample, Scored
from nacsr.luts import LutFunc

WORKER = "nacsr.frontends.symbolic.pysr_worker"
PREFIX = "nacsr_"  # of Julia names, so that a table of sin is not taken for Base.sin
JULIA_NAMES: Mapping[str, str] = {"add": "+", "sub": "-", "mul": "*"}
BINARY = ("add", "sub", "mul", "min", "max")
SMALLEST_MAXSIZE = 7  # PySR refuses less; larger formulas are dropped afterwards
ITERATIONS = 1_000_000  # far beyond reach: the budget is counted in evaluations
PROBE_S = 300.0

_ROUND: Mapping[Rounding, str] = {
    Rounding.TRN: "floor(v)",
    Rounding.TRN_ZERO: "trunc(v)",
    Rounding.RND: "floor(v + 0.5)",
    Rounding.RND_ZERO: "copysign(ceil(abs(v) - 0.5), v)",
    Rounding.RND_MIN_INF: "ceil(v - 0.5)",
    Rounding.RND_INF: "copysign(floor(abs(v) + 0.5), v)",
    Rounding.RND_CONV: "round(v)",
}


def julia() -> str:
    """Version of the Julia that PySR would use, found without downloading anything.

    Raises:
        ToolError: if there is none.
    """
    try:
        done = _python(
            ["-c", "from juliacall import Main; print(Main.VERSION)"], PROBE_S, fetch=False
        )
    except subprocess.TimeoutExpired:
        msg = f"Julia did not start within {PROBE_S:.0f} s; use engine: embedded"
        raise ToolError(msg) from None
    if done.returncode:
        raise ToolError(_no_julia(done.stderr))
    return _last_line(done.stdout)


def _no_julia(output: str) -> str:
    return (
        f"Julia was not found ({_last_line(output)}); PySR fetches it by itself when a study "
        "with engine: pysr starts where there is internet; use engine: embedded here"
    )


def search(
    sample: Sample,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    folder: Path | None = None,
) -> list[Scored]:
    """PySR; see ``request.Engine``. Evaluations are of whole expressions, as PySR counts.

    It runs serially and seeded, on ``config.rows`` rows drawn by the seed.
    """
    z, y, names = sample.z, sample.y, sample.names
    rows = np.sort(np.random.default_rng(seed).permutation(len(y))[: config.rows])
    with tempfile.TemporaryDirectory(prefix="nacsr-pysr-") as place:
        work = Path(place)
        request = {
            "options": options(config, costs, luts, seed),
            "functions": [PREFIX + name for name in config.functions],
        }
        (work / "request.json").write_text(json.dumps(request), encoding="utf-8")
        np.savez(work / "data.npz", z=z[rows], y=y[rows])
        done = _python(["-m", WORKER, place], None, fetch=True)
        if done.returncode == NO_JULIA:
            raise ToolError(_no_julia(done.stderr))
        hall = work / "run" / "hall_of_fame.csv"
        if done.returncode or not hall.is_file():
            msg = f"PySR failed ({_last_line(done.stderr)}); mend that, or use engine: embedded"
            raise ToolError(msg)
        text = hall.read_text(encoding="utf-8").replace(PREFIX, "")
    numbered = [f"x{j}" for j in range(len(names))]
    named = {x: Var(name) for x, name in zip(numbered, names, strict=True)}
    found = parse_hall(text, "PySR's hall of fame", numbered, luts, 0)
    trees = [substitute(row.tree, named) for row in found if row.tree is not None]
    columns = {name: z[:, j] for j, name in enumerate(names)}
    return _front([_score(t, columns, y, config, costs, luts) for t in trees], config)


def options(
    config: Config, costs: Mapping[str, OperatorCost], luts: Mapping[str, LutFunc], seed: int
) -> dict[str, Any]:
    """Keyword arguments of ``PySRRegressor``, JSON-able.

    Functions are tables, so their gradients are zero nearly everywhere: constants are fitted
    by Nelder-Mead. No function sits inside another, as in the embedded engine.
    """
    functions = [PREFIX + name for name in config.functions]
    operators: dict[int, list[str]] = {1: [], 2: []}
    for name in config.operators:
        operators[2 if name in BINARY else 1].append(JULIA_NAMES.get(name, name))
    operators[1] += [julia_table(luts[name]) for name in config.functions]
    complexity = {JULIA_NAMES.get(n, n): costs[n].cycles for n in config.operators}
    return {
        "operators": {arity: ops for arity, ops in operators.items() if ops},
        "complexity_of_operators": complexity | dict.fromkeys(functions, costs["lut"].cycles),
        "nested_constraints": {f: dict.fromkeys(functions, 0) for f in functions} or None,
        "maxsize": max(config.max_size, SMALLEST_MAXSIZE),
        "niterations": ITERATIONS,
        "max_evals": config.evaluations,
        "optimizer_algorithm": "NelderMead",
        "deterministic": True,
        "parallelism": "serial",
        "random_state": seed % 2**32,
        "batching": False,
        "precision": 32,
        "input_stream": "devnull",
        "progress": False,
        "verbosity": 0,
    }


def julia_table(lut: LutFunc) -> str:
    """The table as a Julia function of one real: the firmware's integers and its addresses."""
    low, high = (int(lut.domain.quantize(end)) for end in (-1e300, 1e300))
    words = np.arange(low, high + 1) & ((1 << lut.domain.width) - 1)
    entries = " ".join(map(str, lut.table[words].tolist()))  # parsed: a literal compiles slowly
    name = PREFIX + lut.name
    scale, lsb = 2.0**lut.domain.frac, lut.value.lsb
    inside = f"clamp({_ROUND[lut.domain.rounding]}, {float(low)}, {float(high)})"
    return (
        f'begin; const {name}_table = parse.(Int64, split("{entries}")); '
        f"function {name}(x::T) where {{T}}; isfinite(x) || return T(NaN); "
        f"v = Float64(x) * {scale}; "
        f"return T({name}_table[Int({inside}) - ({low}) + 1] * {lsb}); end; end"
    )


def _score(
    expr: Expr,
    columns: Mapping[str, Column],
    y: Column,
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
) -> Scored:
    """Loss on all rows and cost; the loss is infinite where a value goes beyond the reach."""
    try:
        values = [evaluate(node, columns, luts) for node, _ in walk(expr)]
        inside = all(bool((np.abs(v) <= config.precision.max).all()) for v in values)
    except FixedError:
        inside = False
    loss = float(np.mean((values[0] - y) ** 2)) if inside else math.inf
    return Scored(expr, loss, *price(expr, costs, config.period_ns), size(expr))


def _front(scored: Sequence[Scored], config: Config) -> list[Scored]:
    """The best within the limits."""
    fit = [
        s
        for s in scored
        if math.isfinite(s.loss) and s.cycles <= config.max_cycles and s.size <= config.max_size
    ]
    if not fit:
        msg = "no expression that PySR found fits max_cycles and max_size; raise one of them"
        raise DataError(msg)
    objectives = np.array([(s.loss, s.cycles, s.luts + config.dsp_luts * s.dsps) for s in fit])
    best = np.flatnonzero(ranks(objectives) == 0)
    return sorted((fit[i] for i in best), key=lambda s: -s.loss)


def price(
    expr: Expr, costs: Mapping[str, OperatorCost], period_ns: float
) -> tuple[int, float, float]:
    """Clock cycles (1 or more), LUTs and DSPs of any expression; equal subtrees count once.

    Every input costs the subtraction of its offset; a factor that is a power of two is wires.
    """
    ready: dict[Expr, float] = {}
    luts = dsps = 0.0

    def visit(node: Expr) -> float:
        nonlocal luts, dsps
        if node in ready or isinstance(node, Num):
            return ready.get(node, 0.0)
        before = max((visit(a) for a in node.args), default=0.0) if isinstance(node, Call) else 0.0
        cost = _cost(node, costs)
        if cost is None:
            ready[node] = before
        else:
            luts, dsps = luts + cost.luts, dsps + cost.dsps
            ready[node] = chain(before, cost.delay_ns, period_ns)
        return ready[node]

    end = visit(expr)
    return max(1, math.ceil(end / period_ns - 1e-9)), luts, dsps


def _cost(node: Var | Call, costs: Mapping[str, OperatorCost]) -> OperatorCost | None:
    if isinstance(node, Var):
        return costs["sub"]
    factors = [a.value for a in node.args if isinstance(a, Num)]
    if node.op == "mul" and factors:
        return None if is_power_of_two(factors[0]) else costs["const_mul"]
    return costs.get(node.op, costs["lut"])


def _python(
    arguments: Sequence[str], timeout_s: float | None, *, fetch: bool
) -> subprocess.CompletedProcess[str]:
    """Run this Python; ``fetch``: PySR may download Julia, besides finding it."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ if fetch else {**os.environ, "PYTHON_JULIAPKG_OFFLINE": "yes"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"
