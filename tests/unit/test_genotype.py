"""Genotypes: formulas and their tables survive JSON; damaged records are refused in a line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.errors import ExpressionError, NacsrError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.fitting.shapes import OPEN, TABLE
from nacsr.frontends.symbolic.genotype import formulas, opened, read_tables, record, rows
from nacsr.frontends.symbolic.language.expr import evaluate
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.luts import LutFunc, lut_functions

NAMES = ("a", "b")
LUTS = lut_functions()
T1 = LutFunc("t1", "", Fixed.parse("fixed<3,2,TRN,SAT>"), Fixed(5, 2), values=tuple(range(-4, 4)))


@st.composite
def tables(draw: st.DrawFn) -> LutFunc:
    """A table as ``Shape.lut`` makes them."""
    width, integer = draw(st.integers(2, 6)), draw(st.integers(-3, 6))
    domain = Fixed(width, integer, draw(st.booleans())).with_modes("TRN", "SAT")
    value = Fixed(draw(st.integers(2, 20)), draw(st.integers(-4, 8)))
    entry = st.integers(value.min_raw, value.max_raw)
    values = draw(st.lists(entry, min_size=1 << width, max_size=1 << width))
    if len(set(values)) == 1:
        values[0] = value.min_raw if values[0] > value.min_raw else value.max_raw
    return LutFunc(
        draw(st.sampled_from(["t1", "t2", "t1_"])), "", domain, value, values=tuple(values)
    )


@given(tables(), st.floats(-1e6, 1e6))
def test_formulas_and_tables_survive_json(table: LutFunc, weight: float) -> None:
    known = {**LUTS, table.name: table}
    sums = {
        "left": parse(f"{weight!r}*tanh(a) + {table.name}(a - b*0.5)", NAMES, known),
        "2nd": parse("max(a, b) + 1", NAMES, known),
    }
    genotype = json.loads(json.dumps(record(sums, {table.name: table})))
    read, found = formulas(genotype, NAMES, LUTS)
    assert read == sums
    assert list(read) == ["left", "2nd"]
    assert found == known
    columns = {n: np.linspace(-3, 3, 50) for n in NAMES}
    for name in sums:
        assert (evaluate(read[name], columns, found) == evaluate(sums[name], columns, known)).all()


def test_a_formula_without_tables_has_none_recorded() -> None:
    made = record({"y": parse("a + b", NAMES, LUTS)}, {})
    assert made == {"expressions": {"y": "a + b"}}
    assert formulas(made, NAMES, LUTS)[1] == LUTS


GOOD: dict[str, Any] = rows({"t1": T1})["t1"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (None, "table 't1' is damaged"),
        ([], "table 't1' is damaged"),
        ("fixed<3,2>", "table 't1' is damaged"),
        ({k: v for k, v in GOOD.items() if k != "values"}, "'values'"),
        (GOOD | {"domain": "fixed<3;2>"}, "table 't1' is damaged"),
        (GOOD | {"domain": 3}, "table 't1' is damaged"),
        (GOOD | {"values": None}, "table 't1' is damaged"),
        (GOOD | {"values": [0.5, *GOOD["values"][1:]]}, "table 't1' is damaged"),
        (GOOD | {"values": ["1", *GOOD["values"][1:]]}, "table 't1' is damaged"),
        (GOOD | {"values": GOOD["values"][:-1]}, "7 values for"),
        (GOOD | {"values": [99, *GOOD["values"][1:]]}, "raw integers of"),
        (GOOD | {"values": [0] * 8}, "constant"),
    ],
)
def test_damaged_tables_are_refused(row: Any, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_tables({"t1": row})
    assert "'t1'" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("genotype", "kind"),
    [
        ({}, SpecError),
        ({"expressions": ["a"]}, SpecError),
        ({"expressions": {"y": "a"}, "tables": [1]}, SpecError),
        ({"expressions": {"y": "t9(a)"}}, ExpressionError),
        ({"expressions": {"y": "a +"}}, ExpressionError),
        ({"expressions": {"y": 3}}, NacsrError),
        ({"expressions": {"y": "a"}, "tables": {"no name": GOOD}}, SpecError),
    ],
)
def test_damaged_records_are_refused(genotype: dict[str, Any], kind: type[NacsrError]) -> None:
    with pytest.raises(kind) as caught:
        formulas(genotype, NAMES, LUTS)
    assert "\n" not in str(caught.value)


def test_fitted_tables_are_opened_and_functions_are_not() -> None:
    known = {**LUTS, "t1": T1, TABLE: OPEN}
    expr = parse("2*tanh(a) + t1(a + max(b, 1))", NAMES, known)
    assert opened(expr, {"t1": T1}) == parse("2*tanh(a) + table(a + max(b, 1))", NAMES, known)
    assert opened(expr, {}) == expr
    shifted = parse("t1((a + b) - 0.5)", NAMES, known)  # where a grid starts is fitted too
    assert opened(shifted, {"t1": T1}) == parse("table(a + b)", NAMES, known)
