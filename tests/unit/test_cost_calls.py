"""Calls of functions, and what logic synthesis leaves of a design."""

import functools

import numpy as np
import pytest

from nacsr.cost import estimate
from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Overflow
from nacsr.ir import Builder
from nacsr.targets import target

WORD = Fixed(16, 6)


def called(*functions, width=14, **options):
    """The cost of functions of one word, their results added."""
    builder = Builder()
    word = Fixed(width, 6)
    x = builder.cast(builder.input("x", word), Fixed(8, 4, overflow=Overflow.SAT))
    table = np.zeros(256, dtype=np.int64)
    values = [builder.op("lut", x, type=word, function=f, table=table) for f in functions]
    builder.output("y", functools.reduce(lambda a, b: builder.op("add", a, b), values))
    return estimate(builder.build(), "vu9p", 200.0, **options)


def test_calls_are_those_of_the_reports():
    # one module of hftsoi/symbolic_regression at <14,6>: 2639 LUT, 2 DSP, 491 FF, 7 cycles
    cost = called("sin", functions="math")
    assert cost.luts == pytest.approx(2639, rel=0.01)
    assert cost.dsps == 2
    assert cost.latency_cycles == 7
    stock = called("sin", functions="stock")
    assert (stock.luts, stock.dsps, stock.brams, stock.latency_cycles) == (1373, 1, 2, 3)
    assert called("sin").luts < stock.luts


def test_a_sine_and_cosine_of_one_word_are_one_call():
    both = called("sin", "cos", functions="math")
    assert both.dsps == 2
    assert both.luts == pytest.approx(3747 + 24, rel=0.02)
    assert called("sin", "cos", functions="stock").dsps == 2  # there each has its own tables


def test_other_implementations_say_so():
    cost = called("sin", functions="math")
    found = cost.measurements(target("vu9p"), 200.0, "abc")
    assert {m.flags for m in found} == {"functions=math"}
    assert {m.flags for m in called("sin").measurements(target("vu9p"), 200.0, "abc")} == {""}
    with pytest.raises(SpecError, match="no report says what 'exp' takes as math"):
        called("exp", functions="math")
    with pytest.raises(SpecError, match="unknown implementation of functions 'maths', did you"):
        called("sin", functions="maths")


def test_logic_synthesis_leaves_carry_chains():
    def add(stage):
        builder = Builder()
        x, y = builder.input("x", WORD), builder.input("y", WORD)
        builder.output("y", builder.op("add", x, y))
        return estimate(builder.build(), "vu9p", 200.0, stage=stage)

    assert (add("csynth").luts, add("vsynth").luts) == (24, 17)
    assert add("vsynth").stage == "vsynth"
    assert add("vsynth").ffs < add("csynth").ffs
    with pytest.raises(SpecError, match="unknown stage of the estimate 'pnr'"):
        add("pnr")


def test_logic_synthesis_shares_block_rams_and_dsps_add():
    def cost(count, stage):
        builder = Builder()
        x = builder.input("x", Fixed(10, 5), (count,))
        table = np.arange(1024) - 512
        y = builder.op("lut", x, type=WORD, function="f", table=table)
        total = builder.op("reduce", builder.op("mul", y, y), kind="sum", axis=0)
        builder.output("y", total)
        return estimate(builder.build(), "vu9p", 200.0, stage=stage)

    assert [cost(n, "csynth").brams for n in (1, 2, 5)] == [1, 2, 5]
    assert [cost(n, "vsynth").brams for n in (1, 2, 5)] == [1, 1, 3]

    builder = Builder()
    x, y, z = (builder.input(n, WORD) for n in "xyz")
    builder.output("y", builder.op("add", builder.op("mul", x, y), z))
    assert estimate(builder.build(), "vu9p", 200.0, stage="vsynth").luts == 0
