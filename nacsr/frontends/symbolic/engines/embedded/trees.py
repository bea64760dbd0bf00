"""Terms as postfix trees: what may be written, and how random ones are drawn.

A tree is a tuple of symbols in postfix order: ``$3`` is input 3, a float is a constant,
any other string is an operator or a LUT function. ``x0 * (x1 + 0.5)`` is
``("$0", "$1", 0.5, "add", "mul")``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.digits import two_digits
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Num, Var, substitute

Symbol = str | float
Tree = tuple[Symbol, ...]

GRID = 2.0**-6
"""Inner constants are multiples of this: exact at any sensible precision, and short to print."""


CHOICES = frozenset({"cond", "select"})
"""Operators whose first argument decides."""

WIDTHS = (-1.0, 3.5)
"""Logarithms of the factors of random waves: inputs have unit variance."""


def variable(j: int) -> str:
    """The symbol of input ``j``."""
    return f"${j}"


def snap(value: float) -> float:
    """A nearby inner constant of two signed digits that is not zero: a cheap factor."""
    return two_digits(value, GRID) or GRID


def below(rng: np.random.Generator, count: int) -> int:
    """A random number of 0 ... count - 1; ``integers`` takes several times as long for one."""
    return int(rng.random() * count)


@dataclass(frozen=True, slots=True)
class Grammar:
    """The symbols of a search and the limits of one term.

    Attributes:
        inputs: number of inputs.
        operators: operators to use, keys of ``OPERATORS``.
        functions: names of LUT functions.
        max_size: nodes of one term.
        max_depth: nodes on a path from the root to a leaf.
        nesting: how often a symbol may be on a path below another, where it is limited; None:
            no function sits inside another.
        tables: whether a term may be a fitted table, whose symbol is at its root only.
        custom: the user's operators: number of arguments, and what they stand for with ``$0``,
            ``$1``, ... for these. Limits hold for the tree that has this in place of them.
        called: ``functions``, and those that the user's operators are made of.
        arity: arguments of every symbol that takes any.
        rules: ``nesting``, or what stands for none.
        bound: the symbols that these speak of.
    """

    inputs: int
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    max_size: int
    max_depth: int
    nesting: Mapping[str, Mapping[str, int]] | None = None
    tables: bool = False
    custom: Mapping[str, tuple[int, Tree]] = field(default_factory=dict)
    called: tuple[str, ...] = field(init=False)
    arity: Mapping[Symbol, int] = field(init=False)
    rules: Mapping[str, Mapping[str, int]] = field(init=False)
    bound: frozenset[Symbol] = field(init=False)

    def __post_init__(self) -> None:
        called = tuple(dict.fromkeys((*self.functions, *self._inside())))
        arity: dict[Symbol, int] = {o: OPERATORS[o].arity for o in OPERATORS}
        arity.update(dict.fromkeys(called, 1) | {TABLE: 1})
        arity.update({name: n for name, (n, _) in self.custom.items()})
        never = {f: dict.fromkeys(called, 0) for f in called}
        object.__setattr__(self, "called", called)
        object.__setattr__(self, "arity", arity)
        rules = never if self.nesting is None else self.nesting
        object.__setattr__(self, "rules", rules)
        bound = frozenset(rules).union(*rules.values())
        object.__setattr__(self, "bound", bound)

    def _inside(self) -> list[str]:
        """Functions that the user's operators are made of."""
        symbols = [s for _, body in self.custom.values() for s in body if isinstance(s, str)]
        return [s for s in symbols if s not in OPERATORS and not s.startswith("$")]

    @property
    def symbols(self) -> tuple[str, ...]:
        """What may be put into a tree, besides leaves."""
        return (*self.operators, *self.functions, *self.custom)

    def start(self, tree: Tree, end: int) -> int:
        """Where the subtree whose root is at ``end`` begins."""
        missing, i = 1, end
        while missing:
            missing += self.arity.get(tree[i], 0) - 1
            i -= 1
        return i + 1

    def arguments(self, tree: Tree) -> list[Tree]:
        """The subtrees that the root of ``tree`` takes."""
        found, end = [], len(tree) - 2
        for _ in range(self.arity.get(tree[-1], 0)):
            first = self.start(tree, end)
            found.append(tree[first : end + 1])
            end = first - 1
        return found[::-1]

    def allows(self, tree: Tree) -> bool:
        """Whether size, depth and nesting hold, also with the user's operators written out, and
        no node has constants only, nor a choice a constant condition.
        """
        body = tree[:-1] if tree and tree[-1] == TABLE and self.tables else tree
        if TABLE in body or not self._within(body):
            return False
        whole = self.written_out(body)
        return whole is body or self._within(whole, folds=True)

    def _within(self, body: Tree, *, folds: bool = False) -> bool:
        """Whether the limits hold; nodes of constants only, which fold, are in definitions only."""
        if not 0 < len(body) <= self.max_size:
            return False
        stack: list[int] = []  # levels; -1 for a constant
        for symbol in body:
            arity = self.arity.get(symbol, 0)
            if arity == 0:
                stack.append(-1 if isinstance(symbol, float) else 1)
                continue
            deepest = max(stack[-arity:])
            constant = deepest < 0 or (symbol in CHOICES and stack[-arity] < 0)
            if deepest >= self.max_depth or (constant and not folds):
                return False
            del stack[-arity:]
            stack.append(deepest + 1 if deepest > 0 else deepest)
        return len(stack) == 1 and stack[0] > 0 and self._nests(body)

    def _nests(self, body: Tree) -> bool:
        """Whether no symbol is below another more often than the rules say."""
        rules = self.rules
        if sum([symbol in self.bound for symbol in body]) < 2:
            return True
        stack: list[Counter[Symbol]] = []  # most on a path
        for symbol in body:
            arity = self.arity.get(symbol, 0)
            below = Counter[Symbol]()
            for counts in stack[len(stack) - arity :]:
                below |= counts
            if any(below[inner] > most for inner, most in rules.get(str(symbol), {}).items()):
                return False
            del stack[len(stack) - arity :]
            if arity:
                below[symbol] += 1
            stack.append(below)
        return True

    def written_out(self, tree: Tree) -> Tree:
        """The tree with what the user's operators stand for in their place.

        Calls of calls grow fast, so that a part which is longer than ``max_size`` is given back as
        soon as there is one: no term may be that long.
        """
        if not self.custom or self.custom.keys().isdisjoint(tree):
            return tree
        stack: list[Tree] = []
        for symbol in tree:
            first = len(stack) - self.arity.get(symbol, 0)
            part = (*(s for argument in stack[first:] for s in argument), symbol)
            stack[first:] = [self.inlined(part) if symbol in self.custom else part]
            if len(stack[-1]) > self.max_size:
                break
        return stack[-1]

    def inlined(self, tree: Tree) -> Tree:
        """A tree whose root is the user's operator, with what that stands for."""
        arguments = self.arguments(tree)
        _, body = self.custom[str(tree[-1])]
        places: dict[Symbol, Tree] = {variable(i): a for i, a in enumerate(arguments)}
        return tuple(s for symbol in body for s in places.get(symbol, (symbol,)))

    def leaf(self, rng: np.random.Generator) -> Tree:
        """A random input, or sometimes a constant."""
        if rng.random() < 0.15:
            return (snap(rng.normal()),)
        return (variable(below(rng, self.inputs)),)

    def grow(self, rng: np.random.Generator, depth: int) -> Tree:
        """A random tree of at most ``depth`` levels; it may break a limit, see ``allows``."""
        symbols = self.symbols
        if depth <= 1 or not symbols or rng.random() < 0.25:
            return self.leaf(rng)
        symbol = symbols[below(rng, len(symbols))]
        tree: Tree = ()
        for _ in range(self.arity[symbol]):
            tree += self.grow(rng, depth - 1)
        return (*tree, symbol)

    def simple(self) -> list[Tree]:
        """Every small term that is worth trying first: inputs, products, function calls."""
        x = [variable(j) for j in range(self.inputs)]
        pairs = [(a, b) for i, a in enumerate(x) for b in x[i + 1 :]]
        trees: list[Tree] = [(a,) for a in x]
        trees += [(a, o) for o in ("abs", "square") if o in self.operators for a in x]
        if "mul" in self.operators and "square" not in self.operators:
            trees += [(a, a, "mul") for a in x]
        for symmetric in ("mul", "min", "max"):
            if symmetric in self.operators:
                trees += [(a, b, symmetric) for a, b in pairs]
        for f in self.functions:
            trees += [(a, f) for a in x]
            if "mul" in self.operators:
                trees += [(a, c, "mul", f) for c in (0.5, 2.0) for a in x]
            if "add" in self.operators:
                trees += [(a, c, "add", f) for c in (-1.0, 1.0) for a in x]
        if "greater" in self.operators:
            trees += [(a, c, "greater") for c in (-1.0, -0.5, 0.0, 0.5, 1.0) for a in x]
        if self.tables:
            trees += [(a, TABLE) for a in x]
            for binary in ("add", "sub", "mul", "min", "max"):
                if binary in self.operators:
                    trees += [(a, b, binary, TABLE) for a, b in pairs]
        return trees

    def waves(self, rng: np.random.Generator, count: int) -> list[Tree]:
        """Functions of an input times a random factor plus a random shift, ``count`` for each
        input and function: bumps and steps of many widths, as in random features (Rahimi and
        Recht, NIPS 2007).
        """
        if not {"mul", "add"} <= set(self.operators):
            return []
        found: dict[Tree, None] = {}
        for f in self.functions:
            for j in range(self.inputs):
                for _ in range(count):
                    factor, shift = 2.0 ** rng.uniform(*WIDTHS), rng.normal()
                    tree = (variable(j), snap(factor), "mul", snap(shift), "add", f)
                    found[tree] = None
        return [tree for tree in found if self.allows(tree)]

    def tree(self, expr: Expr, names: Sequence[str]) -> Tree:
        """The inverse of ``expression``."""
        match expr:
            case Num(value):
                return (float(value),)
            case Var(name):
                return (variable(names.index(name)),)
            case Call(op, args):
                return (*(s for a in args for s in self.tree(a, names)), op)

    def expression(self, tree: Tree, names: Sequence[str]) -> Expr:
        """The tree as an expression in the inputs' names."""
        stack: list[Expr] = []
        for symbol in tree:
            arity = self.arity.get(symbol, 0)
            if arity:
                args = tuple(stack[-arity:])
                del stack[-arity:]
                stack.append(self._call(str(symbol), args))
            elif isinstance(symbol, float):
                stack.append(Num(symbol))
            else:
                stack.append(Var(names[int(symbol[1:])]))
        return stack[0]

    def _call(self, symbol: str, args: tuple[Expr, ...]) -> Expr:
        if symbol not in self.custom:
            return Call(symbol, args)
        places = [variable(i) for i in range(len(args))]
        body = self.expression(self.custom[symbol][1], places)
        return substitute(body, dict(zip(places, args, strict=True)))
