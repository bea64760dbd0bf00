"""Estimates beside measurements, and all families by open synthesis."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nacsr.archive import Archive
from nacsr.cli.app import app
from nacsr.data.words import Feature, Scaling
from nacsr.design import Setting
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.measure import Measurement
from nacsr.records import Candidate, Found, Outcome
from nacsr.report import measured
from nacsr.report.table import console
from nacsr.spec import StudySpec

WORD = Fixed(8, 4)
SETTING = Setting((Feature("x", WORD),), ("a", "b"), Scaling("external", (0,), (0,)), "vu13p", 200)
RESOURCES = {"dsps": 0, "ffs": 9, "brams": 0, "latency_cycles": 2, "ii_cycles": 1}


def graph(scale: int) -> Graph:
    b = Builder()
    b.output("y", b.op("mul", b.input("x", WORD), b.const(scale, WORD)))
    return b.build()


def found(family: str, accuracy: float, csynth: float, rtl: float, luts: float | None) -> Found:
    """A design with two estimates, and a measurement where ``luts`` is known."""
    stages = [("analytic", "csynth", csynth, None), ("analytic", "rtl", rtl, 0.2 * rtl)]
    stages += [] if luts is None else [("yosys", "vsynth", luts, None)]
    numbers = [
        Measurement(name, value, method, stage, "tool 1", SETTING.place, "d", error)
        for method, stage, count, error in stages
        for name, value in {**RESOURCES, "luts": count}.items()
    ]
    quality = Measurement("accuracy", accuracy, "interpreter", "validation", "t", "data", "d", 0.01)
    candidate = Candidate(family, {"accuracy": accuracy}, 1, f"{family} {accuracy}")
    return Found(candidate, (quality, *numbers), graph(int(accuracy * 100)))


def archive_of(folder: Path, *designs: Found, **changes: object) -> Archive:
    archive = Archive(folder, create=True)
    study = StudySpec.from_mapping({"dataset": "jets", **changes})
    archive.set_meta("spec", study.to_yaml())
    archive.set_meta("setting", SETTING.to_json())
    archive.record("k", Outcome(found=designs))
    return archive


def opened(archive: Archive, **changes: object) -> measured.OpenFront:
    study = StudySpec.from_mapping({"dataset": "jets", **changes})
    return measured.open_front(archive, study, SETTING)


def test_families_are_ranked_by_what_was_measured(tmp_path: Path) -> None:
    network = found("network", 0.70, 1000, 500, 450)
    formula = found("expression", 0.71, 2000, 450, 400)  # csynth alone would not let it win
    with archive_of(tmp_path, network, formula) as archive:
        front = opened(archive)
        pairs = measured.compared(archive.entries(designs_only=True))
    assert [r.family for r in front.rows] == ["expression"]
    assert front.estimates[formula.candidate.id] == (2000, 450)
    assert any(
        "LUT: yosys/vsynth / analytic/rtl: median 0.89 (0.89 to 0.90), 2 designs, 2 of 2 in the "
        "band" in line
        for line in front.lines
    )
    luts = [p for p in pairs if p.measured.metric == "luts"]
    assert sorted(p.ratio for p in luts) == [400 / 450, 450 / 500]
    screen = console()
    with screen.capture() as said:
        screen.print(measured.table(front))
    assert "2,000" in said.get()
    assert "fmax" in said.get()


def test_without_the_tool_the_comparison_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "available", lambda _: "yosys not found; install it")
    with archive_of(tmp_path, found("network", 0.7, 1000, 500, None)) as archive:
        front = opened(archive)
        assert front.rows == ()
        assert front.lines == (
            "Open synthesis is unavailable, so families are not compared by it: yosys not found; "
            "install it.",
        )
        assert "verify: bits" in opened(archive, verify="bits").lines[0]


def test_a_design_that_was_not_synthesised_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "available", lambda _: None)
    large = found("network", 0.8, 90_000, 50_000, None)
    with archive_of(tmp_path, found("network", 0.7, 1000, 500, 400), large) as archive:
        front = opened(archive)
    assert [r.luts for r in front.rows] == [400]
    assert any(large.candidate.id in line and "Not synthesised" in line for line in front.lines)


def test_numbers_of_another_clock_or_flow_are_not_ranked(tmp_path: Path) -> None:
    placed = found("network", 0.7, 1000, 500, 400)
    reports = [
        replace(m, method="vivado", stage="pnr", target=where, flags=f"flow {flow}")
        for m in placed.measurements
        if m.stage == "vsynth"
        for where, flow in ((SETTING.place, "hls"), ("xc7z020 @ 100 MHz", "rtl"))
    ]
    moved = replace(placed, measurements=(*placed.measurements, *reports))
    with archive_of(tmp_path, moved) as archive:
        (entry,) = archive.front(("accuracy", "luts"), "vivado", "pnr")
        luts = entry.find("luts", "vivado", "pnr", target=SETTING.place)
        pairs = measured.compared([entry])
    assert luts is not None
    assert luts.flags == "flow hls"
    assert {p.measured.method for p in pairs} == {"yosys"}  # HLS is no measurement of our Verilog


def test_a_mixed_front_says_so_on_every_row(tmp_path: Path) -> None:
    archive_of(
        tmp_path, found("network", 0.7, 1000, 500, 400), found("network", 0.8, 9_000, 5_000, None)
    ).close()
    run = CliRunner()
    plain = run.invoke(app, ["front", str(tmp_path), "--method", "yosys"])
    assert re.search(r"Front: 1 designs", plain.output)
    assert "Mixed" not in plain.output
    mixed = run.invoke(app, ["front", str(tmp_path), "--method", "yosys", "--or", "analytic/rtl"])
    assert "Mixed, and not the same quantity: 1 by analytic/rtl, 1 by yosys/vsynth." in (
        mixed.output
    )
    rows = [line for line in mixed.output.splitlines() if "network 0." in line]
    assert sorted(line.split()[-1] for line in rows) == ["analytic/rtl", "yosys/vsynth"]
    nothing = run.invoke(app, ["front", str(tmp_path), "--method", "vivado"])
    assert "it has analytic/csynth, analytic/rtl, yosys/vsynth" in str(nothing.exception)


@pytest.mark.parametrize(
    ("options", "study", "says"),
    [
        ([], {}, "vivado/pnr has no latency_cycles of any design; use --objectives accuracy,luts"),
        (["--objectives", "ii_cycles"], {}, "no ii_cycles of any design; use --objectives luts"),
        (["--objectives", "rmse,luts"], {}, "no rmse of any design; use --objectives luts"),
        (
            ["--objectives", "accuracy,luts"],
            {"constraints": {"latency_cycles": 9}},
            "and the study limits latency_cycles; choose another method or stage",
        ),
        (["--objectives", "luts"], {}, "MHz, the run's part and clock, and the study limits dsps"),
    ],
)
def test_an_empty_front_says_what_no_design_has(
    tmp_path: Path, options: list[str], study: dict[str, object], says: str
) -> None:
    places = [] if "the run's part" in says else [SETTING.place]
    design = found("network", 0.7, 1000, 500, None)
    placed = [
        Measurement(name, 9.0, "vivado", "pnr", "Vivado 1", place, "d")
        for name in ("luts", "dsps", "ffs", "brams")
        for place in ("another part", *places)
    ]
    changes = {"objectives": ["accuracy", "luts", "latency_cycles"], **study}
    made = Found(design.candidate, (*design.measurements, *placed), design.graph)
    archive_of(tmp_path, made, **changes).close()
    asked = ["front", str(tmp_path), "--method", "vivado", *options]
    nothing = CliRunner().invoke(app, asked)
    assert isinstance(nothing.exception, SpecError)
    assert says in str(nothing.exception)
    if places and not study:
        ranked = CliRunner().invoke(app, [*asked, "--objectives", "accuracy,luts"])
        assert "Front: 1 designs" in ranked.output
