"""Trained modules out of a run: the same numbers as the design, or a clear refusal."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import nacsr
from nacsr.archive import Archive
from nacsr.errors import ArchiveError
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.frontend import DESCENTS
from nacsr.frontends.stem import scores
from nacsr.study import Study
from tests.study.conftest import tiny_dataset, tiny_spec


def test_a_module_is_its_design_bit_for_bit(tiny_run: Path) -> None:
    with Archive(tiny_run) as archive:
        designs = archive.entries(designs_only=True)
    problem = Study(tiny_spec(), tiny_run, dataset=tiny_dataset()).prepared.problem
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
