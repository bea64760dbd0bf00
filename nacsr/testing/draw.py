"""Random graphs: every op, tensors of rank 1 to 3, and words to run them on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nacsr.emit.vectors import random_words
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.ir import OPS, Builder, Graph, verify
from nacsr.ir.graph import Shape
from nacsr.ir.ops import COMPARE
from nacsr.ir.tensor import POOLS, REDUCTIONS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PORT_NAMES = ("x", "jet pt", "class", "2nd", "Δη", "MET", "v1", "i", "sum", "x!", "wire", "j")
TABLE_BITS = 6
ELEMENTS = 24
"""Tensors stay this small, so that a compiler takes many of them at once."""


def words(graph: Graph, events: int, seed: int) -> dict[str, Raw]:
    """Random raw words for every input port: corners first, ties and ends among the rest."""
    return random_words(graph, events, seed)


def graphs(size: int = 12, ops: Collection[str] = OPS) -> SearchStrategy[Graph]:
    """Hypothesis strategy: valid graphs of about ``size`` ops, of every kind in ``ops``."""
    from hypothesis import strategies

    return strategies.randoms(use_true_random=False).map(lambda r: random_graph(r, size, ops))


def random_graph(rng: random.Random, size: int = 12, ops: Collection[str] = OPS) -> Graph:
    """A valid graph of about ``size`` ops besides its ports; every unread value is an output."""
    draft = _Draft(rng)
    names = [name for name in MAKERS if name in ops and name != "input"]
    if "compare" not in ops:
        names = [name for name in names if name != "select"]  # a condition is a comparison
    for _ in range(size):
        try:
            MAKERS[rng.choice(names)](draft)
        except GraphError:
            continue  # too wide or too large: another op is tried
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
        length, channels = rng.randint(1, 4), rng.randint(1, 2)
        image = (rng.randint(1, 4), rng.randint(1, 3), channels)
        self.shapes: tuple[Shape, ...] = ((), (length,), (length, channels), image)
        for shape in ((), (length,), rng.choice(self.shapes[2:])):
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

    def tensor(self, *ranks: int) -> int:
        """A tensor of one of these ranks, any above 0 if none is given."""
        return self.pick(lambda i: len(self.shape(i)) in (ranks or (1, 2, 3)))

    def small(self, index: int) -> int:
        """``index`` itself, unless it is a large tensor.

        Raises:
            GraphError: if it is one.
        """
        if math.prod(self.shape(index)) > ELEMENTS:
            msg = "a tensor that would make a test slow"
            raise GraphError(msg)
        return index

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


def _make_pack(d: _Draft) -> object:
    """Narrow values side by side: too many bits make a slow table, and none fits 63."""
    first = d.narrow(d.pick(), d.rng.randint(1, 5))
    shapes = ((), d.shape(first))
    others = [
        d.narrow(d.pick(lambda i: d.shape(i) in shapes), d.rng.randint(1, 5))
        for _ in range(d.rng.randint(0, 3))
    ]
    args = [first, *others]
    d.rng.shuffle(args)
    return d.builder.op("pack", *args)


def _make_leaky_relu(d: _Draft) -> object:
    return d.builder.op("leaky_relu", d.pick(), n=d.rng.randint(1, 4))


def _linear(d: _Draft, name: str, x: int, window: Shape, **attrs: Any) -> object:
    """A dense or conv op with random weights (*window, inputs, outputs)."""
    outputs = d.rng.randint(1, 3)
    weight_type, bias_type = random_type(d.rng, 6), random_type(d.rng, 9)
    return d.builder.op(
        name,
        x,
        weight=d.array((*window, d.shape(x)[-1], outputs), weight_type),
        weight_type=weight_type,
        bias=d.array((outputs,), bias_type),
        bias_type=bias_type,
        **attrs,
    )


def _make_dense(d: _Draft) -> object:
    return _linear(d, "dense", d.tensor(), ())


def _make_conv(d: _Draft) -> object:
    x = d.tensor(2, 3)
    rank = len(d.shape(x)) - 1
    padding = np.array([(d.rng.randint(0, 1), d.rng.randint(0, 1)) for _ in range(rank)])
    window = [
        d.rng.randint(1, min(n + before + after, 3))
        for n, (before, after) in zip(d.shape(x), padding.tolist(), strict=False)
    ]
    stride = [d.rng.randint(1, 2) for _ in range(rank)]
    return _linear(d, "conv", x, tuple(window), padding=padding, stride=stride)


def _make_pool(d: _Draft) -> object:
    x = d.tensor(2, 3)
    window = [d.rng.randint(1, min(n, 3)) for n in d.shape(x)[:-1]]
    stride = [d.rng.randint(1, 2) for _ in window]
    return d.builder.op("pool", x, kind=d.rng.choice(POOLS), stride=stride, window=window)


def _make_reduce(d: _Draft) -> object:
    x = d.tensor()
    axis = d.rng.randrange(len(d.shape(x)))
    return d.builder.op("reduce", x, axis=axis, kind=d.rng.choice(REDUCTIONS))


def _make_reshape(d: _Draft) -> object:
    x = d.pick()
    count = math.prod(d.shape(x))
    first = d.rng.choice([n for n in range(1, count + 1) if count % n == 0])
    shapes: list[Shape] = [(count,), (first, count // first), (count // first, 1, first)]
    return d.builder.op("reshape", x, to=d.rng.choice(shapes if count > 1 else [(), *shapes]))


def _make_take(d: _Draft) -> object:
    """A slice, a transposition, a broadcast, one element, or anything with zeros among it."""
    x, b = d.small(d.pick()), d.builder
    shape = d.shape(x)
    kind = d.rng.randrange(5)
    if kind == 0 and shape:
        return b.slice(x, *(slice(None, None, d.rng.choice((-2, -1, 1, 2))) for _ in shape))
    if kind == 1 and shape:
        return b.transpose(x, d.rng.sample(range(len(shape)), len(shape)))
    if kind == 2 and len(shape) < 3:
        return b.broadcast(x, (d.rng.randint(1, 3), *shape))
    if kind == 3:
        return b.element(x, d.rng.randrange(math.prod(shape)))
    to = d.rng.choice(((), (3,), (2, 3), (2, 1, 2)))
    last = math.prod(shape) - 1
    index = [d.rng.randint(-1, last) for _ in range(math.prod(to))]
    return b.op("take", x, index=np.array(index, np.int64).reshape(to))


def _make_concat(d: _Draft) -> object:
    first = d.small(d.tensor())
    axis = d.rng.randrange(len(d.shape(first)))

    def beside(i: int) -> Shape:
        return (*d.shape(i)[:axis], *d.shape(i)[axis + 1 :])

    def fits(i: int) -> bool:
        return len(d.shape(i)) == len(d.shape(first)) and beside(i) == beside(first)

    others = [d.small(d.pick(fits)) for _ in range(d.rng.randint(1, 2))]
    return d.builder.op("concat", first, *others, axis=axis)


def _make_stack(d: _Draft) -> object:
    scalars = [d.pick(lambda i: d.shape(i) == ()) for _ in range(d.rng.randint(1, 4))]
    return d.builder.op("stack", *scalars)


def _make_argmax(d: _Draft) -> object:
    return d.builder.op("argmax", d.tensor(1))


MAKERS: Mapping[str, Callable[[_Draft], object]] = {
    "input": _make_input,
    "const": _make_const,
    "cast": lambda d: d.cast(d.pick()),
    **{n: _make(n) for n in ("add", "sub", "neg", "mul", "abs", "min", "max", "relu")},
    "shift": _make_shift,
    "compare": _make_compare,
    "select": _make_select,
    "lut": _make_lut,
    "pack": _make_pack,
    "leaky_relu": _make_leaky_relu,
    "dense": _make_dense,
    "conv": _make_conv,
    "pool": _make_pool,
    "reduce": _make_reduce,
    "reshape": _make_reshape,
    "take": _make_take,
    "concat": _make_concat,
    "stack": _make_stack,
    "argmax": _make_argmax,
}
"""How each op is drawn: one row an op of ``OPS``."""


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
