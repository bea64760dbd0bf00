"""What a term of the embedded engine may be, and that it is evaluated as the chip will."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.cost import operator_costs
from nacsr.cost.operators import OperatorCost
from nacsr.cost.schedule import period_ns
from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines.embedded import search
from nacsr.frontends.symbolic.engines.embedded.evaluation import Evaluator
from nacsr.frontends.symbolic.engines.embedded.hardware import Hardware
from nacsr.frontends.symbolic.engines.embedded.tables import on_float32
from nacsr.frontends.symbolic.engines.embedded.trees import Grammar, Tree
from nacsr.frontends.symbolic.engines.request import Config, Sample
from nacsr.frontends.symbolic.fitting.calibrate import terms
from nacsr.frontends.symbolic.fitting.shapes import TABLE, shape
from nacsr.frontends.symbolic.language.custom import custom_operators
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Var, walk
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import evaluate as run
from nacsr.luts import LutFunc, lut_functions

NAMES = ("a", "b", "c")
PERIOD = period_ns(200.0)
LUTS = lut_functions()
OPS = tuple(o for o in OPERATORS if o != "div")


def costs(precision: Fixed) -> dict[str, OperatorCost]:
    rows = dict(operator_costs(precision, 200.0))
    rows["table"] = rows["address"] = rows["const_mul"] = rows["add"]
    return rows


def config(**changes: object) -> Config:
    base = Config(2_000, 400, ("add", "sub", "mul"), (), Fixed(16, 6), PERIOD, 140.0, population=60)
    return replace(base, **changes)


def sample(rows: int = 600, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3)).round(3)


# ---- the chip's arithmetic


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["fixed<16,6>", "fixed<12,5>", "fixed<10,6>"]),
    st.integers(0, 3),
)
def test_terms_are_evaluated_bit_for_bit_as_they_are_lowered(
    seed: int, text: str, narrow: int
) -> None:
    rng, precision = np.random.default_rng(seed), Fixed.parse(text)
    grammar = Grammar(3, OPS, ("sin", "tanh"), 14, 6, nesting={})
    word = Fixed(14, 4)
    words = rng.integers(word.min_raw, word.max_raw + 1, size=(300, 3))
    words[rng.random(300) > 0.01] >>= narrow  # the tail that is left may saturate
    features = tuple(Feature(n, word) for n in NAMES)
    scaling = Scaling("folded", (0, 0, 0), (0, 0, 0))
    functions = {f: on_float32(LUTS[f], precision.frac) for f in grammar.functions}
    values = word.to_float(words).T
    evaluator = Evaluator(
        grammar,
        Hardware(grammar, costs(precision), PERIOD),
        values,
        values[0],
        None,
        functions,
        precision,
    )
    for _ in range(8):
        tree = grammar.grow(rng, 5)
        if not grammar.allows(tree) or len(tree) < 2:
            continue
        column = evaluator.column(tree)
        if column is None:  # the chip would saturate often
            continue
        expr = grammar.expression(tree, NAMES)
        try:
            graph = lower({"y": expr}, features, scaling, precision, LUTS)
        except ExpressionError:  # nothing of an input is left
            assert column.min() == column.max()
            continue
        inputs = {n: words[:, NAMES.index(n)] for n, _ in graph.inputs}
        raw = run(graph, inputs)["y"]
        out = graph.ops[graph.outputs[0][1]].type
        # a sum is exact as an output, and saturates as the factor that a term is
        found = np.clip(out.to_float(raw), precision.min, precision.max)
        assert (found == column.astype(np.float64)).all(), expr


@pytest.mark.parametrize(
    "tree",
    [
        (0.28125, "$1", "greater"),  # a tie of the grid of four fractional bits
        (0.015625, "$0", "$1", "select"),  # positive, but zero on that grid
        (-0.03125, "$2", "mul"),  # half a step: no factor at all
        (0.015625, "$1", "cond"),
    ],
)
def test_constants_that_are_not_on_the_grid(tree: Tree) -> None:
    precision = Fixed(10, 6)
    grammar = Grammar(3, OPS, (), 14, 6)
    words = np.random.default_rng(1).integers(-128, 128, size=(300, 3))
    hardware = Hardware(grammar, costs(precision), PERIOD)
    word = Fixed(12, 6)  # two bits more than the working type
    values = word.to_float(words).T
    evaluator = Evaluator(grammar, hardware, values, values[0], None, {}, precision)
    column = evaluator.column(tree)
    assert column is not None
    features = tuple(Feature(n, word) for n in NAMES)
    expr = grammar.expression(tree, NAMES)
    try:
        scaling = Scaling("folded", (0, 0, 0), (0, 0, 0))
        graph = lower({"y": expr}, features, scaling, precision, LUTS)
    except ExpressionError:
        assert column.min() == column.max()
        return
    raw = run(graph, {n: words[:, NAMES.index(n)] for n, _ in graph.inputs})["y"]
    out = graph.ops[graph.outputs[0][1]].type
    assert (out.to_float(raw) == column.astype(np.float64)).all()


# ---- limits


@pytest.mark.parametrize(
    ("tree", "nesting", "allowed"),
    [
        (("$0", "sin", "sin"), None, False),
        (("$0", "sin", "sin"), {}, True),
        (("$0", "sin", "sin"), {"sin": {"sin": 1}}, True),
        (("$0", "sin", "sin", "sin"), {"sin": {"sin": 1}}, False),
        (("$0", "sin", "tanh"), {"tanh": {"sin": 0}}, False),
        (("$0", "sin", "tanh"), {"sin": {"tanh": 0}}, True),
        (("$0", "sin", "$1", "sin", "add", "tanh"), {"tanh": {"sin": 1}}, True),
        (("$0", "square", "square"), {"square": {"square": 0}}, False),
        (("$0", TABLE), None, True),
        (("$0", "$1", "add", TABLE), None, True),
        (("$0", TABLE, "$1", "add"), None, False),
        (("$0", TABLE, TABLE), None, False),
    ],
)
def test_nesting_and_where_tables_are(tree: Tree, nesting: object, allowed: bool) -> None:
    g = Grammar(2, OPS, ("sin", "tanh"), 9, 4, nesting, tables=True)  # type-free: a test helper
    assert g.allows(tree) is allowed
    assert not replace(g, tables=False).allows(tree) or TABLE not in tree


def own(spec: dict[str, str], functions: tuple[str, ...], **limits: object) -> Grammar:
    """A grammar of the user's operators; type-free: a test helper."""
    plain = Grammar(2, (), (), 1, 1)
    made = custom_operators(spec, LUTS).values()
    bodies = {c.name: (c.arity, plain.tree(c.body, "ab"[: c.arity])) for c in made}
    return Grammar(2, OPS, functions, **{"max_size": 30, "max_depth": 6, **limits}, custom=bodies)


@pytest.mark.parametrize("functions", [("sin",), ()])
@pytest.mark.parametrize(
    ("tree", "nesting", "allowed"),
    [
        (("$0", "wave"), None, True),
        (("$0", "wave", "wave"), None, False),
        (("$0", "wave", "wave"), {}, True),
        (("$0", "wave", "wave"), {"sin": {"sin": 1}}, True),
        (("$0", "wave", "wave"), {"wave": {"wave": 0}}, False),
        (("$0", "wave", "wave", "wave"), {"sin": {"sin": 1}}, False),
        (("$0", "far", "wave"), {"sin": {"square": 0}}, False),
        (("$0", "wave", "far"), {"sin": {"square": 0}}, True),
        (("$0", "wave", "$1", "wave", "add"), None, True),
    ],
)
def test_nesting_looks_into_the_users_operators(
    tree: Tree, nesting: object, allowed: bool, functions: tuple[str, ...]
) -> None:
    grammar = own({"wave": "sin(a)", "far": "square(a - 1)"}, functions, nesting=nesting)
    assert grammar.allows(tree) is allowed


def test_size_and_depth_are_those_of_what_users_operators_stand_for() -> None:
    spec = {"ratio": "a/(abs(b) + 1/4)", "twice": "a*a + a"}  # 8 and 5 nodes, of 4 and 3 levels
    tree: Tree = ("$0", "$1", "ratio", "twice")  # 29 nodes, 6 levels
    whole = own(spec, ()).written_out(tree)
    ratio = ("$0", "$1", "abs", 1.0, 4.0, "div", "add", "div")
    assert whole == (*ratio, *ratio, "mul", *ratio, "add")
    assert own(spec, (), max_size=26, max_depth=6).allows(tree)
    assert not own(spec, (), max_size=25, max_depth=6).allows(tree)
    assert not own(spec, (), max_size=26, max_depth=5).allows(tree)
    assert own(spec, (), tables=True).allows((*tree, TABLE))
    assert not own(spec, ()).allows((0.5, "twice"))
    assert not own(spec, ()).allows(("$0", *["twice"] * 25))  # 3^25 nodes, never made


def test_caps_on_luts_and_dsps_hold() -> None:
    z = sample()
    y = z[:, 0] * z[:, 1] + z[:, 2] ** 2
    free = search(Sample(z, y, NAMES), config(), costs(Fixed(16, 6)), {}, 1)
    assert max(s.dsps for s in free) > 1
    assert max(s.luts for s in free) > 150
    for kept in search(Sample(z, y, NAMES), config(max_dsps=0), costs(Fixed(16, 6)), {}, 1):
        assert kept.dsps == 0
    for kept in search(Sample(z, y, NAMES), config(max_luts=150), costs(Fixed(16, 6)), {}, 1):
        assert kept.luts <= 150


# ---- fitted tables


def test_a_fitted_table_finds_a_shape_that_no_operator_makes() -> None:
    z = sample(2000)
    y = np.where(np.abs(z[:, 0] + z[:, 1]) > 1, 1.0, -1.0) + 0.3 * z[:, 2]
    with_tables = search(Sample(z, y, NAMES), config(tables=True), costs(Fixed(16, 6)), {}, 1)
    without = search(Sample(z, y, NAMES), config(), costs(Fixed(16, 6)), {}, 1)
    assert with_tables[-1].loss < 0.1 < without[-1].loss
    best = with_tables[-1]
    assert best.tables
    called = {n.op for _, n in terms(best.expr) if isinstance(n, Call)}
    assert set(best.tables) <= called
    chip = Chip(dict(zip(NAMES, z.T, strict=True)), best.tables, Fixed(16, 6))
    values = chip.output(best.expr)
    assert float(np.mean((values - y) ** 2)) == best.loss


def test_the_shapes_of_a_table_are_uncorrelated_and_cover_the_data() -> None:
    u = np.random.default_rng(0).exponential(size=5000)
    weights = np.random.default_rng(1).uniform(0, 2, 5000)
    weights /= weights.mean()
    found = shape(u, weights, 6)
    assert found is not None
    assert not found.domain.signed  # nothing is negative
    columns = found.columns(u)
    assert np.allclose((weights[:, None] * columns).mean(0), 0, atol=1e-9)
    assert np.allclose(
        columns.T @ (weights[:, None] * columns) / 5000, np.eye(columns.shape[1]), atol=1e-9
    )
    assert found.start == 0
    inside = (u > found.domain.min) & (u < found.domain.max)
    assert inside.mean() > 0.98


def test_a_table_holds_the_sum_of_its_shapes_rounded() -> None:
    u = np.random.default_rng(0).normal(size=3000)
    found = shape(u, None, 5)
    assert found is not None
    coefficients = np.linspace(1, 2, found.basis.shape[1])
    lut = found.lut("t1", coefficients, 4)
    assert isinstance(lut, LutFunc)
    exact = found.columns(u) @ coefficients
    assert (lut.numpy(u) == np.rint(exact * 16) / 16).all()
    assert found.lut("t1", coefficients * 1e-9, 4) is None  # every entry is zero


@pytest.mark.parametrize("u", [np.zeros(50), np.full(50, 3.0), np.repeat([0.0, 1e-9], 25)])
def test_what_does_not_vary_has_no_shape(u: np.ndarray) -> None:
    assert shape(u, None, 6) is None


# ---- weights, guesses, user's operators


def test_integer_weights_are_repeated_events() -> None:
    z = sample(300)
    y = z[:, 0] * z[:, 1] - z[:, 2]
    times = np.random.default_rng(2).integers(1, 4, 300)
    weights = times / times.mean()
    # the engine sees all rows, so only the arithmetic differs
    grammar = Grammar(3, ("add", "mul"), (), 9, 4)
    hardware = Hardware(grammar, costs(Fixed(16, 6)), PERIOD)
    rows = np.repeat(np.arange(300), times)
    weighted = Evaluator(grammar, hardware, z.T, y, weights, {}, Fixed(16, 6))
    repeated = Evaluator(grammar, hardware, z[rows].T, y[rows], None, {}, Fixed(16, 6))
    for candidate in [[("$0", "$1", "mul")], [("$0",), ("$2",)], [("$0", "$1", "add"), ("$2",)]]:
        one, other = weighted.assess(candidate), repeated.assess(candidate)
        assert one is not None
        assert other is not None
        assert abs(one.loss - other.loss) < 1e-5
        assert np.allclose(weighted.affine(one)[0], repeated.affine(other)[0], atol=1e-4)


def test_a_guess_is_where_the_search_starts() -> None:
    z = sample()
    y = z[:, 0] * z[:, 1] * z[:, 2] + z[:, 1] * z[:, 1]
    guess = parse("0.9*(a*b*c) + 1.1*(b*b)", NAMES, {})
    few = config(evaluations=70, guesses=(guess,), max_depth=4)
    best = search(Sample(z, y, NAMES), few, costs(Fixed(16, 6)), {}, 1)[-1]
    lone = search(Sample(z, y, NAMES), replace(few, guesses=()), costs(Fixed(16, 6)), {}, 1)[-1]
    assert best.loss < 1e-4 < lone.loss


def test_a_users_operator_is_written_out() -> None:
    z = sample()
    y = np.maximum(z[:, 0] - z[:, 1], 0)
    custom = custom_operators({"hinge": "max(a - b, 0)"}, {})
    only = config(operators=("add",), custom=custom)
    best = search(Sample(z, y, NAMES), only, costs(Fixed(16, 6)), {}, 1)[-1]
    assert best.loss < 1e-4
    zero, found = parse("0", (), {}), {term for _, term in terms(best.expr)}
    left, right = (
        Call("max", (Call("sub", (Var(x), Var(y))), zero)) for x, y in (("a", "b"), ("b", "a"))
    )
    assert {left, right} & found  # they differ by a - b


def test_a_users_operator_may_call_what_the_search_does_not() -> None:
    z = sample()
    prices = costs(Fixed(16, 6))
    prices["sin"] = prices["mul"]
    own = config(operators=(), custom=custom_operators({"wave": "sin(2*a)"}, LUTS))
    best = search(Sample(z, np.sin(2 * z[:, 1]), NAMES), own, prices, LUTS, 1)[-1]
    assert best.loss < 0.01


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("sin(exp(a))", {}),
        ("sin(exp(a))", {"nesting": {"sin": {"exp": 0}}}),
        ("a*a*a*a", {"max_size": 6}),
        ("abs(abs(a - 1))", {"max_depth": 3}),
    ],
)
def test_a_users_operator_that_no_term_may_have_is_refused(text: str, limits: dict) -> None:
    z = sample()
    own = config(custom=custom_operators({"f": text}, LUTS), **limits)
    says = r"families\.expression\.custom: 'f' means .*beyond max_size or max_depth, or has a func"
    with pytest.raises(SpecError, match=says):
        search(Sample(z, z[:, 0], NAMES), own, costs(Fixed(16, 6)), LUTS, 1)


def test_a_users_operator_is_as_complex_as_its_parts() -> None:
    """The front is one of the loss and of a sum in which ``hinge(a, b)`` counts 9 + 1."""
    z = sample()
    y = np.maximum(z[:, 0] - z[:, 1], 0)
    spec = {"hinge": "max(a - b, 0)"}
    given = {"max": 9, "sub": 1, "add": 1}
    dear = config(operators=("add",), custom=custom_operators(spec, {}), complexities=given)
    seen = []
    for one in search(Sample(z, y, NAMES), dear, costs(Fixed(16, 6)), {}, 1):
        nodes = [n for _, t in terms(one.expr) if t for n, _ in walk(t)]
        calls = [n.op for n in nodes if isinstance(n, Call)]
        links = sum(t is not None for _, t in terms(one.expr))
        # the zero of every hinge is no leaf of its own
        leaves = len(nodes) - len(calls) - calls.count("max")
        seen.append(3 * links + leaves + sum(given[c] for c in calls))
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen)
    assert max(seen) > 10


def test_one_complexity_is_the_sum_over_operators() -> None:
    z = sample()
    y = z[:, 0] * z[:, 1] + 0.2 * z[:, 2]
    dear = config(complexities={"mul": 9, "add": 1, "sub": 1})
    front = search(Sample(z, y, NAMES), dear, costs(Fixed(16, 6)), {}, 1)

    def nodes(expr: Expr) -> int:
        return sum(9 if isinstance(n, Call) and n.op == "mul" else 1 for n, _ in walk(expr))

    totals = [1 + sum(11 + nodes(t) for _, t in terms(s.expr) if t) for s in front]
    assert totals == sorted(totals)  # by falling loss
    assert len(set(totals)) == len(totals)


# ---- the search


def test_sums_fitted_together_are_those_fitted_alone() -> None:
    z = sample(400)
    grammar = Grammar(3, ("add", "mul"), (), 9, 4)
    hardware = Hardware(grammar, costs(Fixed(16, 6)), PERIOD)
    evaluator = Evaluator(grammar, hardware, z.T, z[:, 0] * z[:, 1], None, {}, Fixed(16, 6))
    sums: list[list[Tree]] = [[("$0",)], [("$0", "$1", "mul"), ("$2",)], [("$1",), ("$2",)]]
    together = evaluator.assess_all([*sums, [("$0", "$0", "mul"), ("$0",)], [("$0", "$0", "sub")]])
    assert evaluator.evaluations == 5
    assert together[-1] is None  # it does not vary
    for terms_, one in zip(sums, together, strict=False):
        alone = evaluator.assess(terms_)
        assert one is not None
        assert alone is not None
        columns = np.stack([evaluator.column(t) for t in terms_], axis=1)
        design = np.column_stack([columns, np.ones(400)]).astype(float)
        target = z[:, 0] * z[:, 1]
        weights, *_ = np.linalg.lstsq(design, target, rcond=None)
        left = np.mean((design @ weights - target) ** 2) / target.var()
        assert abs(one.loss - left) < 1e-4
        assert abs(one.loss - alone.loss) < 1e-9
        rest = evaluator.residual(one)
        assert abs(float(np.mean(rest**2)) - one.loss) < 1e-5


def test_a_search_with_nothing_left_to_try_ends() -> None:
    z = sample()
    few = config(evaluations=20_000, operators=(), functions=())
    front = search(Sample(z, z[:, 0] - z[:, 2], NAMES), few, costs(Fixed(16, 6)), {}, 1)
    assert front[-1].loss < 1e-6
