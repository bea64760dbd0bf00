"""The archive keeps whole records only, failures with their reasons, and ranks one method."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.archive import FILE, Archive
from nacsr.errors import ArchiveError, NacsrError, SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.measure import Basis, Measurement
from nacsr.records import Candidate, Found, Outcome


def graph(scale: int) -> Graph:
    b = Builder()
    x = b.input("x", Fixed(8, 4))
    b.output("y", b.op("mul", x, b.const(scale, Fixed(8, 4))))
    return b.build()


def hardware(metric: str, value: float, method: str = "analytic") -> Measurement:
    return Measurement(metric, value, method, "csynth", "nacsr test", "vu13p", "d")


def physics(value: float) -> Measurement:
    return Measurement("accuracy", value, "interpreter", "validation", "nacsr test", "data", "d")


def design(n: int, accuracy: float, luts: float, family: str = "expression") -> Found:
    candidate = Candidate(family, {"n": n}, 1, f"design {n}")
    return Found(candidate, (physics(accuracy), hardware("luts", luts)), graph(n))


def test_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    failed = Found(Candidate("network", {"w": [1]}, 3, "bad", ("p",), reason="diverged"))
    sent = Outcome({"a": [1, 2.5]}, {"w": np.arange(6).reshape(2, 3)}, (design(1, 0.5, 9), failed))
    with Archive(tmp_path, create=True) as archive:
        archive.record("key", sent)
    with Archive(tmp_path) as archive:
        back = archive.outcome("key")
        assert archive.outcome("other") is None
    assert back is not None
    assert back.result == sent.result
    assert (back.arrays["w"] == sent.arrays["w"]).all()
    by_id = {f.candidate.id: f for f in back.found}
    assert {f.candidate.id for f in sent.found} == set(by_id)
    for found in sent.found:
        assert by_id[found.candidate.id] == found


def test_front_has_both_families_and_only_undominated_designs(tmp_path: Path) -> None:
    with Archive(tmp_path, create=True) as archive:
        found = (
            design(1, 0.6, 100),
            design(2, 0.7, 900, "network"),
            design(3, 0.65, 1000),  # dominated by 2
            Found(Candidate("network", {"n": 9}, 1, "never lowered"), (physics(0.99),)),
        )
        archive.record("k", Outcome(found=found))
        front = archive.front(("accuracy", "luts"))
        assert [e.candidate.title for e in front] == ["design 2", "design 1"]
        limited = archive.front(("accuracy", "luts"), limits={"luts": 500})
        assert [e.candidate.title for e in limited] == ["design 1"]
        assert archive.front(("accuracy", "luts"), method="g++") == []


def test_methods_are_mixed_only_where_that_is_told(tmp_path: Path) -> None:
    both, estimated = design(1, 0.6, 100), design(2, 0.7, 90, "network")
    synthesised = replace(hardware("luts", 40, "yosys"), stage="vsynth")
    both = replace(both, measurements=(*both.measurements, synthesised))
    names = ("accuracy", "luts")
    with Archive(tmp_path, create=True) as archive:
        archive.record("k", Outcome(found=(both, estimated)))
        assert archive.bases() == [Basis("analytic", "csynth"), Basis("yosys", "vsynth")]
        assert [e.id for e in archive.front(names, "yosys", "vsynth")] == [both.candidate.id]
        mixed = archive.front(names, "yosys", "vsynth", instead=(Basis("analytic", "csynth"),))
        assert [e.id for e in mixed] == [estimated.candidate.id, both.candidate.id]
        assert [e.id for e in archive.front(names)] == [estimated.candidate.id]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("yosys", "cannot read 'yosys'; write METHOD/STAGE"),
        ("yosis/vsynth", "unknown method 'yosis', did you mean 'yosys'?"),
        ("yosys/synth", "unknown stage 'synth', did you mean 'vsynth'?"),
    ],
)
def test_a_basis_that_cannot_be_read(text: str, wrong: str) -> None:
    with pytest.raises(SpecError, match=re.escape(wrong)):
        Basis.parse(text)


def test_bit_operations_are_the_same_for_every_flow_and_formulas_have_none(tmp_path: Path) -> None:
    def bops(value: float) -> Measurement:
        return Measurement("bops", value, "analytic", "csynth", "nacsr test", "", "d")

    network, large = design(1, 0.6, 100, "network"), design(2, 0.6, 90, "network")
    found = (
        replace(network, measurements=(*network.measurements, bops(5e3))),
        replace(large, measurements=(*large.measurements, bops(6e3))),
        design(3, 0.9, 10),
    )
    with Archive(tmp_path, create=True) as archive:
        archive.record("job", Outcome(found=found))
        for stage in ("csynth", "rtl"):
            front = archive.front(["accuracy", "bops"], stage=stage)
            assert [e.id for e in front] == [network.candidate.id]


def test_a_design_with_differing_bits_or_a_reason_leaves_the_front(tmp_path: Path) -> None:
    with Archive(tmp_path, create=True) as archive:
        good, bad, refused = design(1, 0.6, 100), design(2, 0.7, 50), design(3, 0.8, 10)
        archive.record("k", Outcome(found=(good, bad, refused)))
        check = Measurement("mismatches", 4, "g++", "csim", "g++ 12", "10 words", "d")
        archive.record("check", Outcome(found=(Found(bad.candidate, (check,)),)))
        why = Candidate("expression", {"n": 3}, 1, "design 3", reason="cannot be emitted")
        archive.record("emit", Outcome(found=(Found(why),)))
        assert [e.id for e in archive.front(("accuracy", "luts"))] == [good.candidate.id]
        assert archive.entry(bad.candidate.id).failed.startswith("4 output words differ")
        assert archive.entry(refused.candidate.id).failed == "cannot be emitted"
        assert archive.counts()["failed"] == 2


def test_a_repeated_job_does_not_repeat_its_measurements(tmp_path: Path) -> None:
    with Archive(tmp_path, create=True) as archive:
        for _ in range(2):
            archive.record("k", Outcome(found=(design(1, 0.6, 100),)))
        assert len(archive.entries()[0].measurements) == 2


def test_a_killed_writer_leaves_whole_records(tmp_path: Path) -> None:
    with Archive(tmp_path, create=True) as archive:
        archive.record("k", Outcome(found=(design(1, 0.6, 100),)))
        # a transaction that never commits, as kill -9 leaves it
        other = sqlite3.connect(tmp_path / FILE)
        other.execute("BEGIN")
        other.execute("INSERT INTO jobs VALUES ('half', '{}', NULL)")
        other.close()
        assert archive.outcome("half") is None
        assert archive.counts()["jobs"] == 1


@pytest.mark.parametrize("lost", [1, 5_000, 100_000, None])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, lost: int | None) -> None:
    with Archive(tmp_path, create=True) as archive:
        for n in range(200):
            archive.record(f"k{n}", Outcome({"x": "y" * 500}, found=(design(n % 99, 0.6, n),)))
    path = tmp_path / FILE
    data = path.read_bytes()
    path.write_bytes(b"" if lost is None else data[:-lost])
    with pytest.raises(ArchiveError, match=r"archive|record") as caught:
        read_everything(tmp_path)
    assert "\n" not in str(caught.value)


def read_everything(path: Path) -> None:
    with Archive(path) as archive:
        archive.counts()
        archive.front(("accuracy", "luts"))
        for n in range(200):
            if archive.outcome(f"k{n}") is None:
                raise ArchiveError("a record is missing")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE measurements SET record = '{'",
        "UPDATE measurements SET record = 'null'",
        "UPDATE measurements SET record = json_remove(record, '$.tool')",
        "UPDATE measurements SET record = json_set(record, '$.value', 'many')",
        "UPDATE candidates SET record = json_set(record, '$.colour', 'red')",
        "UPDATE candidates SET graph = 'nonsense'",
        "UPDATE jobs SET result = 'nan?'",
        "UPDATE jobs SET arrays = x'80049503'",
        "DROP TABLE measurements",
    ],
)
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    with Archive(tmp_path, create=True) as archive:
        for n in range(200):
            archive.record(f"k{n}", Outcome(found=(design(n % 99, 0.6, n),)))
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(damage)
    with pytest.raises(NacsrError) as caught:
        read_everything(tmp_path)
    assert "\n" not in str(caught.value)


def test_errors_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="give the folder that 'nacsr run' wrote"):
        Archive(tmp_path / "nowhere")
    with Archive(tmp_path, create=True) as archive:
        archive.record("k", Outcome(found=(design(1, 0.6, 100),)))
        with pytest.raises(ArchiveError, match="'nacsr front"):
            archive.entry("zz")
        with pytest.raises(SpecError, match="did you mean 'luts'"):
            archive.front(("accuracy", "lut"))
