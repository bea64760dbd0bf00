"""The user's own operators: formulas of ``a``, ``b`` and ``c`` under a name.

A call of one is replaced by what it means as soon as a formula is read, so that everything
after the parser sees base operators only.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from nacsr.errors import ExpressionError, FixedError
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Column,
    Expr,
    evaluate,
    fold,
    size,
    substitute,
    variables,
    walk,
)
from nacsr.frontends.symbolic.language.parse import ALIASES, calls_in, parse
from nacsr.luts import LutFunc

LETTERS = ("a", "b", "c")
MAX_NODES = 10_000
"""Of a call written out: operators that call each other grow fast."""
PROBES = np.linspace(-8.0, 8.0, 33)
"""Values of every argument at which an operator must be finite; zero is one."""


@dataclass(frozen=True, slots=True)
class Custom:
    """An operator of the user's own.

    Attributes:
        name: what formulas call it.
        arity: number of arguments, 1 to 3.
        body: its meaning, in base operators, LUT functions and the variables a, b, c.
        luts: the LUT functions that the body calls, by name.
    """

    name: str
    arity: int
    body: Expr
    luts: Mapping[str, LutFunc] = field(repr=False, compare=False)

    def apply(self, *columns: ArrayLike, exact: bool = False) -> Column | np.float64:
        """Its value for numbers, or columns of shape (events,) of any float type.

        LUT functions go through their tables, unless ``exact``: see ``evaluate``.

        Returns:
            float64 of shape (events,), or a number if all arguments are numbers.

        Raises:
            ExpressionError: for another number of arguments.
            FixedError: if a value that addresses a table overflows float64.
        """
        self._check(len(columns))
        wide = np.broadcast_arrays(*[np.asarray(c, dtype=np.float64) for c in columns])
        by_letter = dict(zip(LETTERS, [np.atleast_1d(c) for c in wide], strict=False))
        found = evaluate(self.body, by_letter, self.luts, exact=exact)
        return found if wide[0].shape else np.float64(found[0])

    def expand(self, args: Sequence[Expr]) -> Expr:
        """What a call with these arguments means.

        Raises:
            ExpressionError: for another number of arguments, or one that is too long.
        """
        self._check(len(args))
        found = substitute(self.body, dict(zip(LETTERS, args, strict=False)))
        if size(found) > MAX_NODES:
            msg = f"{self.name} written out has more than {MAX_NODES} operators; nest it less"
            raise ExpressionError(msg)
        return found

    def _check(self, count: int) -> None:
        if count != self.arity:
            msg = f"{self.name} takes {self.arity} argument(s), not {count}; mend the call"
            raise ExpressionError(msg)


def expand_custom(expr: Expr, custom: Mapping[str, Custom]) -> Expr:
    """The tree with every call of a custom operator replaced by what it means.

    Raises:
        ExpressionError: for a call with another number of arguments.
    """
    if not isinstance(expr, Call):
        return expr
    args = tuple([expand_custom(a, custom) for a in expr.args])
    return custom[expr.op].expand(args) if expr.op in custom else Call(expr.op, args)


def custom_operators(
    spec: Mapping[str, str], luts: Mapping[str, LutFunc], features: Sequence[str] = ()
) -> dict[str, Custom]:
    """Operators by name, of formulas by name; a later one may call those before it.

    Each must be finite for all arguments of ``PROBES``, LUT functions taken as the real
    functions that they stand for: a search tries all values.

    Args:
        spec: such as ``{"ratio": "a/(abs(b) + 1)"}``.
        luts: the LUT functions that a formula may call.
        features: names of the inputs, which no operator may have.

    Raises:
        ExpressionError: naming the operator, and what is wrong with its name or formula.
    """
    found: dict[str, Custom] = {}
    for name, text in spec.items():
        _check_name(name, luts, features)
        late = [c for c in calls_in(str(text)) if c in spec and c not in found]
        if late:
            why = "itself" if late[0] == name else f"{late[0]!r}, which comes after it"
            msg = f"operator {name!r} calls {why}; an operator may call only those before it"
            raise ExpressionError(msg)
        try:
            body = parse(text, LETTERS, luts, found)
            fold(body, luts)  # its refusals of constants come now, not in a search
        except ExpressionError as error:
            msg = f"operator {name!r}: {error} (its arguments are {', '.join(LETTERS)})"
            raise ExpressionError(msg) from None
        made = Custom(name, _arity(name, body), body, _called(body, luts))
        _probe(made)
        found[name] = made
    return found


def _check_name(name: str, luts: Mapping[str, LutFunc], features: Sequence[str]) -> None:
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        msg = f"operator {name!r}: the name must be a plain identifier such as my_ratio"
        raise ExpressionError(msg)
    if name in (*OPERATORS, *ALIASES, *luts, *LETTERS, *features, TABLE, "relu", "pow"):
        inputs = dict.fromkeys(features, "a feature") | dict.fromkeys(LETTERS, "an argument")
        what = inputs.get(name, "a function")
        msg = f"operator {name!r} has the name of {what} that there is already; rename it"
        raise ExpressionError(msg)


def _arity(name: str, body: Expr) -> int:
    used = variables(body)
    arity = 1 + max((LETTERS.index(v) for v in used), default=-1)
    missing = [letter for letter in LETTERS[: max(arity, 1)] if letter not in used]
    if missing:
        msg = (
            f"operator {name!r} does not use {missing[0]!r}; its arguments are "
            f"{', '.join(LETTERS)} in this order, none left out"
        )
        raise ExpressionError(msg)
    return arity


def _called(body: Expr, luts: Mapping[str, LutFunc]) -> dict[str, LutFunc]:
    """The functions that a body, folded or not, may call; a dictionary goes to other processes."""
    nodes = [node for tree in (body, fold(body, luts)) for node, _ in walk(tree)]
    return {n.op: luts[n.op] for n in nodes if isinstance(n, Call) and n.op in luts}


def _probe(custom: Custom) -> None:
    """Refuse an operator that is NaN or infinite somewhere on the grid of ``PROBES``."""
    grid = [axis.ravel() for axis in np.meshgrid(*[PROBES] * custom.arity, indexing="ij")]
    try:
        real = custom.apply(*grid, exact=True)
        bad = ~np.isfinite(real)
        custom.apply(*grid)
    except FixedError as error:
        msg = f"operator {custom.name!r}: {error} for arguments of -8..8; scale what grows"
        raise ExpressionError(msg) from None
    if not bad.any():
        return
    # the simplest point: where most arguments are small
    first = int(np.argmin(np.where(bad, sum(np.abs(axis) for axis in grid), np.inf)))
    where = ", ".join(
        f"{letter} = {axis[first]:g}" for letter, axis in zip(LETTERS, grid, strict=False)
    )
    what = "not a number" if np.isnan(np.asarray(real)[first]) else "infinite"
    msg = (
        f"operator {custom.name!r} is {what} at {where}; keep divisors and arguments of log off "
        "zero, as in a/(abs(b) + 0.1), and powers small"
    )
    raise ExpressionError(msg)
