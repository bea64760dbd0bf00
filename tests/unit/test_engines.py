"""What every engine must do, and the prices that make their fronts comparable."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from nacsr.cost import operator_costs
from nacsr.errors import DataError
from nacsr.fixed import Fixed
from nacsr.frontends.symbolic.engines import pricing
from nacsr.frontends.symbolic.engines.registry import ENGINES
from nacsr.frontends.symbolic.engines.request import Config, Sample, Scored
from nacsr.frontends.symbolic.language.expr import Call, Num, Var, size, variables
from nacsr.frontends.symbolic.language.parse import parse
from nacsr.frontends.symbolic.lowering.chip import Chip
from nacsr.luts import lut_functions

LUTS = lut_functions()
COSTS = dict(operator_costs(Fixed(16, 6), 200.0))
COSTS["const_mul"] = COSTS["add"]
NAMES = ("pt", "eta", "mass")
GUESSES = (
    "0.3*mass", "pt*eta", "pt*eta + 0.3*mass", "sin(pt)", "0.5*sin(mass) + pt*eta",
    "max(pt, eta)*mass - 0.2", "pt*pt*pt*pt*pt*pt*pt*pt*pt",
)  # fmt: skip
CONFIG = Config(
    evaluations=6_000,
    rows=150,
    operators=("add", "sub", "mul", "max", "square"),
    functions=("sin", "tanh"),
    max_size=25,
    max_cycles=6,
    period_ns=4.375,
    precision=Fixed(16, 6),
    dsp_luts=100.0,
    population=60,
    guesses=tuple(parse(text, NAMES, LUTS) for text in GUESSES),
)
NO_OPERON = pytest.mark.skipif(
    find_spec("pyoperon") is None, reason="needs pip install nacsr[operon]"
)


# the embedded engine computes in fixed point, the others in float64
ROUNDED = {"embedded": 0.1, "operon": 1e-9, "hof": 1e-9}


def sample(rows: int = 240, weights: bool = False) -> Sample:
    rng = np.random.default_rng(8)
    z = rng.normal(size=(rows, 3))
    y = z[:, 0] * z[:, 1] + 0.3 * z[:, 2] + 0.05 * rng.normal(size=rows)
    heavy = rng.exponential(size=rows)
    return Sample(z, y, NAMES, heavy / heavy.mean() if weights else None)


@pytest.fixture(scope="class", params=["embedded", pytest.param("operon", marks=NO_OPERON), "hof"])
def engine(request):
    """Every engine that runs here."""
    return request.param


def search(engine: str, data: Sample, config: Config = CONFIG, seed: int = 3) -> list[Scored]:
    return ENGINES[engine](data, config, COSTS, LUTS, seed)


def loss_of(one: Scored, data: Sample) -> float:
    chip = Chip(dict(zip(NAMES, data.z.T, strict=True)), {**LUTS, **one.tables}, CONFIG.precision)
    return linear_loss(chip.output(one.expr), data)


def linear_loss(values: np.ndarray, data: Sample) -> float:
    """Weighted mean squared error of the best ``scale * values + offset``."""
    root = np.sqrt(np.ones(len(data.y)) if data.weights is None else data.weights)
    matrix = np.stack([values, np.ones_like(values)], axis=1) * root[:, None]
    fitted = np.linalg.lstsq(matrix, data.y * root, rcond=None)[0]
    return float(np.sum((matrix @ fitted - data.y * root) ** 2) / np.sum(root**2))


@pytest.fixture(scope="class")
def front(engine):
    return search(engine, sample())


class TestConformance:
    def test_front(self, front):
        """Sorted by falling loss, and nobody is beaten by another."""
        assert front
        assert [s.loss for s in front] == sorted((s.loss for s in front), reverse=True)
        rows = [(s.loss, s.cycles, s.luts + CONFIG.dsp_luts * s.dsps) for s in front]
        for a in rows:
            assert not any(b != a and all(np.less_equal(b, a)) for b in rows)

    def test_it_learns(self, front):
        assert front[-1].loss < 0.01

    def test_losses_are_those_of_the_formulas(self, engine, front):
        for s in front:
            assert set(variables(s.expr)) <= set(NAMES)
            assert s.loss == pytest.approx(loss_of(s, sample()), rel=ROUNDED[engine], abs=1e-6)

    def test_limits(self, engine):
        config = replace(CONFIG, max_size=14, max_cycles=3, max_luts=140.0, max_dsps=1)
        for s in search(engine, sample(), config):
            assert s.size <= 14
            assert s.cycles <= 3
            assert s.luts <= 140
            assert s.dsps <= 1

    def test_the_same_seed_gives_the_same_front(self, engine, front):
        assert search(engine, sample()) == front

    def test_weights(self, engine):
        data = sample(weights=True)
        for s in search(engine, data):
            assert s.loss == pytest.approx(loss_of(s, data), rel=ROUNDED[engine], abs=1e-6)

    def test_functions_only(self, engine):
        z = sample().z
        data = Sample(z, np.sin(z[:, 0]), NAMES)
        sine = (parse("sin(pt)", NAMES, LUTS), parse("sin(eta)", NAMES, LUTS))
        config = replace(CONFIG, operators=(), functions=("sin",), guesses=sine)
        front = search(engine, data, config)
        assert front[-1].loss < 0.01

    def test_constant_inputs(self, engine):
        data = Sample(np.ones((50, 3)), np.arange(50.0), NAMES)
        with pytest.raises(DataError, match="no input varies over the training rows"):
            search(engine, data)

    def test_nothing_fits(self, engine):
        with pytest.raises(DataError) as caught:
            search(engine, sample(), replace(CONFIG, max_luts=1.0))
        assert "\n" not in str(caught.value)


def test_hof_says_what_it_leaves_out(caplog):
    search("hof", sample())
    assert "engine: hof: 1 of 7 formulas exceed fixed<16,6>" in caplog.text  # pt^9


def test_hof_needs_formulas():
    with pytest.raises(DataError, match="no formulas to score; give halls"):
        search("hof", sample(), replace(CONFIG, guesses=()))


# ---- scores


def test_formulas_beyond_the_type_are_dropped():
    data = sample()
    for text in ("pt*1000000", "1000*pt - 1000*pt", "exp(exp(9*pt))*9999", "pt/(eta - eta)"):
        one = pricing.score(parse(text, NAMES, LUTS), data, CONFIG, COSTS, LUTS)
        assert one.loss == np.inf, text
    with pytest.raises(DataError, match="no expression that was found stays finite and fits"):
        pricing.front([one], CONFIG)


def test_formulas_of_other_functions_are_dropped():
    one = pricing.score(parse("sin(pt)", NAMES, LUTS), sample(), CONFIG, COSTS, {})
    assert one.loss == np.inf


def test_large_constants_that_are_folded_stay():
    """What counts is what is computed: a division by 1000 is a factor of 0.001."""
    one = pricing.score(parse("pt/1000", NAMES, LUTS), sample(), CONFIG, COSTS, LUTS)
    assert one.loss == pytest.approx(linear_loss(sample().z[:, 0], sample()), rel=1e-3)


@pytest.mark.parametrize(("share", "kept"), [(0.009, True), (0.011, False)])
def test_few_values_may_saturate(share: float, kept: bool):
    """A product of a heavy tail is of use, one that mostly sticks to the end of the type is not."""
    data = sample()
    z = data.z.copy()
    z[: round(share * len(z)), 0] = 8.0
    heavy = replace(data, z=z)
    one = pricing.score(parse("pt*pt", NAMES, LUTS), heavy, CONFIG, COSTS, LUTS)
    lsb, end = CONFIG.precision.lsb, CONFIG.precision.max
    ends = np.minimum(np.floor((np.floor(z[:, 0] / lsb) * lsb) ** 2 / lsb) * lsb, end)
    assert one.loss == (pytest.approx(linear_loss(ends, heavy)) if kept else np.inf)


def test_front_keeps_one_of_equals():
    row = Scored(Var("pt"), 1.0, 2, 10.0, 0.0, 1)
    twin = replace(row, expr=Call("abs", (Var("pt"),)))
    worse = replace(row, expr=Num(1.0), loss=2.0)
    assert [s.loss for s in pricing.front([row, twin, worse, row], CONFIG)] == [1.0]


# ---- prices


def test_price_by_hand():
    add, sub, mul = COSTS["add"], COSTS["sub"], COSTS["mul"]
    x, y = Var("x"), Var("y")
    cycles, luts, dsps = pricing.price(Call("mul", (x, y)), COSTS, 4.375)
    assert (luts, dsps) == (2 * sub.luts + mul.luts, mul.dsps)
    assert cycles == -(-(sub.delay_ns + mul.delay_ns) // 4.375)
    shared = Call("mul", (x, y))  # equal subtrees are one circuit
    assert pricing.price(Call("add", (shared, shared)), COSTS, 4.375)[1:] == (luts + add.luts, dsps)
    wires = Call("mul", (x, Num(-0.25)))
    assert pricing.price(wires, COSTS, 4.375) == (1, sub.luts, 0)
    assert pricing.price(Num(3.0), COSTS, 4.375) == (1, 0, 0)
    table = Call("tanh", (x,))  # a table takes a period of its own
    assert pricing.price(table, COSTS, 4.375) == (2, sub.luts + COSTS["lut"].luts, 0)
    choice = Call("select", (x, y, Num(0.5)))  # any number of arguments
    assert pricing.price(choice, COSTS, 4.375) == (1, 2 * sub.luts + COSTS["select"].luts, 0)


def test_price_of_a_switch():
    """One bit decides between words: nothing is multiplied, and nothing compared again."""
    compared = parse("greater(x, y)", ("x", "y"), LUTS)
    x, y = Var("x"), Var("y")
    _, base, _ = pricing.price(compared, COSTS, 4.375)
    for gated in (
        Call("mul", (compared, x)),
        Call("mul", (x, compared)),
        Call("cond", (compared, y)),
        Call("select", (compared, x, y)),
    ):
        _, luts, dsps = pricing.price(gated, COSTS, 4.375)
        assert (luts, dsps) == (base + COSTS["mux"].luts, 0)
    _, luts, _ = pricing.price(Call("select", (x, compared, y)), COSTS, 4.375)
    assert luts == base + COSTS["select"].luts  # not its condition


@pytest.mark.parametrize("operators", [CONFIG.operators, (*CONFIG.operators, "greater", "cond")])
def test_price_is_that_of_the_embedded_engine(operators):
    """All engines' formulas compete on one front, so all must be priced alike."""
    config = replace(CONFIG, max_size=20, operators=operators)
    front = search("embedded", sample(), config)
    assert len(front) > 5
    for s in front:
        assert pricing.price(s.expr, COSTS, CONFIG.period_ns) == (s.cycles, s.luts, s.dsps)
        assert size(s.expr) <= 20
