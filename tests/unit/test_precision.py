"""Types and error budgets of expressions: bounds, declared ranges, refusals, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed
from nacsr.frontends.stem import bind
from nacsr.frontends.symbolic.language.expr import Expr, evaluate
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.budget import Budgeted, lower_within
from nacsr.ir import evaluate as interpret
from nacsr.ir.verify import ranges as intervals_of
from nacsr.luts import FUNCTIONS, LutFunc, lut_functions
from nacsr.luts.price import price_of

LUTS = lut_functions()
FLOAT = 1e-12
"""What float64 references may be wrong by; tests/property does it in 50 digits."""
FEATURES = (
    Feature("a", Fixed(12, 3)),
    Feature("b", Fixed(8, 2, signed=False)),
    Feature("c", Fixed(9, 1)),
)
NAMES = [f.name for f in FEATURES]
PLAIN = Scaling("external", (0, 0, 0), (0, 0, 0))
FOLDED = Scaling("folded", (37, 100, -7), (0, 1, 0))

FORMULAS = (
    "a*b",
    "0.3*a - 0.7*b + 0.11",
    "a*b*c",
    "a^4",
    "max(a, b)*c",
    "abs(a*c) + 0.3",
    "0.3 - a*c",
    "sin(a)",
    "exp(0.3*a)*b + 0.5",
    "a/(abs(b) + 1.5)",
    "sqrt(abs(a) + 1)",
    "log(abs(a) + 0.5)",
)


def read(text: str) -> Expr:
    return parse(text, NAMES, LUTS)


def within(text: str, max_error: float, ranges=None, scaling: Scaling = PLAIN, **more) -> Budgeted:
    return lower_within({"f": read(text)}, FEATURES, scaling, max_error, LUTS, ranges, **more)


def every_word(events: int = 5000) -> np.ndarray:
    rng = np.random.default_rng(0)
    columns = [
        rng.integers(f.type.min_raw, f.type.max_raw, events, endpoint=True) for f in FEATURES
    ]
    for column, f in zip(columns, FEATURES, strict=True):
        column[:8] = rng.choice([f.type.min_raw, f.type.max_raw], 8)
    return np.stack(columns, axis=1)


def differences(design: Budgeted, text: str, words: np.ndarray, limits=None) -> np.ndarray:
    """Design minus formula, whose inputs are clipped to ``limits``."""
    z = standardise(words, FEATURES, PLAIN)
    columns = {n: z[:, j] for j, n in enumerate(NAMES)}
    for name, (low, high) in (limits or {}).items():
        columns[name] = np.clip(columns[name], low, high)
    wanted = evaluate(read(text), columns, LUTS, exact=True)
    got = interpret(design.graph, bind(design.graph, FEATURES, words))["f"]
    lsb = design.graph.ops[design.graph.outputs[0][1]].type.lsb
    return got * lsb - wanted


def measured(design: Budgeted, text: str, words: np.ndarray, limits=None) -> float:
    return float(np.abs(differences(design, text, words, limits)).max())


@pytest.mark.parametrize("max_error", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("text", FORMULAS)
def test_bounds_hold_and_are_close_to_what_happens(text: str, max_error: float) -> None:
    design = within(text, max_error)
    error = measured(design, text, every_word())
    assert error - FLOAT <= design.bounds["f"] <= max_error
    assert error > 0.5 * design.bounds["f"]  # a bound half as large would be wrong


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_intervals_of_values_and_slopes_are_the_hull_of_what_happens(function: str) -> None:
    rng = np.random.default_rng(0)
    for low, high in rng.uniform(-7, 7, (60, 2)):
        low, high = min(low, high), max(low, high) + 0.01
        x = np.linspace(low, high, 2001)
        for found, curve in (
            (iv.values(function, (low, high)), FUNCTIONS[function].value),
            (iv.slopes(function, (low, high)), FUNCTIONS[function].slope),
        ):
            with np.errstate(all="ignore"):
                reached = curve(x)
            assert found[0] <= reached.min()
            assert reached.max() <= found[1]
            spread = np.ptp(reached)
            assert found == iv.ANYTHING or found[1] - found[0] <= 1.1 * spread + 1e-6


def test_the_root_near_zero_moves_by_the_root_of_the_error() -> None:
    low, high = iv.moved("sqrt_abs", (0.0, 1.0), (-0.01, 0.01))
    assert low <= -0.1
    assert 0.1 <= high <= 0.1001


def test_a_table_of_a_wide_argument_saturates_where_the_function_is_flat() -> None:
    text = "tanh(a*b*c*200)"  # off by 2**-8 if the 16 bits of a domain covered all of it
    design = within(text, 0.002)
    assert measured(design, text, every_word()) - FLOAT <= design.bounds["f"] <= 0.002


def test_what_needs_no_rounding_is_exact() -> None:
    design = within("2*a - b/4 + max(c, 0.5)", 1e-9)
    assert design.bounds["f"] == 0
    assert measured(design, "2*a - b/4 + max(c, 0.5)", every_word()) == 0


@pytest.mark.parametrize("text", FORMULAS)
def test_nothing_can_overflow(text: str) -> None:
    graph = within(text, 0.01).graph
    for op, (low, high) in zip(graph.ops, intervals_of(graph), strict=True):
        assert op.type.min_raw <= low <= high <= op.type.max_raw
        tables = {"lut", "mul", "select"}  # a saturating address belongs to a table
        assert op.type.overflow == "WRAP" or tables & {o.name for o in graph.ops}


def test_a_tighter_budget_takes_more_bits() -> None:
    prices = [price_of(within("sin(a)*b + 0.3*c", e).graph) for e in (0.2, 0.02, 0.002)]
    assert prices == sorted(prices)
    assert len(set(prices)) == 3


def test_a_declared_range_narrows_the_design_and_the_proof_still_holds_for_every_word() -> None:
    wide, narrow = within("a*b", 0.01), within("a*b", 0.01, {"a": (-1.0, 1.0)})
    assert price_of(narrow.graph) < price_of(wide.graph)
    assert [op.type for op in narrow.graph.ops if op.name == "input"] == [
        FEATURES[0].type,
        FEATURES[1].type,
    ]
    limits = {"a": (-1.0, 1.0 - FEATURES[0].type.lsb)}
    error = measured(narrow, "a*b", every_word(), limits)
    assert error - FLOAT <= narrow.bounds["f"]


@pytest.mark.parametrize(
    ("limits", "ops"),
    [
        ((-1.0, 1.0), ["cast"]),  # the range of a type: one saturation
        ((0.3, 1.3), ["max", "min"]),
        ((-9.0, 1.3), ["min"]),
        ((0.3, 9.0), ["max"]),
        ((-4.0, 4.0), []),  # what the port has anyway
    ],
)
def test_values_are_clipped_to_their_range(limits: tuple[float, float], ops: list[str]) -> None:
    design = within("a", 1e-6, {"a": limits})
    found = [
        op for op in design.graph.ops if op.name in ("min", "max") or op.type.overflow != "WRAP"
    ]
    assert [op.name for op in found] == ops
    step = FEATURES[0].type.lsb
    inside = (np.ceil(limits[0] / step) * step, np.ceil(limits[1] / step) * step - step)
    assert measured(design, "a", every_word(), {"a": inside}) == 0


def test_a_range_is_in_units_of_the_word_not_of_the_standardised_value() -> None:
    design = within("b", 1e-6, {"b": (0.5, 2.5)}, FOLDED)
    words = every_word()
    got = interpret(design.graph, {"b": words[:, 1]})["f"]
    lsb = design.graph.ops[design.graph.outputs[0][1]].type.lsb
    clipped = np.clip(words[:, 1], 32, 159)
    assert (got * lsb == (clipped - 100) / 128).all()


def test_a_range_takes_a_pole_out_of_the_way() -> None:
    with pytest.raises(ExpressionError, match=r"inverse has a pole or overflows over -4..3.99"):
        within("1/a", 0.01)
    design = within("1/a", 0.01, {"a": (0.5, 3.0)})
    error = measured(design, "1/a", every_word(), {"a": (0.5, 3.0 - FEATURES[0].type.lsb)})
    assert error - FLOAT <= design.bounds["f"] <= 0.01


def test_powers_are_squares_of_squares() -> None:
    eight = within("a*a*a*a*a*a*a*a", 0.5).graph
    assert sum(op.name == "mul" for op in eight.ops) == 3
    assert str(eight) == str(within("a^8", 0.5).graph)


def test_equal_terms_are_computed_once_over_all_outputs() -> None:
    trees = {k: read(f"sin(a*b)*{i} + c") for i, k in enumerate("pqr", 2)}
    design = lower_within(trees, FEATURES, PLAIN, 0.05, LUTS)
    single = lower_within({"p": trees["p"]}, FEATURES, PLAIN, 0.05, LUTS)
    count = [sum(op.name == "lut" for op in d.graph.ops) for d in (design, single)]
    assert count[0] == count[1] > 0
    assert len({design.graph.ops[i].type.plain() for _, i in design.graph.outputs}) == 1


def test_an_added_constant_takes_the_bias_of_truncation_off() -> None:
    # truncating the product leaves [-d, 0]; the constant makes [-d/2, d/2] of it for nothing
    for text in ("a*c + 0.3", "0.3 - a*c", "a*c - 0.3"):
        design = within(text, 0.02)
        errors = differences(design, text, every_word())
        assert abs(errors.max() + errors.min()) < 0.3 * (errors.max() - errors.min())


@pytest.mark.parametrize(
    "text", ["max(a, -5)", "max(-5, a)", "min(a, 7)", "min(7, a)", "abs(a + 4)", "0 - a", "a - 0*b"]
)
def test_what_the_ranges_decide_is_wires(text: str) -> None:
    design = within(text, 1e-6)
    assert measured(design, text, every_word()) == 0
    assert not {"min", "max", "abs"} & {op.name for op in design.graph.ops}


def test_a_fitted_table_is_its_own_definition() -> None:
    steps = LutFunc(
        "steps",
        "",
        Fixed.parse("fixed<4,3,TRN,SAT>"),
        Fixed(8, 1),
        "",
        values=tuple(range(-40, 40, 5)),
    )
    luts = {**LUTS, "steps": steps}
    tree = parse("steps(a)*c", NAMES, luts)
    design = lower_within({"f": tree}, FEATURES, PLAIN, 0.01, luts)
    words = every_word()
    z = standardise(words, FEATURES, PLAIN)
    wanted = steps.numpy(z[:, 0]) * z[:, 2]
    got = interpret(design.graph, bind(design.graph, FEATURES, words))["f"]
    lsb = design.graph.ops[design.graph.outputs[0][1]].type.lsb
    assert np.abs(got * lsb - wanted).max() - FLOAT <= design.bounds["f"] <= 0.01


@pytest.mark.parametrize(
    "text",
    [
        "select(a > 0.3, a*b, 0.7*c)",  # a constant off the grid: moved where it decides the same
        "0.37*(a > 0.3) - 0.21*(b < 1.7)*a",
        "cond(a - c, sin(a))",
        "select(max(a, b) > a*c, exp(0.3*a), b) + abs(c)",
        "(a > b)*c*(c > a)",
        "select(2*a - c, select(b > 0.9, 0.1, 0.2*a), -0.3*c)",
    ],
)
def test_comparisons_of_exact_values_have_a_bound(text: str) -> None:
    design = within(text, 0.01)
    assert measured(design, text, every_word()) - FLOAT <= design.bounds["f"] <= 0.01
    assert any(op.name == "compare" for op in design.graph.ops)


def test_only_what_a_comparison_depends_on_is_exact() -> None:
    both, alone = within("select(a > 0.3, a*b, c)", 0.05), within("a*b", 0.05)
    wide = [next(o.type.width for o in d.graph.ops if o.name == "mul") for d in (both, alone)]
    assert wide[0] == wide[1] < 20  # of 12 and 8 bits
    compare = next(op for op in both.graph.ops if op.name == "compare")
    assert both.graph.ops[compare.args[0]].type.width == 12


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("c + (sin(a) > 1.5)", "c"),
        ("c + (exp(a) > 0)", "c + 1"),
        ("select(cosh(a) > 0.5, c, sin(a))", "c"),
        ("cond(a - 9, sin(a)) + c", "c"),
        ("select(sin(a) > sin(a), a, c)", "c"),
    ],
)
def test_what_intervals_decide_is_no_comparison(text: str, same: str) -> None:
    assert str(within(text, 0.01).graph) == str(within(same, 0.01).graph)


@pytest.mark.parametrize("text", ["(a > b)*c", "cond(a > b, c)"])
def test_a_bit_chooses_and_multiplies_nothing(text: str) -> None:
    design = within(text, 1e-6)
    assert measured(design, text, every_word()) == 0
    assert [op.name for op in design.graph.ops if op.args] == ["compare", "select"]


@pytest.mark.parametrize(
    ("text", "max_error", "ranges", "says"),
    [
        ("a", 0.0, None, "max_error must be a positive number"),
        ("a", float("nan"), None, "max_error must be a positive number"),
        ("a", 0.1, {"d": (0, 1)}, "unknown input in ranges 'd'"),
        ("a", 0.1, {"a": (1, 1)}, "the range of 'a' must be two numbers, low < high"),
        ("a", 0.1, {"a": (5.0, 9.0)}, r"has no word of fixed<12,3>, which is -4.0..3.99"),
        ("a", 0.1, {"a": (0.0001, 0.0002)}, "has no word of"),
        ("a*1e-9", 0.1, None, "no expression of f needs a feature"),
        ("log(a)", 0.1, None, "log_abs has a pole or overflows over"),
        ("exp(exp(exp(a + 4)))", 0.1, None, "exp has a pole or overflows over"),
        ("a/0", 0.1, None, "division by a constant that is zero"),
        ("(a*b*c)^3", 1e-30, None, "63 bits"),
        ("sin(0.1*a)", 1e-12, None, "no number of bits"),
        ("sin(a) > 0.5", 0.1, None, r"for greater in 'sin\(a\) > 0.5'.* give a precision"),
        ("cond(sin(a), b)", 0.1, None, r"for cond in 'cond\(sin\(a\), b\)': it jumps"),
        ("select(0.3*a - b, b, c)", 1e-6, None, "for select in .* exact in 63 bits"),
    ],
)
def test_what_cannot_be_is_refused(text: str, max_error: float, ranges, says: str) -> None:
    with pytest.raises(ExpressionError, match=says) as caught:
        within(text, max_error, ranges)
    assert "\n" not in str(caught.value)


def test_no_expression_and_unknown_names_are_refused() -> None:
    from nacsr.frontends.symbolic.language.expr import Call, Var

    args = (FEATURES, PLAIN, 0.1, LUTS)
    with pytest.raises(ExpressionError, match="no expression"):
        lower_within({}, *args)
    with pytest.raises(ExpressionError, match="unknown variable 'd'"):
        lower_within({"f": Var("d")}, *args)
    with pytest.raises(ExpressionError, match="unknown function 'sine'"):
        lower_within({"f": Call("sine", (Var("a"),))}, *args)


def test_the_price_decides_between_tables() -> None:
    def no_products(graph) -> float:
        return price_of(graph) + 1e4 * sum(op.name == "mul" for op in graph.ops)

    free, without = within("sin(a)", 0.001), within("sin(a)", 0.001, price=no_products)
    assert any(op.name == "mul" for op in free.graph.ops)
    assert not any(op.name == "mul" for op in without.graph.ops)


def test_five_outputs_of_forty_operators_take_less_than_a_second() -> None:
    rng = np.random.default_rng(1)

    def some(size: int) -> str:
        if size == 0:
            return str(rng.choice([*NAMES, "0.37", "1.9"]))
        if rng.random() < 0.1:
            return f"{rng.choice(['sin', 'tanh'])}({some(size - 1)})"
        left = int(rng.integers(0, size))
        op = rng.choice(["+", "-", "*"], p=[0.45, 0.35, 0.2])
        return f"({some(left)} {op} {some(size - 1 - left)})"

    trees = {f"y{i}": read(some(40)) for i in range(5)}
    start = time.process_time()
    design = lower_within(trees, FEATURES, PLAIN, 0.05, LUTS)
    assert time.process_time() - start < 2  # less than one, without a slow machine's excuse
    assert all(bound <= 0.05 for bound in design.bounds.values())
