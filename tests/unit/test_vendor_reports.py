"""Parsers of vendor reports, of every release: numbers by name, faults in words, flags."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.errors import ReportError
from nacsr.tools.reports import (
    CosimReport,
    CsynthReport,
    Report,
    TimingReport,
    UtilisationReport,
    find,
    read_report,
)
from nacsr.tools.reports.text import number
from tests.unit import vendor_texts as texts

REAL = Path(__file__).resolve().parents[3] / "shared/data/vendor_reports"
USED = {name: float(value) for name, value in texts.USED.items()}


def parse(folder: Path, name: str, text: str) -> Report:
    path = folder / name
    path.write_text(text)
    report = read_report(path)
    assert report is not None
    return report


@pytest.mark.parametrize("version", texts.VERSIONS)
def test_csynth_of_every_release(version: str, tmp_path: Path) -> None:
    xml = parse(tmp_path, "trigger_csynth.xml", texts.csynth_xml(version))
    rpt = parse(tmp_path, "trigger_csynth.rpt", texts.csynth_rpt(version))
    for found in (xml, rpt):
        assert isinstance(found, CsynthReport)
        tool = "Vitis HLS" if version > "2020.1" else "Vivado HLS"
        assert (found.tool, found.version, found.top) == (tool, version, "trigger")
        assert (found.part, found.target_ns, found.estimated_ns) == (texts.PART, 5.0, 4.049)
        assert (str(found.latency), str(found.interval)) == ("10", "1")
        assert found.used == USED
        assert found.available == texts.VU13P
        assert found.flags == ()


@pytest.mark.parametrize("version", texts.VERSIONS)
@pytest.mark.parametrize("state", ["Synthesized", "Fully Placed", "Routed", "Physopt postRoute"])
def test_utilisation_of_every_release(version: str, state: str, tmp_path: Path) -> None:
    found = parse(tmp_path, "u.rpt", texts.utilisation(version, state))
    assert isinstance(found, UtilisationReport)
    assert found.used == USED
    assert found.available == texts.VU13P
    assert found.version == version
    assert found.stage == ("vsynth" if state == "Synthesized" else "pnr")
    assert found.flags == (("placed, not routed",) if state == "Fully Placed" else ())


@pytest.mark.parametrize("version", ["2018.2", "2024.1"])
def test_utilisation_of_7_series_and_by_hierarchy(version: str, tmp_path: Path) -> None:
    flat = parse(tmp_path, "u.rpt", texts.utilisation(version, series7=True))
    deep = parse(tmp_path, "h.rpt", texts.hierarchy(version))
    assert isinstance(flat, UtilisationReport)
    assert isinstance(deep, UtilisationReport)
    without = {n: v for n, v in USED.items() if n != "urams"}
    assert flat.used == without
    assert deep.used == USED
    assert deep.available == {}


@pytest.mark.parametrize("version", texts.VERSIONS)
@pytest.mark.parametrize("slack", [1.406, -0.089, None])
def test_timing_of_every_release(version: str, slack: float | None, tmp_path: Path) -> None:
    found = parse(tmp_path, "t.rpt", texts.timing(version, slack))
    assert isinstance(found, TimingReport)
    (clock,) = found.clocks
    assert (clock.name, clock.period_ns, clock.slack_ns) == ("ap_clk", 5.0, slack)
    assert (found.slack_ns, found.hold_ns) == (slack, 0.043)
    assert (found.stage, found.part[:18]) == ("pnr", "xcvu13p-flga2577-2")
    missed = slack is not None and slack < 0
    assert found.flags == (("timing not met: slack -0.089 ns",) if missed else ())
    if slack is None:
        assert clock.fmax_mhz is None
    else:
        assert clock.fmax_mhz == 1000.0 / (5.0 - slack)


@pytest.mark.parametrize("version", texts.VERSIONS)
def test_timing_says_how_far_the_design_was(version: str, tmp_path: Path) -> None:
    for state, stage in (("Synthesized", "vsynth"), ("Fully Placed", "pnr"), ("Routed", "pnr")):
        found = parse(tmp_path, "t.rpt", texts.timing(version, state=state))
        assert isinstance(found, TimingReport)
        assert (found.state, found.stage) == (state, stage)
        assert found.flags == (("placed, not routed",) if state == "Fully Placed" else ())
    found = parse(tmp_path, "t.rpt", texts.timing(version, paths=False))
    assert isinstance(found, TimingReport)
    assert found.stage == ("pnr" if version > "2023" else "")


@pytest.mark.parametrize("version", texts.VERSIONS)
def test_cosim_of_every_release(version: str, tmp_path: Path) -> None:
    found = parse(tmp_path, "trigger_cosim.rpt", texts.cosim(version, latency=(9, 11)))
    assert isinstance(found, CosimReport)
    assert (found.passed, found.language, found.top) == (True, "Verilog", "trigger")
    assert (str(found.latency), str(found.interval)) == ("9..11", "1")
    assert found.flags == ("latency 9..11 cycles",)
    failed = parse(tmp_path, "trigger_cosim.rpt", texts.cosim(version, "Fail", ("NA", "NA")))
    assert failed.flags == ("co-simulation failed", "latency not measured")


def test_what_is_no_number_is_said(tmp_path: Path) -> None:
    for text in ("undef", "?", "-"):
        found = parse(tmp_path, "a_csynth.xml", texts.csynth_xml(latency=(text, text)))
        assert isinstance(found, CsynthReport)
        assert found.latency is None
        assert found.flags == ("latency undetermined",)
    found = parse(tmp_path, "a_csynth.rpt", texts.csynth_rpt(latency="?"))
    assert found.flags == ("latency undetermined",)
    found = parse(tmp_path, "a_csynth.xml", texts.csynth_xml(latency=(4, 12), estimated=5.5))
    assert found.flags == ("latency 4..12 cycles", "timing not met: 5.5 of 5 ns")


def test_a_design_beyond_its_device_is_flagged(tmp_path: Path) -> None:
    room = {**texts.VU13P, "luts": 1230, "brams": 2}
    for name, text in (
        ("a_csynth.xml", texts.csynth_xml(available=room)),
        ("u.rpt", texts.utilisation(available=room)),
    ):
        found = parse(tmp_path, name, text)
        assert set(found.flags) == {"over-utilised: LUT 124 %", "over-utilised: BRAM18 150 %"}


def test_a_report_of_some_cells_or_without_a_clock_is_flagged(tmp_path: Path) -> None:
    text = texts.utilisation(command="report_utilization -cells a/b -file u.rpt")
    assert parse(tmp_path, "u.rpt", text).flags == ("of some cells only",)
    whole = texts.timing()
    cut = whole[: whole.index("| Clock Summary")]
    assert parse(tmp_path, "t.rpt", cut).flags == ("no clock constrained",)
    routed = texts.utilisation(state="Routed")
    lost = routed[: routed.index("4. ARITHMETIC")]
    assert parse(tmp_path, "u.rpt", lost).flags == ("no row of dsps",)


def _swap(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a_csynth.xml", "", "empty; the tool was stopped"),
        ("a_csynth.xml", texts.csynth_xml()[:700], "not whole XML"),
        ("a_csynth.xml", "<a/>", "its root is <a>, expected <profile>"),
        ("a_csynth.xml", "<profile></profile>", "no <AreaEstimates><Resources>"),
        ("a_csynth.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><profile/>", "has a DOCTYPE"),
        ("a_csynth.xml", _swap(texts.csynth_xml(), "<LUT>1526", "<LUT>many"), "LUT is 'many'"),
        ("a_csynth.xml", _swap(texts.csynth_xml(), "<LUT>1526", "<LUT>-1"), "LUT is '-1'"),
        ("a_csynth.xml", _swap(texts.csynth_xml(), "<LUT>1526</LUT>", ""), "no number of LUT"),
        ("a_csynth.xml", texts.csynth_xml(latency=(12, 4)), "latency is 12..4"),
        ("a_csynth.rpt", texts.csynth_rpt()[:300], "no table of Clock"),
        ("a_csynth.rpt", texts.csynth_rpt().split("* Summary: \n+---")[0], "no table of Clock"),
        ("a_csynth.rpt", texts.csynth_rpt().split("== Utiliz")[0], "no table of utilization"),
        ("u.rpt", texts.utilisation()[:900], "no row 'CLB LUTs'"),
        ("u.rpt", _swap(texts.utilisation(), "1526", "lots"), "Used of CLB LUTs is 'lots'"),
        ("u.rpt", _swap(texts.utilisation(), "Synthesized", "Elaborated"), "is 'Elaborated'"),
        ("t.rpt", texts.timing()[:700], "no 'Design Timing Summary'"),
        ("a_cosim.rpt", texts.cosim(status="NA"), "other than NA"),
        ("a_cosim.rpt", "Report time : now", "other than NA"),
    ],
)
def test_a_report_that_is_not_whole_says_so(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ReportError, match=name) as error:
        read_report(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_of_other_kinds_are_none(tmp_path: Path) -> None:
    (tmp_path / "drc.rpt").write_text("Report DRC\n")
    (tmp_path / "other.xml").write_text("<a>")
    (tmp_path / "a.txt").write_text("text")
    assert find(tmp_path) == [tmp_path / "drc.rpt"]
    assert read_report(tmp_path / "drc.rpt") is None
    assert read_report(tmp_path / "other.xml") is None
    with pytest.raises(ReportError, match="cannot be read"):
        read_report(tmp_path / "absent.rpt")


_MAKERS: dict[str, tuple[Callable[[], str], str]] = {
    "a_csynth.xml": (texts.csynth_xml, "Latency|<LUT>|</profile>"),
    "a_csynth.rpt": (texts.csynth_rpt, "yes|Total|Available"),
    "u.rpt": (texts.utilisation, "LUTs|Registers|DSPs|Tile"),
    "h.rpt": (texts.hierarchy, "top"),
    "t.rpt": (texts.timing, "1[.]406|5[.]000"),
    "a_cosim.rpt": (partial(texts.cosim, "2020.1", interval=(11, 12)), "Pass"),
}
"""Reports, and what the lines with numbers in them have."""


@pytest.mark.parametrize("name", _MAKERS)
def test_no_cut_gives_another_number(name: str, tmp_path: Path) -> None:
    """A report cut anywhere in a line of numbers is refused, or its numbers are the whole one's."""
    make, lines = _MAKERS[name]
    text, path = make(), tmp_path / name
    whole = parse(tmp_path, name, text)
    cuts = {p for m in re.finditer(rf".*(?:{lines}).*\n?", text) for p in range(*m.span())}
    assert len(cuts) > 50
    for cut in cuts:
        path.write_text(text[:cut])
        try:
            part = read_report(path)
        except ReportError:
            continue
        for there, kept in zip(_numbers(whole), _numbers(part), strict=True):
            assert kept == there or kept in (None, "None"), cut


def _numbers(report: Report | None) -> list[object]:
    """Of a report, in an order; None for those that it does not have."""
    if isinstance(report, UtilisationReport):
        return [report.used.get(n) for n in texts.USED]
    if isinstance(report, CsynthReport):
        return [*(report.used.get(n) for n in texts.USED), str(report.latency), report.target_ns]
    if isinstance(report, TimingReport):
        fmax = [c.fmax_mhz for c in report.clocks] or [None]
        return [report.slack_ns, report.hold_ns, *fmax]
    assert isinstance(report, CosimReport)
    return [report.passed, str(report.latency), str(report.interval)]


@given(st.floats(0, 1e9, allow_nan=False))
def test_numbers_read_back(value: float) -> None:
    assert number(f"{value:,.3f}") == float(f"{value:.3f}")


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared reports are not beside the checkout")
def test_the_reports_of_hls4ml() -> None:
    folder = REAL / "hls4ml_upstream_Vivado"
    xml = read_report(folder / "myproject_csynth.xml")
    rpt = read_report(folder / "myproject_csynth.rpt")
    synth = read_report(folder / "vivado_synth.rpt")
    assert isinstance(xml, CsynthReport)
    assert isinstance(rpt, CsynthReport)
    assert isinstance(synth, UtilisationReport)
    assert xml.used == rpt.used == {"luts": 2532, "dsps": 73, "ffs": 7969, "brams": 0, "urams": 0}
    assert (xml.latency, xml.interval, xml.flags) == (rpt.latency, rpt.interval, rpt.flags)
    assert (str(xml.latency), str(xml.interval)) == ("10", "8")
    assert synth.used == {"luts": 1526, "ffs": 2428, "brams": 0, "dsps": 66}
    assert (synth.stage, synth.version, synth.part) == ("vsynth", "2020.1", "7z020clg400-1")
