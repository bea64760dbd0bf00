"""fit: the cheapest form within an error that is enumerated, or a clear refusal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, Graph
from nacsr.luts import FUNCTIONS, Bipartite, Leading, Linear, LutFunc, Product, Table, fit
from nacsr.luts import lut_functions as read
from nacsr.luts.price import digits, price_of

WORD = Fixed(16, 6)


def worst(f: LutFunc, low: float, high: float, input: Fixed | None) -> float:
    """The error, found without ``max_error``: at all words, or at many reals."""
    if input is None:
        edges = np.arange(2 * f.domain.min_raw, 2 * f.domain.max_raw + 2) * (f.domain.lsb / 2)
        x = np.concatenate([edges, np.nextafter(edges, -np.inf), np.linspace(low, high, 20_011)])
    else:
        x = input.to_float(np.arange(input.min_raw, input.max_raw + 1))
    x = x[(x >= low) & (x <= high)]
    return float(np.abs(f.numpy(x) - f.exact(x)).max())


CASES = [
    ("sin", -32.0, 31.0, 0.02),
    ("cos", -3.0, 3.0, 0.001),
    ("tan", -1.3, 1.3, 0.02),
    ("exp", -4.0, 4.0, 0.02),
    ("gauss", -8.0, 8.0, 0.01),
    ("log_abs", 0.01, 4.0, 0.02),
    ("tanh", -8.0, 8.0, 0.001),
    ("sqrt_abs", 0.0, 31.0, 0.02),
    ("inverse", 0.5, 8.0, 0.01),
    ("sigmoid", -8.0, 8.0, 0.02),
    ("erf", -4.0, 4.0, 0.01),
    ("softplus", -8.0, 8.0, 0.02),
]


@pytest.mark.parametrize("input", [None, WORD], ids=["reals", "words"])
@pytest.mark.parametrize(("function", "low", "high", "error"), CASES)
def test_the_error_is_within_the_bound_and_true(function, low, high, error, input):
    f = fit(function, low, high, max_error=error, input=input)
    assert f.interval is not None
    found = worst(f, *f.interval, input)
    assert found <= f.max_error(low, high) <= min(error, found + 1e-9)
    assert f.entries <= 4096
    assert (f.name, f.function, f.input) == (function, function, input)
    assert f.max_error() == f.max_error(*f.interval) <= error


def test_every_kind_of_form_wins_somewhere():
    won = {
        type(fit(function, low, high, max_error=error, input=WORD).form.core)
        for function, low, high, error in (
            ("tanh", -8, 8, 0.02),
            ("sin", -4, 4, 0.001),
            ("exp", -4, 4, 0.001),
            ("log_abs", 0.01, 4, 0.02),
            ("softplus", -8, 8, 0.02),
        )
    }
    assert won == {Table, Linear, Product, Leading, Bipartite}


def test_a_periodic_function_on_many_periods_becomes_a_phase():
    f = fit("sin", -500, 500, max_error=0.05)
    assert f.form.phase
    assert f.entries <= 512
    assert worst(f, -500, 500, None) <= 0.05


def test_the_price_decides():
    def dear_products(graph: Graph) -> float:
        return price_of(graph) + 1e6 * sum(op.name == "mul" for op in graph.ops)

    f = fit("tanh", -8, 8, max_error=0.001, price=dear_products)
    cheap = fit("tanh", -8, 8, max_error=0.001)
    assert isinstance(cheap.form.core, Linear)
    assert "mul" not in [op.name for op in f.graph().ops]
    assert f.entries > cheap.entries


def test_a_smaller_error_never_costs_less():
    prices = [
        price_of(fit("tanh", -8, 8, max_error=e, input=WORD).graph(WORD))
        for e in (0.05, 0.02, 0.01, 0.005, 0.002)
    ]
    assert prices == sorted(prices)


def test_entries_alone_give_the_most_accurate_of_that_size():
    small, large = (fit("tanh", -4, 4, entries=n) for n in (32, 256))
    assert small.entries <= 32
    assert large.entries <= 256
    assert 10 * large.max_error(-4, 4) < small.max_error(-4, 4) < 0.1
    both = fit("tanh", -4, 4, entries=64, max_error=0.01)
    assert both.entries <= 64
    assert both.max_error(-4, 4) <= 0.01


def test_words_of_few_bits_are_off_by_rounding_alone():
    word = Fixed(6, 3)
    f = fit("exp", -4, 3.875, max_error=2.0**-9, input=word)
    assert f.max_error() <= 2.0**-9
    assert f.entries <= 64


def test_output_frac_is_kept():
    assert fit("tanh", -4, 4, max_error=0.02, output_frac=9).value.frac == 9


def test_saturating_functions_have_a_smaller_domain():
    assert fit("tanh", -30, 30, max_error=0.01).domain.integer == 3


def test_a_lut_function_is_made_anew_under_its_name():
    old = read()["tanh"]
    f = fit(old, -4, 4, max_error=0.05)
    assert (f.name, f.about) == (old.name, old.about)
    assert f.entries < old.entries


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tanh", -4, 4, {"max_error": 1.0}), "constant; write 0 or ask for a smaller max_error"),
        (("exp", -8, 8, {"max_error": 1e-3}), "no form with at most 4096 entries is within 0.001"),
        (("inverse", -1, 1, {"max_error": 0.1}), "infinite at 0"),
        (("log_abs", -1, 1, {"max_error": 0.1, "input": WORD}), "infinite at 0"),
        (("tan", 0, 4, {"max_error": 0.1}), "infinite at 1.57"),
        (("sine", 0, 4, {"max_error": 0.1}), "did you mean 'sin'"),
        (("sin", 0, 4, {}), "max_error or entries"),
        (("sin", 0, 4, {"max_error": -1.0}), "must be positive"),
        (("sin", 0, 4, {"entries": 5000}), r"entries must be 4\.\.4096"),
        (("sin", 4, 0, {"max_error": 0.1}), "finite interval"),
        (("sin", 0, float("inf"), {"max_error": 0.1}), "finite interval"),
        (("sin", 40, 50, {"max_error": 0.1, "input": WORD}), r"words of fixed<16,6> reach"),
        (
            ("sin", 0.25, 0.75, {"max_error": 0.1, "input": Fixed(4, 4)}),
            "words of fixed<4,4> reach",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, says):
    function, low, high, options = arguments
    with pytest.raises(SpecError, match=says) as caught:
        fit(function, low, high, **options)
    assert "\n" not in str(caught.value)


def test_the_reachable_error_that_a_refusal_names_is_reached():
    with pytest.raises(SpecError) as caught:
        fit("cosh", -4, 4, max_error=1e-3)
    named = re.search(r"off by ([\d.e-]+);", str(caught.value))
    assert named is not None
    fit("cosh", -4, 4, max_error=float(named[1]) * 1.01)


@pytest.mark.parametrize("raw", [0, 1, -8, 7, 5, 11, 0b101010101, 0b111011])
def test_signed_digits_add_up(raw):
    best = {0: 0}
    for count in range(1, 7):  # sums of few signed powers of two, by brute force
        for n in list(best):
            for k in range(11):
                for s in (1, -1):
                    best.setdefault(n + s * (1 << k), count)
        if abs(raw) in best:
            break
    assert digits(raw) == best[abs(raw)]


def test_price_counts_what_is_there():
    b = Builder()
    x, y = b.input("x", Fixed(8, 4)), b.input("y", Fixed(6, 3))
    wires = b.cast(b.op("shift", x, n=2), Fixed(4, 4))
    b.output("wires", wires)
    assert price_of(b.build()) == 0
    b.output("product", b.op("mul", x, y))
    assert price_of(b.build()) == 48
    b.output("scaled", b.op("mul", x, b.const(5, Fixed(4, 4, False))))
    assert price_of(b.build()) == 56
    b.output("looked up", b.op("lut", y, type=Fixed(9, 1), function="f", table=np.arange(64)))
    assert price_of(b.build()) == 65
    b.output("rounded", b.cast(x, Fixed.parse("fixed<6,4,RND,WRAP>")))
    assert price_of(b.build()) == 71


FITTED = """name = "soft"
function = "tanh"
about = "mine"
low = -4
high = 4
max_error = 0.01
"""
VALUES = """name = "steps"
about = "fitted"
domain = "fixed<2,2,TRN,SAT>"
value = "fixed<4,2>"
values = [-8, -1, 1, 7]
"""
LINES = """name = "wave"
function = "sin"
about = "mine"
domain = "fixed<14,6,TRN,SAT>"
value = "fixed<9,1>"
form = "linear"
segments = 4
phase_bits = 11
factor_bits = 14
symmetry = true
"""


def load(folder: Path, text: str) -> LutFunc:
    (folder / "own.toml").write_text(text)
    (new,) = {**read(folder)}.keys() - read().keys()
    return read(folder)[new]


def test_files_may_ask_for_an_error(tmp_path):
    f = load(tmp_path, FITTED)
    assert f == fit("tanh", -4, 4, max_error=0.01, name="soft", about="mine")
    sized = load(tmp_path, FITTED.replace("max_error = 0.01", 'entries = 64\ninput = "10,4"'))
    assert sized.entries <= 64
    assert sized.input == Fixed(10, 4)


def test_files_may_give_the_form(tmp_path):
    f = load(tmp_path, LINES)
    assert (f.form.core, f.form.phase, f.form.mirror, f.form.fold) == (Linear(4), 11, True, True)
    kinds = 'form = "linear"\nsegments = 4'
    assert not load(tmp_path, LINES.replace("symmetry = true", "")).form.mirror
    other = 'form = "bipartite"\nhigh_bits = 3\nmiddle_bits = 3'
    assert load(tmp_path, LINES.replace(kinds, other)).form.core == Bipartite(3, 3)


def test_files_may_give_the_values(tmp_path):
    f = load(tmp_path, VALUES)
    assert f.numpy([-9.0, -2.0, -1.5, -1.0, 0.5, 1.0, 99.0]).tolist() == [
        *(-2.0, -2.0, -2.0, -0.25, 0.25, 1.75, 1.75)
    ]
    assert f.max_error() == 0.0
    assert (f.exact([0.0, 1.0]) == [0.25, 1.75]).all()
    b = Builder()
    b.output("y", f.lower(b, b.input("x", Fixed(2, 2))))
    assert b.build().ops[-1].array("table").tolist() == [1, 7, -8, -1]  # by bit pattern
    import torch

    x = torch.tensor([0.5, 50.0], dtype=torch.float64, requires_grad=True)
    f.torch()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [(7 + 1) / 2 / 4, (7 - 1) / 4]
    named = load(tmp_path, VALUES + 'function = "tanh"\n')
    assert named.max_error(0.0, 0.99) == pytest.approx(np.tanh(0.99) - 0.25)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FITTED.replace("low = -4\n", ""), "low is missing"),
        (FITTED.replace("max_error = 0.01\n", ""), "low and high need max_error or entries"),
        (FITTED + 'domain = "fixed<8,3,TRN,SAT>"\n', "domain is chosen by max_error"),
        (FITTED.replace("0.01", '"small"'), "max_error must be a number"),
        (FITTED.replace("0.01", "1e-9"), "no form with at most"),
        (FITTED.replace("tanh", "tanhh"), "did you mean 'tanh'"),
        (LINES.replace("segments", "segment"), "did you mean 'segments'"),
        (LINES.replace("linear", "liner"), "did you mean 'linear'"),
        (LINES.replace("segments = 4\n", ""), "segments: form 'linear' takes segments"),
        (LINES.replace('form = "linear"\n', ""), "segments: form 'table' takes no size"),
        (LINES.replace("true", "1"), "symmetry must be true or false"),
        (LINES.replace("= 4", "= true"), "segments must be an integer"),
        (VALUES.replace("7]", "7, 7]"), "5 values for"),
        (VALUES.replace("7]", "8]"), r"raw integers of fixed<4,2>, -8\.\.7"),
        (VALUES.replace("7]", "7.5]"), "list of integers"),
        (VALUES.replace("-8, -1, 1, 7", "1, 1, 1, 1"), "a constant"),
        (VALUES + 'form = "linear"\nsegments = 1\n', "values are a plain table"),
        (VALUES.replace("values", "function = 'tanh'\nlow"), "low must be a number"),
    ],
)
def test_bad_files_name_file_and_key(tmp_path, text, says):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(SpecError, match=says) as caught:
        read(tmp_path)
    assert "own.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_function_states_its_symmetry_turns_and_poles_rightly():
    x = np.linspace(0.05, 3.5, 4001)  # beyond it the ends of erf are all 1.0
    for name, f in FUNCTIONS.items():
        if f.parity == "even":
            assert np.allclose(f(-x), f(x)), name
        if f.parity == "odd":
            assert np.allclose(f(-x), 2 * f.centre - f(x)), name
        if f.period:
            assert np.allclose(f(x + f.period), f(x), rtol=1e-6, atol=1e-6), name
        if f.fold:
            sign = 1 if f.fold == "even" else -1
            assert np.allclose(f(f.period / 2 - x), sign * f(x), atol=1e-9), name
        both = np.concatenate([-x[::-1], x])
        steps = np.diff(f(both)) > 0
        changes = both[1:-1][steps[1:] != steps[:-1]]
        stated = np.concatenate([f.turns_in(-4, 4), f.poles_in(-4, 4)])
        for at in changes:  # nowhere else does a function turn
            assert np.abs(stated - at).min(initial=np.inf) < 0.06, (name, at)
