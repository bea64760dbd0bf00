"""What a PySR search is told in Julia: operators, tables, formulas, and the critical path.

Sources: SymbolicRegression.jl 2.x, ``src/evaluation/Complexity.jl`` (a ``complexity_mapping`` takes
an expression and returns an Int), ``src/evaluation/CheckConstraints.jl`` (it replaces the number
of nodes in ``maxsize``), and PySR's ``skills/pysr/SKILL.md`` (``get_tree`` and ``tree_mapreduce``
are in scope).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nacsr.cost import OperatorCost
from nacsr.errors import ExpressionError, SpecError, unknown
from nacsr.fixed import Rounding
from nacsr.frontends.symbolic.engines.hall import PREFIX
from nacsr.frontends.symbolic.engines.pricing import price
from nacsr.frontends.symbolic.engines.request import Config
from nacsr.frontends.symbolic.language.custom import LETTERS
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Expr,
    Num,
    Var,
    fold,
    functions,
    variables,
)
from nacsr.luts import LutFunc

NAMES: Mapping[str, str] = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "neg": "neg",
    "abs": "abs",
    "min": "min",
    "max": "max",
    "square": "square",
    "cube": "cube",
    "greater": "greater",
    "cond": "cond",
    "select": PREFIX + "select",
}
"""Operators by their names in PySR."""

SOURCES: Mapping[str, str] = {
    "select": f"{PREFIX}select(a, b, c) = ifelse(a > zero(a), b, c)",
}
"""Operators that PySR does not have, as Julia functions."""

_INFIX = ("add", "sub", "mul")

_ROUND: Mapping[Rounding, str] = {
    Rounding.TRN: "floor(v)",
    Rounding.TRN_ZERO: "trunc(v)",
    Rounding.RND: "floor(v + 0.5)",
    Rounding.RND_ZERO: "copysign(ceil(abs(v) - 0.5), v)",
    Rounding.RND_MIN_INF: "ceil(v - 0.5)",
    Rounding.RND_INF: "copysign(floor(abs(v) + 0.5), v)",
    Rounding.RND_CONV: "round(v)",
}


def name(symbol: str) -> str:
    """What an operator or a function of nacsr is called in PySR."""
    return NAMES.get(symbol, PREFIX + symbol)


def by_arity(config: Config) -> dict[int, list[str]]:
    """The operators and functions of a search by number of arguments, in PySR's order.

    Raises:
        SpecError: for an operator that PySR has no counterpart of, or if there are none.
    """
    found: dict[int, list[str]] = {}
    for symbol in dict.fromkeys((*config.operators, *config.functions, *config.custom)):
        if symbol in config.operators and symbol not in NAMES:
            raise SpecError("engine: pysr: " + unknown("operator", symbol, NAMES))
        known = config.custom.get(symbol) or OPERATORS.get(symbol)
        found.setdefault(known.arity if known else 1, []).append(symbol)
    if not found:
        msg = "families.expression has neither operators nor functions; give one at least"
        raise SpecError(msg)
    return dict(sorted(found.items()))


def defined(config: Config) -> list[str]:
    """Names of the Julia functions that the search defines for itself."""
    own = [s for group in by_arity(config).values() for s in group if name(s).startswith(PREFIX)]
    return [name(s) for s in own]


def source(symbol: str, config: Config, luts: Mapping[str, LutFunc]) -> str:
    """The name of an operator that PySR has, or the Julia text of one that it has not."""
    if symbol in config.custom:
        return _custom(symbol, config, luts)
    return table(luts[symbol]) if symbol in luts else SOURCES.get(symbol, name(symbol))


def _custom(symbol: str, config: Config, luts: Mapping[str, LutFunc]) -> str:
    """A user's own operator as a Julia function, in the type of its arguments."""
    custom = config.custom[symbol]
    called = {**luts, **custom.luts}
    whole = fold(custom.body, called)
    missing = [f for f in functions([whole], called) if f not in config.functions]
    letters = LETTERS[: custom.arity]
    text = _text(whole, {n: n for n in letters}, (*OPERATORS, *called), "T({})")
    typed = ", ".join(f"{n}::T" for n in letters)
    lines = [
        *[table(called[f]) for f in missing],
        *[SOURCES[s] for s in SOURCES if name(s) in text],
        f"{name(symbol)}({typed}) where {{T}} = {text}",
    ]
    return lines[0] if len(lines) == 1 else f"begin; {'; '.join(lines)}; end"


def table(lut: LutFunc) -> str:
    """A table as a Julia function of one real: the firmware's integers and its addresses."""
    low, high = (int(lut.domain.quantize(end)) for end in (-1e300, 1e300))
    words = np.arange(low, high + 1) & ((1 << lut.domain.width) - 1)
    entries = " ".join(map(str, lut.table[words].tolist()))  # parsed: a literal compiles slowly
    function = PREFIX + lut.name
    scale, lsb = 2.0**lut.domain.frac, lut.value.lsb
    inside = f"clamp({_ROUND[lut.domain.rounding]}, {float(low)}, {float(high)})"
    return (
        f'begin; const {function}_table = parse.(Int64, split("{entries}")); '
        f"function {function}(x::T) where {{T}}; isfinite(x) || return T(NaN); "
        f"v = Float64(x) * {scale}; "
        f"return T({function}_table[Int({inside}) - ({low}) + 1] * {lsb}); end; end"
    )


def critical_path(config: Config, costs: Mapping[str, OperatorCost], beyond: int) -> str:
    """Clock cycles of an expression as a Julia ``complexity_mapping``: ``pricing.price`` there.

    An operator starts in the clock period of its latest operand, or behind the next register
    where it does not fit. Every constant factor counts as one of several digits, since PySR's
    constants are reals. Expressions beyond ``max_cycles`` or ``max_size`` have the complexity
    ``beyond``, which PySR is to refuse: nothing else would limit their area.
    """
    symbols = by_arity(config)
    arities = range(1, max(symbols) + 1)
    rows = [(s, _delay(s, config, costs)) for n in arities for s in symbols.get(n, ())]
    before = [sum(len(symbols.get(m, ())) for m in range(1, n)) for n in arities]
    delays = [(d, costs["const_mul"].delay_ns if s == "mul" else d) for s, d in rows]
    period, start = float(config.period_ns), float(costs["sub"].delay_ns)
    return f"""begin
const nacsr_before = {before}
const nacsr_delays = [{", ".join(f"({float(d)}, {float(c)})" for d, c in delays)}]
function nacsr_ready(delays, operands...)
    all(t -> t < 0.0, operands) && return -1.0
    ready = max(operands...)
    delay = any(t -> t < 0.0, operands) ? delays[2] : delays[1]
    used = rem(ready, {period})
    if used > 0.0 && used + delay > {period} + 1.0e-9
        ready += {period} - used
    end
    return ready + delay
end
function nacsr_cycles(expression)
    tree = get_tree(expression)
    ready = tree_mapreduce(
        leaf -> leaf.constant ? -1.0 : {start},
        branch -> nacsr_delays[nacsr_before[branch.degree] + branch.op],
        nacsr_ready,
        tree,
        Float64,
    )
    cycles = max(1, ceil(Int, ready / {period} - 1.0e-9))
    return cycles > {config.max_cycles} || count_nodes(tree) > {config.max_size} ? {beyond} : cycles
end
end"""


def _delay(symbol: str, config: Config, costs: Mapping[str, OperatorCost]) -> float:
    """Delay in ns; a user's own operator takes whole clock cycles."""
    if symbol in config.custom:
        return price(config.custom[symbol].body, costs, config.period_ns)[0] * config.period_ns
    return costs.get(symbol, costs["lut"]).delay_ns


def formula(
    expr: Expr, names: Sequence[str], config: Config, luts: Mapping[str, LutFunc]
) -> str | None:
    """A formula as a guess for PySR, in ``x0``, ``x1``..; None if it cannot be said there.

    PySR takes only what its own operators can write, so squares become products where it has
    no squares, and so on.
    """
    if not set(variables(expr)) <= set(names):
        return None
    known = (*config.operators, *config.functions)
    numbered = {n: f"x{j}" for j, n in enumerate(names)}
    try:
        return _text(fold(expr, luts), numbered, known)
    except ExpressionError:
        return None


def _text(expr: Expr, names: Mapping[str, str], known: Sequence[str], number: str = "{}") -> str:
    if isinstance(expr, Num):
        return number.format(f"({expr.value!r})" if expr.value < 0 else repr(expr.value))
    if isinstance(expr, Var):
        return names[expr.name]
    if expr.op not in known:
        return _text(_otherwise(expr), names, known, number)
    args = [_text(a, names, known, number) for a in expr.args]
    if expr.op in _INFIX:
        return f"({args[0]} {NAMES[expr.op]} {args[1]})"
    return f"{name(expr.op)}({', '.join(args)})"


def _otherwise(expr: Call) -> Expr:
    """The same value by products and sums."""
    match expr:
        case Call("neg", (a,)):
            return Call("mul", (Num(-1.0), a))
        case Call("sub", (a, b)):
            return Call("add", (a, Call("mul", (Num(-1.0), b))))
        case Call("square", (a,)):
            return Call("mul", (a, a))
        case Call("cube", (a,)):
            return Call("mul", (a, Call("mul", (a, a))))
    msg = f"{expr.op} is not among the operators of the search"
    raise ExpressionError(msg)
