"""Which designs a study ends with: those of either estimate, and what becomes of large ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacsr import finish
from nacsr.fronts import contenders, finalists, front
from nacsr.measure import VERILOG
from nacsr.spec import StudySpec
from tests.unit.test_report_measured import archive_of, found

TREE = found("trees", 0.69, 1600, 100, None)
FORMULA = found("expression", 0.70, 300, 170, None)
WORSE = found("trees", 0.60, 2000, 150, None)


def test_a_design_of_either_estimates_front_is_a_finalist(tmp_path: Path) -> None:
    study = StudySpec.from_mapping({"dataset": "jets"})
    with archive_of(tmp_path, TREE, FORMULA, WORSE) as archive:
        names = {TREE.candidate.id: "tree", FORMULA.candidate.id: "formula"}
        assert [names[e.id] for e in front(archive, study)] == ["formula"]
        assert [names[e.id] for e in front(archive, study, VERILOG)] == ["formula", "tree"]
        assert {names[e.id] for e in finalists(archive, study)} == {"formula", "tree"}
        # of each family its best: csynth ranks a family among itself
        assert {names[e.id] for e in contenders(archive, study)} == {"formula", "tree"}


def test_a_limit_that_only_the_estimate_of_c_synthesis_breaks_loses_nothing(tmp_path: Path) -> None:
    study = StudySpec.from_mapping({"dataset": "jets", "constraints": {"luts": 120}})
    with archive_of(tmp_path, TREE, FORMULA) as archive:
        assert {e.id for e in contenders(archive, study)} >= {TREE.candidate.id}
        assert [e.id for e in finalists(archive, study)] == [TREE.candidate.id]


@pytest.mark.parametrize("verify", ["open", "bits"])
@pytest.mark.parametrize("luts", [finish.OPEN_LUTS, finish.OPEN_LUTS + 1])
def test_open_synthesis_is_for_designs_that_it_ends_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, luts: int, verify: str
) -> None:
    monkeypatch.setattr(finish, "available", lambda _: None)
    study = StudySpec.from_mapping({"dataset": "jets", "verify": verify})
    with archive_of(tmp_path, found("network", 0.7, 90_000, luts, None)) as archive:
        (entry,) = finalists(archive, study)
        _, rtl = finish.design_jobs(entry, study)
    assert rtl.kind == "rtl"
    assert rtl.payload["synthesise"] == (luts <= finish.OPEN_LUTS and verify == "open")
