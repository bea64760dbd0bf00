"""Unrolled graphs compute the same bits; schedules keep the order of things and the period."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.emit.vectors import random_words as words
from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate, verify
from nacsr.ir.passes.matrix import AdderTree, DistributedArithmetic, csd
from nacsr.ir.passes.schedule import MARGIN, schedule
from nacsr.ir.passes.unroll import Unroll

MULTIPLIERS = {"adder tree": AdderTree(), "da4ml": DistributedArithmetic()}


def network(seed: int, sizes: tuple[int, ...] = (6, 8, 4), bits: int = 5) -> Graph:
    """A dense network with relu, casts and an argmax."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", Fixed(8, 4), sizes[:1])
    for n, m in itertools.pairwise(sizes):
        low, high = -(1 << bits - 1), 1 << bits - 1
        weight = rng.integers(low, high, (n, m)) * (rng.random((n, m)) < 0.8)
        t = Fixed(bits, 1)
        bias, bias_type = rng.integers(-99, 99, m), Fixed(8, 3)
        x = b.op("dense", x, weight=weight, weight_type=t, bias=bias, bias_type=bias_type)
        x = b.cast(b.op("relu", x), Fixed(7, 3, False, "TRN", "SAT"))
    b.output("scores", x)
    b.output("class", b.op("argmax", x))
    return verify(b.build())


def set_network() -> Graph:
    """A network per particle, a sum and a maximum over the set, joined."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input("x", Fixed(6, 3), (5, 3))
    weight, t = rng.integers(-8, 8, (3, 4)), Fixed(4, 1)
    y = b.op("dense", x, weight=weight, weight_type=t, bias=[1, 2, 3, 4], bias_type=Fixed(4, 1))
    both = [b.op("reduce", y, kind=kind, axis=0) for kind in ("sum", "max")]
    joined = b.op("concat", *both, axis=0)
    b.output("y", b.transpose(b.op("reshape", joined, to=[2, 4]), (1, 0)))
    b.output("low", b.op("reduce", y, kind="min", axis=1))
    return verify(b.build())


def same(a: Graph, b: Graph, events: int = 300) -> None:
    given = words(a, events, 1)
    left, right = evaluate(a, given), evaluate(b, given)
    assert list(left) == list(right)
    for name, raw in left.items():
        assert (raw == right[name]).all(), name
    types = [[g.ops[i].type.plain() for _, i in g.outputs] for g in (a, b)]
    assert types[0] == types[1]


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
@pytest.mark.parametrize("seed", range(4))
def test_networks(multiplier: str, seed: int) -> None:
    graph = network(seed)
    found = verify(Unroll(MULTIPLIERS[multiplier]).apply(graph))
    same(graph, found)
    wide = [op for op in found.ops if op.shape and op.name not in ("input", "stack", "reshape")]
    assert not wide
    assert not any(op.name == "mul" for op in found.ops)


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_sets(multiplier: str) -> None:
    graph = set_network()
    same(graph, verify(Unroll(MULTIPLIERS[multiplier]).apply(graph)))


def test_sharing_saves_adders() -> None:
    graph = network(1, (16, 32, 8), 6)
    adders = {
        name: sum(op.type.width for op in Unroll(m).apply(graph).ops if op.name in ("add", "sub"))
        for name, m in MULTIPLIERS.items()
    }
    assert adders["da4ml"] < 0.8 * adders["adder tree"]


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_weights_beyond_the_solver(multiplier: str) -> None:
    b = Builder()
    x = b.input("x", Fixed(6, 3), (3,))
    weight = np.array([[(1 << 25) + 1, -(1 << 26) + 3], [0, 5], [7, 0]])
    t = Fixed(28, 2)
    b.output("y", b.op("dense", x, weight=weight, weight_type=t, bias=[0, 9], bias_type=t))
    graph = verify(b.build())
    same(graph, verify(Unroll(MULTIPLIERS[multiplier]).apply(graph)))


def test_padding_goes_to_the_bias() -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 2), (3,))
    joined = b.op("concat", b.op("take", x, index=[-1, 0, 2]), b.const([3], Fixed(4, 2)), axis=0)
    weight, t = [[1, 2], [3, -4], [5, 6], [-7, 1]], Fixed(4, 1)
    b.output("y", b.op("dense", joined, weight=weight, weight_type=t, bias=[1, 0], bias_type=t))
    graph = verify(b.build())
    same(graph, verify(Unroll().apply(graph)))


def test_a_design_too_large_is_refused() -> None:
    with pytest.raises(GraphError, match=r"%1 dense: .* more than 20 scalar operations"):
        Unroll(AdderTree(), limit=20).apply(network(1))


def test_layers_must_be_lowered_before() -> None:
    b = Builder()
    b.output("y", b.op("leaky_relu", b.input("x", Fixed(4, 2)), n=1))
    with pytest.raises(GraphError, match=r"%1 leaky_relu: lower the layers"):
        Unroll().apply(b.build())


@given(st.integers(-(1 << 40), 1 << 40))
def test_signed_digits(value: int) -> None:
    digits = csd(value)
    assert sum(sign << power for power, sign in digits) == value
    powers = [power for power, _ in digits]
    assert all(b - a >= 2 for a, b in itertools.pairwise(powers))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from((1.5, 2.5, 5.0, 10.0, 1000.0)))
def test_schedules(seed: int, period: float) -> None:
    graph = Unroll(AdderTree()).apply(network(seed, (4, 5, 3)))
    found = schedule(graph, period)
    for index, op in enumerate(graph.ops):
        for a in op.args:
            if graph.ops[a].name != "const":
                assert found.ready(a) <= found.cycle[index]
    assert found.slowest_ns <= period * (1 - MARGIN) + 1e-6
    last = max(found.ready(i) for _, i in graph.outputs)
    assert found.latency_cycles == last + 2


def test_a_faster_clock_takes_more_stages() -> None:
    graph = Unroll().apply(network(5, (16, 16, 5)))
    stages = [schedule(graph, period).stages for period in (1000.0, 10.0, 5.0, 2.5)]
    assert stages == sorted(stages)
    assert stages[0] == 1 < stages[-1]


@pytest.mark.parametrize("period", [0.0, -1.0, math.nan, math.inf])
def test_periods_that_are_none(period: float) -> None:
    with pytest.raises(GraphError, match="positive number of ns"):
        schedule(Unroll().apply(network(1)), period)


def test_tensors_cannot_be_scheduled() -> None:
    with pytest.raises(GraphError, match="unroll the graph first"):
        schedule(network(1), 5.0)
