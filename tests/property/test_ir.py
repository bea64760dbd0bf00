"""The IR: its text parses back, its intervals are true, and every mistake is named."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Raw
from nacsr.ir import OPS, Builder, Graph, Op, evaluate, parse, verify
from nacsr.ir.graph import Shape
from nacsr.ir.rows import align
from nacsr.ir.tensor import WIRING, sources
from nacsr.ir.verify import ranges
from nacsr.testing import graphs, random_graph, words

LAYERS = ("dense", "conv", "pool", "reduce")


def every_value(graph: Graph, events: int, seed: int) -> list[Raw]:
    """What every op computes on random words, not only the outputs."""
    whole = Graph(graph.ops, tuple((f"v{i}", i) for i in range(len(graph.ops))))
    return list(evaluate(whole, words(whole, events, seed)).values())


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_text_parses_back(graph: Graph) -> None:
    again = parse(str(graph))
    assert again == graph
    assert again.digest == graph.digest
    verify(again)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 99))
def test_every_value_stays_in_its_interval_and_type(graph: Graph, seed: int) -> None:
    values = every_value(graph, 50, seed)
    for i, (low, high) in enumerate(ranges(graph)):
        t = graph.ops[i].type
        raw = values[i]
        assert t.min_raw <= low <= raw.min()
        assert raw.max() <= high <= t.max_raw


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_events_are_independent(graph: Graph) -> None:
    inputs = words(graph, 20, 5)
    whole = evaluate(graph, inputs)
    one = evaluate(graph, {n: x[7:8] for n, x in inputs.items()})
    for name in whole:
        assert np.array_equal(whole[name][7:8], one[name])


@settings(max_examples=150, deadline=None)
@given(graphs(16, (*WIRING, "const", "cast")), st.integers(0, 99))
def test_wiring_takes_every_word_from_where_it_says(graph: Graph, seed: int) -> None:
    values = every_value(graph, 5, seed)
    for op, value in zip(graph.ops, values, strict=True):
        if op.name not in WIRING:
            continue
        args = [graph.ops[a] for a in op.args]
        flat = [
            align(values[a], graph.ops[a].type, op.type).reshape(5, math.prod(graph.ops[a].shape))
            for a in op.args
        ]
        number, index = (part.ravel().tolist() for part in sources(op, args))
        expected = [
            flat[k][:, i] if i >= 0 else np.zeros(5) for k, i in zip(number, index, strict=True)
        ]
        assert np.array_equal(value.reshape(5, len(index)), np.stack(expected, 1))


def windows(op: Op, shape: Shape, window: Sequence[int]) -> Iterator[tuple[Shape, list[Shape]]]:
    """Places of a window, each with what it sees: (place inside the window, place in the image)."""
    stride = op.array("stride")
    before = op.array("padding")[:, 0] if op.name == "conv" else np.zeros_like(stride)
    for place in np.ndindex(op.shape[:-1]):
        seen = []
        for inside in np.ndindex(*window):
            at = np.array(place) * stride + inside - before
            if (at >= 0).all() and (at < shape[:-1]).all():
                seen.append((inside, tuple(at.tolist())))
        yield place, seen


def by_hand(op: Op, x: Op, raw: Raw) -> Raw:
    """A layer, pool or reduction of one event in Python integers, straight from its definition."""
    if op.name == "reduce":
        columns = np.moveaxis(raw, op.integer("axis"), -1)
        join = {"sum": sum, "max": max, "min": min}[str(op.attrs["kind"])]
        return np.array([join(columns[p].tolist()) for p in np.ndindex(op.shape)], dtype=np.int64)
    found = np.zeros(op.shape, dtype=np.int64)
    if op.name == "pool":
        join = {"sum": sum, "max": max}[str(op.attrs["kind"])]
        for place, seen in windows(op, x.shape, op.array("window").tolist()):
            for channel in range(op.shape[-1]):
                found[(*place, channel)] = join(int(raw[(*at, channel)]) for _, at in seen)
        return found
    weight, bias = op.array("weight"), op.array("bias").tolist()
    if op.name == "dense":
        places = [(p, [((), p)]) for p in np.ndindex(x.shape[:-1])]
    else:
        places = list(windows(op, x.shape, weight.shape[:-2]))
    up = op.type.frac - x.type.frac - op.fixed("weight_type").frac
    for place, seen in places:
        for out, start in enumerate(bias):
            total = start << (op.type.frac - op.fixed("bias_type").frac)
            for inside, at in seen:
                for channel in range(x.shape[-1]):
                    total += int(raw[(*at, channel)]) * int(weight[(*inside, channel, out)]) << up
            found[(*place, out)] = total
    return found


@settings(max_examples=40, deadline=None)
@given(graphs(14, (*LAYERS, "reshape", "take", "cast")), st.integers(0, 9))
def test_layers_are_what_they_are_defined_to_be(graph: Graph, seed: int) -> None:
    values = every_value(graph, 2, seed)
    for op, value in zip(graph.ops, values, strict=True):
        if op.name in LAYERS:
            expected = by_hand(op, graph.ops[op.args[0]], values[op.args[0]][1])
            assert np.array_equal(value[1], expected.reshape(op.shape))


def mac() -> Graph:
    b = Builder()
    x, y = b.input("x", Fixed(16, 6)), b.input("y", Fixed(16, 6))
    b.output("z", b.op("add", b.op("mul", x, y), b.op("mul", x, y)))
    return b.build()


def test_equal_ops_are_one_value() -> None:
    assert [op.name for op in mac().ops] == ["input", "input", "mul", "add"]


def test_random_graphs_have_every_op_and_rank() -> None:
    drawn = [op for seed in range(60) for op in random_graph(random.Random(seed)).ops]
    assert {op.name for op in drawn} == set(OPS)
    assert {len(op.shape) for op in drawn} == {0, 1, 2, 3}


def test_widths_beyond_63_bits_are_refused_when_inferred() -> None:
    b = Builder()
    x = b.input("x", Fixed(32, 16))
    with pytest.raises(GraphError, match=r"%1 mul: .* must be 1\.\.63 bits, not 64; cast"):
        b.op("mul", x, x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("fixed<32,12>", "fixed<31,12>"), "%2 mul: has type fixed<31,12>"),
        (("mul(%0, %1)", "mul(%0, %3)"), "%2 mul: an argument must be an earlier value"),
        (("mul(%0, %1)", "mull(%0, %1)"), "%2 mull: unknown op"),
        (("mul(%0, %1)", "mul(%0)"), "%2 mul: takes 2 argument"),
        (('{"name": "y"}', '{"nom": "y"}'), "%1 input: attributes must be"),
        (('{"name": "y"}', '{"name": "x"}'), "two inputs are named 'x'"),
        (("%2 = mul", "%7 = mul"), "line 4: value %7 out of order"),
        (("nacsr-ir 1", "nacsr-ir 9"), "line 1: expected 'nacsr-ir 1'"),
        (("return z=%3", "return z=%9"), "line 6: 'z=%9' does not name a value"),
        (("return z=%3", ""), "expected 'return"),
        (("fixed<16,6>", "fixed<16>"), "line 2: cannot read 'fixed<16>'"),
        (('{"name": "y"}', '{"name": __import__("os")}'), "line 3: "),
    ],
)
def test_text_with_a_mistake_names_the_place(change: tuple[str, str], says: str) -> None:
    text = str(mac())
    assert change[0] in text
    with pytest.raises(GraphError, match=re.escape(says)) as caught:
        verify(parse(text.replace(change[0], change[1], 1)))
    assert "\n" not in str(caught.value)


def test_words_outside_a_port_are_refused() -> None:
    x = np.array([1], dtype=np.int64)
    with pytest.raises(GraphError, match="input 'y' is missing"):
        evaluate(mac(), {"x": x})
    with pytest.raises(GraphError, match="words outside fixed<16,6>"):
        evaluate(mac(), {"x": x, "y": x << 15})
    with pytest.raises(GraphError, match="others 1"):
        evaluate(mac(), {"x": x, "y": np.array([1, 2])})


def test_a_long_run_equals_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    inputs = {n: rng.integers(-(2**15), 2**15, 1000) for n in ("x", "y")}
    whole = evaluate(mac(), inputs)["z"]
    monkeypatch.setattr("nacsr.ir.interp.CHUNK_WORDS", 7)
    assert np.array_equal(evaluate(mac(), inputs)["z"], whole)


def test_a_dense_layer_beyond_63_bits_is_refused_not_wrapped() -> None:
    b = Builder()
    x = b.input("x", Fixed(1, 1, False), (8,))
    wide = {"weight_type": Fixed(63, 63), "bias_type": Fixed(1, 1)}
    with pytest.raises(GraphError, match="more than 63 bits"):
        b.op("dense", x, weight=[[2**61]] * 8, bias=[0], **wide)


def test_a_symmetric_cast_of_the_same_format_still_clips() -> None:
    b = Builder()
    t = Fixed(4, 2)
    x = b.input("x", t)
    b.output("y", b.cast(x, t.with_modes("RND", "SAT_SYM")))
    words = np.array([-8, -7, 7])
    assert evaluate(b.build(), {"x": words})["y"].tolist() == [-7, -7, 7]
