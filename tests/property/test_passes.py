"""Passes change no word: every one, in any order, on random graphs of every op."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Rounding, span
from nacsr.ir import Builder, Graph, evaluate, verify
from nacsr.ir.passes import (
    STANDARD,
    Algebra,
    ConstMul,
    ExpandCasts,
    Fold,
    FoldAffine,
    LowerLayers,
    MergeCasts,
    Narrow,
    Pass,
    run,
)
from nacsr.testing import graphs, random_type, words

ALL: tuple[Pass, ...] = (
    Fold(),
    Algebra(),
    FoldAffine(),
    FoldAffine(always=True),
    ConstMul(),
    ConstMul(always=True),
    MergeCasts(),
    ExpandCasts(),
    Narrow(),
    LowerLayers(),
)
SETTLED = (Fold(), MergeCasts(), ExpandCasts(), Narrow(), LowerLayers(), FoldAffine())
each = pytest.mark.parametrize("step", ALL, ids=repr)


def ports(graph: Graph) -> list[object]:
    named = [*graph.inputs, *graph.outputs]
    return [(n, graph.ops[i].type.plain(), graph.ops[i].shape) for n, i in named]


def check(before: Graph, after: Graph, events: int = 40) -> None:
    """The same ports, and on corners and random words the same bits."""
    verify(after)
    assert ports(after) == ports(before)
    given_words = words(before, events, 3)
    expected, found = evaluate(before, given_words), evaluate(after, given_words)
    for name in expected:
        assert np.array_equal(expected[name], found[name]), f"{name}\n{before}\n{after}"


# --- graphs that the rewritings have something to do in --------------------------------

FACTORS = (0, 1, -1, 2, -4, 3, 7, -5, 11)


def arithmetic(seed: int) -> Graph:
    """Few values used many times, small constants, decisions between neighbours."""
    rng, b = random.Random(seed), Builder()
    shape = rng.choice(((), (), (3,), (2, 2)))
    values = [b.input(f"x{k}", random_type(rng, 5), rng.choice((shape, ()))) for k in range(2)]
    unary = {"neg": {}, "abs": {}, "relu": {}, "shift": {"n": 1}, "leaky_relu": {"n": 2}}
    for _ in range(rng.randint(4, 24)):
        kind = rng.choice(("const", "two", "two", "two", "one", "select", "cast", "compare"))
        x, y = rng.choice(values), rng.choice(values)
        try:
            if kind == "const":
                word = rng.choice(FACTORS)
                words_ = word if rng.random() < 0.7 else np.full(shape, word)
                made = b.const(words_, span(min(word, 0), max(word, 0), rng.randint(-2, 2)))
            elif kind == "two":
                made = b.op(rng.choice(("add", "sub", "mul", "mul", "mul", "min", "max")), x, y)
            elif kind == "one":
                name = rng.choice(list(unary))
                made = b.op(name, x, **unary[name])
            elif kind == "cast":
                t = b.type(x)
                wide = Fixed(min(t.width + 2, 63), t.integer + 1, t.signed or rng.random() < 0.5)
                made = b.op("cast", x, type=wide.with_modes(rng.choice(list(Rounding)), "SAT"))
            else:
                made = b.op("compare", x, y, kind=rng.choice(("lt", "le", "gt", "ge", "eq")))
                if kind == "select":
                    made = b.op("select", made, *rng.choice(((x, y), (y, x), (x, x))))
        except GraphError:
            continue
        values.append(made)
    for k, index in enumerate(values[-3:]):
        b.output(f"y{k}", index)
    return verify(b.build(ports=True))


def cast_chain(seed: int) -> Graph:
    """Casts of casts of casts, and what reads them."""
    rng, b = random.Random(seed), Builder()
    value = b.input("x", random_type(rng, 12))
    for k in range(rng.randint(2, 5)):
        t = b.type(value)
        frac, integer = t.frac + rng.randint(-3, 1), t.integer + rng.randint(-3, 1)
        modes = rng.choice(list(Rounding)), rng.choice(list(Overflow))
        to = Fixed(min(max(frac + integer, 1), 20), integer, rng.random() < 0.6).with_modes(*modes)
        if rng.random() < 0.2:
            value = b.op(rng.choice(("abs", "relu", "neg")), value)
        value = b.op("cast", value, type=to)
        if rng.random() < 0.3:
            b.output(f"y{k}", value)
    b.output("last", value)
    return verify(b.build())


def normalised(seed: int) -> Graph:
    """A layer between scales and offsets of its channels."""
    rng, b = random.Random(seed), Builder()
    channels, outputs = rng.randint(1, 3), rng.randint(1, 3)
    conv, padded = rng.random() < 0.5, rng.random() < 0.5

    def array(shape: tuple[int, ...]) -> np.ndarray:
        drawn = [rng.choice(FACTORS) for _ in range(int(np.prod(shape)))]
        return np.array(drawn).reshape(shape)

    t, bias_type = Fixed(5, rng.randint(0, 5)), Fixed(6, rng.randint(0, 5))
    value = b.input("x", random_type(rng, 6), (4, channels))
    value = _affine(rng, b, value, array)
    if conv:
        value = b.op(
            "conv",
            value,
            weight=array((2, channels, outputs)),
            weight_type=t,
            bias=array((outputs,)),
            bias_type=bias_type,
            stride=[rng.randint(1, 2)],
            padding=[[int(padded), 0]],
        )
    else:
        value = b.op(
            "dense",
            value,
            weight=array((channels, outputs)),
            weight_type=t,
            bias=array((outputs,)),
            bias_type=bias_type,
        )
    b.output("y", _affine(rng, b, value, array))
    return verify(b.build())


def _affine(rng: random.Random, b: Builder, value: int, array: Callable[..., np.ndarray]) -> int:
    for _ in range(rng.randint(0, 3)):
        shape = b.ops[value].shape
        vector = array(shape[-1:])
        raw = rng.choice((vector[0], np.broadcast_to(vector, shape), array(shape)))
        name = rng.choice(("mul", "add", "sub", "shift", "neg"))
        if name == "shift":
            value = b.op("shift", value, n=rng.randint(-2, 2))
        elif name == "neg":
            value = b.op("neg", value)
        else:
            pair = [value, b.const(raw, Fixed(5, rng.randint(0, 5)))]
            rng.shuffle(pair)
            value = b.op(name, *pair)
    return value


OWN = (arithmetic, cast_chain, normalised)

# --- the properties --------------------------------------------------------------------


@each
@settings(max_examples=20, deadline=None)
@given(graph=graphs())
def test_a_pass_changes_no_word(step: Pass, graph: Graph) -> None:
    check(graph, step.apply(graph))


@each
@pytest.mark.parametrize("make", OWN)
def test_a_pass_changes_no_word_where_it_has_much_to_do(
    step: Pass, make: Callable[[int], Graph]
) -> None:
    for seed in range(40):
        graph = make(seed)
        check(graph, step.apply(graph))


@settings(max_examples=25, deadline=None)
@given(graphs(), st.lists(st.sampled_from(ALL), min_size=2, max_size=6))
def test_passes_in_any_order_change_no_word(graph: Graph, steps: list[Pass]) -> None:
    check(graph, run(graph, steps))


@pytest.mark.parametrize("make", OWN)
def test_the_standard_passes_change_no_word(make: Callable[[int], Graph]) -> None:
    for seed in range(100, 130):
        graph = make(seed)
        check(graph, run(graph, STANDARD))


@pytest.mark.parametrize("step", SETTLED, ids=repr)
@settings(max_examples=15, deadline=None)
@given(graph=graphs())
def test_a_second_time_changes_nothing(step: Pass, graph: Graph) -> None:
    once = step.apply(graph)
    assert str(step.apply(once)) == str(once)


@settings(max_examples=25, deadline=None)
@given(graphs())
def test_no_value_gets_wider_bits(graph: Graph) -> None:
    """Cleaning up never needs a wider word than the graph had."""
    widest = max(op.type.width for op in graph.ops)
    for step in (Fold(), MergeCasts(), Narrow()):
        assert max(op.type.width for op in step.apply(graph).ops) <= widest, step


# --- casts, every mode on every word ---------------------------------------------------

SOURCES = [(8, 3), (6, 6), (5, 0), (3, 2), (2, 1), (1, 1), (1, 0), (4, -2), (5, 8)]
TARGETS = [
    *((6, 3), (6, 2), (7, 5), (4, 3), (3, 2), (3, 0), (2, 1), (2, 5), (1, 1), (1, 0), (1, 4)),
    *((1, -3), (8, 1), (5, -2), (12, 5), (10, 8), (4, 7), (6, -6)),
]


def all_casts(source: Fixed, shape: tuple[int, ...] = ()) -> Graph:
    b = Builder()
    x = b.input("x", source, shape)
    choices = itertools.product(TARGETS, (True, False), Rounding, Overflow)
    for (width, integer), signed, rounding, overflow in choices:
        to = Fixed(width, integer, signed, rounding, overflow)
        b.output(f"{to} {rounding} {overflow}", b.op("cast", x, type=to))
    return b.build()


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("width", "integer"), SOURCES)
def test_every_mode_expands_on_every_word(width: int, integer: int, signed: bool) -> None:
    source = Fixed(width, integer, signed)
    graph = all_casts(source)
    assert every_word_equal(graph, source, ExpandCasts())
    assert all(op.type == op.type.plain() for op in ExpandCasts().apply(graph).ops)


@pytest.mark.parametrize("source", [Fixed(7, 3), Fixed(5, 8, False), Fixed(1, 1)], ids=str)
@pytest.mark.parametrize("step", [MergeCasts(), Narrow()], ids=repr)
def test_every_mode_merges_on_every_word(step: Pass, source: Fixed) -> None:
    assert every_word_equal(all_casts(source), source, step)


PAIRS = [
    ((5, 2, True), (3, 1, True)),
    ((4, 3, True), (3, 2, False)),
    ((8, 2, False), (3, 2, True)),
    ((5, 2, True), (4, 2, False)),
    ((5, 3, False), (7, 3, True)),
]


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_pairs_of_casts_in_every_two_modes(
    inner: tuple[int, int, bool], outer: tuple[int, int, bool]
) -> None:
    b, source = Builder(), Fixed(6, 3)
    modes = list(itertools.product(Rounding, Overflow))
    for k, last in enumerate(modes):
        x = b.input(f"x{k}", source)  # of its own, so that no two pairs share their inner cast
        for first in modes:
            middle = b.op("cast", x, type=Fixed(*inner, *first))
            b.output(f"{first} {last}", b.op("cast", middle, type=Fixed(*outer, *last)))
    assert every_word_equal(b.build(), source, MergeCasts())


def every_word_equal(graph: Graph, source: Fixed, *steps: Pass) -> bool:
    """Whether all words, at every input alike, give the same words after each of the passes."""
    words_ = np.arange(source.min_raw, source.max_raw + 1)
    everything = {name: words_ for name, _ in graph.inputs}
    expected = evaluate(graph, everything)
    for step in steps:
        found = evaluate(verify(step.apply(graph)), everything)
        wrong = [n for n in expected if not np.array_equal(expected[n], found[n])]
        assert wrong == [], step
    return True


@pytest.mark.parametrize("low", [-6, 0, 3])
def test_every_mode_on_a_value_of_a_known_range(low: int) -> None:
    """Ends that cannot be reached are not looked at, the others are."""
    b = Builder()
    source = Fixed(7, 3)
    x = b.op("max", b.input("x", source), b.const(low, Fixed(7, 3)))
    x = b.op("min", x, b.const(low + 11, Fixed(7, 3)))
    for (width, integer), signed, rounding, overflow in itertools.product(
        TARGETS, (True, False), Rounding, Overflow
    ):
        to = Fixed(width, integer, signed, rounding, overflow)
        b.output(f"{to} {rounding} {overflow}", b.op("cast", x, type=to))
    assert every_word_equal(b.build(), source, ExpandCasts(), MergeCasts(), Narrow())


def test_casts_of_tensors_expand_too() -> None:
    graph = all_casts(Fixed(8, 3), (2, 2))
    check(graph, ExpandCasts().apply(graph))


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("overflow", list(Overflow))
def test_63_bits_expand_without_a_wider_word(rounding: Rounding, overflow: Overflow) -> None:
    b = Builder()
    for name, t in (("s", Fixed(63, 31)), ("u", Fixed(63, 31, False))):
        x = b.input(name, t)
        for width, integer in ((63, 35), (63, 27), (62, 31), (1, 1), (40, 60), (8, -40), (9, 140)):
            for signed in (True, False):
                to = Fixed(width, integer, signed, rounding, overflow)
                b.output(f"{name} {to}", b.op("cast", x, type=to))
    graph = b.build()
    check(graph, ExpandCasts().apply(graph), events=500)
