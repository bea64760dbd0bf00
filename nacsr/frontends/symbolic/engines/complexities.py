"""What an operator costs in a search on one complexity: clock cycles, as of Tsoi et al.

``ones`` counts operators, ``cycles<W,I>`` clock cycles at that type, and ``auto`` clock cycles at
the study's own. They are those of our tables, or of the functions of ``hls_math``, for comparison
with designs that are made of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nacsr.cost import OperatorCost, estimate, operator_costs
from nacsr.cost.functions import MATH_CYCLES
from nacsr.cost.functions import math_cycles as function_cycles
from nacsr.cost.schedule import period_ns
from nacsr.errors import FixedError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.custom import Custom
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, walk
from nacsr.luts import LutFunc, lut_functions
from nacsr.targets import target as find_target

IMPLEMENTATIONS = ("lut", "math")


def complexities(
    kind: str,
    operators: Sequence[str],
    functions: Sequence[str],
    precision: Fixed,
    clock_mhz: float,
    target: str,
    implementation: str = "lut",
    luts: Mapping[str, LutFunc] | None = None,
) -> dict[str, int]:
    """The complexity of every operator and function, at least 1.

    Args:
        kind: ``ones``, ``auto`` or ``cycles<W,I>``.
        operators: keys of ``OPERATORS``.
        functions: names of LUT functions.
        precision: the study's working type, which ``auto`` means.
        clock_mhz: clock that tables and operators are made for; ``math`` was measured at 200.
        target: name of the device.
        implementation: ``lut`` tables, or ``math`` functions of HLS.
        luts: the LUT functions, by default the shipped ones.

    Raises:
        SpecError: for an unknown kind, implementation, operator or function, and for a function
            whose ``math`` was not measured.
    """
    if kind == "ones":
        return dict.fromkeys((*operators, *functions), 1)
    at = precision if kind == "auto" else _type(kind)
    if implementation == "math":
        known = lut_functions() if luts is None else luts
        return {s: math_cycles(s, at, known) for s in (*operators, *functions)}
    rows = table(operators, functions, at, clock_mhz, target, implementation, luts)
    return {name: cost.cycles for name, cost in rows.items()}


def with_custom(given: Mapping[str, int], custom: Mapping[str, Custom]) -> dict[str, int]:
    """Complexities with those of the user's operators: the sums of what they are made of.

    Constants inside are no operators and count nothing, and what has no complexity counts one. An
    empty ``given``, which means a search on clock cycles, stays empty.
    """
    if not given:
        return {}
    made = {}
    for name, one in custom.items():
        parts = [node.op for node, _ in walk(one.body) if isinstance(node, Call)]
        made[name] = sum(given.get(part, 1) for part in parts)
    return made | dict(given)


def table(
    operators: Sequence[str],
    functions: Sequence[str],
    precision: Fixed,
    clock_mhz: float,
    target: str,
    implementation: str = "lut",
    luts: Mapping[str, LutFunc] | None = None,
) -> dict[str, OperatorCost]:
    """Cost of every operator and function as our tables; for arguments see ``complexities``."""
    if implementation not in IMPLEMENTATIONS:
        raise SpecError(unknown("implementation", implementation, IMPLEMENTATIONS))
    known = lut_functions() if luts is None else luts
    costs = operator_costs(precision, clock_mhz, target)
    for name in operators:
        if name not in OPERATORS:
            raise SpecError(unknown("operator", name, OPERATORS))
    for name in functions:
        if name not in known:
            raise SpecError(unknown("function", name, known))
    made = {f: function_cost(known[f], precision, clock_mhz, target) for f in functions}
    return {name: costs[name] for name in operators} | made


def function_cost(lut: LutFunc, precision: Fixed, clock_mhz: float, target: str) -> OperatorCost:
    """What a LUT function costs on a word of the precision: its own ops, at least one cycle.

    Its block RAMs count as the LUTs that are the same share of the chip.
    """
    chip = find_target(target)
    made = estimate(lut.graph(precision), target, clock_mhz)
    cycles = max(made.latency_cycles, 1)
    luts = made.luts + made.brams * chip.luts / chip.brams
    return OperatorCost(cycles * period_ns(clock_mhz), luts, made.dsps, made.ffs, cycles)


def math_cycles(name: str, precision: Fixed, luts: Mapping[str, LutFunc]) -> int:
    """Clock cycles of an operator, or of the ``hls_math`` function behind a table, at 5 ns.

    Of the measured types the nearest counts: first in integer bits, then in width. Division takes
    2 W - I + 3 cycles, exactly so at every measured type; ``cos`` takes those of ``sin``, as it
    did wherever it was measured; ``gauss`` is a product and an exponential.

    Raises:
        SpecError: for a function that was not measured.
    """
    if name == "div" or (name in luts and luts[name].function == "inverse"):
        return 2 * precision.width - precision.integer + 3
    if name in OPERATORS:
        return 1
    if name not in luts:
        raise SpecError(unknown("operator or function", name, (*OPERATORS, *luts)))
    function = luts[name].function
    if function == "gauss":
        return 1 + function_cycles("exp", precision)
    if not measured(name, luts):
        msg = (
            f"the hls_math cycles of {name!r} were not measured; use implementation lut, or of "
            f"{', '.join((*MATH_CYCLES, 'cos', 'gauss', 'inverse'))}"
        )
        raise SpecError(msg)
    return function_cycles(function, precision)


def measured(name: str, luts: Mapping[str, LutFunc]) -> bool:
    """Whether the ``hls_math`` cycles of a LUT function are known."""
    return luts[name].function in (*MATH_CYCLES, "cos", "gauss", "inverse")


def _type(kind: str) -> Fixed:
    try:
        if kind.startswith("cycles<"):
            return Fixed.parse(kind.replace("cycles", "fixed", 1))
    except FixedError as error:
        msg = f"complexities: {kind!r}: {error}"
        raise SpecError(msg) from None
    msg = f"complexities must be ones, auto, or cycles<16,6>, not {kind!r}"
    raise SpecError(msg)


def pysr_text(given: Mapping[str, int], operators: Sequence[str], functions: Sequence[str]) -> str:
    """Python source of the keyword arguments of ``PySRRegressor`` for these complexities.

    Functions are the real ones that the shipped tables are made of; those that Julia has not are
    defined, also for sympy. Functions of a user's own keep their names.
    """
    grouped: dict[int, list[str]] = {}
    for name in (*operators, *functions):
        arity = OPERATORS[name].arity if name in OPERATORS else 1
        defined = _DEFINED.get(name, (_SIGNS.get(name, name), ""))
        grouped.setdefault(arity, []).append(defined[0])
    named = {_SIGNS.get(name, name): given[name] for name in (*operators, *functions)}
    rows = {
        "operators": str(dict(sorted(grouped.items()))),
        "complexity_of_operators": str(named),
    }
    if functions:
        every = str(tuple(functions))
        rows["nested_constraints"] = f"{{f: dict.fromkeys({every}, 0) for f in {every}}}"
    own = [f'"{n}": {_DEFINED[n][1]}' for n in (*operators, *functions) if n in _DEFINED]
    if own:
        rows["extra_sympy_mappings"] = "{" + ", ".join(own) + "}"
    return "\n".join(f"{key}={value}," for key, value in rows.items())


_SIGNS: Mapping[str, str] = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_DEFINED: Mapping[str, tuple[str, str]] = {
    "select": (
        "select(a, b, c) = ifelse(a > zero(a), b, c)",
        "lambda a, b, c: sympy.Piecewise((b, a > 0), (c, True))",
    ),
    "gauss": ("gauss(x) = exp(-x*x)", "lambda x: sympy.exp(-x*x)"),
    "log_abs": ("log_abs(x) = log(abs(x))", "lambda x: sympy.log(abs(x))"),
    "sqrt_abs": ("sqrt_abs(x) = sqrt(abs(x))", "lambda x: sympy.sqrt(abs(x))"),
    "inverse": ("inverse(x) = inv(x)", "lambda x: 1/x"),
    "sigmoid": ("sigmoid(x) = inv(one(x) + exp(-x))", "lambda x: 1/(1 + sympy.exp(-x))"),
    "softplus": (
        "softplus(x) = log1p(exp(-abs(x))) + max(x, zero(x))",
        "lambda x: sympy.log(1 + sympy.exp(x))",
    ),
    "sincos": ("sincos(x) = sin(x) * cos(x)", "lambda x: sympy.sin(x)*sympy.cos(x)"),
}
"""Operators and functions that PySR has not: in Julia, and in sympy."""
