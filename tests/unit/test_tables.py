"""Table networks: what training computes, what the model says and what is lowered are one."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.data.words import Feature, Scaling
from nacsr.errors import GraphError, SpecError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Found, Problem
from nacsr.frontends.neural.descents import Batches
from nacsr.frontends.neural.pools import pooled
from nacsr.frontends.neural.population.steps import LOGISTIC
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Network
from nacsr.frontends.neural.tables import descent, model, stage
from nacsr.frontends.neural.tables.lower import lower
from nacsr.frontends.neural.tables.prune import Seen, _items, drop
from nacsr.frontends.neural.tables.stage import Schedule
from nacsr.frontends.neural.tables.state import ENTRIES, KNOTS, MIDDLE, State, begun
from nacsr.frontends.stem import score_type, scores
from nacsr.spec import BUDGETS, DeepSetsSpec, MlpSpec, TablesSpec
from tests.unit.descents import ALL, PERCEPTRON, drawn_tables, regression, task, words
from tests.unit.tiny_problem import tiny_problem

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ALL), SEEDS)
def test_a_lowered_network_computes_what_the_model_says(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = drawn_tables(network, rng)
    model.settle(state)
    features, scaling, raw, values = words(network, rng)
    expected = model.scores(state, values)
    if any(layer.live.any() for layer in state):
        graph = lower(state, features, scaling, ("a", "b"))
        found = score_type(graph).to_float(scores(graph, features, raw))
        assert np.array_equal(found, expected)
        assert {op.name for op in graph.ops} <= SIMPLE
    else:
        with pytest.raises(GraphError, match="nothing is left of the network"):
            lower(state, features, scaling, ("a", "b"))
        assert (expected == expected[0]).all()


SIMPLE = {"input", "const", "cast", "shift", "add", "sub", "neg", "lut", "max"}


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ALL), SEEDS)
def test_settling_changes_no_score(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = drawn_tables(network, rng)
    _, _, _, values = words(network, rng)
    ends = np.full(3, -16.0), np.full(3, 15.0)
    before, size = model.scores(state, values), model.total(state, ends)
    model.settle(state)
    assert np.array_equal(model.scores(state, values), before)
    assert model.total(state, ends) <= size
    for layer in state:  # whatever is left says something
        bits = model.widths(layer, model.entries(layer))
        assert (bits[layer.live] > 0).all()
    for one, after in pairwise(state):  # to what is left after it
        assert (one.live.any(0) == after.used).all()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL), SEEDS)
def test_training_sees_the_values_that_the_model_computes(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = drawn_tables(network, rng)
    _, _, _, values = words(network, rng)
    given_task = replace(task(network), batch=len(values))
    found = descent._Training(state, given_task, 0.0)._forward(values.astype(np.float32))
    assert np.array_equal(found, model.scores(state, values))


SHORT = Schedule(first=60, between=20, share=0.3, polish=20, rung=0.6, least=10.0)


@pytest.mark.parametrize("network", ALL, ids=lambda n: n.title)
def test_designs_shrink_and_repeat(network: Network) -> None:
    found = list(descent.descend(network, task(network), SHORT))
    sizes = [model.total(state, task(network).ends) for state in found]
    assert len(found) >= 3
    assert all(a > b for a, b in pairwise(sizes))
    again = list(descent.descend(network, task(network), SHORT))
    for one, other in zip(found, again, strict=True):
        for layer, same in zip(one, other, strict=True):
            assert np.array_equal(layer.knots, same.knots)
            assert np.array_equal(layer.live, same.live)


@pytest.mark.parametrize("network", ALL, ids=lambda n: n.title)
def test_it_learns(network: Network) -> None:
    given_task = task(network, 2000)
    schedule = Schedule(first=400, polish=100)
    found = model.scores(next(descent.descend(network, given_task, schedule)), given_task.x)
    assert (found.argmax(1) == given_task.y[:, 0]).mean() > 0.85


def test_a_table_learns_what_no_line_says() -> None:
    given_task = task(PERCEPTRON, 4000)
    y = (np.abs(given_task.x[:, :1]) > 0.7).astype(np.float32)
    network = Network((3,), (Dense(2),))
    first = next(descent.descend(network, replace(given_task, y=y), Schedule(first=400)))
    assert (model.scores(first, given_task.x).argmax(1) == y[:, 0]).mean() > 0.95


def test_weights_of_events_decide_between_two_classes() -> None:
    given_task = task(PERCEPTRON, 2000)
    x, y = given_task.x, given_task.y.copy()
    wrong = np.arange(len(y)) % 2 == 0  # half of the labels lie, and weigh nothing
    y[wrong] = 1 - y[wrong]
    weights = np.where(wrong, 0, 2).astype(np.float32)
    lied_to = replace(given_task, y=y, weights=weights, goal=LOGISTIC)
    network = Network((3,), (Dense(4), Dense(1)))
    first = next(descent.descend(network, lied_to, Schedule(first=400, polish=100)))
    assert ((model.scores(first, x)[:, 0] > 0) == given_task.y[:, 0]).mean() > 0.85


def test_smoothing_takes_bends_out() -> None:
    def bends(smooth: float) -> float:
        schedule = Schedule(first=200, polish=2, smooth=smooth)
        first = next(descent.descend(PERCEPTRON, task(PERCEPTRON), schedule))
        return float(sum(np.square(np.diff(layer.knots, 2, axis=1)).sum() for layer in first))

    assert bends(2.0) < 0.3 * bends(0.0)


def one_layer(knots: np.ndarray) -> State:
    """Tables (inputs, outputs) that are straight lines through two ends."""
    ((inputs, outputs),) = [knots.shape[:2]]
    state = begun(Network((inputs,), (Dense(outputs),)), 4, np.random.default_rng(0))
    low, high = knots[:, :, :1], knots[:, :, 1:]
    ramp = low + (high - low) * np.arange(KNOTS) / (KNOTS - 1)
    state[0].knots[:] = ramp.transpose(0, 2, 1)
    return state


INSIDE = np.full(2, -0.5), np.full(2, 0.5)
"""Words that never saturate."""


def test_the_table_that_says_least_goes_first() -> None:
    ends = np.array([[[-1, 1], [-1, 1]], [[-1, 1], [0.45, 0.52]]], np.float64)
    state = one_layer(ends)
    seen = Seen(np.ones((2, ENTRIES)), np.array([1.0, 1.0]))
    drop(state, [seen], 0.01, INSIDE)
    assert state[0].live.tolist() == [[True, True], [True, False]]
    assert state[0].bias[1] == pytest.approx(0.5, abs=1 / 16)  # its mean is not lost
    assert state[0].reads.tolist() == [3.0, 3.0]


def test_words_lose_the_bits_that_say_least() -> None:
    state = one_layer(np.array([[[-8, 8], [-8, 8]]], np.float64))
    visits = np.zeros((1, ENTRIES))
    visits[0, MIDDLE - 4 : MIDDLE + 4] = 100  # only the middle is ever read
    drop(state, [Seen(visits, np.ones(2))], 0.01, (np.full(1, -99.0), np.full(1, 99.0)))
    assert (state[0].reads.tolist(), state[0].tops.tolist()) == ([3.0], [1.0])
    assert state[0].steps.tolist() == [4.0, 4.0]


def test_a_bit_is_worth_less_where_its_loss_has_to_be_saturated() -> None:
    (layer,) = one_layer(np.array([[[-8, 8]]], np.float64))
    seen, table = Seen(np.ones((1, ENTRIES)), np.ones(1)), model.entries(layer)
    saved = [
        next(i.saved for i in _items(0, layer, seen, table, np.array([beyond])) if i.kind == "tops")
        for beyond in (True, False)
    ]
    assert saved[0] - saved[1] == 6  # five bits are saturated, or it was six


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ALL), SEEDS)
def test_what_saturates_is_among_what_may(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = drawn_tables(network, rng)
    ends = np.full(3, -2.0), np.full(3, 1.75)
    x = rng.integers(-8, 8, (300, *network.input)) / 4
    made = [model.entries(layer) for layer in state]
    may = model.saturated(state, made, ends)
    values = x
    for n, layer in enumerate(state):
        if layer.pool:
            values = pooled(values.reshape(len(x), -1, len(layer.live)), layer.pool)
        read = values.reshape(-1, len(layer.live)) + layer.away
        first, last = layer.ends
        assert not ((read < first) | (read >= last)).any(0)[~may[n]].any()
        values = model.scores(state[: n + 1], x.reshape(len(x), -1))
        if layer.copies > 1:
            values = particles_of(state[: n + 1], x)


def particles_of(state: State, x: np.ndarray) -> np.ndarray:
    """Sums of every particle, one after the other."""
    alone = [replace(layer, copies=1) for layer in state]
    found = [model.scores(alone, x[:, p]) for p in range(x.shape[1])]
    return np.stack(found, 1)


def test_about_the_share_that_is_asked_for_is_dropped() -> None:
    state = begun(PERCEPTRON, 4, np.random.default_rng(0))
    training = descent._Training(state, task(PERCEPTRON), 0.3)
    batches, ends = Batches(task(PERCEPTRON)), task(PERCEPTRON).ends
    shares = []
    for _ in range(20):
        training.go(batches, np.full(20, 1e-2))
        before = model.total(state, ends)
        drop(state, training.seen(), 0.05, ends)
        shares.append(1 - model.total(state, ends) / before)
    assert 0.03 < np.mean(shares) < 0.12


def test_words_without_a_sign_are_read_from_zero_where_that_reaches() -> None:
    given_task = task(PERCEPTRON)
    x = given_task.x - given_task.x.min(0)
    x[:, 1] *= 20
    words = {"centre": np.array([5.1, 40.0, 2.9]), "signed": np.array([False, False, True])}
    (layer,) = begun(Network((3,), (Dense(2),)), 4, np.random.default_rng(0))
    descent._aligned(layer, replace(given_task, x=x - words["centre"], **words))
    assert layer.signed.tolist() == [False, True, True]
    assert layer.away.tolist() == pytest.approx([5.1, 0.0, 0.9])
    assert layer.ends[0].tolist() == [0.0, -4.0, -4.0]


def test_nothing_is_added_to_words_whose_tables_begin_at_zero() -> None:
    rng = np.random.default_rng(0)
    features = (Feature("x", Fixed(8, 3, False)),)
    state = begun(Network((1,), (Dense(2),)), 4, rng)
    state[0].signed[:], state[0].away[:] = False, 3.0
    graph = lower(state, features, Scaling("folded", (96,), (0,)), ("a", "b"))
    assert [op.name for op in graph.ops] == ["input", "cast", "lut", "lut"]
    values = rng.integers(0, 256, (99, 1))
    found = score_type(graph).to_float(scores(graph, features, values))
    assert np.array_equal(found, model.scores(state, values / 32 - 3.0))


def test_batches_show_every_event_before_one_again() -> None:
    batches = Batches(task(PERCEPTRON, 256))
    assert sorted(batches.take(4).ravel()) == list(range(256))
    found = np.concatenate([batches.take(1).ravel(), batches.take(3).ravel()])
    assert sorted(found) == list(range(256))


def test_images_are_refused() -> None:
    network = Network((1, 4, 4), (Conv(2, 3), Flatten(), Dense(2)))
    with pytest.raises(SpecError, match="dense layers and pools only, not Conv"):
        begun(network, 4, np.random.default_rng(0))


# --- the job of a study ---------------------------------------------------------------------

BUDGET = replace(BUDGETS["quick"], search_steps=240, final_steps=240)
SMALL = TablesSpec(stacks=((4,),), share=0.3)


def found_of(problem: Problem, spec: MlpSpec | DeepSetsSpec) -> list[Found]:
    (job,) = stage.made(problem, spec, BUDGET, 1)
    return list(stage.RUNS[job.kind](job, problem).found)


def test_designs_of_a_study_are_measured_and_the_smallest_last() -> None:
    found = found_of(tiny_problem(), MlpSpec(tables=SMALL))
    designs = [f for f in found if not f.candidate.reason]
    assert len(designs) >= 3
    values = [{m.metric: m.value for m in f.measurements if not m.label} for f in designs]
    assert all(v["dsps"] == 0 for v in values)
    assert values[-1]["luts"] < values[0]["luts"]
    titles = [f.candidate.title for f in designs]
    assert titles[0].startswith("tables 4-3, ")
    assert len({f.candidate.id for f in found}) == len(found)


@pytest.mark.parametrize("targets", [1, 2])
def test_a_regression_keeps_its_units(targets: int) -> None:
    first = found_of(regression(targets), MlpSpec(tables=SMALL))[0]
    assert first.candidate.reason == ""
    value = next(m.value for m in first.measurements if m.metric == "rmse")
    assert value < 3.0  # the spread is 5 about 90 and -40


def test_sets_pool_their_particles() -> None:
    problem = replace(tiny_problem(), array=(2, 2))
    found = found_of(problem, DeepSetsSpec(pools=("max",), tables=SMALL))
    assert found[0].candidate.reason == ""
    kinds = {op.name for f in found if f.graph is not None for op in f.graph.ops}
    assert {"max", "lut"} <= kinds


def test_no_descent_without_a_spec() -> None:
    assert stage.made(tiny_problem(), MlpSpec(tables=None), BUDGET, 1) == []
