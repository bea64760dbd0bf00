"""The main job, small: both families, emitted, verified, resumed, reproduced, trained modules."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.archive import Archive
from nacsr.compiler import from_run, setting_of
from nacsr.emit.project import load
from nacsr.entry import Entry
from nacsr.errors import ArchiveError, CompileError, FileError, SpecError, ToolError
from nacsr.finish import design_jobs, estimate_job, run_design_job
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.stacks import DESCENTS
from nacsr.frontends.stem import scores
from nacsr.fronts import finalists, limits
from nacsr.measure import Basis
from nacsr.metrics import accuracy
from nacsr.prepare import prepare
from nacsr.records import Job, Outcome
from nacsr.report.rows import rows
from nacsr.report.table import notes
from nacsr.search.goals import Goals
from nacsr.spec import BUDGETS, ConstraintSpec, LinearSpec
from nacsr.study import Study, stored_spec
from nacsr.tools import gxx
from tests.study.conftest import BUDGET, TINY, tiny_dataset, tiny_spec, tiny_study


def story(front: list[Entry], without: Sequence[str] = ()) -> list[object]:
    """Everything of a front that must be the same in every run; some stages may be left out."""
    return [
        (
            e.id,
            e.graph_text,
            sorted(
                (m.metric, m.label, m.stage, m.value)
                for m in e.measurements
                if m.stage not in without
            ),
        )
        for e in front
    ]


def front_of(run: Path) -> list[Entry]:
    with Archive(run) as archive:
        return archive.front()


MEASURED = ("mismatches", "latency_cycles", "ii_cycles")


def test_both_families_are_searched_and_every_front_design_is_verified(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        families = {e.candidate.family for e in archive.entries(designs_only=True)}
        front = archive.front()
    assert families == {"expression", "network"}
    assert front
    for entry in front:
        check = entry.find("mismatches", "g++", "csim")
        assert check is not None
        assert check.value == 0
        project = load(tiny_run / "designs" / entry.id)
        assert project.graph == entry.graph
        assert project.edited == ()


def test_test_accuracy_is_the_interpreters_on_raw_words(tiny_run: Path) -> None:
    study = tiny_study(tiny_run)
    words, labels = study.prepared.test.words, study.prepared.test.y
    for entry in study.front():
        raw = scores(entry.graph, study.prepared.problem.features, words)
        found = entry.find("accuracy", "interpreter", "test")
        assert found is not None
        assert (found.value, found.error) == accuracy(raw, labels)


def test_every_front_design_is_measured_as_rtl_too(tiny_run: Path) -> None:
    for entry in front_of(tiny_run):
        project = load(tiny_run / "designs" / f"{entry.id}_rtl")
        assert project.manifest["flow"] == "rtl"
        assert project.graph == entry.graph
        luts = entry.find("luts", "analytic", "rtl")
        assert luts is not None
        assert luts.value > 0
        measured = {n: entry.find(n, "simulation", "rtlsim") for n in MEASURED}
        if any(m is None for m in measured.values()):
            pytest.skip("no Verilog simulator here, so nothing was simulated")
        assert measured["mismatches"].value == 0
        assert measured["ii_cycles"].value == 1
        assert (
            measured["latency_cycles"].value
            == entry.find("latency_cycles", "analytic", "rtl").value
        )


def test_the_front_of_one_flow(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        names = ["accuracy", "luts", "latency_cycles"]
        front = archive.front(names, "analytic", "rtl")
        assert {e.id for e in front} <= {e.id for e in archive.entries(designs_only=True)}
        shown = rows(front, setting_of(archive), (Basis("analytic", "rtl"),))
    assert shown
    assert {r.flow for r in shown} == {"rtl"}
    assert any("one flow" in line for line in notes(shown))


def test_without_a_simulator_a_design_is_still_emitted_and_costed(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IVERILOG", "VERILATOR"):
        monkeypatch.setenv(name, "no-such-simulator")
    entry = front_of(tiny_run)[0]
    prepared = prepare(tiny_spec(), tiny_dataset(), tmp_path)
    outcome = run_design_job(design_jobs(entry, tiny_spec())[1], prepared)
    assert "no-such-simulator" in outcome.result["reason"]
    assert (tmp_path / "designs" / f"{entry.id}_rtl" / "manifest.json").is_file()
    assert not outcome.found[0].measurements
    assert not outcome.found[0].candidate.reason
    estimated = run_design_job(estimate_job(entry), prepared).found[0].measurements
    assert {(m.metric, m.stage) for m in estimated} >= {
        ("luts", "rtl"),
        ("dsps", "rtl"),
    }


def test_designs_off_the_front_have_no_test_numbers(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        on = {e.id for e in finalists(archive, stored_spec(archive))}
        for entry in archive.entries():
            read = [m for m in entry.measurements if m.stage == "test"]
            assert bool(read) == (entry.id in on)


def test_every_number_has_provenance(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        for entry in archive.entries():
            for m in entry.measurements:
                assert m.tool
                assert m.target
                assert m.digest


def test_a_finished_run_resumes_to_the_same_front_at_once(tiny_run: Path) -> None:
    before = story(front_of(tiny_run))
    study = tiny_study(tiny_run)
    jobs = study.archive.counts()["jobs"]
    assert story(study.run(workers=0)) == before
    assert study.archive.counts()["jobs"] == jobs


def test_a_run_from_before_the_references_resumes(tiny_run: Path, tmp_path: Path) -> None:
    old = tmp_path / "run"
    shutil.copytree(tiny_run, old)
    with Archive(old) as archive:
        text = archive.meta("spec") or ""
        fewer = text.replace("  linear: null\n  tables: null\n  trees: null\n", "")
        assert fewer != text
        archive.set_meta("spec", fewer)
        assert stored_spec(archive) == tiny_spec()
    study = tiny_study(old)
    jobs = study.archive.counts()["jobs"]
    assert story(study.run(workers=0)) == story(front_of(tiny_run))
    assert study.archive.counts()["jobs"] == jobs
    study.archive.close()
    with pytest.raises(SpecError, match=r"families\.linear is null there, \{.* here; choose"):
        tiny_study(old, families=TINY.model_copy(update={"linear": LinearSpec()}))


def test_same_seed_same_front_with_worker_processes(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacsr.study.design_jobs", lambda *_: ())  # what is emitted repeats below
    found = story(tiny_study(tmp_path / "again").run(workers=2))
    assert found == story(front_of(tiny_run), without=("csim", "rtlsim"))


def test_a_budget_of_ones_own_is_part_of_the_study(tmp_path: Path) -> None:
    budget = replace(BUDGETS["quick"], population=3, generations=1)
    study = Study(tiny_spec(), tmp_path / "run", dataset=tiny_dataset(), budget=budget)
    jobs = [job for frontend in study._frontends() for job in frontend.ask()]
    (networks,) = [j.payload["networks"] for j in jobs if j.family == "network"]
    assert len(networks) <= 3
    with pytest.raises(SpecError, match="the same study with another budget; choose another"):
        tiny_study(tmp_path / "run")
    again = Study(tiny_spec(), tmp_path / "run", dataset=tiny_dataset(), budget=budget)
    assert again.budget == budget


def test_networks_are_searched_for_the_goals_of_the_study(tmp_path: Path) -> None:
    spec = tiny_spec(
        objectives=("luts", "accuracy"),
        constraints=ConstraintSpec(luts=700),
        families=TINY.model_copy(update={"expression": None}),
    )
    study = Study(spec, tmp_path / "run", dataset=tiny_dataset())
    (frontend,) = study._frontends()
    assert frontend._goals == Goals(("luts", "accuracy"), "vu13p", limits(spec))
    assert limits(spec)["luts"] == 700


def test_another_study_is_not_mixed_in(tiny_run: Path) -> None:
    which = "holds another study: seed is 1 there, 2 here; choose another folder"
    with pytest.raises(SpecError, match=which):
        tiny_study(tiny_run, seed=2)
    families = TINY.model_dump() | {"network": None}
    with pytest.raises(SpecError, match=r": families\.network is \{.* there, null here; choose"):
        tiny_study(tiny_run, families=families)
    other = tiny_dataset()
    x = other.x.copy()
    x[0, 0] += 1
    moved = nacsr.from_arrays(x, other.y, features=other.features, classes=other.classes)
    with pytest.raises(SpecError, match="the same study on other events"):
        Study(tiny_spec(), tiny_run, dataset=moved, budget=BUDGET)


def test_a_design_of_the_run_is_a_design_of_the_library(tiny_run: Path) -> None:
    entry = front_of(tiny_run)[0]
    design = nacsr.compile(f"{tiny_run}:{entry.id}")
    assert design.graph == entry.graph
    assert design == from_run(tiny_run, entry.id)
    data = tiny_dataset()
    by_words = design.run(design.words(data.x))
    assert np.array_equal(design.run(data.x), by_words)
    raw = scores(design.graph, design.setting.features, design.words(data.x))
    assert np.array_equal(np.argsort(by_words, kind="stable"), np.argsort(raw, kind="stable"))


SCRIPT = """
import sys
from pathlib import Path
from tests.study.conftest import tiny_study
if __name__ == "__main__":
    tiny_study(Path(sys.argv[1])).run(workers=2)
"""


def test_kill_9_in_the_middle_then_again_gives_the_uninterrupted_front(
    tiny_run: Path, tmp_path: Path
) -> None:
    script, out = tmp_path / "go.py", tmp_path / "killed"
    script.write_text(SCRIPT)
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    child = subprocess.Popen([sys.executable, str(script), str(out)], env=env)
    deadline = time.monotonic() + 120
    while jobs_in(out) < 3 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = jobs_in(out)
    assert kept >= 3
    study = tiny_study(out)
    assert story(study.run(workers=0)) == story(front_of(tiny_run))
    assert study.archive.counts()["jobs"] > kept or child.returncode == 0


class Stop:
    """An observer that interrupts after some jobs, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    def asked(self, family: str, phase: str, jobs: int) -> None:
        pass

    def done(self, job: Job, outcome: Outcome, *, replayed: bool) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_interrupted_and_run_again_in_the_same_process(tiny_run: Path, tmp_path: Path) -> None:
    study = tiny_study(tmp_path / "run")
    for after in (2, 6, 11):
        with pytest.raises(KeyboardInterrupt):
            study.run(workers=0, observer=Stop(after))
    assert story(study.run(workers=0)) == story(front_of(tiny_run))


def test_a_missing_compiler_stops_the_study_and_condemns_no_design(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(tiny_run, out)
    shutil.rmtree(out / "designs")
    study = tiny_study(out)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="CXX"):
        study.run(workers=0)
    monkeypatch.delenv("CXX")
    assert story(study.run(workers=0)) == story(front_of(tiny_run))
    ids = {e.id for e in finalists(study.archive, study.spec)}
    assert {f.name for f in (out / "designs").iterdir()} == ids | {f"{i}_rtl" for i in ids}


def test_a_design_that_the_compiler_refuses_leaves_the_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuse_the_first(*args: object, **kwargs: object) -> Path:
        if not refused:
            refused.append(args)
            raise CompileError("g++ cannot compile this: error: a test")
        return compile_cpp(*args, **kwargs)

    compile_cpp = gxx.compile
    monkeypatch.setattr(gxx, "compile", refuse_the_first)
    study = tiny_study(tmp_path / "run")
    front = study.run(workers=0)
    failed = [e for e in study.archive.entries() if e.failed]
    assert [e.failed for e in failed] == ["g++ cannot compile this: error: a test"]
    assert failed[0].id not in {e.id for e in front}


def test_two_processes_never_share_a_run_folder(tiny_run: Path) -> None:
    study = tiny_study(tiny_run)
    with (tiny_run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="another nacsr works in"):
            study.run(workers=0)


def jobs_in(out: Path) -> int:
    try:
        with Archive(out) as archive:
            return archive.counts()["jobs"]
    except nacsr.NacsrError:
        return 0


def test_report_files_and_json_agree_with_the_archive(tiny_run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nacsr", "front", str(tiny_run), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = json.loads(done.stdout)
    assert [r["id"] for r in shown] == [e.id for e in front_of(tiny_run)]
    assert all(r["hardware"].startswith("analytic, csynth, nacsr") for r in shown)


# ---- trained modules out of a run


def test_a_module_is_its_design_bit_for_bit(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        designs = archive.entries(designs_only=True)
    problem = tiny_study(tiny_run).prepared.problem
    events = problem.validation
    networks = [e for e in designs if e.candidate.family == "network"]
    found = [e for e in networks if e.candidate.genotype["training"] not in DESCENTS]
    assert found != networks
    trainings = {str(e.candidate.genotype["training"]) for e in found}
    assert "brevitas" in trainings
    assert any(t.startswith("brevitas after cost pruning") for t in trainings)
    for entry in found:
        module = nacsr.load_module(f"{tiny_run}:{entry.id[:8]}")
        assert not module.training
        out = entry.graph.ops[entry.graph.outputs[0][1]].type
        ours = out.to_float(scores(entry.graph, problem.features, events.words))
        assert (ours == qat.outputs(module, problem.values(events))).all()


def first(run: Path, family: str, *, design: bool, training: str = "") -> str:
    with Archive(run) as archive:
        for entry in archive.entries():
            made = (entry.candidate.family, entry.graph_text is not None) == (family, design)
            found = entry.candidate.genotype.get("training")
            if made and (found == training or (not training and found not in DESCENTS)):
                return entry.id
    raise AssertionError


def test_what_has_no_module_says_so(tiny_run: Path) -> None:
    with pytest.raises(ArchiveError, match="'net' names no design; give RUN:ID, such as"):
        nacsr.load_module("net")
    formula = first(tiny_run, family="expression", design=True)
    with pytest.raises(ArchiveError, match="is a formula, which has no module"):
        nacsr.load_module(f"{tiny_run}:{formula}")
    for training in DESCENTS:
        small = first(tiny_run, family="network", design=True, training=training)
        with pytest.raises(ArchiveError, match=rf"is a network without a module \({training}\)"):
            nacsr.load_module(f"{tiny_run}:{small}")
    searched = first(tiny_run, family="network", design=False)
    with pytest.raises(ArchiveError, match="is a candidate of the search, not a design"):
        nacsr.load_module(f"{tiny_run}:{searched}")


def test_parameters_that_are_not_the_design_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    id_ = first(run, family="network", design=True)
    with Archive(run) as archive:
        origin = archive.origin(id_)
        assert origin is not None
        (key,) = archive._db.execute("SELECT job FROM candidates WHERE id = ?", (id_,)).fetchone()
        other = {name: array + 1 for name, array in origin.arrays.items()}
        archive.record(key, replace(origin, arrays=other))
    with pytest.raises(ArchiveError, match="the parameters are not those of the design"):
        nacsr.load_module(f"{run}:{id_}")
    with Archive(run) as archive:
        archive.record(key, replace(origin, result={}, arrays={}))
    with pytest.raises(ArchiveError, match="the run keeps no parameters of this design"):
        nacsr.load_module(f"{run}:{id_}")
