"""Additive tables: one fitted table a feature and class, summed; the class with the largest sum.

A word is cut to a short address (low bits dropped, a start subtracted, the ends saturated), all
tables are fitted together (multinomial or least squares, with smooth entries), rounded, and
lowered to lookups and an adder tree a class. One class is the reference: its score is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from symbolic_data import Task

from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.fixed import Fixed, span
from nacsr.ir import Builder, Graph
from nacsr.luts import LutFunc

Real = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTH, RIDGE = 3.0, 0.1
"""Penalties on second differences and on sizes of entries, in events."""
STEPS = 200
ROWS = 40_000  # events that a cut is chosen on


@dataclass(frozen=True, slots=True)
class Cut:
    """From a raw word to an address: ``clip((word >> drop) - start, 0, 2**bits - 1)``."""

    drop: int
    start: int
    bits: int

    def address(self, words: Ints) -> Ints:
        """Addresses of raw words."""
        return np.clip((words >> self.drop) - self.start, 0, (1 << self.bits) - 1)

    def effort(self, word: Fixed) -> int:
        """0 where the address is a slice of the word; saturation adds one, a start two."""
        low, high = word.min_raw >> self.drop, word.max_raw >> self.drop
        clips = low < self.start or high >= self.start + (1 << self.bits)
        return int(clips) + 2 * (self.start != 0)

    def lower(self, b: Builder, index: int) -> tuple[int, Fixed]:
        """The index of the word in units of the address, and the domain that tables need."""
        frac = b.type(index).frac - self.drop
        low, high = (end >> self.drop for end in b.ranges[index])
        index = b.cast(index, span(low, high, frac))
        if self.start:
            index = b.op("sub", index, b.const(self.start, span(self.start, self.start, frac)))
        return index, Fixed(self.bits, self.bits - frac, signed=False).with_modes("TRN", "SAT")


def choose_cut(words: Ints, y: Ints, word: Fixed, bits: int, slack: float) -> Cut:
    """The cut whose address says most about the class; of those that say less by ``slack`` of
    mutual information (in nats) at most, the one that takes the least hardware.

    Args:
        words: raw words of one feature, shape (events,).
        y: class indices.
        word: type of the words.
        bits: of the address.
        slack: zero or positive.
    """
    found = {}
    ends = np.quantile(words, (0.0, 0.001, 0.01, 0.05, 0.5)).astype(np.int64)
    for drop in range(max(word.width - bits, 0) + 1):
        starts = {0, *(ends >> drop).tolist(), int(ends[-1] >> drop) - (1 << bits - 1)}
        for start in starts:
            cut = Cut(drop, start, bits)
            found[cut] = _information(cut.address(words), y)
    best = max(found.values())
    good = [cut for cut, told in found.items() if told >= best - slack]
    return min(good, key=lambda cut: (cut.effort(word), -found[cut]))


def _information(address: Ints, y: Ints) -> float:
    """Mutual information of address and class, in nats."""
    counts = np.zeros((address.max() + 1, y.max() + 1))
    np.add.at(counts, (address, y), 1.0)
    joint = counts / counts.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def one_hot(addresses: Ints, entries: int):
    """Sparse float32 design matrix (events, features * entries) of addresses (events, features)."""
    from scipy.sparse import csr_matrix

    rows, features = addresses.shape
    places = (addresses + np.arange(features) * entries).ravel()
    ones = np.ones(places.size, np.float32)
    starts = np.arange(0, places.size + 1, features)
    return csr_matrix((ones, places, starts), shape=(rows, features * entries))


def _penalty(features: int, entries: int):
    from scipy.sparse import block_diag

    bend = np.diff(np.eye(entries), 2, axis=0)
    block = SMOOTH * bend.T @ bend + RIDGE * np.eye(entries)
    return block_diag([block] * features).tocsr()


def fit_least_squares(addresses: Ints, y: Ints, entries: int, classes: int) -> Real:
    """Tables (features, entries, classes) whose sums are nearest to the one-hot classes."""
    a = one_hot(addresses, entries)
    normal = (a.T @ a).toarray() + _penalty(addresses.shape[1], entries).toarray()
    target = np.eye(classes)[y]
    fitted = np.linalg.solve(normal, a.T @ (target - target.mean(0)))
    return fitted.reshape(-1, entries, classes)


def fit_softmax(addresses: Ints, y: Ints, entries: int, classes: int) -> tuple[Real, Real]:
    """Tables (features, entries, classes) and offsets (classes,) of the largest likelihood."""
    from scipy.optimize import minimize

    a, smooth = one_hot(addresses, entries), _penalty(addresses.shape[1], entries)
    across, rows = a.T.tocsr(), np.arange(len(y))
    target = np.eye(classes, dtype=np.float32)[y]
    offsets = np.log(target.mean(0))

    def loss(flat: Real) -> tuple[float, Real]:
        w = flat.reshape(-1, classes)
        scores = a @ w.astype(np.float32) + offsets
        scores -= scores.max(1, keepdims=True)
        odds = np.exp(scores)
        total = odds.sum(1, keepdims=True)
        pull = smooth @ w
        likely = (scores[rows, y] - np.log(total[:, 0])).mean(dtype=np.float64)
        slope = (across @ (odds / total - target)).astype(np.float64)
        return (w * pull).sum() / (2 * len(y)) - likely, (slope + pull).ravel() / len(y)

    start = np.zeros(a.shape[1] * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x.reshape(-1, entries, classes), offsets.astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """A fitted classifier.

    Attributes:
        features: the words that arrive.
        cuts: one a feature.
        tables: shape (features, entries, classes).
        offsets: shape (classes,).
    """

    features: tuple[Feature, ...]
    cuts: tuple[Cut, ...]
    tables: Real
    offsets: Real

    def scores(self, words: Ints) -> Real:
        """Real scores, shape (events, classes)."""
        parts = zip(self.tables, addresses(self.cuts, words).T, strict=True)
        return sum((table[column] for table, column in parts), self.offsets)

    def graph(self, frac: int, classes: Sequence[str]) -> Graph:
        """The design: entries rounded to ``frac`` fractional bits, one output a class.

        The reference is the class that leaves the fewest bits of tables.
        """
        return min(
            (self._graph(frac, classes, c) for c in range(len(classes))),
            key=lambda graph: sum(op.type.width for op in graph.ops if op.name == "lut"),
        )

    def _graph(self, frac: int, classes: Sequence[str], reference: int) -> Graph:
        raw, offsets = self._rounded(frac, reference)
        b = Builder()
        inputs = [b.input(f.name, f.type) for f in self.features]
        words = [cut.lower(b, i) for cut, i in zip(self.cuts, inputs, strict=True)]
        sums = []
        for c in range(len(classes)):
            terms, first = [], int(offsets[c])
            for j, (index, domain) in enumerate(words):
                values = raw[j, :, c]
                if values.min() == values.max():
                    continue  # the offset holds it
                values = values + first
                first = 0
                value = span(int(values.min()), int(values.max()), frac)
                table = LutFunc(f"t{j}_{c}", "", domain, value, values=tuple(values.tolist()))
                terms.append(b.narrow(table.lower(b, index)))
            sums.append(tree(b, terms) if terms else b.const(first, span(first, first, frac)))
        ends = [end for i in sums for end in b.ranges[i]]
        common = span(min(ends), max(ends), frac)
        for name, index in zip(classes, sums, strict=True):
            b.output(name, b.cast(index, common))
        return b.build()

    def _rounded(self, frac: int, reference: int) -> tuple[Ints, Ints]:
        """Raw entries whose smallest is zero in every table, and the offsets that are left."""
        tables = self.tables - self.tables[:, :, [reference]]
        least = tables.min(axis=1, keepdims=True)
        raw = np.round(np.ldexp(tables - least, frac)).astype(np.int64)
        offsets = least[:, 0].sum(0) + self.offsets - self.offsets[reference]
        return raw, np.round(np.ldexp(offsets, frac)).astype(np.int64)


def addresses(cuts: Sequence[Cut], words: Ints) -> Ints:
    """Addresses of raw words, shape (events, features)."""
    return np.stack([cut.address(column) for cut, column in zip(cuts, words.T, strict=True)], 1)


def tree(b: Builder, terms: Sequence[int]) -> int:
    """The sum of some values, narrow ones first, in as few levels as possible."""
    while len(terms) > 1:
        ordered = sorted(terms, key=lambda i: b.type(i).width)
        pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
        left = [ordered[-1]] * (len(ordered) % 2)
        terms = left + [b.op("add", one, two) for one, two in pairs]
    return terms[0]


def fit(task: Task, bits: int, slack: float) -> Additive:
    """Cuts and tables of all features of a task, by likelihood."""
    train = task.train
    step = max(len(train) // ROWS, 1)
    cuts = tuple(
        choose_cut(train.words[::step, j], train.y[::step], f.type, bits, slack)
        for j, f in enumerate(task.features)
    )
    found = fit_softmax(addresses(cuts, train.words), train.y, 1 << bits, len(task.classes))
    return Additive(task.features, cuts, *found)


def design(task: Task, graph: Graph, name: str, target: str, clock_mhz: float) -> Design:
    """The design of a graph, which runs, is costed, emitted and verified."""
    zeros = (0,) * len(task.features)
    setting = Setting(
        task.features, task.classes, Scaling("external", zeros, zeros), target, clock_mhz
    )
    return Design(graph, setting, "additive", name, "hls")
