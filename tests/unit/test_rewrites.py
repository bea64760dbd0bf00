"""Every rewriting of arithmetic really happens: what is left of a graph after one pass."""

from __future__ import annotations

import random
import time
from collections import Counter

import numpy as np
import pytest

from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph, evaluate
from nacsr.ir.passes import (
    PASSES,
    STANDARD,
    Algebra,
    ConstMul,
    ExpandCasts,
    Fold,
    FoldAffine,
    MergeCasts,
    Narrow,
    Pass,
    run,
)
from tests.unit.pass_graphs import Build, X, c, graph_of, left

U = Fixed(6, 3, False)


def ge(b: Builder, x: int, y: int) -> int:
    return b.op("compare", x, y, kind="ge")


# --- constants -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda b, x: b.op("add", c(b, 3), c(b, 5)), 8),
        (lambda b, x: b.op("mul", b.op("sub", c(b, 3), c(b, 5)), c(b, 8)), -16),
        (lambda b, x: b.op("cast", c(b, 5), type=Fixed(4, 3, rounding="RND")), 1),
        (lambda b, x: b.op("select", ge(b, c(b, 1), c(b, 0)), c(b, 7), c(b, 9)), 7),
        (lambda b, x: b.op("argmax", b.op("stack", c(b, 1), c(b, 5))), 1),
        (lambda b, x: b.op("relu", b.op("min", x, c(b, -1))), 0),
    ],
)
def test_constants_fold(build: Build, value: int) -> None:
    graph = graph_of(build)
    after = Fold().apply(graph)
    assert left(Fold(), graph) == Counter()
    assert evaluate(after, {"x": np.zeros(1, np.int64)})["y"] == [value]


def test_constants_are_quantised_before_they_are_costed() -> None:
    graph = graph_of(lambda b, x: b.op("mul", x, c(b, 3 << 8, Fixed(16, 6))))
    product = next(op for op in Fold().apply(graph).ops if op.name == "mul")
    assert str(product.type) == "fixed<8,3>"  # 6 bits times 2, not times 16


def test_a_table_of_a_constant_folds() -> None:
    def build(b: Builder, x: int) -> int:
        table = {"function": "square", "table": [0, 1, 4, 9]}
        return b.op("lut", c(b, 1, Fixed(2, 2, False)), type=Fixed(4, 4, False), **table)

    assert left(Fold(), graph_of(build)) == Counter()


def test_zeros_are_one_bit_wherever_they_come_from() -> None:
    graph = graph_of(lambda b, x: b.op("max", x, c(b, 0, Fixed(12, 4))))
    assert [str(op.type) for op in Fold().apply(graph).ops if op.name == "const"] == ["ufixed<1,1>"]
    far = graph_of(lambda b, x: b.op("max", x, c(b, 0, Fixed(3, 9))))  # no bit near the point
    assert [str(op.type) for op in Fold().apply(far).ops if op.name == "const"] == ["ufixed<1,7>"]


# --- algebra ---------------------------------------------------------------------------


def select(kind: str, swap: bool) -> Build:
    def build(b: Builder, x: int) -> int:
        y = c(b, 4)
        arms = (y, x) if swap else (x, y)
        return b.op("select", b.op("compare", x, y, kind=kind), *arms)

    return build


def power(n: int) -> Build:
    def build(b: Builder, x: int) -> int:
        made = x
        for _ in range(n - 1):
            made = b.op("mul", made, x)
        return made

    return build


def absolute(b: Builder, x: int) -> int:
    return b.op("select", b.op("compare", x, c(b, 0), kind="lt"), b.op("neg", x), x)


REWRITES: list[tuple[str, Build, dict[str, int]]] = [
    ("x + 0", lambda b, x: b.op("add", c(b, 0), x), {}),
    ("x - 0", lambda b, x: b.op("sub", x, c(b, 0)), {}),
    ("0 - x", lambda b, x: b.op("sub", c(b, 0), x), {"neg": 1}),
    ("x - x", lambda b, x: b.op("sub", x, x), {}),
    ("x + x", lambda b, x: b.op("add", x, x), {"shift": 1}),
    ("x + -y", lambda b, x: b.op("add", b.op("neg", x), b.op("abs", x)), {"sub": 1, "abs": 1}),
    ("x - -y", lambda b, x: b.op("sub", b.op("abs", x), b.op("neg", x)), {"add": 1, "abs": 1}),
    ("x + 3 + 5", lambda b, x: b.op("add", b.op("add", x, c(b, 3)), c(b, 5)), {"add": 1}),
    ("x + 3 - 3", lambda b, x: b.op("sub", b.op("add", x, c(b, 3)), c(b, 3)), {}),
    ("x - 3 - 5", lambda b, x: b.op("sub", b.op("sub", x, c(b, 3)), c(b, 5)), {"sub": 1}),
    ("--x", lambda b, x: b.op("neg", b.op("neg", x)), {}),
    ("-(x - y)", lambda b, x: b.op("neg", b.op("sub", x, c(b, 5))), {"sub": 1}),
    ("x * 0", lambda b, x: b.op("mul", x, c(b, 0)), {}),
    ("x * 1", lambda b, x: b.op("mul", x, c(b, 8)), {}),
    ("x * -1", lambda b, x: b.op("mul", c(b, -8), x), {"neg": 1}),
    ("x * 4", lambda b, x: b.op("mul", x, c(b, 4, Fixed(8, 8))), {"shift": 1}),
    ("x * -1/2", lambda b, x: b.op("mul", x, c(b, -4)), {"shift": 1, "neg": 1}),
    ("-x * -x", lambda b, x: b.op("mul", *[b.op("neg", x)] * 2), {"mul": 1}),
    ("x**3", power(3), {"mul": 2}),
    ("x**4", power(4), {"mul": 2}),
    ("x**6", power(6), {"mul": 3}),
    ("x**8", power(8), {"mul": 3}),
    ("3 x 5", lambda b, x: b.op("mul", b.op("mul", x, c(b, 3)), c(b, 5)), {"mul": 1}),
    ("x << 1 >> 1", lambda b, x: b.op("shift", b.op("shift", x, n=1), n=-1), {}),
    ("||x||", lambda b, x: b.op("abs", b.op("abs", x)), {"abs": 1}),
    ("|-x|", lambda b, x: b.op("abs", b.op("neg", x)), {"abs": 1}),
    ("relu |x|", lambda b, x: b.op("relu", b.op("abs", x)), {"abs": 1}),
    ("leaky |x|", lambda b, x: b.op("leaky_relu", b.op("abs", x), n=2), {"abs": 1}),
    ("max(x, x)", lambda b, x: b.op("max", x, x), {}),
    ("max(x, 0)", lambda b, x: b.op("max", x, c(b, 0)), {"relu": 1}),
    ("max(x, -x)", lambda b, x: b.op("max", x, b.op("neg", x)), {"abs": 1}),
    ("min(|x|, -1)", lambda b, x: b.op("min", b.op("abs", x), c(b, -1)), {}),
    ("max(x, 31)", lambda b, x: b.op("max", x, c(b, 31)), {}),
    ("x >= x", lambda b, x: ge(b, x, x), {}),
    ("|x| >= 0", lambda b, x: ge(b, b.op("abs", x), c(b, 0)), {}),
    ("x > 31", lambda b, x: b.op("compare", x, c(b, 31), kind="gt"), {}),
    ("|x| == -1", lambda b, x: b.op("compare", b.op("abs", x), c(b, -1), kind="eq"), {}),
    ("x > y ? x : y", select("gt", False), {"max": 1}),
    ("x <= y ? x : y", select("le", False), {"min": 1}),
    ("x < y ? y : x", select("lt", True), {"max": 1}),
    ("x < 0 ? -x : x", absolute, {"abs": 1}),
    ("c ? x : x", lambda b, x: b.op("select", ge(b, x, c(b, 1)), x, x), {}),
    ("c ? 1 : 0", lambda b, x: b.op("select", ge(b, x, c(b, 1)), c(b, 8), c(b, 0)), {"compare": 1}),
    ("1 ? x : -x", lambda b, x: b.op("select", ge(b, x, x), x, b.op("neg", x)), {}),
]


@pytest.mark.parametrize(
    ("build", "expected"), [r[1:] for r in REWRITES], ids=[r[0] for r in REWRITES]
)
def test_algebra(build: Build, expected: dict[str, int]) -> None:
    assert left(Algebra(), graph_of(build)) == expected


def test_shared_powers_share_their_squares() -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 2))
    made = x
    for n in range(2, 6):
        made = b.op("mul", made, x)
        b.output(f"x{n}", made)
    assert left(Algebra(), b.build()) == {"mul": 4}  # no product more than there was


def test_narrow_factors_and_scalars_come_first() -> None:
    b = Builder()
    wide, narrow = b.input("wide", Fixed(20, 10)), b.input("narrow", Fixed(3, 1))
    mid, vector = b.input("mid", Fixed(5, 2)), b.input("v", Fixed(2, 1), (8,))
    chain = b.op("mul", b.op("mul", b.op("mul", wide, vector), mid), narrow)
    b.output("y", chain)
    graph = b.build()
    assert left(Algebra(), graph) == {"mul": 3}
    products = [op for op in Algebra().apply(graph).ops if op.name == "mul"]
    assert [(op.type.width, op.shape) for op in products] == [(8, ()), (28, ()), (30, (8,))]


def test_a_product_with_a_cast_between_keeps_its_bits_and_shares_the_square() -> None:
    def build(b: Builder, x: int) -> int:
        square = b.op("cast", b.op("mul", x, x), type=Fixed(4, 3))
        return b.op("mul", b.op("mul", square, x), x)

    assert left(Algebra(), graph_of(build)) == {"mul": 2}


# --- constants as shifts and additions -------------------------------------------------


@pytest.mark.parametrize(
    ("word", "step", "adders"),
    [
        (7, ConstMul(), 1),
        (-5, ConstMul(), 2),
        (11, ConstMul(), 2),
        (0b10101010101, ConstMul(), None),
        (0b10101010101, ConstMul(limit=6), 5),
        (0b10101010101, ConstMul(always=True), 5),
        (32, ConstMul(), 0),
        (0, ConstMul(), 0),
    ],
)
def test_products_with_constants_become_additions(
    word: int, step: ConstMul, adders: int | None
) -> None:
    graph = graph_of(lambda b, x: b.op("mul", c(b, word, Fixed(12, 4)), x))
    ops = left(step, graph)
    if adders is None:
        assert ops == {"mul": 1}
    else:
        assert "mul" not in ops
        assert ops["add"] + ops["sub"] + ops["neg"] == adders


def test_the_widest_product_stays_a_product() -> None:
    graph = graph_of(lambda b, x: b.op("mul", x, c(b, 7, Fixed(3, 3, False))), Fixed(60, 30))
    assert left(ConstMul(), graph)["mul"] <= 1  # whichever it is, the words are equal


# --- casts -----------------------------------------------------------------------------


def casts(*types: Fixed) -> Build:
    def build(b: Builder, x: int) -> int:
        for t in types:
            x = b.op("cast", x, type=t)
        return x

    return build


@pytest.mark.parametrize(
    ("types", "kept"),
    [
        ((Fixed(9, 5, True, "RND", "SAT"),), []),  # drops and clips nothing
        ((Fixed(5, 2), Fixed(3, 1)), ["fixed<3,1>"]),  # slices of slices
        ((Fixed(5, 3), Fixed(3, 1, True, "TRN", "SAT")), ["fixed<3,1,TRN,SAT>"]),
        ((Fixed(5, 3, True, "RND", "WRAP"), Fixed(3, 1)), ["fixed<3,1,RND,WRAP>"]),
        (
            (Fixed(5, 2, True, "TRN", "SAT"), Fixed(4, 1, True, "TRN", "SAT")),
            ["fixed<4,1,TRN,SAT>"],
        ),
        ((Fixed(5, 3), Fixed(2, 1, True, "RND", "SAT")), None),  # rounds twice
        ((Fixed(5, 2, True, "TRN", "SAT"), Fixed(4, 1)), None),  # clips, then wraps
        ((Fixed(5, 2), Fixed(7, 4)), None),  # wraps to a signed value: more than a slice
    ],
)
def test_casts_of_casts(types: tuple[Fixed, ...], kept: list[str] | None) -> None:
    graph = graph_of(casts(*types))
    left(MergeCasts(), graph)
    after = MergeCasts().apply(graph)
    found = [str(op.type) for op in after.ops if op.name == "cast"]
    if kept is None:
        assert len(found) == 2
    else:
        assert found[: len(kept)] == kept
        assert all(t.count(",") == 1 for t in found[len(kept) :])


def test_modes_that_never_act_become_free() -> None:
    def build(b: Builder, x: int) -> int:
        small = b.op("min", b.op("abs", x), c(b, 7))
        return b.op("cast", small, type=Fixed(3, 2, True, "TRN_ZERO", "SAT_SYM"))

    after = MergeCasts().apply(graph_of(build))
    assert [op.type for op in after.ops if op.name == "cast"] == [Fixed(3, 2)]


def test_rounding_is_not_done_twice_for_a_second_reader() -> None:
    def build(b: Builder, x: int) -> int:
        once = b.op("cast", x, type=Fixed(5, 3, True, "RND", "SAT"))
        again = b.op("cast", once, type=Fixed(4, 2, True, "TRN", "SAT"))
        return b.op("add", once, again)

    graph = graph_of(build)
    left(MergeCasts(), graph)
    modes = [op.type.rounding for op in MergeCasts().apply(graph).ops if op.name == "cast"]
    assert modes.count("RND") == 1


def test_ends_that_cannot_be_reached_are_not_compared_with() -> None:
    both = graph_of(casts(Fixed(4, 1, True, "TRN", "SAT")))
    assert left(ExpandCasts(), both)["compare"] == 2
    upper = graph_of(lambda b, x: casts(Fixed(4, 1, True, "TRN", "SAT"))(b, b.op("abs", x)))
    assert left(ExpandCasts(), upper)["compare"] == 1
    none = graph_of(casts(Fixed(6, 3, True, "RND", "SAT")))
    assert left(ExpandCasts(), none) == Counter()


def test_rounding_half_up_is_one_addition_of_one_bit() -> None:
    ops = left(ExpandCasts(), graph_of(casts(Fixed(4, 3, True, "RND", "WRAP"))))
    assert (ops["add"], ops["compare"], ops["select"], ops["min"]) == (1, 0, 0, 0)


def test_casts_expand_at_the_widest_types() -> None:
    graph = graph_of(casts(Fixed(63, 62, True, "RND_CONV", "SAT")), Fixed(63, 1))
    assert left(ExpandCasts(), graph)["add"] == 1


# --- widths ----------------------------------------------------------------------------


def test_values_get_the_bits_that_their_interval_needs() -> None:
    def build(b: Builder, x: int) -> int:
        square = b.op("mul", x, x)  # 0..1024: 11 bits, not 12
        return b.op("add", square, b.op("min", b.op("abs", x), c(b, 3)))

    graph = graph_of(build)
    left(Narrow(), graph)
    after = Narrow().apply(graph)
    sums = [str(op.type) for op in after.ops if op.name == "add"]
    assert sums == ["ufixed<12,6>"]
    assert after.ops[after.outputs[0][1]].type == graph.ops[graph.outputs[0][1]].type


def test_what_is_always_zero_needs_no_cast() -> None:
    t = Fixed(1, 1)
    graph = graph_of(lambda b, x: b.op("max", x, c(b, 0, t)), t)
    assert [op.name for op in Narrow().apply(graph).ops].count("cast") == 0


def test_a_simpler_value_of_another_type_makes_no_reader_too_wide() -> None:
    """relu(max(x, 5)) is max(x, 5), but with a sign bit that the product has no room for."""
    b = Builder()
    x, y = b.input("x", Fixed(32, 16)), b.input("y", Fixed(32, 16, False))
    positive = b.op("relu", b.op("max", x, b.const(5, Fixed(32, 16))))
    b.output("y", b.op("mul", positive, y))
    assert left(Algebra(), b.build()) == {"max": 1, "mul": 1}


def test_a_table_keeps_its_address() -> None:
    def build(b: Builder, x: int) -> int:
        table = {"function": "any", "table": list(range(64))}
        return b.op("lut", b.op("cast", b.op("abs", x), type=X), type=Fixed(6, 6, False), **table)

    graph = graph_of(build)
    left(Narrow(), graph)
    left(MergeCasts(), graph)
    assert str(Narrow().apply(Narrow().apply(graph))) == str(Narrow().apply(graph))


# --- pipelines -------------------------------------------------------------------------


def test_the_registry_names_every_pass() -> None:
    for name, kind in PASSES.items():
        assert kind().name == name


def test_ports_stay_even_where_nothing_reads_them() -> None:
    b = Builder()
    b.input("unused", X)
    x = b.input("x", U)
    b.output("zero", b.op("sub", x, x))
    b.output("x", x)
    after = run(b.build(ports=True), STANDARD)
    assert [n for n, _ in after.inputs] == ["unused", "x"]
    assert [str(after.ops[i].type) for _, i in after.outputs] == ["fixed<7,4>", "ufixed<6,3>"]


def test_a_word_that_is_too_wide_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(casts(Fixed(4, 1, True, "RND", "SAT")))

    def refuse(*_: object) -> int:
        msg = "65 bits"
        raise GraphError(msg)

    monkeypatch.setattr("nacsr.ir.passes.expand._fitted", refuse)
    with pytest.raises(GraphError, match=r"%1 cast to fixed<4,1,RND,SAT>: 65 bits; cast to"):
        ExpandCasts().apply(graph)


def large(count: int) -> Graph:
    """Scalar ops of all kinds, as unrolled designs have them."""
    rng, b = random.Random(1), Builder()
    port = b.input("x", Fixed(8, 4), (64,))
    values = [b.element(port, k) for k in range(64)]
    while len(b.ops) < count:
        kind = rng.choice(("add", "sub", "mul", "max", "neg", "cast", "select"))
        x, y = (_short(b, rng.choice(values[-200:])) for _ in range(2))
        if kind == "neg":
            made = b.op("neg", x)
        elif kind == "cast":
            made = b.op("cast", x, type=Fixed(7, 4, True, "RND", "SAT"))
        elif kind == "select":
            made = b.op("select", ge(b, x, y), x, b.const(rng.randint(-30, 30), Fixed(6, 3)))
        else:
            made = b.op(kind, x, y)
        values.append(made)
    read = {a for op in b.ops for a in op.args}
    for k, index in enumerate(i for i in range(len(b.ops)) if i not in read):
        b.output(f"y{k}", index)
    return b.build()


def _short(b: Builder, index: int) -> int:
    return b.op("cast", index, type=Fixed(8, 4)) if b.type(index).width > 14 else index


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [Fold(), Algebra(), FoldAffine(), ConstMul(), MergeCasts(), ExpandCasts(), Narrow()],
    ids=lambda s: s.name,
)
def test_twenty_thousand_ops_take_seconds(step: Pass) -> None:
    graph = large(20_000)
    start = time.process_time()
    step.apply(graph)
    assert time.process_time() - start < 3
