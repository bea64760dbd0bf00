"""Pictures of graphs."""

from __future__ import annotations

import numpy as np
import pytest

import nacsr
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder
from nacsr.report.drawing import LIMIT, draw, layout

FORMULA = "0.31*x0*sin(2*x1) + 0.5*x2*x2 - 0.79*max(x0, x1)"


def test_every_value_is_in_the_picture_and_the_costly_are_coloured(tmp_path):
    design = nacsr.compile(FORMULA)
    cost = design.cost()
    text = draw(design.graph, cost, tmp_path / "f.svg", design.title).read_text()
    for index, op in enumerate(design.graph.ops):
        assert (f"%{index} " in text) == (op.name != "const")
    assert "→ y" in text
    assert f"{max(r.luts for r in cost.rows):,} LUT" in text
    assert "0.79" in text, "constants stand in the boxes that read them"


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    design = nacsr.compile(FORMULA)
    files = [tmp_path / name for name in ("a.svg", "b.svg")]
    texts = [draw(design.graph, design.cost(), f, "t").read_bytes() for f in files]
    assert texts[0] == texts[1]


def test_values_stand_right_of_what_they_read():
    graph = nacsr.compile(FORMULA).graph
    shown = [i for i, op in enumerate(graph.ops) if op.name != "const"]
    places = layout(graph, shown)
    for i in shown:
        for a in graph.ops[i].args:
            assert a not in places or places[a][0] < places[i][0]
    assert len(set(places.values())) == len(shown)


def test_a_graph_too_large_for_a_picture(tmp_path):
    b = Builder()
    x = b.input("x", Fixed(8, 4))
    for k in range(LIMIT + 1):
        b.output(f"y{k}", b.op("shift", x, n=k + 1))
    graph = b.build()
    design = nacsr.compile("x0")
    with pytest.raises(SpecError, match="print it with --ir"):
        draw(graph, design.cost(), tmp_path / "f.svg", "t")
    assert not list(tmp_path.iterdir())


def test_an_unknown_suffix(tmp_path):
    design = nacsr.compile("x0*x1")
    with pytest.raises(SpecError, match="cannot write the picture"):
        draw(design.graph, design.cost(), tmp_path / "f.doc", "t")


def test_a_network(tmp_path):
    b = Builder()
    x = b.input("x", Fixed(6, 3), (3,))
    t = Fixed(4, 2)
    y = b.op("dense", x, weight=np.eye(3), weight_type=t, bias=np.ones(3), bias_type=t)
    b.output("scores", b.op("relu", y))
    design = nacsr.compile("x0")
    assert "[3]" in draw(b.build(), design.cost(), tmp_path / "n.svg", "t").read_text()
