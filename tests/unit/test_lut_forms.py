"""Every form of a LUT function: the ops, the table and the stated error are one thing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nacsr.cli import main
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting
from nacsr.errors import SpecError
from nacsr.fixed import Fixed
from nacsr.ir import Builder, evaluate, verify
from nacsr.luts import (
    FUNCTIONS,
    Bipartite,
    Form,
    Leading,
    Linear,
    LutFunc,
    Product,
    Table,
    lut_functions,
)

LUTS = lut_functions()
INPUTS = (Fixed(16, 6), Fixed(18, 4), Fixed(6, 3), Fixed(10, 3, signed=False))


def make(function: str, domain: str, value: str, form: Form) -> LutFunc:
    return LutFunc("f", function, Fixed.parse(domain), Fixed.parse(value), form=form)


FORMS = [
    make("tanh", "fixed<10,3,TRN,SAT>", "fixed<9,1>", Form(mirror=True)),
    make("tanh", "fixed<10,3,RND,SAT_SYM>", "fixed<9,1>", Form(mirror=True)),
    make("gauss", "fixed<9,3,TRN,SAT>", "ufixed<8,0>", Form(mirror=True)),
    make("sigmoid", "fixed<10,4,TRN,SAT>", "ufixed<8,0>", Form(mirror=True)),
    make("erf", "fixed<12,3,TRN,SAT>", "fixed<10,1>", Form(Linear(5))),
    make("erf", "fixed<12,3,RND_CONV,SAT_SYM>", "fixed<10,1>", Form(Linear(4), mirror=True)),
    make("softplus", "fixed<12,4,TRN,SAT>", "ufixed<11,4>", Form(Bipartite(4, 4))),
    make("sinh", "fixed<12,3,TRN,SAT>", "fixed<12,6>", Form(Bipartite(4, 4), mirror=True)),
    make("exp", "fixed<13,3,TRN,SAT>", "ufixed<14,6>", Form(Product(6))),
    make("exp", "fixed<12,4,RND,SAT>", "ufixed<12,6>", Form(Product(5))),
    make("log_abs", "fixed<12,4,TRN,SAT>", "fixed<10,4>", Form(Leading(6), mirror=True)),
    make("log_abs", "ufixed<11,3,RND,SAT>", "fixed<11,4>", Form(Leading(7))),
    make("sqrt_abs", "fixed<13,4,TRN,SAT>", "ufixed<10,2>", Form(Leading(6), mirror=True)),
    make("sqrt_abs", "ufixed<12,3,RND,SAT>", "ufixed<10,2>", Form(Leading(6))),
    make("inverse", "ufixed<12,3,RND,SAT>", "ufixed<12,6>", Form(Leading(7))),
    make("inverse", "fixed<12,3,TRN,SAT>", "fixed<12,6>", Form(Leading(7), mirror=True)),
    make("sin", "fixed<14,6,TRN,SAT>", "fixed<9,1>", Form(phase=9, factor=14)),
    make("sin", "fixed<14,6,TRN,SAT>", "fixed<9,1>", Form(phase=9, factor=14, mirror=True)),
    make("cos", "fixed<14,6,RND,SAT>", "fixed<9,1>", Form(Table(), 10, 14, True, True)),
    make("cos", "fixed<16,6,TRN,SAT>", "fixed<12,2>", Form(Linear(4), 13, 17, True, True)),
    make("tan", "fixed<14,6,TRN,SAT>", "fixed<12,6>", Form(phase=9, factor=14, mirror=True)),
    *(f for f in LUTS.values() if not f.form.plain),
]


def named(f: LutFunc) -> str:
    return f"{f.function}-{f.form}-{f.domain}".replace(" ", "")


def lowered(f: LutFunc, source: Fixed, raw: np.ndarray) -> tuple[np.ndarray, Fixed]:
    b = Builder()
    index = f.lower(b, b.input("x", source))
    b.output("y", index)
    return evaluate(verify(b.build()), {"x": raw})["y"], b.type(index)


def every(source: Fixed) -> np.ndarray:
    step = 1 << max(source.width - 14, 0)
    return np.arange(source.min_raw, source.max_raw + 1, step, dtype=np.int64)


@pytest.mark.parametrize("f", FORMS, ids=named)
def test_ops_compute_the_table_whatever_word_arrives(f):
    for source in (*INPUTS, f.domain.plain()):
        raw = every(source)
        got, type_ = lowered(f, source, raw)
        assert type_.plain() == f.value.plain()
        assert (f.value.to_float(got) == f.numpy(source.to_float(raw))).all()


@pytest.mark.parametrize("f", FORMS, ids=named)
def test_torch_and_sympy_are_the_table(f):
    import sympy
    import torch

    x = np.linspace(-40.0, 40.0, 4001)
    want = f.numpy(x)
    assert (f.torch()(torch.from_numpy(x)).numpy() == want).all()
    symbol = sympy.Symbol("x")
    call = sympy.lambdify(symbol, f.sympy(symbol), [f.modules, "numpy"])
    assert (call(x) == want).all()


@pytest.mark.parametrize("f", [f for f in FORMS if not FUNCTIONS[f.function].poles], ids=named)
def test_max_error_is_never_exceeded_and_reached(f):
    low, high = f.domain.min, f.domain.max
    edges = np.arange(2 * f.domain.min_raw, 2 * f.domain.max_raw) * (f.domain.lsb / 2)
    x = np.concatenate([edges, np.nextafter(edges, -np.inf)[1:], np.linspace(low, high, 50_021)])
    found = float(np.abs(f.numpy(x) - f.exact(x)).max())
    assert found <= f.max_error(low, high) <= found + 1e-9


@pytest.mark.parametrize("f", [f for f in FORMS if isinstance(f.form.core, Leading)], ids=named)
def test_the_leading_one_keeps_precision_at_small_arguments(f):
    low = max(8 * f.domain.lsb, 0.04)  # above it the inverse is within its value type
    plain = replace(f, domain=replace(f.domain, width=9), form=Form())
    assert 2 * f.max_error(low, 1.0) < plain.max_error(low, 1.0)


@pytest.mark.parametrize("f", [f for f in FORMS if f.form.mirror and not f.form.phase], ids=named)
def test_symmetric_forms_are_exactly_symmetric(f):
    centred = f.domain.rounding == "TRN"
    raw = np.arange(f.domain.max_raw + 1)
    mask = (1 << f.domain.width) - 1
    right, left = f.table[raw], f.table[(-1 - raw if centred else -raw) & mask]
    real = FUNCTIONS[f.function]
    if real.parity == "even":
        assert (left == right).all()
    else:
        whole = round(2 * real.centre / f.value.lsb)
        known = (left > f.value.min_raw) & (right > f.value.min_raw) & (raw > 0)
        assert (left + right == whole)[known].all()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_periodic_functions_do_not_saturate(name):
    f = LUTS[name]
    x = np.random.default_rng(0).uniform(-31.9, 31.9, 20_000)
    x = x[np.abs(f.exact(x)) < 1.5]
    assert np.abs(f.numpy(x) - f.exact(x)).max() < (0.05 if name == "tan" else 0.004)


def test_symmetry_halves_and_quarters_the_entries():
    def entries(**how: bool) -> int:
        form = Form(phase=9, factor=14, **how)
        return make("sin", "fixed<14,6,TRN,SAT>", "fixed<9,1>", form).entries

    assert (entries(), entries(mirror=True), entries(mirror=True, fold=True)) == (512, 256, 128)
    assert FORMS[-1].roms == LUTS["tanh"].roms == ((256, 8),)


def test_a_word_that_is_never_negative_takes_no_reflection():
    b = Builder()
    f = LUTS["tanh"]
    b.output("y", f.lower(b, b.input("x", Fixed(9, 2, signed=False))))
    assert "select" not in [op.name for op in b.build().ops]


def test_tensors_take_forms_too():
    f = LUTS["sin"]
    b = Builder()
    b.output("y", f.lower(b, b.input("x", Fixed(12, 4), (3, 2))))
    raw = np.arange(-60, 60).reshape(20, 3, 2) * 11
    got = f.value.to_float(evaluate(verify(b.build()), {"x": raw})["y"])
    assert (got == f.numpy(Fixed(12, 4).to_float(raw))).all()


@pytest.mark.parametrize(
    ("function", "domain", "form", "says"),
    [
        ("exp", "fixed<8,4,TRN,SAT>", Form(phase=8, factor=8), "periodic"),
        ("sin", "fixed<8,4,TRN,SAT>", Form(phase=8), "factor_bits must be 3"),
        ("sin", "fixed<8,4,TRN,SAT>", Form(factor=8), "factor_bits needs phase_bits"),
        ("sin", "fixed<8,4,TRN,SAT>", Form(phase=30, factor=8), r"phase_bits must be 1\.\."),
        ("exp", "fixed<8,4,TRN,SAT>", Form(mirror=True), "even and odd"),
        ("tanh", "ufixed<8,4,TRN,SAT>", Form(mirror=True), "signed domain"),
        ("tanh", "fixed<8,4,RND,SAT>", Form(mirror=True), "SAT_SYM"),
        ("sin", "fixed<8,4,TRN,SAT>", Form(mirror=True, fold=True), "quarter period"),
        ("tan", "fixed<8,4,TRN,SAT>", Form(TABLE := Table(), 8, 8, True, True), "sin or cos"),
        ("sin", "fixed<8,4,TRN,SAT>", Form(TABLE, 2, 8, True, True), "no bit"),
        ("tanh", "fixed<8,4,TRN,SAT>", Form(Linear(8)), "cannot be split into 8 and 0"),
        ("tanh", "fixed<8,4,TRN,SAT>", Form(Bipartite(4, 4)), "cannot be split"),
        ("tanh", "fixed<8,4,TRN,SAT>", Form(Product(4)), "exp only"),
        ("tanh", "fixed<8,4,TRN,SAT>", Form(Leading(4)), "log_abs, sqrt_abs, inverse"),
        ("log_abs", "fixed<8,4,TRN,SAT>", Form(Leading(4)), "use symmetry too"),
        ("tanh", "fixed<16,4,TRN,SAT>", Form(mirror=True), "32768 table entries"),
        ("tanh", "fixed<17,4,TRN,SAT>", Form(Linear(4)), r"limit 2\*\*16"),
    ],
)
def test_forms_that_do_not_suit_are_refused(function, domain, form, says):
    with pytest.raises(SpecError, match=says) as caught:
        make(function, domain, "fixed<8,2>", form)
    assert "LUT function 'f'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_every_form_in_compiled_hls_is_the_interpreter(tmp_path):
    b = Builder()
    features = []
    for i, f in enumerate(FORMS):
        features.append(Feature(f"x{i}", INPUTS[i % len(INPUTS)]))
        b.output(f"y{i}", f.lower(b, b.input(f"x{i}", features[i].type)))
    graph, zeros = verify(b.build()), (0,) * len(FORMS)
    classes = tuple(name for name, _ in graph.outputs)
    setting = Setting(tuple(features), classes, Scaling("external", zeros, zeros), "vu13p", 200.0)
    design = Design(graph, setting, "forms", "every form", "hls")
    checked = design.verify(design.emit(tmp_path / "forms"))
    assert checked.mismatches == 0
    assert checked.words >= 1000 * len(FORMS)


def test_the_command_shows_forms_and_a_folder_of_ones_own(tmp_path, capsys, monkeypatch):
    text = (
        'name = "steep"\nfunction = "tanh"\nlow = -2\nhigh = 2\nmax_error = 0.05\nabout = "mine"\n'
    )
    (tmp_path / "steep.toml").write_text(text)
    monkeypatch.setattr("sys.argv", ["nacsr", "luts", "--dir", str(tmp_path), "--json"])
    with pytest.raises(SystemExit):
        main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == {*LUTS, "steep"}
    assert rows["steep"]["max_error"] <= 0.05
    assert rows["sin"]["form"] == "linear 4, phase 13, quarter period"
    assert rows["sin"]["entries"] == 32
