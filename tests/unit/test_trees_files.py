"""Trees in files of ours: what is saved is read, what is no ensemble is refused."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble as sklearn
from sklearn import tree as trees
from typer.testing import CliRunner

import nacsr
from nacsr.cli.app import app
from nacsr.errors import FileError, NacsrError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.reference.trees.models import of_model
from nacsr.frontends.reference.trees.read import read
from tests.unit.trained_trees import BOOST, FOREST, HIST, SUMS, THREE, TWO, VALUE, X
from tests.unit.tree_files import stump


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_saved_trees_are_read_as_they_were(tmp_path: Path, suffix: str) -> None:
    for model, targets in (
        (sklearn.HistGradientBoostingClassifier(**HIST), THREE),
        (sklearn.GradientBoostingClassifier(**BOOST), np.array(["no", "yes"])[TWO]),
        (sklearn.RandomForestRegressor(**FOREST), VALUE),
    ):
        model.fit(X, targets)
        path = nacsr.save_trees(model, tmp_path / f"trees{suffix}")
        assert read(path) == of_model(model)
        made = nacsr.compile(path)
        assert made.graph.digest == nacsr.compile(model).graph.digest
        assert made.title == f"trees of trees{suffix}"
    out = str(tmp_path / "project")
    told = ["compile", str(path), "--precision", "12,3", "--to", "rtl", "--out", out]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert nacsr.compile(out).run(X).shape == (len(X), 1)


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    model = trees.DecisionTreeRegressor(max_depth=2).fit(X, VALUE)
    with pytest.raises(SpecError, match=r"name a file that ends in \.json or \.npz"):
        nacsr.save_trees(model, tmp_path / "trees.pkl")
    with pytest.raises(FileError, match="cannot write"):
        nacsr.save_trees(model, tmp_path / "nowhere" / "trees.json")
    with pytest.raises(SpecError, match="dict is no model of trees that is known"):
        nacsr.save_trees({}, tmp_path / "trees.json")


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.UBJ", "m.model", "dir/m.pickle"])
def test_pickles_and_binaries_are_refused(name: str) -> None:
    done = CliRunner().invoke(app, ["compile", name, "--out", "nowhere"])
    assert isinstance(done.exception, SpecError)  # main() prints it, and exits with 2
    text = str(done.exception)
    assert "nacsr.save_trees(model, 'model.json')" in text
    assert "\n" not in text


def test_what_is_no_npz_of_trees_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(FileError, match="cannot read"):
        read(path)
    np.savez(path, words=np.arange(3))
    with pytest.raises(SpecError, match="holds no trees that are known"):
        read(path)
    np.savez(path, format=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileError, match=r"cannot read .*allow_pickle"):
        read(path)
    np.savez(path, format="nacsr-trees 1", features=["a"], outputs=["y"])
    with pytest.raises(SpecError, match="not well formed"):
        read(path)


ladder = list(range(1, 61))


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (stump(tree={"right": [-1, 0, 0]}), "node -1 of a tree is reached twice, or is none"),
        (stump(tree={"left": [1, -1, -1], "right": [1, 0, 0]}), "node 1 of a tree is reached"),
        # two to the sixty ways through sixty nodes
        (
            stump(
                tree={
                    "left": [*ladder, -1],
                    "right": [*ladder, 0],
                    "feature": [0] * 61,
                    "threshold": [0.0] * 61,
                    "value": [0.0] * 61,
                }
            ),
            "is reached twice",
        ),
        (stump(tree={"feature": [0.5, 0, 0]}), "not well formed"),
        (stump(tree={"left": [1e400, -1, -1]}), "not well formed"),
        (stump(outputs=["a;b"]), "cannot name an output 'a;b'"),
        (stump(outputs=["a", "a"], base=[0.0, 0.0]), "cannot name an output 'a'"),
        ({"learner": []}, "not well formed"),
        ({"learner": {"learner_model_param": {}}}, "not well formed"),
        ([{"leaf": "x"}], "not well formed"),
    ],
)
def test_arrays_that_are_no_trees(tmp_path: Path, given_: Any, message: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(given_))
    with pytest.raises(NacsrError, match=message) as error:
        nacsr.compile(path)
    assert str(path) in str(error.value)


def test_words_that_do_not_reach_the_thresholds(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "m.json"
    far = stump()
    far["trees"].append({**far["trees"][0], "threshold": [-150.0, 0, 0], "feature": [0, 0, 0]})
    path.write_text(json.dumps(far))
    with caplog.at_level(logging.WARNING, "nacsr"):
        nacsr.compile(path, precision="fixed<12,9>")
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "nacsr"):
        design = nacsr.compile(path, precision="fixed<12,4>")
    assert "beyond the words of pt; give a wider precision than fixed<12,4>" in caplog.text
    assert design.run([[-8.0, 0.0]]).tolist() == [[1.0]]
    path.write_text(json.dumps(stump(tree={"threshold": [99.0, 0, 0]})))
    with pytest.raises(SpecError, match="no score depends on the words fixed<12,4>"):
        nacsr.compile(path, precision="fixed<12,4>")


def test_scores_that_no_word_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(stump(base=[1e6])))
    with pytest.raises(SpecError, match=r"scores up to 1e\+06 .* allow a larger max_error"):
        nacsr.compile(path, max_error=1e-15)


# --- random trees -----------------------------------------------------------------------------

WORD = Fixed.parse("fixed<6,3>")


@st.composite
def tree_arrays(draw: st.DrawFn, features: int, outputs: int) -> dict[str, Any]:
    """Nodes in any order but for the root; thresholds are words, or lie between, or beyond."""
    keys = ("left", "right", "feature", "threshold", "value")
    found: dict[str, Any] = {key: [0] for key in keys}
    free = [0]
    for _ in range(draw(st.integers(0, 7))):
        place = free.pop(draw(st.integers(0, len(free) - 1)))
        sides = [len(found["left"]), len(found["left"]) + 1]
        for key in keys:
            found[key] += [0, 0]
        free += sides
        found["left"][place], found["right"][place] = draw(st.permutations(sides))
        found["feature"][place] = draw(st.integers(0, features - 1))
        on_words = st.integers(-70, 70).map(lambda k: k / 16)
        found["threshold"][place] = draw(st.one_of(on_words, st.floats(-5, 5)))
    for place in free:
        found["left"][place] = -1
        found["value"][place] = draw(
            st.one_of(st.integers(-64, 64).map(lambda k: k / 8), st.floats(-8, 8))
        )
    return {"output": draw(st.integers(0, outputs - 1)), **found}


def naive(found: dict[str, Any], row: Sequence[float]) -> list[float]:
    kind = {"float32": np.float32, "float64": np.float64}[found["compared_as"]]
    sums = list(found["base"])
    for tree in found["trees"]:
        place = 0
        while tree["left"][place] >= 0:
            value = float(kind(row[tree["feature"][place]]))
            cut = tree["threshold"][place]
            goes_left = value < cut if found["left_if"] == "<" else value <= cut
            place = tree["left" if goes_left else "right"][place]
        sums[tree["output"]] += tree["value"][place]
    return sums


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_trees_compute_what_a_plain_walk_computes(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    features, outputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    tree = tree_arrays(features, outputs)
    found = stump(
        features=[f"f{j}" for j in range(features)],
        outputs=[f"s{k}" for k in range(outputs)],
        base=data.draw(st.lists(st.floats(-4, 4), min_size=outputs, max_size=outputs)),
        left_if=data.draw(st.sampled_from(("<", "<="))),
        compared_as=data.draw(st.sampled_from(("float32", "float64"))),
        trees=data.draw(
            st.lists(tree, min_size=1, max_size=4).filter(
                lambda some: any(t["left"][0] > 0 for t in some)
            )
        ),
    )
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_text(json.dumps(found))
    max_error = data.draw(st.sampled_from((None, 0.3, 1e-3)))
    grid = WORD.to_float(np.arange(WORD.min_raw, WORD.max_raw + 1))
    every = np.array(list(itertools.product(grid, repeat=features)))
    x = every[np.random.default_rng(0).permutation(len(every))[:200]]
    theirs = np.array([naive(found, row) for row in x.tolist()])
    trained = read(path)
    try:
        design = nacsr.compile(path, precision=str(WORD), max_error=max_error)
    except SpecError as error:
        assert "no score depends on the words fixed<6,3>" in str(error)  # noqa: PT017
        frac = trained.frac(WORD.width) if max_error is None else trained.frac_within(max_error)
        bounds = np.array([trained.bound(k, frac) for k in range(outputs)])
        assert (np.ptp(theirs, axis=0) <= 2 * bounds + SUMS).all()
        return
    bounds = np.array(list(design.bounds.values()))
    assert (np.abs(design.run(x) - theirs) <= bounds + SUMS).all()
    assert max_error is None or (bounds <= max_error).all()
