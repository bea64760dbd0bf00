"""The benchmark of small networks: da4ml computes the same function, and fronts are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.frontends.neural.lean import model
from nacsr.frontends.neural.lean.state import Stack, State, stack_of
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.neural.tables import model as tables_model
from tests.unit.descents import drawn_tables

ROOT = Path(__file__).resolve().parents[2]
INPUTS = 16


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Modules of benchmarks/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import da4ml_logic
        import lean_da4ml
        import small_networks
        import tables_da4ml

        yield SimpleNamespace(
            kinds=da4ml_logic.KINDS, lean=lean_da4ml, tables=tables_da4ml, networks=small_networks
        )


def drawn_lean(seed: int) -> tuple[Stack, State]:
    """A small network with all that pruning leaves behind: few digits, few bits or none."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 7, rng.integers(1, 3))
    hidden = (Dense(int(width), activation="relu") for width in widths)
    stack = stack_of(Network((INPUTS,), (*hidden, Dense(3))))
    size = int(stack.biases(len(stack.inputs) - 1).stop)
    reads, rows = int(stack.reads[-1]), int(stack.rows[-1])

    def bits(low: int, high: int, count: int) -> np.ndarray:
        return rng.integers(low, high, count).astype(np.float32)

    state = State(
        rng.normal(0, 1, size).astype(np.float32),
        rng.integers(0, 3, size).astype(np.int8),
        bits(-1, 6, reads),
        bits(-1, 5, rows),
        bits(-1, 3, reads),
        bits(-2, 3, rows),
    )
    return stack, state


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_logic_is_the_network(bench: SimpleNamespace, seed: int) -> None:
    stack, state = drawn_lean(seed)
    rng = np.random.default_rng(seed)
    x = np.clip(np.rint(rng.normal(0, 160, (200, INPUTS))), -1024, 1023) / 64
    wanted, _ = model.scores(stack, state, x.astype(np.float32))
    for kind in bench.kinds:
        found = bench.lean.logic(stack, state, kind).predicted(x)
        assert (found == wanted).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_logic_of_tables_is_the_network(bench: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 6, rng.integers(1, 3))
    network = Network((INPUTS,), (*(Dense(int(width)) for width in widths), Dense(3)))
    state = drawn_tables(network, rng)
    state[0].signed[:], state[0].away[:] = True, 0  # as of standardised words
    tables_model.settle(state)
    x = np.clip(np.rint(rng.normal(0, 160, (200, INPUTS))), -1024, 1023) / 64
    for kind in bench.kinds:
        found = bench.tables.logic(state, kind).predicted(x)
        assert (found == tables_model.scores(state, x)).all()


def test_front_is_chosen_by_validation(bench: SimpleNamespace) -> None:
    point = bench.networks.Point
    good, lucky, worse = (
        point(100, 0.70, 0.71, 2),
        point(200, 0.60, 0.72, 2),
        point(300, 0.75, 0.70, 3),
    )
    assert bench.networks.front([worse, lucky, good]) == [good, lucky]
    assert bench.networks.best_within([good, lucky], 250) == lucky
    assert bench.networks.best_within([good, lucky], 99) is None


def test_hypervolume_is_decades_times_error(bench: SimpleNamespace) -> None:
    point = bench.networks.Point
    alone = bench.networks.hypervolume([point(2_000, 0.70, 0.7, 2)])
    assert alone == pytest.approx(1 * 0.1)  # a decade below 20,000, error 0.1 below 0.4
    beaten = [point(2_000, 0.70, 0.7, 2), point(3_000, 0.65, 0.7, 2), point(30_000, 0.9, 0.9, 2)]
    assert bench.networks.hypervolume(beaten) == pytest.approx(alone)


def test_anchor_is_read_from_a_run(bench: SimpleNamespace, tmp_path: Path) -> None:
    line = {"lut": 300, "lut_words": 310, "test": 0.67, "validation": 0.68, "cycles": 2, "ff": 90}
    file = tmp_path / "anchor.jsonl"
    file.write_text("".join(json.dumps(line | {"epoch": n}) + "\n" for n in (1, 2)))
    found = bench.networks.anchor_of(file)
    assert found["words"] == [bench.networks.Point(310, 0.67, 0.68, 2, 90, "epoch 1")]
    published = bench.networks.anchor_of(None)["own inputs"]
    assert [p.luts for p in published] == sorted(p.luts for p in published)
    assert len(published) == 11
