"""What third parties are given: draws that keep to their ops, and a suite that can fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from nacsr.errors import EmitError
from nacsr.fixed import Raw
from nacsr.ir import OPS, Graph, evaluate
from nacsr.testing import EVERY_OP, Case, EmitterConformance, random_cases, random_graph

FEW = frozenset({"input", "const", "cast", "add", "mul", "lut", "reshape"})


def refuse(graph: Graph) -> None:
    for op in graph.ops:
        if op.name not in FEW:
            msg = f"no hardware for {op.name}"
            raise EmitError(msg)


class Suite(EmitterConformance):
    """A back end of few ops: the interpreter itself. Not collected: its name has no Test."""

    ops = FEW
    count = 20
    events = 50

    def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
        return [evaluate(case.graph, case.words) for case in cases]

    def emit(self, graph: Graph, out: Path) -> None:
        refuse(graph)
        out.mkdir()


def half_way(graph: Graph, out: Path) -> None:
    out.mkdir()
    refuse(graph)


def without_a_name(graph: Graph, out: Path) -> None:
    msg = "cannot do that"
    raise EmitError(msg)


def test_graphs_of_few_ops_have_no_other() -> None:
    for seed in range(50):
        assert {op.name for op in random_graph(random.Random(seed), 12, FEW).ops} <= FEW
    cases = random_cases(5, 10, 1, FEW)
    assert len(cases) == 5 + len(FEW)
    assert {op.name for case in cases for op in case.graph.ops} == FEW


def test_every_op_is_claimed_unless_said_otherwise() -> None:
    assert set(EmitterConformance.ops) == EVERY_OP == set(OPS)


def test_a_right_back_end_of_few_ops_passes(tmp_path: Path) -> None:
    suite = Suite()
    suite.test_every_output_word_is_equal()
    suite.test_every_op_and_mode_was_covered()
    suite.test_other_ops_are_refused_before_anything_is_written(tmp_path)


@pytest.mark.parametrize("emit", [half_way, without_a_name, lambda graph, out: None])
def test_a_sloppy_refusal_is_noticed(emit: Callable[[Graph, Path], None], tmp_path: Path) -> None:
    class Sloppy(Suite):
        def emit(self, graph: Graph, out: Path) -> None:
            emit(graph, out)

    with pytest.raises(AssertionError, match=r"not refused.*argmax, compare, concat, conv"):
        Sloppy().test_other_ops_are_refused_before_anything_is_written(tmp_path)


def test_a_wrong_bit_and_a_missing_op_are_noticed() -> None:
    class Wrong(Suite):
        def run(self, cases: Sequence[Case]) -> list[Mapping[str, Raw]]:
            found = super().run(cases)
            first = next(iter(found[3]))
            return [*found[:3], {**found[3], first: found[3][first] ^ 1}, *found[4:]]

    with pytest.raises(AssertionError, match=r"by case: \{3: "):
        Wrong().test_every_output_word_is_equal()

    class Unknown(Suite):
        ops = FEW | {"divide"}

    with pytest.raises(AssertionError, match=r"never drawn: ops .'divide'"):
        Unknown().test_every_op_and_mode_was_covered()
