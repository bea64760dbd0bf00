"""The proof of bit-exactness: what a back end emitted against the interpreter, with ``==``."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nacsr.errors import EmitError
from nacsr.fixed import Overflow, Raw, Rounding
from nacsr.ir import OPS, Graph, evaluate
from nacsr.testing.draw import cast_graph, random_graph, words

EVERY_OP = frozenset(OPS)
"""What a back end claims unless it says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph and the raw words to run it on."""

    graph: Graph
    words: Mapping[str, Raw]


def random_cases(count: int, events: int, seed: int, ops: Collection[str] = OPS) -> list[Case]:
    """``count`` random graphs of ``ops`` and one ``cast_graph`` for each of them."""
    rng = random.Random(seed)
    drawn = [random_graph(rng, ops=ops) for _ in range(count)]
    drawn += [cast_graph(name, rng) for name in OPS if name in ops]
    return [Case(g, words(g, events, seed + k)) for k, g in enumerate(drawn)]


def mismatches(case: Case, found: Mapping[str, Raw]) -> int:
    """Output words that differ from the interpreter's, missing ones included."""
    expected = evaluate(case.graph, case.words)
    total = 0
    for name, raw in expected.items():
        other = found.get(name)
        if other is None or other.shape != raw.shape:
            total += raw.size
        else:
            total += int((other != raw).sum())
    return total


def modes(cases: Sequence[Case]) -> set[tuple[Rounding, Overflow]]:
    """The modes of all casts."""
    ops = (op for case in cases for op in case.graph.ops if op.name == "cast")
    return {(op.type.rounding, op.type.overflow) for op in ops}


class EmitterConformance:
    """Subclass and implement ``run``: everything is emitted and run once, then compared.

    Implement ``emit`` as well if ``ops`` leaves some out: what is not claimed must be refused.

    Attributes:
        ops: names of the ops that the back end claims.
        count: random graphs, besides one graph of casts for every op.
        events: words for each graph.
        seed: of graphs and words.
    """

    ops: ClassVar[Collection[str]] = EVERY_OP
    count: ClassVar[int] = 50
    events: ClassVar[int] = 500
    seed: ClassVar[int] = 1
    _done: ClassVar[dict[type, tuple[list[Case], list[Mapping[str, Raw]]]]] = {}

    def run(self, cases: Sequence[Case]) -> Sequence[Mapping[str, Raw]]:
        """Emit and run: raw outputs of shape (events, *shape) by port name, one map a case."""
        raise NotImplementedError

    def emit(self, graph: Graph, out: Path) -> object:
        """Write the project of a graph into the folder ``out``, which is not there yet."""
        raise NotImplementedError

    def results(self) -> Iterator[tuple[Case, Mapping[str, Raw]]]:
        """All cases with what the emitted designs computed; run once for the class."""
        if type(self) not in self._done:
            cases = random_cases(self.count, self.events, self.seed, self.ops)
            self._done[type(self)] = cases, list(self.run(cases))
        cases, found = self._done[type(self)]
        return zip(cases, found, strict=True)

    def test_every_output_word_is_equal(self) -> None:
        wrong = {k: n for k, (c, f) in enumerate(self.results()) if (n := mismatches(c, f))}
        first = next((c.graph for k, (c, _) in enumerate(self.results()) if k in wrong), "")
        if wrong:
            msg = f"output words that differ, by case: {wrong}; the first such graph:\n{first}"
            raise AssertionError(msg)

    def test_every_op_and_mode_was_covered(self) -> None:
        cases = [case for case, _ in self.results()]
        missing = set(self.ops) - {op.name for case in cases for op in case.graph.ops}
        unused = {(r, o) for r in Rounding for o in Overflow} - modes(cases)
        if missing or unused:
            msg = f"never drawn: ops {sorted(missing)}, modes {sorted(unused)}"
            raise AssertionError(msg)

    def test_other_ops_are_refused_before_anything_is_written(self, tmp_path: Path) -> None:
        wrong = []
        for name in sorted(EVERY_OP - set(self.ops)):
            graph = cast_graph(name, random.Random(self.seed))
            try:
                self.emit(graph, tmp_path / name)
            except EmitError as error:
                lacking = {op.name for op in graph.ops} - set(self.ops)
                told = any(n in str(error) for n in lacking) and "\n" not in str(error)
                if told and not list(tmp_path.iterdir()):
                    continue
            wrong.append(name)
        if wrong:
            msg = f"not refused, or too late, or without naming the op: {', '.join(wrong)}"
            raise AssertionError(msg)
