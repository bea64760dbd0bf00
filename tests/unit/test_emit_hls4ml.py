"""Networks as layers, refusals, and what an hls4ml project holds (nothing is compiled here)."""

from pathlib import Path

import numpy as np
import pytest

from nacsr.data.words import Feature, Scaling
from nacsr.emit import hls4ml
from nacsr.emit.layers import to_network
from nacsr.emit.project import ProjectMeta, load
from nacsr.emit.vectors import random_words
from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, evaluate

FEATURES = tuple(Feature(f"f{j}", Fixed(8, 4, signed=j > 0)) for j in range(3))
ACTIVATION = Fixed.parse("fixed<6,2,RND_CONV,SAT>")
WEIGHT = Fixed(4, 1)
META = ProjectMeta("tiny net", "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", FEATURES)


def dense(b: Builder, x: int, outputs: int = 2, weight_type: Fixed = WEIGHT) -> int:
    inputs = b.ops[x].shape[0]
    weight = np.arange(inputs * outputs).reshape(inputs, outputs) % 7 - 3
    bias = np.arange(outputs) - 1
    return b.op(
        "dense", x, weight=weight, weight_type=weight_type, bias=bias, bias_type=Fixed(4, 2)
    )


def network(b: Builder) -> int:
    scaling = Scaling("folded", (3, -20, 127), (0, -2, 3))
    x = b.cast(vector_stem(b, FEATURES, scaling), ACTIVATION)
    hidden = b.cast(b.op("relu", dense(b, x, 4)), Fixed.parse("ufixed<4,2,RND_CONV,SAT>"))
    return dense(b, hidden)


def whole() -> Graph:
    b = Builder()
    b.output("y", b.cast(network(b), Fixed.parse("fixed<8,5,RND_CONV,SAT>")))
    return b.build()


def test_ops_become_layers_that_end_in_casts():
    layers = to_network(whole()).layers
    assert [(x.name, x.source) for x in layers] == [
        ("words", ""),
        ("affine1", "words"),
        ("dense2", "affine1"),
        ("relu3", "dense2"),
        ("dense4", "relu3"),
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
    assert bias.type.frac == stem.ops[mul].type.frac
    assert (words["x"] * scale.raw + bias.raw == evaluate(stem, words)["y"]).all()


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
    types = hls4ml.precisions(layer)
    assert types["accum"] == layer.exact
    assert hls4ml.type_text(types["weight"]) == "fixed<4,1,TRN,WRAP>"


def argmax(b: Builder) -> None:
    b.output("class", b.op("argmax", network(b)))


def scalar(b: Builder) -> None:
    b.output("y", b.op("abs", b.input("x", Fixed(8, 4))))


def vector_product(b: Builder) -> None:
    x = network(b)
    b.output("y", b.op("mul", x, x))


def lone_subtraction(b: Builder) -> None:
    x = b.input("x", Fixed(8, 4), (3,))
    b.output("y", b.op("sub", x, b.const([1, 2, 3], Fixed(8, 4))))


def second_input(b: Builder) -> None:
    for name in "ab":
        b.output(f"y{name}", dense(b, b.input(name, Fixed(8, 4), (3,))))


def untouched_input(b: Builder) -> None:
    b.output("y", b.input("x", Fixed(8, 4), (3,)))


def same_output(b: Builder) -> None:
    y = network(b)
    b.output("a", y)
    b.output("b", y)


def constant(b: Builder) -> None:
    b.output("y", b.op("relu", b.const([1, 2], Fixed(4, 4))))


def wide_weights(b: Builder) -> None:
    x = b.input("x", Fixed(4, 4), (2,))
    b.output("y", dense(b, x, weight_type=Fixed(54, 2)))


@pytest.mark.parametrize(
    ("build", "op", "why"),
    [
        (argmax, "argmax", "is no layer"),
        (scalar, "input", "has shape []"),
        (vector_product, "mul", "is no layer"),
        (lone_subtraction, "sub", "is no layer"),
        (second_input, "input", "is a second input"),
        (untouched_input, "input", "output 'y' is no result of a layer"),
        (same_output, "dense", "outputs 'a' and 'b' are one value"),
        (constant, "relu", "reads %0, which is no result of a layer"),
        (wide_weights, "dense", "weight is wider than 53 bits"),
    ],
)
def test_what_is_no_network_is_refused_before_anything_is_written(
    build, op: str, why: str, tmp_path: Path
):
    b = Builder()
    build(b)
    graph = b.build()
    with pytest.raises(EmitError) as refused:
        hls4ml.emit(graph, tmp_path / "out", META, random_words(graph, 10, seed=0))
    text = str(refused.value)
    assert f" {op}: " in text
    assert why in text
    assert "emit with hls instead" in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["w3", "b12", "config2", "layer4_t", "result_t", "nnet", "words"])
def test_function_names_avoid_those_of_hls4ml(name: str):
    assert hls4ml.function_name(name) == f"{name}_net"


def test_a_type_that_hls4ml_changes_is_noticed(tmp_path: Path):
    net = to_network(whole())
    with hls4ml.quiet():
        built = hls4ml.model_graph(net, "net", tmp_path, META)
    hls4ml.check(built, net)
    node = next(n for n in built.get_layers() if n.name == "dense2")
    node.get_attr("accum_t").precision.width -= 1
    with pytest.raises(EmitError, match="accum type of dense2"):
        hls4ml.check(built, net)


def test_a_project_is_reproducible_and_holds_what_it_needs_only(tmp_path: Path):
    graph = whole()
    words = random_words(graph, 10, seed=0)
    roots = [hls4ml.emit(graph, tmp_path / name, META, words) for name in ("a", "b")]
    first, second = (load(root) for root in roots)
    assert first.manifest == second.manifest
    assert first.manifest["flow"] == "hls4ml"
    assert first.manifest["versions"]["hls4ml"] == "1.3.0"
    files = set(first.manifest["files"])
    assert {"firmware/tiny_net.cpp", "firmware/weights/w3.h", "build_prj.tcl"} <= files
    assert not [f for f in files if "conv2d" in f or "bridge" in f or f.endswith(".yml")]
    home = str(tmp_path).encode()
    assert not [f for f in files if home in (roots[0] / f).read_bytes()]
