"""Lean networks: what training computes, what the model says and what is lowered are one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.errors import GraphError
from nacsr.frontends.base import Found, Problem
from nacsr.frontends.neural.lean import descent, kernels, model, stage, steps
from nacsr.frontends.neural.lean.lower import lower
from nacsr.frontends.neural.lean.prune import Curvature, drop
from nacsr.frontends.neural.lean.stage import Schedule
from nacsr.frontends.neural.lean.state import Stack, State, stack_of
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import score_type, scores
from nacsr.spec import BUDGETS, DeepSetsSpec, LeanSpec, MlpSpec
from tests.unit.descents import ALL, PERCEPTRON, regression, task, words
from tests.unit.tiny_problem import tiny_problem


def drawn(stack: Stack, rng: np.random.Generator) -> State:
    """A random state that pruning could have come to."""
    size = int(stack.biases(len(stack.inputs) - 1).stop)
    reads, rows = int(stack.reads[-1]), int(stack.rows[-1])
    state = State(
        rng.normal(0, 0.7, size).astype(np.float32),
        rng.integers(0, 3, size).astype(np.int8),
        rng.integers(-1, 5, reads).astype(np.float32),
        rng.integers(-1, 5, rows).astype(np.float32),
        rng.integers(0, 4, reads).astype(np.float32),
        rng.integers(0, 4, rows).astype(np.float32),
    )
    model.limit(stack, state)
    return state


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 2**32 - 1))
def test_a_lowered_network_computes_what_the_model_says(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = stack_of(network)
    state = drawn(stack, rng)
    features, scaling, raw, values = words(network, rng)
    expected, _ = model.scores(stack, state, values)
    graph = None
    with suppress(GraphError):  # said where no input reaches an output
        graph = lower(stack, state, features, scaling, ("a", "b"))
    if graph is None:
        assert (expected == expected[0]).all()
    else:
        found = score_type(graph).to_float(scores(graph, features, raw))
        assert np.array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 2**32 - 1))
def test_training_sees_the_values_that_the_model_computes(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = stack_of(network)
    state = drawn(stack, rng)
    for layer in stack.layers:  # biases on their grids, as the model has them
        state.p[stack.biases(layer)] = model.biases(stack, state, layer)
    _, _, _, values = words(network, rng)
    events, features = len(values), int(stack.inputs[0])
    columns = values.reshape(events, -1, features).transpose(2, 1, 0).reshape(features, -1)
    room = descent.room(stack, events, len(state.p))
    found = steps.forward(
        stack,
        state.p,
        state.counts,
        state.reads,
        state.values,
        state.read_tops,
        state.value_tops,
        np.ascontiguousarray(columns, np.float32),
        events,
        room,
    )
    expected, _ = model.scores(stack, state, values)
    assert np.array_equal(found.T, expected)


@settings(deadline=None)
@given(st.floats(-64, 64, width=32), st.integers(0, 6))
def test_digits_are_the_leading_ones_of_a_canonical_form(w: float, count: int) -> None:
    found = kernels.digits(np.float32(w), count)
    whole = round(float(found) * 2**kernels.FLOOR_BITS)
    assert whole == float(found) * 2**kernels.FLOOR_BITS
    assert len(_csd(whole)) <= count
    if count:  # the next digit is at most half of the last
        assert abs(w - found) <= max(abs(w) / 3**count, 2.0 ** -(kernels.FLOOR_BITS + 1))


def _csd(value: int) -> list[int]:
    found, power = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            found.append(digit << power)
            value -= digit
        value >>= 1
        power += 1
    return found


SHORT = Schedule(first=60, between=20, share=0.3, polish=20, rung=0.6, least=20.0)


@pytest.mark.parametrize("network", ALL, ids=lambda n: n.title)
def test_designs_shrink_and_repeat(network: Network) -> None:
    stack, given_task = stack_of(network), task(network)
    found = list(descent.descend(stack, given_task, SHORT))
    sizes = [model.adder_bits(stack, state, given_task.widest) for state in found]
    assert len(found) >= 3
    assert all(a > b for a, b in pairwise(sizes))
    again = list(descent.descend(stack, given_task, SHORT))
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.p, other.p)
        assert np.array_equal(one.counts, other.counts)


def test_it_learns() -> None:
    stack, given_task = stack_of(PERCEPTRON), task(PERCEPTRON, 2000)
    first = next(descent.descend(stack, given_task, Schedule(first=300)))
    z, _ = model.scores(stack, first, given_task.x)
    assert (z.argmax(1) == given_task.y[:, 0]).mean() > 0.9


def test_what_costs_least_for_its_bits_goes_first() -> None:
    stack = stack_of(Network((2,), (Dense(2),)))
    p = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 0.5], np.float32)
    state = State(
        p,
        np.ones(6, np.int8),
        np.array([3.0, 3.0], np.float32),
        np.array([4.0, 4.0], np.float32),
        np.array([2.0, 2.0], np.float32),
        np.array([2.0, 2.0], np.float32),
    )
    big = np.full(6, 100.0)
    big[2] = 1e-3
    curvature = Curvature(big, np.full(2, 100.0), np.full(2, 100.0))
    seen = model.Seen(np.full(2, 4.0), np.zeros(2), np.full(2, 1.0), np.zeros(2))
    left = drop(
        stack,
        state,
        seen,
        curvature,
        0.1,
        np.full(2, 2, np.float32),
        lambda s: float(s.counts[2] > 0),
    )
    assert left.counts.tolist() == [1, 1, 0, 1, 1, 1]
    assert state.counts.tolist() == [1] * 6


# --- the job of a study ---------------------------------------------------------------------

BUDGET = replace(BUDGETS["quick"], search_steps=240, final_steps=240)
SMALL = LeanSpec(stacks=((4,),), phi=1, share=0.3)


def found_of(problem: Problem, spec: MlpSpec | DeepSetsSpec) -> list[Found]:
    (job,) = stage.made(problem, spec, BUDGET, 1)
    return list(stage.RUNS[job.kind](job, problem).found)


def test_designs_of_a_study_are_measured_and_the_smallest_last() -> None:
    found = found_of(tiny_problem(), MlpSpec(lean=SMALL))
    designs = [f for f in found if not f.candidate.reason]
    assert len(designs) >= 3
    values = [{m.metric: m.value for m in f.measurements if not m.label} for f in designs]
    assert all(v["dsps"] == 0 for v in values)
    assert values[-1]["luts"] < values[0]["luts"]
    assert all(f.graph is not None for f in designs)
    titles = [f.candidate.title for f in designs]
    assert titles[0].startswith("lean 4-3, ")
    assert len({f.candidate.id for f in found}) == len(found)


@pytest.mark.parametrize("targets", [1, 2])
def test_a_regression_keeps_its_units(targets: int) -> None:
    first = found_of(regression(targets), MlpSpec(lean=SMALL))[0]
    assert first.candidate.reason == ""
    value = next(m.value for m in first.measurements if m.metric == "rmse")
    assert value < 3.0  # the spread is 5 about 90 and -40


def test_sets_pool_their_particles() -> None:
    problem = replace(tiny_problem(), array=(2, 2))
    found = found_of(problem, DeepSetsSpec(pools=("max",), lean=SMALL))
    assert found[0].candidate.reason == ""
    kinds = {op.name for f in found if f.graph is not None for op in f.graph.ops}
    assert "max" in kinds


def test_a_descent_that_diverges_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    true = descent.descend

    def broken(*args: object) -> Iterator[State]:
        yield from islice(true(*args), 1)
        raise TrainingError("training diverged: the loss is nan at step 7")

    monkeypatch.setattr("nacsr.frontends.neural.lean.designs.descend", broken)
    first, second = found_of(tiny_problem(), MlpSpec(lean=SMALL))
    assert first.graph is not None
    assert second.graph is None
    assert second.candidate.reason == "training diverged: the loss is nan at step 7"


def test_no_descent_without_a_spec() -> None:
    assert stage.made(tiny_problem(), MlpSpec(lean=None), BUDGET, 1) == []
