"""Events that are arrays: sets and images as datasets, the words they share, several targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nacsr
from nacsr.data.arrays import alike
from nacsr.data.bragg import BACKGROUND, centre_of_mass, patches
from nacsr.data.dataset import Dataset, from_arrays, load
from nacsr.data.events import Events
from nacsr.data.split import split
from nacsr.data.words import derive_features, fit_scaling, standardise, to_words
from nacsr.errors import DataError, SpecError
from nacsr.finish import setting
from nacsr.fixed import Fixed
from nacsr.frontends.base import Job, Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.goal import Rows, Units
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import score_type, scores
from nacsr.frontends.symbolic.fitting.newton import RIDGE, Fit, Goal, newton
from nacsr.frontends.symbolic.frontend import SymbolicFrontend
from nacsr.ir import Builder
from nacsr.metrics import mean_distance, rmse
from nacsr.prepare import Prepared, prepare
from nacsr.report.rows import quality, rows
from nacsr.report.table import cells, notes, with_error
from nacsr.spec import (
    BUDGETS,
    DatasetSpec,
    DeepSetsSpec,
    ExpressionSpec,
    FamiliesSpec,
    ImageSpec,
    LeanSpec,
    SplitSpec,
    StackSpec,
    StudySpec,
)

EVENTS = 60
RNG = np.random.default_rng(0)
SETS = RNG.normal(size=(EVENTS, 4, 3)) * [50, 0.1, 2] + [100, 0, 5]
IMAGES = RNG.normal(size=(EVENTS, 1, 3, 2)) ** 2
CLASSES = np.arange(EVENTS) % 2
TARGETS = RNG.normal(size=(EVENTS, 2))


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path / "a.npz", **arrays)
    return path


def refusal(base: Path, **choice: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(DatasetSpec(source="a.npz", **choice), base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def prepared_of(data: Dataset, **changes: Any) -> Prepared:
    spec = StudySpec(dataset=DatasetSpec(source="arrays", task=data.task), **changes)
    return prepare(spec, data, Path("nowhere"))


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


# ---- several targets


def test_targets_are_columns_arrays_or_both_names(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(EVENTS, 3)), TARGETS
    lines = [",".join(map(repr, map(float, row))) for row in np.hstack([x, y])]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c,row,column", *lines]))
    names = np.array(["row", "column"])
    written(tmp_path, x=x, labels=y, label_names=names, row=y[:, 0], centres=y, centre_names=names)
    for source, label in (
        ("a.csv", ("row", "column")),
        ("a.npz", None),
        ("a.npz", ("row", "column")),
        ("a.npz", "centres"),
    ):
        spec = DatasetSpec(source=source, task="regression", label=label)
        data = load(spec, tmp_path)
        assert (data.y == y).all()
        assert data.classes == ("row", "column")
    turned = DatasetSpec(source="a.npz", task="regression", label=("column", "row"))
    assert (load(turned, tmp_path).y == y[:, ::-1]).all()
    np.savez(tmp_path / "b.npz", x=x, y=np.zeros(EVENTS), row=y[:, 0], column=y[:, 1])
    apart = DatasetSpec(source="b.npz", task="regression", label=("row", "column"))
    assert (load(apart, tmp_path).y == y).all()


@pytest.mark.parametrize(
    ("y", "choice", "expected"),
    [
        (TARGETS, {"label": ("y0", "z")}, "no label named 'z'; It has: y0, y1"),
        (TARGETS[:, 0], {"label": ("row", "y")}, "no label named 'row'; It has: x, y"),
        (TARGETS * [1, 0], {}, "target 'y1' is 0 in every event"),
        (np.where(TARGETS > 1.5, np.inf, TARGETS), {}, "target 'y"),
        (TARGETS, {"task": "classification"}, "shape [60], not [60, 2]; use argmax(1)"),
        (TARGETS[..., None], {}, "labels must be one an event, shape [60], not [60, 2, 1]"),
    ],
)
def test_what_targets_are_refused(
    tmp_path: Path, y: np.ndarray, choice: dict[str, Any], expected: str
) -> None:
    written(tmp_path, x=SETS, y=y)
    assert expected in refusal(tmp_path, **{"task": "regression"} | choice)


def located(x: np.ndarray = SETS, y: np.ndarray = TARGETS) -> Dataset:
    return from_arrays(x, y, task="regression", classes=["row", "column"])


def test_names_of_targets_fit_the_targets() -> None:
    with pytest.raises(DataError, match=r"1 names for 2 targets, m; give one each"):
        from_arrays(SETS, TARGETS, task="regression", classes=["m"])
    with pytest.raises(DataError, match=r"two targets are 'a_b' in formulas"):
        from_arrays(SETS, TARGETS, task="regression", classes=["a b", "a-b"])
    spec = {"version": 1, "dataset": {"source": "jets", "label": ["a", "b"]}}
    with pytest.raises(SpecError, match="several labels are targets; set task: regression"):
        StudySpec.from_mapping(spec)


def test_objectives_are_those_of_the_targets() -> None:
    named = DatasetSpec(source="a.npz", task="regression", label=("row", "column"))
    assert StudySpec(dataset=named).objectives[0] == "mean_distance"
    with pytest.raises(SpecError, match=r"median_error is none of a regression: mean_distance, rm"):
        StudySpec.from_mapping(
            {"dataset": named.model_dump(), "objectives": ["median_error"], "version": 1}
        )
    with pytest.raises(SpecError, match=r"median_error is none of a regression of row, column"):
        prepared_of(located(), objectives=("median_error",))
    data = from_arrays(SETS, TARGETS[:, 0], task="regression")
    with pytest.raises(SpecError, match=r"mean_distance is none of a regression of y; choose"):
        prepared_of(data, objectives=("mean_distance",))
    made = prepared_of(located(), objectives=("mean_distance",)).problem
    assert made.outputs == ("row", "column")


def test_a_target_that_stands_still_in_training_is_named() -> None:
    y = np.stack([np.arange(EVENTS), np.arange(EVENTS) == 7], axis=1)
    moving = located(y=TARGETS)
    seed = next(s for s in range(30) if 7 not in split(moving, SplitSpec(), s).train)
    with pytest.raises(DataError, match="target 'column' is 0 in every training event"):
        split(located(y=y), SplitSpec(), seed)


def test_distance_and_rmse_agree_with_numpy() -> None:
    guesses, weights = TARGETS + RNG.normal(size=TARGETS.shape), RNG.uniform(0, 2, EVENTS)
    away = np.linalg.norm(guesses - TARGETS, axis=1)
    value, error = mean_distance(guesses, TARGETS)
    assert value == pytest.approx(away.mean(), rel=1e-12)
    assert error == pytest.approx(away.std() / np.sqrt(EVENTS), rel=1e-12)
    heavy = mean_distance(guesses, TARGETS, weights)[0]
    assert heavy == pytest.approx(np.average(away, weights=weights), rel=1e-12)
    assert rmse(guesses, TARGETS)[0] == pytest.approx(np.sqrt((away**2).mean() / 2), rel=1e-12)
    assert rmse(guesses[:, :1], TARGETS[:, :1]) == rmse(guesses[:, 0], TARGETS[:, 0])


def test_a_design_of_two_targets_is_judged_by_distance() -> None:
    problem = prepared_of(located(SETS[:, :1])).problem
    builder = Builder()
    for name, feature in zip("ab", problem.features, strict=False):
        builder.output(name, builder.input(feature.name, feature.type.plain()))
    graph, events = builder.build(), problem.validation
    found = {m.metric: m.value for m in performance(graph, problem, events, "validation")}
    guesses = score_type(graph).to_float(scores(graph, problem.features, events.words))
    assert list(found) == ["mean_distance", "rmse"]
    assert found["mean_distance"] == mean_distance(guesses, events.y)[0]
    assert found["rmse"] == rmse(guesses, events.y)[0]


def test_units_centre_every_target_and_share_one_step() -> None:
    y = RNG.normal(size=(500, 2)) * 20 + [300, -7]
    events = Events(np.zeros((500, 1), np.int64), y)
    units = Units.of(events)
    z = units.standard(y)
    assert (abs(z.mean(0)) < 0.1).all()
    assert 0.7 < z.std() < 1.5
    assert Rows.of(np.zeros((500, 1)), events, 2, "regression").y.shape == (500, 2)
    assert np.array(units.centre) + np.ldexp(z, units.shift) == pytest.approx(y, rel=1e-12)


@pytest.fixture(scope="module")
def two_targets() -> Problem:
    x = np.random.default_rng(5).normal(size=(900, 2, 2)) * [3, 100] + [0, 50]
    flat = x.reshape(900, 4)
    y = np.stack([90 + flat[:, 0] - flat[:, 2], -5 + 0.03 * flat[:, 1]], axis=1)
    return prepared_of(located(x, y)).problem


@pytest.mark.parametrize("kind", ["search", "final"])
def test_networks_of_two_targets(two_targets: Problem, kind: str) -> None:
    network = Network((4,), (Dense(8, True, "relu", 8), Dense(2, False, "none", 8, None)))
    same = {"steps": 400, "seed": 1}
    payload = {
        "search": {"networks": [network.to_dict()], "rung": 0} | same,
        "final": {"network": network.to_dict(), "parent": ""} | same,
    }[kind]
    (found,) = NeuralFrontend.run(Job("network", kind, payload, ""), two_targets).found
    assert found.candidate.reason == ""  # the lowered network equals Brevitas bit for bit
    value = {m.metric: m.value for m in found.measurements}
    assert value["mean_distance"] < 0.3 * 3  # of the spread of the targets


def test_several_targets_are_fitted_by_least_squares() -> None:
    columns = [RNG.normal(size=(EVENTS, n)) for n in (3, 2)]
    fit = Fit(tuple(columns), Goal(TARGETS, RNG.uniform(0.5, 1.5, EVENTS), regression=True))
    heavy, unit = fit.goal.weights, fit.goal.unit
    assert heavy is not None
    found = newton(fit, np.zeros(5), np.ones(5, bool), 6)
    for x, y, mine in zip(columns, TARGETS.T, (found[:3], found[3:]), strict=True):
        scale = EVENTS * unit**2
        ridged = (x.T * heavy) @ x / scale + RIDGE * np.eye(x.shape[1])
        assert mine == pytest.approx(np.linalg.solve(ridged, (x.T * heavy) @ y / scale), abs=1e-6)


def test_formulas_of_two_targets(two_targets: Problem) -> None:
    budget = replace(BUDGETS["quick"], evaluations=300, rows=400, taggers=3)
    problem = replace(two_targets, precision=Fixed(20, 9))
    front = SymbolicFrontend(problem, ExpressionSpec(functions=(), max_size=20), budget, 1)
    found = []
    while jobs := front.ask():
        outcomes = [SymbolicFrontend.run(job, problem) for job in jobs]
        front.tell(jobs, outcomes)
        found += [f for o in outcomes for f in o.found]
    designs = [f for f in found if f.graph is not None]
    assert designs
    assert all(len(f.graph.outputs) == 2 for f in designs if f.graph is not None)
    best = min(m.value for f in designs for m in f.measurements if m.metric == "mean_distance")
    assert best < 0.2  # the formulas are sums


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


# ---- whole studies


@pytest.mark.slow
def test_a_study_of_sets_with_two_targets(tmp_path: Path) -> None:
    """Both families reach the front, and C++ and Verilog equal the interpreter."""
    sets = np.random.default_rng(7).normal(size=(900, 4, 2)) * [1, 30] + [0, 10]
    sets[:300, 3] = 0  # a particle that is not there
    y = np.stack([sets[:, :, 0].sum(1), sets[:, :, 1].max(1) / 30], axis=1)
    space = DeepSetsSpec(
        phi=StackSpec(depth=(0,), widths=(4,)),
        bottleneck=(4,),
        pools=("mean", "max"),
        rho=StackSpec(depth=(0, 1), widths=(4,)),
        weight_bits=(6,),
        activation_bits=(6,),
        lean=LeanSpec(stacks=((4,),), phi=1, share=0.3),
    )
    spec = StudySpec(
        dataset=DatasetSpec(source="arrays", task="regression", label=("row", "column")),
        budget="quick",
        families=FamiliesSpec(expression=ExpressionSpec(functions=(), max_size=12), network=space),
    )
    study = nacsr.Study(spec, tmp_path / "run", dataset=located(sets, y))
    front = study.run(workers=0)
    assert {e.candidate.family for e in front} == {"expression", "network"}
    problem, test = study.prepared.problem, study.prepared.test
    for entry in front:
        for method, stage in (("g++", "csim"), ("simulation", "rtlsim")):
            checked = entry.find("mismatches", method, stage)
            assert checked is not None
            assert checked.value == 0
        found = entry.find("mean_distance", "interpreter", "test")
        guesses = score_type(entry.graph).to_float(
            scores(entry.graph, problem.features, test.words)
        )
        assert found is not None
        assert (found.value, found.error) == mean_distance(guesses, test.y)
    shown = rows(front, setting(study.prepared))
    assert quality(shown) == "mean_distance"
    assert all(list(r.further) == ["rmse"] for r in shown)
    assert with_error(shown[0].further["rmse"], None) in cells(shown[0], ())
    assert any(line.startswith("mean_distance: Euclidean") for line in notes(shown))
