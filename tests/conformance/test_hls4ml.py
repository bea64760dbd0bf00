"""hls4ml's C++, compiled, equals the interpreter bit for bit; what differs is noticed."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from nacsr.data.words import Feature, Scaling
from nacsr.emit import hls4ml
from nacsr.emit import vectors as vec
from nacsr.emit.project import ProjectMeta, load
from nacsr.emit.verify import run, verify
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir import verify as verify_graph
from nacsr.ir.graph import Op, freeze

EVENTS = 1000
TRAINED = ("RND_CONV", "SAT")  # the modes that quantisers of training use


@dataclass(frozen=True)
class Dice:
    """Random types and constants of a network."""

    rng: np.random.Generator
    any_modes: bool

    def upto(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def modes(self, type_: Fixed) -> Fixed:
        if not self.any_modes:
            return type_.with_modes(*TRAINED)
        rounding, overflow = self.rng.choice(list(Rounding)), self.rng.choice(list(Overflow))
        return type_.with_modes(str(rounding), str(overflow))

    def features(self, count: int, folded: bool) -> tuple[tuple[Feature, ...], Scaling]:
        if not folded:
            features = tuple(Feature(f"f{j}", Fixed(16, 5)) for j in range(count))
            return features, Scaling("external", (0,) * count, (0,) * count)
        types = [Fixed(16, self.upto(2, 12), bool(self.upto(0, 1))) for _ in range(count)]
        features = tuple(Feature(f"f{j}", t) for j, t in enumerate(types))
        offsets = tuple(self.upto(t.min_raw, t.max_raw) for t in types)
        return features, Scaling("folded", offsets, tuple(self.upto(-3, 8) for _ in types))

    def dense(self, b: Builder, x: int, outputs: int) -> int:
        bits = int(self.rng.choice([4, 6, 8, 12]))
        type_, bias_type = Fixed(bits, self.upto(-2, 2)), Fixed(bits + 2, self.upto(-1, 3))
        shape = (b.ops[x].shape[0], outputs)
        weight = self.rng.integers(type_.min_raw, type_.max_raw, shape, endpoint=True)
        weight[0], weight[-1] = type_.max_raw, type_.min_raw  # saturated
        weight[:, self.upto(0, outputs - 1)] = 0  # only its bias is left
        bias = self.rng.integers(bias_type.min_raw, bias_type.max_raw, outputs, endpoint=True)
        return b.op("dense", x, weight=weight, weight_type=type_, bias=bias, bias_type=bias_type)

    def activation(self, b: Builder, x: int) -> int:
        rectified = self.upto(0, 3) > 0
        if rectified:
            x = b.op("relu", x)
        bits = int(self.rng.choice([4, 6, 8, 12]))
        return b.cast(x, self.modes(Fixed(bits, self.upto(0, 4), not rectified)))

    def table(self, b: Builder, x: int) -> int:
        x = b.cast(x, self.modes(Fixed(6, self.upto(1, 3))))
        table = self.rng.integers(-256, 256, 64)
        x = b.op("lut", x, type=Fixed(9, 2), function="random", table=table)
        return b.cast(x, self.modes(Fixed(5, 2, signed=False))) if self.upto(0, 1) else x


def random_network(seed: int, any_modes: bool) -> Graph:
    """Depth 1 to 3, 3 to 16 wide, types mixed by layer; tables too where any mode goes."""
    dice = Dice(np.random.default_rng(seed), any_modes)
    b = Builder()
    features, scaling = dice.features(dice.upto(3, 16), folded=seed % 2 == 0)
    x = b.cast(vector_stem(b, features, scaling), dice.modes(Fixed(8, 3)))
    for _ in range(seed % 3):
        x = dice.activation(b, dice.dense(b, x, dice.upto(3, 16)))
        if any_modes and dice.upto(0, 1):
            x = dice.table(b, x)
    x = dice.dense(b, x, dice.upto(3, 16))
    if dice.upto(0, 1):
        x = b.cast(x, dice.modes(Fixed(10, 5)))
    b.output("scores", x)
    return verify_graph(b.build())


def tiny_network() -> Graph:
    """Two layers whose every weight reaches the output."""
    dice = Dice(np.random.default_rng(5), any_modes=False)
    b = Builder()
    x = b.cast(b.input("x", Fixed(8, 3), (3,)), Fixed.parse("fixed<6,3,RND_CONV,SAT>"))
    x = b.op("relu", dice.dense(b, x, 4))
    hidden = b.cast(x, Fixed.parse("ufixed<12,6,RND_CONV,SAT>"))
    b.output("scores", dice.dense(b, hidden, 3))
    b.output("hidden", hidden)
    return b.build()


def emit(graph: Graph, out: Path, name: str = "tagger") -> Path:
    meta = ProjectMeta(name, "xcvu9p-flga2577-2-e", "vu9p", 200.0, "hls4ml", ())
    return hls4ml.emit(graph, out, meta, vec.random_words(graph, 20, seed=1))


def check_network(seed: int, any_modes: bool, out: Path) -> None:
    graph = random_network(seed, any_modes)
    reached = evaluate(graph, vec.random_words(graph, EVENTS, seed))["scores"]
    constant = (reached == reached[0]).all(axis=0)
    assert constant.sum() <= 1  # the zeroed column; equality of constants would prove little
    found = verify(emit(graph, out), events=EVENTS, seed=seed)
    assert found.mismatches == 0, found.first
    assert found.events == EVENTS
    assert found.words >= 3 * EVENTS


@pytest.mark.parametrize("seed", range(4))
def test_trained_modes_are_exact(seed: int, tmp_path: Path):
    check_network(seed, False, tmp_path / "out")


@pytest.mark.parametrize("seed", [10, 11, 17])
def test_every_mode_and_tables_are_exact(seed: int, tmp_path: Path):
    check_network(seed, True, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 40))
def test_more_networks_are_exact(seed: int, tmp_path: Path):
    check_network(seed, seed % 4 > 0, tmp_path / "out")


@pytest.mark.slow
def test_a_jet_tagger_is_exact(tmp_path: Path):
    dice = Dice(np.random.default_rng(0), any_modes=False)
    b = Builder()
    x = b.cast(vector_stem(b, *dice.features(16, folded=True)), Fixed(8, 3).with_modes(*TRAINED))
    for width in (64, 32, 32):
        x = b.op("relu", dice.dense(b, x, width))
        x = b.cast(x, Fixed(8, 3, signed=False).with_modes(*TRAINED))
    b.output("scores", dice.dense(b, x, 5))
    found = verify(emit(b.build(), tmp_path / "out"), events=5000)
    assert (found.mismatches, found.words) == (0, 25_000)


def mutants(graph: Graph) -> list[Graph]:
    """One step of one weight, one rounding mode, one table of types: each a different design."""
    found = []
    for index, op in enumerate(graph.ops):
        changed: Op | None = None
        if op.name == "dense":
            weight = np.array(op.array("weight"))
            weight[1, 1] += 1
            changed = replace(op, attrs=freeze({**op.attrs, "weight": weight}))
        elif op.name == "cast":
            changed = replace(op, type=op.type.with_modes("TRN", "SAT"))
        if changed is not None:
            ops = (*graph.ops[:index], changed, *graph.ops[index + 1 :])
            found.append(verify_graph(Graph(ops, graph.outputs)))
    return found


def test_what_differs_is_noticed(tmp_path: Path):
    graph = tiny_network()
    root = emit(graph, tmp_path / "out", name="w3")  # a name that hls4ml uses itself
    words = vec.random_words(graph, EVENTS, seed=3)
    layout = vec.output_layout(graph)
    found = run(load(root), vec.flatten(words, vec.input_layout(graph)))
    assert (found == vec.flatten(evaluate(graph, words), layout)).all()
    different = mutants(graph)
    assert len(different) == 4
    for mutant in different:
        assert (found != vec.flatten(evaluate(mutant, words), layout)).any()


def test_an_edited_constant_is_noticed(tmp_path: Path):
    root = emit(tiny_network(), tmp_path / "out")
    weights = root / "firmware" / "weights" / "b5.h"
    text = weights.read_text()
    start = text.index("{") + 1
    end = text.index(",", start)
    weights.write_text(f"{text[:start]}{float(text[start:end]) + 0.5:.12f}{text[end:]}")
    found = verify(root)
    assert found.mismatches > 0
    assert found.edited == ("firmware/weights/b5.h",)


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="no tclsh to read the scripts with")
def test_the_vitis_script_names_files_that_exist(tmp_path: Path):
    root = emit(tiny_network(), tmp_path / "out")
    script = "proc unknown args { puts [join $args |] }; proc exit args {}; source build_prj.tcl"
    done = subprocess.run(
        ["tclsh"], input=script, cwd=root, capture_output=True, text=True, check=True
    )
    calls = [line.split("|") for line in done.stdout.splitlines()]
    files = [call[2] if call[1] == "-tb" else call[1] for call in calls if call[0] == "add_files"]
    assert files == ["firmware/tagger.cpp", "tb/tagger_tb.cpp", "firmware/weights"]
    assert all((root / f).exists() for f in files)
    simulation = next(call for call in calls if call[0] == "csim_design")
    assert all(Path(f).is_file() or f.endswith("output.txt") for f in simulation[2].split())
    assert ["set_part", "xcvu9p-flga2577-2-e"] in calls
    assert ["create_clock", "-period", "5.0", "-name", "default"] in calls
