"""Random expressions within an error budget: what is proven holds, in exact arithmetic."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed
from nacsr.frontends.stem import bind
from nacsr.frontends.symbolic.language.expr import OPERATORS, Call, Expr, Num, Var, variables
from nacsr.frontends.symbolic.lowering import intervals as iv
from nacsr.frontends.symbolic.lowering.budget import lower_within
from nacsr.ir import evaluate as interpret
from nacsr.luts import FUNCTIONS, lut_functions
from nacsr.luts.price import price_of

mpmath = pytest.importorskip("mpmath", reason="the exact reference; it comes with sympy")
EXACT = mpmath.mp.clone()
EXACT.dps = 50

LUTS = lut_functions()
FEATURES = (
    Feature("a", Fixed(12, 3)),
    Feature("b", Fixed(8, 2, signed=False)),
    Feature("c", Fixed(9, 1)),
)
SCALING = Scaling("folded", (37, 100, -7), (0, 1, 0))
ARITHMETIC = ("add", "sub", "mul", "neg", "abs", "min", "max", "square")
TABLES = ("sin", "cos", "tanh", "sigmoid", "gauss", "erf", "softplus", "sqrt_abs", "exp", "sinh")

REAL = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": abs,
    "min": min,
    "max": max,
    "square": lambda a: a * a,
    "cube": lambda a: a * a * a,
    "greater": lambda a, b: EXACT.mpf(a > b),
    "cond": lambda a, b: b if a > 0 else EXACT.mpf(0),
    "select": lambda a, b, c: b if a > 0 else c,
    "sin": EXACT.sin,
    "cos": EXACT.cos,
    "sincos": lambda x: EXACT.sin(x) * EXACT.cos(x),
    "tan": EXACT.tan,
    "exp": EXACT.exp,
    "gauss": lambda x: EXACT.exp(-x * x),
    "log_abs": lambda x: EXACT.log(abs(x)),
    "tanh": EXACT.tanh,
    "sqrt_abs": lambda x: EXACT.sqrt(abs(x)),
    "inverse": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + EXACT.exp(-x)),
    "sinh": EXACT.sinh,
    "cosh": EXACT.cosh,
    "erf": EXACT.erf,
    "softplus": lambda x: EXACT.log(1 + EXACT.exp(x)),
}


def exactly(tree: Expr, point: dict[str, object]):
    """The formula in real numbers: 50 digits."""
    if isinstance(tree, Num):
        return EXACT.mpf(tree.value)
    if isinstance(tree, Var):
        return point[tree.name]
    return REAL[tree.op](*[exactly(a, point) for a in tree.args])


MODERATE = st.floats(-4, 4, allow_nan=False, width=32)


@st.composite
def trees(
    draw: st.DrawFn,
    ops: tuple[str, ...],
    most: int = 7,
    constants: st.SearchStrategy[float] = MODERATE,
) -> Expr:
    """Operators on earlier results or leaves: terms are shared, too."""
    pool: list[Expr] = [Num(draw(constants)) for _ in range(3)]
    pool += [Var(f.name) for f in FEATURES]
    for op in draw(st.lists(st.sampled_from(ops), min_size=1, max_size=most)):
        arity = OPERATORS[op].arity if op in OPERATORS else 1
        args = [pool[-1 - draw(st.integers(0, len(pool) - 1))] for _ in range(arity)]
        pool.append(Call(op, tuple(args)))
    return pool[-1]


PLAIN = trees(ARITHMETIC)
ANY = trees((*ARITHMETIC, *TABLES), most=5)
BUDGETS = st.sampled_from([0.3, 0.1, 0.02, 0.004])


def some_words(seed: int, events: int = 40) -> np.ndarray:
    """All corners, and random words."""
    ends = [(f.type.min_raw, f.type.max_raw) for f in FEATURES]
    corners = np.array(list(itertools.product(*ends)))
    rng = np.random.default_rng(seed)
    columns = [rng.integers(lo, hi, events, endpoint=True) for lo, hi in ends]
    return np.concatenate([corners, np.stack(columns, axis=1)])


def points(words: np.ndarray) -> list[dict[str, object]]:
    """The exact standardised values of words."""
    steps = [
        EXACT.mpf(2) ** -(f.type.frac + s) for f, s in zip(FEATURES, SCALING.shifts, strict=True)
    ]
    return [
        {
            f.name: (int(w) - o) * s
            for f, w, o, s in zip(FEATURES, row, SCALING.offsets, steps, strict=True)
        }
        for row in words
    ]


def worst(design, expressions: dict[str, Expr], words: np.ndarray) -> dict[str, object]:
    """The largest error of every output, in exact arithmetic."""
    got = interpret(design.graph, bind(design.graph, FEATURES, words))
    where = points(words)
    found = {}
    for name, index in design.graph.outputs:
        lsb = EXACT.mpf(2) ** -design.graph.ops[index].type.frac
        found[name] = max(
            abs(int(raw) * lsb - exactly(expressions[name], p))
            for raw, p in zip(got[name], where, strict=True)
        )
    return found


def designed(expressions: dict[str, Expr], max_error: float):
    """The design; examples without one (no bound, no feature) are passed over."""
    try:
        return lower_within(expressions, FEATURES, SCALING, max_error, LUTS)
    except ExpressionError:
        assume(False)


def check(expressions: dict[str, Expr], max_error: float, seed: int) -> None:
    assume(any(variables(e) for e in expressions.values()))
    design = designed(expressions, max_error)
    found = worst(design, expressions, some_words(seed))
    for name, error in found.items():
        assert error <= design.bounds[name] <= max_error
    assert len({design.graph.ops[i].type.plain() for _, i in design.graph.outputs}) == 1


@settings(max_examples=150, deadline=None)
@given(one=PLAIN, two=PLAIN, max_error=BUDGETS, seed=st.integers(0, 1000))
def test_arithmetic_stays_within_its_proven_bound(one, two, max_error, seed):
    check({"f": one, "g": two}, max_error, seed)


CHOICES = trees((*ARITHMETIC, "greater", "cond", "select"))


@settings(max_examples=150, deadline=None)
@given(one=CHOICES, two=CHOICES, max_error=BUDGETS, seed=st.integers(0, 1000))
def test_choices_stay_within_their_proven_bound(one, two, max_error, seed):
    check({"f": one, "g": two}, max_error, seed)


QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.filter_too_much]}


LARGE = Call("square", (Call("exp", (Var("c"),)),))
"""0.98 to 7.75: more than a period of a wave, on one side of zero."""


@settings(max_examples=30, **QUICK)
@example(Call("sin", (LARGE,)), 0.3, 0)
@example(Call("cos", (LARGE,)), 0.02, 0)
@given(tree=ANY, max_error=BUDGETS, seed=st.integers(0, 1000))
def test_tables_stay_within_the_proven_bound(tree, max_error, seed):
    check({"f": tree}, max_error, seed)


WILD = st.floats(allow_nan=False, allow_infinity=False)
ALL = (*OPERATORS, *(name for name in FUNCTIONS if name in LUTS))


@settings(max_examples=150, deadline=None)
@given(tree=trees(ALL, 6, WILD), max_error=st.sampled_from([1e-300, 1e-9, 1.0, 1e30]))
def test_whatever_is_asked_is_done_or_refused(tree, max_error):
    with contextlib.suppress(ExpressionError):
        design = lower_within({"f": tree}, FEATURES, SCALING, max_error, LUTS)
        assert design.bounds["f"] <= max_error


@pytest.mark.slow
@settings(max_examples=600, **QUICK)
@given(
    one=trees(ALL, most=8),
    two=ANY,
    max_error=BUDGETS,
    seed=st.integers(0, 1000),
)
def test_everything_stays_within_the_proven_bound(one, two, max_error, seed):
    check({"f": one, "g": two}, max_error, seed)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tree=PLAIN)
def test_a_looser_budget_costs_no_more(tree):
    # the search is greedy: nothing guarantees it, and one factor of two in 2000 costs a bit more
    assume(variables(tree))
    prices = [price_of(designed({"f": tree}, e).graph) for e in (0.002, 0.008, 0.03, 0.12, 0.5)]
    assert prices == sorted(prices, reverse=True)


@given(
    function=st.sampled_from(sorted(FUNCTIONS)),
    low=st.floats(-30, 30),
    width=st.floats(0, 40),
    share=st.floats(0, 1),
    error=st.floats(-0.5, 0.5) | st.floats(-1e-6, 1e-6),
)
def test_intervals_of_functions_enclose_them(function, low, width, share, error):
    x = EXACT.mpf(low) + EXACT.mpf(share) * EXACT.mpf(width)
    reach = (low, float(np.nextafter(low + width, np.inf)))
    assume(low <= x <= reach[1])
    assume(error == 0 or abs(error) > 1e-12)  # a difference that 50 digits still show
    poles = function in ("inverse", "log_abs")
    assume(not (poles and (x == 0 or x + error == 0)))
    value = REAL[function](x)
    least, most = iv.values(function, reach)
    assert least <= value <= most
    # slopes, too: between two values is one that is their difference over that of the arguments
    least, most = iv.moved(function, reach, (min(error, 0.0), max(error, 0.0)))
    assert least <= REAL[function](x + EXACT.mpf(error)) - value <= most
