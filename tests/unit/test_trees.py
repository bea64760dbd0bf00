"""Trees: growing, lowering, and reading trained ones; words agree with whoever trained them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nacsr
from nacsr.cost.rtl import estimate_rtl
from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.emit.rtl import prepare
from nacsr.emit.rtl_pipeline import Pipeline
from nacsr.errors import FileError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.reference.trees import grow
from nacsr.frontends.reference.trees.grow import Grower, Objective, Recipe, _lowest
from nacsr.frontends.reference.trees.ladder import propose, rules
from nacsr.frontends.reference.trees.lower import both, lower, merged, table
from nacsr.frontends.reference.trees.model import (
    Ensemble,
    Node,
    Question,
    Split,
    Tree,
    answers,
    asked,
    known,
    leaves,
    tabulated,
)
from nacsr.frontends.reference.trees.read import read
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir.passes.scalar import unrolled
from nacsr.ir.passes.schedule import LUT_NS, schedule
from nacsr.ir.passes.thresholds import compared, threshold
from nacsr.spec.references import TreesSpec
from tests.unit.tiny_problem import tiny_problem
from tests.unit.tree_files import stump

TYPES = (Fixed(5, 5, False), Fixed(4, 2), Fixed(6, 3), Fixed(1, 1, False))
FEATURES = tuple(Feature(f"f{j}", t) for j, t in enumerate(TYPES))
OUTPUTS = ("a", "b")


def nodes(depth: int) -> st.SearchStrategy[Node]:
    """Trees that may ask the same twice, or what every word, or none, answers."""
    tests = st.integers(0, len(TYPES) - 1).flatmap(
        lambda j: st.builds(
            Question, st.just(j), st.integers(TYPES[j].min_raw - 1, TYPES[j].max_raw + 1)
        )
    )
    leaf: st.SearchStrategy[Node] = st.integers(-9, 9)
    if not depth:
        return leaf
    return st.one_of(leaf, st.builds(Split, tests, nodes(depth - 1), nodes(depth - 1)))


def ensembles() -> st.SearchStrategy[Ensemble]:
    trees = st.lists(st.builds(Tree, st.integers(0, 1), nodes(4)), max_size=6)
    base = st.tuples(st.integers(-20, 20), st.integers(-20, 20))
    return st.builds(
        Ensemble, trees.map(tuple), base, st.tuples(st.integers(-2, 4), st.integers(-2, 4))
    )


def words_of(types: tuple[Fixed, ...], events: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(t.min_raw, t.max_raw + 1, events) for t in types], 1)


def design(graph: Graph, features: tuple[Feature, ...], outputs: tuple[str, ...]) -> Design:
    zeros = (0,) * len(features)
    setting = Setting(features, outputs, Scaling("external", zeros, zeros), "vu13p", 200.0)
    return Design(graph, setting, "trees", "trees", "rtl")


# --- the model and its design -----------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(ensembles())
def test_a_design_computes_the_scores_of_its_ensemble(ensemble: Ensemble) -> None:
    words = words_of(TYPES, 300)
    graph = lower(ensemble, FEATURES, OUTPUTS)
    inputs = {name: words[:, int(name[1:])] for name, _ in graph.inputs}
    found, expected = evaluate(graph, inputs), ensemble.scores(words)
    scalar = evaluate(unrolled(graph), inputs)
    for k, name in enumerate(OUTPUTS):
        type_ = graph.ops[dict(graph.outputs)[name]].type
        assert np.array_equal(
            np.ldexp(np.broadcast_to(found[name], 300).astype(float), -type_.frac),
            np.ldexp(expected[:, k].astype(float), -ensemble.fracs[k]),
        )
        assert np.array_equal(found[name], scalar[name])


@settings(max_examples=40, deadline=None)
@given(nodes(4), nodes(3))
def test_trees_are_what_their_rewritings_are(one: Node, other: Node) -> None:
    words = words_of(TYPES, 200, 1)
    tests, entries = table(one)
    assert np.array_equal(answers(tabulated(tests, entries), words), answers(one, words))
    if len(set(asked(one)) | set(asked(other))) <= 8:
        total = answers(one, words) + answers(other, words)
        assert np.array_equal(answers(both(one, other), words), total)
    for test in tests[:1]:
        for holds in (False, True):
            rows = words[test.holds(words) == holds]
            assert np.array_equal(answers(known(one, test, holds), rows), answers(one, rows))


def test_trees_of_few_questions_become_one_table() -> None:
    stumps = [Split(Question(0, t), 0, 1 + t % 3) for t in range(1, 12)]
    found = merged(stumps)
    assert len(found) == 2
    assert all(len(set(asked(root))) <= 6 for root in found)
    assert sum(max(leaves(root)) for root in found) == sum(max(leaves(s)) for s in stumps)


def test_a_deep_tree_becomes_choices_between_tables() -> None:
    rng = np.random.default_rng(0)

    def grown(depth: int) -> Node:
        if not depth:
            return int(rng.integers(0, 8))
        j = int(rng.integers(0, 3))
        return Split(
            Question(j, int(rng.integers(TYPES[j].min_raw, TYPES[j].max_raw))),
            grown(depth - 1),
            grown(depth - 1),
        )

    ensemble = Ensemble((Tree(0, grown(6)),), (0,), (0,))
    graph = lower(ensemble, FEATURES, ("a",))
    assert {"select", "lut", "pack", "compare"} <= {op.name for op in graph.ops}
    compares = [op for op in graph.ops if op.name == "compare"]
    assert 20 < len(compares) <= len(ensemble.tests)  # what contradicts itself is not asked


# --- growing ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem() -> Problem:
    return tiny_problem()


def test_a_ladder_is_deterministic_and_learns(problem: Problem) -> None:
    spec = TreesSpec(rounds=(1, 3), shapes=((3, 2), (6, 3)))
    one, two = (list(propose(problem, spec, 3)) for _ in range(2))
    assert [p.genotype for p in one] == [p.genotype for p in two]
    assert [p.graph.digest for p in one] == [p.graph.digest for p in two]
    assert json.loads(json.dumps(one[0].genotype)) == one[0].genotype
    assert len(one) == 4
    right = []
    for found in (one[0], one[-1]):
        made = design(found.graph, problem.features, problem.classes)
        right.append((made.run(problem.validation.words).argmax(1) == problem.validation.y).mean())
    assert right[1] > max(right[0], 0.85)
    assert "else:" in "\n".join(rules(dict(one[0].genotype), problem.classes))


def test_no_class_has_a_constant_to_add(problem: Problem) -> None:
    types = [f.type for f in problem.features]
    grower = Grower(problem.train.words, types, Objective(problem.train, 3), Recipe(4, 3, 1, 1e-4))
    ensemble = grower.grow(3)
    assert set(ensemble.base[1:]) == {0}
    assert max(max(leaves(t.root)) for t in ensemble.trees) < 8
    assert min(min(leaves(t.root)) for t in ensemble.trees) >= 0


def test_two_classes_have_one_score_and_a_regression_its_units(problem: Problem) -> None:
    y = (problem.train.y > 0).astype(np.int64)
    two = Problem(
        **{**fields(problem), "classes": ("no", "yes"), "train": Events(problem.train.words, y)}
    )
    *_, found = propose(two, TreesSpec(rounds=(3,), shapes=((4, 3),)), 0)
    made = design(found.graph, two.features, two.outputs)
    assert ((made.run(two.train.words)[:, 0] > 0) == y).mean() > 0.9
    value = problem.train.words[:, 0] * problem.features[0].type.lsb * 40.0 + 300.0
    real = Problem(
        **{
            **fields(problem),
            "classes": ("m",),
            "train": Events(problem.train.words, value),
            "task": "regression",
        }
    )
    *_, found = propose(real, TreesSpec(rounds=(4,), shapes=((4, 4),)), 0)
    made = design(found.graph, real.features, real.outputs)
    assert np.std(made.run(real.train.words)[:, 0] - value) < 0.4 * np.std(value)


def fields(problem: Problem) -> dict[str, Any]:
    names = ("features", "classes", "scaling", "train", "validation", "target", "clock_mhz")
    return {n: getattr(problem, n) for n in (*names, "precision", "digest")}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-40, 40), st.floats(0.125, 9)), min_size=1, max_size=20),
    st.integers(1, 5),
)
def test_a_window_of_leaves_loses_the_least(leaves_: list[tuple[float, float]], bits: int) -> None:
    values, weights = np.array(leaves_).T
    rounded, size = np.rint(values), 1 << bits

    def lost(low: int) -> float:
        return float((weights * (np.clip(rounded, low, low + size - 1) - values) ** 2).sum())

    best = min(map(lost, range(-42 - size, 43)))
    assert lost(_lowest(values, weights, size)) == pytest.approx(best, abs=1e-9)


def test_a_window_is_found_in_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    clip = np.clip

    def counted(*given: Any) -> Any:
        looks.append(given)
        assert len(looks) <= 100
        return clip(*given)

    monkeypatch.setattr(grow.np, "clip", counted)
    low = _lowest(np.array([0.0, 1e9, 1e9]), np.ones(3), 8)
    assert low == pytest.approx(2e9 / 3, rel=1e-6)


# --- comparisons with constants ---------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_threshold_says_what_the_comparison_says(data: st.DataObject) -> None:
    types = [
        Fixed(data.draw(st.integers(1, 6)), data.draw(st.integers(-2, 6)), data.draw(st.booleans()))
        for _ in range(2)
    ]
    constant = data.draw(st.integers(types[1].min_raw, types[1].max_raw))
    kind, flipped = data.draw(st.sampled_from(("lt", "le", "gt", "ge"))), data.draw(st.booleans())
    b = Builder()
    x, c = b.input("x", types[0]), b.const(constant, types[1])
    compare = b.op("compare", *((c, x) if flipped else (x, c)), kind=kind)
    b.output("y", compare)
    graph = b.build(ports=True)
    words = np.arange(types[0].min_raw, types[0].max_raw + 1)
    found = evaluate(graph, {"x": words})["y"]
    sides, known_ = (types[::-1], (constant, None)) if flipped else (types, (None, constant))
    first = threshold(kind, sides, known_)
    assert first is not None
    assert np.array_equal(
        (words >= first.word) == first.holds, np.broadcast_to(found, words.shape) != 0
    )
    decide = first.bits(types[0])
    high = words >> (types[0].width - decide)
    answers_ = {int(h): set(np.broadcast_to(found, words.shape)[high == h].tolist()) for h in high}
    assert all(len(v) == 1 for v in answers_.values())
    assert compared(b.ops[compare], [b.ops[a] for a in b.ops[compare].args]) == max(decide, 1)


def test_comparators_take_a_lut_for_six_bits_and_five_more() -> None:
    for word, luts in ((1 << 15, 0), (3 << 14, 1), (3 << 10, 1), (3 << 9, 2), (1 << 5, 2), (1, 3)):
        b = Builder()
        x = b.input("x", Fixed(16, 16, False))
        b.output("y", b.op("compare", x, b.const(word, Fixed(16, 16, False)), kind="ge"))
        graph, timing = prepare(b.build(), 5.0)
        assert estimate_rtl(graph, timing, Pipeline(graph, timing).kept()).luts == luts


def test_only_an_order_is_asked_in_a_row() -> None:
    for kind in ("ge", "lt", "eq", "ne"):
        b = Builder()
        x = b.input("x", Fixed(16, 16, False))
        b.output("y", b.op("compare", x, b.const(1, Fixed(16, 16, False)), kind=kind))
        levels = schedule(b.build(), 5.0).slowest_ns / LUT_NS
        assert levels == pytest.approx(3) if kind in ("ge", "lt") else levels <= 2


# --- trained elsewhere ------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(content: Any) -> Path:
        path = tmp_path / "model.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_arrays_compile_and_keep_their_side_of_a_threshold(written: Any) -> None:
    for left_if, expected in (("<=", [-1.0, -1.0, 2.5]), ("<", [-1.0, 2.5, 2.5])):
        made = nacsr.compile(written(stump(left_if=left_if)), precision="fixed<8,4>")
        x = np.array([[0.0, 0.1875], [1.0, 0.25], [2.0, 0.3125]])
        assert made.run(x)[:, 0].tolist() == expected
        assert made.bounds == {"y": 0.0}


@settings(max_examples=80, deadline=None)
@given(
    st.floats(-9, 9, width=32), st.booleans(), st.booleans(), st.integers(2, 30), st.integers(0, 4)
)
def test_every_word_goes_where_the_float_goes(
    cut: float, strict: bool, single: bool, width: int, integer: int
) -> None:
    from nacsr.frontends.reference.trees.read import Trained

    t = Fixed(width, integer)
    trained = Trained(("x",), ("y",), (0.0,), ((0, (0, cut, 0.0, 1.0)),), strict, single)
    near = int(np.clip(np.floor(cut * 2.0**t.frac), t.min_raw, t.max_raw))
    words = np.unique(np.clip(near + np.arange(-40, 41), t.min_raw, t.max_raw))
    x = t.to_float(words)
    x = x.astype(np.float32) if single else x
    right = x >= cut if strict else x > cut
    assert np.array_equal(trained.ensemble([t], 0).scores(words[:, None])[:, 0] == 1, right)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is no JSON"),
        ({"a": 1}, "holds no trees that are known"),
        (stump(base=[0.0, 1.0]), "2 base scores for 1 outputs"),
        (stump(tree={"output": 3}), "a tree adds to output 3 of 1"),
        (stump(tree={"left": [0, -1, -1]}), "node 0 of a tree is reached twice"),
        (stump(tree={"feature": [7, 0, 0]}), "feature 7 of 2"),
        (stump(tree={"left": [-1]}), "no tree asks anything"),
        (stump(left_if="<<"), "not well formed"),
        (stump(features=["a", "a"]), "features need a name each"),
        (stump(tree={"value": [0.0, float("nan"), 1.0]}), "a leaf is not finite"),
    ],
)
def test_what_is_no_ensemble_is_refused(written: Any, content: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        read(written(content))
    assert "\n" not in str(error.value)
    assert "model.json" in str(error.value)


def test_options_of_formulas_are_refused(written: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="row cannot change them"):
        nacsr.compile(written(stump()), row=3)
    with pytest.raises(FileError, match="cannot read"):
        nacsr.compile(tmp_path / "none.json")


def test_an_error_bound_is_kept(written: Any) -> None:
    made = nacsr.compile(
        written(stump(tree={"value": [0, 0.123, -0.777]}, base=[0.3])),
        precision="fixed<8,4>",
        max_error=0.01,
    )
    found = made.run(np.array([[0.0, 0.0], [0.0, 1.0]]))[:, 0]
    off = np.abs(found - [0.423, -0.477]).max()
    assert off <= made.bounds["y"] <= 0.01


# --- xgboost's own files ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def xgboost() -> Any:
    return pytest.importorskip("xgboost", reason="xgboost is not installed: nacsr[trees]")


@pytest.mark.parametrize(
    ("objective", "extra"),
    [
        ("multi:softprob", {"num_class": 3}),
        ("binary:logistic", {}),
        ("reg:squarederror", {}),
        ("reg:squarederror", {"booster": "dart", "rate_drop": 0.4, "num_parallel_tree": 2}),
    ],
)
def test_xgboosts_scores_are_ours(
    xgboost: Any, tmp_path: Path, objective: str, extra: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    word = Fixed.parse("fixed<12,3,RND,SAT>")
    x = word.to_float(word.quantize(rng.normal(size=(3000, 4))))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] * x[:, 2] > 0.3)
    y = np.minimum(y, 1) if objective == "binary:logistic" else y
    data = xgboost.DMatrix(x, label=y * (2.5 if "reg" in objective else 1))
    told = {"objective": objective, "max_depth": 3, "nthread": 1, "seed": 1, **extra}
    model = xgboost.train(told, data, 6)
    model.save_model(tmp_path / "m.json")
    made = nacsr.compile(tmp_path / "m.json", precision=str(word.plain()), to="rtl")
    theirs = model.predict(data, output_margin=True, training=False).reshape(len(x), -1)
    bound = max(made.bounds.values()) + 1e-5  # theirs are sums in float32
    assert np.abs(made.run(x) - theirs).max() <= bound
    if theirs.shape[1] > 1:
        same = made.run(x).argmax(1) == theirs.argmax(1)
        top = np.sort(theirs, 1)
        assert same.mean() >= 0.999
        assert (top[~same, -1] - top[~same, -2] <= 2 * bound).all()
    model.dump_model(tmp_path / "d.json", dump_format="json")
    if objective == "reg:squarederror" and "booster" not in extra:
        trained = read(tmp_path / "d.json")
        order = [int(n[1:]) for n in trained.features]
        raw = word.quantize(x)[:, order]
        ensemble = trained.ensemble([word] * len(order), 20)
        off = theirs[:, 0] - ensemble.scores(raw)[:, 0] * 2.0**-20
        assert np.ptp(off) < 1e-4  # the base score, which a dump leaves out


def test_categories_and_other_objectives_are_refused(xgboost: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 4, (200, 1)).astype(float)
    data = xgboost.DMatrix(
        x, label=(x[:, 0] == 2) * 1.0, feature_types=["c"], enable_categorical=True
    )
    model = xgboost.train({"tree_method": "hist", "max_cat_to_onehot": 1, "nthread": 1}, data, 1)
    model.save_model(tmp_path / "m.json")
    with pytest.raises(SpecError, match="splits on categories"):
        read(tmp_path / "m.json")
    numbers = xgboost.DMatrix(x, label=x[:, 0] + 1)
    xgboost.train({"objective": "count:poisson", "nthread": 1}, numbers, 1).save_model(
        tmp_path / "p.json"
    )
    with pytest.raises(SpecError, match="objective 'count:poisson' predicts exp of a sum"):
        read(tmp_path / "p.json")
