"""Additive tables in hardware, and the tables that baselines are printed in."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.data.events import Events
from nacsr.data.words import Feature
from nacsr.errors import ToolError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, evaluate

ROOT = Path(__file__).resolve().parents[2]
WORDS = (Fixed(8, 3), Fixed(8, 2, signed=False), Fixed(6, 6, signed=False))
pytest.importorskip("sklearn", reason="the baselines are scikit-learn's")


@pytest.fixture(scope="module")
def modules():
    """additive, baselines and symbolic_data of benchmarks/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield {
            name: importlib.import_module(name)
            for name in ("additive", "baselines", "symbolic_data")
        }


@pytest.fixture(scope="module")
def task(modules):
    """Three classes that are a sum of one curve a feature, and a little noise."""
    rng = np.random.default_rng(5)
    words = np.stack([rng.integers(w.min_raw, w.max_raw + 1, 6_000) for w in WORDS], 1)
    a, b, c = (w.to_float(words[:, j]) for j, w in enumerate(WORDS))
    scores = np.stack([np.sin(a), 1 - b / 2, 0 * c + 0.3], 1) + rng.normal(0, 0.05, (6_000, 3))
    y = scores.argmax(1).astype(np.int64)
    features = tuple(Feature(f"f{j}", w) for j, w in enumerate(WORDS))
    part = slice(0, 4_500), slice(4_500, None)
    events = [Events(words[p], y[p]) for p in part]
    return modules["symbolic_data"].Task("sums", features, ("p", "q", "r"), *events, 1)


@given(
    drop=st.integers(0, 4),
    start=st.integers(-20, 20),
    bits=st.integers(2, 6),
    word=st.sampled_from(WORDS),
)
def test_a_cut_in_hardware_is_the_cut_of_the_fit(modules, drop, start, bits, word):
    cut = modules["additive"].Cut(drop, start, bits)
    b = Builder()
    index, domain = cut.lower(b, b.input("x", word))
    b.output("y", b.cast(index, domain))
    raw = np.arange(word.min_raw, word.max_raw + 1)
    assert (evaluate(b.build(), {"x": raw})["y"] == cut.address(raw)).all()
    plain = cut.effort(word) == 0
    assert not plain or (cut.address(raw) == raw >> drop).all()


def test_a_cheaper_cut_is_taken_where_it_says_as_much(modules):
    word = Fixed(8, 8, signed=False)
    words = np.arange(256).repeat(40)
    y = (words > 127).astype(np.int64)
    cut = modules["additive"].choose_cut(words, y, word, 4, 0.0)
    assert cut.effort(word) == 0
    assert set(cut.address(words[y == 0])).isdisjoint(cut.address(words[y == 1]))


@pytest.mark.parametrize("frac", [1, 4])
def test_the_design_adds_rounded_tables(modules, task, frac):
    model = modules["additive"].fit(task, 5, 0.0)
    graph = model.graph(frac, task.classes)
    design = modules["additive"].design(task, graph, "sums", "vu13p", 200.0)
    found = design.run(task.test.words)
    zero = np.flatnonzero((found == 0).all(0))
    assert zero.size == 1  # the reference
    real = model.scores(task.test.words)
    off = np.abs(found - (real - real[:, zero]))
    assert off.max() <= (len(task.features) + 1) * 0.5**frac / 2 + 1e-9
    assert (found * 2**frac == np.round(found * 2**frac)).all()


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_the_design_is_free_of_products(modules, task, flow):
    additive = modules["additive"]
    graph = additive.fit(task, 5, 0.003).graph(2, task.classes)
    cost = additive.design(task, graph, "sums", "vu13p", 200.0).to(flow).cost()
    assert cost.dsps == 0
    assert cost.latency_cycles <= 3


def test_every_bit_of_the_verilog(modules, task, tmp_path):
    additive = modules["additive"]
    graph = additive.fit(task, 5, 0.0).graph(2, task.classes)
    design = additive.design(task, graph, "sums", "vu13p", 200.0).to("rtl")
    try:
        found = design.verify(design.emit(tmp_path / "sums", task.test.words[:300]))
    except ToolError as error:
        pytest.skip(str(error))
    assert found.verified, found.first
    assert found.latency_cycles == design.cost().latency_cycles


def test_a_constant_class_needs_no_table(modules, task):
    model = modules["additive"].fit(task, 4, 0.0)
    flat = replace(model, tables=np.zeros_like(model.tables))
    flat.tables[0, :, 1] = np.linspace(0, 1, 16)
    graph = flat.graph(3, task.classes)
    assert sum(op.name == "lut" for op in graph.ops) == 1


def test_accuracies(modules, task):
    rows = modules["baselines"].additive_tables(task, bits=(5,), fractional=(1, 4))
    assert len(rows) == 4
    best = max(rows, key=lambda row: row.bit_true)
    assert best.accuracy > 0.9
    assert abs(best.bit_true - best.accuracy) < 0.02
    floats = modules["baselines"].additive_floats(task)
    assert floats[1].accuracy > floats[0].accuracy - 0.02 > 0.8
    for weaker in (modules["baselines"].logistic, modules["baselines"].quadratic):
        assert 0.4 < weaker(task)[0].accuracy < best.accuracy


def test_the_front_and_medians_of_rows(modules):
    baselines = modules["baselines"]
    row = baselines.Row("a", 0.7, 0.7, 100, 0, 2, "one")
    worse = replace(row, name="b", luts=101)
    other = replace(worse, method="two")
    float_only = baselines.Row("c", 0.6)
    assert baselines.front([row, worse, other, float_only]) == [row, other, float_only]
    runs = [[replace(row, bit_true=v, luts=n)] for v, n in ((0.5, 30), (0.9, 10), (0.6, 20))]
    assert baselines.medians(runs) == [replace(row, bit_true=0.6, luts=20)]


def test_features_that_say_nothing_come_last(modules, task):
    assert modules["baselines"].ranked(task)[-1] == "f2"
    assert task.only(("f2", "f0")).names == ("f0", "f2")
