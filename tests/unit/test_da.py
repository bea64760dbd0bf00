"""da4ml's cost: its logic computes our words, known costs are exact, the approximation is near."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nacsr.cli.app import app
from nacsr.cost.da import BAND, LIMIT, da_cost, logic
from nacsr.cost.da_fast import Matrix, da_fast, distinct
from nacsr.cost.reach import reaches, read
from nacsr.errors import EmitError, GraphError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.ir import OPS, Builder, Graph, evaluate
from nacsr.ir.passes import LowerLayers, run
from nacsr.ir.passes.scalar import unrolled
from nacsr.targets import target
from nacsr.testing.draw import random_graph, words

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
JEDI = SHARED / "jedi_linear" / "jedi_linear_pnr_xcvu13p.csv"
SEEDS = st.integers(0, 2**32 - 1)
WORD = Fixed(8, 4)
INTERPRETED = 32
"""Bits of words that da4ml's interpreter computes with."""


def pair(op: str, a: Fixed = WORD, b: Fixed = WORD, **attrs: object) -> Graph:
    """One op on two inputs."""
    builder = Builder()
    x, y = builder.input("x", a), builder.input("y", b)
    builder.output("z", builder.op(op, x, y, **attrs))
    return builder.build()


def perceptron(
    sizes: Sequence[int], bits: int, kept: float = 1.0, seed: int = 0, word: int = 6
) -> Graph:
    """Uniform random weights, a share of them kept."""
    rng, b = np.random.default_rng(seed), Builder()
    x = b.input("x", Fixed(word, 3), (sizes[0],))
    end = (1 << (bits - 1)) - 1
    for n, m in pairwise(sizes):
        weight = rng.integers(-end, end + 1, (n, m)) * (rng.random((n, m)) < kept)
        bias = rng.integers(-end, end + 1, m)
        types = {"weight_type": Fixed(bits, 1), "bias_type": Fixed(bits, 1)}
        x = b.op("dense", x, weight=weight, bias=bias, **types)
        if m != sizes[-1]:
            hidden = Fixed(word, 3, False, Rounding.RND, Overflow.SAT)
            x = b.cast(b.op("relu", x), hidden)
    b.output("y", x)
    return b.build()


# --- da4ml's own --------------------------------------------------------------------------------


def replayed(graph: Graph, seed: int = 0) -> bool:
    """Whether da4ml's logic, run by its own interpreter, gives the design's words."""
    given_words = words(graph, 32, seed)
    found = evaluate(graph, given_words)
    inputs = [graph.ops[i].type.to_float(given_words[n]).reshape(32, -1) for n, i in graph.inputs]
    outputs = [graph.ops[i].type.to_float(found[n]).reshape(32, -1) for n, i in graph.outputs]
    computed = logic(graph).predict(np.concatenate(inputs, 1), n_threads=1)
    return np.array_equal(computed, np.concatenate(outputs, 1))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_logic_computes_every_word_of_the_design(seed: int) -> None:
    graph = random_graph(random.Random(seed), 8, [op for op in OPS if op != "mul"])
    try:
        scalar = unrolled(graph)
    except GraphError:  # sums of constant matrices may need more than our 63 bits
        assume(False)
    assume(max(op.type.width for op in scalar.ops) <= INTERPRETED)
    assert replayed(graph, seed)


def choices(b: Builder, x: int) -> list[int]:
    """Between a constant of either sign and a word of which da4ml keeps the negative."""
    b.output("self", x)  # so that the negation is not of an adder's making
    lower = b.op("neg", x)
    found = []
    for number in (-3, 3):
        c = b.const(np.array(number), Fixed(3, 3))
        for a, d in ((c, lower), (lower, c)):
            found += [b.op("min", a, d), b.op("max", a, d)]
            found.append(b.op("select", b.op("compare", x, c, kind="lt"), a, d))
    return found


def zeros_at_the_end(b: Builder, x: int) -> list[int]:
    """Tables of a bit that only da4ml knows to be 0: words wrapped to fewer bits."""
    even = b.op("add", b.op("shift", x, n=2), b.const(np.array(4), Fixed(4, 4)))
    low = b.cast(even, Fixed(1, 1))
    found = []
    for table in ([3, 5], [-3, 2]):
        y = b.op("lut", low, type=Fixed(4, 4), function="any", table=np.array(table))
        found += [y, b.op("abs", y), b.cast(y, Fixed(2, 2, False)), b.op("pack", y, x)]
    return found


def packs(b: Builder, x: int) -> list[int]:
    """Beside words that are negative: constants, narrow ones in a wide type, negations."""
    sign = b.cast(b.op("min", x, b.const(np.array(0), Fixed(1, 1))), Fixed(6, 6))
    minus = b.const(np.array(-7), Fixed(4, 0))
    less = b.op("neg", b.cast(x, Fixed(2, 2, False)))
    few = [b.op("pack", *args) for args in ((sign,), (x, minus), (minus, sign, x, less), (less, x))]
    return [
        *few,
        b.op("lut", few[0], type=Fixed(9, 9), function="any", table=np.arange(64) ** 2 % 99),
    ]


def signs(b: Builder, x: int) -> list[int]:
    """A word taken for one with a sign, and the bit that says so."""
    plain = b.op("add", b.cast(x, Fixed(3, 3, False)), b.input("y", Fixed(3, 3, False)))
    whole = b.cast(plain, Fixed(4, 4))
    top = b.cast(b.op("shift", plain, n=-3), Fixed(1, 1, False))
    zero = b.const(np.array(0), Fixed(1, 1))
    either = b.op("select", top, x, plain)
    return [b.op("abs", whole), b.op("min", zero, whole), b.op("max", whole, zero), either]


def wider(b: Builder, x: int) -> list[int]:
    """Negative words in unsigned types of more bits."""
    return [b.cast(y, Fixed(9, 8, False)) for y in (x, b.op("neg", x), b.op("neg", b.op("abs", x)))]


@pytest.mark.parametrize("made", [choices, zeros_at_the_end, packs, signs, wider])
def test_what_da4ml_would_get_wrong_is_put_another_way(
    made: Callable[[Builder, int], list[int]],
) -> None:
    b = Builder()
    for k, index in enumerate(made(b, b.input("x", Fixed(4, 4)))):
        b.output(f"y{k}", index)
    assert replayed(b.build())


def test_bits_side_by_side_are_wires() -> None:
    b = Builder()
    bits = [b.input(f"x{k}", Fixed(k, k, k == 3)) for k in (1, 2, 3)]
    narrow = b.cast(bits[2], Fixed(5, 5))
    five = b.const(np.array(5), Fixed(4, 4))
    b.output("y", b.op("pack", *bits, narrow, five))
    assert da_cost(graph := b.build()).luts == da_fast(graph) == 0


@pytest.mark.parametrize(
    ("graph", "luts"),
    [
        (pair("add"), 8.0),
        (pair("add", Fixed(8, 4), Fixed(8, 6)), 8.0),  # the lowest two bits pass by
        (pair("sub", Fixed(8, 4, False), Fixed(5, 1, False)), 9.0),  # and a sign
        (pair("max"), 9.0 + 4.0),
    ],
    ids=["add", "add shifted", "sub", "max"],
)
def test_an_adder_costs_the_bits_that_overlap(graph: Graph, luts: float) -> None:
    assert da_cost(graph).luts == luts
    assert da_fast(graph) == luts


def test_a_table_costs_a_lut_for_two_bits_of_32_words() -> None:
    for bits, copies in ((5, 1.0), (7, 4.0), (4, 0.8)):
        b = Builder()
        table = (np.arange(1 << bits) * 37) % 61  # no line, so that it stays a table
        x = b.input("x", Fixed(bits, bits, False))
        y = b.op("lut", x, type=Fixed(6, 6, False), function="any", table=table)
        b.output("y", y)
        cost = da_cost(b.build())
        assert cost.luts == cost.parts["tables"] == pytest.approx(3 * copies)
        assert da_fast(b.build()) == cost.luts


def test_parts_add_up_to_the_cost() -> None:
    cost = da_cost(perceptron((6, 5, 3), 5))
    assert sum(cost.parts.values()) == pytest.approx(cost.luts)
    assert cost.parts["adders"] > cost.parts["multiplexers"] > 0
    assert cost.parts["tables"] == 0


def test_measurements_say_whose_cost_it_is() -> None:
    graph = pair("add")
    luts, dsps = da_cost(graph).measurements(target("vu13p"), 200.0, graph.digest)
    assert (luts.metric, luts.value, luts.method, luts.stage) == ("luts", 8.0, "da", "pnr")
    assert luts.tool.startswith("da4ml 0.")
    assert luts.error == pytest.approx(0.133 * 8)
    assert luts.digest == graph.digest
    assert (dsps.metric, dsps.value, dsps.error) == ("dsps", 0.0, None)


@pytest.mark.parametrize("cost", [da_cost, da_fast])
def test_products_of_two_variables_are_refused(cost: object) -> None:
    with pytest.raises(EmitError, match=r"no da cost: the design multiplies two variables.*ask"):
        cost(pair("mul"))  # type: ignore[operator]


def test_words_wider_than_a_float_are_refused() -> None:
    with pytest.raises(
        EmitError, match=r"no da cost: %0 input has words of fixed<60,30>.*narrower"
    ):
        da_cost(pair("add", Fixed(60, 30), Fixed(60, 30)))


def test_a_design_too_large_to_unroll_is_refused() -> None:
    b = Builder()
    x = b.input("x", Fixed(4, 2), (500,))
    types = {"weight_type": Fixed(2, 2), "bias_type": Fixed(2, 2)}
    weight, bias = np.ones((500, 500), np.int64), np.zeros(500, np.int64)
    b.output("y", b.op("dense", x, weight=weight, bias=bias, **types))
    with pytest.raises(EmitError, match=r"no da cost: %1 dense: da4ml unrolls .* limit is 200000"):
        da_cost(b.build())


def test_a_chain_too_deep_for_da4ml_is_refused_in_one_line() -> None:
    b = Builder()
    y = x = b.input("x", WORD)
    for _ in range(700):
        y = b.cast(b.op("add", y, x), WORD)
    b.output("y", y)
    with pytest.raises(EmitError, match=r"^no da cost: .* chained deeper .* analytic [^\n]*$"):
        da_cost(b.build())


def test_a_matrix_that_takes_minutes_is_refused() -> None:
    graph = perceptron((256, 256), 8)
    with pytest.raises(EmitError, match=r"no da cost: about .* limit is 80,000.*da_fast"):
        da_cost(graph)
    assert da_fast(perceptron((64, 64), 8)) < LIMIT < da_fast(graph)


def test_published_designs_stay_within_the_band() -> None:
    if not JEDI.exists():
        pytest.skip("shared/data is not beside the repository")
    with JEDI.open(newline="") as file:
        rows = list(csv.DictReader(file))
    ratios = np.array([float(r["LUT"]) / float(r["da4ml_cost"]) for r in rows])
    assert len(rows) == 20
    assert all(int(r["DSP"]) == 0 for r in rows)
    assert (ratios.min().round(3), ratios.max().round(3)) == (0.969, 1.132)
    assert np.abs(1 / ratios - 1).mean() == pytest.approx(0.053, abs=0.0005)  # of the LUTs
    assert np.abs(ratios - 1).mean() == pytest.approx(0.057, abs=0.0005)  # of the cost
    assert np.abs(ratios - 1).max() <= BAND.relative


# --- the approximation --------------------------------------------------------------------------


@pytest.mark.parametrize("factors", [[1] * 8, [1, 2, 4, 8] * 2, [-1, 1] * 4])
def test_columns_that_are_the_same_but_for_sign_and_shift_cost_once(factors: list[int]) -> None:
    column = np.random.default_rng(3).integers(-31, 32, 8)
    same = np.outer(column, factors)
    assert distinct(same) == [0]
    assert Matrix.of(same).luts(6) == pytest.approx(Matrix.of(column[:, None]).luts(6), rel=0.2)
    b = Builder()
    types = {"weight_type": Fixed(10, 4), "bias_type": Fixed(10, 4)}
    x = b.input("x", Fixed(6, 3), (8,))
    b.output("y", b.op("dense", x, weight=same, bias=np.zeros(8, np.int64), **types))
    graph = b.build()
    assert da_fast(graph) == pytest.approx(da_cost(graph).luts, rel=0.3)


@pytest.mark.parametrize(
    ("sizes", "bits", "kept"),
    [((16, 8, 5), 4, 1.0), ((12, 12, 12, 2), 6, 0.5), ((10, 16, 4), 8, 0.3), ((24, 8), 3, 0.8)],
)
def test_the_approximation_is_near_what_the_solver_finds(
    sizes: tuple[int, ...], bits: int, kept: float
) -> None:
    graph = perceptron(sizes, bits, kept)
    assert da_fast(graph) == pytest.approx(da_cost(graph).luts, rel=0.12)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_intervals_of_elements_hold_their_words(seed: int) -> None:
    drawn = random_graph(random.Random(seed), 8, [op for op in OPS if op != "mul"])
    graph = run(drawn, (LowerLayers(),))
    everything = Graph(graph.ops, tuple((str(k), k) for k in range(len(graph.ops))))
    values = evaluate(everything, words(graph, 32, seed))
    for k, (op, reach) in enumerate(zip(graph.ops, reaches(graph), strict=True)):
        raw = values[str(k)]
        if op.type.width < 50:  # sums of matrices are in float64
            assert (reach.low <= raw).all(), op.name
            assert (raw <= reach.high).all(), op.name


def test_neurons_that_nothing_reads_or_that_are_constant_cost_nothing() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(-7, 8, (6, 8)), rng.integers(-7, 8, (8, 2))
    alone = [0, 2, 3, 5]

    def made(columns: Sequence[int], hidden: np.ndarray, last: np.ndarray) -> Graph:
        b, types = Builder(), {"weight_type": Fixed(4, 1), "bias_type": Fixed(4, 1)}
        x = b.input("x", Fixed(6, 3), (6,))
        for weight in (hidden[:, columns], last[columns]):
            bias = np.zeros(weight.shape[1], np.int64)
            x = b.op("relu", b.op("dense", x, weight=weight, bias=bias, **types))
        b.output("y", x)
        return b.build()

    unread, constant = second.copy(), first.copy()
    rest = [1, 4, 6, 7]
    unread[rest] = 0
    constant[:, rest] = 0
    few = da_fast(made(alone, first, second))
    assert da_fast(made(range(8), first, unread)) == pytest.approx(few)
    assert da_fast(made(range(8), constant, second)) == pytest.approx(few)
    masks = read((graph := made(range(8), first, unread)), reaches(graph))
    assert masks[1].tolist() == [k in alone for k in range(8)]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 12))
def test_fewer_weights_and_narrower_words_are_never_dearer(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-31, 32, (int(rng.integers(2, 12)), int(rng.integers(1, 12))))
    whole = Matrix.of(weights)
    assert whole.luts(width) <= whole.luts(width + 1)
    column = weights.copy()
    column[:, int(rng.integers(weights.shape[1]))] = 0
    assert Matrix.of(column).luts(width) <= whole.luts(width) * (1 + 1e-9)


# --- the command line ---------------------------------------------------------------------------


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(app, ["cost", "0.37*x0 - 1.21*x1", "--method", "da", "--by-op"])
    assert done.exit_code == 0, done.output
    assert "Method: da, stage: pnr" in done.output
    assert "adders" in done.output
    wrong = CliRunner().invoke(app, ["cost", "x0 + x1", "--method", "dá"])
    assert "Choose from: analytic, da" in str(wrong.exception or wrong.output)
