"""Layers: statistics, strategies, streams, expectations, and the reports that speak of them."""

import csv
import importlib.util
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.cost import Build, Layer, dense_layers, estimate, expected
from nacsr.cost.bands import BUILDS
from nacsr.cost.build import layer_reuse
from nacsr.cost.layers import SHARED_BITS, counted
from nacsr.cost.layers import expected as expected_statistics
from nacsr.cost.rules import csd_digits
from nacsr.emit.hls4ml_model import Hls4mlOptions, reuse_of
from nacsr.emit.network import Constant
from nacsr.emit.network import Layer as EmittedLayer
from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import Builder

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
WORD = Fixed(16, 6)

needs_networks = pytest.mark.skipif(
    not (DATA / "vu13p_dense").is_dir(), reason="shared/data/vu13p_dense is not beside the checkout"
)
needs_layers = pytest.mark.skipif(
    not (DATA / "wa_hls4ml").is_dir(), reason="shared/data/wa_hls4ml is not beside the checkout"
)


def benchmark(name):
    """A benchmark script as a module: it predicts the reports."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_statistics_of_a_layer_by_hand():
    weight = np.array([[11, 11, -11, 5, 0], [3, 3, 0, 0, 8], [1, 0, 0, 0, 0]])
    found = counted(weight, np.array([0, 0, 0, 0, 1]))
    assert (found.nonzero, found.two_digit, found.costly) == (8, 2, 2)
    assert found.shared == 1  # 11 x + 3 y of the first two outputs
    assert found.bits == 5
    assert found.leaves == 6 + 2 + 1  # the first output: a multiplier, an adder, a wire
    assert counted(weight << 3, np.zeros(5, dtype=np.int64)).bits == 5
    none = counted(np.zeros((3, 2), dtype=np.int64), np.zeros(2, dtype=np.int64))
    assert (none.nonzero, none.bits, none.leaves) == (0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 18), st.integers(1, 9), st.integers(1, 9))
def test_looked_up_digits_count_as_computed_ones(seed, bits, inputs, outputs):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << bits - 1), 1 << bits - 1, (inputs, outputs))
    found = counted(weight, np.ones(outputs, dtype=np.int64), 3)
    pairs = {(row, word) for row, words in enumerate(weight.tolist()) for word in words}
    digits = [int(csd_digits(word)) for _, word in pairs]
    assert found.nonzero == 3 * np.count_nonzero(weight)
    assert found.two_digit == 3 * digits.count(2)
    assert found.costly == 3 * sum(n > 2 for n in digits)
    terms = np.array([0, 1, 2, 6])[np.minimum(csd_digits(weight), 3)].sum(0)
    assert found.leaves == terms.max() + 1
    twins = [row[(row != 0).all(1)] for row in (weight[k : k + 2].T for k in range(0, inputs, 2))]
    again = sum(len(t) - len({*map(tuple, t.tolist())}) for t in twins if t.shape[1] == 2)
    assert found.shared == (3 * again if found.bits <= SHARED_BITS else 0)


def test_rows_count_where_their_input_is_there():
    weight, bias = np.array([[11, 11], [3, 3], [1, 5]]), np.zeros(2, dtype=np.int64)
    found = counted(weight, bias, np.array([4, 3, 2]))
    assert (found.nonzero, found.two_digit, found.costly) == (2 * 9, 3 + 2, 4)
    assert found.shared == 3
    same = counted(weight, bias, np.array([7, 7, 7]))
    assert same == counted(weight, bias, 7)


@pytest.mark.parametrize("rounding", [Rounding.TRN, Rounding.RND])
@pytest.mark.parametrize(("bits", "outputs"), [(2, 32), (4, 32), (6, 48), (9, 24), (16, 16)])
def test_the_expectation_is_the_mean_over_random_weights(bits, outputs, rounding):
    t = Fixed(bits, 1, True, rounding, Overflow.SAT)
    rng, inputs, spread, sparsity = np.random.default_rng(bits), 32, 0.37, 0.3
    drawn = []
    for _ in range(40):
        values = rng.uniform(-spread, spread, (inputs, outputs))
        raw = t.quantize(values * (rng.random(values.shape) > sparsity))
        drawn.append(counted(raw, np.zeros(outputs, dtype=np.int64)))
    guess = expected_statistics(inputs, outputs, t, sparsity=sparsity, spread=spread, bias=False)
    for name in ("nonzero", "two_digit", "costly", "leaves"):
        mean = np.mean([getattr(d, name) for d in drawn])
        loose = 0.12 if name == "leaves" else 0.04
        assert getattr(guess, name) == pytest.approx(mean, rel=loose, abs=1.5), name
    shared = np.mean([d.shared for d in drawn])
    assert guess.shared == pytest.approx(shared, rel=0.15, abs=0.02 * guess.nonzero)


def dense(weight, build, activation=WORD, shape=None):
    """The cost of one dense layer of 8-bit weights."""
    weight = np.asarray(weight, dtype=np.int64)
    builder, t = Builder(), Fixed(8, 1)
    x = builder.input("x", activation, shape or weight.shape[:1])
    bias = np.zeros(weight.shape[1], dtype=np.int64)
    y = builder.op("dense", x, weight=weight, bias=bias, weight_type=t, bias_type=t)
    builder.output("y", y)
    return estimate(builder.build(), "vu13p", 200.0, "hls4ml", build)


FULL = np.full((16, 24), 77)


def test_memories_hide_the_weights():
    build = Build("resource", 8, accumulator=24)
    cost = dense(FULL, build)
    assert replace(cost, rows=()) == replace(dense(FULL * 0 + 1, build), rows=())
    assert cost.dsps == 16 * 24 / 8
    assert (cost.latency_cycles, cost.ii_cycles) == (8 + 2, 8)
    assert cost.brams == 11  # 48 x 8 bits in parallel, 36 a block
    assert cost.flags == "strategy resource, reuse factor 8, accumulators of 24 bits"
    assert all(m.flags == cost.flags for m in _measured(cost))
    narrow = dense(FULL, build, Fixed(8, 3))
    assert narrow.dsps == 0
    assert narrow.luts > cost.luts - 16 * 2 * 8


def _measured(cost):
    from nacsr.targets import target

    return cost.measurements(target("vu13p"), 200.0, "abc")


def test_a_reuse_factor_that_does_not_fit_is_lowered():
    assert dense(FULL, Build("resource", 15)).dsps == dense(FULL, Build("resource", 8)).dsps
    assert dense(FULL, Build("resource", 1000)).dsps == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 600), st.booleans())
def test_reuse_factors_are_those_of_the_emitter(inputs, outputs, limit, is_dense):
    t = Fixed(8, 1)
    zeros = np.zeros((inputs, outputs), dtype=np.int64)
    layer = EmittedLayer.__new__(EmittedLayer)
    object.__setattr__(layer, "kind", "dense" if is_dense else "conv")
    object.__setattr__(layer, "constants", {"weight": Constant(zeros, t)})
    options = Hls4mlOptions(strategy="resource", reuse_factor=limit)
    assert layer_reuse(inputs, outputs, limit, is_dense) == reuse_of(layer, options)


def test_shared_multipliers_of_constants():
    one, four = (dense(FULL + np.arange(24), Build(reuse_factor=n)) for n in (1, 4))
    assert four.dsps < one.dsps
    assert four.luts == one.luts
    assert four.latency_cycles > one.latency_cycles
    assert (one.ii_cycles, four.ii_cycles) == (1, 4)


def test_registers_do_not_jump_where_products_begin_to_take_turns():
    build = Build("latency", reuse_factor=4)
    sizes = [(128, n, 5) for n in range(40, 72)]
    layers = [dense_layers(s, Fixed(12, 4), Fixed(16, 6)) for s in sizes]
    ffs = np.array([expected(x, "vu13p", 200.0, build).ffs for x in layers])
    assert np.abs(np.diff(ffs) / ffs[1:]).max() < 0.1  # from 55 outputs on products are the same
    many = [expected(layers[8], "vu13p", 200.0, Build(reuse_factor=r)).ffs for r in (3, 4, 8, 64)]
    assert many == sorted(many)


def test_strategy_resource_without_reuse_is_a_loop():
    one, loop = (dense(FULL + np.arange(24), Build(s)) for s in ("latency", "resource"))
    assert loop.dsps == one.dsps
    assert loop.luts < one.luts
    assert loop.ii_cycles == loop.latency_cycles + 1


def test_narrow_accumulators_narrow_the_adders():
    weight = 64 + 2 * np.arange(24) + np.arange(16)[:, None]
    exact, narrow = (dense(weight, b) for b in (Build(), Build(accumulator=12)))
    two = counted(weight, np.zeros(24, dtype=np.int64)).two_digit
    assert exact.luts - narrow.luts == weight.size * (16 + 8 - 12) + two * (16 + 4 - 12)
    assert "accumulators of 12 bits" in narrow.flags


def image(build):
    """The cost of a convolution and its relu on an image of 10 x 12 pixels."""
    builder, t = Builder(), Fixed(8, 1)
    x = builder.input("x", Fixed(12, 4), (10, 12, 2))
    y = builder.op(
        "conv", x, weight=np.arange(54).reshape(3, 3, 2, 3), weight_type=t, bias_type=t,
        bias=np.zeros(3, dtype=np.int64), stride=[1, 1], padding=[[0, 0], [0, 0]],
    )  # fmt: skip
    builder.output("y", builder.cast(builder.op("relu", y), Fixed(12, 4)))
    return estimate(builder.build(), "vu13p", 200.0, "hls4ml", build)


def test_streams_take_a_pixel_at_a_time():
    parallel, stream = image(Build()), image(Build(io_type="io_stream"))
    assert stream.luts < parallel.luts / 20
    assert stream.dsps * 80 == parallel.dsps
    assert (parallel.ii_cycles, stream.ii_cycles) == (1, 120)
    # two lines and two pixels until the window is full, then all pixels
    assert stream.latency_cycles >= 120 + 2 * 12 + 2
    reused = image(Build("resource", 6, "io_stream"))
    assert reused.ii_cycles == 120 * 6
    assert reused.latency_cycles > 5 * stream.latency_cycles
    assert "structure" in stream.bands["luts"].source


def test_a_dense_layer_of_streams_needs_a_cycle_and_a_fifo_more():
    parallel, stream = (dense(FULL, Build(io_type=t)) for t in ("io_parallel", "io_stream"))
    assert stream.latency_cycles == parallel.latency_cycles + 1
    assert stream.luts > parallel.luts
    assert stream.ii_cycles == 1


def test_layers_of_no_weights():
    layers = dense_layers((16, 64, 32, 32, 5), Fixed(8, 1), WORD, sparsity=0.5)
    cost = expected(layers, "vu13p", 200.0)
    dropped = expected(layers, "vu13p", 200.0, Build("resource", 4))
    assert cost.flags == "expected over random weights"
    assert sum(r.luts for r in cost.rows) == cost.luts
    assert [r.name for r in cost.rows] == ["input", *("dense", "relu") * 3, "dense", "cast"]
    assert dropped.ii_cycles == 4
    assert dropped.dsps == (16 * 64 + 64 * 32 + 32 * 32 + 32 * 5) / 4
    streams = expected(layers, "vu13p", 200.0, Build(io_type="io_stream"))
    assert streams.latency_cycles >= max(cost.latency_cycles, 8)
    empty = expected([replace(layer, sparsity=1.0) for layer in layers], "vu13p", 200.0)
    assert empty.dsps == 0
    assert {r.luts for r in empty.rows if r.name == "dense"} == {0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Build("fast"), "strategy must be latency or resource, not 'fast'"),
        (lambda: Build(io_type="axi"), "io_type must be io_parallel or io_stream"),
        (lambda: Build(reuse_factor=0), "reuse_factor must be 1 or more, not 0"),
        (lambda: Build(accumulator=0), "accumulator must be 1 bit or more, not 0"),
        (lambda: Layer(0, 4, WORD, WORD), "1 or more inputs and outputs, not 0 and 4"),
        (lambda: Layer(4, 4, WORD, WORD, sparsity=1.5), "sparsity of a layer must be 0..1"),
        (lambda: Layer(4, 4, WORD, WORD, spread=-1.0), "spread of a layer must be 0 or more"),
        (lambda: expected([], "vu13p", 200.0), "one layer or more, not none"),
        (
            lambda: expected([Layer(4, 3, WORD, WORD), Layer(4, 3, WORD, WORD)], "vu13p", 200.0),
            "layer 0 makes 3 words, layer 1 reads 4; make them equal",
        ),
        (
            lambda: estimate(image_graph(), "vu13p", 200.0, "hls", Build("resource", 4)),
            "strategy resource, reuse factor 4: options of hls4ml, not of hls",
        ),
    ],
)
def test_refused_in_one_line(make, message):
    with pytest.raises(SpecError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def image_graph():
    """The smallest graph there is."""
    builder = Builder()
    builder.output("y", builder.input("x", WORD))
    return builder.build()


@pytest.fixture(scope="module")
def layers():
    """The benchmark of single layers, and (estimate, report, kind) of all of them."""
    module = benchmark("cost_layers")
    rows = module.read(DATA / "wa_hls4ml")
    return module, [(module.predict(r), r, module.kind(r)) for r in rows]


def layer_error(layers, kind, metric, keep=lambda row: True):
    module, rows = layers
    found = [module.error(c, r, metric) for c, r, k in rows if k == kind and keep(r)]
    assert len(found) > 5
    return float(np.mean(np.abs(found)))


@needs_layers
def test_layers_of_reuse_factor_1(layers):
    kind = "reuse factor 1"
    assert sum(k == kind for _, _, k in layers[1]) == 62
    assert layer_error(layers, kind, "luts") <= 0.08
    assert layer_error(layers, kind, "dsps") <= 0.03
    for strategy in ("latency", "resource"):
        keep = lambda row, s=strategy: row["strategy"] == s  # noqa: E731
        assert layer_error(layers, kind, "luts", keep) <= 0.08
        assert layer_error(layers, kind, "dsps", keep) <= 0.03
    off = [abs(c.latency_cycles - int(r["WorstLatency_hls"])) for c, r, k in layers[1] if k == kind]
    assert max(off) <= 1


@needs_layers
@pytest.mark.parametrize("bits", [2, 4, 6, 8, 10, 12, 14])
def test_layers_of_higher_reuse_factors(layers, bits):
    """The rules were read off these; ``held_out`` of the benchmark fits to a part of them."""
    kind = "resource, reuse factor > 1"
    keep = lambda row: row["prec"] == str(bits)  # noqa: E731
    assert layer_error(layers, kind, "luts", keep) <= 0.02
    assert layer_error(layers, kind, "ffs", keep) <= 0.06
    assert layer_error(layers, kind, "dsps", keep) <= 0.07
    assert layer_error(layers, kind, "brams", keep) <= 0.05
    assert layer_error(layers, kind, "latency_cycles", keep) <= 0.01
    assert layer_error(layers, kind, "ii_cycles", keep) == 0


def covered(cost, metric, value):
    guess = getattr(cost, metric)
    return abs(guess - value) <= cost.bands[metric].half_width(guess)


@needs_layers
@pytest.mark.parametrize("kind", ["resource, reuse factor > 1", "latency, reuse factor > 1"])
def test_bands_cover_nine_of_ten_layers(layers, kind):
    module, rows = layers
    for metric, column in module.COLUMNS.items():
        inside = [covered(c, metric, int(r[column])) for c, r, k in rows if k == kind]
        assert np.mean(inside) >= 0.9, metric


@needs_layers
@needs_networks
def test_bands_cover_nine_of_ten_expectations(layers, networks):
    module, rows = layers
    for metric, column in module.COLUMNS.items():
        unrolled = [covered(c, metric, int(r[column])) for c, r, k in rows if k == "reuse factor 1"]
        assert len(unrolled) == 62
        module_of_networks, reports = networks
        name = {"luts": "LUT", "dsps": "DSP", "ffs": "FF", "brams": "BRAM18"}.get(metric, metric)
        unrolled += [
            covered(module_of_networks.before_weights(r), metric, int(r[name] or 0))
            for _, r in reports
        ]
        assert np.mean(unrolled) >= 0.9, metric


@pytest.fixture(scope="module")
def networks():
    """The benchmark of whole networks, and (estimate, report) of all 33."""
    module = benchmark("cost_vu13p")
    with (DATA / "vu13p_dense" / "csynth.csv").open() as file:
        rows = list(csv.DictReader(file))
    with np.load(DATA / "vu13p_dense" / "weights.npz") as archive:
        weights = dict(archive)
    return module, [(module.predict(row, weights), row) for row in rows]


REPORT = DATA / "vendor_reports" / "hls4ml_upstream_Vivado" / "myproject_csynth.xml"


@pytest.mark.skipif(not REPORT.is_file(), reason=f"{REPORT.name} is not beside the checkout")
def test_the_one_report_of_streams():
    """LUTs and DSPs are near; the rest is within bands that are wide because of this report."""
    tree = ElementTree.parse(REPORT).getroot()
    layer = Layer(16, 5, WORD, WORD, WORD)
    cost = expected([layer], "vu13p", 200.0, Build(io_type="io_stream", accumulator=16))
    found = {
        "luts": ".//Resources/LUT",
        "dsps": ".//Resources/DSP48E",
        "ffs": ".//Resources/FF",
        "latency_cycles": ".//Worst-caseLatency",
        "ii_cycles": ".//Interval-max",
    }
    values = {metric: int(tree.findtext(path)) for metric, path in found.items()}
    assert cost.luts == pytest.approx(values["luts"], rel=0.05)
    assert cost.dsps == pytest.approx(values["dsps"], rel=0.1)
    assert all(covered(cost, metric, value) for metric, value in values.items())


@needs_networks
def test_networks_of_seven_bits(networks):
    narrow = [(c, r) for c, r in networks[1] if "qkeras" in r["design"]]
    assert len(narrow) == 15
    assert np.mean([abs(c.luts / int(r["LUT"]) - 1) for c, r in narrow]) <= 0.03
    assert np.mean([abs(c.dsps / int(r["DSP"]) - 1) for c, r in narrow]) <= 0.01
    assert np.mean([abs(c.ffs / int(r["FF"]) - 1) for c, r in narrow]) <= 0.15
    off = [abs(c.latency_cycles - int(r["latency_cycles"])) for c, r in narrow]
    assert max(off) <= 1
    for metric, column in (("luts", "LUT"), ("dsps", "DSP"), ("ffs", "FF")):
        assert np.mean([covered(c, metric, int(r[column])) for c, r in narrow]) >= 0.9


@needs_networks
@pytest.mark.parametrize("task", ["qg_vs_wzt", "qg_vs_top", "multiclass"])
def test_networks_of_sixteen_bits_before_they_have_weights(networks, task):
    """None of what these expectations rest on was read off a whole network, but LIVE_BITS."""
    module, rows = networks
    wide = [r for _, r in rows if "qkeras" not in r["design"] and r["task"] == task]
    assert len(wide) == 6
    costs = [(module.before_weights(r), r) for r in wide]
    assert np.mean([abs(c.luts / int(r["LUT"]) - 1) for c, r in costs]) <= 0.08
    assert np.mean([abs(c.dsps / int(r["DSP"]) - 1) for c, r in costs]) <= 0.05
    assert max(abs(c.latency_cycles - int(r["latency_cycles"])) for c, r in costs) <= 1


def test_every_band_names_its_source():
    for kind in BUILDS.values():
        assert len(kind) == 6
        assert all(band.source for band in kind.values())
