"""The columns that weights are fitted to are what the chip computes, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar
from nacsr.frontends.symbolic.fitting.shapes import shape
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Num, Var, fold
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.frontends.symbolic.lowering.lower import SUMS, lower
from nacsr.ir import evaluate
from nacsr.luts import lut_functions

LUTS = lut_functions()
NAMES = ("a", "b", "c")
OPS = tuple(o for o in OPERATORS if o != "div")
WORD = Fixed(14, 4)
FEATURES = tuple(Feature(n, WORD) for n in NAMES)
PLAIN = Scaling("folded", (0, 0, 0), (0, 0, 0))


def lowered(expr: Expr, words: np.ndarray, precision: Fixed, luts=LUTS) -> np.ndarray:
    """What the design of one formula gives, as real numbers."""
    graph = lower({"y": expr}, FEATURES, PLAIN, precision, luts)
    raw = evaluate(graph, {n: words[:, NAMES.index(n)] for n, _ in graph.inputs})["y"]
    return graph.ops[graph.outputs[0][1]].type.to_float(raw)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["fixed<16,6>", "fixed<12,5>", "fixed<10,6>", "fixed<10,3>", "fixed<8,3>"]),
)
def test_values_are_those_of_the_design(seed: int, text: str) -> None:
    rng, precision = np.random.default_rng(seed), Fixed.parse(text)
    words = rng.integers(WORD.min_raw, WORD.max_raw + 1, size=(200, 3))
    chip = Chip(dict(zip(NAMES, WORD.to_float(words).T, strict=True)), LUTS, precision)
    grammar = Grammar(3, OPS, ("sin", "tanh"), 14, 6, nesting={})
    for _ in range(8):
        tree = grammar.grow(rng, 5)
        if not grammar.allows(tree):
            continue
        expr = grammar.expression(tree, NAMES)
        folded = fold(expr, LUTS)
        if isinstance(folded, Call) and folded.op in SUMS:
            expr = Call("max", (expr, Num(-precision.max)))  # outputs that are sums are exact
            if not isinstance(fold(expr, LUTS), Call):
                continue
        try:
            found = lowered(expr, words, precision)
        except ExpressionError:  # nothing of an input is left
            continue
        assert (found == chip.value(expr)).all(), expr


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1.0, -1.0, 0.5, -2.0]), min_size=1, max_size=3),
    st.integers(4, 7),
    st.integers(0, 10**6),
)
def test_tables_are_read_where_the_chip_reads_them(
    factors: list[float], bits: int, seed: int
) -> None:
    rng, precision = np.random.default_rng(seed), Fixed(16, 6)
    words = rng.integers(WORD.min_raw, WORD.max_raw + 1, size=(400, 3))
    columns = dict(zip(NAMES, WORD.to_float(words).T, strict=True))
    chip = Chip(columns, LUTS, precision)
    inner: Expr = Call("mul", (Num(factors[0]), Var("a")))
    for name, factor in zip(NAMES[1:], factors[1:], strict=False):
        inner = Call("add", (inner, Call("mul", (Num(factor), Var(name)))))
    target = np.tanh(chip.value(inner))[:, None]
    made = shape(
        chip.value(inner), None, bits, targets=target, read=lambda d: chip.argument(inner, d)
    )
    assert made is not None
    coefficients = rng.normal(size=made.basis.shape[1])
    table = made.lut("t1", coefficients, 8)
    assert table is not None
    read = chip.argument(inner, made.domain)
    expected = np.rint(np.ldexp(made.columns(read) @ coefficients, 8)) / 2**8
    call = Call("t1", (made.argument(inner),))
    assert (lowered(call, words, precision, {**LUTS, "t1": table}) == expected).all()


def test_unknown_names_are_refused() -> None:
    chip = Chip({"a": np.zeros(3)}, LUTS, Fixed(16, 6))
    with pytest.raises(ExpressionError, match="unknown variable 'b'"):
        chip.value(Var("b"))
    assert chip.value(parse("1 + 1", ("a",), LUTS)).tolist() == [2.0] * 3
