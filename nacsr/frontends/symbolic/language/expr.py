"""Expression trees: immutable, hashable, and nothing but data.

An operator is a row of ``OPERATORS``; every LUT function is one more operator of arity 1,
under its own name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import ExpressionError, unknown
from nacsr.luts import LutFunc, lut_functions

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Num:
    """A real constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Var:
    """A standardised feature, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator, or a LUT function, applied to its arguments."""

    op: str
    args: tuple[Expr, ...]


Expr: TypeAlias = Num | Var | Call


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of ``OPERATORS``: number of arguments, and its meaning on real arrays."""

    arity: int
    apply: Callable[..., Any]


def _greater(a: Any, b: Any) -> Any:
    return np.greater(a, b).astype(np.result_type(a, b))


def _select(a: Any, b: Any, c: Any) -> Any:
    chosen = np.where(np.greater(a, 0), b, c)
    return chosen.astype(np.result_type(a, b, c), copy=False)[()]


OPERATORS: Mapping[str, Operator] = {
    "add": Operator(2, np.add),
    "sub": Operator(2, np.subtract),
    "mul": Operator(2, np.multiply),
    "div": Operator(2, np.divide),
    "neg": Operator(1, np.negative),
    "abs": Operator(1, np.abs),
    "min": Operator(2, np.minimum),
    "max": Operator(2, np.maximum),
    "square": Operator(1, np.square),
    "cube": Operator(1, lambda x: x * x * x),
    # a comparison is the number 1 or 0, and a condition holds where it is positive
    "greater": Operator(2, _greater),
    "cond": Operator(2, lambda a, b: _select(a, b, 0.0)),
    "select": Operator(3, _select),
}


def walk(expr: Expr) -> Iterator[tuple[Expr, int]]:
    """Every node with its level, the root at 1, without recursion: trees may be deep."""
    stack = [(expr, 1)]
    while stack:
        node, level = stack.pop()
        yield node, level
        if isinstance(node, Call):
            stack += [(a, level + 1) for a in node.args]


def size(expr: Expr) -> int:
    """Number of nodes."""
    return sum(1 for _ in walk(expr))


def depth(expr: Expr) -> int:
    """Number of levels: 1 for a constant or a variable."""
    return max(level for _, level in walk(expr))


def variables(expr: Expr) -> tuple[str, ...]:
    """Names of the variables in it, sorted, each once."""
    return tuple(sorted({node.name for node, _ in walk(expr) if isinstance(node, Var)}))


def functions(exprs: Iterable[Expr], luts: Mapping[str, LutFunc]) -> tuple[str, ...]:
    """Names of the LUT functions that are computed for some expressions, sorted, each once."""
    nodes = (node for expr in exprs for node, _ in walk(fold(expr, luts)))
    return tuple(sorted({n.op for n in nodes if isinstance(n, Call) and n.op in luts}))


def substitute(expr: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """The tree with variables replaced by other trees, such as ``x3`` by a feature's name."""
    if isinstance(expr, Var):
        return replacements.get(expr.name, expr)
    if isinstance(expr, Call):
        return Call(expr.op, tuple([substitute(a, replacements) for a in expr.args]))
    return expr


def lut(name: str, luts: Mapping[str, LutFunc]) -> LutFunc:
    """The LUT function of a name.

    Raises:
        ExpressionError: if there is none.
    """
    if name not in luts:
        raise ExpressionError(unknown("function", name, [*OPERATORS, *luts]))
    return luts[name]


def fold(expr: Expr, luts: Mapping[str, LutFunc]) -> Expr:
    """What is really computed: constants folded, divisions turned into products, and
    ``sin(u) * cos(u)`` into one function.

    A call with constant arguments becomes its exact value, LUT functions included; ``a / c``
    becomes a product with the reciprocal; ``a / b`` becomes ``a * inverse(b)``; a choice whose
    condition is constant becomes its branch, and ``c * ((x > y) * z)`` becomes
    ``(x > y) * (c * z)``.

    Raises:
        ExpressionError: for a division by a constant zero, a constant that is not finite, or
            a function (``inverse`` for a division) that is not in ``luts``.
    """
    if not isinstance(expr, Call):
        return expr
    args = tuple([fold(a, luts) for a in expr.args])
    numbers = tuple([a.value for a in args if isinstance(a, Num)])
    if len(numbers) == len(args):
        return Num(_constant(expr.op, numbers, luts))
    if expr.op in ("cond", "select") and isinstance(args[0], Num):
        branches = (*args[1:], Num(0.0))
        return branches[0 if args[0].value > 0 else 1]
    if expr.op == "mul" and (found := _double_angle(args, luts) or _gated(args, luts)):
        return found
    if expr.op != "div":
        return Call(expr.op, args)
    over, under = args
    if isinstance(under, Num):
        return Call("mul", (over, Num(_constant("div", (1.0, under.value), luts))))
    reciprocal = Call(lut("inverse", luts).name, (under,))
    return reciprocal if over == Num(1.0) else Call("mul", (over, reciprocal))


def _double_angle(args: tuple[Expr, ...], luts: Mapping[str, LutFunc]) -> Expr | None:
    """``sin(u) * cos(u)`` as one table in place of two and a product."""
    found = {a.op: a.args for a in args if isinstance(a, Call)}
    if set(found) != {"sin", "cos"} or found["sin"] != found["cos"]:
        return None
    shipped = lut_functions()
    own = any(luts.get(name) != shipped[name] for name in ("sin", "cos"))
    if own or "sincos" not in luts or luts["sincos"].function != "sincos":
        return None  # a user's own tables mean what they say
    return Call("sincos", found["sin"])


def _gated(args: tuple[Expr, ...], luts: Mapping[str, LutFunc]) -> Expr | None:
    """A comparison moved out of a product: it then switches, and nothing is multiplied by it."""
    for product, factor in (args, args[::-1]):
        if _is(product, "mul") and not _is(factor, "greater"):
            for gate, rest in (product.args, product.args[::-1]):
                if _is(gate, "greater"):
                    inner = (rest, factor) if product is args[0] else (factor, rest)
                    return Call("mul", (gate, fold(Call("mul", inner), luts)))
    return None


def _is(expr: Expr, op: str) -> TypeGuard[Call]:
    return isinstance(expr, Call) and expr.op == op


def _constant(op: str, numbers: tuple[float, ...], luts: Mapping[str, LutFunc]) -> float:
    if op == "div" and numbers[1] == 0:
        msg = "division by a constant that is zero; change the divisor or drop the term"
        raise ExpressionError(msg)
    apply = OPERATORS[op].apply if op in OPERATORS else lut(op, luts).exact
    with np.errstate(all="ignore"):
        value = float(apply(*[np.float64(n) for n in numbers]))
    if not math.isfinite(value):
        msg = f"{op}({', '.join(map(str, numbers))}) is not a finite number; change the constant"
        raise ExpressionError(msg)
    return value


def evaluate(
    expr: Expr,
    columns: Mapping[str, Column],
    luts: Mapping[str, LutFunc],
    *,
    exact: bool = False,
) -> Column:
    """The value for every event, in float64 arithmetic.

    LUT functions go through their tables, the very integers of the firmware, and so does the
    ``inverse`` inside a division. With ``exact`` they are the real functions, and a division
    is a division; infinities and NaN may then come out at poles.

    Args:
        expr: the tree.
        columns: float64 arrays of shape (events,), one a variable at least.
        luts: the LUT functions by name.
        exact: real functions instead of tables.

    Returns:
        float64 array of shape (events,).

    Raises:
        ExpressionError: for a variable without a column, or an unknown function.
        FixedError: if an intermediate value that addresses a table overflows float64.
    """
    events = len(next(iter(columns.values()))) if columns else 1
    with np.errstate(all="ignore"):
        value = _evaluate(expr if exact else fold(expr, luts), columns, luts, exact)
    return np.array(np.broadcast_to(value, (events,)), dtype=np.float64)


def _evaluate(
    expr: Expr,
    columns: Mapping[str, Column],
    luts: Mapping[str, LutFunc],
    exact: bool,
) -> Column | np.float64:
    if isinstance(expr, Num):
        return np.float64(expr.value)
    if isinstance(expr, Var):
        if expr.name not in columns:
            raise ExpressionError(unknown("variable", expr.name, columns))
        return columns[expr.name]
    args = [_evaluate(a, columns, luts, exact) for a in expr.args]
    if expr.op in OPERATORS:
        value: Column | np.float64 = OPERATORS[expr.op].apply(*args)
        return value
    function = lut(expr.op, luts)
    return function.exact(*args) if exact else function.numpy(*args)
