"""Events that are arrays: sets and images as datasets, the words they share, Bragg peaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.arrays import alike
from nacsr.data.bragg import BACKGROUND, centre_of_mass, patches
from nacsr.data.dataset import from_arrays, load
from nacsr.data.words import derive_features, fit_scaling, standardise, to_words
from nacsr.errors import DataError, SpecError
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.metrics import mean_distance
from nacsr.spec import (
    BUDGETS,
    DatasetSpec,
    DeepSetsSpec,
    ExpressionSpec,
    ImageSpec,
    StudySpec,
)
from tests.unit.array_events import CLASSES, EVENTS, IMAGES, SETS, prepared_of, refusal, written

# ---- what loads


def test_the_leading_particles_of_a_set(tmp_path: Path) -> None:
    names = np.array(["pT [GeV]", "eta", "phi"])
    written(tmp_path, constituents=SETS, constituent_names=names, labels=CLASSES)
    spec = DatasetSpec(source="a.npz", data="constituents", particles=2)
    data = load(spec, tmp_path)
    assert data.array == (2, 3)
    assert data.kinds == ("pT_GeV", "eta", "phi")
    assert data.features == ("p0_pT_GeV", "p0_eta", "p0_phi", "p1_pT_GeV", "p1_eta", "p1_phi")
    assert (data.x.reshape(EVENTS, 2, 3) == SETS[:, :2]).all()
    chosen = load(spec.model_copy(update={"features": ("phi", "eta")}), tmp_path)
    assert (chosen.array, chosen.kinds) == ((2, 2), ("phi", "eta"))
    assert (chosen.x.reshape(EVENTS, 2, 2) == SETS[:, :2, [2, 1]]).all()


def test_images_are_named_by_row_and_column(tmp_path: Path) -> None:
    data = from_arrays(IMAGES, CLASSES)
    assert (data.array, data.kinds) == ((1, 3, 2), ("pixel",))
    assert data.features == ("r0_c0", "r0_c1", "r1_c0", "r1_c1", "r2_c0", "r2_c1")
    assert (data.x.reshape(IMAGES.shape) == IMAGES).all()
    two = from_arrays(IMAGES.reshape(EVENTS, 2, 3, 1), CLASSES, features=["em", "had"])
    assert two.features[2:4] == ("em_r2_c0", "had_r0_c0")
    written(tmp_path, x=np.repeat(IMAGES, 2, axis=1), y=CLASSES)
    chosen = load(DatasetSpec(source="a.npz", features=("channel1",)), tmp_path)
    assert (chosen.array, chosen.kinds) == ((1, 3, 2), ("channel1",))


def test_shipped_jets_are_sets_too() -> None:
    jets = load(DatasetSpec(source="jets", data="constituents", particles=8))
    assert (jets.array, jets.kinds) == ((8, 3), ("pt", "eta_rel", "phi_rel"))
    assert (np.diff(jets.x[:, ::3]) <= 0).all()  # leading ones first


def test_the_digest_covers_the_shape() -> None:
    digests = {
        from_arrays(SETS.reshape(shape), CLASSES, features=names).digest
        for shape, names in (
            ((EVENTS, 4, 3), ["a", "b", "c"]),
            ((EVENTS, 12), [f"p{p}_{v}" for p in range(4) for v in "abc"]),
        )
    }
    assert len(digests) == 2


def test_a_corner_may_be_dark_but_no_channel() -> None:
    images = IMAGES.copy()
    images[:, 0, 0, 0] = 0
    data = from_arrays(images, CLASSES)
    prepared = prepared_of(data)
    assert len(prepared.problem.features) == 6
    images[:] = images[0]
    with pytest.raises(DataError, match=r"feature 'pixel' is 0 in every event; leave it out"):
        from_arrays(images, CLASSES)
    sets = SETS.copy()
    sets[:, :, 1] = 7
    with pytest.raises(DataError, match=r"feature 'v1' is 7 in every event; leave it out"):
        from_arrays(sets, CLASSES)


@pytest.mark.parametrize(
    ("arrays", "choice", "expected"),
    [
        (
            {"x": SETS[..., None, None]},
            {},
            "(events, channels, rows, columns), not [60, 4, 3, 1, 1]",
        ),
        ({"x": SETS}, {"particles": 5}, "dataset.particles is 5, but a set has 4; take fewer"),
        ({"x": SETS[:, 0]}, {"particles": 2}, "sets of shape (events, particles, values), not [60"),
        ({"x": IMAGES}, {"particles": 1}, "dataset.particles is for sets"),
        ({"x": SETS}, {"data": "particle"}, "no feature array 'particle'; It has: y, x"),
        ({"x": SETS}, {"features": ("pt",)}, "no feature named 'pt'; It has: v0, v1, v2"),
        ({"x": SETS, "feature_names": np.array(["a"])}, {}, "1 feature names for 3 values of a"),
        ({"x": np.where(SETS > 190, np.nan, SETS)}, {}, "'p"),
        ({"x": SETS[:, :0]}, {}, "has no features"),
    ],
)
def test_what_arrays_are_refused(
    tmp_path: Path, arrays: dict[str, Any], choice: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(written(tmp_path, y=CLASSES, **arrays), **choice)


def test_ragged_sets_and_csv_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fill sets of particles up with zeros"):
        from_arrays([[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]], [0, 1])
    (tmp_path / "a.csv").write_text("a,b,y\n" + "1,2,0\n3,4,1\n" * 20)
    with pytest.raises(DataError, match=r"dataset\.particles is for arrays of an \.npz file"):
        load(DatasetSpec(source="a.csv", particles=2), tmp_path)


# ---- words


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(4)), seed=st.integers(0, 99))
def test_words_and_values_move_with_their_particle(order: list[int], seed: int) -> None:
    sets = np.random.default_rng(seed).normal(size=(40, 4, 3)) * [50, 0.1, 2] + [100, 0, 5]

    def made(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(40, 12)
        features = derive_features(flat, [f"f{j}" for j in range(12)], 12, (4, 3))
        words = to_words(flat, features)
        scaling = fit_scaling(words, features, (4, 3))
        return words.reshape(40, 4, 3), standardise(words, features, scaling).reshape(40, 4, 3)

    for one, other in zip(made(sets), made(sets[:, order]), strict=True):
        assert (one[:, order] == other).all()


def test_features_alike_share_type_and_scaling() -> None:
    data = from_arrays(SETS, CLASSES, features=["pt", "eta", "n"])
    problem = prepared_of(data, inputs={"types": {"eta": "fixed<12,2>"}}).problem
    assert problem.array == problem.shape == (4, 3)
    types = [str(f.type.plain()) for f in problem.features]
    assert types[:3] == ["fixed<16,9>", "fixed<12,2>", "fixed<16,5>"]
    for given_ in (types, problem.scaling.offsets, problem.scaling.shifts):
        assert given_[:3] * 4 == given_[:]
    with pytest.raises(SpecError, match="unknown feature 'p0_eta', did you mean 'eta'"):
        prepared_of(data, inputs={"types": {"p0_eta": "fixed<12,2>"}})
    outside = prepared_of(data, inputs={"scaling": "external"}).problem
    z = outside.values(outside.train).reshape(-1, 4, 3)
    assert (abs(z.mean((0, 1))) < 0.01).all()
    assert (abs(z.std((0, 1)) - 1) < 0.01).all()


def test_a_few_bright_pixels_set_the_scale() -> None:
    images = np.zeros((200, 1, 5, 5))
    images[:, 0, 2, 2] = np.linspace(50, 1000, 200)
    images[:, 0, 2, 3] = np.linspace(1000, 40, 200)
    problem = prepared_of(from_arrays(images, np.arange(200) % 2)).problem
    z = problem.values(problem.train)
    assert z.min() == 0  # a dark pixel stays zero: no offset for what is mostly dark
    assert 1 < z.max() < 8


def test_alike_counts_every_column_once() -> None:
    for array, features in (((), 5), ((2, 3), 6), ((3, 2, 2), 12)):
        columns = np.concatenate(alike(array, features))
        assert sorted(columns.tolist()) == list(range(features))


# ---- what searches read


@pytest.mark.parametrize(
    ("x", "spec", "expected"),
    [
        (SETS[:, 0], DeepSetsSpec(), r"kind deepsets reads events of \[3\].*dataset\.data"),
        (SETS, ImageSpec(), r"kind cnn reads events of \[4, 3\].*\(events, channels, rows"),
        (IMAGES, DeepSetsSpec(), r"kind deepsets reads events of \[1, 3, 2\]"),
    ],
)
def test_a_space_that_cannot_read_the_events(x: np.ndarray, spec: Any, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        NeuralFrontend(prepared_of(from_arrays(x, CLASSES)).problem, spec, BUDGETS["quick"], 1)


def test_formulas_read_sets_by_their_flat_names_and_no_images() -> None:
    problem = prepared_of(from_arrays(SETS, CLASSES)).problem
    asked = SymbolicFrontend(problem, ExpressionSpec(), BUDGETS["quick"], 1).ask()
    assert asked[0].payload["inputs"][:4] == ["p0_v0", "p0_v1", "p0_v2", "p1_v0"]
    problem = prepared_of(from_arrays(IMAGES, CLASSES)).problem
    with pytest.raises(SpecError, match=r"events are images of 1 x 3 x 2.*set expression: null"):
        SymbolicFrontend(problem, ExpressionSpec(), BUDGETS["quick"], 1)


# ---- Bragg peaks


def test_peaks_are_drawn_by_their_seed() -> None:
    images, centres = patches(300, seed=3)
    again, fewer, other = patches(300, seed=3), patches(40, seed=3), patches(300, seed=4)
    assert (images == again[0]).all()
    assert (centres == again[1]).all()
    assert (fewer[0] == images[:40]).all()
    assert (other[0] != images).any()
    assert images.shape == (300, 1, 11, 11)
    assert images.min() >= 0
    assert (images == images.round()).all()
    assert (abs(centres) <= 1.5).all()


def test_the_centre_of_mass_is_good_without_background_and_bad_with_it() -> None:
    distance = {}
    for background in ((0.0, 0.0), BACKGROUND):
        images, centres = patches(4_000, seed=1, background=background)
        distance[background] = mean_distance(centre_of_mass(images), centres)[0]
    assert distance[0.0, 0.0] == pytest.approx(0.127, abs=0.01)
    assert distance[BACKGROUND] > 1.8 * distance[0.0, 0.0]


def test_bragg_is_a_dataset_of_two_targets() -> None:
    spec = StudySpec.from_mapping(
        {"dataset": {"source": "bragg", "task": "regression", "generate": {"events": 200}}}
    )
    data = load(spec.dataset)
    assert (data.array, data.classes) == ((1, 11, 11), ("row", "column"))
    assert (data.x.reshape(-1, 1, 11, 11) == patches(200)[0]).all()
    assert "200 Bragg peaks drawn by nacsr with seed 0" in data.about
    with pytest.raises(DataError, match=r"dataset\.generate: is for bragg, not jets"):
        load(spec.dataset.model_copy(update={"source": "jets"}))
    for key, value, said in (
        ("weight", "w", "means nothing"),
        ("label", "row", "is row, column"),
        ("task", "classification", "set task: regression"),
    ):
        with pytest.raises(DataError, match=said):
            load(spec.dataset.model_copy(update={key: value}))
