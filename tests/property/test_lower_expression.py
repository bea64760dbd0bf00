"""Random expressions: text round trip, no wrapping ever, and a derived error bound."""

import contextlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.stem import bind
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Num,
    Var,
    evaluate,
    fold,
    size,
    variables,
    walk,
)
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import Graph
from nacsr.ir import evaluate as interpret
from nacsr.luts import lut_functions

PLAIN_DOMAIN = Fixed.parse("fixed<9,4,TRN,SAT>")
LUTS = {
    # other forms wrap phases on purpose; what is asked here is whether lowering wraps
    name: f if f.form.plain else f.with_types(PLAIN_DOMAIN, f.value)
    for name, f in lut_functions().items()
}
FEATURES = (
    Feature("a", Fixed(16, 6)),
    Feature("b", Fixed(16, 9, signed=False)),
    Feature("c", Fixed(12, 2)),
)
NAMES = [f.name for f in FEATURES]
FOLDED = Scaling("folded", (100, 9000, -7), (2, 6, 0))


@st.composite
def trees(draw: st.DrawFn, constants: st.SearchStrategy[float], ops: tuple[str, ...] = ()):
    """One to eight operators, each on earlier results or leaves: terms are shared, too."""
    pool = [Num(draw(constants)) for _ in range(2)] + [Var(n) for n in NAMES]
    arity = {op: row.arity for op, row in OPERATORS.items()} | dict.fromkeys(LUTS, 1)
    arity = {op: arity[op] for op in ops or arity}
    for op in draw(st.lists(st.sampled_from(sorted(arity)), min_size=1, max_size=8)):
        args = [pool[-1 - draw(st.integers(0, len(pool) - 1))] for _ in range(arity[op])]
        pool.append(Call(op, tuple(args)))
    return pool[-1]


MODERATE = trees(st.floats(-20, 20, allow_nan=False, width=32))
ANY = trees(st.floats(allow_nan=False, allow_infinity=False))
JUMPS = ("greater", "cond", "select")
CONTINUOUS = trees(
    st.floats(-20, 20, allow_nan=False, width=32),
    tuple(op for op in (*OPERATORS, *LUTS) if op not in JUMPS),
)


def random_words(seed: int, events: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ends = [(f.type.min_raw, f.type.max_raw) for f in FEATURES]
    columns = [rng.integers(lo, hi, events, endpoint=True) for lo, hi in ends]
    words = np.stack(columns, axis=1)
    words[0], words[1] = [lo for lo, _ in ends], [hi for _, hi in ends]
    return words


def foldable(tree) -> bool:
    try:
        return fold(tree, LUTS) is not None
    except ExpressionError:
        return False


@given(tree=ANY)
def test_text_reads_back_to_the_same_tree(tree):
    text = to_text(tree)
    if foldable(tree):
        assert parse(text, NAMES, LUTS) == tree
    elif "/" in text:  # a constant divisor of zero may be in it, or one that is not finite
        with contextlib.suppress(ExpressionError):
            assert parse(text, NAMES, LUTS) == tree


def exactly(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The graph with Python integers of any size: casts truncate and saturate, nothing wraps."""
    values: list[np.ndarray] = []
    for op in graph.ops:
        args = [values[a] for a in op.args]
        types = [graph.ops[a].type for a in op.args]
        if op.name in ("add", "sub", "min", "max", "compare"):  # bring both to the finer grid
            frac = max(t.frac for t in types)
            args = [x << (frac - t.frac) for x, t in zip(args, types, strict=True)]
        match op.name:
            case "input":
                value = inputs[str(op.attrs["name"])].astype(object)
            case "const":
                value = np.array([int(op.array("value"))], dtype=object)
            case "cast":
                drop = types[0].frac - op.type.frac
                assert op.type.rounding == "TRN"
                value = args[0] >> drop if drop > 0 else args[0] << -drop
                if op.type.overflow is Overflow.SAT:
                    value = np.clip(value, op.type.min_raw, op.type.max_raw)
            case "lut":
                value = op.array("table")[(args[0] % (1 << types[0].width)).astype(int)]
                value = value.astype(object)
            case "add":
                value = args[0] + args[1]
            case "sub":
                value = args[0] - args[1]
            case "mul":
                value = args[0] * args[1]
            case "neg":
                value = -args[0]
            case "abs":
                value = abs(args[0])
            case "min":
                value = np.minimum(args[0], args[1])
            case "max":
                value = np.maximum(args[0], args[1])
            case "compare":
                assert op.attrs["kind"] == "gt"
                value = (args[0] > args[1]).astype(object)
            case "select":
                ups = [op.type.frac - t.frac for t in types[1:]]
                value = np.where(args[0] != 0, args[1] << ups[0], args[2] << ups[1])
            case "shift":
                value = args[0]
            case _:
                raise AssertionError(op.name)
        assert value.min() >= op.type.min_raw, "a value left its type"
        assert value.max() <= op.type.max_raw, "a value left its type"
        values.append(value)
    return {name: values[i] for name, i in graph.outputs}


@settings(max_examples=300, deadline=None)
@given(
    one=MODERATE,
    two=MODERATE,
    precision=st.sampled_from(["16,6", "8,4", "18,8", "12,12", "24,3", "6,1"]),
    seed=st.integers(0, 1000),
)
def test_nothing_ever_wraps(one, two, precision, seed):
    assume(foldable(one) and foldable(two))
    working = Fixed.parse(precision)
    # "a" added on: every design reads a feature, whatever vanishes at this precision
    pair = {"f": Call("add", (one, Var("a"))), "g": two}
    graph = lower(pair, FEATURES, FOLDED, working, LUTS)
    words = random_words(seed)
    inputs = bind(graph, FEATURES, words)
    want = exactly(graph, inputs)
    got = interpret(graph, inputs)
    for port, index in graph.outputs:
        assert (got[port] == want[port]).all()
        bits = graph.ops[index].type
        assert bits.frac == working.frac
        # the sum of an output is exact: a bit more whenever its number of terms doubles
        terms = max(size(one) + 1, size(two))
        assert bits.integer <= working.integer + terms.bit_length()
    assert len({graph.ops[i].type.plain() for _, i in graph.outputs}) == 1


def bound(tree, columns, working: Fixed) -> tuple[np.ndarray, np.ndarray]:
    """Value, and a bound of the lowered value's error, for every event.

    One LSB for every truncation; half an LSB, or half of the last of W significant bits, for
    constants; all terms of products; a table moves by as many bins as its argument may.
    """
    lsb = working.lsb
    if isinstance(tree, Num):
        error = lsb / 2 + abs(tree.value) * 2.0**-working.width
        return np.full(len(columns["a"]), tree.value), np.full(len(columns["a"]), error)
    if isinstance(tree, Var):
        return columns[tree.name], np.full(len(columns["a"]), lsb)
    parts = [bound(a, columns, working) for a in tree.args]
    value = evaluate(tree, columns, LUTS)
    if tree.op in LUTS:
        f, (x, e) = LUTS[tree.op], parts[0]
        step = float(np.abs(np.diff(np.roll(f.table, f.table.size // 2))).max()) * f.value.lsb
        return value, (np.floor(e / f.domain.lsb) + 1) * step + lsb
    if tree.op in ("mul", "square"):
        (x, ex), (y, ey) = parts if tree.op == "mul" else parts * 2
        return value, np.abs(x) * ey + np.abs(y) * ex + ex * ey + lsb
    if tree.op == "cube":
        (x, e) = parts[0]
        e2 = 2 * np.abs(x) * e + e * e + lsb
        return value, x * x * e + np.abs(x) * e2 + e * e2 + lsb
    return value, sum(e for _, e in parts)  # add, sub, neg; abs, min, max do not even add up


@settings(max_examples=300, deadline=None)
@given(tree=CONTINUOUS, seed=st.integers(0, 1000))
def test_error_stays_below_the_derived_bound(tree, seed):
    assume(foldable(tree))
    working = Fixed(30, 14)
    words = random_words(seed)
    z = standardise(words, FEATURES, FOLDED)
    columns = {n: z[:, j] for j, n in enumerate(NAMES)}
    folded = fold(tree, LUTS)
    value, allowed = bound(folded, columns, working)
    assume(variables(folded))
    graph = lower({"f": tree, "a": Var("a")}, FEATURES, FOLDED, working, LUTS)
    # the bound is for values within the working type
    assume(not any(op.type == working.with_modes("TRN", "SAT") for op in graph.ops))
    assume(all(abs(n.value) < working.max for n, _ in walk(folded) if isinstance(n, Num)))
    out = graph.ops[graph.outputs[0][1]].type
    got = out.to_float(interpret(graph, bind(graph, FEATURES, words))["f"])
    assert (np.abs(got - value) <= allowed).all()


GRID = st.integers(-64, 64).map(lambda n: n / 8)
LINEAR = ("add", "sub", "neg", "abs", "min", "max", *JUMPS)


@st.composite
def choices(draw: st.DrawFn):
    """Trees of sums and choices on a grid, whose comparisons may be with any constant."""
    pool = [Num(draw(GRID)) for _ in range(2)] + [Var(n) for n in NAMES]
    for op in draw(st.lists(st.sampled_from((*LINEAR, "limit", "gate")), min_size=1, max_size=9)):
        some = [pool[-1 - draw(st.integers(0, len(pool) - 1))] for _ in range(3)]
        if op == "limit":
            limit = Num(draw(st.floats(allow_nan=False, allow_infinity=False)))
            pair = (some[0], limit) if draw(st.booleans()) else (limit, some[0])
            pool.append(Call("greater", pair))
        elif op == "gate":
            pair = (Call("greater", tuple(some[:2])), some[2])
            pool.append(Call("mul", pair if draw(st.booleans()) else pair[::-1]))
        else:
            pool.append(Call(op, tuple(some[: OPERATORS[op].arity])))
    return pool[-1]


@settings(max_examples=400, deadline=None)
@given(tree=choices(), seed=st.integers(0, 1000))
def test_sums_and_choices_are_what_the_formula_says_bit_for_bit(tree, seed):
    graph = lower({"f": tree, "a": Var("a")}, FEATURES, FOLDED, Fixed(40, 24), LUTS)
    words = random_words(seed)
    z = standardise(words, FEATURES, FOLDED)
    want = evaluate(tree, {n: z[:, j] for j, n in enumerate(NAMES)}, LUTS)
    out = graph.ops[graph.outputs[0][1]].type
    got = out.to_float(interpret(graph, bind(graph, FEATURES, words))["f"])
    assert (got == want).all()
    assert not any(op.name == "mul" for op in graph.ops)


def lowered(text: str, precision: str = "16,6") -> Graph:
    return lower({"f": parse(text, NAMES, LUTS)}, FEATURES, FOLDED, Fixed.parse(precision), LUTS)


def names_of(text: str) -> list[str]:
    found = [op.name for op in lowered(text).ops]
    return [name for name in found if name in ("compare", "select", "mul")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a > c", ["compare"]),
        ("(a > c)*c", ["compare", "select"]),
        ("a*(a > c)*0.75", ["compare", "mul", "select"]),
        ("select(a > c, a, c)", ["compare", "select"]),
        ("select(a, a, c)", ["compare", "select"]),
        ("select(a > c, 1, 0)", ["compare"]),
        ("cond((a > c) > 0, 1)", ["compare"]),
        ("(a > c)*(c > 0.1)", ["compare", "compare", "select"]),
        ("(a > c)^3", ["compare"]),
        ("a + (a > 31) + (a < -1e300)", []),  # beyond the range of a
        ("select(a < 31, c, a*a)", []),
        ("select(a > c, c, c)", []),
    ],
)
def test_a_bit_chooses_and_multiplies_nothing(text, names):
    assert names_of(text) == names


def test_a_comparison_is_one_whatever_the_integer_bits_are():
    graph = lowered("a > c", "8,1")
    words = random_words(0)
    got = interpret(graph, bind(graph, FEATURES, words))["f"]
    out = graph.ops[graph.outputs[0][1]].type
    assert set(out.to_float(got)) == {0.0, 1.0}


def test_small_factors_vanish_and_outputs_share_a_type():
    working = Fixed(16, 6)
    args = (FEATURES, FOLDED, working, LUTS)
    vanished = lower({"f": parse("a + 0.0001*b*c", NAMES, LUTS)}, *args)
    assert vanished == lower({"f": parse("a", NAMES, LUTS)}, *args)
    with pytest.raises(ExpressionError, match="depends on a feature"):
        lower({"f": parse("0.0001*a + 2", NAMES, LUTS)}, *args)
    with pytest.raises(ExpressionError, match="unknown variable 'd'"):
        lower({"f": Var("d")}, *args)
    graph = lower({"f": parse("max(a*1e300, 1e30)", NAMES, LUTS)}, *args)
    found = interpret(graph, bind(graph, FEATURES, random_words(0)))["f"]
    assert (found == working.max_raw).all()  # constants saturate like everything else
    with pytest.raises(ExpressionError, match="no expression"):
        lower({}, *args)


def test_shared_terms_are_computed_once():
    text = "sin(a*b)"
    trees = {k: parse(f"{text}*{i} + c", NAMES, LUTS) for i, k in enumerate("pqr", 2)}
    graph = lower(trees, FEATURES, FOLDED, Fixed(16, 6), LUTS)
    assert sum(op.name == "lut" for op in graph.ops) == 1


def test_a_long_sum_is_exact_and_as_wide_as_it_needs():
    terms = [Call("mul", (Num(1.25), Var("a"))) for _ in range(40)]
    whole = terms[0]
    for term in terms[1:]:
        whole = Call("add", (whole, term))
    graph = lower({"f": whole}, FEATURES, FOLDED, Fixed.parse("16,6"), LUTS)
    out = graph.ops[graph.outputs[0][1]]
    assert out.type.integer <= 6 + 6  # 40 terms need six bits more, not forty
    words = random_words(3)
    one = lower({"f": terms[0]}, FEATURES, FOLDED, Fixed.parse("16,6"), LUTS)
    single = interpret(one, bind(one, FEATURES, words))["f"]
    total = interpret(graph, bind(graph, FEATURES, words))["f"]
    assert (total == 40 * single).all()
