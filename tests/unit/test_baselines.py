"""Additive tables in hardware, and the tables that baselines are printed in."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.events import Events
from nacsr.data.words import Feature
from nacsr.fixed import Fixed

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


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_the_design_is_free_of_products(modules, task, flow):
    additive = modules["additive"]
    found = additive.work(task, "vu13p", 200.0)
    made = additive.design(found, additive.fit(found, 5), 2, "sums").to(flow)
    assert made.cost().dsps == 0
    assert made.cost().latency_cycles <= 3


def test_a_design_without_tables_is_refused(modules, task):
    additive = modules["additive"]
    found = additive.work(task, "vu13p", 200.0)
    model = additive.fit(found, 4)
    flat = replace(model, tables=tuple(np.zeros_like(t) for t in model.tables))
    with pytest.raises(ValueError, match="sums: steps of 2\\^-2 leave no table"):
        additive.design(found, flat, 2, "sums")


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
