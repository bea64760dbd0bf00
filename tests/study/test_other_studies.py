"""Studies of other kinds: from the command line, of one family, with external scaling."""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.compiler import setting_of
from nacsr.report.rows import rows
from nacsr.report.table import cells
from nacsr.study import Study
from tests.study.conftest import BUDGET, TINY, tiny_spec, tiny_study
from tests.study.test_study import front_of


def test_the_report_shows_every_design_with_its_formula_and_link(tmp_path: Path) -> None:
    out, study_file = tmp_path / "run", tmp_path / "study.yaml"
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 2))
    rows = [f"{a},{b},{'s' if a * b > 0 else 'b'}" for a, b in x]
    (tmp_path / "events.csv").write_text("\n".join(["a,b,kind", *rows]))
    study_file.write_text(
        "dataset: events.csv\nbudget: quick\nfamilies: {network: null, "
        "linear: null, tables: null, trees: null, "
        "expression: {functions: [], tables: false, max_size: 5}}\n"
    )
    command = [sys.executable, "-m", "nacsr", "run", str(study_file), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No network design is on this front: that family was not searched." in done.stdout
    report = (out / "report.html").read_text()
    front = front_of(out)
    assert front
    for entry in front:
        assert f'href="designs/{entry.id}/"' in report
        assert (out / "designs" / entry.id / "Makefile").is_file()
        for line in entry.candidate.title.split("; "):
            assert html.escape(line) in report
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")
    assert 'src="http' not in report  # it opens without a network


def test_external_scaling_is_stated_on_every_row(tmp_path: Path) -> None:
    families = {"network": None, "expression": {"functions": ("gauss",), "max_size": 12}}
    study = tiny_study(tmp_path / "run", inputs={"scaling": "external"}, families=families)
    front = study.run(workers=0)
    setting = setting_of(study.archive)
    for row in rows(front, setting):
        assert row.scaling == "external"
        assert row.mismatches == 0
        assert cells(row, setting.classes)[1].endswith("(ext)")
    assert all(
        "external" in (tmp_path / "run/designs" / e.id / "README.md").read_text() for e in front
    )


def test_many_features_and_few_evaluations(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 60))
    data = nacsr.from_arrays(x, (x[:, 0] + x[:, 1] > 0).astype(int))
    spec = tiny_spec(families={"network": None})
    front = Study(spec, tmp_path / "run", dataset=data, budget=BUDGET).run(workers=0)
    assert max(e.find("accuracy", "interpreter", "test").value for e in front) > 0.8


def test_a_hall_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    halls = {name: str(tmp_path / f"{name}.csv") for name in "gqt"}
    for name, path in halls.items():
        foreign = "3,0.4,wibble(n)\n" if name == "g" else ""
        Path(path).write_text(f"Complexity,Loss,Equation\n1,0.5,eta\n{foreign}")
    expression = {"engine": "hof", "halls": halls, "tables": False}
    families = {"network": None, "expression": expression}
    tiny_study(tmp_path / "run", families=families).run(workers=0)
    warned = [r for r in caplog.records if "left out" in r.getMessage()]
    assert len(warned) == 1, [r.getMessage() for r in warned]


def test_a_search_that_finds_nothing_leaves_the_other_family(tmp_path: Path) -> None:
    families = {
        "expression": {"max_cycles": 1, "max_luts": 1},
        "network": TINY.network.model_copy(update={"local": None, "lean": None, "tables": None}),
    }
    study = tiny_study(tmp_path / "run", clock_mhz=800.0, families=families)
    front = study.run(workers=0)
    assert {e.candidate.family for e in front} == {"network"}
    assert any("max_cycles" in e.failed for e in study.archive.entries())
