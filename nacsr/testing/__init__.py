"""For authors of back ends: random graphs, random words, and the proof of bit-exactness.

Subclass ``EmitterConformance``, say how to run graphs, and pytest proves that what was
emitted computes what the interpreter computes, over every op and every mode:

    class TestMyBackEnd(EmitterConformance):
        def run(self, cases):
            return [my_emitter_and_simulator(c.graph, c.words) for c in cases]

``run`` gets all cases at once, because most tools take their time to start: put many graphs
into one program or one simulation. It returns for each case a map from the name of every
output port to its raw words, int64 of shape (events, *shape).

A back end that lacks some ops says so, and shows that it refuses them by a one-line
``EmitError`` before it writes anything:

    class TestMyBackEnd(EmitterConformance):
        ops = EVERY_OP - {"conv", "pool"}

        def emit(self, graph, out):
            my_emitter(graph, out)

``input``, ``const`` and ``cast`` belong to every back end. That the proof bites is best seen by
giving ``nacsr.ir.OPS`` another meaning of an op (``monkeypatch.setitem``) and asserting that
``mismatches`` finds it; nacsr's own back ends do that for each op.

Hypothesis is needed by ``graphs`` only, pytest by ``EmitterConformance`` only.
"""

from nacsr.testing.conformance import (
    EVERY_OP,
    Case,
    EmitterConformance,
    mismatches,
    modes,
    random_cases,
)
from nacsr.testing.draw import MAKERS, cast_graph, graphs, random_graph, random_type, words

__all__ = [
    "EVERY_OP",
    "MAKERS",
    "Case",
    "EmitterConformance",
    "cast_graph",
    "graphs",
    "mismatches",
    "modes",
    "random_cases",
    "random_graph",
    "random_type",
    "words",
]
