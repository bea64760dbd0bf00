"""Reference families: sums of words and of tables, fitted, lowered, equal in every back end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.entry import Entry
from nacsr.errors import ToolError
from nacsr.finish import verilog
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.reference import frontend, linear, tables
from nacsr.frontends.reference.additive import Group, fit_tables
from nacsr.frontends.reference.base import Proposed
from nacsr.frontends.reference.cuts import Cut, choose_cut, informative, strata
from nacsr.frontends.reference.fitting import Goal, fit, probabilities
from nacsr.frontends.reference.frontend import ReferenceFrontend
from nacsr.frontends.reference.registry import REFERENCES
from nacsr.frontends.reference.work import Work
from nacsr.frontends.stem import scores
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir.passes.base import keep
from nacsr.measure import ESTIMATED, HARDWARE, QUALITY, VERILOG, Measurement
from nacsr.prepare import Prepared
from nacsr.records import Candidate, Found
from nacsr.report.references import described
from nacsr.spec import AdditiveSpec, LinearSpec, TreesSpec
from nacsr.spec.references import ReferenceSpec

WORDS = (Fixed(8, 3), Fixed(8, 2, signed=False), Fixed(6, 6, signed=False))
ZEROS = Scaling("external", (0, 0, 0), (0, 0, 0))
SMALL = {
    "linear": LinearSpec(word_bits=(4,), digits=(2,)),
    "tables": AdditiveSpec(address_bits=(5,), steps=(2,), pairs=2),
}
ALL = [*SMALL, "trees"]


def problem(task: str = "classification", classes: int = 3, weighted: bool = False) -> Problem:
    """Scores that are a curve a feature, and a product."""
    rng = np.random.default_rng(5)
    words = np.stack([rng.integers(w.min_raw, w.max_raw + 1, 3_000) for w in WORDS], 1)
    a, b, c = (w.to_float(words[:, j]) for j, w in enumerate(WORDS))
    truth = np.stack([np.sin(a) + a * (b - 2) / 4, 1 - b / 2, c / 40 - 0.5], 1)
    noisy = truth + rng.normal(0, 0.05, truth.shape)
    y = noisy[:, :classes] if task == "regression" else noisy[:, :classes].argmax(1)
    y = y[:, 0] if task == "regression" and classes == 1 else y
    weights = rng.uniform(0.5, 1.5, 3_000) if weighted else None
    parts = (slice(0, 2_000), slice(2_000, None))
    train, validation = (Events(words, y, weights).take(p) for p in parts)
    features = tuple(Feature(f"f{j}", w) for j, w in enumerate(WORDS))
    names = ("p", "q", "r")[:classes]
    where = "vu13p", 200.0, Fixed(16, 6), "events", task
    return Problem(features, names, ZEROS, train, validation, *where)


def quality(one: Proposed, found: Problem) -> float:
    return performance(one.graph, found, found.validation, "validation")[0].value


@settings(deadline=None)
@given(
    drop=st.integers(0, 4),
    start=st.integers(-20, 20),
    bits=st.integers(1, 6),
    word=st.sampled_from(WORDS),
)
def test_a_cut_in_hardware_is_the_cut_of_the_fit(drop, start, bits, word):
    cut = Cut(drop, start, bits)
    b = Builder()
    b.output("y", cut.whole(b, b.input("x", word)))
    raw = np.arange(word.min_raw, word.max_raw + 1)
    found = np.broadcast_to(evaluate(b.build(ports=True), {"x": raw})["y"], raw.shape)
    assert (found == cut.address(raw)).all()


def test_a_cheaper_cut_is_taken_where_it_says_as_much():
    word = Fixed(8, 8, signed=False)
    words = np.arange(256).repeat(40)
    y = (words > 127).astype(np.int64)
    cut = choose_cut(words, y, word, 4, 0.0)
    assert cut.effort(word) == 0
    assert set(cut.address(words[y == 0])).isdisjoint(cut.address(words[y == 1]))
    assert choose_cut(words, y, word, 1, 0.0).address(words).tolist() == y.tolist()


def test_the_features_that_say_nothing_are_left_out():
    found = problem()
    noise = np.random.default_rng(1).integers(0, 256, (2_000, 5))
    words = np.concatenate([noise, found.train.words], axis=1)
    assert set(informative(words, found.train.y, 2)) <= {5, 6, 7}
    assert informative(words, found.train.y, 8) == list(range(8))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), weighted=st.booleans())
def test_a_fit_has_no_slope_left(seed, weighted):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(300, 3)).astype(np.float32)
    y = (z @ [1.0, -1.0, 0.3] + rng.normal(size=300) > 0).astype(int)
    weights = rng.uniform(0, 2, 300) if weighted else None
    goal = Goal(np.eye(2)[y], weights)
    found, offsets = fit(z, goal, np.eye(3))
    slope = z.T @ goal.residuals(z @ found + offsets) - found
    assert np.abs(slope).max() < 1.0  # of 300 events
    shift = goal.recentred(z @ found + offsets)
    mean = np.average(probabilities(z @ found + offsets + shift), axis=0, weights=weights)
    assert np.allclose(mean, goal.mean(), atol=1e-3)


def test_least_squares_find_a_line_and_its_offset():
    z = np.random.default_rng(2).normal(3, 1, (500, 2))
    goal = Goal(z @ [[1.0], [-2.0]] + 5, regression=True)
    weights, offsets = fit(z, goal, 1e-6 * np.eye(2))
    assert np.allclose(weights[:, 0], [1, -2], atol=1e-5)
    assert np.allclose(offsets, 5, atol=1e-4)


def test_a_table_of_two_features_learns_their_product():
    rng = np.random.default_rng(3)
    words = rng.integers(0, 256, (4_000, 2))
    y = ((words[:, 0] > 127) ^ (words[:, 1] > 127)).astype(np.int64)
    cuts = Cut(5, 0, 3), Cut(5, 0, 3)
    goal = Goal(np.eye(2)[y])
    pair = fit_tables([Group((0, 1), cuts)], words, goal)
    alone = fit_tables([Group((j,), (cut,)) for j, cut in enumerate(cuts)], words, goal)
    assert (pair.scores(words).argmax(1) == y).mean() > 0.99
    assert (alone.scores(words).argmax(1) == y).mean() < 0.6


@settings(max_examples=30, deadline=None)
@given(value=st.floats(-30, 30), digits=st.integers(1, 4))
def test_a_weight_of_few_digits_is_near(value, digits):
    model = linear.Sum((0,), (Cut(0, 0, 4),), np.array([[value]]), np.zeros(1))
    (found,) = model.rounded(6, digits)[0].tolist()
    assert bin(found ^ (3 * found)).count("1") <= 2 * digits
    assert abs(found - value * 64) <= max(0.75, abs(value) * 64 / 3.0**digits)


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    ("task", "classes"), [("classification", 3), ("classification", 2), ("regression", 1)]
)
def test_a_ladder_grows_and_is_the_same_again(family, task, classes):
    found = problem(task, classes, weighted=True)
    spec = SMALL.get(family, REFERENCES[family].spec())
    part = REFERENCES[family].parts(spec)[-1]
    made = list(REFERENCES[family].propose(found, part, 1))
    again = list(REFERENCES[family].propose(found, part, 1))
    assert [(m.genotype, str(m.graph)) for m in made] == [(m.genotype, str(m.graph)) for m in again]
    assert {len(m.graph.outputs) for m in made} == {len(found.outputs)}
    values = [quality(m, found) for m in made]
    guess = abs(frontend.guessed(found)[QUALITY[task][0]])
    best = max(values) if task == "classification" else guess - min(values)
    least = 0.05 if family == "linear" else 0.2  # no line is a sine
    assert best > (guess + least if task == "classification" else least * guess)


def beside(made: list[Proposed]) -> Graph:
    """One design of several, on the same ports: g++ takes seconds a design."""
    b = Builder()
    for number, one in enumerate(made):
        at: list[int] = []
        for op in one.graph.ops:
            at.append(keep(b, one.graph, op, tuple(at[a] for a in op.args)))
        for name, index in one.graph.outputs:
            b.output(f"{name}{number}", at[index])
    return b.build()


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_every_bit_is_the_same_everywhere(flow, tmp_path: Path):
    found, target = problem(classes=2), problem("regression", 2)
    tree = TreesSpec(rounds=(2,), shapes=((3, 2),))
    asked: dict[str, ReferenceSpec] = {
        "tables": AdditiveSpec(address_bits=(), steps=(0,), pairs=2),
        "trees": tree,
    }
    if flow == "rtl":  # sums of many types take g++ as long again
        asked["linear"] = LinearSpec(word_bits=(4,), digits=(2,), cuts=False)
    made = [list(REFERENCES[f].propose(found, spec, 1))[-1] for f, spec in asked.items()]
    made.append(next(REFERENCES["trees"].propose(target, tree, 1)))
    graph = beside(made)
    assert {op.name for op in graph.ops} >= {"compare", "pack", "lut", "add"}
    names = tuple(name for name, _ in graph.outputs)
    setting = Setting(found.features, names, ZEROS, found.target, found.clock_mhz)
    emitted = Design(graph, setting, "reference", "all families", "hls").to(flow)
    assert emitted.cost().dsps == 0
    try:
        folder = emitted.emit(tmp_path / flow, found.validation.words[:50])
        checked = emitted.verify(folder)
    except ToolError as error:
        pytest.skip(str(error))
    assert checked.verified, checked.first


def test_rounded_tables_are_what_the_design_adds():
    found = problem()
    work = Work.of(found, 1_000, 1)
    cuts = [Group((j,), (work.cut(j, 5),)) for j in range(3)]
    model = fit_tables(cuts, work.words, work.goal)
    rounded = tables.best_reference(found, model, 3)
    one = tables.proposed(work, model, 3)
    assert one is not None
    off = scores(one.graph, found.features, found.validation.words) - rounded.scores(
        found.validation.words
    )
    assert (off == off[0]).all()  # only the offsets are moved
    assert off[0][rounded.reference] == 0


def test_a_model_of_nothing_is_no_design():
    found = problem()
    work = Work.of(found, 1_000, 1)
    group = Group((0,), (Cut(4, 0, 4),))
    model = fit_tables([group], work.words, work.goal)
    flat = replace(model, tables=(np.zeros_like(model.tables[0]),))
    assert tables.proposed(work, flat, 2) is None


def test_targets_are_told_apart_by_bins():
    found = problem("regression", 2)
    assert np.unique(strata(found, found.train)).size == 16
    assert np.unique(strata(problem("regression", 1), found.train)).size > 4


USUAL = ("accuracy", "luts", "dsps", "latency_cycles")


def test_a_job_keeps_what_no_other_dominates():
    found = problem()
    asked = ReferenceFrontend("tables", AdditiveSpec(steps=(1, 3), pairs=2, designs=4), 3, USUAL)
    jobs = asked.ask()
    assert len(jobs) == 2
    assert asked.ask() == []
    assert len({job.key for job in jobs}) == 2
    outcome = ReferenceFrontend.run(jobs[0], found)
    assert 1 <= len(outcome.found) <= 2 < outcome.result["designs"]
    assert {f.candidate.family for f in outcome.found} == {"tables"}
    assert outcome.found == ReferenceFrontend.run(jobs[0], found).found
    other = ReferenceFrontend("tables", AdditiveSpec(), 3, ("accuracy", "ffs")).ask()
    assert other[0].payload["objectives"] == ["accuracy", "ffs"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ToolError("no memory"), "no memory"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (KeyError("x0"), "KeyError: 'x0'"),
    ],
)
def test_whatever_fails_ends_one_ladder_and_is_told(monkeypatch, error, said):
    found, spec = problem(), AdditiveSpec(steps=(1,), pairs=0)
    first = next(REFERENCES["tables"].propose(found, spec, 1))

    def broken(*_: object):
        yield first
        raise error

    row = replace(REFERENCES["tables"], propose=broken)
    monkeypatch.setattr(frontend, "REFERENCES", {"tables": row})
    (job,) = frontend.jobs("tables", spec, 1, USUAL)
    kept, lost = ReferenceFrontend.run(job, found).found
    assert (kept.candidate.title, kept.candidate.reason) == (first.title, "")
    assert (lost.candidate.reason, lost.graph) == (said, None)


def one(number: int, physics: Mapping[str, float], **hardware: tuple[float, float]) -> Found:
    """A design with numbers by C-synthesis and of Verilog."""
    made = [
        Measurement(n, v, "interpreter", "validation", "t", "d", "g") for n, v in physics.items()
    ]
    for k, basis in enumerate((ESTIMATED, VERILOG)):
        made += [Measurement(n, v[k], *basis, "t", "d", "g") for n, v in hardware.items()]
    return Found(Candidate("tables", {"n": number}, 1, str(number)), tuple(made))


@pytest.mark.parametrize(
    ("objectives", "kept"),
    [
        (("accuracy", "luts"), [0, 2]),
        (("accuracy", "ffs"), [1]),
        (("accuracy", "luts", "ffs"), [0, 1, 2]),
        (("ffs",), [1]),
    ],
)
def test_designs_are_kept_by_the_objectives_of_the_study(objectives, kept):
    made = [
        one(0, {"accuracy": 0.8}, luts=(10, 10), ffs=(50, 50)),
        one(1, {"accuracy": 0.8}, luts=(20, 20), ffs=(5, 5)),
        one(2, {"accuracy": 0.7}, luts=(12, 3), ffs=(60, 60)),  # small in Verilog only
        one(3, {"accuracy": 0.0}, luts=(1, 1), ffs=(1, 1)),  # worse than guessing
    ]
    found = frontend.best(made, problem(), objectives, 9)
    assert sorted(f.candidate.genotype["n"] for f in found) == kept


def test_designs_are_kept_by_the_errors_of_the_study():
    found = problem("regression", 1)
    guess = frontend.guessed(found)
    good = {"rmse": guess["rmse"] / 4, "p95_error": guess["p95_error"] / 2}
    rare = {"rmse": guess["rmse"] / 2, "p95_error": guess["p95_error"] / 9}
    made = [one(n, metrics, luts=(9, 9)) for n, metrics in enumerate((good, rare))]
    for objectives, kept in ((("rmse", "luts"), 0), (("p95_error", "luts"), 1)):
        (left,) = frontend.best(made, found, objectives, 9)
        assert left.candidate.genotype["n"] == kept


def test_the_verilog_of_a_ladder_is_estimated_too(tmp_path: Path):
    found, spec = problem(), LinearSpec(word_bits=(), cuts=True, designs=2)
    (job,) = frontend.jobs("linear", spec, 1, USUAL)
    prepared = Prepared(found, found.validation, tmp_path)
    kept = ReferenceFrontend.run(job, found, partial(verilog, prepared=prepared)).found
    for design in kept:
        assert Entry(design.candidate, design.measurements, "").basis(HARDWARE, (VERILOG,))


@pytest.mark.parametrize("family", ALL)
def test_a_design_is_told_in_words(family):
    found = problem()
    spec = SMALL.get(family, REFERENCES[family].spec())
    one = next(REFERENCES[family].propose(found, REFERENCES[family].parts(spec)[0], 1))
    candidate = Candidate(family, one.genotype, 1, one.title)
    said = described(Entry(candidate, (), str(one.graph)))
    assert any("f" in line for line in said)
    assert not described(Entry(replace(candidate, reason="lost"), (), None))
    assert not described(Entry(replace(candidate, family="network"), (), str(one.graph)))


def test_a_weight_that_is_nothing_is_not_told():
    genotype = {
        "cuts": {"f0": [0, 0, 4], "f1": [0, 0, 4]},
        "weights": {"p": {"f0": 0, "f1": 3}, "q": {"f0": 0, "f1": 0}},
        "offsets": [1, 2],
        "frac": [1, 0],
    }
    entry = Entry(Candidate("linear", genotype, 1, "linear"), (), str(Graph((), ())))
    assert described(entry) == [
        "p = +1.5*f1 +0.5",
        "q = +2",
        "where f1 is clip((word of f1 >> 0), 0, 15)",
    ]


def test_choices_that_are_the_same_are_one():
    given = LinearSpec(word_bits=(6, 4, 6), digits=(2, 2)), AdditiveSpec(address_bits=(6, 6))
    assert [len(REFERENCES[f].parts(s)) for f, s in zip(SMALL, given, strict=True)] == [3, 2]
    twice = TreesSpec(shapes=((4, 2), (4, 2)), rounds=(3, 1, 3))
    assert (twice.shapes, twice.rounds) == (((4, 2),), (1, 3))


def test_titles_count_in_english():
    found = problem()
    one = next(REFERENCES["linear"].propose(found, LinearSpec(word_bits=(), digits=(1,)), 1))
    assert one.title.startswith("linear: 1 cut, steps 2^")
    one = next(REFERENCES["linear"].propose(found, SMALL["linear"], 1))
    assert one.title == "linear: 1 word of 4 bits, weights of 2 digits"
    one = next(REFERENCES["tables"].propose(found, SMALL["tables"], 1))
    assert one.title == "tables: 1 of 5 bits, 1 feature, steps 2^-2"
