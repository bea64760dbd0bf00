"""Writing formulas: text that reads back to the same tree, LaTeX, sympy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var, lut
from nacsr.frontends.symbolic.language.parse import INFIX, PREFIX
from nacsr.luts import LutFunc

_INFIX: Mapping[str, tuple[str, int]] = {
    op: (sign, strength) for sign, (op, strength) in INFIX.items() if op not in ("pow", "less")
}
_POWERS: Mapping[str, int] = {"square": 2, "cube": 3}
_POWER = INFIX["^"][1]
_ATOM = 100

_LATEX: Mapping[str, str] = {
    "div": r"\frac{%s}{%s}",
    "abs": r"\left|%s\right|",
    "min": r"\min\left(%s, %s\right)",
    "max": r"\max\left(%s, %s\right)",
    "log_abs": r"\log\left|%s\right|",
    "sqrt_abs": r"\sqrt{\left|%s\right|}",
    "inverse": r"\frac{1}{%s}",
    "greater": r"\mathbf{1}\left[%s > %s\right]",
    "gauss": r"e^{-\left(%s\right)^{2}}",
    "exp": r"e^{%s}",
    "sigmoid": r"\sigma\left(%s\right)",
    **{f: rf"\{f}\left(%s\right)" for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}


def to_text(expr: Expr, digits: int | None = None) -> str:
    """The formula in infix form; ``parse`` reads it back to the same tree.

    With ``digits`` it is for people: constants are rounded to so many significant digits, and
    sums lose the parentheses that only say in which order they are added.
    """
    return _text(expr, digits)[0]


def _number(value: float, digits: int | None) -> str:
    if digits is not None:
        return f"{value:.{digits}g}"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _text(expr: Expr, digits: int | None) -> tuple[str, int]:
    """The text, and how strongly its outermost operator binds."""
    if isinstance(expr, Num):
        number = _number(expr.value, digits)
        return number, PREFIX if number.startswith("-") else _ATOM
    if isinstance(expr, Var):
        return expr.name, _ATOM
    args = [_text(a, digits) for a in expr.args]
    if expr.op in _INFIX:
        sign, strength = _INFIX[expr.op]
        gap = "" if sign in "*/" else " "
        if digits is not None and expr.op == "add":
            return _plain_sum(*args), strength
        compares = expr.op == "greater"  # does not chain, and a minus after it is no sign of a sum
        right = _wrap(args[1], strength + 1, args[1][0].startswith("-") and not compares)
        return f"{_wrap(args[0], strength + compares)}{gap}{sign}{gap}{right}", strength
    if expr.op in _POWERS:
        return f"{_wrap(args[0], _ATOM)}^{_POWERS[expr.op]}", _POWER
    # a minus before a number would be read as part of it
    if expr.op == "neg" and not isinstance(expr.args[0], Num):
        return f"-{_wrap(args[0], PREFIX, args[0][0].startswith('-'))}", PREFIX
    return f"{expr.op}({', '.join(text for text, _ in args)})", _ATOM


def _plain_sum(first: tuple[str, int], second: tuple[str, int]) -> str:
    """``a + (-b + c)`` as people write it, ``a - b + c``: equal, though not the same tree."""
    start, right = (_wrap(part, INFIX["+"][1]) for part in (first, second))
    return f"{start} - {right[1:]}" if right.startswith("-") else f"{start} + {right}"


def _wrap(part: tuple[str, int], least: int, anyway: bool = False) -> str:
    text, strength = part
    return f"({text})" if anyway or strength < least else text


def to_latex(expr: Expr, digits: int | None = 3) -> str:
    """The formula as LaTeX, without the dollar signs."""
    return _latex(expr, digits)[0]


def _latex(expr: Expr, digits: int | None) -> tuple[str, int]:
    if isinstance(expr, Num):
        number = re.sub(r"e([+-])0*(\d+)$", _exponent, _number(expr.value, digits))
        return number, PREFIX if number.startswith("-") else _ATOM
    if isinstance(expr, Var):
        indexed = re.fullmatch(r"([A-Za-z])_?(\d+)", expr.name)
        if indexed:
            return f"{indexed[1]}_{{{indexed[2]}}}", _ATOM
        escaped = expr.name.replace("_", r"\_")
        return (expr.name if len(expr.name) == 1 else rf"\mathrm{{{escaped}}}"), _ATOM
    if expr.op in ("cond", "select"):
        return _cases(expr, digits), 0
    args = [_latex(a, digits) for a in expr.args]
    if expr.op in _LATEX:
        return _LATEX[expr.op] % tuple(text for text, _ in args), _ATOM
    if expr.op in _INFIX:
        sign, strength = _INFIX[expr.op]
        if digits is not None and expr.op == "add" and args[1][0].startswith("-"):
            return f"{args[0][0]} - {args[1][0][1:]}", strength
        right = _bracket(args[1], strength + 1, args[1][0].startswith("-"))
        left = _bracket(args[0], strength)
        return f"{left} {sign.replace('*', chr(92) + 'cdot')} {right}", strength
    if expr.op in _POWERS:
        return f"{_bracket(args[0], _ATOM)}^{{{_POWERS[expr.op]}}}", _POWER
    if expr.op == "neg":
        return f"-{_bracket(args[0], PREFIX, args[0][0].startswith('-'))}", PREFIX
    name = expr.op.replace("_", r"\_")
    inner = ", ".join(text for text, _ in args)
    return rf"\operatorname{{{name}}}\left({inner}\right)", _ATOM


def _cases(choice: Call, digits: int | None) -> str:
    condition, *branches = choice.args
    if isinstance(condition, Call) and condition.op == "greater":
        sides = condition.args
    else:
        sides = (condition, Num(0.0))
    left, right = (_latex(side, digits)[0] for side in sides)
    yes, no = (_latex(branch, digits)[0] for branch in (*branches, Num(0.0))[:2])
    return (
        rf"\begin{{cases}} {yes} & \text{{if }} {left} > {right} \\ "
        rf"{no} & \text{{otherwise}} \end{{cases}}"
    )


def _exponent(match: re.Match[str]) -> str:
    return rf" \times 10^{{{match[1].removeprefix('+')}{match[2]}}}"


def _bracket(part: tuple[str, int], least: int, anyway: bool = False) -> str:
    text, strength = part
    return rf"\left({text}\right)" if anyway or strength < least else text


def to_sympy(expr: Expr, luts: Mapping[str, LutFunc]) -> Any:
    """The formula as a sympy expression; LUT functions are undefined functions of their name,
    comparisons and choices are ``Piecewise``.

    ``sympy.lambdify(symbols, e, [modules(luts), "numpy"])`` evaluates their tables.

    Raises:
        ExpressionError: for an unknown function.
    """
    import sympy

    def chosen(condition: Any, yes: Any, no: Any) -> Any:
        return sympy.Piecewise((yes, condition), (no, True))

    meaning: Mapping[str, Callable[..., Any]] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "neg": lambda a: -a,
        "abs": sympy.Abs,
        "min": sympy.Min,
        "max": sympy.Max,
        "square": lambda a: a**2,
        "cube": lambda a: a**3,
        "greater": lambda a, b: chosen(a > b, 1, 0),
        "cond": lambda a, b: chosen(a > 0, b, 0),
        "select": lambda a, b, c: chosen(a > 0, b, c),
    }

    def convert(node: Expr) -> Any:
        if isinstance(node, Num):
            whole = node.value.is_integer()
            return sympy.Integer(int(node.value)) if whole else sympy.Float(node.value)
        if isinstance(node, Var):
            return sympy.Symbol(node.name)
        args = [convert(a) for a in node.args]
        return meaning[node.op](*args) if node.op in meaning else lut(node.op, luts).sympy(*args)

    return convert(expr)


def modules(luts: Mapping[str, LutFunc]) -> dict[str, Any]:
    """What ``sympy.lambdify`` needs to evaluate the tables of all ``luts``."""
    return {name: function.numpy for name, function in luts.items()}
