"""Networks as layers, refusals, and what an hls4ml project holds (nothing is compiled here)."""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.words import Feature, Scaling
from nacsr.emit import hls4ml
from nacsr.emit.affine import Affine, operand
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.hls4ml_model import (
    check,
    model_graph,
    precisions,
    prepared,
    quiet,
    reuse_of,
    type_text,
)
from nacsr.emit.layers import to_network
from nacsr.emit.network import Constant, Layer, Window
from nacsr.emit.project import ProjectMeta, load
from nacsr.emit.vectors import random_words
from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, evaluate, verify

FEATURES = tuple(Feature(f"f{j}", Fixed(8, 4, signed=j > 0)) for j in range(3))
ACTIVATION = Fixed.parse("fixed<6,2,RND_CONV,SAT>")
WEIGHT = Fixed(4, 1)
META = ProjectMeta("tiny net", "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", FEATURES)


def dense(b: Builder, x: int, outputs: int = 2, weight_type: Fixed = WEIGHT) -> int:
    inputs = b.ops[x].shape[-1]
    weight = np.arange(inputs * outputs).reshape(inputs, outputs) % 7 - 3
    bias = np.arange(outputs) % 8 - 1
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


def pooled(b: Builder) -> None:
    x = b.input("x", Fixed(8, 4), (6, 2))
    b.output("y", b.op("pool", x, kind="max", window=[3], stride=[1]))


def skipped_rows(b: Builder) -> None:
    weight = np.ones((1, 2, 1, 1), np.int64)
    x = b.input("x", Fixed(8, 4), (5, 4, 1))
    types = {"weight_type": WEIGHT, "bias": [0], "bias_type": WEIGHT}
    padding = [[0, 0], [0, 0]]
    b.output("y", b.op("conv", x, weight=weight, stride=[2, 1], padding=padding, **types))


def popular(b: Builder) -> None:
    x = b.op("relu", b.input("x", Fixed(8, 4), (2,)))
    for k in range(8):
        b.output(f"y{k}", b.op("add", x, b.const(k + 1, Fixed(5, 5))))


def large(b: Builder) -> None:
    b.output("y", dense(b, b.input("x", Fixed(8, 4), (65,)), 64))


@pytest.mark.parametrize(
    ("build", "options", "why"),
    [
        (pooled, Hls4mlOptions("io_stream"), "maxpool1 pools windows that are not side by side"),
        (skipped_rows, Hls4mlOptions("io_stream"), "conv1 skips rows with a window of one row"),
        (popular, Hls4mlOptions("io_stream"), "relu1 has more than 7 readers"),
        (large, Hls4mlOptions(), "dense1 has 4160 products, hls4ml unrolls 4096 at most"),
    ],
)
def test_what_hls4ml_cannot_build_so_is_refused_before_anything_is_written(
    build: Callable[[Builder], None], options: Hls4mlOptions, why: str, tmp_path: Path
):
    b = Builder()
    build(b)
    graph = b.build()
    with pytest.raises(EmitError) as refused:
        hls4ml.emit(graph, tmp_path / "out", META, random_words(graph, 10, seed=0), options)
    assert why in str(refused.value)
    assert "; choose " in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    other = Hls4mlOptions() if options.streams else Hls4mlOptions(strategy="resource")
    prepared(to_network(graph), other)  # the other way is offered


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"io_type": "io_serial"}, "io_type must be io_parallel or io_stream"),
        ({"strategy": "unrolled"}, "strategy must be latency or resource"),
        ({"reuse_factor": 0}, "reuse_factor must be 1 or more, not 0"),
    ],
)
def test_unknown_options_are_refused(wrong: dict[str, Any], why: str):
    with pytest.raises(EmitError, match=why):
        Hls4mlOptions(**wrong)


@settings(deadline=None)  # the first example imports hls4ml
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 200), st.booleans())
def test_reuse_factors_are_the_largest_that_are_exact(
    inputs: int, outputs: int, wanted: int, convolves: bool
):
    from hls4ml.backends import get_backend

    weight = np.ones((1, inputs, outputs) if convolves else (inputs, outputs), np.int64)
    constants = {"weight": Constant(weight, WEIGHT)}
    kind, type_ = "conv" if convolves else "dense", Fixed(8, 4)
    layer = Layer("x", kind, ("words",), (outputs,), type_, type_, constants)
    valid = get_backend("Vitis").get_valid_reuse_factors(inputs, outputs)
    exact = [n for n in valid if n <= wanted and (n <= inputs or not convolves)]
    assert reuse_of(layer, Hls4mlOptions(strategy="resource", reuse_factor=wanted)) == max(exact)
    assert reuse_of(layer, Hls4mlOptions(reuse_factor=wanted)) == wanted


def branches() -> Graph:
    """Zeros before a convolution of a value that others read too; packs of 2 become packs of 3."""
    b = Builder()
    x = b.cast(b.input("x", Fixed(8, 4), (6, 2)), ACTIVATION)
    types = {"weight_type": WEIGHT, "bias": [0], "bias_type": WEIGHT}
    weight = np.arange(6).reshape(3, 2, 1)
    b.output("a", b.op("conv", x, weight=weight, stride=[1], padding=[[1, 1]], **types))
    b.output("b", dense(b, b.op("reshape", x, to=[4, 3])))
    b.output("c", b.op("relu", b.op("reshape", x, to=[12])))
    return b.build()


def test_streams_get_zeros_and_packs_of_their_own():
    layers = prepared(to_network(branches()), Hls4mlOptions("io_stream")).layers
    assert [(x.name, x.sources, x.shape) for x in layers] == [
        ("words", (), (6, 2)),
        ("cast1", ("words",), (6, 2)),
        ("conv2_zeros", ("cast1",), (8, 2)),
        ("conv2", ("conv2_zeros",), (6, 1)),
        ("reshape3_row", ("cast1",), (1, 12)),
        ("reshape3", ("reshape3_row",), (4, 3)),
        ("conv4", ("reshape3",), (4, 2)),
        ("reshape5_row", ("cast1",), (1, 12)),
        ("reshape5", ("reshape5_row",), (12,)),
        ("relu6", ("reshape5",), (12,)),
    ]
    assert layers[3].window == Window((3,), (1,), ((0, 0),))
    assert layers[2].type == layers[1].type


@pytest.mark.parametrize(
    "name", ["w3", "b12", "config2", "layer4_t", "result_t", "nnet", "hls", "words"]
)
def test_function_names_avoid_those_of_hls4ml(name: str):
    assert hls4ml.function_name(name) == f"{name}_net"


def narrowed(built: Any) -> None:
    node(built, "conv4").get_attr("accum_t").precision.width -= 1


def narrowed_copy(built: Any) -> None:
    copy = node(built, "clone_cast1")
    variable = next(iter(copy.get_variables()))
    variable.type = deepcopy(variable.type)  # it is the very type of what is copied
    variable.type.precision.width -= 1


def other_source(built: Any) -> None:
    node(built, "conv2").inputs[0] = "cast1_cpy3"


def other_reuse(built: Any) -> None:
    node(built, "conv4").set_attr("reuse_factor", 1)


def other_strategy(built: Any) -> None:
    node(built, "conv2").set_attr("strategy", "latency")


def other_shape(built: Any) -> None:
    node(built, "relu6").get_output_variable().shape = [6, 2]


def other_order(built: Any) -> None:
    built.outputs.reverse()


def dropped(built: Any) -> None:
    del built.graph["relu6"]


def node(built: Any, name: str) -> Any:
    return next(n for n in built.get_layers() if n.name == name)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (narrowed, "accum type of conv4"),
        (narrowed_copy, "type of clone_cast1"),
        (other_source, "sources of conv2"),
        (other_reuse, "reuse factor of conv4"),
        (other_strategy, "strategy of conv2"),
        (other_shape, "shape of relu6"),
        (other_order, "outputs"),
        (dropped, "layers"),
    ],
)
def test_what_hls4ml_changes_is_noticed(change: Callable[[Any], None], what: str, tmp_path: Path):
    options = Hls4mlOptions("io_stream", "resource", 3)
    net = prepared(to_network(branches()), options)
    with quiet():
        built = model_graph(net, "net", tmp_path, META, options)
    check(built, net, options)
    change(built)
    with pytest.raises(EmitError, match=f"hls4ml made the {what} .*install hls4ml==1.3.0"):
        check(built, net, options)


def test_what_hls4ml_raises_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hls4ml.model import ModelGraph

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(ModelGraph, "from_layer_list", fails)
    graph = whole()
    with pytest.raises(EmitError, match=r"cannot build this network: first; emit with hls or rtl"):
        hls4ml.emit(graph, tmp_path / "out", META, random_words(graph, 10, seed=0))
    assert list(tmp_path.iterdir()) == []


def test_a_jet_tagger_is_emitted_in_two_seconds(tmp_path: Path):
    b = Builder()
    x = b.cast(b.input("x", Fixed(16, 6), (16,)), ACTIVATION)
    for width in (64, 32, 32):
        x = b.op("relu", dense(b, x, width, Fixed(6, 1)))
        x = b.cast(x, Fixed.parse("ufixed<6,2,RND_CONV,SAT>"))
    b.output("scores", dense(b, x, 5, Fixed(6, 1)))
    graph = b.build()
    words = random_words(graph, 100, seed=0)
    start = time.process_time()
    hls4ml.emit(graph, tmp_path / "out", META, words)
    assert time.process_time() - start < 2


def test_a_project_says_what_became_of_every_layer(tmp_path: Path):
    graph, options = branches(), Hls4mlOptions("io_stream", "resource", 3)
    root = hls4ml.emit(graph, tmp_path / "out", META, random_words(graph, 10, seed=0), options)
    said = json.loads((root / "layers.json").read_text())
    assert said["options"] == {"io_type": "io_stream", "strategy": "resource", "reuse_factor": 3}
    conv = next(x for x in said["layers"] if x["name"] == "conv2")
    assert conv["reads"] == ["conv2_zeros"]
    assert (conv["class"], conv["strategy"], conv["reuse_factor"]) == ("Conv1D", "resource", 3)
    assert conv["types"]["weight"] == str(WEIGHT)
    assert "hls::stream<input_t> stream0_;" in (root / "tb" / "tiny_net_arrays.h").read_text()
    assert "layers.json" in load(root).manifest["files"]


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
