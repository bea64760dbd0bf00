"""Reference families on what they may be given: any mean, any spread, constants, bits, arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.dataset import load
from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.entry import Entry
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.frontends.stem import score_type, scores
from nacsr.prepare import prepare
from nacsr.records import Candidate
from nacsr.report.references import described
from nacsr.spec import AdditiveSpec, DatasetSpec, LinearSpec, StudySpec, TreesSpec
from nacsr.spec.events import GenerateSpec

WORDS = (Fixed(8, 3), Fixed(8, 2, signed=False), Fixed(6, 6, signed=False))
SPECS = {
    "linear": LinearSpec(word_bits=(6,), digits=(2,), cuts=False),
    "tables": AdditiveSpec(address_bits=(5,), steps=(1,), pairs=0),
    "trees": TreesSpec(rounds=(1, 4), shapes=((5, 3),)),
}
FAMILIES = list(SPECS)


def problem(words: np.ndarray, y: np.ndarray, types: tuple[Fixed, ...] = WORDS) -> Problem:
    """Two thirds for training; what is predicted are classes if it is whole."""
    classes = np.issubdtype(y.dtype, np.integer)
    names = ("no", "yes") if classes else tuple("pqr"[: y[0].size])
    cut = len(words) * 2 // 3
    train, validation = (Events(words, y).take(p) for p in (slice(cut), slice(cut, None)))
    scaling = Scaling("external", (0,) * len(types), (0,) * len(types))
    features = tuple(Feature(f"f{j}", t) for j, t in enumerate(types))
    task = "classification" if classes else "regression"
    where = "vu13p", 200.0, Fixed(16, 6), "events", task
    return Problem(features, names, scaling, train, validation, *where)


def drawn(types: tuple[Fixed, ...], events: int = 1_200) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([rng.integers(t.min_raw, t.max_raw + 1, events) for t in types], 1)


X = drawn(WORDS)
ONE = X[:, 0] / 64 + X[:, 1] / 99
OTHER = X[:, 1] / 99 - X[:, 2] / 20


def predicted(family: str, found: Problem) -> list[np.ndarray]:
    """What every design of a ladder says of the validation events, shape (events, outputs)."""
    made = REFERENCES[family].propose(found, SPECS[family], 0)
    words = found.validation.words
    return [score_type(m.graph).to_float(scores(m.graph, found.features, words)) for m in made]


def errors(family: str, y: np.ndarray) -> np.ndarray:
    """Of the best design the root mean squares of all outputs, in units of their spreads."""
    found = problem(X, y)
    kept = found.validation.y.reshape(len(found.validation), -1)
    every = [np.sqrt(((p - kept) ** 2).mean(0)) for p in predicted(family, found)]
    return min(every, key=lambda each: (each / kept.std(0)).sum()) / kept.std(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_offset_changes_no_quality(family):
    wanted = errors(family, ONE)[0]
    assert wanted < 0.25
    for offset in (91.2, -4000.1, 1e6):
        assert errors(family, ONE + offset)[0] == pytest.approx(wanted, rel=0.1, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_of_different_spreads_are_as_good_as_alone(family):
    wanted = errors(family, np.stack([ONE, OTHER], 1))
    for size in (10.0, 1000.0):
        for scale in ((1.0, size), (size, 1.0)):
            found = errors(family, np.stack([ONE, OTHER], 1) * scale + 3.0)
            assert (found <= 1.2 * wanted + 0.02).all()  # steps are another part of the spread


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [3.7e6, -0.0123, 0.0])
def test_a_constant_target_decides_nothing(family, value):
    alone = predicted(family, problem(X, ONE))
    constant = np.full(len(X), value)
    beside = predicted(family, problem(X, np.stack([constant, ONE], 1)))
    assert len(alone) == len(beside) > 1
    for one, two in zip(alone, beside, strict=True):
        assert np.array_equal(one[:, 0], two[:, 1])
        assert np.abs(two[:, 0] - value).max() <= abs(value) / 1000
    assert predicted(family, problem(X, constant)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_design_of_several_steps_is_told_in_words(family):
    found = problem(X, np.stack([ONE, 1000 * OTHER], 1))
    *_, one = REFERENCES[family].propose(found, SPECS[family], 0)
    few, many = one.genotype["frac"]
    assert few - many == pytest.approx(np.log2(1000 * OTHER.std() / ONE.std()), abs=1.5)
    said = described(Entry(Candidate(family, one.genotype, 0, one.title), (), str(one.graph)))
    assert any("f0" in line for line in said)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_are_features(signed):
    types = (Fixed(1, 1, signed),) * 3
    words = drawn(types, 300)
    found = problem(words, words[:, 0] & 1 ^ words[:, 1] & 1, types)
    spec = {**SPECS, "tables": AdditiveSpec(address_bits=(1,), steps=(1,), pairs=2)}
    best = {}
    for family, section in spec.items():
        made = list(REFERENCES[family].propose(found, section, 0))
        assert made or family == "linear"
        values = [
            performance(m.graph, found, found.validation, "validation")[0].value for m in made
        ]
        best[family] = max(values, default=0.0)
    assert best["tables"] == best["trees"] == 1.0


IMAGES = DatasetSpec(
    source="bragg", task="regression", label=("row", "column"), generate=GenerateSpec(events=250)
)
SETS = DatasetSpec(source="jets", data="constituents", particles=4)


@pytest.mark.parametrize(("dataset", "axes"), [(IMAGES, 3), (SETS, 2)])
def test_arrays_are_many_features(dataset, axes, tmp_path: Path):
    spec = StudySpec(version=1, name="arrays", dataset=dataset)
    found = prepare(spec, load(dataset), tmp_path).problem
    assert len(found.array) == axes
    found = replace(found, train=found.train.take(slice(150)))
    small = {
        "linear": LinearSpec(word_bits=(4,), digits=(1,), cuts=False),
        "tables": AdditiveSpec(address_bits=(3,), steps=(1,), pairs=0),
        "trees": TreesSpec(rounds=(1,), shapes=((3, 2),)),
    }
    names = set(found.names)
    for family, section in small.items():
        one = next(REFERENCES[family].propose(found, section, 0))
        assert {name for name, _ in one.graph.inputs} <= names
        value = performance(one.graph, found, found.validation, "validation")[0].value
        assert np.isfinite(value)
