"""The HLS back end: what a project holds, that it proves itself, and how it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.words import Feature
from nacsr.emit import hls
from nacsr.emit.cpp import ROWS
from nacsr.emit.names import identifier, identifiers
from nacsr.emit.project import MANIFEST, ProjectMeta, load
from nacsr.emit.vectors import random_words
from nacsr.emit.verify import verify
from nacsr.errors import EmitError, FileError, ToolError
from nacsr.fixed import Fixed
from nacsr.ir import OPS, Builder, Graph, evaluate
from nacsr.tools import gxx
from nacsr.tools.headers import ap_types

META = ProjectMeta(
    name="jet tagger",
    part="xcvu9p-flga2577-2-e",
    target="vu9p",
    clock_mhz=240.0,
    flow="hls",
    features=(Feature("pT", Fixed(8, 4)), Feature("class", Fixed(6, 6, False))),
    classes=("quark", "gluon"),
    title="every op once",
)


def every_op() -> Graph:
    """A graph with every op of the table."""
    b = Builder()
    x = b.input("pT", Fixed(8, 4))
    n = b.input("class", Fixed(6, 6, False))
    v = b.input("word", Fixed(5, 2), (3,))
    half = b.const(3, Fixed(3, 1, False))
    total = b.op("mul", b.op("add", x, half), b.op("sub", n, x))
    small = b.cast(total, Fixed.parse("fixed<6,5,RND_CONV,SAT>"))
    table = [(k * k) % 13 - 6 for k in range(64)]
    looked = b.op("lut", small, type=Fixed(4, 2), function="made up", table=table)
    hidden = b.op(
        "dense",
        v,
        weight=[[1, -2], [0, 3], [-1, 1]],
        weight_type=Fixed(3, 1),
        bias=[5, -7],
        bias_type=Fixed(5, 3),
    )
    bent = b.op("relu", b.op("neg", hidden))
    bounded = b.op("min", b.op("max", bent, looked), b.op("abs", x))
    chosen = b.op("select", b.op("compare", x, n, kind="lt"), bounded, b.op("shift", small, n=-2))
    b.output("out", chosen)
    b.output("in", b.op("argmax", b.op("stack", x, looked, small)))
    b.output("image", tensors(b))
    b.output("bits", b.op("pack", b.op("compare", x, n, kind="lt"), small))
    return b.build()


def tensors(b: Builder) -> int:
    """A small network with every op on tensors; returns its last value."""
    image = b.input("pixels", Fixed(4, 2), (3, 4, 1))
    seen = b.op(
        "conv",
        image,
        weight=[[[[1, -2]], [[3, 0]]], [[[-1, 2]], [[2, 1]]]],
        weight_type=Fixed(3, 1),
        bias=[1, -1],
        bias_type=Fixed(3, 1),
        stride=[1, 2],
        padding=[[1, 0], [0, 1]],
    )
    pooled = b.op("pool", b.op("leaky_relu", seen, n=2), kind="max", window=[2, 1], stride=[1, 1])
    rows = b.op("reshape", pooled, to=[4, 2])
    turned = b.op("take", rows, index=[[6, 7, -1], [0, 2, 4]])
    joined = b.op("concat", b.transpose(rows, (1, 0)), turned, axis=1)
    return b.op("reduce", joined, axis=1, kind="sum")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return every_op()


@pytest.fixture(scope="module")
def pristine(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emit") / "project"
    return hls.emit(graph, out, META, random_words(graph, 40, 1))


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))


def test_the_graph_of_these_tests_has_every_op(graph: Graph) -> None:
    assert {op.name for op in graph.ops} == set(OPS)


@pytest.mark.parametrize(
    "name",
    [
        "jet_tagger.cpp",
        "jet_tagger.h",
        "tb/jet_tagger_tb.cpp",
        "tb/input.txt",
        "tb/expected.txt",
        "build_vitis.tcl",
        "build_vivado.tcl",
        "Makefile",
        "README.md",
        "graph.ir",
    ],
)
def test_emitted_text_is_unchanged(
    pristine: Path, golden: Callable[[str, str], None], name: str
) -> None:
    golden(f"hls/{name}", (pristine / name).read_text(encoding="utf-8"))


def test_manifest_names_design_and_every_file(pristine: Path, graph: Graph) -> None:
    manifest = json.loads((pristine / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["graph"] == graph.digest
    assert (manifest["part"], manifest["clock_mhz"]) == (META.part, 240.0)
    assert manifest["features"][0] == {"name": "pT", "type": "fixed<8,4>"}
    assert [p["identifier"] for p in manifest["inputs"]] == ["pT", "class_", "word", "pixels"]
    on_disk = {p.relative_to(pristine).as_posix() for p in pristine.rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], MANIFEST}
    for path, digest in manifest["files"].items():
        assert hashlib.sha256((pristine / path).read_bytes()).hexdigest() == digest
    assert (pristine / "ap_types/LICENSE").read_text(encoding="utf-8").count("Apache License")
    assert len(manifest["templates"]) == 8
    assert load(pristine).graph == graph


def test_same_design_gives_the_same_bytes(pristine: Path, graph: Graph, tmp_path: Path) -> None:
    again = hls.emit(graph, tmp_path / "again", META, random_words(graph, 40, 1))
    manifests = [(p / MANIFEST).read_bytes() for p in (pristine, again)]
    assert manifests[0] == manifests[1]


def test_make_check_passes_in_a_fresh_project(project: Path) -> None:
    done = subprocess.run(
        ["make", "check", "CXXFLAGS=-std=c++14 -w"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "40 events, 0 different" in done.stdout


def test_verify_runs_random_words_and_finds_no_difference(pristine: Path, graph: Graph) -> None:
    before = sorted(pristine.rglob("*"))
    found = verify(pristine, events=1000, seed=5)
    assert (found.events, found.words, found.mismatches) == (1000, 6000, 0)
    assert found.verified
    assert found.edited == ()
    assert "g++" in found.tool
    assert sorted(pristine.rglob("*")) == before


def test_verify_finds_a_wrong_bit_on_the_shipped_words(project: Path, graph: Graph) -> None:
    source = project / "jet_tagger.cpp"
    text = source.read_text(encoding="utf-8")
    assert text.count("AP_RND_CONV") >= 1
    source.write_text(text.replace("AP_RND_CONV", "AP_TRN"), encoding="utf-8")
    found = verify(project)
    assert found.events == 40
    assert found.mismatches > 0
    assert not found.verified
    assert found.edited == ("jet_tagger.cpp",)
    assert found.first.startswith("event ")
    assert "expected raw" in found.first


def test_testbench_fails_on_a_wrong_word(project: Path) -> None:
    expected = project / "tb/expected.txt"
    lines = expected.read_text().splitlines()
    expected.write_text("\n".join(["9 9 9 9 9", *lines[1:]]) + "\n")
    done = subprocess.run(
        ["make", "check", "CXXFLAGS=-std=c++14 -w"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "40 events, 1 different" in done.stdout
    assert "event 0: expected 9 9 9 9 9" in done.stderr


def test_a_large_expression_is_emitted_quickly(tmp_path: Path) -> None:
    b = Builder()
    t = Fixed(16, 6)
    values = [b.input(f"x{k}", t) for k in range(6)]
    for k in range(40):
        product = b.op(("mul", "add", "sub", "max")[k % 4], values[-1], values[k // 2])
        values.append(b.cast(product, t))
    for k in range(5):
        address = b.cast(values[-1 - k], Fixed(12, 4))
        b.output(f"y{k}", b.op("lut", address, type=t, function="f", table=range(4096)))
    graph = b.build()
    words = random_words(graph, 100, 1)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        hls.emit(graph, tmp_path / "p", META, words)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5


def test_a_network_on_tensors_is_emitted_as_loops(tmp_path: Path) -> None:
    b = Builder()
    x = b.input("x", Fixed(6, 2), (16, 16, 4))
    t = Fixed(4, 1)
    weight = np.arange(3 * 3 * 4 * 8).reshape(3, 3, 4, 8) % 15 - 7
    layer = {"weight": weight, "weight_type": t, "bias": np.zeros(8, int), "bias_type": t}
    conv = b.op("conv", x, stride=[1, 1], padding=[[1, 1], [1, 1]], **layer)
    b.output("y", b.op("reduce", b.op("reshape", conv, to=[256, 8]), kind="max", axis=0))
    hls.emit(b.build(), tmp_path / "p", META, random_words(b.build(), 5, 1))
    assert len((tmp_path / "p/jet_tagger.cpp").read_text().splitlines()) < 150


# --- refusals --------------------------------------------------------------------------


def test_an_op_without_a_row_is_refused_before_anything_is_written(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ROWS, "argmax")
    with pytest.raises(EmitError, match=r"%\d+ argmax: flow hls has no C\+\+ for it"):
        hls.emit(graph, tmp_path / "p", META, random_words(graph, 4, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_never_overwritten(graph: Graph, tmp_path: Path) -> None:
    keep = tmp_path / "mine" / "thesis.tex"
    keep.parent.mkdir()
    keep.write_text("years of work")
    (keep.parent / MANIFEST).write_text('{"format": "something else"}')
    with pytest.raises(EmitError, match="is no nacsr project"):
        hls.emit(graph, keep.parent, META, random_words(graph, 4, 1))
    assert keep.read_text() == "years of work"


def test_a_project_is_replaced_whole(project: Path, graph: Graph) -> None:
    (project / "stale.rpt").write_text("old")
    hls.emit(graph, project, META, random_words(graph, 3, 2))
    assert not (project / "stale.rpt").exists()
    assert len((project / "tb/input.txt").read_text().splitlines()) == 3
    assert [p.name for p in project.parent.iterdir()] == ["copy"]


def test_a_failed_write_leaves_the_old_project(
    project: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (project / MANIFEST).read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(FileError, match="No space left on device; choose"):
            hls.emit(graph, project, META, random_words(graph, 3, 2))
    assert (project / MANIFEST).read_bytes() == before
    assert [p.name for p in project.parent.iterdir()] == ["copy"]


def test_a_folder_that_cannot_be_written_is_one_line(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write the project") as caught:
        hls.emit(graph, tmp_path / "file" / "p", META, random_words(graph, 4, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"part": "x; exec rm"}, "part must be"), ({"clock_mhz": 0.0}, "clock_mhz must be above 0")],
)
def test_meta_that_would_break_a_script_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(EmitError, match=message):
        replace(META, **change)


def cut(path: Path) -> None:
    path.write_text(path.read_text()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("graph.ir", r"graph\.ir does not match its digest"),
        ("tb/input.txt", r"tb/input\.txt does not match its digest"),
        ("tb/expected.txt", r"tb/expected\.txt does not match its digest"),
        (MANIFEST, "is not whole"),
    ],
)
def test_a_project_that_is_not_whole_is_refused(project: Path, path: str, message: str) -> None:
    cut(project / path)
    with pytest.raises(EmitError, match=message) as caught:
        verify(project)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "nacsr-project 99", "expected format 'nacsr-project 1'"),
        ("sources", None, "an entry is missing"),
        ("sources", ["../../elsewhere.cpp"], "an entry is missing or of the wrong kind"),
        ("files", ["graph.ir"], "an entry is missing or of the wrong kind"),
        ("graph", "0" * 64, "is not the graph that"),
    ],
)
def test_a_malformed_manifest_is_refused(
    project: Path, key: str, value: object, message: str
) -> None:
    manifest = json.loads((project / MANIFEST).read_text())
    manifest[key] = value
    (project / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(EmitError, match=message):
        verify(project)


def test_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmitError, match=r"cannot read .*manifest\.json: No such file"):
        verify(tmp_path)


def test_shipped_words_of_another_graph_are_refused(project: Path) -> None:
    """Digests made to match: what the words say is checked as well."""
    lines = (project / "tb/expected.txt").read_text().splitlines()
    for text, message in (
        ("\n".join(["1 1 1 1 1 1", *lines[1:]]), "is not what graph.ir computes"),
        ("1 1", r"line 1: expected 6 integers"),
        ("1 1 1 1 1 x", r"line 1: expected 6 integers"),
    ):
        (project / "tb/expected.txt").write_text(text + "\n")
        manifest = json.loads((project / MANIFEST).read_text())
        digest = hashlib.sha256((project / "tb/expected.txt").read_bytes()).hexdigest()
        manifest["files"]["tb/expected.txt"] = digest
        (project / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(EmitError, match=message):
            verify(project)


# --- words, names, tools ---------------------------------------------------------------


def test_random_words_hold_corners_and_the_seed_decides(graph: Graph) -> None:
    one, same, other = (random_words(graph, 50, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[k], same[k]) for k in one)
    assert any(not np.array_equal(one[k], other[k]) for k in one)
    assert one["pT"][:3].tolist() == [-128, 127, 0]
    assert one["class"][:3].tolist() == [0, 63, 0]
    evaluate(graph, one)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pT", "pT"),
        ("float", "float_"),
        ("Δη(jj)", "delta_eta_jj"),
        ("é", "e"),
        ("42", "n_42"),
        ("NULL", "null_"),
        ("wire", "wire_"),
        ("always_ff", "always_ff_"),
        ("v3_table", "v3_table_"),
        ("m(π)", "m_pi"),
        ("__x__", "x"),
        ("日本", "unnamed"),
        ("errno", "errno_"),
    ],
)
def test_names_become_safe(name: str, expected: str) -> None:
    assert identifier(name) == expected


def test_clashing_names_stay_apart() -> None:
    found = identifiers(["a", "a ", "a_2", "top", "int", "int_"], taken=["top"])
    assert len(set(found)) == 6
    assert "top" not in found


def test_no_macro_of_the_headers_survives_as_a_name(tmp_path: Path) -> None:
    source = tmp_path / "all.cpp"
    heads = ("ap_fixed.h", "fstream", "iostream", "sstream", "string", "cmath", "cstdio")
    source.write_text("".join(f"#include <{h}>\n" for h in heads))
    command = [*gxx.find(), "-std=c++14", "-dM", "-E", f"-I{ap_types()}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    macros = {line.split()[1].split("(")[0] for line in done.stdout.splitlines()}
    assert "INLINE" in macros
    assert {m for m in macros if identifier(m) in macros} == set()


def test_a_missing_compiler_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="CXX='no-such-compiler' does not name a program"):
        gxx.version()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"g\+\+ not found on PATH; .*set CXX"):
        gxx.find()


def test_a_compile_error_is_its_first_line(tmp_path: Path) -> None:
    source = tmp_path / "bad.cpp"
    source.write_text("int main() {\n  return missing;\n}\nint x = y;\n")
    with pytest.raises(ToolError, match=r"bad\.cpp:2:.* error: .*missing") as caught:
        gxx.compile([source], tmp_path / "bad")
    assert "\n" not in str(caught.value)
