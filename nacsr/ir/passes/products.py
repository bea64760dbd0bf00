"""Products: powers by squaring, and the narrowest factors multiplied first.

x·x·x·x takes two multiplications as (x·x)·(x·x), not three. Of n factors in any order the
product has the same bits; narrow ones first keep the multipliers in between small, so that
they stay in LUTs or one DSP, and scalars first keep them few where tensors follow.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph
from nacsr.ir.passes.values import attempt, literal, lone

Power = tuple[int, int]
"""A base and its exponent."""


class Products:
    """The products of a graph that is being rebuilt, told of every ``mul`` in order.

    Only products that nothing but another product reads are taken apart, so that no
    multiplication is ever added.
    """

    def __init__(self, graph: Graph) -> None:
        single = lone(graph)
        self.inner = {
            a
            for op in graph.ops
            for a in op.args
            if op.name == graph.ops[a].name == "mul" and a in single
        }
        self.order = iter([i for i, op in enumerate(graph.ops) if op.name == "mul"])
        self.factors: dict[int, tuple[int, ...]] = {}  # of inner products
        self.powers: dict[Power, int] = {}
        self.roots: dict[int, Power] = {}

    def visit(self, b: Builder, args: tuple[int, ...], simpler: int | None) -> int:
        """The product of ``args``; or ``simpler``, what a rule has made of it."""
        index = next(self.order)
        if simpler is not None:
            return simpler
        factors: list[int] = []
        for arg in args:
            factors += self.factors.get(arg, (arg,))
        if index in self.inner:  # its reader multiplies the factors
            made = b.op("mul", *args)
            self.factors[made] = tuple(factors)
            return made
        return self._product(b, factors)

    def _product(self, b: Builder, factors: list[int]) -> int:
        counts: Counter[int] = Counter()
        for factor in _one_constant(b, factors):
            base, exponent = self.roots.get(factor, (factor, 1))
            counts[base] += exponent
        heap = [_sized(b, self._power(b, x, n)) for x, n in counts.items()]
        heapq.heapify(heap)
        while len(heap) > 1:
            one, other = heapq.heappop(heap)[-1], heapq.heappop(heap)[-1]
            heapq.heappush(heap, _sized(b, b.op("mul", one, other)))
        return heap[0][-1]

    def _power(self, b: Builder, base: int, exponent: int) -> int:
        """``base ** exponent`` out of two powers that are there, by squaring where none are."""
        if exponent == 1:
            return base
        made = self.powers.get((base, exponent))
        if made is None:
            splits = range(exponent // 2, 0, -1)
            there = (n for n in splits if self._has(base, n) and self._has(base, exponent - n))
            n = next(there, 1 if exponent % 2 else exponent // 2)
            made = b.op("mul", self._power(b, base, n), self._power(b, base, exponent - n))
            self.powers[base, exponent] = made
            self.roots[made] = base, exponent
        return made

    def _has(self, base: int, exponent: int) -> bool:
        return exponent == 1 or (base, exponent) in self.powers


def _sized(b: Builder, index: int) -> tuple[int, int, int]:
    """Order of multiplication: fewest elements, then fewest bits first."""
    return math.prod(b.ops[index].shape), b.type(index).width, index


def _one_constant(b: Builder, factors: list[int]) -> list[int]:
    """The factors with all scalar constants among them as one."""
    known = [f for f in factors if b.ops[f].name == "const" and not b.ops[f].shape]
    if len(known) < 2:
        return factors
    word = math.prod(b.ranges[f][0] for f in known)
    frac = sum(b.type(f).frac for f in known)
    made = attempt(literal, b, word, frac)
    return factors if made is None else [*(f for f in factors if f not in known), made]
