"""The user's own operators: definition, use in formulas, refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.language.custom import Custom, custom_operators, expand_custom
from nacsr.frontends.symbolic.language.expr import Call, Num, Var, evaluate
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.luts import LutFunc, lut_functions

LUTS = lut_functions()
NAMES = ["x", "y", "a"]
SPEC = {
    "ratio": "a/(abs(b) + 1)",
    "bump": "gauss(ratio(a, 2))*sin(a)*cos(a)",
    "step": "select(a > b, c, -c)",
}
CUSTOM = custom_operators(SPEC, LUTS)


def read(text: str):
    return parse(text, NAMES, LUTS, CUSTOM)


def test_definitions_have_an_arity_and_base_operators_only() -> None:
    assert {name: c.arity for name, c in CUSTOM.items()} == {"ratio": 2, "bump": 1, "step": 3}
    assert to_text(CUSTOM["bump"].body) == "gauss(a/(abs(2) + 1))*sin(a)*cos(a)"
    assert custom_operators({}, LUTS) == {}
    assert custom_operators(SPEC, LUTS) == CUSTOM


def test_formulas_that_call_them_mean_what_they_are_written_for() -> None:
    assert read("ratio(x, 2*y) + 1") == read("x/(abs(2*y) + 1) + 1")
    assert read("step(a, ratio(y, x), 3)") == read("select(a > y/(abs(x) + 1), 3, neg(3))")
    # an argument called as a letter of the body is not replaced twice
    swapped = parse("ratio(b, a)", ["a", "b"], LUTS, CUSTOM)
    assert swapped == parse("b/(abs(a) + 1)", ["a", "b"], LUTS)
    tree = Call("add", (Call("ratio", (Var("x"), Call("bump", (Var("y"),)))), Num(1.0)))
    assert expand_custom(tree, CUSTOM) == read("ratio(x, bump(y)) + 1")
    assert to_text(tree) == "ratio(x, bump(y)) + 1"


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_are_those_of_the_written_out_formula(kind) -> None:
    columns = {n: np.linspace(-3, 3, 40, dtype=kind) ** p for n, p in (("x", 1), ("y", 2))}
    x, y = columns.values()
    wide = {n: c.astype(np.float64) for n, c in columns.items()}
    for got, text in (
        (CUSTOM["ratio"].apply(x, y), "ratio(x, y)"),
        (CUSTOM["bump"].apply(x), "bump(x)"),
        (CUSTOM["step"].apply(x, 0.5, y), "step(x, 0.5, y)"),
        (CUSTOM["step"].apply(1.0, x, 2.0), "step(1, x, 2)"),
    ):
        assert got.shape == (40,)
        assert (got == evaluate(read(text), wide, LUTS)).all()
    assert (CUSTOM["ratio"].apply(x, y, exact=True) == wide["x"] / (wide["y"] + 1)).all()
    number = CUSTOM["step"].apply(2.0, 1.0, 3)
    assert isinstance(number, np.float64)
    assert number == 3.0


def test_operators_travel_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(CUSTOM["bump"]))
    x = np.linspace(-3, 3, 40)
    assert again == CUSTOM["bump"]
    assert (again.apply(x) == CUSTOM["bump"].apply(x)).all()


def test_own_lut_functions_may_be_called() -> None:
    wave = LutFunc.sampled("wave", np.sin, Fixed.parse("fixed<8,4,RND,SAT>"), Fixed(9, 2))
    found = custom_operators({"twice": "2*wave(a)"}, {**LUTS, "wave": wave})
    assert found["twice"].apply(0.5) == 2 * wave.numpy(0.5)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"f": "log(a) - log(b)"}, r"'f' is not a number at a = 0, b = 0; keep divisors"),
        ({"f": "a/b"}, r"'f' is not a number at a = 0, b = 0"),
        ({"f": "b + 1/(a - 1)"}, r"'f' is infinite at a = 1, b = 0; .* as in a/\(abs\(b\)"),
        ({"f": "log(a)"}, "'f' is infinite at a = 0"),
        ({"f": "exp(a^64)"}, "'f' is infinite at a = "),
        ({"f": "sin((a^64)^6)"}, "'f': cannot quantise NaN or infinite .* scale what grows|'f' is"),
        ({"f": "f(a - 1)"}, "'f' calls itself"),
        ({"f": "g(a)", "g": "a + 1"}, "'f' calls 'g', which comes after it"),
        ({"f": "a + c"}, "'f' does not use 'b'; its arguments are a, b, c"),
        ({"f": "b"}, "'f' does not use 'a'"),
        ({"f": "3"}, "'f' does not use 'a'"),
        ({"f": "a + d"}, r"'f': formula, column 5 .*unknown variable 'd'.*arguments are a, b, c"),
        ({"f": "a +"}, "'f': formula, column 4 .*the formula ends"),
        ({"f": ""}, "'f': the formula is empty"),
        ({"f": 3}, "'f': the formula is empty"),
        ({"f": "a/(1 - 1)"}, "'f': .*division by a constant that is zero"),
        ({"f": "a + 1e300^2"}, "'f': .*not a finite number"),
        ({"f": "g(a)"}, "'f': .*unknown function 'g'"),
        ({"a-b": "a"}, "'a-b': the name must be a plain identifier"),
        ({"lambda": "a"}, "'lambda': the name must be a plain identifier"),
        ({"max": "a"}, "'max' has the name of a function"),
        ({"sin": "a"}, "'sin' has the name of a function"),
        ({"where": "a"}, "'where' has the name of a function"),
        ({"relu": "a"}, "'relu' has the name of a function"),
        ({"b": "a"}, "'b' has the name of an argument"),
        ({"f": "a*a + a", "g": "f(f(f(f(f(f(f(f(f(f(a))))))))))"}, "'g': f written out has more"),
    ],
)
def test_bad_definitions_name_the_operator(spec, says) -> None:
    with pytest.raises(ExpressionError, match=says) as caught:
        custom_operators(spec, LUTS)
    assert "\n" not in str(caught.value)


def test_an_operator_may_not_have_the_name_of_a_feature() -> None:
    assert custom_operators({"f": "a + 1"}, LUTS, ["x", "a"])  # of features, letters may
    with pytest.raises(ExpressionError, match="operator 'pt' has the name of a feature that there"):
        custom_operators({"pt": "a + 1"}, LUTS, ["pt", "eta"])


def test_calls_with_other_numbers_of_arguments_are_refused() -> None:
    with pytest.raises(ExpressionError, match=r"column 1 .*ratio takes 2 argument\(s\), not 1"):
        read("ratio(x)")
    with pytest.raises(ExpressionError, match=r"ratio takes 2 argument\(s\), not 1"):
        expand_custom(Call("ratio", (Var("x"),)), CUSTOM)
    with pytest.raises(ExpressionError, match=r"bump takes 1 argument\(s\), not 2"):
        CUSTOM["bump"].apply(1.0, 2.0)
    with pytest.raises(ExpressionError, match="did you mean 'ratio'"):
        read("ration(x, y)")
    assert isinstance(CUSTOM["ratio"], Custom)
