"""For authors of back ends: random graphs, random words, and the proof of bit-exactness.

Subclass ``EmitterConformance``, say how to run graphs, and pytest proves that what was
emitted computes what the interpreter computes, over every op and every mode:

    class TestMyEmitter(EmitterConformance):
        def run(self, cases):
            return [my_emitter_and_simulator(c.graph, c.words) for c in cases]

Hypothesis is needed by ``graphs`` only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nacsr.emit.vectors import random_words
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.ir import OPS, Builder, Graph, evaluate, verify
from nacsr.ir.graph import Shape
from nacsr.ir.ops import COMPARE

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PORT_NAMES = ("x", "jet pt", "class", "2nd", "Δη", "MET", "v1", "i", "sum", "x!")
TABLE_BITS = 6


def words(graph: Graph, events: int, seed: int) -> dict[str, Raw]:
    """Random raw words for every input port: corners first, ties and ends among the rest."""
    return random_words(graph, events, seed)


def graphs(size: int = 12) -> SearchStrategy[Graph]:
    """Hypothesis strategy: valid graphs of about ``size`` ops, of every kind."""
    from hypothesis import strategies

    return strategies.randoms(use_true_random=False).map(lambda r: random_graph(r, size))


def random_graph(rng: random.Random, size: int = 12) -> Graph:
    """A valid graph of about ``size`` ops besides its ports; every unread value is an output."""
    draft = _Draft(rng)
    for _ in range(size):
        name = rng.choice([n for n in MAKERS if n != "input"])
        try:
            MAKERS[name](draft)
        except GraphError:
            continue  # too wide: the builder refuses, another op is tried
    return draft.finish()


def random_type(rng: random.Random, widest: int = 14) -> Fixed:
    """A type of any signedness, its point inside, left or right of its bits; modes free."""
    width = rng.randint(1, widest)
    return Fixed(width, rng.randint(-4, width + 4), rng.random() < 0.6)


class _Draft:
    """A graph being drawn: the builder, the randomness, and how to pick operands."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.builder = rng, Builder()
        self.names = rng.sample(PORT_NAMES, len(PORT_NAMES))
        length = rng.randint(1, 4)
        self.shapes: tuple[Shape, ...] = ((), (length,), (2, length))
        for shape in ((), rng.choice(self.shapes[:2]), rng.choice(self.shapes)):
            self.builder.input(self.names.pop(), self._port_type(), shape)

    def _port_type(self) -> Fixed:
        return random_type(self.rng, 63 if self.rng.random() < 0.1 else 14)

    def pick(self, accept: Callable[[int], bool] = lambda _: True) -> int:
        """An earlier value; late ones are likelier, so that chains form.

        Raises:
            GraphError: if no value is acceptable.
        """
        found = [i for i in range(len(self.builder.ops)) if accept(i)]
        if not found:
            msg = "no operand of that kind yet"
            raise GraphError(msg)
        return found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]

    def shape(self, index: int) -> Shape:
        return self.builder.ops[index].shape

    def vector(self) -> int:
        return self.pick(lambda i: len(self.shape(i)) == 1)

    def pair(self) -> tuple[int, int]:
        """Two values whose shapes match, in any order, maybe the same one twice."""
        a = self.pick()
        b = self.pick(lambda i: self.shape(i) in ((), self.shape(a)) or self.shape(a) == ())
        return a, b

    def cast(self, index: int) -> int:
        """A cast that drops some bits at either end or adds some, with any modes."""
        t, rng = self.builder.type(index), self.rng
        frac = t.frac + rng.choice((-8, -3, -2, -1, -1, 0, 1, 4))
        integer = t.integer + rng.choice((-4, -2, -1, 0, 0, 1, 4))
        width = min(max(frac + integer, 1), 16)
        to = Fixed(width, integer, rng.random() < 0.6)
        modes = rng.choice(list(Rounding)), rng.choice(list(Overflow))
        return self.builder.op("cast", index, type=to.with_modes(*modes))

    def narrow(self, index: int, bits: int) -> int:
        t = self.builder.type(index)
        if t.width <= bits:
            return index
        return self.builder.cast(index, Fixed(bits, t.integer - t.width + bits, t.signed))

    def array(self, shape: Shape, t: Fixed) -> Raw:
        """Random raw integers of a type."""
        count = int(np.prod(shape, dtype=np.int64))
        drawn = [self.rng.randint(t.min_raw, t.max_raw) for _ in range(count)]
        return np.array(drawn, dtype=np.int64).reshape(shape)

    def finish(self) -> Graph:
        """Unread values, and some read ones, become outputs."""
        read = {a for op in self.builder.ops for a in op.args}
        last = len(self.builder.ops) - 1
        for index in range(last + 1):
            if index not in read or index == last or self.rng.random() < 0.1:
                self.builder.output(f"out {index}", index)
        return verify(self.builder.build())


def _make(name: str) -> Callable[[_Draft], object]:
    """Ops of one operand, or of two that match, without attributes."""

    def make(d: _Draft) -> object:
        args = (d.pick(),) if OPS[name].arity == 1 else d.pair()
        return d.builder.op(name, *args)

    return make


def _make_input(d: _Draft) -> object:
    return d.builder.input(d.names.pop(), random_type(d.rng))


def _make_const(d: _Draft) -> object:
    t = random_type(d.rng)
    return d.builder.const(d.array(d.rng.choice(d.shapes), t), t)


def _make_shift(d: _Draft) -> object:
    return d.builder.op("shift", d.pick(), n=d.rng.randint(-5, 5))


def _make_compare(d: _Draft) -> int:
    kind = d.rng.choice(list(COMPARE))
    return d.builder.op("compare", *d.pair(), kind=kind)


def _make_select(d: _Draft) -> object:
    condition, (a, b) = _make_compare(d), d.pair()
    shapes = {d.shape(i) for i in (condition, a, b)} - {()}
    if len(shapes) > 1:
        condition = d.builder.op("compare", a, b, kind="ne")
    return d.builder.op("select", condition, a, b)


def _make_lut(d: _Draft) -> object:
    address = d.narrow(d.pick(), d.rng.randint(1, TABLE_BITS))
    t = random_type(d.rng)
    table = d.array((1 << d.builder.type(address).width,), t)
    return d.builder.op("lut", address, type=t, function="random", table=table)


def _make_dense(d: _Draft) -> object:
    x = d.vector()
    outputs = d.rng.randint(1, 4)
    weight_type, bias_type = random_type(d.rng, 6), random_type(d.rng, 9)
    return d.builder.op(
        "dense",
        x,
        weight=d.array((d.shape(x)[0], outputs), weight_type),
        weight_type=weight_type,
        bias=d.array((outputs,), bias_type),
        bias_type=bias_type,
    )


def _make_stack(d: _Draft) -> object:
    scalars = [d.pick(lambda i: d.shape(i) == ()) for _ in range(d.rng.randint(1, 4))]
    return d.builder.op("stack", *scalars)


def _make_argmax(d: _Draft) -> object:
    return d.builder.op("argmax", d.vector())


MAKERS: Mapping[str, Callable[[_Draft], object]] = {
    "input": _make_input,
    "const": _make_const,
    "cast": lambda d: d.cast(d.pick()),
    **{n: _make(n) for n in ("add", "sub", "neg", "mul", "abs", "min", "max", "relu")},
    "shift": _make_shift,
    "compare": _make_compare,
    "select": _make_select,
    "lut": _make_lut,
    "dense": _make_dense,
    "stack": _make_stack,
    "argmax": _make_argmax,
}
"""How each op is drawn: one row an op of ``OPS``."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph and the raw words to run it on."""

    graph: Graph
    words: Mapping[str, Raw]


def cast_graph(name: str, rng: random.Random) -> Graph:
    """One op, its result cast with every rounding and overflow mode: 28 outputs or more."""
    draft = _Draft(rng)
    while not any(op.name == name for op in draft.builder.ops):
        try:
            MAKERS[name](draft)
        except GraphError:
            draft = _Draft(rng)
    b = draft.builder
    value = next(i for i, op in enumerate(b.ops) if op.name == name)
    # few target types for all ops: a compiler takes its time for each new one
    middle = 2 * round((b.type(value).integer - min(b.type(value).width, 5) / 2) / 2)
    for k, (rounding, overflow) in enumerate((r, o) for r in Rounding for o in Overflow):
        to = Fixed(5, middle + 2, k % 3 > 0, rounding, overflow)
        b.output(f"{rounding} {overflow}", b.op("cast", value, type=to))
    return verify(b.build())


def random_cases(count: int, events: int, seed: int) -> list[Case]:
    """``count`` random graphs and one ``cast_graph`` for every op of ``OPS``."""
    rng = random.Random(seed)
    drawn = [random_graph(rng) for _ in range(count)]
    drawn += [cast_graph(name, rng) for name in OPS]
    return [Case(g, words(g, events, seed + k)) for k, g in enumerate(drawn)]


def mismatches(case: Case, found: Mapping[str, Raw]) -> int:
    """Output words that differ from the interpreter's, missing ones included."""
    expected = evaluate(case.graph, case.words)
    total = 0
    for name, raw in expected.items():
        other = found.get(name)
        if other is None or other.shape != raw.shape:
            total += raw.size
        else:
            total += int((other != raw).sum())
    return total


def modes(cases: Sequence[Case]) -> set[tuple[Rounding, Overflow]]:
    """The modes of all casts."""
    ops = (op for case in cases for op in case.graph.ops if op.name == "cast")
    return {(op.type.rounding, op.type.overflow) for op in ops}


class EmitterConformance:
    """Subclass and implement ``run``: everything is emitted and run once, then compared.

    Attributes:
        count: random graphs, besides one graph of casts for every op.
        events: words for each graph.
        seed: of graphs and words.
    """

    count: ClassVar[int] = 50
    events: ClassVar[int] = 500
    seed: ClassVar[int] = 1
    _done: ClassVar[dict[type, tuple[list[Case], list[Mapping[str, Raw]]]]] = {}

    def run(self, cases: Sequence[Case]) -> Sequence[Mapping[str, Raw]]:
        """Emit and run: raw outputs of shape (events, *shape) by port name, one map a case."""
        raise NotImplementedError

    def results(self) -> Iterator[tuple[Case, Mapping[str, Raw]]]:
        """All cases with what the emitted designs computed; run once for the class."""
        if type(self) not in self._done:
            cases = random_cases(self.count, self.events, self.seed)
            self._done[type(self)] = cases, list(self.run(cases))
        cases, found = self._done[type(self)]
        return zip(cases, found, strict=True)

    def test_every_output_word_is_equal(self) -> None:
        wrong = {k: n for k, (c, f) in enumerate(self.results()) if (n := mismatches(c, f))}
        first = next((c.graph for k, (c, _) in enumerate(self.results()) if k in wrong), "")
        if wrong:
            msg = f"output words that differ, by case: {wrong}; the first such graph:\n{first}"
            raise AssertionError(msg)

    def test_every_op_and_mode_was_covered(self) -> None:
        cases = [case for case, _ in self.results()]
        missing = set(OPS) - {op.name for case in cases for op in case.graph.ops}
        unused = {(r, o) for r in Rounding for o in Overflow} - modes(cases)
        if missing or unused:
            msg = f"never drawn: ops {sorted(missing)}, modes {sorted(unused)}"
            raise AssertionError(msg)
