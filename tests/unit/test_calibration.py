"""Estimates refitted to reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nacsr
from nacsr.compiler import compile as compile_source
from nacsr.compiler import from_run
from nacsr.cost.calibration import LEAST, Calibration, Fitted, Pair, fit
from nacsr.design import Design
from nacsr.errors import SpecError
from nacsr.measure import HARDWARE, tool_name
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import StudySpec
from nacsr.study import stored_calibration
from nacsr.synthesis.ingest import into_project, into_run
from nacsr.synthesis.pairs import pairs
from nacsr.targets import target
from tests.unit import vendor_texts as texts
from tests.unit.test_cli import call, refused
from tests.unit.vendor_designs import FORMULAS, recorded, write


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, str]:
    return recorded(tmp_path / "run")


def _pair(metric: str, estimate: float, report: float, source: str = "d") -> Pair:
    where = "xcvu13p @ 200 MHz"
    return Pair(
        "hls",
        "expression",
        metric,
        "csynth",
        "csynth",
        estimate,
        report,
        "Vitis HLS 2023.1",
        where,
        source,
    )


@given(
    st.floats(0.05, 20),
    st.lists(st.integers(1, 10**6), min_size=LEAST, max_size=30),
)
def test_reports_made_with_a_factor_give_it_back(factor: float, estimates: list[int]) -> None:
    made = fit(_pair("luts", e, factor * e, str(n)) for n, e in enumerate(estimates))
    (row,) = made.rows
    assert row.factor == pytest.approx(factor, rel=1e-12)
    assert row.relative == pytest.approx(0, abs=1e-12)
    assert (row.n, row.tools) == (len(estimates), ("Vitis HLS 2023.1",))
    assert Calibration.from_json(made.to_json()) == made


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 300)), min_size=LEAST, max_size=40))
def test_any_reports_give_a_sound_band(numbers: list[tuple[int, int]]) -> None:
    group = [_pair("luts", e, r, str(n)) for n, (e, r) in enumerate(numbers)]
    if sum(r == 0 for e, r in numbers if e) > 1:
        return  # a factor of zero may have no band
    (row,) = fit(group).rows
    # fitted without the design each, so with it half of them are inside at the very least
    inside = [
        abs(r - row.factor * e) <= max(row.relative * row.factor * e, row.least) + 1e-9
        for e, r in numbers
    ]
    assert sum(inside) >= 0.5 * len(numbers)


def test_the_band_covers_nine_of_ten() -> None:
    ratios = [0.8, 0.9, 1.0, 1.1, 1.2] * 3 + [1.0, 1.0, 1.0, 4.0, 1.05]
    (row,) = fit(_pair("luts", 100, 100 * r, str(n)) for n, r in enumerate(ratios)).rows
    assert row.factor == 1.0
    assert row.relative == pytest.approx(0.2)
    (cycles,) = fit(_pair("luts", n // 4, n // 4 + 1, str(n)) for n in range(8)).rows
    assert (cycles.factor, cycles.relative, cycles.least) == (1.0, 0.0, 1.0)


def test_too_few_designs_are_said(tmp_path: Path) -> None:
    few = [_pair("luts", 10, 20, str(n)) for n in range(LEAST - 1)]
    many = [_pair("ffs", 10, 20, str(n)) for n in range(LEAST)]
    with pytest.raises(SpecError, match="luts at csynth, flow hls, expressions: 4 designs"):
        fit(few)
    made = fit([*few, *many])
    assert [row.metric for row in made.rows] == ["ffs"]
    assert made.too_few == ("luts at csynth, flow hls, expressions: 4 designs",)


def _design() -> Design:
    return compile_source(FORMULAS[1])


def _plain(factor: float, metrics: Sequence[str] = HARDWARE, stage: str = "csynth") -> Calibration:
    ends = ("Vitis HLS 2023.1",), ("xcvu13p @ 200 MHz",), ("a",)
    return Calibration(
        tuple(
            Fitted("hls", "expression", "csynth", stage, m, factor, 0.1, 0.5, 9, *ends)
            for m in metrics
        )
    )


def test_a_factor_of_one_changes_bands_and_tool_only() -> None:
    design = _design()
    before, one = design.cost(), _plain(1.0)
    after = replace(design, calibration=one).cost()
    assert replace(after, bands=before.bands, calibration="", refitted=()) == before
    found = after.measurements(target("vu13p"), 200.0, "d")
    for m, old in zip(found, before.measurements(target("vu13p"), 200.0, "d"), strict=True):
        assert m.tool == f"{tool_name()} + calibration {one.digest}"
        assert m.error == max(0.1 * m.value, 0.5)
        assert replace(m, tool=old.tool, error=old.error) == old
    assert "9 designs, Vitis HLS 2023.1" in after.bands["luts"].source


def test_rows_of_other_flows_kinds_and_stages_are_not_applied() -> None:
    design = _design()
    before = design.cost()
    for change in ({"flow": "rtl"}, {"kind": "network"}, {"of": "rtl"}, {"stage": "vsynth"}):
        other = Calibration(tuple(replace(r, **change) for r in _plain(3.0).rows))
        assert replace(design, calibration=other).cost() == before
    half = replace(design, calibration=_plain(0.5, ("luts",))).cost()
    assert half.luts == round(0.5 * before.luts)
    assert (half.ffs, half.bands["ffs"]) == (before.ffs, before.bands["ffs"])
    said = {m.metric: m.tool for m in half.measurements(target("vu13p"), 200.0, "d")}
    assert (said["luts"], said["ffs"]) == (
        f"{tool_name()} + calibration {half.calibration}",
        tool_name(),
    )


def test_another_stage_takes_rows_of_every_resource() -> None:
    design = _design()
    before = design.cost()
    made = _plain(0.3, ("luts", "dsps", "ffs"), "vsynth").apply(
        before, "hls", design.graph, "vsynth"
    )
    assert (made.stage, made.luts) == ("vsynth", round(0.3 * before.luts))
    assert set(made.bands) == {"luts", "dsps", "ffs"}
    with pytest.raises(SpecError, match="has no dsps, ffs for flow hls"):
        _plain(0.3, ("luts",), "vsynth").apply(before, "hls", design.graph, "vsynth")


RESOURCES = ("luts", "dsps", "ffs")


def _leading(flow: str, stage: str) -> Calibration:
    rows = _plain(0.5, RESOURCES, stage).rows
    return Calibration(tuple(replace(r, flow=flow, of=_design().to(flow).own_stage) for r in rows))


@pytest.mark.parametrize("flow", ["hls", "rtl"])
@pytest.mark.parametrize("stage", ["vsynth", "pnr"])
def test_rows_to_another_stage_are_used_where_it_is_asked_for(flow: str, stage: str) -> None:
    plain = _design().to(flow)
    base, design = plain.cost(), replace(plain, calibration=_leading(flow, stage))
    found = design.cost(stage)
    assert (found.stage, found.refitted) == (stage, RESOURCES)
    assert found.luts == round(0.5 * base.luts)
    assert found.ffs == round(0.5 * base.ffs)
    assert (found.latency_cycles, found.rows) == (base.latency_cycles, base.rows)
    assert design.cost() == base  # no row speaks of that
    assert not design.not_refitted(stage)
    assert f"has no row for flow {flow}, expressions, {base.stage} -> {base.stage}" in (
        design.not_refitted()
    )


def test_stages_without_rows_are_refused_or_the_rules_own() -> None:
    design = _design()
    few = replace(design, calibration=_plain(0.5, ("luts",), "vsynth"))
    assert few.cost("vsynth") == design.cost("vsynth")
    assert "has no dsps, ffs for flow hls" in few.not_refitted("vsynth")
    with pytest.raises(SpecError, match=r"not pnr, which takes a calibration: .* has no row for"):
        few.cost("pnr")
    with pytest.raises(
        SpecError, match=r"stage rtl, not vsynth, .* there is no calibration; leave"
    ):
        design.to("rtl").cost("vsynth")
    with pytest.raises(SpecError, match="csynth, vsynth, not cosim; leave the stage out"):
        few.cost("cosim")
    with pytest.raises(SpecError, match="unknown stage 'pnt', did you mean 'pnr'"):
        few.cost("pnt")


def test_the_command_says_where_a_calibration_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = _leading("rtl", "vsynth")
    words = (
        "cost",
        "0.37*x0 - 1.21*x1",
        "--calibration",
        made.save(tmp_path / "c.json"),
        "--to",
        "rtl",
    )
    for more in ((), ("--json",), ("--method", "da")):
        code, text, err = call(capsys, *words, *more)
        assert (code, err.count("\n")) == (0, 1)
        assert err.startswith("not refitted: ")
        assert "+ calibration" not in text
    code, text, err = call(capsys, *words, "--stage", "vsynth", "--by-op")
    assert (code, err) == (0, "")
    assert f"Refitted by calibration {made.digest}: luts, dsps, ffs" in text
    assert "unrolled" in text  # the breakdown is of the rtl estimate
    assert "it has rtl expressions rtl -> vsynth" in refused(
        capsys, *words[:-1], "hls", "--stage", "pnr"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace('"factor": 1.5', '"factor": 2.5'), "does not fit its digest"),
        (lambda t: t.replace("nacsr-calibration 1", "nacsr-calibration 9"), "expected format"),
        (lambda t: t[:200], "no calibration that can be read"),
        (lambda t: "[]", "no calibration that can be read"),
    ],
)
def test_a_changed_file_is_refused(change: object, message: str, tmp_path: Path) -> None:
    assert callable(change)
    path = _plain(1.5).save(tmp_path / "c.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(SpecError, match=message):
        Calibration.load(path)
    with pytest.raises(SpecError, match="cannot be read"):
        Calibration.load(tmp_path / "absent.json")


def test_estimates_of_another_release_are_refused(tmp_path: Path) -> None:
    path = replace(_plain(1.5), estimator="nacsr 0.0.1").save(tmp_path / "c.json")
    with pytest.raises(SpecError, match=r"fitted to estimates of nacsr 0\.0\.1.*calibrate again"):
        Calibration.load(path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Projects with csynth reports of twice the estimated LUTs and one and a half the FFs."""
    root = tmp_path_factory.mktemp("reported")
    for n, formula in enumerate(FORMULAS):
        design = compile_source(formula)
        cost, folder = design.cost(), design.emit(root / f"p{n}")
        used = {"luts": 2 * cost.luts, "ffs": 1.5 * cost.ffs, "dsps": cost.dsps, "brams": 0}
        cycles = (cost.latency_cycles, cost.latency_cycles)
        xml = texts.csynth_xml(used={**used, "urams": 0}, latency=cycles)
        write(folder / "vitis/solution/syn/report", trigger_csynth=xml)
    return root


def test_calibrate_reads_projects_and_what_cost_does_with_it(
    reported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into_project(reported / "p0", reported / "p0")  # what is attached counts once
    out = tmp_path / "c.json"
    code, text, err = call(capsys, "calibrate", reported, "--out", out)
    assert code == 0, err
    made = Calibration.load(out)
    factors = {r.metric: (r.factor, r.n) for r in made.rows}
    assert factors == {
        "luts": (2.0, 6),
        "ffs": (pytest.approx(1.5), 6),
        "dsps": (1.0, 6),
        "brams": (1.0, 6),
        "ii_cycles": (1.0, 6),
        "latency_cycles": (1.0, 6),
    }
    assert made.digest in text
    plain = compile_source(FORMULAS[2]).cost()
    code, text, _ = call(capsys, "cost", FORMULAS[2], "--calibration", out, "--json")
    assert code == 0
    found = {m["metric"]: m for m in json.loads(text)}
    assert found["luts"]["value"] == 2 * plain.luts
    assert found["luts"]["tool"] == f"{tool_name()} + calibration {made.digest}"
    code, text, _ = call(capsys, "cost", FORMULAS[2], "--calibration", out)
    assert f"Refitted by calibration {made.digest}" in text


def test_runs_are_read_as_well(run: tuple[Path, str], tmp_path: Path) -> None:
    folder, id_ = run
    place = write(tmp_path / "far", trigger_csynth=texts.csynth_xml())
    into_run(folder, id_, place)
    found, without = pairs([folder])
    assert without == []
    cost = compile_source(FORMULAS[0]).cost()
    numbers = {p.metric: (p.flow, p.estimate, p.report) for p in found}
    assert numbers["luts"] == ("hls", cost.luts, 1526)
    assert set(numbers) == set(HARDWARE)


def test_a_study_names_a_calibration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = _plain(2.0)
    made.save(tmp_path / "c.json")
    lines = [f"{a},{a % 7},c{a % 2}" for a in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    document = {"dataset": "data.csv", "calibration": "c.json"}
    spec = StudySpec.from_mapping(document)
    study = nacsr.Study(spec, tmp_path / "run", base=tmp_path)
    p = study.prepared.problem
    assert p.calibration == made
    graph = _design().graph
    plain = replace(p, calibration=None).cost(graph, "hls")
    assert p.cost(graph, "hls").luts == 2 * plain.luts
    assert stored_calibration(study.archive) == made
    candidate = Candidate("expression", {}, 1, "x")
    study.archive.record("k", Outcome(found=(Found(candidate, graph=graph),)))
    study.archive.close()
    assert from_run(tmp_path / "run", candidate.id).calibration == made
    (tmp_path / "c.json").unlink()
    assert nacsr.Study.resume(tmp_path / "run").prepared.problem.calibration == made
    _plain(3.0).save(tmp_path / "c.json")
    with pytest.raises(SpecError, match="the same study with another calibration"):
        nacsr.Study(spec, tmp_path / "run", base=tmp_path)
    _plain(3.0, stage="vsynth").save(tmp_path / "c.json")
    nacsr.Study(spec, tmp_path / "third", base=tmp_path).archive.close()
    assert "refits nothing that this study selects by" in caplog.text
    with pytest.raises(SpecError, match="make one with nacsr calibrate"):
        nacsr.Study(spec, tmp_path / "other", base=tmp_path / "nowhere", dataset=study.dataset)
