"""One table, many projections: all of them are the same integers."""

import re
from pathlib import Path

import numpy as np
import pytest

from nacsr.errors import FixedError, SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, evaluate, verify
from nacsr.luts import FUNCTIONS, LutFunc, lut_functions
from nacsr.resources import folder

LUTS = lut_functions()
WORD = Fixed(16, 6)
ROUNDED = LutFunc("tanh", "tanh", Fixed.parse("fixed<8,4,RND_CONV,SAT>"), Fixed(9, 2))
UNSIGNED = LutFunc("log_abs", "log_abs", Fixed.parse("ufixed<6,2,TRN,SAT>"), Fixed(8, 4))
ALL = [*LUTS.values(), ROUNDED, UNSIGNED]


def words() -> np.ndarray:
    return np.arange(WORD.min_raw, WORD.max_raw + 1, 7, dtype=np.int64)


def lowered(f: LutFunc, raw: np.ndarray) -> np.ndarray:
    b = Builder()
    b.output("y", f.lower(b, b.input("x", WORD)))
    return f.value.to_float(evaluate(verify(b.build()), {"x": raw})["y"])


@pytest.mark.parametrize("f", ALL, ids=lambda f: f"{f.name}-{f.domain}")
def test_all_projections_are_the_same_table(f):
    import sympy
    import torch

    raw = words()
    x = WORD.to_float(raw)
    want = f.numpy(x)
    assert (lowered(f, raw) == want).all()
    for kind in (torch.float64, torch.float32):
        assert (f.torch()(torch.from_numpy(x).to(kind)).numpy() == want).all()
    symbol = sympy.Symbol("x")
    formula = f.sympy(symbol)
    assert (sympy.lambdify(symbol, formula, [f.modules, "numpy"])(x) == want).all()
    entries = re.search(r"\{(.*)\}", f.cpp())
    assert entries is not None
    array = np.array([int(e) for e in entries[1].split(",")])
    assert (f.value.to_float(array[f.address(x)]) == want).all()


@pytest.mark.parametrize(
    "f", [f for f in ALL if f.form.plain], ids=lambda f: f"{f.name}-{f.domain}"
)
def test_entries_are_the_real_function_at_the_sample_point(f):
    rounding = f.domain.rounding == "TRN"
    points = np.linspace(f.domain.min, f.domain.max, 1 << f.domain.width)
    real = f.exact(points + (0.5 * f.domain.lsb if rounding else 0.0))
    want = np.clip(real, f.value.min, f.value.max)
    assert np.abs(f.numpy(points) - want).max() <= f.value.lsb / 2


@pytest.mark.parametrize("f", LUTS.values(), ids=lambda f: f.name)
def test_slopes_are_the_derivative(f):
    step = 1e-6
    x = np.array([-1.3, -0.4, 0.2, 0.9, 1.2])
    want = (f.exact(x + step) - f.exact(x - step)) / (2 * step)
    assert FUNCTIONS[f.function].slope(x) == pytest.approx(want, rel=1e-4, abs=1e-6)


def test_backward_is_the_slope_of_the_bin():
    import torch

    f = LutFunc("sin", "sin", Fixed.parse("fixed<9,4,TRN,SAT>"), Fixed(9, 1))
    x = torch.tensor([0.1, -2.0, 100.0], dtype=torch.float64, requires_grad=True)
    f.torch()(x).sum().backward()
    half = f.domain.lsb / 2
    centres = f.domain.to_float(f.domain.quantize([0.1, -2.0, 100.0])) + half
    assert x.grad is not None
    assert (x.grad.numpy() == np.cos(centres)).all()


def test_poles_saturate():
    rounded = Fixed.parse("fixed<8,4,RND,SAT>")
    log = LutFunc("log_abs", "log_abs", rounded, Fixed(6, 4))
    inverse = LutFunc("inverse", "inverse", rounded, Fixed(8, 4))
    assert log.numpy(0.0) == log.value.min
    assert inverse.numpy(0.0) == inverse.value.max
    assert inverse.max_error() == np.inf
    assert inverse.max_error(1.0, 4.0) < 0.07


def test_table_is_read_only_and_shared():
    f = LUTS["sin"]
    assert f.table is lut_functions()["sin"].table
    with pytest.raises(ValueError, match="read-only"):
        f.table[0] = 1


def test_max_error_is_never_exceeded_and_reached():
    f = LUTS["tanh"]
    x = np.random.default_rng(0).uniform(-4, 4, 100_000)
    found = float(np.abs(f.numpy(x) - np.tanh(x)).max())
    assert found <= f.max_error() < found * 1.05


def test_beyond_the_domain_saturation_counts():
    f = LUTS["exp"].with_types(LUTS["exp"].domain, LUTS["exp"].value)
    last = f.numpy(99.0)
    assert f.max_error(4.5, 5.0) == np.exp(5.0) - last
    assert f.max_error(-4.0, 5.0) == np.exp(5.0) - last
    with pytest.raises(FixedError, match="no interval"):
        f.max_error(2.0, 1.0)


def test_max_error_of_words_asks_only_them():
    f = LutFunc("tanh", "tanh", Fixed.parse("fixed<6,3,RND,SAT>"), Fixed(10, 1))
    word = Fixed(6, 3)
    raw = np.arange(-32, 32)
    found = np.abs(f.numpy(word.to_float(raw)) - np.tanh(word.to_float(raw))).max()
    assert f.max_error(input=word) == found < f.value.lsb < f.max_error() / 10
    assert f.max_error(0.2, 0.3, word) == abs(f.numpy(0.25) - np.tanh(0.25))
    with pytest.raises(FixedError, match=r"no word of fixed<6,3> lies in 0\.3"):
        f.max_error(0.3, 0.31, word)


@pytest.mark.parametrize("rounding", ["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_CONV"])
@pytest.mark.parametrize("function", ["cosh", "sin", "softplus"])
def test_max_error_is_true_for_every_rounding(rounding, function):
    domain = Fixed(7, 4).with_modes(rounding, "SAT_SYM")
    f = LutFunc("f", function, domain, Fixed(12, 6))
    edges = np.arange(-400, 401) * (domain.lsb / 2)
    x = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    for low, high in ((-8.0, 8.0), (-1.3, 0.3), (-9.0, 20.0)):
        inside = np.concatenate([x[(low <= x) & (x <= high)], [low, high]])
        found = float(np.abs(f.numpy(inside) - f.exact(inside)).max())
        slack = 2e-3 if function == "sin" else 1e-9  # the points miss its turns
        assert found - 1e-12 <= f.max_error(low, high) <= found + slack


def test_rounding_domain_is_exact_at_zero():
    assert ROUNDED.numpy(0.0) == 0.0
    assert LUTS["tanh"].numpy(0.0) != 0.0  # centre of the bin, as documented


@pytest.mark.parametrize(
    ("domain", "value", "function", "says"),
    [
        ("fixed<8,4>", "fixed<8,1>", "sin", "must saturate"),
        ("fixed<13,4,TRN,SAT>", "fixed<8,1>", "sin", "limit 2\\*\\*12"),
        ("fixed<8,-6,TRN,SAT>", "fixed<4,1>", "cosh", "a constant"),
        ("fixed<8,4,TRN,SAT>", "fixed<8,1>", "sine", "did you mean 'sin'"),
    ],
)
def test_useless_definitions_are_refused(domain, value, function, says):
    with pytest.raises(SpecError, match=says):
        LutFunc("f", function, Fixed.parse(domain), Fixed.parse(value))


@pytest.mark.parametrize(
    "domain", ["fixed<8,4,TRN,SAT>", "fixed<8,4,RND_CONV,SAT_SYM>", "ufixed<7,2,TRN_ZERO,SAT>"]
)
@pytest.mark.parametrize(
    ("name", "function"), [("sin", np.sin), ("tanh", np.tanh), ("inverse", lambda x: 1 / x)]
)
def test_a_sampled_function_is_the_built_in_one(name, function, domain):
    place, value = Fixed.parse(domain), Fixed(9, 2)
    mine = LutFunc.sampled("mine", function, place, value, "my own")
    built_in = LutFunc(name, name, place, value)
    assert (mine.table == built_in.table).all()
    assert (mine.name, mine.function, mine.about, mine.max_error()) == ("mine", "", "my own", 0.0)
    assert (mine.numpy([0.3, -9.0]) == built_in.numpy([0.3, -9.0])).all()


def _breaks(x):
    msg = "no\nway"
    raise ZeroDivisionError(msg)


@pytest.mark.parametrize(
    ("function", "domain", "says"),
    [
        (lambda x: np.where(x > 2, np.nan, x), "fixed<4,3,RND,SAT>", "NaN at 2.5; give a number"),
        (lambda x: np.sqrt(x - 1), "fixed<4,3,RND,SAT>", "'f': it is NaN at "),
        (lambda x: x[:-1], "fixed<4,3,RND,SAT>", r"float64 of shape \(15,\) for an array of 16"),
        (lambda x: "three", "fixed<4,3,RND,SAT>", "not one real number each; write it with numpy"),
        (lambda x: x + 1j, "fixed<4,3,RND,SAT>", "it gave complex128"),
        (_breaks, "fixed<4,3,RND,SAT>", r"ZeroDivisionError \(no way\) .* -4..3.5; .*vectorize"),
        (lambda x: 0 * x, "fixed<4,3,RND,SAT>", "a constant"),
        (np.sin, "fixed<4,3>", "must saturate"),
        (np.sin, "fixed<40,3,TRN,SAT>", r"limit 2\*\*12"),
    ],
)
def test_what_cannot_be_sampled_is_refused(function, domain, says):
    with pytest.raises(SpecError, match=says) as caught:
        LutFunc.sampled("f", function, Fixed.parse(domain), Fixed(9, 4))
    assert "\n" not in str(caught.value)


GOOD = """name = "wave"
function = "sin"
domain = "fixed<6,3,RND,SAT>"
value = "fixed<7,2>"
about = "mine"
"""


def test_user_folder_adds_and_replaces(tmp_path: Path):
    (tmp_path / "wave.toml").write_text(GOOD)
    (tmp_path / "sin.toml").write_text(GOOD.replace("wave", "sin"))
    found = lut_functions(tmp_path)
    assert set(found) == {*LUTS, "wave"}
    assert found["sin"].table.size == 64
    assert found["wave"].with_types(LUTS["tanh"].domain, Fixed(8, 2)).table.size == 512


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + 'extra = "x"', "unknown key 'extra'"),
        (GOOD.replace("domain", "domian"), "did you mean 'domain'"),
        (GOOD.replace('"sin"', '"sine"'), "did you mean 'sin'"),
        (GOOD.replace('"mine"', "3"), "about must be a string"),
        (GOOD.replace("fixed<7,2>", "float"), "value: cannot read 'float'"),
        (GOOD.replace('about = "mine"', ""), "about is missing"),
        (GOOD.replace('"wave"', '"a-b"'), "plain identifier"),
        ("name = [", "cannot read it as TOML"),
    ],
)
def test_bad_files_name_file_and_key(tmp_path: Path, text, says):
    (tmp_path / "wave.toml").write_text(text)
    with pytest.raises(SpecError, match=says) as caught:
        lut_functions(tmp_path)
    assert "wave.toml" in str(caught.value)
    assert "\n" not in str(caught.value).replace("\\n", "")


def test_missing_folder(tmp_path: Path):
    with pytest.raises(SpecError, match="not a folder"):
        lut_functions(tmp_path / "none")


def test_readme_figures_are_the_computed_ones():
    text = (folder("lut_funcs") / "README.md").read_text(encoding="utf-8")
    for f in LUTS.values():
        row = (
            f"| {f.name} | {f.form} | `{f.domain}` | `{f.value}` | {f.entries} "
            f"| {f.max_error():.4f} | {f.max_error(0.5, 1.5):.4f} |"
        )
        assert row in text, f"lut_funcs/README.md should say: {row}"
