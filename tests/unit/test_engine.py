"""The embedded engine: what it finds, what it may not exceed, and that a seed decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from nacsr.errors import DataError
from nacsr.fixed import Fixed, Rounding
from nacsr.frontends.symbolic.engines.embedded import search
from nacsr.frontends.symbolic.engines.embedded.constants import refined
from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator, Individual
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware, chain
from nacsr.frontends.symbolic.engines.embedded.search import _select
from nacsr.frontends.symbolic.engines.embedded.selection import crowding, ranks, survivors
from nacsr.frontends.symbolic.engines.embedded.tables import on_float32
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar, Tree
from nacsr.frontends.symbolic.engines.request import Config, Sample
from nacsr.frontends.symbolic.fitting.saturation import SATURATED
from nacsr.frontends.symbolic.language.digits import two_digits
from nacsr.frontends.symbolic.language.expr import Call, Expr, evaluate, size
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import LutFunc

NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Price:
    delay_ns: float
    luts: float
    dsps: float


COSTS: Mapping[str, Price] = {
    "add": Price(1.0, 20, 0),
    "sub": Price(1.0, 20, 0),
    "mul": Price(3.0, 4, 1),
    "square": Price(3.0, 4, 1),
    "abs": Price(1.0, 16, 0),
    "const_mul": Price(1.0, 20, 0),
    "lut": Price(4.0, 60, 0),
}
SIN = LutFunc("sin", "sin", Fixed.parse("fixed<10,4,TRN,SAT>"), Fixed(12, 2))
LUTS = {"sin": SIN}
CONFIG = Config(
    evaluations=2_500,
    rows=400,
    operators=("add", "sub", "mul"),
    functions=("sin",),
    max_size=24,
    max_cycles=6,
    period_ns=4.375,
    precision=Fixed(16, 6),
    dsp_luts=140.0,
    population=60,
)


def inputs(rows: int = 600) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(rows, 4))


def target(z: np.ndarray) -> np.ndarray:
    return 2 * z[:, 0] * z[:, 1] - np.sin(2 * z[:, 2]) + 0.5 + 0.25 * z[:, 3]


def columns(z: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, z.T, strict=True))


def test_finds_a_formula_and_scores_it_on_all_rows() -> None:
    z = inputs()
    front = search(Sample(z, target(z), NAMES), CONFIG, COSTS, LUTS, 3)
    best = front[-1]
    assert best.loss < 0.01 * target(z).var()
    for found in front:
        values = Chip(columns(z), LUTS, CONFIG.precision).output(found.expr)
        assert np.isclose(np.mean((values - target(z)) ** 2), found.loss, rtol=2e-3, atol=1e-4)


def test_the_front_is_not_dominated_and_sorted() -> None:
    z = inputs()
    front = search(Sample(z, target(z), NAMES), CONFIG, COSTS, LUTS, 3)
    points = [(f.loss, f.cycles, f.luts + CONFIG.dsp_luts * f.dsps) for f in front]
    assert len(set(points)) == len(points) > 3
    assert [p[0] for p in points] == sorted((p[0] for p in points), reverse=True)
    for p in points:
        assert not any(q != p and all(x <= y for x, y in zip(q, p, strict=True)) for q in points)


def test_a_seed_decides_the_front() -> None:
    z = inputs()
    sample = Sample(z, target(z), NAMES)
    one, two, other = (search(sample, CONFIG, COSTS, LUTS, s) for s in (7, 7, 8))
    assert one == two
    assert one != other


def test_limits_hold() -> None:
    z = inputs()
    tight = replace(CONFIG, max_size=12, max_cycles=2, functions=("sin",))
    for found in search(Sample(z, target(z), NAMES), tight, COSTS, LUTS, 1):
        assert size(found.expr) == found.size <= 12
        assert found.cycles <= 2
        assert calls_inside(found.expr, "sin", 0) <= 1


def calls_inside(expr: Expr, name: str, above: int) -> int:
    if not isinstance(expr, Call):
        return above
    here = above + (expr.op == name)
    return max(calls_inside(a, name, here) for a in expr.args)


def test_few_values_saturate() -> None:
    z = inputs() * 3
    small = replace(CONFIG, precision=Fixed(14, 4), functions=())
    for found in search(Sample(z, target(z), NAMES), small, COSTS, LUTS, 1):
        for term in products(found.expr):
            assert np.mean(np.abs(evaluate(term, columns(z), {})) > 8.0) <= 2 * SATURATED


def products(expr: Expr) -> list[Expr]:
    """Products of variables: what must mostly stay in range (weights are applied after)."""
    if not isinstance(expr, Call):
        return []
    inner = [p for a in expr.args for p in products(a)]
    variables = all(not hasattr(a, "value") for a in expr.args)
    return [*inner, expr] if expr.op == "mul" and variables else inner


@pytest.mark.parametrize(
    ("z", "y"),
    [(np.ones((50, 4)), np.arange(50.0)), (np.ones((50, 3)), np.ones(50)), (inputs(), np.ones(9))],
)
def test_unusable_data_is_refused(z: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError):
        search(Sample(z, y, NAMES), CONFIG, COSTS, LUTS, 1)


def test_limits_that_nothing_fits_are_refused() -> None:
    z = inputs()
    with pytest.raises(DataError, match="max_size"):
        search(Sample(z, target(z), NAMES), replace(CONFIG, max_size=3), COSTS, LUTS, 1)


def test_a_target_that_does_not_vary_gives_an_offset() -> None:
    z = inputs(200)
    front = search(Sample(z, np.full(200, -1.0), NAMES), CONFIG, COSTS, LUTS, 1)
    assert front[-1].loss < 1e-6


# --- parts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("domain", ["fixed<8,3>", "ufixed<6,2>", "fixed<9,5>"])
@pytest.mark.parametrize("overflow", ["SAT", "SAT_SYM"])
def test_tables_are_the_same_on_float32(rounding: Rounding, domain: str, overflow: str) -> None:
    lut = LutFunc("f", "sin", Fixed.parse(domain).with_modes(rounding, overflow), Fixed(10, 2))
    rng = np.random.default_rng(1)
    halves = np.arange(-40, 40) * lut.domain.lsb / 2  # ties
    x = np.concatenate([rng.normal(0, 6, 3000), halves, [1e9, -1e9, 0.0]]).astype(np.float32)
    assert np.array_equal(on_float32(lut)(x), lut.numpy(x))


def test_ranks_are_those_of_the_definition() -> None:
    points = np.random.default_rng(2).integers(0, 6, size=(60, 3)).astype(float)
    left, expected, level = list(range(60)), np.zeros(60, int), 0
    while left:
        best = [
            i
            for i in left
            if not any(
                (points[j] <= points[i]).all() and (points[j] != points[i]).any() for j in left
            )
        ]
        expected[best] = level
        left, level = [i for i in left if i not in best], level + 1
    assert ranks(points).tolist() == expected.tolist()


def test_survivors_keep_the_ends_of_a_crowded_front() -> None:
    x = np.array([0.0, 0.01, 0.02, 0.5, 1.0])
    front = np.column_stack([x, 1 - x])
    assert np.isinf(crowding(front)[[0, 4]]).all()
    assert set(survivors(front, 3).tolist()) == {0, 3, 4}
    assert survivors(np.vstack([front + 1, front]), 5).min() >= 4


@pytest.mark.parametrize(
    ("ready", "delay", "end"), [(0, 3, 3), (3, 1, 4), (3, 3, 7), (4, 1, 5), (1, 9, 13)]
)
def test_operators_share_a_period_while_they_fit(ready: float, delay: float, end: float) -> None:
    assert chain(ready, delay, 4.0) == end


@pytest.mark.parametrize(
    ("complexities", "kept"),
    [
        ({}, "dear in LUTs"),
        ({"sin": 1, "mul": 9}, "dear in LUTs"),
        ({"sin": 9, "mul": 1}, "dear in DSPs"),
    ],
)
def test_of_equal_outputs_the_cheapest_by_the_objectives_is_kept(
    complexities: dict[str, int], kept: str
) -> None:
    def one(cycles: int, luts: float, dsps: float, tree: Tree) -> Individual:
        return Individual((tree,), np.ones(1), 0.1, cycles, luts, dsps, 5, (1, 1))

    named = {
        "dear in LUTs": one(2, 50, 0, ("$0", "sin")),
        "dear in DSPs": one(2, 10, 1, ("$0", "$0", "mul")),  # a DSP counts 140 LUTs
    }
    config = replace(CONFIG, complexities=complexities)
    for pool in (list(named.values()), list(named.values())[::-1]):
        (found,) = _select(pool, config)
        assert found is named[kept]


def grammar(**changes: object) -> Grammar:
    options = {"operators": ("add", "mul"), "functions": ("sin",), "max_size": 9, "max_depth": 4}
    return Grammar(2, **(options | changes))  # type-free on purpose: a test helper


def test_shared_parts_count_once() -> None:
    hardware = Hardware(grammar(), COSTS, 4.375)
    product: Tree = ("$0", "$1", "mul")
    alone = hardware.total([product])
    both = hardware.total([product, (*product, "sin")])
    assert (alone.luts, alone.dsps) == (20 + 20 + 4 + 40, 1)  # two inputs, product, link
    assert (both.luts - alone.luts, both.dsps) == (60 + 40, 1)  # a table and a link more
    doubled = hardware.total([("$0", 2.0, "mul")])
    assert doubled.luts == hardware.total([("$0",)]).luts  # a power of two is wires
    assert both.cycles > alone.cycles


@pytest.mark.parametrize(
    ("tree", "allowed"),
    [
        (("$0", "sin"), True),
        (("$0", "sin", "sin"), False),
        (("$0", "sin", "$1", "add", "sin"), False),
        ((1.0, 2.0, "add"), False),
        ((1.0,), False),
        (("$0", 2.0, "mul"), True),
        (("$0",) * 6 + ("add",) * 5, False),
    ],
)
def test_what_a_term_may_be(tree: Tree, allowed: bool) -> None:
    assert grammar().allows(tree) is allowed


def test_trees_and_expressions_convert_back() -> None:
    tree: Tree = ("$0", "$1", 0.5, "add", "mul", "sin")
    g = grammar()
    assert g.tree(g.expression(tree, ["p", "q"]), ["p", "q"]) == tree


def test_refinement_moves_a_constant_towards_the_truth() -> None:
    x = np.random.default_rng(0).normal(size=(1, 500)).astype(np.float32)
    y = np.sin(x[0].astype(float) + 1.0)
    g = grammar()
    fine = LutFunc("sin", "sin", Fixed.parse("fixed<12,4,RND,SAT>"), Fixed(14, 2))
    functions = {"sin": on_float32(fine)}
    hardware = Hardware(g, COSTS, 4.375)
    evaluator = Evaluator(g, hardware, x, y, None, functions, Fixed(16, 6))
    current = evaluator.assess([("$0", 0.25, "add", "sin")])
    assert current is not None
    for _ in range(6):
        for better in refined(evaluator, [current]):
            assert better.loss < current.loss
            current = better
    (tree,) = current.terms
    assert isinstance(tree[1], float)
    assert abs(tree[1] - 1.0) < 0.1


def test_two_digits_are_two_and_near() -> None:
    for value in np.random.default_rng(3).normal(0, 3, 500).tolist():
        found = two_digits(value, 2.0**-10)
        raw = abs(round(found * 1024))
        assert found * 1024 == round(found * 1024)
        assert ((3 * raw) ^ raw).bit_count() <= 2  # nonzero digits of the signed form
        assert abs(found - value) <= max(0.13 * abs(value), 2.0**-11)
