"""hls4ml's C++, compiled, equals the interpreter bit for bit; what differs is noticed."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.words import Feature, Scaling
from nacsr.emit import hls4ml
from nacsr.emit import vectors as vec
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.project import ProjectMeta, load
from nacsr.emit.verify import run, verify
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir import verify as verify_graph
from nacsr.ir.graph import Op
from nacsr.ir.passes.base import rewrite

EVENTS = 1000
TRAINED = ("RND_CONV", "SAT")  # the modes that quantisers of training use


@dataclass(frozen=True)
class Dice:
    """Random types and constants of a network."""

    rng: np.random.Generator
    any_modes: bool

    def upto(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def modes(self, type_: Fixed) -> Fixed:
        if not self.any_modes:
            return type_.with_modes(*TRAINED)
        rounding, overflow = self.rng.choice(list(Rounding)), self.rng.choice(list(Overflow))
        return type_.with_modes(str(rounding), str(overflow))

    def features(self, count: int, folded: bool) -> tuple[tuple[Feature, ...], Scaling]:
        if not folded:
            features = tuple(Feature(f"f{j}", Fixed(16, 5)) for j in range(count))
            return features, Scaling("external", (0,) * count, (0,) * count)
        types = [Fixed(16, self.upto(2, 12), bool(self.upto(0, 1))) for _ in range(count)]
        features = tuple(Feature(f"f{j}", t) for j, t in enumerate(types))
        offsets = tuple(self.upto(t.min_raw, t.max_raw) for t in types)
        return features, Scaling("folded", offsets, tuple(self.upto(-3, 8) for _ in types))

    def linear(self, outputs: int, shape: Sequence[int]) -> dict[str, object]:
        """Weights of a layer that sees ``shape``, some of them at the ends of their type."""
        bits = int(self.rng.choice([4, 6, 8, 12]))
        integer = self.upto(-2, 2)
        type_, bias_type = Fixed(bits, integer), Fixed(bits + 2, integer + self.upto(-2, 1))
        size = (*shape, outputs)
        weight = self.rng.integers(type_.min_raw, type_.max_raw, size, endpoint=True)
        weight.flat[0], weight.flat[-1] = type_.max_raw, type_.min_raw  # saturated
        weight[..., self.upto(0, outputs - 1)] = 0  # only its bias is left
        bias = self.rng.integers(bias_type.min_raw, bias_type.max_raw, outputs, endpoint=True)
        return {"weight": weight, "weight_type": type_, "bias": bias, "bias_type": bias_type}

    def dense(self, b: Builder, x: int, outputs: int) -> int:
        return b.op("dense", x, **self.linear(outputs, b.ops[x].shape[-1:]))

    def conv(self, b: Builder, x: int, outputs: int) -> int:
        """Windows of 1 to 3, steps of 1 to 3, zeros before and after; small outputs."""
        *sizes, channels = b.ops[x].shape
        window = [self.upto(1, min(3, n)) for n in sizes]
        # hls4ml's streams skip no rows with windows of one row
        stride = [self.upto(1, 3) if w > 1 else 1 for w in window]
        padding = [[self.upto(0, 1), self.upto(0, 1)] for _ in sizes]
        weights = self.linear(outputs, (*window, channels))
        return b.op("conv", x, stride=stride, padding=padding, **weights)

    def pool(self, b: Builder, x: int, mean: bool) -> int:
        window = [self.upto(1, min(3, n)) for n in b.ops[x].shape[:-1]]
        if not mean:
            return b.op("pool", x, kind="max", window=window, stride=window)
        total = b.op("pool", x, kind="sum", window=window, stride=[min(w, 2) for w in window])
        return self.divided(b, total, int(np.prod(window)))

    def divided(self, b: Builder, x: int, count: int) -> int:
        return b.op("mul", x, b.const(round(2**10 / count), Fixed(11, 1, False)))

    def fitted(self, b: Builder, x: int) -> int:
        """A cast that some values overflow and that drops fractional bits of most."""
        graph, t = Graph(tuple(b.ops), (("y", x),)), b.type(x)
        reached = np.abs(evaluate(graph, vec.random_words(graph, 100, seed=0))["y"])
        integer = int(np.quantile(reached, 0.8)).bit_length() - t.frac + t.signed
        return b.cast(x, self.modes(Fixed(int(self.rng.choice([6, 8, 10])), integer, t.signed)))

    def bent(self, b: Builder, x: int) -> int:
        """An activation: leaky, rectified or none, and a cast."""
        kind = self.rng.choice(["leaky_relu", "relu", "none"])
        if kind == "leaky_relu":
            x = b.op("leaky_relu", x, n=self.upto(1, 4))
        elif kind == "relu":
            x = b.op("relu", x)
        return self.fitted(b, x)

    def activation(self, b: Builder, x: int) -> int:
        rectified = self.upto(0, 3) > 0
        if rectified:
            x = b.op("relu", x)
        bits = int(self.rng.choice([4, 6, 8, 12]))
        return b.cast(x, self.modes(Fixed(bits, self.upto(0, 4), not rectified)))

    def table(self, b: Builder, x: int) -> int:
        x = b.cast(x, self.modes(Fixed(6, self.upto(1, 3))))
        table = self.rng.integers(-256, 256, 64)
        x = b.op("lut", x, type=Fixed(9, 2), function="random", table=table)
        return b.cast(x, self.modes(Fixed(5, 2, signed=False))) if self.upto(0, 1) else x


def random_network(seed: int, any_modes: bool) -> Graph:
    """Depth 1 to 3, 3 to 16 wide, types mixed by layer; tables too where any mode goes."""
    dice = Dice(np.random.default_rng(seed), any_modes)
    b = Builder()
    features, scaling = dice.features(dice.upto(3, 16), folded=seed % 2 == 0)
    x = b.cast(vector_stem(b, features, scaling), dice.modes(Fixed(8, 3)))
    for _ in range(seed % 3):
        x = dice.activation(b, dice.dense(b, x, dice.upto(3, 16)))
        if any_modes and dice.upto(0, 1):
            x = dice.table(b, x)
    x = dice.dense(b, x, dice.upto(3, 16))
    if dice.upto(0, 1):
        x = b.cast(x, dice.modes(Fixed(10, 5)))
    b.output("scores", x)
    return verify_graph(b.build())


def cnn(dice: Dice, rank: int) -> Graph:
    """Convolutions with a residual, a pool and a head; two outputs."""
    b = Builder()
    shape = (*(dice.upto(5, 8) for _ in range(rank)), dice.upto(1, 3))
    x = dice.bent(b, b.input("x", Fixed(10, 4), shape))
    x = dice.bent(b, dice.conv(b, x, dice.upto(2, 4)))
    y = dice.fitted(b, dice.dense(b, x, b.ops[x].shape[-1]))  # pointwise
    x = dice.bent(b, b.op("add" if dice.upto(0, 1) else "max", x, y))
    x = dice.fitted(b, dice.pool(b, x, mean=bool(dice.upto(0, 1))))
    x = dice.bent(b, dice.conv(b, x, 3))
    x = b.op("reshape", x, to=[int(np.prod(b.ops[x].shape))])
    if dice.upto(0, 1):
        x = dice.bent(b, x)
    b.output("scores", dice.fitted(b, dice.dense(b, x, 4)))
    b.output("more", dice.dense(b, x, 2))
    return verify_graph(b.build())


def deep_set(dice: Dice, kinds: Sequence[str]) -> Graph:
    """A network a particle, joined over the set, and a head."""
    b = Builder()
    particles, features = dice.upto(3, 7), dice.upto(2, 4)
    x = b.input("x", Fixed(10, 4), (particles * features,))
    x = dice.bent(b, b.op("reshape", x, to=[particles, features]))
    for _ in range(2):
        x = dice.bent(b, dice.dense(b, x, dice.upto(3, 5)))
    joined = []
    for kind in kinds:
        y = b.op("reduce", x, kind="max" if kind == "max" else "sum", axis=0)
        y = dice.divided(b, y, particles) if kind == "mean" else y
        joined.append(dice.fitted(b, y))
    x = b.op("concat", *joined, axis=0) if len(joined) > 1 else joined[0]
    x = dice.bent(b, dice.dense(b, x, 5))
    b.output("scores", dice.dense(b, x, 3))
    return verify_graph(b.build())


def table_network(dice: Dice) -> Graph:
    """Tables on a set, whose results are scaled and shifted by constants of every element."""
    b = Builder()
    x = dice.table(b, b.input("x", Fixed(10, 4), (4, 3)))
    low = b.const(dice.rng.integers(-30, 30, (4, 3)), Fixed(6, 2))
    x = b.op("mul", b.op("sub", low, x), b.const([[3, 5, -7]] * 4, Fixed(4, 0)))
    x = dice.fitted(b, b.op("shift", x, n=-1))
    b.output("each", x)
    b.output("scores", dice.dense(b, b.op("reduce", x, kind="sum", axis=1), 3))
    return verify_graph(b.build())


FAMILIES: tuple[Callable[[Dice], Graph], ...] = (
    lambda dice: cnn(dice, 1),
    lambda dice: cnn(dice, 2),
    lambda dice: deep_set(dice, ["mean"]),
    lambda dice: deep_set(dice, ["max", "sum"]),
    table_network,
)
OPTIONS = (
    Hls4mlOptions(),
    Hls4mlOptions("io_stream"),
    Hls4mlOptions(strategy="resource", reuse_factor=4),
    Hls4mlOptions("io_stream", "resource", 30),
)


def tensor_network(seed: int) -> Graph:
    """The first one drawn whose words mostly vary: equal constants would prove little."""
    for attempt in range(20):
        dice = Dice(np.random.default_rng([seed, attempt]), any_modes=bool(seed % 2))
        graph = FAMILIES[seed % len(FAMILIES)](dice)
        reached = evaluate(graph, vec.random_words(graph, EVENTS, seed=0))
        words = vec.flatten(reached, vec.output_layout(graph))
        if (words != words[0]).any(axis=0).mean() > 0.5:
            return graph
    raise AssertionError(seed)


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


def emit(
    graph: Graph, out: Path, name: str = "tagger", options: Hls4mlOptions | None = None
) -> Path:
    meta = ProjectMeta(name, "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", ())
    return hls4ml.emit(graph, out, meta, vec.random_words(graph, 20, seed=1), options)


def check_network(seed: int, any_modes: bool, out: Path) -> None:
    graph = random_network(seed, any_modes)
    reached = evaluate(graph, vec.random_words(graph, EVENTS, seed))["scores"]
    constant = (reached == reached[0]).all(axis=0)
    assert constant.sum() <= 1  # the zeroed column; equality of constants would prove little
    found = verify(emit(graph, out), events=EVENTS, seed=seed)
    assert found.mismatches == 0, found.first
    assert found.events == EVENTS
    assert found.words >= 3 * EVENTS


@pytest.mark.parametrize(("seed", "any_modes"), [(2, False), (10, True)])
def test_perceptrons_are_exact(seed: int, any_modes: bool, tmp_path: Path):
    check_network(seed, any_modes, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 40))
def test_more_perceptrons_are_exact(seed: int, tmp_path: Path):
    check_network(seed, seed % 4 > 0, tmp_path / "out")


def check_tensors(cases: Sequence[tuple[int, Hls4mlOptions]], folder: Path) -> None:
    """Emitted one after another, compiled two at a time."""
    graphs = [tensor_network(seed) for seed, _ in cases]
    roots = [
        emit(graph, folder / str(k), options=options)
        for k, (graph, (_, options)) in enumerate(zip(graphs, cases, strict=True))
    ]
    with ThreadPool(2) as pool:
        found = pool.map(lambda root: verify(root, events=EVENTS, seed=1), roots)
    assert all(f.events == EVENTS for f in found)
    assert {c: f.first for c, f in zip(cases, found, strict=True) if f.mismatches} == {}


def test_tensors_are_exact(tmp_path: Path):
    check_tensors([(2, OPTIONS[3]), (6, OPTIONS[0]), (10, OPTIONS[1])], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.io_type}-{o.strategy}")
def test_more_tensors_are_exact(options: Hls4mlOptions, tmp_path: Path):
    start = 100 + 10 * OPTIONS.index(options)
    check_tensors([(seed, options) for seed in range(start, start + 10)], tmp_path)


@pytest.mark.slow
def test_a_jet_tagger_is_exact(tmp_path: Path):
    dice = Dice(np.random.default_rng(0), any_modes=False)
    b = Builder()
    x = b.cast(vector_stem(b, *dice.features(16, folded=True)), Fixed(8, 3).with_modes(*TRAINED))
    for width in (64, 32, 32):
        x = b.op("relu", dice.dense(b, x, width))
        x = b.cast(x, Fixed(8, 3, signed=False).with_modes(*TRAINED))
    b.output("scores", dice.dense(b, x, 5))
    found = verify(emit(b.build(), tmp_path / "out"), events=5000)
    assert (found.mismatches, found.words) == (0, 25_000)


WINDOW = {"kind": "max", "window": [2], "stride": [2]}
ENDINGS: Mapping[str, Callable[[Dice, Builder, int, int], int]] = {
    "cast": lambda dice, b, x, y: x,
    "relu": lambda dice, b, x, y: b.op("relu", x),
    "leaky_relu": lambda dice, b, x, y: b.op("leaky_relu", x, n=2),
    "lut": lambda dice, b, x, y: b.op(
        "lut", x, type=Fixed(12, 5), function="r", table=dice.rng.integers(-2048, 2048, 256)
    ),
    "affine": lambda dice, b, x, y: b.op("mul", x, b.const(-13, Fixed(5, 0))),
    **{
        name: lambda dice, b, x, y, name=name: b.op(name, x, y)
        for name in ("add", "sub", "mul", "min", "max")
    },
    "concat": lambda dice, b, x, y: b.op("concat", x, y, axis=0),
    "dense": lambda dice, b, x, y: dice.dense(b, x, 2),
    "conv": lambda dice, b, x, y: dice.conv(b, x, 2),
    "sum": lambda dice, b, x, y: b.op("pool", x, **WINDOW | {"kind": "sum"}),
    "maxpool": lambda dice, b, x, y: b.op("pool", x, **WINDOW),
}
"""Every kind of layer that a cast can end, of one value or two."""


def every_mode(kinds: Sequence[str]) -> Graph:
    """Layers of some kinds, each ending in a cast of every rounding and overflow mode."""
    dice = Dice(np.random.default_rng(3), any_modes=False)
    b = Builder()
    x = b.input("x", Fixed(8, 4), (4,))
    modes = [(r, o) for r in Rounding for o in Overflow]
    # builders share equal values, and a layer ends in a cast only if nothing else reads it
    different = [b.cast(dice.dense(b, x, 4), Fixed(8, 3)) for _ in modes]
    for kind in kinds:
        for k, (rounding, overflow) in enumerate(modes):
            values = different[k], different[k - 1]
            if kind in ("conv", "sum", "maxpool"):
                values = tuple(b.op("reshape", v, to=[4, 1]) for v in values)
            y = ENDINGS[kind](dice, b, *values)
            to = Fixed(5, b.type(y).integer - 2, k % 3 > 0, rounding, overflow)
            b.output(f"{kind} {rounding} {overflow}", b.op("cast", y, type=to))
    return verify_graph(b.build())


@pytest.mark.slow
def test_every_layer_ends_in_every_mode_exactly(tmp_path: Path):
    names = list(ENDINGS)
    graphs = [every_mode(names[k : k + 3]) for k in range(0, len(names), 3)]
    roots = [emit(graph, tmp_path / str(k)) for k, graph in enumerate(graphs)]
    with ThreadPool(2) as pool:
        found = pool.map(lambda root: verify(root, events=EVENTS, seed=1), roots)
    assert [f.first for f in found if f.mismatches] == []
    assert sum(len(graph.outputs) for graph in graphs) == 28 * len(ENDINGS)


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
