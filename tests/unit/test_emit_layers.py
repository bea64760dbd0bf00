"""Graphs as layers that end in casts, exact affine constants, and what is refused as no network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.emit import hls4ml
from nacsr.emit.affine import Affine, operand
from nacsr.emit.hls4ml_model import precisions, type_text
from nacsr.emit.layers import to_network
from nacsr.emit.network import Window
from nacsr.emit.vectors import random_words
from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate, verify
from tests.unit.tiny_nets import ACTIVATION, META, dense, network, whole


def test_ops_become_layers_that_end_in_casts():
    layers = to_network(whole()).layers
    assert [(x.name, x.sources) for x in layers] == [
        ("words", ()),
        ("affine1", ("words",)),
        ("dense2", ("affine1",)),
        ("relu3", ("dense2",)),
        ("dense4", ("relu3",)),
    ]
    assert [str(x.type) for x in layers] == [
        "fixed<9,9>",
        "fixed<6,2,RND_CONV,SAT>",
        str(layers[2].exact),
        "ufixed<4,2,RND_CONV,SAT>",
        "fixed<8,5,RND_CONV,SAT>",
    ]


def test_the_stem_is_one_exact_affine_layer():
    graph = whole()
    layer = to_network(graph).layers[1]
    scale, bias = layer.constants["scale"], layer.constants["bias"]
    mul = next(i for i, op in enumerate(graph.ops) if op.name == "mul")
    stem = Graph(graph.ops[: mul + 1], (("y", mul),))
    words = random_words(stem, 50, seed=1)
    assert np.log2(scale.values).tolist() == np.round(np.log2(scale.values)).tolist()
    type_ = stem.ops[mul].type
    assert (
        words["x"] * scale.values + bias.values == type_.to_float(evaluate(stem, words)["y"])
    ).all()  # small integers times powers of two: floats are exact


def test_a_value_read_twice_keeps_its_type():
    b = Builder()
    wide = network(b)
    b.output("wide", wide)
    b.output("narrow", b.cast(wide, ACTIVATION))
    found = to_network(b.build())
    assert [x.kind for x in found.layers[-2:]] == ["dense", "cast"]
    assert found.layers[-2].type == b.type(wide)
    assert found.outputs == (("wide", "dense4"), ("narrow", "cast5"))


def test_casts_of_casts_and_of_the_input_are_layers():
    b = Builder()
    x = b.input("x", Fixed(8, 4), (3,))
    first = b.cast(x, ACTIVATION)
    b.output("y", b.cast(first, Fixed.parse("fixed<4,2,RND,SAT>")))
    assert [x.kind for x in to_network(b.build()).layers] == ["input", "cast", "cast"]


def test_accumulators_are_the_graphs_own_types():
    layer = to_network(whole()).layers[2]
    types = precisions(layer)
    assert types["accum"] == layer.exact
    assert type_text(types["weight"]) == "fixed<4,1,TRN,WRAP>"


def test_tensors_become_layers_with_windows():
    b = Builder()
    x = b.input("x", Fixed(8, 4), (12,))
    image = b.op("reshape", x, to=[2, 3, 2])
    b.output("dense", dense(b, image, 4))
    b.output("max", b.op("reduce", image, kind="max", axis=2))
    total = b.op("mul", b.op("reduce", image, kind="sum", axis=0), b.const(5, Fixed(4, 0)))
    b.output("mean", total)
    layers = to_network(b.build()).layers
    assert [(x.kind, x.sources, x.shape) for x in layers] == [
        ("input", (), (12,)),
        ("reshape", ("words",), (2, 3, 2)),
        ("conv", ("reshape1",), (2, 3, 4)),
        ("reshape", ("words",), (6, 2, 1)),
        ("maxpool", ("reshape3",), (6, 1, 1)),
        ("reshape", ("words",), (2, 6)),
        ("sum", ("reshape5",), (1, 6)),
        ("reshape", ("sum6",), (3, 2)),
        ("affine", ("reshape7",), (3, 2)),
    ]
    assert layers[2].constants["weight"].raw.shape == (1, 1, 2, 4)
    assert layers[4].window == Window((1, 2), (1, 2), ((0, 0), (0, 0)))
    assert layers[6].window == Window((2,), (2,), ((0, 0),))


def test_steps_that_change_nothing_and_dead_values_are_no_layers():
    b = Builder()
    x = b.input("x", Fixed(8, 4), (3,))
    one, zero = b.const(1, Fixed(1, 1, False)), b.const(0, Fixed(1, 1, False))
    y = b.op("relu", x)
    b.op("neg", y)  # nothing reads it
    last = b.cast(b.op("add", b.op("mul", y, one), zero), ACTIVATION)
    graph = verify(Graph(tuple(b.ops), (("y", last),)))
    assert [x.kind for x in to_network(graph).layers] == ["input", "relu", "cast"]


@given(st.data())
def test_chains_of_constants_are_one_exact_affine(data: st.DataObject):
    b = Builder()
    x = y = b.input("x", Fixed(6, 3), (2, 3))
    for _ in range(data.draw(st.integers(1, 5))):
        name = data.draw(st.sampled_from(["add", "sub", "mul", "neg", "shift"]))
        if name == "neg":
            y = b.op(name, y)
        elif name == "shift":
            y = b.op(name, y, n=data.draw(st.integers(-4, 4)))
        else:
            type_ = Fixed(4, data.draw(st.integers(-2, 6)))
            shape = data.draw(st.sampled_from([(), (2, 3)]))
            raw = st.integers(type_.min_raw, type_.max_raw)
            count = int(np.prod(shape))
            values = np.array(data.draw(st.lists(raw, min_size=count, max_size=count)))
            args = [y, b.const(values.reshape(shape), type_)]
            y = b.op(name, *(args if data.draw(st.booleans()) else args[::-1]))
    b.output("y", y)
    graph = b.build()
    chain = [i for i in range(len(graph.ops)) if operand(graph, i) is not None]
    start, form = Affine.of(graph, chain[-1], chain[:-1])
    assert graph.ops[start].name == "input"
    (scale, scale_type), (bias, bias_type) = form.constants()
    words = random_words(graph, 20, seed=0)
    expected = evaluate(graph, words)["y"].astype(object)
    frac = scale_type.frac + b.type(x).frac
    top = max(frac, bias_type.frac, graph.ops[-1].type.frac, 0)
    found = words["x"].astype(object) * scale.astype(object) * 2 ** (top - frac)
    found = found + bias.astype(object) * 2 ** (top - bias_type.frac)
    assert (found == expected * 2 ** (top - graph.ops[-1].type.frac)).all()


def argmax(b: Builder) -> None:
    b.output("class", b.op("argmax", network(b)))


def mask(b: Builder) -> None:
    x = network(b)
    b.output("y", b.op("compare", x, x, kind="gt"))


def absolute(b: Builder) -> None:
    b.output("y", b.op("abs", b.input("x", Fixed(8, 4))))


def moved(b: Builder) -> None:
    b.output("y", b.op("relu", b.transpose(b.input("x", Fixed(8, 4), (2, 3)), (1, 0))))


def least(b: Builder) -> None:
    b.output("y", b.op("reduce", b.input("x", Fixed(8, 4), (2, 3)), kind="min", axis=0))


def four_axes(b: Builder) -> None:
    b.output("y", b.op("relu", b.input("x", Fixed(8, 4), (2, 1, 2, 3))))


def repeated(b: Builder) -> None:
    x = network(b)
    b.output("y", b.op("mul", x, b.op("reduce", x, kind="sum", axis=0)))


def second_input(b: Builder) -> None:
    for name in "ab":
        b.output(f"y{name}", dense(b, b.input(name, Fixed(8, 4), (3,))))


def untouched_input(b: Builder) -> None:
    b.output("y", b.op("reshape", b.input("x", Fixed(8, 4), (4,)), to=[2, 2]))


def same_output(b: Builder) -> None:
    y = network(b)
    b.output("a", y)
    b.output("b", b.op("reshape", y, to=[2, 1]))


def constant(b: Builder) -> None:
    b.output("y", b.op("relu", b.const([1, 2], Fixed(4, 4))))


def wide_weights(b: Builder) -> None:
    x = b.input("x", Fixed(4, 4), (2,))
    b.output("y", dense(b, x, weight_type=Fixed(54, 2)))


def wide_scale(b: Builder) -> None:
    x = b.input("x", Fixed(2, 2), (2,))
    factor = b.const([(1 << 60) - 1, 1], Fixed(61, 2))
    b.output("y", b.op("mul", x, factor))


@pytest.mark.parametrize(
    ("build", "op", "why"),
    [
        (argmax, "argmax", "is no layer"),
        (mask, "compare", "is no layer"),
        (absolute, "abs", "is no layer"),
        (moved, "take", "moves elements"),
        (least, "reduce", "takes a minimum over an axis"),
        (four_axes, "input", "has shape [2, 1, 2, 3], layers have 1 to 3 axes"),
        (repeated, "mul", "joins shapes [2] and [1]"),
        (second_input, "input", "is a second input"),
        (untouched_input, "reshape", "output 'y' is no result of a layer"),
        (same_output, "reshape", "outputs 'a' and 'b' are one value"),
        (constant, "relu", "reads %0, which is no result of a layer"),
        (wide_weights, "dense", "weight is wider than 53 bits"),
        (wide_scale, "mul", "scale is wider than 53 bits"),
    ],
)
def test_what_is_no_network_is_refused_before_anything_is_written(
    build: Callable[[Builder], None], op: str, why: str, tmp_path: Path
):
    b = Builder()
    build(b)
    graph = b.build()
    with pytest.raises(EmitError) as refused:
        hls4ml.emit(graph, tmp_path / "out", META, random_words(graph, 10, seed=0))
    text = str(refused.value)
    assert f" {op}: " in text
    assert why in text
    assert "emit with hls or rtl instead" in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []
