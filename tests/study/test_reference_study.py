"""A study of all reference families, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nacsr.cli.app import app
from nacsr.compiler import setting_of
from nacsr.report.findings import findings
from nacsr.report.rows import rows
from nacsr.spec import AdditiveSpec, FamiliesSpec, LinearSpec, TreesSpec
from nacsr.study import Study
from tests.study.conftest import BUDGET, tiny_dataset, tiny_spec

SMALL = FamiliesSpec(
    expression=None,
    network=None,
    linear=LinearSpec(word_bits=(4,), digits=(1,), cuts=False, designs=1),
    tables=AdditiveSpec(address_bits=(), steps=(1,), pairs=2, designs=1),
    trees=TreesSpec(rounds=(1,), shapes=((4, 2),), designs=1),
)


def test_references_are_designs_like_any_other(tmp_path: Path) -> None:
    spec, out = tiny_spec(families=SMALL), tmp_path / "run"
    study = Study(spec, out, dataset=tiny_dataset(), budget=BUDGET)
    front = study.run(workers=0)
    assert {e.candidate.family for e in study.archive.entries()} == {"linear", "tables", "trees"}
    assert study.expected_jobs()["tables"] == 1
    assert front
    for entry in front:
        check = entry.find("mismatches", "g++", "csim")
        assert check is not None
        assert check.value == 0
        assert entry.find("accuracy", "interpreter", "test") is not None
    said = findings(study.archive, spec, rows(front, setting_of(study.archive)))
    assert sum("was not searched" in line for line in said) == 2
    assert not any(" wins" in line for line in said)  # there is nothing to compare with
    jobs = study.archive.counts()["jobs"]
    study.archive.close()
    run = CliRunner()
    assert front[0].candidate.title in run.invoke(app, ["show", str(out), front[0].id]).output
    listed = run.invoke(app, ["front", str(out)]).output
    assert "No network design is on this front: that family was not searched." in listed
    assert "A reference" not in listed
    assert "No reference" not in listed
    again = Study(spec, out, dataset=tiny_dataset(), budget=BUDGET)
    assert [e.id for e in again.run(workers=0)] == [e.id for e in front]
    assert again.archive.counts()["jobs"] == jobs  # nothing was left to do
