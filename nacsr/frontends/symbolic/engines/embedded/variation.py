"""Variation: how children differ from their parents."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator, Individual, size_of
from nacsr.frontends.symbolic.engines.embedded.normal import Column
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar, Tree, below, snap
from nacsr.frontends.symbolic.fitting.shapes import TABLE

TRIES = 4  # attempts at a legal mutation before the tree is kept as it is
SHARES = (0.25, 0.15, 0.30, 0.20, 0.10)  # of exchange, cross, mutate, add, drop
BOUNDS = tuple(accumulate(SHARES))[:-1]
WAVES = 4  # random terms of the library for every input and function
WINDOW = 64  # terms of the library that one greedy addition looks at
GLANCE = 2_500  # rows that it looks at: enough to tell the best of a window


class Library:
    """Standardised columns of simple terms, to pick the ones that explain a residual.

    At most ``limit`` terms, or all inputs if those are more; every so many rows of them.
    """

    def __init__(self, evaluator: Evaluator, rng: np.random.Generator, limit: int) -> None:
        grammar, inputs = evaluator.grammar, evaluator.grammar.inputs
        trees = [*grammar.simple(), *grammar.waves(rng, WAVES)]
        order = rng.permutation(len(trees)).tolist()
        # every input alone, and as many others as the limit leaves room for
        others = {i for i in order if i >= inputs}
        if len(trees) > limit:
            others = set([i for i in order if i >= inputs][: max(limit - inputs, 0)])
        kept = [i for i in order if i < inputs or i in others]
        terms = {trees[i]: evaluator.term(trees[i]) for i in kept}
        self.rows = slice(None, None, max(evaluator.rows // GLANCE, 1))
        usable = {t: term.column[self.rows] for t, term in terms.items() if term is not None}
        evaluator.evaluations += len(terms)
        self.trees: list[Tree] = list(usable)
        columns = list(usable.values()) or [np.empty(0, np.float32)]
        self.columns: Column = np.stack(columns)

    def match(self, residual: Column, first: int, count: int, rng: np.random.Generator) -> Tree:
        """One of the three terms most correlated with a residual of ``rows``, in a window."""
        window = self.columns[first : first + count]
        score = np.abs(window @ residual)
        best: list[int] = np.argsort(-score, kind="stable")[:3].tolist()
        odds = list(accumulate(score[best].tolist()))
        return self.trees[first + best[bisect(odds[:-1], rng.random() * odds[-1])]]


class Variation:
    """Makes the terms of a child from two parents.

    Args:
        evaluator: gives residuals for greedy additions.
        library: the simple terms.
        max_size: limit on the nodes of a whole individual.
    """

    def __init__(
        self, evaluator: Evaluator, library: Library, max_size: int, rng: np.random.Generator
    ) -> None:
        self.evaluator, self.library, self.rng = evaluator, library, rng
        self.grammar: Grammar = evaluator.grammar
        self.max_size = max_size
        self._moves = (self._exchange, self._cross, self._mutate, self._add, self._drop)

    def child(self, a: Individual, b: Individual) -> list[Tree]:
        """Terms of a child, within the size limit."""
        move = self._moves[bisect(BOUNDS, self.rng.random())]
        return self.trim(move(a, b), a, b)

    def trim(self, terms: Sequence[Tree], *parents: Individual) -> list[Tree]:
        """Distinct terms; those that weighed least in a parent are dropped until the size limit
        holds, then random ones.
        """
        kept = list(dict.fromkeys(terms))
        excess = self._size(kept) - self.max_size
        if excess <= 0:
            return kept
        weights: dict[Tree, float] = {}
        for parent in parents:
            for tree, weight in zip(parent.terms, parent.weights.tolist(), strict=True):
                weights[tree] = max(abs(weight), weights.get(tree, 0.0))
        weak = sorted((t for t in kept if t in weights), key=weights.__getitem__)
        while excess > 0 and len(kept) > 1:
            out = weak.pop(0) if weak else kept[below(self.rng, len(kept))]
            kept.remove(out)
            excess = self._size(kept) - self.max_size
        return kept

    def _size(self, terms: Sequence[Tree]) -> int:
        """Nodes of the whole sum, the user's operators written out."""
        return size_of([self.grammar.written_out(t) for t in terms])

    def greedy(self) -> list[Individual]:
        """A path of forward selection: one more term at every step, up to the size limit."""
        rng, library = self.rng, self.library
        count = min(int(2 ** rng.uniform(3, 10)), len(library.trees))
        first = int(rng.integers(len(library.trees) - count + 1))
        path: list[Individual] = []
        terms: list[Tree] = []
        residual = self.evaluator.target[library.rows]
        while True:
            terms = [*terms, library.match(residual, first, count, rng)]
            if len(set(terms)) < len(terms) or size_of(terms) > self.max_size:
                return path
            found = self.evaluator.assess(terms)
            if found is None:
                return path
            path.append(found)
            residual = self.evaluator.residual(found, library.rows)

    # --- moves on whole individuals --------------------------------------------------

    def _exchange(self, a: Individual, b: Individual) -> list[Tree]:
        """Terms of both parents, each with one half chance, but some of both."""
        union = list(dict.fromkeys(a.terms + b.terms))
        kept = [t for t in union if self.rng.random() < 0.5]
        return kept or [union[below(self.rng, len(union))]]

    def _cross(self, a: Individual, b: Individual) -> list[Tree]:
        """A subtree of a term of ``a`` replaced by one of ``b``."""
        donor = b.terms[below(self.rng, len(b.terms))]
        first, end = self._subtree(donor)
        return self._replace(a, lambda tree: self._graft(tree, donor[first : end + 1]))

    def _mutate(self, a: Individual, _: Individual) -> list[Tree]:
        moves = [self._point, self._grow, self._insert, self._hoist, self._constant]
        moves += [self._table] * self.grammar.tables
        return self._replace(a, moves[below(self.rng, len(moves))])

    def _add(self, a: Individual, _: Individual) -> list[Tree]:
        """One more term, chosen to explain what is left; weak terms make room for it."""
        count = min(WINDOW, len(self.library.trees))
        first = below(self.rng, len(self.library.trees) - count + 1)
        residual = self.evaluator.residual(a, self.library.rows)
        new = self.library.match(residual, first, count, self.rng)
        order = np.argsort(np.abs(a.weights), kind="stable").tolist()
        kept = dict(enumerate(a.terms))
        while size_of([*kept.values(), new]) > self.max_size and kept:
            del kept[order.pop(0)]
        return [*kept.values(), new]

    def _drop(self, a: Individual, _: Individual) -> list[Tree]:
        """One term less: the weakest, or any."""
        weakest = self.rng.random() < 0.5
        out = int(np.argmin(np.abs(a.weights)) if weakest else self.rng.integers(len(a.terms)))
        return [t for i, t in enumerate(a.terms) if i != out] or list(a.terms)

    def _replace(self, a: Individual, change: Callable[[Tree], Tree]) -> list[Tree]:
        """The terms of ``a`` with one of them changed, if a try gives a legal tree."""
        place = below(self.rng, len(a.terms))
        tree = a.terms[place]
        for _ in range(TRIES):
            new = change(tree)
            if new != tree and self.grammar.allows(new):
                return [*a.terms[:place], new, *a.terms[place + 1 :]]
        return list(a.terms)

    # --- moves on one term -----------------------------------------------------------

    def _subtree(self, tree: Tree) -> tuple[int, int]:
        """First and last symbol of a random subtree."""
        end = below(self.rng, len(tree))
        return self.grammar.start(tree, end), end

    def _graft(self, tree: Tree, new: Tree) -> Tree:
        first, end = self._subtree(tree)
        return tree[:first] + new + tree[end + 1 :]

    def _point(self, tree: Tree) -> Tree:
        """One symbol replaced by another with as many arguments."""
        at = below(self.rng, len(tree))
        arity = self.grammar.arity.get(tree[at], 0)
        if arity == 0:
            new = self.grammar.leaf(self.rng)[0]
        else:
            peers = [s for s in self.grammar.symbols if self.grammar.arity[s] == arity]
            new = peers[below(self.rng, len(peers))] if peers else tree[at]
        return (*tree[:at], new, *tree[at + 1 :])

    def _grow(self, tree: Tree) -> Tree:
        """A subtree replaced by a random one."""
        return self._graft(tree, self.grammar.grow(self.rng, 3))

    def _insert(self, tree: Tree) -> Tree:
        """An operator put above a subtree, its other argument random."""
        symbols = self.grammar.symbols
        if not symbols:
            return tree
        symbol = symbols[below(self.rng, len(symbols))]
        _, end = self._subtree(tree)
        others = [self.grammar.grow(self.rng, 2) for _ in range(self.grammar.arity[symbol] - 1)]
        return (*tree[: end + 1], *(s for o in others for s in o), symbol, *tree[end + 1 :])

    def _table(self, tree: Tree) -> Tree:
        """A term put into a fitted table, or taken out of one."""
        return tree[:-1] if tree[-1] == TABLE else (*tree, TABLE)

    def _hoist(self, tree: Tree) -> Tree:
        """A term replaced by a part of itself."""
        first, end = self._subtree(tree)
        return tree[first : end + 1]

    def _constant(self, tree: Tree) -> Tree:
        """A constant disturbed, or one brought in as a factor or a shift."""
        at = [i for i, s in enumerate(tree) if isinstance(s, float)]
        if at:
            i = at[below(self.rng, len(at))]
            value = float(tree[i])
            new = snap(value * (1 + 0.3 * self.rng.normal()) + 0.1 * self.rng.normal())
            return (*tree[:i], new, *tree[i + 1 :])
        symbols = [s for s in ("add", "mul") if s in self.grammar.operators]
        if not symbols:
            return tree
        _, end = self._subtree(tree)
        symbol = symbols[below(self.rng, len(symbols))]
        return (*tree[: end + 1], snap(self.rng.normal()), symbol, *tree[end + 1 :])
