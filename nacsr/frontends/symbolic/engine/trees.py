"""Terms as postfix trees: what may be written, and how random ones are drawn.

A tree is a tuple of symbols in postfix order: ``$3`` is input 3, a float is a constant,
any other string is an operator or a LUT function. ``x0 * (x1 + 0.5)`` is
``("$0", "$1", 0.5, "add", "mul")``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nacsr.frontends.symbolic.digits import two_digits
from nacsr.frontends.symbolic.expr import OPERATORS, Call, Expr, Num, Var

Symbol = str | float
Tree = tuple[Symbol, ...]

GRID = 2.0**-6
"""Inner constants are multiples of this: exact at any sensible precision, and short to print."""


def variable(j: int) -> str:
    """The symbol of input ``j``."""
    return f"${j}"


def snap(value: float) -> float:
    """A nearby inner constant of two signed digits that is not zero: a cheap factor."""
    return two_digits(value, GRID) or GRID


@dataclass(frozen=True, slots=True)
class Grammar:
    """The symbols of a search and the limits of one term.

    Attributes:
        inputs: number of inputs.
        operators: operators to use, keys of ``OPERATORS``.
        functions: names of LUT functions; one never sits inside another.
        max_size: nodes of one term.
        max_depth: nodes on a path from the root to a leaf.
        arity: arguments of every symbol that takes any.
    """

    inputs: int
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    max_size: int
    max_depth: int
    arity: Mapping[Symbol, int] = field(init=False)

    def __post_init__(self) -> None:
        arity: dict[Symbol, int] = {o: OPERATORS[o].arity for o in self.operators}
        arity.update({f: 1 for f in self.functions})
        object.__setattr__(self, "arity", arity)

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
        """Whether size, depth and nesting hold, and no node has constants only."""
        if not tree or len(tree) > self.max_size:
            return False
        stack: list[tuple[int, int, bool]] = []  # depth, functions on the path, is constant
        for symbol in tree:
            arity = self.arity.get(symbol, 0)
            if arity == 0:
                stack.append((1, 0, isinstance(symbol, float)))
                continue
            nodes = stack[-arity:]
            del stack[-arity:]
            depth = 1 + max(n[0] for n in nodes)
            nested = max(n[1] for n in nodes) + (symbol in self.functions)
            if depth > self.max_depth or nested > 1 or all(n[2] for n in nodes):
                return False
            stack.append((depth, nested, False))
        return len(stack) == 1 and not stack[0][2]

    def leaf(self, rng: np.random.Generator) -> Tree:
        """A random input, or sometimes a constant."""
        if rng.random() < 0.15:
            return (snap(rng.normal()),)
        return (variable(int(rng.integers(self.inputs))),)

    def grow(self, rng: np.random.Generator, depth: int) -> Tree:
        """A random tree of at most ``depth`` levels; it may break a limit, see ``allows``."""
        symbols = self.operators + self.functions
        if depth <= 1 or not symbols or rng.random() < 0.25:
            return self.leaf(rng)
        symbol = symbols[int(rng.integers(len(symbols)))]
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
        return trees

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
                call = Call(str(symbol), tuple(stack[-arity:]))
                del stack[-arity:]
                stack.append(call)
            elif isinstance(symbol, float):
                stack.append(Num(symbol))
            else:
                stack.append(Var(names[int(symbol[1:])]))
        return stack[0]
