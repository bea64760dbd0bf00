"""Sums of tables: each of one feature's address, or of the addresses of several features.

All tables are fitted together, with smooth entries, then rounded and lowered to lookups and an
adder tree an output. Of classes one is the reference, whose score is zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, span
from nacsr.frontends.reference.base import added
from nacsr.frontends.reference.cuts import Cut
from nacsr.frontends.reference.fitting import Goal, fit
from nacsr.ir import Builder
from nacsr.luts import LutFunc

Real = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTH, RIDGE = 2.0, 0.1
"""Penalties in events: on second differences, for every word of the address; on sizes of entries.
On 6,000 shipped jets, of 3, 30 and 200 events for any address and of sizes 0.1, 1 and 4, about
these were the best for addresses of 4 and 6 bits and for pairs."""


@dataclass(frozen=True, slots=True)
class Group:
    """What addresses one table: a cut of one feature or of more, the first in the highest bits.

    Attributes:
        places: indices of the features.
        cuts: one each.
    """

    places: tuple[int, ...]
    cuts: tuple[Cut, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Words of every address."""
        return tuple(1 << cut.bits for cut in self.cuts)

    @property
    def entries(self) -> int:
        """Of the table."""
        return int(np.prod(self.sizes))

    def address(self, words: Ints) -> Ints:
        """Addresses of raw words (events, features of the problem), shape (events,)."""
        found = np.zeros(len(words), np.int64)
        for place, cut in zip(self.places, self.cuts, strict=True):
            found = (found << cut.bits) + cut.address(words[:, place])
        return found

    def lower(self, b: Builder, inputs: Sequence[int]) -> tuple[int, Fixed]:
        """The value that addresses the table, and the domain that the table needs."""
        if len(self.cuts) == 1 and self.cuts[0].bits > 1:
            return self.cuts[0].lower(b, inputs[self.places[0]])
        pairs = zip(self.places, self.cuts, strict=True)
        parts = [cut.whole(b, inputs[place]) for place, cut in pairs]
        index = b.op("pack", *parts) if len(parts) > 1 else parts[0]
        width = sum(cut.bits for cut in self.cuts)
        return index, Fixed(width, width, signed=False).with_modes("TRN", "SAT")

    def penalty(self) -> Real:
        """Second differences along every address, and sizes."""
        found: Real = np.diag(np.full(self.entries, RIDGE))
        for axis, size in enumerate(self.sizes):
            bend: Real = np.diff(np.eye(size), 2, axis=0)
            parts: list[Real] = [np.eye(n) for n in self.sizes]
            parts[axis] = bend.T @ bend
            found = found + SMOOTH * size**2 / self.entries * _kron(parts)
        return found

    def record(self, names: Sequence[str]) -> dict[str, list[int]]:
        """For a genotype: drop, start and bits of every cut by feature."""
        cuts = zip(self.places, self.cuts, strict=True)
        return {names[place]: cut.record() for place, cut in cuts}


def _kron(parts: Sequence[Real]) -> Real:
    found: Real = parts[0]
    for part in parts[1:]:
        found = np.asarray(np.kron(found, part), np.float64)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """A fitted sum of tables.

    Attributes:
        groups: what addresses each table.
        tables: shape (entries, outputs) each.
        offsets: shape (outputs,).
    """

    groups: tuple[Group, ...]
    tables: tuple[Real, ...]
    offsets: Real

    def parts(self, words: Ints) -> list[Real]:
        """What each table adds, (events, outputs)."""
        pairs = zip(self.groups, self.tables, strict=True)
        return [table[group.address(words)] for group, table in pairs]

    def scores(self, words: Ints) -> Real:
        """Real scores of raw words (events, features), shape (events, outputs)."""
        return sum(self.parts(words), np.tile(self.offsets, (len(words), 1)))

    def referred(self, reference: int) -> Additive:
        """Scores minus that of one class, whose own are zero."""
        tables = tuple(t - t[:, [reference]] for t in self.tables)
        return Additive(self.groups, tables, self.offsets - self.offsets[reference])

    def column(self, output: int) -> Additive:
        """One output alone."""
        only = [output]
        return Additive(self.groups, tuple(t[:, only] for t in self.tables), self.offsets[only])

    def rounded(self, fracs: Ints, reference: int = 0) -> Rounded:
        """Entries in steps of ``2**-frac`` of their output, the smallest of every table zero."""
        least = [t.min(axis=0, keepdims=True) for t in self.tables]
        pairs = zip(self.tables, least, strict=True)
        tables = tuple(np.round(np.ldexp(t - low, fracs)).astype(np.int64) for t, low in pairs)
        offsets = sum((low[0] for low in least), self.offsets)
        whole = np.round(np.ldexp(offsets, fracs)).astype(np.int64)
        return Rounded(self.groups, tables, whole, fracs, reference)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """Tables of integers in steps of ``2**-frac`` of their output, and the class whose score is
    zero."""

    groups: tuple[Group, ...]
    tables: tuple[Ints, ...]
    offsets: Ints
    fracs: Ints
    reference: int = 0

    def scores(self, words: Ints) -> Ints:
        """Sums of raw words (events, features), shape (events, outputs), in steps."""
        found = np.tile(self.offsets, (len(words), 1))
        for group, table in zip(self.groups, self.tables, strict=True):
            found += table[group.address(words)]
        return found

    def shifted(self, steps: Ints) -> Rounded:
        """Other offsets, by so many steps (outputs,)."""
        return replace(self, offsets=self.offsets + steps)

    @property
    def bits(self) -> int:
        """LUTs of the tables: a bit of an entry takes one for every 64 addresses."""
        return sum(
            int(column.max()).bit_length() * -(-len(column) // 64)
            for table in self.tables
            for column in table.T
        )

    def lower(self, b: Builder, inputs: Sequence[int]) -> list[int]:
        """The sums, one an output: raw features in, rounded scores out."""
        indices = [group.lower(b, inputs) for group in self.groups]
        sums = []
        for c, frac in enumerate(self.fracs.tolist()):
            terms, first = [], int(self.offsets[c])
            for j, (index, domain) in enumerate(indices):
                values = self.tables[j][:, c]
                if values.min() == values.max():
                    first += int(values[0])
                    continue
                values, first = values + first, 0
                value = span(int(values.min()), int(values.max()), frac)
                table = LutFunc(f"t{j}_{c}", "", domain, value, values=tuple(values.tolist()))
                terms.append(b.narrow(table.lower(b, index)))
            if first or not terms:
                terms.append(b.const(first, span(first, first, frac)))
            sums.append(added(b, terms))
        return sums


def one_hot(groups: Sequence[Group], words: Ints) -> Any:
    """Sparse float32 matrix (events, entries of all tables)."""
    from scipy.sparse import csr_matrix

    ends = list(itertools.accumulate((g.entries for g in groups), initial=0))
    places = np.stack([g.address(words) + n for g, n in zip(groups, ends[:-1], strict=True)], 1)
    ones = np.ones(places.size, np.float32)
    starts = np.arange(0, places.size + 1, len(groups))
    return csr_matrix((ones, places.ravel(), starts), shape=(len(words), ends[-1]))


def fit_tables(
    groups: Sequence[Group], words: Ints, goal: Goal, start: Additive | None = None
) -> Additive:
    """The best tables for some groups, raw words (events, features) and a goal.

    Args:
        groups: one at least.
        words: raw.
        goal: of these events.
        start: a model whose tables of the same groups are begun with.
    """
    from scipy.sparse import block_diag

    penalty = block_diag([g.penalty() for g in groups]).tocsr()
    known = {} if start is None else dict(zip(start.groups, start.tables, strict=True))
    begin = [known.get(g, np.zeros((g.entries, goal.outputs))) for g in groups]
    found, offsets = fit(one_hot(groups, words), goal, penalty, np.concatenate(begin))
    ends = list(itertools.accumulate(g.entries for g in groups))[:-1]
    return Additive(tuple(groups), tuple(np.split(found, ends)), offsets)
