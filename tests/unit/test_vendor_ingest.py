"""Reports attached to designs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nacsr.archive import Archive
from nacsr.compiler import compile as compile_source
from nacsr.errors import EmitError, ReportError
from nacsr.measure import Measurement
from nacsr.synthesis.ingest import FILE, into_project, into_run, stored
from nacsr.synthesis.reports import collect
from tests.unit import vendor_texts as texts
from tests.unit.test_cli import call, refused
from tests.unit.vendor_designs import FORMULAS, recorded, write


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_source(FORMULAS[0]).emit(tmp_path_factory.mktemp("emitted") / "project")


@pytest.fixture
def project(emitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(emitted, tmp_path / "project"))


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, str]:
    return recorded(tmp_path / "run")


def by_name(found: Sequence[Measurement], stage: str) -> dict[str, float]:
    return {m.metric: m.value for m in found if m.stage == stage}


def test_a_project_with_its_reports_inside(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "vitis/solution/syn/report", trigger_csynth=texts.csynth_xml())
    write(project, vivado=texts.utilisation(), vivado_timing=texts.timing())
    code, out, _ = call(capsys, "ingest", project / "vitis/solution")
    assert code == 0
    assert "7 measurements attached: trigger" in out
    code, out, _ = call(capsys, "ingest", project, "--json")
    assert code == 0
    found = json.loads(out)["measurements"]
    assert len(found) == 12
    kept = stored(project)
    assert len(kept) == 7 + 12
    assert by_name(kept, "csynth")["luts"] == by_name(kept, "vsynth")["luts"] == 1526
    assert by_name(kept, "pnr") == {"fmax_mhz": pytest.approx(1000 / (5 - 1.406))}
    assert {m.digest for m in kept} == {compile_source(FORMULAS[0]).graph.digest}
    before = (project / FILE).read_text()
    code, out, _ = call(capsys, "ingest", project)
    assert "Known already: trigger" in out
    assert (project / FILE).read_text() == before
    for command in ("cost", "show"):
        code, out, _ = call(capsys, command, project)
        assert code == 0
        assert "csynth, Vitis HLS 2023.1, xcvu13p-flga2577-2-e @ 200 MHz, flow hls" in " ".join(
            out.split()
        )


def test_a_design_of_a_run(
    run: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, id_ = run
    place = write(tmp_path / "far", trigger_csynth=texts.csynth_xml(), u=texts.utilisation())
    code, out, err = call(capsys, "ingest", place, "--design", f"{folder}:{id_[:6]}")
    assert code == 0, err
    assert "11 measurements attached" in out
    with Archive(folder) as archive:
        first = archive.entry(id_).measurements
        found = archive.entry(id_).find("luts", "vivado", "vsynth")
        assert found is not None
        assert (found.value, found.tool) == (1526, "Vivado 2023.1")
        luts = archive.entry(id_).find("luts", "analytic", "csynth")
        assert luts is not None
        assert luts.value == compile_source(FORMULAS[0]).cost().luts
    code, out, _ = call(capsys, "ingest", place, "--design", f"{folder}:{id_}")
    assert "Known already" in out
    with Archive(folder) as archive:
        assert archive.entry(id_).measurements == first
        ranked = archive.front(("fmax_mhz", "luts"), "vitis", "csynth")
        assert [e.id for e in ranked] == [id_]
        assert archive.front(("fmax_mhz",)) == []


def test_what_does_not_fit_is_refused_or_flagged(project: Path, tmp_path: Path) -> None:
    other = {
        "is of other, not of trigger": {"u": texts.utilisation(design="other")},
        "is for xcvu9p-flga2104-2-e": {"u": texts.utilisation(part="xcvu9p-flga2104-2-e")},
        "has a clock of 2.5 ns, not 5.000 ns": {
            "u": texts.utilisation(state="Routed"),
            "t": texts.timing(period=2.5),
        },
    }
    for n, (message, files) in enumerate(other.items()):
        place = write(tmp_path / str(n), **files)
        with pytest.raises(ReportError, match=message) as error:
            into_project(project, place)
        assert "--force" in str(error.value)
        assert not (project / FILE).exists()
    found = into_project(project, place, force=True)
    assert {m.target for m in found.measurements} == {"xcvu13p-flga2577-2-e @ 400 MHz"}
    assert all("not 5.000 ns" in m.flags for m in found.measurements)
    found = into_project(project, tmp_path / "1", force=True)
    said = {m.flags for m in found.measurements}
    assert said == {
        "flow hls; Synthesized; for xcvu9p-flga2104-2-e, not xcvu13p-flga2577-2-e; clock not stated"
    }
    assert {m.target for m in found.measurements} == {"xcvu9p-flga2104-2-e @ 200 MHz"}


def test_edited_sources_are_refused(project: Path, tmp_path: Path) -> None:
    place = write(tmp_path / "r", trigger_csynth=texts.csynth_xml())
    source = project / "trigger.cpp"
    source.write_text(source.read_text() + "// mine\n")
    with pytest.raises(ReportError, match=r"edited since they were emitted: trigger\.cpp"):
        into_project(project, place)
    found = into_project(project, place, force=True)
    assert all("edited" in m.flags for m in found.measurements)


def test_reports_in_the_project_of_another_design(
    project: Path, run: tuple[Path, str], tmp_path: Path
) -> None:
    folder, id_ = run
    write(project, trigger_csynth=texts.csynth_xml())
    assert into_run(folder, id_, project).measurements[0].flags.startswith("flow hls")
    other = compile_source(FORMULAS[1]).emit(tmp_path / "other")
    write(other, trigger_csynth=texts.csynth_xml())
    with pytest.raises(ReportError, match="lies in the project of another design"):
        into_run(folder, id_, other, force=True)


def test_of_several_functions_and_stages_the_right_ones(tmp_path: Path) -> None:
    place = write(
        tmp_path / "r",
        trigger_csynth=texts.csynth_xml(),
        trigger_stage_csynth=texts.csynth_xml(top="trigger_stage", used={**texts.USED, "luts": 3}),
        placed=texts.utilisation(state="Fully Placed", used={**texts.USED, "luts": 1600}),
        routed=texts.utilisation(state="Routed"),
        deep=texts.hierarchy(),
        placed_timing=texts.timing("2020.1", 1.0, state="Fully Placed"),
        routed_timing=texts.timing("2020.1"),
        synth_timing=texts.timing("2020.1", 2.0, state="Synthesized"),
    )
    (place / "trigger_csynth.rpt").write_text("cut")
    (place / "trigger_odd_csynth.xml").write_text("cut")
    found = collect(place, ("trigger",))
    assert found.csynth is not None
    assert found.csynth.path.name == "trigger_csynth.xml"
    assert found.utilisation["pnr"].path.name == "routed.rpt"
    assert {s: t.slack_ns for s, t in found.timing.items()} == {"pnr": 1.406, "vsynth": 2.0}
    with pytest.raises(ReportError, match="not whole XML"):
        collect(place)
    (place / "trigger_odd_csynth.xml").unlink()
    with pytest.raises(ReportError, match="reports of trigger, trigger_stage; expected one of"):
        collect(place)
    write(place, again=texts.utilisation(state="Routed", used={**texts.USED, "luts": 9}))
    with pytest.raises(ReportError, match="disagree; remove one of them"):
        collect(place, ("trigger",))


def test_old_timing_reports_have_the_stage_of_their_name_or_neighbour(tmp_path: Path) -> None:
    place = write(
        tmp_path / "r",
        t=texts.timing("2018.2", paths=False),
        u=texts.utilisation("2018.2", "Routed"),
    )
    assert set(collect(place).timing) == {"pnr"}
    write(place, s=texts.utilisation("2018.2"))
    found = collect(place)
    assert found.timing == {}
    assert found.notes == ("t.rpt: does not say its Design State; left out",)
    (place / "t.rpt").rename(place / "top_timing_summary_routed.rpt")
    assert set(collect(place).timing) == {"pnr"}


def test_what_was_not_determined_is_no_number(project: Path, tmp_path: Path) -> None:
    xml = texts.csynth_xml(latency=("undef", "undef"), available={**texts.VU13P, "luts": 1000})
    place = write(tmp_path / "r", trigger_csynth=xml, trigger_cosim=texts.cosim(status="Fail"))
    found = into_project(project, place)
    assert "latency_cycles" not in by_name(found.measurements, "csynth")
    assert by_name(found.measurements, "cosim") == {}
    assert all("over-utilised: LUT 153 %" in m.flags for m in found.measurements)
    assert "trigger_cosim.rpt: co-simulation failed" in found.notes


def test_wrong_places_are_one_line(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = write(tmp_path / "empty")
    assert "lies in no emitted project" in refused(capsys, "ingest", empty)
    assert "no report here" in refused(capsys, "ingest", project)
    assert "no archive" in refused(capsys, "ingest", empty, "--design", "nowhere:12ab")
    assert "no emitted project" in refused(capsys, "calibrate", empty)
    assert "too few designs" in refused(capsys, "calibrate", project)
    write(project, trigger_csynth=texts.csynth_xml())
    few = refused(capsys, "calibrate", project)
    assert "brams at csynth, flow hls, expressions: 1 designs" in few
    with pytest.raises(EmitError):
        into_project(empty, empty)
    into_project(project, project)
    (project / FILE).write_text("{}")
    with pytest.raises(ReportError, match="remove it and ingest the reports again"):
        stored(project)
