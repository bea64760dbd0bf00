"""From an ensemble of trees to the IR: comparators, tables of their answers, sums.

Every question is one comparator, however many trees ask it. A tree becomes a table that is
addressed by the answers, or a choice between two smaller ones, whichever takes fewer LUTs; trees
of one output whose questions fit one LUT become one table where that saves an adder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nacsr.data.words import Feature
from nacsr.fixed import Fixed, span
from nacsr.frontends.reference.base import added, inputs
from nacsr.frontends.reference.trees.model import (
    Ensemble,
    Ints,
    Node,
    Question,
    Split,
    asked,
    known,
    leaves,
    tabulated,
)
from nacsr.ir import Builder, Graph
from nacsr.ir.passes.thresholds import LUT_INPUTS

LARGEST = 10
"""Questions of the largest table that is made of one tree: it has 2**10 words."""
BIT = Fixed(1, 1, False)


def lower(ensemble: Ensemble, features: Sequence[Feature], outputs: Sequence[str]) -> Graph:
    """The design: one scalar port a feature that is asked about, one output a sum.

    Args:
        ensemble: its scores are the outputs' raw words, bit for bit.
        features: names and words of the inputs.
        outputs: names.
    """
    b = Builder()
    ports = inputs(b, features)
    bits: dict[Question, int] = {}
    for test in ensemble.tests:
        bits[test] = _comparator(b, ports[test.feature], test.threshold)
    for place, name in enumerate(outputs):
        roots = [tree.root for tree in ensemble.trees if tree.output == place]
        b.output(name, _sum(b, bits, roots, ensemble.base[place], ensemble.fracs[place]))
    return b.build()


def _comparator(b: Builder, index: int, threshold: int) -> int:
    low, high = b.ranges[index]
    if not low < threshold <= high:
        return b.const(int(threshold <= low), BIT)
    constant = b.const(threshold, span(threshold, threshold, b.type(index).frac))
    return b.op("compare", index, constant, kind="ge")


def _sum(b: Builder, bits: dict[Question, int], roots: Sequence[Node], base: int, frac: int) -> int:
    """Trees whose smallest leaf is zero, merged; one of them takes over the constant."""
    lows = [min(leaves(root)) for root in roots]
    base += sum(lows)
    shifted = [moved(root, -low) for root, low in zip(roots, lows, strict=True)]
    parts = merged([root for root in shifted if isinstance(root, Split)])
    if parts and base:
        grows = [luts(moved(root, base)) - luts(root) for root in parts]
        best = int(np.argmin(grows))
        if grows[best] <= _width(max(sum(max(leaves(r)) for r in parts), abs(base))) / 2:
            parts[best], base = moved(parts[best], base), 0
    terms = [_tree(b, bits, root, frac) for root in parts]
    if base or not terms:
        terms.append(b.const(base, span(base, base, frac)))
    return b.narrow(added(b, terms))


def _tree(b: Builder, bits: dict[Question, int], root: Node, frac: int) -> int:
    if not isinstance(root, Split):
        return b.const(root, span(root, root, frac))
    plan = _plan(root)
    if plan.table:
        tests, words = table(root)
        type_ = span(min(words), max(words), frac)
        address = b.op("pack", *(bits[t] for t in tests))
        return b.op("lut", address, type=type_, function="tree", table=np.array(words, np.int64))
    above, below = (_tree(b, bits, known(side, root.test, h), frac) for side, h in _sides(root))
    return b.op("select", bits[root.test], above, below)


def _sides(root: Split) -> tuple[tuple[Node, bool], tuple[Node, bool]]:
    return (root.above, True), (root.below, False)


# --- trees as functions ----------------------------------------------------------------------


def moved(node: Node, by: int) -> Node:
    """The tree with something added to every leaf."""
    if not isinstance(node, Split):
        return node + by
    return Split(node.test, moved(node.below, by), moved(node.above, by))


def table(root: Node) -> tuple[tuple[Question, ...], tuple[int, ...]]:
    """Questions, each once, and the leaf for all their answers, the first one's bit the highest.

    Answers that contradict each other get the leaf that the tree would give them.
    """
    tests = tuple(sorted(set(asked(root))))
    address = np.arange(1 << len(tests))
    place = {t: len(tests) - 1 - k for k, t in enumerate(tests)}
    found = np.empty(len(address), np.int64)

    def descend(node: Node, rows: Ints) -> None:
        if not isinstance(node, Split):
            found[rows] = node
            return
        holds = (address[rows] >> place[node.test]) & 1 == 1
        descend(node.below, rows[~holds])
        descend(node.above, rows[holds])

    descend(root, np.arange(len(address)))
    return tests, tuple(found.tolist())


def merged(roots: Sequence[Node]) -> list[Node]:
    """Trees of one output, some of them joined where one table is cheaper than two and a sum."""
    waiting = sorted(roots, key=lambda r: len(set(asked(r))))
    found: list[Node] = []
    while waiting:
        root = waiting.pop(0)
        tests = set(asked(root))
        while True:
            fitting = [
                (_saved(root, other), k)
                for k, other in enumerate(waiting)
                if len(tests | set(asked(other))) <= LUT_INPUTS
            ]
            saved, k = max(fitting, default=(0.0, 0))
            if saved <= 0:
                break
            root = both(root, waiting.pop(k))
            tests = set(asked(root))
        found.append(root)
    return found


def both(one: Node, other: Node) -> Node:
    """One table for the sum of two trees."""
    tests = tuple(sorted(set(asked(one)) | set(asked(other))))
    rows = np.arange(1 << len(tests))
    holds = {t: (rows >> (len(tests) - 1 - k)) & 1 == 1 for k, t in enumerate(tests)}

    def at(node: Node, row: int) -> int:
        while isinstance(node, Split):
            node = node.above if holds[node.test][row] else node.below
        return node

    return tabulated(tests, tuple(at(one, r) + at(other, r) for r in rows.tolist()))


def _saved(one: Node, other: Node) -> float:
    adder = _width(max(leaves(one)) + max(leaves(other)))
    joint = both(one, other)
    return luts(one) + luts(other) + adder - luts(joint) if isinstance(joint, Split) else adder


# --- what they take --------------------------------------------------------------------------


def _width(word: int) -> int:
    return max(word.bit_length(), 1)


@dataclass(frozen=True, slots=True)
class _Plan:
    """LUTs of one bit of a tree's word, and whether it is one table."""

    luts: int
    table: bool


def luts(root: Node) -> int:
    """About what a tree takes behind its comparators."""
    if not isinstance(root, Split):
        return 0
    found = list(leaves(root))
    type_ = span(min(found), max(found), 0)
    return type_.width * _plan(root).luts


@lru_cache(maxsize=1 << 14)
def _plan(root: Split) -> _Plan:
    """A table of ``k`` bits is 4 tables of ``k - 2`` bits and a LUT that chooses one, or two of
    ``k - 1``; a choice between two trees goes into the LUT of one that leaves it two inputs."""
    tests = set(asked(root))
    whole = _table_luts(len(tests))
    if len(tests) <= LUT_INPUTS:
        return _Plan(whole, True)
    sides = [known(side, root.test, h) for side, h in _sides(root)]
    split = 1 + sum(_plan(s).luts for s in sides if isinstance(s, Split))
    room = any(len(set(asked(s))) <= LUT_INPUTS - 2 for s in sides)
    split -= room
    return _Plan(min(whole, split), len(tests) <= LARGEST and whole <= split)


@lru_cache
def _table_luts(inputs: int) -> int:
    """Of one bit of a table without any order in it.

    >>> [_table_luts(n) for n in (1, 6, 7, 8, 9, 10)]
    [1, 1, 3, 5, 11, 21]
    """
    found = [1] * (LUT_INPUTS + 1)
    while len(found) <= inputs:  # deep trees ask a thousand questions
        four = 4 * found[-2] if len(found) > 7 else 99
        found.append(min(2 * found[-1], four) + 1)
    return found[inputs]
