"""A fitted table read by words that were not centred gives the same bits."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.cost import estimate
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num, Var
from nacsr.frontends.symbolic.lowering.lower import _Lowering, lower
from nacsr.ir import evaluate
from nacsr.luts import LutFunc

NAMES = ("x", "y", "z")
FEATURES = (
    Feature("x", Fixed(12, 4, False)),
    Feature("y", Fixed(12, 3)),
    Feature("z", Fixed(10, 6, False)),
)


@st.composite
def sums(draw: st.DrawFn) -> Expr:
    def term() -> Expr:
        x: Expr = Var(draw(st.sampled_from(NAMES)))
        factor = draw(st.sampled_from([None, None, 0.5, 2.0, -0.5, -1.0, 0.25]))
        return x if factor is None else Call("mul", (Num(factor), x))

    whole = term()
    for _ in range(draw(st.integers(0, 2))):
        other = term() if draw(st.booleans()) else Num(draw(st.sampled_from([0.5, -1.25, 3.0])))
        whole = Call(draw(st.sampled_from(["add", "sub"])), (whole, other))
    return Call("neg", (whole,)) if draw(st.booleans()) else whole


@settings(max_examples=150, deadline=None)
@given(
    sums(),
    st.tuples(*(st.integers(-40, 300) for _ in NAMES)),
    st.sampled_from([1, 8, 32]),
    st.tuples(*(st.integers(-2, 3) for _ in NAMES)),
    st.sampled_from(["fixed<5,3>", "ufixed<5,2>", "fixed<6,2>", "ufixed<4,4>"]),
    st.sampled_from([Fixed(16, 6), Fixed(12, 5), Fixed(10, 4)]),
)
def test_it_is_the_same_table(
    argument: Expr,
    offsets: tuple[int, ...],
    grid: int,
    shifts: tuple[int, ...],
    domain: str,
    precision: Fixed,
) -> None:
    address = Fixed.parse(domain).with_modes("TRN", "SAT")
    values = tuple(np.random.default_rng(1).integers(-32, 32, 1 << address.width).tolist())
    table = LutFunc("t1", "", address, Fixed(6, 3), values=values)
    inside = [
        max(min(o // grid * grid, f.type.max_raw), f.type.min_raw)
        for o, f in zip(offsets, FEATURES, strict=True)
    ]
    scaling = Scaling("folded", tuple(inside), shifts)
    expr = Call("t1", (argument,))
    graph = lower({"o": expr}, FEATURES, scaling, precision, {"t1": table})
    with patch.object(_Lowering, "_uncentred", lambda *_: None):
        plain = lower({"o": expr}, FEATURES, scaling, precision, {"t1": table})
    rng = np.random.default_rng(2)
    words = {
        f.name: np.concatenate(
            [
                rng.integers(f.type.min_raw, f.type.max_raw + 1, 400),
                [f.type.min_raw, f.type.max_raw],
            ]
        )
        for f in FEATURES
    }
    one = evaluate(graph, {n: words[n] for n, _ in graph.inputs})["o"]
    other = evaluate(plain, {n: words[n] for n, _ in plain.inputs})["o"]
    assert (one == other).all()


def test_it_saves_the_centring() -> None:
    features = (Feature("x", Fixed(16, 4, False)), Feature("y", Fixed(16, 4, False)))
    scaling = Scaling("folded", (3 << 12, 2 << 12), (0, 0))
    address = Fixed(6, 3).with_modes("TRN", "SAT")
    values = tuple(np.random.default_rng(1).integers(-32, 32, 64).tolist())
    luts = {"t1": LutFunc("t1", "", address, Fixed(6, 3), values=values)}
    for argument in (Var("x"), Call("sub", (Var("x"), Var("y")))):
        expr = {"o": Call("t1", (argument,))}
        graph = lower(expr, features, scaling, Fixed(16, 6), luts)
        with patch.object(_Lowering, "_uncentred", lambda *_: None):
            plain = lower(expr, features, scaling, Fixed(16, 6), luts)
        saved = [sum(op.name in ("sub", "add") for op in g.ops) for g in (plain, graph)]
        assert saved[0] - saved[1] == (1 if isinstance(argument, Var) else 2)
        costs = [estimate(g, "vu13p", 200.0).luts for g in (plain, graph)]
        assert costs[1] < costs[0] - 15
