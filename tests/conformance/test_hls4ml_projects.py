"""A compiled hls4ml project: what differs is noticed, and its script names files that exist."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from nacsr.emit import vectors as vec
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.project import load
from nacsr.emit.verify import run, verify
from nacsr.fixed import Fixed, Rounding
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir import verify as verify_graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.base import rewrite
from tests.conformance.hls4ml_nets import EVENTS, OPTIONS, Dice, emit


def tiny_network() -> Graph:
    """Two layers whose every weight reaches the output."""
    dice = Dice(np.random.default_rng(5), any_modes=False)
    b = Builder()
    x = b.cast(b.input("x", Fixed(8, 3), (3,)), Fixed.parse("fixed<6,3,RND_CONV,SAT>"))
    x = b.op("relu", dice.dense(b, x, 4))
    hidden = b.cast(x, Fixed.parse("ufixed<12,6,RND_CONV,SAT>"))
    b.output("scores", dice.dense(b, hidden, 3))
    b.output("hidden", hidden)
    return b.build()


def every_layer() -> Graph:
    """Every op that is a layer, each with a way to an output."""
    dice = Dice(np.random.default_rng(5), any_modes=False)
    low, high = (Fixed.parse(f"fixed<6,{n},RND_CONV,SAT>") for n in (2, 4))
    b = Builder()
    x = b.cast(b.input("x", Fixed(12, 4), (4, 5, 2)), low)
    image = b.op("conv", x, stride=[1, 2], padding=[[1, 0], [0, 1]], **dice.linear(3, (2, 2, 2)))
    image = b.cast(b.op("leaky_relu", image, n=2), high)
    b.output("max", b.op("pool", image, kind="max", window=[2, 1], stride=[2, 1]))
    b.output("sum", b.op("pool", image, kind="sum", window=[1, 2], stride=[1, 1]))
    rows = b.op("reshape", image, to=[12, 3])
    total = b.op("reduce", rows, kind="sum", axis=0)
    total = b.cast(b.op("shift", b.op("mul", total, b.const(85, Fixed(8, 1))), n=-3), high)
    most = b.op("sub", b.op("reduce", rows, kind="max", axis=0), b.const(2, Fixed(4, 4)))
    most = b.cast(b.op("relu", most), Fixed(4, 3))
    table = b.op("lut", most, type=Fixed(6, 2), function="r", table=dice.rng.integers(-32, 32, 16))
    offset = b.op("sub", b.op("add", b.op("neg", table), b.const(3, Fixed(4, 2))), most)
    for name in ("add", "sub", "mul", "min", "max"):
        b.output(f"{name} of two", b.op(name, total, offset))
    b.output("scores", dice.dense(b, b.op("concat", total, table, axis=0), 3))
    return verify_graph(b.build())


def with_attrs(b: Builder, op: Op, args: Sequence[int], **attrs: object) -> int:
    return b.op(op.name, *args, **{**op.attrs, **attrs})


def stepped(op: Op) -> np.ndarray:
    weight = np.array(op.array("weight"))
    weight.flat[0] -= 1
    return weight


Mutation = Callable[[Builder, Op, tuple[int, ...]], int]
SWAPPED = {"sum": "max", "max": "sum"}
LINEAR: tuple[Mutation, ...] = (
    lambda b, op, args: with_attrs(b, op, args, weight=stepped(op)),
    lambda b, op, args: with_attrs(b, op, args, bias=np.roll(op.array("bias"), 1)),
)
MUTATIONS: Mapping[str, tuple[Mutation, ...]] = {
    "dense": LINEAR,
    "conv": (
        *LINEAR,
        lambda b, op, args: with_attrs(b, op, args, padding=op.array("padding")[:, ::-1]),
    ),
    "pool": (lambda b, op, args: with_attrs(b, op, args, kind=SWAPPED[op.attrs["kind"]]),),
    "reduce": (lambda b, op, args: with_attrs(b, op, args, kind=SWAPPED[op.attrs["kind"]]),),
    "relu": (lambda b, op, args: args[0],),
    "leaky_relu": (lambda b, op, args: with_attrs(b, op, args, n=op.integer("n") + 1),),
    "lut": (
        lambda b, op, args: b.op(
            "lut", args[0], type=op.type, function="r", table=op.array("table")[::-1]
        ),
    ),
    "cast": (lambda b, op, args: b.op("cast", *args, type=op.type.with_modes("TRN", "SAT")),),
    "shift": (lambda b, op, args: with_attrs(b, op, args, n=op.integer("n") + 1),),
    "neg": (lambda b, op, args: args[0],),
    "add": (lambda b, op, args: b.op("sub", *args),),
    "sub": (lambda b, op, args: b.op("add", *args),),
    "mul": (lambda b, op, args: b.op("add", *args),),
    "min": (lambda b, op, args: b.op("max", *args),),
    "max": (lambda b, op, args: b.op("min", *args),),
    "concat": (lambda b, op, args: b.op("concat", *args[::-1], axis=op.integer("axis")),),
    "reshape": (
        lambda b, op, args: b.op(
            "take", *args, index=np.arange(np.prod(op.shape))[::-1].reshape(op.shape)
        ),
    ),
}
"""One step of one constant, another mode, another kind: each a different design."""


def mutants(graph: Graph) -> list[tuple[str, Graph]]:
    found = []
    for target in graph.ops:
        exact = target.name == "cast" and target.type.rounding is Rounding.TRN
        for mutation in () if exact else MUTATIONS.get(target.name, ()):

            def rule(
                b: Builder,
                op: Op,
                args: tuple[int, ...],
                target: Op = target,
                mutation: Mutation = mutation,
            ) -> int | None:
                return mutation(b, op, args) if op is target else None

            found.append((target.name, rewrite(graph, rule)))
    return found


@pytest.mark.parametrize("options", [OPTIONS[0], pytest.param(OPTIONS[3], marks=pytest.mark.slow)])
def test_what_differs_is_noticed(options: Hls4mlOptions, tmp_path: Path):
    graph = every_layer()
    root = emit(graph, tmp_path / "out", "w3", options)  # a name that hls4ml uses itself
    words = vec.random_words(graph, EVENTS, seed=3)
    layout = vec.output_layout(graph)
    found = run(load(root), vec.flatten(words, vec.input_layout(graph)))
    assert (found == vec.flatten(evaluate(graph, words), layout)).all()
    different = mutants(graph)
    assert {name for name, _ in different} == set(MUTATIONS)
    missed = [
        f"{name}: {mutant}"
        for name, mutant in different
        if (found == vec.flatten(evaluate(mutant, words), layout)).all()
    ]
    assert missed == []


def test_an_edited_constant_is_noticed(tmp_path: Path):
    root = emit(tiny_network(), tmp_path / "out")
    weights = root / "firmware" / "weights" / "b5.h"
    text = weights.read_text()
    start = text.index("{") + 1
    end = text.index(",", start)
    weights.write_text(f"{text[:start]}{float(text[start:end]) + 0.5:.12f}{text[end:]}")
    found = verify(root)
    assert found.mismatches > 0
    assert found.edited == ("firmware/weights/b5.h",)


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="no tclsh to read the scripts with")
def test_the_vitis_script_names_files_that_exist(tmp_path: Path):
    root = emit(tiny_network(), tmp_path / "out")
    script = "proc unknown args { puts [join $args |] }; proc exit args {}; source build_prj.tcl"
    done = subprocess.run(
        ["tclsh"], input=script, cwd=root, capture_output=True, text=True, check=True
    )
    calls = [line.split("|") for line in done.stdout.splitlines()]
    files = [call[2] if call[1] == "-tb" else call[1] for call in calls if call[0] == "add_files"]
    assert files == ["firmware/tagger.cpp", "tb/tagger_tb.cpp", "firmware/weights"]
    assert all((root / f).exists() for f in files)
    simulation = next(call for call in calls if call[0] == "csim_design")
    assert all(Path(f).is_file() or f.endswith("output.txt") for f in simulation[2].split())
    assert ["set_part", "xcvu9p-flga2577-2-e"] in calls
    assert ["create_clock", "-period", "5.0", "-name", "default"] in calls
