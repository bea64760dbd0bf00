"""The RTL back end computes what the interpreter computes: simulated Verilog, compared with ``==``.

Every case is emitted as a project and simulated by its own testbench in iverilog, an event a
cycle; a few go through verilator as well. The mutation tests reuse the stored outputs; that
wrong Verilog is noticed, row by row, is shown in ``tests/unit/test_emit_rtl.py``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from nacsr.emit import rtl
from nacsr.emit import vectors as vec
from nacsr.emit.project import ProjectMeta, load
from nacsr.emit.rtl_simulate import simulate
from nacsr.errors import EmitError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.ir import OPS, Builder, evaluate
from nacsr.testing import Case, EmitterConformance, mismatches, random_graph, words
from nacsr.tools import iverilog, verilator

META = ProjectMeta(
    name="top", part="xcvu9p-flga2577-2-e", target="vu9p", clock_mhz=300.0, flow="rtl", features=()
)
CLOCKS_MHZ = (60.0, 200.0, 400.0, 800.0)
"""From designs of a single stage to a register behind almost every operator."""


REFUSED: Mapping[str, Raw] = {}
"""In place of outputs: unrolling the case would need a value of 64 bits."""


def run_case(case: Case, clock_mhz: float, tool: ModuleType = iverilog) -> Mapping[str, Raw]:
    """The outputs of a simulated project; latency and interval are what it promises."""
    try:
        return emit_and_simulate(case, clock_mhz, tool)
    except EmitError as error:
        if "must be 1..63 bits" in str(error) and widest(case) > 40:
            return REFUSED
        raise


def widest(case: Case) -> int:
    return max(op.type.width for op in case.graph.ops)


def emit_and_simulate(case: Case, clock_mhz: float, tool: ModuleType) -> Mapping[str, Raw]:
    with TemporaryDirectory() as scratch:
        meta = replace(META, clock_mhz=clock_mhz)
        project = load(rtl.emit(case.graph, Path(scratch) / "p", meta, case.words))
        inputs, outputs = vec.input_layout(case.graph), vec.output_layout(case.graph)
        expected = vec.flatten(evaluate(case.graph, case.words), outputs)
        found = simulate(project, vec.flatten(case.words, inputs), expected, tool)
        assert found.latency_cycles == project.manifest["latency_cycles"]
        assert found.ii_cycles in (1, None)
        return vec.unflatten(found.words, outputs)


def run_cases(cases: Sequence[Case], tool: ModuleType = iverilog) -> list[Mapping[str, Raw]]:
    """All cases, at clocks that take turns, two simulations at a time."""
    clocks = [CLOCKS_MHZ[k % len(CLOCKS_MHZ)] for k in range(len(cases))]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(partial(run_case, tool=tool), cases, clocks))


class RtlConformance(EmitterConformance):
    """Everything simulated; what is too wide to unroll is left out, if it is rare."""

    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        return run_cases(cases)

    def results(self) -> Iterator[tuple[Case, Mapping[str, Raw]]]:
        results = list(super().results())
        done = [(case, found) for case, found in results if found is not REFUSED]
        assert len(done) >= 0.97 * len(results)
        return iter(done)


class TestRtl(RtlConformance):
    """The default batch, and the proof that it would notice another meaning of any op."""

    count: ClassVar[int] = 25
    events: ClassVar[int] = 200

    @pytest.mark.parametrize("name", sorted(set(OPS) - {"input"}))
    def test_a_changed_meaning_is_noticed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        results = list(self.results())
        true = OPS[name].eval
        flipped = replace(OPS[name], eval=lambda op, args, raws: ~true(op, args, raws))
        monkeypatch.setitem(OPS, name, flipped)
        assert any(mismatches(case, found) for case, found in results if has(case, name))


def has(case: Case, name: str) -> bool:
    return any(op.name == name for op in case.graph.ops)


@pytest.mark.slow
class TestRtlLarge(RtlConformance):
    count: ClassVar[int] = 200
    events: ClassVar[int] = 500
    seed: ClassVar[int] = 2


def every_cast(seed: int, widest: int) -> Case:
    """One port cast with every rounding and overflow mode, to types of any relation to its own."""
    rng = random.Random(seed)
    width = rng.randint(1, widest)
    source = Fixed(width, rng.randint(-4, width + 4), rng.random() < 0.5)
    b = Builder()
    x = b.input("x", source)
    for mode in [(r, o) for r in Rounding for o in Overflow]:
        bits = rng.randint(1, widest)
        frac = source.frac + rng.choice((-width - 1, -width, 1 - width, -3, -2, -1, 0, 1, 5))
        to = Fixed(bits, bits - frac, rng.random() < 0.5, *mode)
        b.output(" ".join(mode), b.op("cast", x, type=to))
    graph = b.build()
    if width > 8:
        return Case(graph, words(graph, 300, seed))
    return Case(graph, {"x": np.arange(source.min_raw, source.max_raw + 1)})


def agree(cases: Sequence[Case], tool: ModuleType = iverilog) -> bool:
    return not any(mismatches(c, f) for c, f in zip(cases, run_cases(cases, tool), strict=True))


def test_casts_between_any_types() -> None:
    assert agree([every_cast(seed, 8) for seed in range(8)])
    assert agree([every_cast(seed, 50) for seed in range(4)])


@pytest.mark.slow
def test_many_casts_between_any_types() -> None:
    assert agree([every_cast(seed, 8) for seed in range(100, 180)])


def drawn(seed: int, events: int) -> Case:
    graph = random_graph(random.Random(seed), 15)
    return Case(graph, words(graph, events, seed))


def test_verilator_agrees() -> None:
    assert agree([drawn(11, 500)], verilator)


@pytest.mark.slow
def test_verilator_agrees_on_more_graphs() -> None:
    assert agree([drawn(seed, 500) for seed in range(12, 18)], verilator)
