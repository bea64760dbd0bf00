"""Variants of one study: the file, running them all, what they leave, and what fails."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.archive import Archive
from nacsr.campaign import Campaign, Result
from nacsr.cli import main
from nacsr.errors import SpecError
from nacsr.records import Job, Outcome
from nacsr.report import campaign as report
from nacsr.report.campaign import Summary
from nacsr.spec import CampaignSpec, StudySpec, load_study
from nacsr.spec.campaign import merged
from nacsr.study import Silent, Study
from nacsr.sweep import Point

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sr_on_fpga.yaml"

TEXT = """
name: small
dataset: data.csv
budget: quick
verify: bits
families:
  network: null
  expression: {operators: [add, mul], functions: [], tables: false, max_size: 7}
variants:
  poly-auto: {}
  gauss-ones: {families: {expression: {functions: [gauss], complexities: ones}}}
  wrong: {families: {expression: {functions: [sinus]}}}
sweep: {widths: [10, 16], integer: 6}
"""


# ---- the file


def campaign(text: str, tmp_path: Path) -> CampaignSpec:
    path = tmp_path / "campaign.yaml"
    path.write_text(text, encoding="utf-8")
    found = load_study(path)
    assert isinstance(found, CampaignSpec)
    return found


def test_a_variant_is_the_base_with_its_own_keys(tmp_path: Path) -> None:
    spec = campaign(TEXT, tmp_path)
    assert list(spec.variants) == ["poly-auto", "gauss-ones", "wrong"]
    poly, gauss = (spec.variants[name].families for name in ("poly-auto", "gauss-ones"))
    assert poly.network is None
    assert poly.expression is not None
    assert gauss.network is None
    assert gauss.expression == poly.expression.model_copy(
        update={"functions": ("gauss",), "complexities": "ones"}
    )
    assert {s.dataset.source for s in spec.variants.values()} == {"data.csv"}
    assert spec.sweep is not None
    assert (spec.sweep.widths, spec.sweep.integer, spec.sweep.top) == ("10,16", 6, 1)


def test_a_list_of_variants_means_every_combination(tmp_path: Path) -> None:
    text = (
        "dataset: jets\nvariants:\n"
        "  - a: {budget: quick}\n    b: {clock_mhz: 320.0}\n"
        "  - x: {}\n    y: {clock_mhz: 100.0}\n"
        "sweep: null\n"
    )
    spec = campaign(text, tmp_path)
    clocks = {name: (s.budget, s.clock_mhz) for name, s in spec.variants.items()}
    assert clocks == {
        "a-x": ("quick", 200.0),
        "a-y": ("quick", 100.0),
        "b-x": ("default", 320.0),
        "b-y": ("default", 100.0),
    }
    assert spec.sweep is None
    changed = spec.changed(seed=7)
    assert {s.seed for s in changed.variants.values()} == {7}
    assert changed.variants["a-y"].model_copy(update={"seed": 1}) == spec.variants["a-y"]
    with pytest.raises(SpecError, match="budget"):
        spec.changed(budget="soon")


def test_a_plain_study_is_still_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("dataset: jets\nseed: 3\n")
    assert load_study(path) == StudySpec.from_mapping({"dataset": "jets", "seed": 3})


def test_the_example_is_four_families_in_three_ways() -> None:
    spec = load_study(EXAMPLE)
    assert isinstance(spec, CampaignSpec)
    assert len(spec.variants) == 12
    searched = {s.families.expression for s in map(_hashable, spec.variants.values())}
    assert len(searched) == 12
    assert {s.families.network for s in spec.variants.values()} == {None}
    expressions = [s.families.expression for s in spec.variants.values()]
    functions = {one.functions for one in expressions if one is not None}
    assert functions == {(), ("sin",), ("gauss",), ("log_abs",)}


def _hashable(study: StudySpec) -> Any:
    """A study whose expression family can be put into a set."""
    text = study.families.expression.model_dump_json() if study.families.expression else ""
    families = study.families.model_copy(update={"expression": text})
    return study.model_copy(update={"families": families})


BAD = [
    ("variants: {}", "expected names"),
    ("variants: []", "there are none"),
    ("variants: 3", "expected names"),
    ("variants: {a: 3}", "variant a: expected keys of a study, got 3"),
    ("variants: {a: {familys: {}}}", "variant a: unknown key 'familys', did you mean 'families'"),
    ("variants: {ok: {}, a: {clock_mhz: fast}}", "variant a: clock_mhz: expected"),
    ("variants: {../a: {}}", "names a folder"),
    ("variants: {a.csv: {}}", "names a folder"),
    ("variants: {1: {}}", "names a folder"),
    ("variants: {a: {seed: 2}}", "variant a: seed is the same for all"),
    ("variants: {a: {dataset: jets}}", "variant a: dataset is the same for all"),
    ("variants: [{a: {}, a-b: {}}, {b-c: {}, c: {}}]", "a-b-c comes from two"),
    ("variants: {a: {}}\nsweep: {width: 8}", "sweep: unknown key 'width', did you mean 'widths'"),
    ("variants: {a: {}}\nsweep: {top: 0}", "sweep.top: expected"),
    ("variants: {a: {}}\nsweep: {widths: [8, a]}", "sweep.widths: expected"),
    ("variants: {a: {}}\nsweep: 8", "sweep: "),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_is_wrong_is_said_in_one_line_with_the_file(
    text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        campaign(f"dataset: jets\n{text}\n", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'campaign.yaml'}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["8-18", "18..8", "4..8", "[8, 40]"])
def test_widths_that_cannot_be_are_refused_before_any_work(text: str, tmp_path: Path) -> None:
    spec = campaign(f"dataset: jets\nvariants: {{a: {{}}}}\nsweep: {{widths: {text}}}", tmp_path)
    with pytest.raises(SpecError, match=r"^sweep: .*width"):
        Campaign(spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_read_is_said_as_for_a_study(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_study(tmp_path)


DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), DOCUMENTS, max_size=3)


@settings(max_examples=50, deadline=None)
@given(MAPPINGS, MAPPINGS)
def test_merging_keeps_what_is_not_said_and_takes_what_is(base: Any, over: Any) -> None:
    both = merged(base, over)
    assert set(both) == set(base) | set(over)
    assert merged(base, {}) == base
    assert merged({}, over) == over
    assert merged(both, over) == both
    for key, value in both.items():
        old, new = base.get(key), over.get(key)
        if key not in over:
            assert value == old
        elif not (isinstance(old, dict) and isinstance(new, dict)):
            assert value == new
        else:
            assert value == merged(old, new)


# ---- running it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the campaign, its events, and in ``out`` what the command left there."""
    base = tmp_path_factory.mktemp("campaign")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 3))
    y = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] > 0).astype(int)
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{'sb'[k]}" for (a, b, c), k in zip(x, y, strict=True)]
    (base / "data.csv").write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    (base / "campaign.yaml").write_text(TEXT)
    (base / "first.txt").write_text(str(call(base)))
    return base


def call(base: Path, *options: str) -> int:
    """Exit code of nacsr run on the campaign."""
    where = [str(base / "campaign.yaml"), "--out", str(base / "out"), "--workers", "0", *options]
    before, sys.argv = sys.argv, ["nacsr", "run", *where]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    finally:
        sys.argv = before
    return 0


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_variant_is_a_run_folder_of_its_own(folder: Path) -> None:
    assert (folder / "first.txt").read_text() == "2"  # for the one that fails
    for name in ("poly-auto", "gauss-ones"):
        study = Study.resume(folder / "out" / name)
        assert study.spec == campaign(TEXT, folder).variants[name]
        assert study.front()
        assert (study.out / "report.html").is_file()


def test_the_table_has_the_best_and_the_cheapest_of_every_variant(folder: Path) -> None:
    rows = {row["variant"]: row for row in read(folder / "out" / "campaign.csv")}
    assert list(rows) == ["poly-auto", "gauss-ones", "wrong"]
    for name in ("poly-auto", "gauss-ones"):
        row = rows[name]
        front = Study.resume(folder / "out" / name).front()
        measured = [_found(entry, "accuracy", "interpreter", "validation") for entry in front]
        assert float(row["validation"]) == max(measured) == measured[0]
        assert row["design"] == front[0].id
        assert float(row["luts"]) == _found(front[0], "luts", "analytic", "csynth")
        assert float(row["auc_s"]) == _found(front[0], "auc", "interpreter", "test", "s")
        near = [
            e for e, value in zip(front, measured, strict=True) if value >= 0.99 * max(measured)
        ]
        cheapest = min(_found(e, "luts", "analytic", "csynth") for e in near)
        assert float(row["cheapest_luts"]) == cheapest
        assert float(row["cheapest_validation"]) >= 0.99 * float(row["validation"])
        assert "nacsr" in row["physics"]
        assert "analytic, csynth, nacsr" in row["hardware"]
        assert (row["family"], row["mode"]) == tuple(name.split("-"))
    assert "sinus" in rows["wrong"]["reason"]
    assert rows["wrong"]["design"] == ""


def _found(entry: Any, *what: str) -> float:
    return float(entry.find(*what).value)


def test_every_design_and_every_width_is_written_down(folder: Path) -> None:
    designs = read(folder / "out" / "designs.csv")
    for name in ("poly-auto", "gauss-ones"):
        with Archive(folder / "out" / name) as archive:
            known = {e.id for e in archive.entries(designs_only=True) if not e.failed}
            front = {e.id for e in archive.front()}
        mine = [d for d in designs if d["variant"] == name]
        assert {d["design"] for d in mine} == known
        assert {d["design"] for d in mine if d["on_front"] == "True"} == front
    best = [f"{r['variant']}:{r['design']}" for r in read(folder / "out" / "campaign.csv")[:2]]
    swept = [(p["design"], p["width"]) for p in read(folder / "out" / "sweep.csv")]
    assert swept == [(id_, width) for id_ in best for width in ("10", "16")]


def test_the_formulas_of_a_result_are_the_most_accurate_first(folder: Path) -> None:
    study = Study.resume(folder / "out" / "gauss-ones")
    front = study.archive.front(("luts", "accuracy"))
    values = [_found(e, "accuracy", "interpreter", "validation") for e in front]
    assert values != sorted(values, reverse=True)
    found = Result("gauss-ones", study, tuple(front)).formulas
    ranked = [_found(e, "accuracy", "interpreter", "validation") for e in found]
    assert ranked == sorted(values, reverse=True)
    assert Result("gauss-ones", None, reason="no table").formulas == ()


def test_figures_name_the_variants_and_where_numbers_come_from(folder: Path) -> None:
    for name in ("figure_precision", "figure_designs"):
        assert (folder / "out" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        text = (folder / "out" / f"{name}.svg").read_text()
        for word in ("poly", "gauss", "auto", "ones", "analytic, csynth", "interpreter", "LUT"):
            assert word in text


def test_the_same_command_repeats_no_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name: p.read_bytes() for p in (folder / "out").glob("*.[cs][sv][vg]")}

    def refused(job: Job, prepared: object) -> Outcome:
        raise AssertionError(job)

    monkeypatch.setattr("nacsr.study.run_job", refused)
    assert call(folder, "--json") == 2
    out, err = capsys.readouterr()
    records = json.loads(out)
    assert [r["variant"] for r in records] == ["poly-auto", "gauss-ones", "wrong"]
    assert "unknown function 'sinus'" in err
    assert len(before) == 5
    assert before == {p.name: p.read_bytes() for p in (folder / "out").glob("*.[cs][sv][vg]")}


def test_an_interrupted_campaign_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true = Study.run

    def stopped(study: Study, *args: Any) -> Any:
        if study.out.name == "gauss-ones":
            raise KeyboardInterrupt
        return true(study, *args)

    monkeypatch.setattr(Study, "run", stopped)
    assert call(folder) == 130
    said = " ".join(capsys.readouterr().out.split())
    assert "Stopped; finished work is kept. Go on with: nacsr run" in said
    assert (folder / "out" / "campaign.csv").is_file()


def test_watched_from_python_variant_by_variant(folder: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def watch(name: str, study: Study) -> Iterator[Silent]:
        seen.append(f"{name} in {study.out.name}")
        yield Silent()

    runs = Campaign(campaign(TEXT, folder), folder / "out", base=folder)
    results = list(runs.run(0, watch))
    assert seen == [f"{n} in {n}" for n in ("poly-auto", "gauss-ones")]  # the third never began
    assert [bool(r.reason) for r in results] == [False, False, True]
    points = list(runs.points(results))
    assert len(points) == 4
    assert runs.expected_points == 6  # with those of the variant that failed
    assert all(p.relative is not None and p.network is None for p in points)


# ---- the report of odd campaigns


def test_a_campaign_of_failures_alone_is_a_table_without_figures(tmp_path: Path) -> None:
    found = report.summaries([Result("a-b", None, reason="no table")], [], [])
    assert found == [Summary(found[0].result)]
    assert [p.name for p in report.write(found, [], [], "t", tmp_path)] == ["campaign.csv"]
    (row,) = read(tmp_path / "campaign.csv")
    assert (row["variant"], row["reason"], row["luts"]) == ("a-b", "no table", "")
    report.table(found)


def test_bits_are_the_fewest_that_are_near_float64(folder: Path) -> None:
    runs = Campaign(campaign(TEXT, folder), folder / "out", base=folder)
    results = list(runs.run(0))[:1]
    shown, points = report.designs(results), list(runs.points(results))
    worth = {p.width: p.relative for p in points}
    near = [w for w, r in worth.items() if w is not None and r is not None and r >= 0.99]
    (found,) = report.summaries(results, shown, points)
    assert found.bits == min(near, default=None)
    worse: list[Point] = [replace(p, reference=2.0) for p in points]
    assert report.summaries(results, shown, worse)[0].bits is None
