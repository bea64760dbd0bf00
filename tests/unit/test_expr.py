"""Reading, writing and evaluating formulas."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nacsr
from nacsr.data.words import Feature, Scaling
from nacsr.errors import ExpressionError
from nacsr.fixed import Fixed
from nacsr.frontends.stem import bind
from nacsr.frontends.symbolic.language.expr import (
    OPERATORS,
    Call,
    Num,
    Var,
    depth,
    evaluate,
    fold,
    size,
    substitute,
    variables,
)
from nacsr.frontends.symbolic.language.parse import MAX_DEPTH, parse
from nacsr.frontends.symbolic.language.show import modules, to_latex, to_sympy, to_text
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import evaluate as interpret
from nacsr.luts import LutFunc, lut_functions
from tests.unit.test_compiler import verified

LUTS = lut_functions()
NAMES = ["x", "y", "x0", "x1"]
X, Y = Var("x"), Var("y")


def read(text: str):
    return parse(text, NAMES, LUTS)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1.2f-5", Num(1.2e-5)),
        ("1f3", Num(1000.0)),
        (".5E+1", Num(5.0)),
        ("-3", Num(-3.0)),
        ("-(3)", Num(-3.0)),
        ("neg(3)", Call("neg", (Num(3.0),))),
        ("-x^2", Call("neg", (Call("square", (X,)),))),
        ("x**3", Call("cube", (X,))),
        ("x^4", Call("square", (Call("square", (X,)),))),
        ("x^5", Call("mul", (Call("square", (Call("square", (X,)),)), X))),
        ("x^-1", Call("div", (Num(1.0), X))),
        ("x^(1+1)", Call("square", (X,))),
        ("2^x^1", None),
        ("x - y - 1", Call("sub", (Call("sub", (X, Y)), Num(1.0)))),
        ("x/y*2", Call("mul", (Call("div", (X, Y)), Num(2.0)))),
        ("x*-y", Call("mul", (X, Call("neg", (Y,))))),
        ("+x", X),
        ("inv(x)", Call("inverse", (X,))),
        ("log(Abs(x))", Call("log_abs", (Call("abs", (X,)),))),
        ("sqrt(x)", Call("sqrt_abs", (X,))),
        ("relu(x)", Call("max", (X, Num(0.0)))),
        ("pow(x, 2)", Call("square", (X,))),
        ("max(x, min(y, 2))", Call("max", (X, Call("min", (Y, Num(2.0)))))),
        (" sin ( x )\n", Call("sin", (X,))),
        ("x > y", Call("greater", (X, Y))),
        ("x < y", Call("greater", (Y, X))),
        ("x + 1 > -y", Call("greater", (Call("add", (X, Num(1.0))), Call("neg", (Y,))))),
        ("x > -3", Call("greater", (X, Num(-3.0)))),
        ("(x > y) > 0", Call("greater", (Call("greater", (X, Y)), Num(0.0)))),
        ("x > (y > 0)", Call("greater", (X, Call("greater", (Y, Num(0.0)))))),
        ("x + (x > y)", Call("add", (X, Call("greater", (X, Y))))),
        ("greater(x, y)", Call("greater", (X, Y))),
        ("cond(x, y)", Call("cond", (X, Y))),
        ("ifelse(x > y, 1, x)", Call("select", (Call("greater", (X, Y)), Num(1.0), X))),
        ("where(x, y, 1)", Call("select", (X, Y, Num(1.0)))),
    ],
)
def test_parse(text, want):
    if want is None:
        with pytest.raises(ExpressionError, match="whole number"):
            read(text)
    else:
        assert read(text) == want
        assert read(to_text(want)) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the formula is empty"),
        ("   ", "the formula is empty"),
        ("sine(x)", r"column 1 .*did you mean 'sin'"),
        ("x + x00", r"column 5 .*unknown variable 'x00', did you mean 'x0'"),
        ("x.real", r"column 2 .*attribute access"),
        ("__import__('os')", "strings are not part"),
        ("__import__(x)", "unknown function '__import__'"),
        ("import os", "'import' is not part of a formula"),
        ("lambda: 0", "lambdas"),
        ("lambda", "'lambda' is not part"),
        ("sin(x)(y)", "cannot be called"),
        ("x(y)", "x is a variable"),
        ("sin + 1", r"sin is a function; write sin\(\.\.\.\)"),
        ("x <= y", r"column 3 .*'<=' is not part .*write 1 - \(a > b\)"),
        ("x >= y", r"'>=' is not part .*write 1 - \(a < b\)"),
        ("x \u2264 y", r"write 1 - \(a > b\)"),
        ("x == y", r"'==' is not part .*write 1 - \(a > b\) - \(a < b\)"),
        ("x != y", r"write \(a > b\) \+ \(a < b\)"),
        ("x > y && y > 0", r"write min\(p, q\)"),
        ("x > y | y > 0", r"write max\(p, q\)"),
        ("!(x > y)", "write 1 - p"),
        ("x > y ? 1 : 0", r"write select\(p, a, b\)"),
        ("x > y > 0", r"column 7 .*do not chain; write \(a > b\)\*\(b > c\)"),
        ("0 < x < y", "do not chain"),
        ("> x", "a number, a variable or a function is expected"),
        ("select(x, y)", "select takes 3 argument"),
        ("cond(x)", "cond takes 2 argument"),
        ("sin(x=1)", "keyword arguments"),
        ("[x for x in y]", "lists"),
        ("{x}", "sets"),
        ("x % y", "remainder"),
        ("x @ y", "the character '@'"),
        ("2x", "an operator is missing; write \\*"),
        ("x y", "an operator is missing"),
        ("x +", "the formula ends"),
        ("(x", r"'\)' is expected"),
        ("sin(x", r"column 6 .*'\)' is expected; close with '\)'"),
        ("t1(x + 2)", "unknown function 't1'; a fitted table belongs to a run; compile RUN:ID"),
        ("x)", "does not belong here"),
        ("max(x)", "max takes 2 argument"),
        ("sin(x, y)", "sin takes 1 argument"),
        ("sin()", "sin takes 1 argument"),
        ("x/0", "column 2 .*division by a constant that is zero"),
        ("x/(1-1)", "division by a constant that is zero"),
        ("div(x, 0)", "division by a constant that is zero"),
        ("0^-1", "division by a constant that is zero"),
        ("nan", "nan is not a number"),
        ("x + Inf", "Inf is not a number"),
        ("1e999", "too large"),
        ("x^0.5", "write sqrt_abs"),
        ("x^y", "whole number"),
        ("x^1000", r"1\.\.64"),
        ("(" * 5000 + "x" + ")" * 5000, "levels deep"),
        ("+".join(["x"] * 5000), "levels deep"),
        ("1/(" + "+".join(["1"] * 5000) + ")", "levels deep"),
        ("-" * 5000 + "x", "levels deep"),
    ],
)
def test_bad_formulas_say_where_and_what_to_do(text, says):
    with pytest.raises(ExpressionError, match=says) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_own_function_comes_before_an_alias_but_not_before_an_operator():
    log = LutFunc("log", "log_abs", LUTS["log_abs"].domain, LUTS["log_abs"].value)
    assert parse("log(x)", NAMES, {**LUTS, "log": log}) == Call("log", (X,))
    with pytest.raises(ExpressionError, match="unknown function 'log'"):
        parse("log(x)", NAMES, {})
    with pytest.raises(ExpressionError, match="named 'abs'"):
        parse("x", NAMES, {"abs": log})


def test_helpers():
    e = read("sin(x0*y) + x0")
    assert (size(e), depth(e), variables(e)) == (6, 4, ("x0", "y"))
    assert substitute(e, {"x0": X}) == read("sin(x*y) + x")
    assert hash(e) == hash(read("sin(x0*y) + x0"))
    longest = read("+".join(["x"] * MAX_DEPTH))
    assert depth(longest) == MAX_DEPTH
    assert evaluate(longest, {"x": np.ones(2)}, {}).tolist() == [MAX_DEPTH] * 2


def test_fold_keeps_what_is_computed():
    assert fold(read("x/4"), LUTS) == read("x*0.25")
    assert fold(read("1/x"), LUTS) == read("inverse(x)")
    assert fold(read("x/y"), LUTS) == read("x*inverse(y)")
    assert fold(read("x + sin(1)*2"), LUTS) == Call("add", (X, Num(2 * float(np.sin(1.0)))))
    with pytest.raises(ExpressionError, match="unknown function 'inverse'"):
        fold(read("x/y"), {})
    with pytest.raises(ExpressionError, match="not a finite number"):
        fold(read("x + (1e300)^2"), LUTS)


def test_fold_of_comparisons_and_choices():
    assert fold(read("2 > 1"), LUTS) == Num(1.0)
    assert fold(read("(1 > 1) + x"), LUTS) == Call("add", (Num(0.0), X))
    assert fold(read("select(2, x, y)"), LUTS) == X
    assert fold(read("select(0, x, 1/y)"), LUTS) == read("inverse(y)")
    assert fold(read("select(1 - 2, x, y)"), LUTS) == Y
    assert fold(read("cond(3 > 2, x)"), LUTS) == X
    assert fold(read("cond(-1, x)"), LUTS) == Num(0.0)
    # what is multiplied by a comparison comes after it, so that it only switches
    assert fold(read("2*(x > y)*x0"), LUTS) == read("(x > y)*(2*x0)")
    assert fold(read("x0*((y*(x > 0))*3)"), LUTS) == read("(x > 0)*(x0*(y*3))")
    assert fold(read("(x > y)*((y > 0)*x)"), LUTS) == read("(x > y)*((y > 0)*x)")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_comparisons_and_choices_keep_the_type_of_their_columns(kind):
    x, y = np.array([1, -1, 0, 0.5], kind), np.array([0, -1, 2, 4], kind)
    greater, cond, select = (OPERATORS[n].apply for n in ("greater", "cond", "select"))
    for got, want in (
        (greater(x, y), [1, 0, 0, 0]),
        (greater(x, 0.25), [1, 0, 0, 1]),
        (greater(0.0, x), [0, 1, 0, 0]),
        (cond(x, y), [0, 0, 0, 4]),
        (cond(x, 3.0), [3, 0, 0, 3]),
        (cond(1.0, x), x),
        (select(x, y, -y), [0, 1, -2, 4]),
        (select(x, 1.0, 2.0), [1, 2, 2, 1]),
        (select(-1.0, x, y), y),
    ):
        assert got.dtype == kind
        assert (got == np.array(want, kind)).all()
    assert (greater(2.0, 1.0), cond(-1.0, 2.0), select(1.0, 2.0, 3.0)) == (1.0, 0.0, 2.0)


def test_evaluate_uses_the_tables():
    x = np.linspace(-3, 3, 50)
    columns = {"x": x, "y": x[::-1] + 5}
    sin, inverse = LUTS["sin"], LUTS["inverse"]
    assert (evaluate(read("2*sin(x)"), columns, LUTS) == 2 * sin.numpy(x)).all()
    assert (evaluate(read("x/y"), columns, LUTS) == x * inverse.numpy(x[::-1] + 5)).all()
    assert (evaluate(read("x/y"), columns, LUTS, exact=True) == x / (x[::-1] + 5)).all()
    assert evaluate(Num(2.0), columns, LUTS).shape == (50,)
    with pytest.raises(ExpressionError, match="unknown variable 'x0'"):
        evaluate(Var("x0"), columns, LUTS)


def test_forms_for_people():
    e = read("-0.123456*x0^2 + 1.5e-7*sqrt_abs(x)/(y - 2)")
    assert to_text(e, digits=3) == "-0.123*x0^2 + 1.5e-07*sqrt_abs(x)/(y - 2)"
    assert to_latex(e) == (
        r"-0.123 \cdot x_{0}^{2} + \frac{1.5 \times 10^{-7} \cdot \sqrt{\left|x\right|}}{y - 2}"
    )
    assert to_latex(Var("mass_mmdt")) == r"\mathrm{mass\_mmdt}"


def test_forms_of_choices_for_people():
    e = read("0.51234*(x > y) + select(x > 1, y, cond(x, 2))")
    assert to_text(e, digits=2) == "0.51*(x > y) + select(x > 1, y, cond(x, 2))"
    assert to_text(read("x + (1 + (x > y))"), digits=2) == "x + 1 + (x > y)"
    assert to_text(read("x + (x > y)"), digits=2) == "x + (x > y)"
    assert to_latex(read("2*(x > y)")) == r"2 \cdot \mathbf{1}\left[x > y\right]"
    assert to_latex(read("select(x > y, x, 2)")) == (
        r"\begin{cases} x & \text{if } x > y \\ 2 & \text{otherwise} \end{cases}"
    )
    assert to_latex(read("3*cond(x + 1, y)")) == (
        r"3 \cdot \left(\begin{cases} y & \text{if } x + 1 > 0 \\ "
        r"0 & \text{otherwise} \end{cases}\right)"
    )


def test_sympy_form_evaluates_the_same_tables():
    import sympy

    e = read(
        "sin(x)*tanh(y) - max(x, y)^3/4 + abs(-x) + select(x > y, x, 2*y) + cond(x, y) + (y < 1)*x"
    )
    columns = {"x": np.linspace(-3, 3, 40), "y": np.linspace(-1, 4, 40)}
    formula = to_sympy(e, LUTS)
    symbols = [sympy.Symbol(n) for n in columns]
    got = sympy.lambdify(symbols, formula, [modules(LUTS), "numpy"])(*columns.values())
    assert got == pytest.approx(evaluate(e, columns, LUTS), rel=1e-12)


@pytest.mark.parametrize("flow", ["hls", "rtl"])
def test_comparisons_and_choices_in_emitted_designs(flow, tmp_path):
    design = nacsr.compile("select(x > y, x, 2*y) + (x > 0.5)*y", to=flow)
    verified(design, tmp_path / flow)
    values = design.run([[1.0, 0.5], [0.25, 3.0], [-2.0, -3.0]])
    assert np.ravel(values).tolist() == [1.5, 6.0, -2.0]


GOLDEN = Path(__file__).resolve().parents[2].parent / "shared/data/symbolic/jets_golden.json"


def golden() -> tuple[dict, dict]:
    """The published five expressions; their operator sc(x) is sin(x)*cos(x)."""
    if not GOLDEN.exists():
        pytest.skip("shared/data/symbolic/jets_golden.json is not beside this checkout")
    data = json.loads(GOLDEN.read_text())
    names = [f"x{j}" for j in range(16)]
    sc = replace(LUTS["sin"], name="sc")

    def expand(e):
        if not isinstance(e, Call):
            return e
        args = tuple(expand(a) for a in e.args)
        return read_sc(args) if e.op == "sc" else Call(e.op, args)

    def read_sc(args):
        return Call("mul", (Call("sin", args), Call("cos", args)))

    trees = {
        c: expand(parse(text, names, {**LUTS, "sc": sc}))
        for c, text in zip(data["classes"], data["expr"], strict=True)
    }
    return data, trees


def test_golden_expressions_reproduce_published_values():
    data, trees = golden()
    columns = {f"x{j}": np.array([v]) for j, v in enumerate(data["test_vector"])}
    got = [float(evaluate(e, columns, {**LUTS}, exact=True)[0]) for e in trees.values()]
    assert got == pytest.approx(data["pysr_predict"], abs=1e-6)


def test_golden_expressions_lowered_stay_close_to_float():
    _, trees = golden()
    word = Fixed(16, 6)
    features = [Feature(f"x{j}", word) for j in range(16)]
    fine = Fixed.parse("fixed<12,6,TRN,SAT>")  # +-32 in steps of 1/64: no argument saturates
    luts = {**LUTS, **{n: LUTS[n].with_types(fine, Fixed(12, 2)) for n in ("sin", "cos")}}
    graph = lower(trees, features, Scaling("external", (0,) * 16, (0,) * 16), word, luts)
    values = np.random.default_rng(0).normal(size=(20_000, 16))
    words = word.with_modes("RND", "SAT").quantize(values)
    columns = {f.name: word.to_float(words[:, j]) for j, f in enumerate(features)}
    found = interpret(graph, bind(graph, features, words))
    for port, index in graph.outputs:
        real = evaluate(trees[port], columns, luts, exact=True)
        error = np.abs(graph.ops[index].type.to_float(found[port]) - real)
        assert error.max() < 0.045
        assert np.sqrt((error**2).mean()) < 0.008
