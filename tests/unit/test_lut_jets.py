"""The published jet taggers at <16,6>: closer to float than their own LUT version."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.expr import evaluate as value_of
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.ir import evaluate
from nacsr.luts import lut_functions

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "symbolic" / "jets_golden.json"
LUTS = lut_functions()
PUBLISHED = 0.023  # of the authors' tables of 256 entries on [-8, 8], at one point


def expand(text: str) -> str:
    """The authors' operator sc(x) as sin(x)*cos(x)."""
    while (start := text.rfind("sc(")) >= 0:
        depth, end = 0, start + 2
        while True:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
            if depth == 0:
                break
        inner = text[start + 3 : end - 1]
        text = f"{text[:start]}(sin({inner})*cos({inner})){text[end:]}"
    return text


@pytest.fixture(scope="module")
def taggers() -> dict[str, str]:
    if not GOLDEN.exists():
        pytest.skip("shared/data/symbolic/jets_golden.json is not beside this checkout")
    data = json.loads(GOLDEN.read_text())
    return {c: expand(text) for c, text in zip(data["classes"], data["expr"], strict=True)}


def test_error_on_standard_normal_inputs(taggers):
    design = nacsr.compile(taggers, to="hls", precision="fixed<16,6>")
    graph, word = design.graph, Fixed.parse("fixed<16,6,RND,SAT>")
    rng = np.random.default_rng(0)
    words = {name: word.quantize(rng.normal(size=100_000)) for name, _ in graph.inputs}
    found = evaluate(graph, words)
    columns = {name: word.to_float(raw) for name, raw in words.items()}
    worst = {
        port: float(np.abs(graph.ops[i].type.to_float(found[port]) - real).max())
        for port, i in graph.outputs
        for real in [
            value_of(parse(taggers[port], tuple(columns), LUTS), columns, LUTS, exact=True)
        ]
    }
    assert max(worst.values()) < PUBLISHED, worst
    assert min(worst.values()) > 0.001, "an error that small is none of <16,6>"


def test_sine_tables_of_the_taggers_are_small():
    assert LUTS["sin"].entries == LUTS["cos"].entries == 32
