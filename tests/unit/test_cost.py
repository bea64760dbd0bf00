"""The analytic cost of hand-made graphs: values worked out by hand from the rules."""

import math

import numpy as np
import pytest

from nacsr.cost import estimate, operator_costs, share, within
from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder
from nacsr.targets import target

WORD = Fixed(16, 6)


def single(name, *types, **attrs):
    """The cost of one op on scalar inputs."""
    builder = Builder()
    args = [builder.input(f"x{i}", t) for i, t in enumerate(types)]
    builder.output("y", builder.op(name, *args, **attrs))
    return estimate(builder.build(), "vu9p", 200.0)


def times(raw, precision=WORD):
    """The cost of an input times a constant."""
    builder = Builder()
    x = builder.input("x", precision)
    builder.output("y", builder.op("mul", x, builder.const(raw, Fixed(16, 6))))
    return estimate(builder.build(), "vu9p", 200.0)


def layer(weight, activation=WORD, clock=200.0, flow="hls4ml"):
    """The cost of one dense layer without bias."""
    weight = np.asarray(weight, dtype=np.int64)
    builder = Builder()
    x = builder.input("x", activation, weight.shape[:1])
    bias, t = np.zeros(weight.shape[1], dtype=np.int64), Fixed(16, 5)
    y = builder.op("dense", x, weight=weight, bias=bias, weight_type=t, bias_type=t)
    builder.output("y", y)
    return estimate(builder.build(), "vu13p", clock, flow)


def test_products_of_constants_go_by_their_signed_digits():
    assert (times(0).luts, times(0).dsps) == (0, 0)
    assert (times(1 << 7).luts, times(-8).dsps) == (0, 0)
    two = times(5)
    assert (two.luts, two.dsps) == (16 + 4 - 1 + 7, 0)
    assert times(7).luts == two.luts  # 8 - 1
    assert times(11).dsps == 1
    assert times(11 << 3).dsps == 1  # trailing zeros are wires
    assert times(0b1010101, Fixed(8, 4)).dsps == 0  # narrow: in LUTs


@pytest.mark.parametrize(
    ("a", "b", "dsps"),
    [(10, 10, 0), (11, 4, 1), (27, 18, 1), (18, 27, 1), (28, 12, 2), (27, 27, 2), (39, 24, 3)],
)
def test_products_of_variables_go_by_width(a, b, dsps):
    assert single("mul", Fixed(a, 4), Fixed(b, 4)).dsps == dsps


def test_an_adder_costs_its_width_and_bits_of_one_operand_are_wires():
    assert single("add", WORD, WORD).luts == 17 + 7
    # ten low bits of x0 have no partner in x1
    assert single("add", Fixed(20, 10), Fixed(10, 10)).luts == 21 - 10 + 7
    # but a subtrahend's low bits borrow
    assert single("sub", Fixed(10, 10), Fixed(20, 10)).luts == 21 + 7


def test_a_long_sum_is_a_balanced_tree():
    builder = Builder()
    total = builder.input("x0", WORD)
    for i in range(1, 16):
        total = builder.op("add", total, builder.input(f"x{i}", WORD))
    builder.output("y", total)
    cost = estimate(builder.build(), "vu9p", 200.0)
    assert cost.latency_cycles <= 1  # 4 levels, not 15


def test_additions_of_zero():
    def cost(name, first):
        builder = Builder()
        x, zero = builder.input("x", WORD), builder.const(0, WORD)
        builder.output("y", builder.op(name, *((zero, x) if first else (x, zero))))
        return estimate(builder.build(), "vu9p", 200.0).luts

    assert cost("add", True) == cost("add", False) == cost("sub", False) == 0
    assert cost("sub", True) > 0  # a negation


def test_what_a_zero_multiplies_vanishes():
    builder = Builder()
    x, y = builder.input("x", WORD), builder.input("y", WORD)
    heavy = builder.op("mul", x, y)
    gone = builder.op("mul", heavy, builder.const(0, WORD))
    builder.output("y", builder.op("add", gone, x))
    cost = estimate(builder.build(), "vu9p", 200.0)
    assert (cost.luts, cost.dsps, cost.latency_cycles) == (0, 0, 0)


def test_bits_that_wrapping_drops_are_not_computed():
    builder = Builder()
    a, b = builder.input("a", Fixed(20, 20)), builder.input("b", Fixed(20, 20))
    builder.output("y", builder.cast(builder.op("add", a, b), Fixed(14, 14)))
    assert estimate(builder.build(), "vu9p", 200.0).luts == 14 + 7


def test_rounding_and_saturation_cost_and_truncation_does_not():
    def cast(rounding, overflow):
        builder = Builder()
        x = builder.input("x", Fixed(20, 10))
        builder.output("y", builder.cast(x, Fixed(10, 5, True, rounding, overflow)))
        return estimate(builder.build(), "vu9p", 200.0).luts

    assert cast(Rounding.TRN, Overflow.WRAP) == 0
    assert cast(Rounding.RND, Overflow.WRAP) == 18  # no adder takes less
    # towards zero it counts only where a negative word loses something
    assert cast(Rounding.TRN_ZERO, Overflow.WRAP) == 18 + (5 + 7) + 2 * 10
    assert cast(Rounding.TRN, Overflow.SAT) == 2 * (5 + 7) + 10
    assert cast(Rounding.RND_CONV, Overflow.SAT) > cast(Rounding.RND, Overflow.WRAP)


def test_a_saturating_cast_that_cannot_saturate_is_free():
    builder = Builder()
    x = builder.input("x", Fixed(8, 4))
    builder.output("y", builder.cast(x, Fixed(12, 6, overflow=Overflow.SAT)))
    assert estimate(builder.build(), "vu9p", 200.0).luts == 0


def lookup(address, word):
    builder = Builder()
    x = builder.input("x", Fixed(address, address))
    table = np.arange(1 << address) % (1 << (word - 1))
    builder.output("y", builder.op("lut", x, type=Fixed(word, word), function="f", table=table))
    return estimate(builder.build(), "vu9p", 200.0)


def test_small_tables_are_luts_and_large_ones_block_ram():
    small, large = lookup(8, 8), lookup(10, 18)
    assert (small.luts, small.brams) == (32, 0)
    assert (large.luts, large.brams) == (0, 1)
    assert lookup(12, 18).brams == 4
    assert small.latency_cycles == 1


def test_every_lookup_has_its_own_table():
    builder = Builder()
    x = builder.input("x", Fixed(10, 5), (6,))
    table = np.arange(1024) - 512
    builder.output("y", builder.op("lut", x, type=WORD, function="f", table=table))
    assert estimate(builder.build(), "vu9p", 200.0).brams == 6


def test_a_layer_shares_products_of_one_input_and_weight():
    cost = layer([[11, 11, -11, 4, 5, 0], [11, 13, 0, 0, 0, 0]])
    assert cost.dsps == 4  # 11 and -11 of input 0, 11 and 13 of input 1
    # adders as wide as a product by 13, five bits with its sign; the 5 is one more
    assert cost.luts == 7 * (16 + 5 + 7) + (16 + 4 + 7)


def tensor(shape, name, **attrs):
    """The cost of one op on a tensor of words, without that of its port."""
    builder = Builder()
    builder.output("y", builder.op(name, builder.input("x", WORD, shape), **attrs))
    return estimate(builder.build(), "vu9p", 200.0)


def test_words_narrow_to_the_values_that_reach_them():
    builder = Builder()
    x = builder.input("x", Fixed(10, 5))
    table = np.round(64 * np.sin(np.arange(1024) / 64))
    sine = builder.op("lut", x, type=Fixed(16, 10), function="sin", table=table)
    builder.output("y", builder.op("mul", sine, sine))
    cost = estimate(builder.build(), "vu9p", 200.0)
    assert cost.dsps == 0  # 8 x 8 bits instead of 16 x 16
    assert cost.luts == 40


def test_products_by_one_constant_are_one():
    def cost(second):
        builder = Builder()
        x, y = builder.input("x", WORD), builder.input("y", WORD)
        products = [
            builder.op("mul", a, builder.const(raw, WORD)) for a, raw in ((x, 653), (y, second))
        ]
        builder.output("y", builder.op("sub", *products))
        return estimate(builder.build(), "vu9p", 200.0)

    assert (cost(653).dsps, cost(651).dsps) == (1, 2)
    assert cost(653).luts < cost(651).luts


def test_a_negation_inside_a_sum_is_free():
    def luts(negated):
        builder = Builder()
        x, y = builder.input("x", WORD), builder.input("y", WORD)
        builder.output("y", builder.op("add", builder.op("neg", x) if negated else x, y))
        return estimate(builder.build(), "vu9p", 200.0).luts

    assert luts(True) == luts(False)


def test_a_maximum_with_zero_is_a_mux():
    builder = Builder()
    x = builder.input("x", WORD)
    builder.output("y", builder.op("max", x, builder.const(0, WORD)))
    assert estimate(builder.build(), "vu9p", 200.0).luts == 16


def polynomial(clock):
    """x*y + x*z + y*z of 8 bits."""
    builder = Builder()
    x, y, z = (builder.input(n, Fixed(8, 4)) for n in "xyz")
    products = [builder.op("mul", a, b) for a, b in ((x, y), (x, z), (y, z))]
    builder.output("y", builder.op("add", builder.op("add", *products[:2]), products[2]))
    return estimate(builder.build(), "vu9p", clock)


def test_narrow_products_are_drawn_into_sums_behind_registers():
    slow, fast = polynomial(100.0), polynomial(400.0)
    assert (slow.latency_cycles, slow.dsps) == (0, 0)
    assert (fast.latency_cycles, fast.dsps) == (1, 3)
    assert fast.luts == slow.luts - 3 * 40


def weights(array):
    """Attributes of a layer without bias."""
    t, array = Fixed(16, 5), np.asarray(array, dtype=np.int64)
    bias = np.zeros(array.shape[-1], dtype=np.int64)
    return {"weight": array, "weight_type": t, "bias": bias, "bias_type": t}


def test_a_layer_on_a_set_is_a_layer_for_every_particle():
    one, five = (tensor((n, 2), "dense", **weights([[11, 5], [13, 0]])) for n in (1, 5))
    assert (one.luts, one.dsps) == (3 * 28 + 27, 2)
    assert (five.luts, five.dsps) == (5 * one.luts, 5 * one.dsps)
    assert five.latency_cycles == one.latency_cycles


def test_a_convolution_is_a_layer_for_every_place_without_its_padding():
    kernel = weights([[[11]], [[13]], [[5]]])
    inside = tensor((6, 1), "conv", stride=[1], padding=[[0, 0]], **kernel)
    assert (inside.luts, inside.dsps) == (4 * (3 * 28 + 27), 4 * 2)
    same = tensor((6, 1), "conv", stride=[1], padding=[[1, 1]], **kernel)
    assert same.luts == (6 * 3 - 2) * 28 + 5 * 27
    assert same.dsps == 6 * 2 - 1  # the first place does not see the 11
    image = tensor((4, 4, 1), "conv", stride=[2, 2], padding=[[0, 0]] * 2, **weights([[[[11]]]]))
    assert (image.luts, image.dsps) == (4 * 27, 4)  # no product is wider than 20 bits


def test_a_sum_over_a_set_is_a_tree_of_adders():
    cost = tensor((8, 3), "reduce", kind="sum", axis=0)
    adders = 4 * 17 + 2 * 18 + 19
    assert cost.luts == 3 * (adders + 7 * 4)  # ternary adders: every second one is absorbed
    assert cost.latency_cycles == 0
    assert tensor((64, 3), "reduce", kind="sum", axis=0).latency_cycles == 1
    assert tensor((3, 8), "reduce", kind="sum", axis=1).luts == cost.luts
    assert tensor((1, 3), "reduce", kind="sum", axis=0).luts == 0


def test_a_maximum_is_a_tree_of_comparisons():
    pooled = tensor((4, 4, 2), "pool", kind="max", window=[2, 2], stride=[2, 2])
    assert pooled.luts == 8 * 3 * (16 + 7 + 16)
    assert tensor((4,), "reduce", kind="min", axis=0).luts == 3 * (16 + 7 + 16)
    indices = 3 * 2  # a mux more in each of three comparisons
    assert tensor((4,), "argmax").luts == 3 * (16 + 7 + 16) + indices


def test_a_slope_of_a_power_of_two_is_a_mux():
    assert tensor((5,), "leaky_relu", n=3).luts == 5 * (16 + 3)
    assert single("leaky_relu", Fixed(8, 4, False), n=3).luts == 0


def test_words_that_wiring_repeats_wait_in_one_register():
    def ffs(times):
        builder = Builder()
        x, z = builder.input("x", Fixed(10, 5)), builder.input("z", Fixed(12, 6))
        looked = builder.op("lut", x, type=WORD, function="f", table=np.arange(1024))
        many = builder.broadcast(z, (times,))
        builder.output("y", builder.op("max", many, looked))
        cost = estimate(builder.build(), "vu9p", 200.0)
        assert {r.luts for r in cost.rows if r.name == "take"} == {0}
        return sum(r.ffs for r in cost.rows if r.name in ("input", "take"))

    assert ffs(8) == ffs(1)


def test_a_layer_with_narrow_activations_takes_no_dsp():
    assert layer([[11], [13]], Fixed(10, 5)).dsps == 0
    assert layer([[11], [13]], Fixed(11, 5)).dsps == 2


def test_a_design_of_wires_takes_no_logic_and_no_cycle():
    builder = Builder()
    x = builder.input("x", WORD)
    y = builder.op("stack", builder.op("shift", x, n=3), builder.cast(x, Fixed(8, 3)))
    builder.output("y", y)
    cost = estimate(builder.build(), "vu9p", 200.0)
    assert (cost.luts, cost.dsps, cost.brams, cost.latency_cycles) == (0, 0, 0, 0)
    assert cost.ffs == 16 + 2  # the registered port and its handshake


def test_values_are_registered_where_they_cross_a_clock_boundary():
    builder = Builder()
    x, z = builder.input("x", Fixed(10, 5)), builder.input("z", Fixed(12, 6))
    y = builder.op("lut", x, type=WORD, function="f", table=np.arange(1024))
    builder.output("y", builder.op("max", y, z))
    rows = {r.name + str(r.index): r for r in estimate(builder.build(), "vu9p", 200.0).rows}
    ports = sorted(r.ffs for n, r in rows.items() if n.startswith("input"))
    assert ports == [10, 12 + 12]  # z waits one cycle for the table


def test_a_faster_clock_takes_more_cycles():
    weight = np.arange(1, 513).reshape(64, 8)
    slow, fast = layer(weight, clock=100.0), layer(weight, clock=400.0)
    assert slow.latency_cycles < layer(weight).latency_cycles < fast.latency_cycles
    assert slow.ffs < fast.ffs
    assert slow.bands["latency_cycles"].relative > 0


def test_no_band_where_no_report_is_of_such_a_design():
    builder = Builder()
    x, z = (builder.input(n, WORD) for n in "xz")
    total = builder.op("add", x, z)
    builder.output("y", builder.op("compare", total, builder.const(3, WORD), kind="gt"))
    plain = builder.build()
    for stage in ("csynth", "vsynth"):
        found = estimate(plain, "vu9p", 100.0, stage=stage)
        assert set(found.bands) == {"ii_cycles"}
        errors = {m.metric: m.error for m in found.measurements(target("vu9p"), 100.0, "abc")}
        assert (errors["luts"], errors["ii_cycles"]) == (None, 0.0)
    assert times(11).bands["luts"].relative > 0


def test_breakdown_adds_up():
    cost = layer(np.arange(1, 65).reshape(16, 4))
    assert sum(r.luts for r in cost.rows) == cost.luts
    assert sum(r.dsps for r in cost.rows) == cost.dsps
    assert max(r.cycle for r in cost.rows) == cost.latency_cycles


def test_measurements_carry_provenance():
    found = layer([[11]]).measurements(target("vu13p"), 200.0, "abc")
    assert {m.metric for m in found} == {
        "luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles",
    }  # fmt: skip
    for m in found:
        assert (m.method, m.stage, m.digest) == ("analytic", "csynth", "abc")
        assert m.target == "xcvu13p-flga2577-2-e @ 200 MHz"
        assert m.tool.startswith("nacsr ")
        assert m.error is not None
        assert math.isfinite(m.error)
        assert m.error >= 0


def test_within_names_every_broken_limit():
    chip = target("vu13p")
    cost = layer([[11, 13]])
    assert within(cost, chip) == []
    assert within(cost, chip, {"dsps": 2, "luts": None}) == []
    assert within(cost, chip, {"dsps": 1}) == ["dsps 2 > 1 allowed"]
    assert len(within({"luts": 1e7, "latency_cycles": 9}, chip, {"latency_cycles": 8})) == 2
    assert share(cost, chip)["dsps"] == pytest.approx(200 / 12288)


def test_unknown_names_are_refused():
    graph = Builder()
    graph.output("y", graph.input("x", WORD))
    with pytest.raises(SpecError, match="unknown target 'vu9', did you mean 'vu9p'"):
        estimate(graph.build(), "vu9", 200.0)
    with pytest.raises(SpecError, match="unknown flow"):
        estimate(graph.build(), "vu9p", 200.0, "rtl")
    with pytest.raises(SpecError, match="positive number of MHz"):
        estimate(graph.build(), "vu9p", 0.0)


def test_operator_costs_of_a_search():
    costs = operator_costs(WORD, 200.0, "vu9p")
    assert costs["add"].luts == 16 + 7
    assert costs["mul"].dsps == 1
    assert operator_costs(Fixed(10, 4), 200.0, "vu9p")["mul"].dsps == 0
    assert costs["cube"].dsps == 2
    assert costs["lut"].cycles == 1
    assert all(c.cycles >= 1 and c.delay_ns > 0 for c in costs.values())
    rounded = operator_costs(Fixed(16, 6, True, Rounding.RND, Overflow.SAT), 200.0, "vu9p")
    assert rounded["mul"].luts > costs["mul"].luts
    assert operator_costs(WORD, 400.0, "vu9p")["cube"].cycles > costs["cube"].cycles
