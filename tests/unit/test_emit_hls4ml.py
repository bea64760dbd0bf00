"""What hls4ml cannot build and must not change, and what a project holds; nothing is compiled."""

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

from nacsr.emit import hls4ml
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.hls4ml_model import check, model_graph, prepared, quiet, reuse_of
from nacsr.emit.layers import to_network
from nacsr.emit.network import Constant, Layer, Window
from nacsr.emit.project import load
from nacsr.emit.vectors import random_words
from nacsr.errors import EmitError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from tests.unit.tiny_nets import ACTIVATION, META, WEIGHT, dense, whole


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
