"""The estimates against published C-synthesis reports; skipped where the data are not there."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

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
    """Every expression design whose tables are not degenerate, beside its report."""
    module = benchmark("cost_expressions")
    records = json.loads((DATA / "symbolic" / "csynth_dev.json").read_text())
    return [module.compare(r) for r in records if not r["degenerate"]]


def misses(rows, column):
    """|estimate / report - 1| where the report is not 0."""
    return [abs(a / b - 1) for a, b in (row.pairs[column] for row in rows) if b]


@needs_symbolic
def test_expression_cycles(expressions):
    off = [abs(a - b) for a, b in (row.pairs["cycles"] for row in expressions)]
    assert len(off) == 37
    assert np.mean([o <= 1 for o in off]) >= 0.95
    assert max(off) <= 2


@needs_symbolic
def test_expression_resources(expressions):
    assert np.mean(misses(expressions, "LUT")) <= 0.06
    assert np.mean(misses(expressions, "DSP")) <= 0.12
    assert np.mean(misses(expressions, "FF")) <= 0.15
    pairs = [row.pairs["DSP"] for row in expressions]
    assert sum(abs(a - b) for a, b in pairs) <= 0.05 * sum(b for _, b in pairs)
    assert all(a == b for a, b in (row.pairs["BRAM"] for row in expressions))


@needs_symbolic
def test_expressions_whose_arithmetic_chose_no_constant(expressions):
    held = [r for r in expressions if r.kind != "none"]
    assert len(held) == 17
    assert np.mean(misses(held, "LUT")) <= 0.03
    assert np.mean(misses(held, "DSP")) <= 0.04
    assert np.mean(misses(held, "FF")) <= 0.08
    assert all(abs(a - b) <= 1 for a, b in (row.pairs["cycles"] for row in held))


@needs_symbolic
@pytest.mark.parametrize("column", ["LUT", "DSP", "FF", "BRAM", "cycles"])
def test_bands_cover_nine_of_ten_expressions(expressions, column):
    for calls in (False, True):
        found = [r for r in expressions if (r.kind in ("hls_math", "lut")) == calls]
        assert np.mean([row.inside[column] for row in found]) >= 0.9


@needs_symbolic
def test_bands_of_logic_synthesis_cover_its_reports():
    module = benchmark("cost_expressions")
    records = json.loads((DATA / "symbolic" / "csynth_dev.json").read_text())
    rows = [module.compare(r, "vsynth") for r in records if "vsynth" in r]
    assert len(rows) == 4
    assert all(all(row.inside.values()) for row in rows)
    clean = [row for row in rows if row.kind != "lut"]  # no black boxes
    assert np.mean(misses(clean, "LUT")) <= 0.12
