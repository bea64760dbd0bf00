"""The muon pair's mass in fixed point, on real and generated pairs, and the search for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from nacsr.errors import ToolError
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import lut_functions

ROOT = Path(__file__).resolve().parents[2]
MUONS = ROOT.parent / "shared" / "data" / "cms" / "cms_dimuon_2011.npz"
TITLES = ("one root", "two roots", "logarithms")

needs_muons = pytest.mark.skipif(
    not MUONS.is_file(), reason="shared/data/cms is not beside the checkout"
)


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/dimuon_mass.py as a module."""
    file = ROOT / "benchmarks" / "dimuon_mass.py"
    spec = importlib.util.spec_from_file_location("dimuon_mass", file)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(file.parent))  # for its neighbour with the data
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def code(benchmark):
    """examples/dimuon.py as a module."""
    return benchmark.example()


def made_by(words, title, benchmark, code):
    """The design of a formula whose inputs have one kind of words."""
    if words == "trigger":
        return benchmark.with_words(code.FORMULAS[title], code.PRECISION, code.tables())
    return code.compiled(code.FORMULAS[title])


@needs_muons
@pytest.mark.parametrize("words", ["precision", "trigger"])
@pytest.mark.parametrize("title", TITLES)
def test_real_pairs(title, words, benchmark, code):
    pairs, true = benchmark.muons()
    design = made_by(words, title, benchmark, code)
    off = code.errors(code.UNIT * design.run(code.inputs(design, pairs))[:, 0], true)
    assert off.median < 0.01
    assert off.p95 < 0.03


@pytest.mark.parametrize("title", TITLES)
def test_generated_pairs(title, code):
    pairs = code.generated(4_000, seed=3)
    assert len(pairs) > 2_000
    design = code.compiled(code.FORMULAS[title])
    found = code.UNIT * design.run(code.inputs(design, pairs))[:, 0]
    off = code.errors(found, code.mass(pairs))
    assert off.median < 0.01
    assert off.p95 < 0.03
    own = code.errors(found, code.mass(code.rounded(design, pairs)))
    assert own.p95 < off.p95  # the words have a part in it


def test_without_products_there_is_no_dsp(code):
    cost = code.compiled(code.FORMULAS["logarithms"], "rtl").cost()
    assert (cost.dsps, cost.brams) == (0, 0)
    assert cost.latency_cycles <= 6


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_every_bit(flow, benchmark, code, tmp_path):
    design = made_by("trigger", "two roots", benchmark, code).to(flow)
    words = design.words(code.inputs(design, code.generated(1_000)[:300]))
    try:
        found = design.verify(design.emit(tmp_path / flow, words))
    except ToolError as error:
        if flow == "rtl":
            pytest.skip(str(error))
        raise
    assert found.verified, found.first
    assert found.words >= 300


def test_the_example_prints_its_table(code, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dimuon.py"])
    code.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(TITLES) for line in lines) == 2 * len(TITLES)


NAMES = ("d_eta", "d_phi")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.004*cosh(d_eta) - 0.9974*cos(d_phi) - 0.003", ("cosh(d_eta)", "cos(d_phi)")),
        ("2*(0.5*cosh(-d_eta) - 0.5*cos(-d_phi))", ("cosh(d_eta)", "cos(d_phi)")),
        ("0.5*cosh(d_eta) - cos(d_phi) + 0.5*cosh(d_eta)", ("cosh(d_eta)", "cos(d_phi)")),
        ("cosh(d_eta) + 0.5*d_phi*d_phi", ("cosh(d_eta)",)),
        ("cosh(d_eta) + cos(d_phi)", ("cosh(d_eta)",)),
        ("0.8*cosh(d_eta) - cos(d_phi)", ("cos(d_phi)",)),
        ("cosh(d_phi) - cos(d_eta)", ()),
        ("cosh(0.5*d_eta) - cos(2*d_phi) + 1", ()),
        ("d_eta*d_eta + 3", ()),
    ],
)
def test_what_counts_as_the_structure(text, parts, benchmark):
    expr = parse(text, NAMES, lut_functions())
    found = benchmark.structure(expr)
    assert (found is None) == (not parts)
    for part in ("cosh(d_eta)", "cos(d_phi)"):
        assert (part in (found or "")) == (part in parts)
    assert benchmark.whole(expr) == (len(parts) == 2)


def test_the_search_finds_it(benchmark, code):
    pairs = code.generated(3_000)
    front = benchmark.searched(benchmark.problem(pairs, code.mass(pairs)), 1, 3_000)
    both = [one for one in front if benchmark.whole(one.expr)]
    assert both
    assert np.sqrt(min(one.loss for one in both)) < 0.2
