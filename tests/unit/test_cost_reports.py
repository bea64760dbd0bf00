"""The estimates against published C-synthesis reports; skipped where the data are not there."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from nacsr.cost import estimate
from nacsr.cost.operations import FLOWS
from nacsr.ir import OPS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"

needs_dense = pytest.mark.skipif(
    not (DATA / "vu13p_dense").is_dir(), reason="shared/data/vu13p_dense is not beside the checkout"
)
needs_symbolic = pytest.mark.skipif(
    not (DATA / "symbolic").is_dir(), reason="shared/data/symbolic is not beside the checkout"
)


def benchmark(name):
    """A benchmark script as a module: it builds the graphs of the reports."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_op_has_a_rule_in_every_flow():
    for flow in FLOWS.values():
        assert set(flow) | {"add", "sub"} == set(OPS)


@pytest.fixture(scope="module")
def dense():
    """(estimate, report) of the 18 fixed<16,5> networks."""
    module = benchmark("cost_vu13p")
    with (DATA / "vu13p_dense" / "csynth.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if "qkeras" not in r["design"]]
    with np.load(DATA / "vu13p_dense" / "weights.npz") as archive:
        weights = dict(archive)
    return [(module.predict(row, weights), row) for row in rows]


def relative(dense, metric, column):
    return [abs(getattr(cost, metric) / int(row[column]) - 1) for cost, row in dense]


@needs_dense
def test_dense_dsps(dense):
    assert len(dense) == 18
    assert np.mean(relative(dense, "dsps", "DSP")) <= 0.001


@needs_dense
def test_dense_luts(dense):
    errors = relative(dense, "luts", "LUT")
    assert np.mean(errors) <= 0.03
    assert max(errors) <= 0.06


@needs_dense
def test_dense_ffs(dense):
    assert np.mean(relative(dense, "ffs", "FF")) <= 0.08


@needs_dense
def test_dense_cycles(dense):
    off = [abs(cost.latency_cycles - int(row["latency_cycles"])) for cost, row in dense]
    assert max(off) <= 1
    assert np.mean(off) <= 0.5
    assert all(int(row["ii_cycles"]) == cost.ii_cycles for cost, row in dense)


def covered(cost, metric, value):
    """Whether a reported number lies within the band of the estimate."""
    guess = getattr(cost, metric)
    return abs(guess - value) <= cost.bands[metric].half_width(guess)


@needs_dense
@pytest.mark.parametrize("metric", ["luts", "dsps", "ffs", "latency_cycles"])
def test_bands_cover_nine_of_ten_networks(dense, metric):
    column = {"luts": "LUT", "dsps": "DSP", "ffs": "FF"}.get(metric, metric)
    assert np.mean([covered(c, metric, int(r[column])) for c, r in dense]) >= 0.88


@pytest.fixture(scope="module")
def expressions():
    """(estimate, record) of the polynomials and the designs with user tables."""
    module = benchmark("cost_expressions")
    records = json.loads((DATA / "symbolic" / "csynth_dev.json").read_text())
    kept = [r for r in records if r["function_impl"] in ("none", "userlut") and not r["degenerate"]]
    return [(estimate(module.build(r), "vu9p", 200.0), r) for r in kept]


@needs_symbolic
def test_expression_cycles(expressions):
    off = [abs(c.latency_cycles - r["csynth"]["latency_cycles_max"]) for c, r in expressions]
    assert len(off) == 23
    assert max(off) <= 2
    assert np.mean(off) <= 0.6


@needs_symbolic
def test_expression_resources(expressions):
    luts = [abs(c.luts / r["csynth"]["LUT"] - 1) for c, r in expressions]
    dsps = [abs(c.dsps / r["csynth"]["DSP"] - 1) for c, r in expressions if r["csynth"]["DSP"]]
    assert np.mean(luts) <= 0.25
    assert np.mean(dsps) <= 0.25
    assert all(c.brams == r["csynth"]["BRAM"] for c, r in expressions)


@needs_symbolic
@pytest.mark.parametrize("metric", ["luts", "dsps", "latency_cycles"])
def test_bands_cover_nine_of_ten_expressions(expressions, metric):
    column = {"luts": "LUT", "dsps": "DSP", "latency_cycles": "latency_cycles_max"}[metric]
    assert np.mean([covered(c, metric, r["csynth"][column]) for c, r in expressions]) >= 0.9
