"""Results per bit width: every point is the design lowered so, and nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nacsr
from nacsr.archive import Archive
from nacsr.cost import estimate
from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.judge import measure, performance
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Num
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.budget import lower_within
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.luts import lut_functions
from nacsr.measure import Measurement
from nacsr.records import Candidate, Found, Outcome
from nacsr.report.sweep import COLUMNS, figure, notes, sheet
from nacsr.spec import StudySpec
from nacsr.sweep import (
    Formulas,
    Point,
    arithmetics,
    best_formulas,
    best_network,
    float_quality,
    points,
    read_widths,
    sweep,
)
from nacsr.targets import target
from tests.unit.test_cli import call

NAMES = ("a", "b")
TEXTS = {"g": "a*b + 0.3*sin(2*a)", "q": "square(a) - 0.7", "t": "0.6 - b"}
STEP = {"domain": "fixed<3,2,TRN,SAT>", "value": "fixed<6,2>", "values": list(range(-8, 8, 2))}


def problem(task: str = "classification", classes: tuple[str, ...] = ("g", "q", "t")) -> Problem:
    """Words of 8 bits, so that formulas of them can be exact."""
    rng = np.random.default_rng(7)
    features = tuple(Feature(n, Fixed(8, 3)) for n in NAMES)
    words = rng.integers(-128, 128, (400, 2))
    a, b = (words / 32).T
    truth = a * b + 0.1 * rng.normal(size=400)
    y = np.digitize(truth, np.linspace(-3, 3, len(classes) - 1)) if len(classes) > 1 else truth
    events = Events(words, y if task == "classification" else truth)
    scaling = Scaling("external", (0, 0), (0, 0))
    half = np.arange(200)
    return Problem(
        features,
        classes,
        scaling,
        events.take(half),
        events.take(half + 200),
        "vu13p",
        200.0,
        Fixed(16, 6),
        "digest",
        task,
    )


def design(texts: dict[str, str], name: str = "d") -> Formulas:
    luts = lut_functions()
    return Formulas(name, name, {c: parse(t, NAMES, luts) for c, t in texts.items()}, luts)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


# ---- points


def test_a_point_is_the_formulas_lowered_at_that_width() -> None:
    p, d = problem(), design(TEXTS)
    found = sweep([d], p, p.validation, (8, 12, 16), 6)
    assert [point.width for point in found] == [8, 12, 16]
    for point in found:
        graph = lower(d.expressions, p.features, p.scaling, point.arithmetic, d.luts)
        cost = estimate(graph, p.target, p.clock_mhz)
        hardware = cost.measurements(target(p.target), p.clock_mhz, graph.digest)
        physics = performance(graph, p, p.validation, "validation")
        assert point.measurements == (*physics, *hardware)
        assert point.value("accuracy") == physics[0].value
        assert point.measurements == measure(graph, p, "hls")


def test_test_events_and_rtl_are_said_to_be_so() -> None:
    p, d = problem(), design(TEXTS)
    (point,) = sweep([d], p, p.train, (12,), 6, events_are="test", stage="rtl")
    graph = lower(d.expressions, p.features, p.scaling, Fixed(12, 6), d.luts)
    setting = Setting(p.features, p.classes, p.scaling, p.target, p.clock_mhz)
    cost = Design(graph, setting, "x", "x", "rtl").cost()
    assert (point.value("luts"), point.value("latency_cycles")) == (cost.luts, cost.latency_cycles)
    assert {m.stage for m in point.measurements} == {"test", "rtl"}


def test_an_error_budget_is_a_point_of_its_own() -> None:
    p, d = problem(), design(TEXTS)
    point = sweep([d], p, p.validation, (12,), 6, max_errors=(0.05,))[1]
    within = lower_within(d.expressions, p.features, p.scaling, 0.05, d.luts)
    assert {m.digest for m in point.measurements} == {within.graph.digest}
    assert (point.width, point.label) == (None, "error 0.05")


def test_a_width_that_cannot_be_lowered_says_why_and_the_others_go_on() -> None:
    p = problem(classes=("bkg", "sig"))
    found = sweep([design({"sig": "0.01*a"})], p, p.validation, (7, 16), 6)
    assert "fractional bits" in found[0].reason
    assert found[0].measurements == ()
    assert found[0].relative is None
    assert found[0].to_dict()["luts"] is None
    assert found[1].reason == ""
    assert found[1].value("accuracy") is not None


EXACT = [
    ("classification", ("g", "q", "t"), {"g": "a*b", "q": "square(a) - 0.75", "t": "0.5 - b"}),
    ("classification", ("bkg", "sig"), {"sig": "a*b - 0.25"}),
    ("regression", ("y",), {"y": "a*b + 0.125"}),
]


@pytest.mark.parametrize(("task", "classes", "texts"), EXACT)
def test_formulas_that_fixed_point_holds_exactly_are_as_good_as_in_float(
    task: str, classes: tuple[str, ...], texts: dict[str, str]
) -> None:
    p = problem(task, classes)
    (wide,) = sweep([design(texts)], p, p.validation, (24,), 10)
    assert wide.value(wide.metric) == wide.reference
    assert wide.relative == 1.0


def test_float_goes_through_the_tables_of_the_design() -> None:
    p = problem(classes=("bkg", "sig"))
    genotype = {"expressions": {"sig": "t1(a)"}, "tables": {"t1": STEP}}
    d = Formulas("d", "d", *formulas(genotype, NAMES, p.luts))
    floor = np.clip(np.floor(p.values(p.validation)[:, 0] * 2), -4, 3)  # the domain's words
    guesses = (floor * 2 > 0).astype(int)
    assert float_quality(d, p, p.validation) == np.mean(guesses == p.validation.y)
    (point,) = sweep([d], p, p.validation, (12,), 6)
    assert point.relative == 1.0


def test_relative_is_less_than_one_where_it_is_worse() -> None:
    point = Point("d", Fixed(8, 4), "accuracy", 0.8)
    assert point.relative is None
    p = problem()
    (found,) = sweep([design(TEXTS)], p, p.validation, (12,), 6, network=0.9)
    value = found.value("accuracy")
    assert value is not None
    assert found.relative == value / found.reference
    assert found.relative_network == value / 0.9
    p = problem("regression", ("y",))
    coarse, fine = sweep([design({"y": "a*b"})], p, p.validation, (5, 16), 4)
    assert coarse.relative is not None
    assert fine.relative is not None
    assert coarse.relative < fine.relative <= 1.01  # an rmse: the reference over the value


# ---- options


@pytest.mark.parametrize(
    ("text", "widths"),
    [("8..18", tuple(range(8, 19))), ("8,10,12", (8, 10, 12)), ("12, 8..9,9", (8, 9, 12))],
)
def test_widths_are_read(text: str, widths: tuple[int, ...]) -> None:
    assert read_widths(text) == widths


@pytest.mark.parametrize("text", ["", "8-18", "18..8", "8..", "a", "8,,9", "-8", "8.5", "9999"])
def test_widths_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"write 8\.\.18"):
        read_widths(text)


@given(st.sets(st.integers(1, 60), min_size=1))
def test_widths_come_back_sorted_and_once(widths: set[int]) -> None:
    twice = [*widths, *widths]
    assert read_widths(",".join(map(str, twice))) == tuple(sorted(widths))


def test_a_sweep_of_nothing_or_beyond_is_refused() -> None:
    for widths, integer, errors, says in [
        ((), 6, (), "nothing to sweep"),
        ((6,), 6, (), "choose 7..31"),
        ((32,), 6, (), "choose 7..31"),
        ((8,), 0, (), "integer bits"),
        ((8,), 31, (), "integer bits"),
        ((8,), 6, (0.0,), "max_error"),
        ((8,), 6, (float("nan"),), "max_error"),
    ]:
        with pytest.raises(SpecError, match=says):
            arithmetics(widths, integer, errors)
    p = problem()
    with pytest.raises(SpecError, match="rtl"):
        sweep([design(TEXTS)], p, p.validation, (8,), 6, stage="csim")
    with pytest.raises(SpecError, match="validation, test"):
        sweep([design(TEXTS)], p, p.validation, (8,), 6, events_are="train")


# ---- files


def test_the_sheet_has_every_point_as_soon_as_it_is_made(tmp_path: Path) -> None:
    p, path = problem(), tmp_path / "new" / "sweep.csv"
    made = points([design(TEXTS)], p, p.validation, arithmetics((8, 12), 6, (0.5,)))
    with sheet(path) as write:
        for count, point in enumerate(made, 1):
            write(point)
            rows = read(path)
            assert len(rows) == count
            assert rows[-1]["value"] == str(point.value("accuracy"))
            assert tuple(point.to_dict()) == COLUMNS == tuple(rows[-1])


def test_the_figure_names_its_sources_and_is_the_same_every_time(tmp_path: Path) -> None:
    p = problem()
    found = sweep([design(TEXTS, "one"), design(EXACT[0][2], "two")], p, p.validation, (8, 12), 6)
    png, svg = figure(found, "study_1 $a", tmp_path / "first")
    again = figure(found, "study_1 $a", tmp_path / "second")[1]
    assert png.read_bytes()[:4] == b"\x89PNG"
    text = svg.read_text()
    assert text == again.read_text()
    for word in ("accuracy relative to float64", "LUT", "DSP", "clock cycles", "one", "two"):
        assert word in text
    assert "analytic, csynth" in text
    assert "xcvu13p" in " ".join(notes(found))


def test_a_figure_of_error_budgets_alone_is_empty_but_there(tmp_path: Path) -> None:
    p = problem()
    found = sweep([design(TEXTS)], p, p.validation, (), 6, max_errors=(0.5,), network=0.7)
    assert figure(found, "t", tmp_path / "f")[1].stat().st_size > 0


# ---- the command


def edited(measured: Iterable[Measurement], given: dict[str, float]) -> tuple[Measurement, ...]:
    """Measurements with some values changed, so that every design is on the front."""
    return tuple(replace(m, value=float(given.get(m.metric, m.value))) for m in measured)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two expressions and a network, recorded by hand."""
    base = tmp_path_factory.mktemp("sweep")
    p = problem()
    rows = np.concatenate([p.train.words, p.validation.words]) / 32
    labels = np.concatenate([p.train.y, p.validation.y])
    lines = [f"{a},{b},c{y}" for (a, b), y in zip(rows, labels, strict=True)]
    (base / "data.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    objectives = ["luts", "accuracy", "dsps", "latency_cycles"]
    document = {"dataset": "data.csv", "name": "swept", "objectives": objectives}
    spec = StudySpec.from_mapping(document)
    study = nacsr.Study(spec, base / "run", base=base)
    p = study.prepared.problem
    found = []
    for n, texts in enumerate((TEXTS, EXACT[0][2])):
        named = dict(zip(p.classes, texts.values(), strict=True))
        genotype = {"expressions": named, "precision": "fixed<16,6>"}
        expressions, luts = formulas(genotype, p.names, p.luts)
        graph = lower(expressions, p.features, p.scaling, p.precision, luts)
        candidate = Candidate("expression", genotype, n, f"design {n}")
        given = {"luts": n + 1, "dsps": 0, "latency_cycles": 1} | ({} if n else {"accuracy": 0.01})
        found.append(Found(candidate, edited(measure(graph, p, "hls"), given), graph))
    network = Candidate("network", {"n": 1}, 1, "net")
    given = {"accuracy": 0.99, "luts": 3, "dsps": 0, "latency_cycles": 1}
    found.append(Found(network, edited(found[0].measurements, given), found[0].graph))
    search = Candidate("expression", {"class": "c0"}, 1, "search")
    found.append(Found(search))
    study.archive.record("k", Outcome(found=tuple(found)))
    study.archive.close()
    return base / "run"


def ids(run: Path) -> dict[str, str]:
    with Archive(run) as archive:
        return {e.candidate.title: e.id for e in archive.entries()}


def swept(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of nacsr sweep."""
    return call(capsys, "sweep", *args)


def test_one_design_at_its_own_precision_is_what_the_archive_says(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    id_ = ids(run)["design 1"]
    where = ("--widths", "16", "--integer", 6, "--out", tmp_path, "--json")
    code, out, _ = swept(capsys, f"{run}:{id_[:6]}", *where)
    assert code == 0
    (row,) = json.loads(out)
    with Archive(run) as archive:
        measured = archive.entry(id_).find("accuracy", "interpreter", "validation")
    assert measured is not None
    assert (row["design"], row["value"], row["error"]) == (id_, measured.value, measured.error)
    assert row["network"] == 0.99
    assert sorted(f.name for f in tmp_path.iterdir()) == ["sweep.csv", "sweep.png", "sweep.svg"]


def test_a_run_sweeps_the_expressions_of_its_front(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = swept(capsys, run, "--widths", "10,14", "--max-error", 0.5)
    assert code == 0
    rows = read(run / "sweep" / "sweep.csv")
    with Archive(run) as archive:
        front = archive.front(("accuracy", "luts", "dsps", "latency_cycles"))
    chosen = [e.id for e in front if e.candidate.family == "expression"]
    assert len(chosen) == 2
    assert [r["design"] for r in rows] == [id_ for id_ in chosen for _ in range(3)]
    assert "<14,6>" in out
    assert "error 0.5" in out
    assert best_network(front, "accuracy", "validation") == 0.99
    assert best_network(front, "accuracy", "test") is None


def test_the_best_are_the_most_accurate_whatever_the_front_is_sorted_by(run: Path) -> None:
    with Archive(run) as archive:
        front = archive.front(("luts", "accuracy"))
    named = [e.candidate.title for e in front]
    assert named == ["design 0", "design 1", "net"]  # design 0 has an accuracy of 0.01
    found = best_formulas(front, "classification")
    assert [e.candidate.title for e in found] == ["design 1", "design 0"]
    errors = [
        replace(e, measurements=tuple(replace(m, metric="rmse") for m in e.measurements))
        for e in found
    ]
    assert best_formulas(errors, "regression")[0].candidate.title == "design 0"


def test_several_runs_share_a_figure(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = f"{run}:{ids(run)['design 1']}"
    where = ("--widths", 10, "--top", 1, "--out", tmp_path)
    code, out, _ = swept(capsys, run, one, *where)
    assert code == 0
    best = ids(run)["design 1"]  # of the front, too, which is sorted by LUTs
    assert [r["design"] for r in read(tmp_path / "sweep.csv")] == [f"run:{best}"] * 2
    assert f"run:{best}" in out


def test_an_interrupted_sweep_keeps_its_points(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*args: object, **kwargs: object) -> Iterator[Point]:
        yield from list(points(*args, **kwargs))[:2]  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr("nacsr.sweep.points", stopped)
    code, out, _ = swept(capsys, run, "--widths", "10..14", "--out", tmp_path)
    assert code == 130
    assert "Stopped; 2 of " in out
    assert len(read(tmp_path / "sweep.csv")) == 2
    assert (tmp_path / "sweep.png").is_file()


def test_bad_input_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ids(run)
    file = tmp_path / "file"
    file.write_text("")
    for args, says in [
        ((tmp_path / "none",), "no archive"),
        ((f"{tmp_path}/none:12",), "no archive"),
        ((f"{run}:ffff",), "no candidate is called"),
        ((f"{run}:{known['net']}",), "is a network"),
        ((f"{run}:{known['search']}",), "candidate of the search"),
        ((run, "--widths", "4..8"), "choose 7..31"),
        ((run, "--widths", "8-9"), "write 8..18"),
        ((run, "--stage", "csim"), "csynth, rtl"),
        ((run, "--events", "train"), "validation, test"),
        ((run, "--max-error", "-1"), "positive"),
        ((run, "--widths", "8", "--out", file / "x"), "--out"),
    ]:
        code, _, err = swept(capsys, *args)
        assert code == 2, err
        assert err.count("\n") == 1
        assert says in err


def test_a_front_without_expressions_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{a},{a % 7},c{a % 2}" for a in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    spec = StudySpec.from_mapping({"dataset": "data.csv"})
    nacsr.Study(spec, tmp_path / "run", base=tmp_path).archive.close()
    code, _, err = swept(capsys, tmp_path / "run")
    assert code == 2
    assert "no expression is on the front" in err


def test_formulas_without_a_feature_are_points_without_numbers() -> None:
    p = problem(classes=("bkg", "sig"))
    constant = Formulas("d", "d", {"sig": Num(1.0)}, p.luts)
    (point,) = sweep([constant], p, p.validation, (8,), 6)
    assert "depends on a feature" in point.reason
