"""hls4ml's C++, compiled, equals the interpreter bit for bit, for networks of many kinds."""

from collections.abc import Callable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from nacsr.emit import vectors as vec
from nacsr.emit.hls4ml import Hls4mlOptions
from nacsr.emit.verify import verify
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir import verify as verify_graph
from tests.conformance.hls4ml_nets import EVENTS, OPTIONS, TRAINED, Dice, emit


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
