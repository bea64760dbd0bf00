"""Formulas for people: what they say is what the design has, and LaTeX that can be set."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from nacsr.archive import Archive
from nacsr.cli.app import app
from nacsr.data.words import Feature, Scaling
from nacsr.design import Setting
from nacsr.entry import Entry
from nacsr.errors import ExpressionError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import size
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.luts import LutFunc, lut_functions
from nacsr.measure import Measurement
from nacsr.records import Candidate, Found, Outcome
from nacsr.report import write
from nacsr.report.formulas import describe, described, escaped, table_svg, words
from nacsr.report.rows import rows
from nacsr.spec import StudySpec

NAMES = ("c1_b2", "mass", "n")
TABLE = {"domain": "fixed<3,2,TRN,SAT>", "value": "fixed<6,2>", "values": [1, 2, 3, 5, 8, 6, 4, 0]}
GENOTYPE = {
    "expressions": {
        "g": "-0.123456*c1_b2 - mass*n + 2*t1(mass)",
        "q": "0.25",
        "b_t": "sin(n - 1) - min(mass, 0.5)/3",
    },
    "tables": {"t1": TABLE},
    "precision": "fixed<16,6>",
}


def auc(label: str, value: float, stage: str, metric: str = "auc") -> Measurement:
    return Measurement(metric, value, "interpreter", stage, "nacsr", "d", "d", 0.01, label)


def entry(*measured: Measurement, genotype: dict[str, object] | None = None) -> Entry:
    candidate = Candidate("expression", genotype or GENOTYPE, 1, "title")
    return Entry(candidate, measured, None)


# ---- what is said


def test_every_output_is_described() -> None:
    found = describe(entry(auc("g", 0.9, "validation")), NAMES, lut_functions())
    g, q, b = found.lines
    assert g.text == "-0.123*c1_b2 - mass*n + 2*t1(mass)"
    assert (g.features, g.functions) == (("c1_b2", "mass", "n"), ("t1",))
    assert (g.auc, g.auc_error, found.events) == (0.9, 0.01, "validation")
    assert (q.text, q.features, q.functions, q.nodes, q.auc) == ("0.25", (), (), 1, None)
    assert (b.features, b.functions) == (("mass", "n"), ("sin",))
    trees, _ = formulas(GENOTYPE, NAMES, lut_functions())
    assert [line.nodes for line in found.lines] == [size(e) for e in trees.values()]
    assert found.nodes == sum(map(size, trees.values()))
    assert (found.features, found.functions) == (NAMES, ("sin", "t1"))
    assert [t.values for t in found.tables] == [tuple(TABLE["values"])]


def test_tables_are_named_in_the_order_of_their_numbers() -> None:
    names = [f"t{n}" for n in range(1, 12)]
    text = " + ".join(f"{n}(mass)" for n in reversed(names)) + " + tanh(n) + sin(n)"
    genotype = {"expressions": {"y": text}, "tables": dict.fromkeys(names, TABLE)}
    found = describe(entry(genotype=genotype), NAMES, lut_functions())
    assert found.functions == found.lines[0].functions == ("sin", "tanh", *names)


def test_aucs_are_of_test_events_once_those_were_read() -> None:
    measured = auc("", 0.7, "test", "accuracy"), auc("g", 0.9, "validation"), auc("g", 0.8, "test")
    found = describe(entry(*measured), NAMES, lut_functions())
    assert (found.lines[0].auc, found.events) == (0.8, "test")
    text = "\n".join(words(found))
    assert "AUC 0.8000 ± 0.0100 (test)" in text
    assert "q: 1 node; features none" in text
    assert "t1: fitted table, 8 entries, fixed<3,2> to fixed<6,2>" in text


def test_what_has_no_formulas_is_refused() -> None:
    for candidate in (
        Candidate("network", {}, 1, ""),
        Candidate("expression", {"class": "g"}, 1, ""),
    ):
        with pytest.raises(SpecError, match="no formulas"):
            describe(Entry(candidate, (), None), NAMES, {})
    with pytest.raises(ExpressionError, match="sin"):
        describe(entry(), NAMES, {})


def test_designs_whose_functions_are_gone_are_left_out(tmp_path: Path) -> None:
    gone = {"families": {"expression": {"lut_folder": str(tmp_path / "gone")}}}
    there = StudySpec.from_mapping({"dataset": "jets"})
    assert list(described([entry()], there, NAMES)) == [entry().id]
    assert described([entry()], StudySpec.from_mapping({"dataset": "jets", **gone}), NAMES) == {}


# ---- LaTeX


LONG = " + ".join(f"{k}.5*mass*c1_b2" for k in range(1, 30))


@pytest.mark.parametrize(
    "expressions",
    [
        GENOTYPE["expressions"],
        {"a%b&c": LONG, "y": "-(mass - (n - abs(c1_b2)))"},
        {"y": "1e-7*exp(mass)/(1 + square(n)) - cube(-mass)"},
    ],
)
def test_latex_can_be_set(expressions: dict[str, str]) -> None:
    from matplotlib.mathtext import MathTextParser

    genotype = GENOTYPE | {"expressions": expressions}
    text = describe(entry(genotype=genotype), NAMES, lut_functions()).latex()
    begin, *body, end = text.split("\n")
    assert (begin, end) == (r"\begin{align*}", r"\end{align*}")
    for n, line in enumerate(body):
        last = n + 1 == len(body)
        assert line.endswith(r" \\") is not last
        bare = line.removesuffix(r" \\")
        assert bare.count("&") - bare.count(r"\&") == 1
        assert re.search(r"(?<!\\)[_%#](?!\{)", bare) is None
        left, right = re.split(r"(?<!\\)&", bare)
        plain = (left + " " + right).replace(r"\quad", "").replace(r"\&", "")
        MathTextParser("path").parse(f"${plain}$")  # raises for anything that is no maths
        assert len(bare) < 200


def test_signs_of_a_sum_survive_its_breaking() -> None:
    genotype = GENOTYPE | {"expressions": {"y": "mass - (n - (-2*c1_b2 + 1)) - (-3)"}}
    (line,) = describe(entry(genotype=genotype), NAMES, lut_functions()).lines
    (text,) = line.latex
    c1 = r"\mathrm{c1\_b2}"
    assert text == rf"\mathrm{{y}} &= \mathrm{{mass}} - n - 2 \cdot {c1} + 1 + 3"


def test_a_long_sum_keeps_every_term() -> None:
    genotype = GENOTYPE | {"expressions": {"y": LONG}}
    (line,) = describe(entry(genotype=genotype), NAMES, lut_functions()).lines
    assert len(line.latex) > 5
    assert re.findall(r"(\d+)\.5", " ".join(line.latex)) == [str(k) for k in range(1, 30)]


def test_names_are_escaped() -> None:
    assert escaped(r"a_b %$#&{}") == r"a\_b\ \%\$\#\&\{\}"
    assert "\\" not in escaped("\\^~")


# ---- pictures


@pytest.mark.parametrize("rounding", ["TRN", "RND"])
def test_a_table_is_drawn_bin_by_bin(rounding: str) -> None:
    domain = Fixed.parse(f"fixed<3,2,{rounding},SAT>")
    table = LutFunc("t1", "", domain, Fixed(6, 2), values=tuple(TABLE["values"]))
    root = ElementTree.fromstring(table_svg(table))
    space = "{http://www.w3.org/2000/svg}"
    path = root.find(f"{space}path")
    assert path is not None
    steps = [float(v) for v in re.findall(r"V([\d.]+)", path.attrib["d"])]
    assert len(steps) == 8
    assert steps[4] == min(steps) == 0.0  # the largest value is at the top
    assert steps[7] == max(steps) == 80.0
    assert [float(v) for v in re.findall(r"H([\d.]+)", path.attrib["d"])][-1] == 150.0
    texts = [t.text for t in root.iter(f"{space}text")]
    ends = ["-2", "2"] if rounding == "TRN" else ["-2.25", "1.75"]
    assert texts[:2] == ends
    assert "t1(x)" in texts


# ---- page and command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an expression that has a fitted table, and a network."""
    out = tmp_path_factory.mktemp("formulas")
    features = tuple(Feature(n, Fixed(12, 4)) for n in NAMES)
    scaling = Scaling("external", (0, 0, 0), (0, 0, 0))
    setting = Setting(features, ("g", "q", "b_t"), scaling, "vu13p", 200.0)
    trees, luts = formulas(GENOTYPE, NAMES, lut_functions())
    graph = lower(trees, features, scaling, Fixed(16, 6), luts)
    hardware = [
        Measurement(m, 3.0, "analytic", "csynth", "nacsr", setting.place, "d")
        for m in ("luts", "dsps", "latency_cycles")
    ]
    measured = (auc("", 0.7, "validation", "accuracy"), auc("g", 0.9, "validation"), *hardware)
    network = Candidate("network", {"n": 1}, 1, "MLP 3-4-3")
    with Archive(out, create=True) as archive:
        archive.set_meta("spec", StudySpec.from_mapping({"dataset": "jets"}).to_yaml())
        archive.set_meta("setting", setting.to_json())
        smaller = replace(hardware[0], value=2.0)
        less = (auc("", 0.6, "validation", "accuracy"), smaller, *hardware[1:])
        found = Found(entry().candidate, measured, graph), Found(network, less, graph)
        archive.record("k", Outcome(found=found))
    return out


def test_the_page_has_a_section_of_formulas(run: Path, tmp_path: Path) -> None:
    from nacsr.compiler import setting_of
    from nacsr.study import stored_spec

    with Archive(run) as archive:
        shown = rows(archive.front(), setting_of(archive))
        write.report(archive, stored_spec(archive), shown, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = text[text.index("<h2>Formulas</h2>") : text.index("<h2>Architectures</h2>")]
    assert "-0.123*c1_b2 - mass*n + 2*t1(mass)" in section
    assert r"\begin{align*}" in section
    assert section.count("<svg") == 1
    assert "0.9000 ± 0.0100" in section
    assert "MLP 3-4-3" in text[text.index("<h2>Architectures</h2>") :]
    assert "MLP 3-4-3" not in section


def test_the_page_of_a_regression_speaks_of_its_metric(run: Path, tmp_path: Path) -> None:
    from nacsr.compiler import setting_of
    from nacsr.study import stored_spec

    with Archive(run) as archive:
        first = next(e for e in archive.front() if e.candidate.family == "expression")
        kinds = {"accuracy": "rmse", "auc": "median_error"}
        measured = [
            replace(m, metric=kinds.get(m.metric, m.metric), label="") for m in first.measurements
        ]
        regression = replace(first, measurements=tuple(measured))
        shown = rows([regression], setting_of(archive))
        write.report(archive, stored_spec(archive), shown, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    body = text[text.index("<table>") :]  # what is above repeats the study
    assert "test rmse" in body
    assert "median_error" in body
    assert "accuracy" not in body
    assert "AUC" not in body


def test_show_prints_what_a_formula_uses_and_its_latex(run: Path) -> None:
    id_ = entry().id
    done = CliRunner().invoke(app, ["show", str(run), id_])
    assert "g = -0.123456*c1_b2" in done.output  # exact
    assert "t1: fitted table, 8 entries" in done.output
    assert "values" not in done.output
    latex = CliRunner().invoke(app, ["show", str(run), id_, "--latex"]).output
    with Archive(run) as archive:
        assert latex == describe(archive.entry(id_), NAMES, lut_functions()).latex() + "\n"
    record = json.loads(CliRunner().invoke(app, ["show", str(run), id_, "--json"]).output)
    assert record["formula"]["functions"] == ["sin", "t1"]
    assert record["genotype"]["tables"]["t1"]["values"] == TABLE["values"]


def test_latex_of_what_has_no_formula_is_refused(run: Path) -> None:
    network = Candidate("network", {"n": 1}, 1, "").id
    for args in (["show", str(run), network, "--latex"], ["show", "x0 + 1", "--latex"]):
        done = CliRunner().invoke(app, args)
        assert isinstance(done.exception, SpecError), args
