"""New terms: of what they are made, with tables and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.assembly.assemble import Limits, Style, assemble, enriched
from nacsr.frontends.symbolic.assembly.breeding import Breeder, gathered
from nacsr.frontends.symbolic.assembly.pool import Source
from nacsr.frontends.symbolic.engines.costs import search_costs
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar
from nacsr.frontends.symbolic.fitting.newton import Goal
from nacsr.frontends.symbolic.fitting.shapes import TABLE
from nacsr.frontends.symbolic.language.expr import Call, Expr, Var, walk
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.luts import lut_functions
from tests.unit.test_symbolic_frontend import make_problem

NAMES = ("a", "b", "c")
Z = np.random.default_rng(6).normal(size=(2_000, 3))


def called(terms: Sequence[Expr]) -> set[str]:
    """Every operator and function in terms."""
    return {n.op for term in terms for n, _ in walk(term) if isinstance(n, Call)}


def test_without_tables_terms_are_made_of_what_is_allowed() -> None:
    polynomials = Breeder(NAMES, ("add", "mul", "square"), (), tables=False)
    texts = {to_text(t) for t in polynomials.library()}
    assert texts == {"a^2", "b^2", "c^2", "a*b", "a*c", "b*c"}
    waves = Breeder(NAMES, ("add", "sub"), ("sin",), tables=False)
    texts = {to_text(t) for t in waves.library()}
    assert {"sin(a)", "sin(a - b)", "sin(a + 2*c)"} <= texts
    assert len(texts) == 3 + 3 * 6
    assert Breeder(NAMES, (), (), tables=False).library() == []


def test_with_tables_there_are_both() -> None:
    breeder = Breeder(NAMES, ("add", "sub", "mul", "max"), ("sin",))
    found = breeder.library()
    tables = [t for t in found if isinstance(t, Call) and t.op == TABLE]
    plain = [to_text(t) for t in found if t not in tables]
    assert called(tables) == {TABLE, "add", "sub", "mul", "max"}
    assert {"a*b", "max(a, c)", "sin(b)"} <= set(plain)


@pytest.mark.parametrize(
    ("text", "simpler"),
    [
        ("b + a", "a + b"),
        ("2*a - b", "a - 0.5*b"),
        ("a + 3 + a", "a"),
        ("b - (a - b) - 2*b", "a"),
        ("a - a", None),
        ("a + a + a + b", None),  # a factor of a third
        ("a*b + a", "a*b + a"),
    ],
)
def test_what_a_table_reads_is_gathered(text: str, simpler: str | None) -> None:
    found = gathered(parse(text, NAMES, {}))
    assert (found and to_text(found)) == simpler


@pytest.mark.parametrize("tables", [True, False])
def test_mutants_are_made_of_what_is_allowed(tables: bool) -> None:
    breeder = Breeder(NAMES, ("add", "sub", "mul"), ("sin",), tables)
    parents = breeder.library()[:5]
    rng = np.random.default_rng(3)
    found = breeder.mutants(parents, 200, rng)
    assert len(found) == len(set(found)) > 20
    assert called(found) <= {"add", "sub", "mul"} | ({TABLE} if tables else {"sin"})
    assert all((isinstance(t, Call) and t.op == TABLE) is tables for t in found)
    assert breeder.mutants(parents, 200, np.random.default_rng(3)) == found
    assert breeder.mutants([], 200, rng) == []


def test_a_product_of_three_inputs_is_bred_without_tables() -> None:
    target = (Z[:, 0] * Z[:, 1] * Z[:, 2])[:, None]
    problem = make_problem(Z, (Z[:, 0] > 0).astype(np.int64), NAMES, ("no", "yes"))
    grammar = Grammar(3, (), (), 60, 6)
    goal = Goal(target, regression=True)
    hardware = Hardware(grammar, search_costs(problem, Fixed(16, 6), 6), 4.375)
    columns = dict(zip(NAMES, Z.T, strict=True))
    source = Source(grammar, columns, None, lut_functions(), 6, Fixed(16, 6))
    breeder = Breeder(NAMES, ("add", "mul"), (), tables=False)
    pool = source.pool([*map(Var, NAMES), *breeder.library()])
    limits, rng = Limits(60, 20, 100.0), np.random.default_rng(1)
    for _ in range(2):
        path = assemble(pool, goal, hardware, limits, Style(1.0))
        pool = enriched(pool, path, source, breeder, 400, rng)
    first, _ = assemble(pool, goal, hardware, limits, Style(1.0)).links[0]
    assert sorted(to_text(pool.terms[first]).replace("(", "").replace(")", "")) == sorted("a*b*c")
