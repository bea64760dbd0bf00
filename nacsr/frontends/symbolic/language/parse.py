"""Reading formulas: a small precedence parser for user text and for PySR's and Julia's.

The language is numbers, variables, ``+ - * / ^ ** > <``, parentheses and calls of known
functions. Nothing is ever evaluated by Python, so there is nothing to escape from.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from nacsr.errors import ExpressionError, unknown
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Num, Var, depth, fold
from nacsr.frontends.symbolic.language.expr import variables as variables_of
from nacsr.luts import LutFunc

if TYPE_CHECKING:
    from nacsr.frontends.symbolic.language.custom import Custom

MAX_DEPTH = 200  # levels of a tree: every walk over it stays far from Python's own limit
MAX_EXPONENT = 64

ALIASES: Mapping[str, str] = {
    "Abs": "abs",
    "Min": "min",
    "Max": "max",
    "inv": "inverse",
    # log|x| and sqrt|x| agree with log and sqrt wherever those exist, and go on elsewhere
    "log": "log_abs",
    "sqrt": "sqrt_abs",
    "ifelse": "select",
    "where": "select",
}
"""Other names of functions, as PySR, Julia and sympy print them."""

# binding strengths; a prefix minus binds tighter than a product and looser than a power
INFIX: Mapping[str, tuple[str, int]] = {
    ">": ("greater", 5),
    "<": ("less", 5),
    "+": ("add", 10),
    "-": ("sub", 10),
    "*": ("mul", 20),
    "/": ("div", 20),
    "^": ("pow", 30),
    "**": ("pow", 30),
}
PREFIX = 25
COMPARISONS = (">", "<")

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eEf][+-]?\d+)?)"  # 1.2f-5 is a Julia Float32
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\*\*|[-+*/^(),<>])"
)
_FITTED = re.compile(r"t\d+")  # names of the tables that a search fits
_REFUSED: Mapping[str, str] = {
    ".": "attribute access is",
    "'": "strings are",
    '"': "strings are",
    "=": "assignments and keyword arguments are",
    "[": "lists and indices are",
    "{": "sets and dictionaries are",
    ":": "lambdas, slices and definitions are",
    "%": "the remainder is",
    ";": "several statements are",
}
_INSTEAD: Mapping[str, str] = {
    "<=": "1 - (a > b) for a <= b",
    ">=": "1 - (a < b) for a >= b",
    "\u2264": "1 - (a > b)",
    "\u2265": "1 - (a < b)",
    "==": "1 - (a > b) - (a < b) for a == b",
    "!=": "(a > b) + (a < b) for a != b",
    "&": "min(p, q) for conditions that both hold",
    "|": "max(p, q) for conditions of which one holds",
    "!": "1 - p for a condition that does not hold",
    "?": "select(p, a, b) for p ? a : b",
}
"""Signs of other languages, and what says the same here."""


def parse(
    text: str,
    variables: Sequence[str],
    functions: Mapping[str, LutFunc],
    custom: Mapping[str, Custom] | None = None,
) -> Expr:
    """Read a formula.

    Integer powers become squares, cubes and products; ``relu(x)`` becomes ``max(x, 0)``;
    ``log`` means ``log_abs`` and ``sqrt`` means ``sqrt_abs``; ``a > b`` and ``b < a`` mean
    ``greater(a, b)``, which is 1 or 0, and bind weaker than a sum.

    Args:
        text: such as ``0.5*x0^2 - sin(1.2f-1*x1)``.
        variables: the names it may use.
        functions: the LUT functions it may call, besides the operators.
        custom: the user's own operators; their calls are replaced by what they mean.

    Raises:
        ExpressionError: with the column, what is wrong there and what to write instead.

    >>> parse("-x^2 + 3f-1", ["x"], {})  # doctest: +NORMALIZE_WHITESPACE
    Call(op='add', args=(Call(op='neg', args=(Call(op='square', args=(Var(name='x'),)),)),
                         Num(value=0.3)))
    """
    if not isinstance(text, str) or not text.strip():
        msg = "the formula is empty; write for example 0.5*x + 1"
        raise ExpressionError(msg)
    try:
        expr = _Parser(text, variables, functions, custom or {}).whole()
        deep = depth(expr) > MAX_DEPTH
    except RecursionError:
        deep = True
    if deep:
        msg = (
            f"the formula {text[:40]!r}... is more than {MAX_DEPTH} levels deep (each term of a "
            "sum is one); split it, or group long sums with parentheses"
        )
        raise ExpressionError(msg)
    return expr


def names_in(text: str) -> tuple[str, ...]:
    """The names that a formula uses as variables: those that are not called.

    >>> names_in("0.5*sin(x0) - 1.2f-1*pt")
    ('x0', 'pt')
    """
    return _names(text, called=False)


def calls_in(text: str) -> tuple[str, ...]:
    """The names that a formula calls.

    >>> calls_in("0.5*sin(x0) - exp (pt)")
    ('sin', 'exp')
    """
    return _names(text, called=True)


def _names(text: str, *, called: bool) -> tuple[str, ...]:
    names = [m for m in _TOKEN.finditer(text) if m.lastgroup == "name"]
    found = [m[0] for m in names if text[m.end() :].lstrip().startswith("(") == called]
    return tuple(dict.fromkeys(found))


def power(base: Expr, exponent: int) -> Expr:
    """``base ** exponent`` for an exponent of 1 or more, out of squares, cubes and products."""
    if exponent == 1:
        return base
    if exponent == 3:
        return Call("cube", (base,))
    if exponent % 2:
        return Call("mul", (power(base, exponent - 1), base))
    return Call("square", (power(base, exponent // 2),))


class _Token(NamedTuple):
    kind: str  # number, name, sign or end
    text: str
    at: int


class _Parser:
    """Precedence climbing over the tokens of one text."""

    def __init__(
        self,
        text: str,
        variables: Sequence[str],
        functions: Mapping[str, LutFunc],
        custom: Mapping[str, Custom],
    ) -> None:
        self.text = text
        self.variables = frozenset(variables)
        self.luts = functions
        self.custom = custom
        builtin = (*OPERATORS, "relu", "pow")
        clash = [name for name in functions if name in builtin]
        if clash:
            msg = f"a LUT function is named {clash[0]!r}, which is an operator; rename it"
            raise ExpressionError(msg)
        known = (*builtin, *functions, *custom)
        # a user's own function called log is that one, not an alias
        self.aliases = {a: op for a, op in ALIASES.items() if op in known and a not in known}
        self.functions = (*known, *self.aliases)
        self.tokens = self._tokens()
        self.place = 0

    def whole(self) -> Expr:
        expr = self._expression(0)
        if self._here.kind != "end":
            self._fail(f"{self._here.text!r} does not belong here", "remove it")
        return expr

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            for sign in (self.text[at : at + 2], self.text[at]):
                if sign in _INSTEAD:
                    self._fail(f"{sign!r} is not part of a formula", f"write {_INSTEAD[sign]}", at)
            match = _TOKEN.match(self.text, at)
            if match is not None:
                tokens.append(_Token(str(match.lastgroup), match[0], at))
                at = match.end()
            elif self.text[at].isspace():
                at += 1
            else:
                what = _REFUSED.get(self.text[at], f"the character {self.text[at]!r} is")
                self._fail(f"{what} not part of a formula", _LANGUAGE, at)
        return [*tokens, _Token("end", "", len(self.text))]

    @property
    def _here(self) -> _Token:
        return self.tokens[self.place]

    def _next(self) -> _Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def _fail(self, what: str, remedy: str, at: int | None = None) -> NoReturn:
        at = self._here.at if at is None else at
        near = self.text[max(at - 8, 0) : at + 16]
        msg = f"formula, column {at + 1} (near {near!r}): {what}; {remedy}"
        raise ExpressionError(msg)

    def _expression(self, least: int) -> Expr:
        left = self._operand()
        while self._here.text in INFIX:
            at = self._here.at
            op, strength = INFIX[self._here.text]
            if strength < least:
                return left
            self._next()
            # a power is right-associative and takes a signed exponent
            right = self._expression(PREFIX if op == "pow" else strength + 1)
            left = self._operator(op, left, right, at)
            if strength == INFIX[">"][1] and self._here.text in COMPARISONS:
                self._fail("comparisons do not chain", "write (a > b)*(b > c) for a > b > c")
        if self._here.text == "(":
            self._fail("a value cannot be called", "write * for a product")
        if self._here.kind in ("name", "number"):
            self._fail("an operator is missing", "write * for a product")
        return left

    def _operand(self) -> Expr:
        token = self._next()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._name(token)
        if token.text == "(":
            inner = self._expression(0)
            self._expect(")")
            return inner
        if token.text == "-":
            inner = self._expression(PREFIX)
            return Num(-inner.value) if isinstance(inner, Num) else Call("neg", (inner,))
        if token.text == "+":
            return self._expression(PREFIX)
        found = f"found {token.text!r}" if token.text else "the formula ends"
        self._fail(f"a number, a variable or a function is expected, {found}", "add it", token.at)

    def _number(self, token: _Token) -> Expr:
        value = float(token.text.replace("f", "e"))
        if not math.isfinite(value):
            self._fail(f"the number {token.text} is too large", "use a finite one", token.at)
        return Num(value)

    def _name(self, token: _Token) -> Expr:
        name = token.text
        if self._here.text == "(":
            return self._function(token)
        if name in self.variables:
            return Var(name)
        if name in self.functions:
            self._fail(f"{name} is a function", f"write {name}(...)", token.at)
        if name.lower() in ("nan", "inf", "infinity"):
            self._fail(f"{name} is not a number to compute with", "use a finite one", token.at)
        if keyword.iskeyword(name):
            self._fail(f"{name!r} is not part of a formula", _LANGUAGE, token.at)
        self._fail(unknown("variable", name, sorted(self.variables)), "check the name", token.at)

    def _function(self, token: _Token) -> Expr:
        name = token.text
        if name not in self.functions:
            if name in self.variables:
                self._fail(f"{name} is a variable", f"write {name}*(...)", token.at)
            if _FITTED.fullmatch(name):
                remedy = "a fitted table belongs to a run; compile RUN:ID"
                self._fail(f"unknown function {name!r}", remedy, token.at)
            self._fail(unknown("function", name, self.functions), "check the name", token.at)
        args = self._arguments()
        op = self.aliases.get(name, name)
        arity = self._arity(op)
        if len(args) != arity:
            self._fail(f"{name} takes {arity} argument(s), not {len(args)}", "mend it", token.at)
        if op in self.custom:
            return self.custom[op].expand(args)
        if op == "relu":
            return Call("max", (args[0], Num(0.0)))
        if arity == 2:
            return self._operator(op, args[0], args[1], token.at)
        return Call(op, args)

    def _arity(self, op: str) -> int:
        known = OPERATORS.get(op) or self.custom.get(op)
        return known.arity if known else 2 if op == "pow" else 1

    def _arguments(self) -> tuple[Expr, ...]:
        self._expect("(")
        args: list[Expr] = []
        while self._here.text != ")":
            args.append(self._expression(0))
            if self._here.text != ",":
                break
            self._next()
        self._expect(")")
        return tuple(args)

    def _expect(self, sign: str) -> None:
        if self._here.text != sign:
            self._fail(f"{sign!r} is expected", f"close with {sign!r}")
        self._next()

    def _operator(self, op: str, left: Expr, right: Expr, at: int) -> Expr:
        if op == "pow":
            return self._power(left, right, at)
        if op == "less":
            return Call("greater", (right, left))
        if op == "div" and _reads_none(right) and fold(right, self.luts) == Num(0.0):
            self._fail("division by a constant that is zero", "change the divisor", at)
        return Call(op, (left, right))

    def _power(self, base: Expr, exponent: Expr, at: int) -> Expr:
        found = fold(exponent, self.luts) if _reads_none(exponent) else exponent
        n = found.value if isinstance(found, Num) else math.nan
        if not n.is_integer() or not 0 < abs(n) <= MAX_EXPONENT:
            remedy = "write sqrt_abs(x) for a root, or exp(y*log_abs(x))"
            self._fail(f"an exponent must be a whole number, 1..{MAX_EXPONENT}", remedy, at)
        chain = power(base, abs(int(n)))
        return chain if n > 0 else self._operator("div", Num(1.0), chain, at)


_LANGUAGE = "use numbers, variables, + - * / ^ > < ( ) and known functions only"


def _reads_none(expr: Expr) -> bool:
    return not variables_of(expr)
