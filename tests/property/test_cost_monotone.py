"""More work never looks cheaper, and every graph has finite non-negative numbers."""

import random
from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nacsr.cost import (
    Build,
    Layer,
    dense_layers,
    estimate,
    expected,
    operator_costs,
    share,
    simplify,
)
from nacsr.cost.build import layer_reuse
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import OPS, Builder, Graph, Op, verify
from nacsr.targets import target
from nacsr.testing import graphs, random_graph, words

CHIP = target("vu9p")
BINARY = ("add", "sub", "mul", "min", "max")
UNARY = ("neg", "abs", "relu")
METRICS = ("luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles")

types = st.builds(
    Fixed,
    width=st.integers(1, 18),
    integer=st.integers(0, 8),
    signed=st.booleans(),
    rounding=st.sampled_from(list(Rounding)),
    overflow=st.sampled_from(list(Overflow)),
)
steps = st.tuples(
    st.sampled_from((*BINARY, *UNARY, "cast", "const_mul", "lut")),
    st.integers(0, 1000),
    st.integers(0, 1000),
    types,
    st.integers(-500, 500),
)


def area(cost):
    """LUTs and DSPs on one scale: a wider product may move from one to the other."""
    shares = share(cost, CHIP)
    return shares["luts"] + shares["dsps"] + shares["brams"]


def grow(builder, values, step):
    """Append one random op; ops whose type would be too wide are skipped."""
    name, i, j, type_, raw = step
    a, b = values[i % len(values)], values[j % len(values)]
    try:
        if name in BINARY:
            new = builder.op(name, a, b)
        elif name in UNARY:
            new = builder.op(name, a)
        elif name == "cast":
            new = builder.cast(a, type_)
        elif name == "lut":
            address = builder.cast(a, Fixed(6, 3, overflow=Overflow.SAT))
            word = Fixed(8, 4)
            table = np.arange(64) + raw % 7
            new = builder.op("lut", address, type=word, function="f", table=table)
        else:
            new = builder.op("mul", a, builder.const(raw, Fixed(11, 5)))
    except GraphError:
        return
    values.append(new)


def expressions(recipe, outputs, extra=0):
    """A graph of some scalar expressions; input words have ``extra`` more fractional bits."""
    builder = Builder()
    values = [builder.input(f"x{i}", Fixed(8 + extra, 4)) for i in range(3)]
    for step in recipe:
        grow(builder, values, step)
    for k in range(outputs):
        builder.output(f"y{k}", values[-1 - k % len(values)])
    return builder.build()


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=20), st.floats(5.0, 1000.0), st.sampled_from(("hls", "hls4ml")))
def test_any_expression_has_finite_non_negative_costs(recipe, clock, flow):
    check_numbers(estimate(expressions(recipe, 2), "vu9p", clock, flow))


@settings(max_examples=100, deadline=None)
@given(graphs(), st.floats(5.0, 1000.0), st.sampled_from(("hls", "hls4ml")))
def test_any_graph_has_finite_non_negative_costs(graph, clock, flow):
    check_numbers(estimate(graph, "vu9p", clock, flow))


def check_numbers(cost):
    for metric in METRICS:
        value = getattr(cost, metric)
        assert isinstance(value, int)
        assert value >= 0
        band = cost.bands.get(metric)  # none of what no report speaks of
        assert band is None or 0 <= band.half_width(value) < float("inf")
    assert all(0 <= r.ns < 200 and r.cycle <= cost.latency_cycles for r in cost.rows if r.luts)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=1, max_size=20))
def test_another_expression_is_never_cheaper(recipe):
    one, two = (estimate(expressions(recipe, n), "vu9p", 200.0) for n in (1, 2))
    assert area(two) >= area(one)
    assert two.latency_cycles >= one.latency_cycles


def arithmetic(precision, recipe):
    """Sums and products cast back to one precision after every step."""
    builder = Builder()
    values = [builder.input(f"x{i}", precision.plain()) for i in range(3)]
    for name, i, j, _, raw in recipe:
        if name not in BINARY and name != "const_mul":
            continue
        a, b = values[i % len(values)], values[j % len(values)]
        other = builder.const(raw, Fixed(11, 5)) if name == "const_mul" else b
        result = builder.op(name if name in BINARY else "mul", a, other)
        values.append(builder.cast(result, precision))
    builder.output("y", values[-1])
    return builder.build()


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=12), st.integers(6, 16), st.sampled_from(list(Rounding)))
def test_wider_precision_is_never_cheaper(recipe, width, rounding):
    narrow = Fixed(width, 5, True, rounding, Overflow.SAT)
    costs = [
        estimate(arithmetic(p, recipe), "vu9p", 200.0)
        for p in (narrow, replace(narrow, width=width + 1))
    ]
    assert area(costs[1]) >= area(costs[0])
    assert costs[1].latency_cycles >= costs[0].latency_cycles


clocks = st.tuples(st.floats(120.0, 400.0), st.floats(120.0, 400.0)).map(sorted)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=1, max_size=20), clocks)
def test_a_faster_clock_never_takes_fewer_cycles(recipe, clock):
    slow, fast = (estimate(expressions(recipe, 2), "vu9p", c) for c in clock)
    assert fast.latency_cycles >= slow.latency_cycles


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 20), st.sampled_from(("math", "stock")), clocks)
def test_wider_calls_and_faster_clocks_are_never_cheaper(width, functions, clock):
    def cost(width, mhz):
        builder = Builder()
        word = Fixed(width, 4)
        x = builder.cast(builder.input("x", word), Fixed(4, 4))
        values = [
            builder.op("lut", x, type=word, function=f, table=np.zeros(16, dtype=np.int64))
            for f in ("sin", "cos")
        ]
        builder.output("y", builder.op("add", *values))
        return estimate(builder.build(), "vu9p", mhz, functions=functions)

    narrow, wide = (cost(w, clock[0]) for w in (width, width + 1))
    fast = cost(width, clock[1])
    for metric in ("luts", "dsps", "ffs", "brams", "latency_cycles"):
        assert getattr(wide, metric) >= getattr(narrow, metric)
    assert fast.latency_cycles >= narrow.latency_cycles


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=20))
def test_logic_synthesis_adds_no_blocks_and_no_cycles(recipe):
    graph = expressions(recipe, 2)
    before, after = (estimate(graph, "vu9p", 200.0, stage=s) for s in ("csynth", "vsynth"))
    for metric in ("dsps", "ffs", "brams"):  # soft multipliers do take more LUTs than HLS says
        assert getattr(after, metric) <= getattr(before, metric)
    assert after.latency_cycles == before.latency_cycles
    check_numbers(after)


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 24), st.floats(50.0, 800.0))
def test_wider_operators_are_never_cheaper(width, clock):
    narrow, wide = (operator_costs(Fixed(w, 4), clock, "vu9p") for w in (width, width + 1))
    for name, cost in narrow.items():
        assert wide[name].delay_ns >= cost.delay_ns
        assert wide[name].cycles >= cost.cycles
        price = [c.luts / CHIP.luts + c.dsps / CHIP.dsps for c in (cost, wide[name])]
        # a table of more than 2048 bits moves from LUTs to block RAM
        assert price[1] >= price[0] or name in ("lut", "div")


def cut(graph, rng):
    """The graph with the high bits of every output dropped by a wrapping cast."""
    ops, outputs = list(graph.ops), []
    for name, i in graph.outputs:
        t = graph.ops[i].type
        bits = rng.randint(1, t.width)
        outputs.append((name, len(ops)))
        ops.append(Op("cast", (i,), Fixed(bits, bits - t.frac, t.signed), graph.ops[i].shape))
    return verify(Graph(tuple(ops), tuple(outputs)))


def every_value(graph, inputs, spoil=lambda i, raw: raw):
    """What all ops compute, each result given to ``spoil`` before others read it."""
    values = []
    for i, op in enumerate(graph.ops):
        raw = inputs.get(op.attrs.get("name")) if op.name == "input" else None
        if raw is None:
            args = [graph.ops[a] for a in op.args]
            raw = OPS[op.name].eval(op, args, [values[a] for a in op.args])
        values.append(spoil(i, raw))
    return values


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32))
def test_what_synthesis_drops_changes_no_output(seed):
    rng = random.Random(seed)
    graph = cut(random_graph(rng, 8), rng)
    inputs = words(graph, 40, seed)
    zero = simplify._zeros(graph)
    constant = simplify._constants(graph, zero)
    bits = simplify._needed_bits(graph, constant)

    def other_high_bits(i, raw):
        t = graph.ops[i].type
        if constant[i] or bits[i] >= t.width:
            return raw
        return Fixed(t.width, t.width, t.signed).cast(raw ^ (-1 << bits[i]), Fixed(63, 63))

    values = every_value(graph, inputs)
    assert all(not values[i].any() for i, nothing in enumerate(zero) if nothing)
    spoiled = every_value(graph, inputs, other_high_bits)
    for _, i in graph.outputs:
        assert np.array_equal(values[i], spoiled[i])
    for value, op, minimal in zip(values, graph.ops, simplify._minimal_ops(graph), strict=True):
        up = minimal.type.frac - op.type.frac
        assert not (value & ((1 << max(-up, 0)) - 1)).any()
        assert minimal.type.min_raw <= shifted(value, up).min()
        assert shifted(value, up).max() <= minimal.type.max_raw


def shifted(raw, up):
    return raw << np.int64(up) if up >= 0 else raw >> np.int64(-up)


def network(weight):
    """A small classifier with these weights in its first layer, shape (8, 6)."""
    builder = Builder()
    t = Fixed(8, 2)
    value = builder.input("x", Fixed(12, 4), (8,))
    bias = np.zeros(6, dtype=np.int64)
    value = builder.op("dense", value, weight=weight, bias=bias, weight_type=t, bias_type=t)
    value = builder.cast(builder.op("relu", value), Fixed(12, 4, overflow=Overflow.SAT))
    builder.output("y", builder.op("argmax", value))
    return builder.build()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-128, 127), min_size=48, max_size=48),
    st.integers(0, 47),
    st.sampled_from((-77, 1, 11, 127)),
    st.sampled_from(("hls", "hls4ml")),
    st.sampled_from((Build(), Build("resource"), Build(reuse_factor=2))),
)
def test_more_nonzero_weights_are_never_cheaper(raws, place, value, flow, build):
    more = np.array(raws)
    more[place] = value
    fewer = more.copy()
    fewer[place] = 0
    build = build if flow == "hls4ml" else Build()
    small, large = (
        estimate(network(w.reshape(8, 6)), "vu9p", 200.0, flow, build) for w in (fewer, more)
    )
    for metric in ("luts", "dsps", "latency_cycles"):
        assert getattr(large, metric) >= getattr(small, metric)


BUILDS = st.builds(
    Build,
    strategy=st.sampled_from(("latency", "resource")),
    reuse_factor=st.sampled_from((1, 2, 4, 8)),
    io_type=st.sampled_from(("io_parallel", "io_stream")),
    accumulator=st.sampled_from((None, 16)),
)
NETWORKS = st.builds(
    lambda sizes, weight, word, sparsity, spread, rounding: dense_layers(
        sizes, Fixed(weight, 1, True, rounding), Fixed(word, 4), sparsity=sparsity, spread=spread
    ),
    sizes=st.lists(st.integers(2, 64), min_size=2, max_size=4),
    weight=st.integers(2, 16),
    word=st.integers(5, 18),
    sparsity=st.floats(0.0, 0.99),
    spread=st.floats(0.01, 0.9),
    rounding=st.sampled_from((Rounding.TRN, Rounding.RND)),
)


def check_dearer(small, large, dsps=0):
    """The second of two costs takes no less area, but for so many DSPs, and no fewer cycles."""
    assert area(large) >= area(small) * (1 - 1e-9) - 100 * dsps / CHIP.dsps
    assert large.latency_cycles >= small.latency_cycles
    assert large.ii_cycles >= small.ii_cycles


def price(layers, build, clock=200.0):
    cost = expected(layers, "vu9p", clock, build)
    check_numbers(cost)
    return cost


@settings(max_examples=150, deadline=None)
@given(NETWORKS, BUILDS, st.integers(1, 64))
def test_wider_and_deeper_architectures_are_never_cheaper(layers, build, more):
    cost = price(layers, build)
    wider = (*layers[:-1], replace(layers[-1], outputs=layers[-1].outputs + more))
    if build.reuse_factor == 1:  # else it divides sizes, or products take turns in another way
        check_dearer(cost, price(wider, build))
    last = layers[-1]
    deeper = Layer(last.outputs, more, last.weight, last.activation, spread=last.spread)
    check_dearer(cost, price((*layers, deeper), build))


@settings(max_examples=150, deadline=None)
@given(NETWORKS, BUILDS, st.floats(0.0, 1.0))
def test_denser_architectures_are_never_cheaper(layers, build, part):
    denser = [replace(layer, sparsity=layer.sparsity * part) for layer in layers]
    check_dearer(price(layers, build), price(denser, build))


@settings(max_examples=150, deadline=None)
@given(NETWORKS, BUILDS)
def test_wider_weights_are_never_cheaper(layers, build):
    """But where multipliers are limited: then fewer products by two digits are all that remains,
    in reports as here."""
    assume(build.strategy == "resource" or build.reuse_factor == 1)
    more = [replace(x, weight=replace(x.weight, width=x.weight.width + 1)) for x in layers]
    # fewer products by two digits for more by three: whole DSPs may round the difference away
    check_dearer(price(layers, build), price(more, build), dsps=len(layers))


@settings(max_examples=100, deadline=None)
@given(NETWORKS, st.sampled_from(("latency", "resource")), st.integers(2, 200), st.integers(1, 99))
def test_a_higher_reuse_factor_is_never_faster(layers, strategy, low, more):
    """Nor does it take more DSPs. LUTs are not so simple: more than two outputs a multiplier take
    a multiplexer over all of them, in reports as here."""
    assume(strategy == "latency" or all(layer_reuse(x.inputs, x.outputs, low) > 1 for x in layers))
    few, many = (price(layers, Build(strategy, n)) for n in (low, low + more))
    assert many.dsps <= few.dsps
    assert many.latency_cycles >= few.latency_cycles
    assert many.ii_cycles >= few.ii_cycles
    if strategy == "resource" and low + more <= min(layer.inputs for layer in layers):
        assert many.luts <= few.luts
