"""The local search: recipes, bit widths, and the designs that come of them."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.lessons import USUAL
from nacsr.frontends.neural.local import points, widths
from nacsr.frontends.neural.local.search import RUNS
from nacsr.frontends.neural.local.tpe import RANGES, Tuner
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import BUDGETS, LocalSpec, MlpSpec
from tests.unit.local_points import NETWORK, job, learnt, training, value
from tests.unit.tiny_problem import tiny_problem

SPEC = MlpSpec(
    depth=(1,),
    widths=(4, 8),
    weight_bits=(4, 5),
    activation_bits=(5,),
    local=LocalSpec(picks=2, trials=5, bits=(4,), rounds=4, share=0.3, designs=3),
    lean=None,
    tables=None,
)
BUDGET = replace(
    BUDGETS["quick"], population=4, generations=1, search_steps=60, finalists=1, final_steps=30
)


@pytest.fixture(scope="module")
def problem():
    return tiny_problem()


@pytest.fixture(scope="module")
def point(problem):
    return learnt(problem)


# ---- recipes


def told(tuner, batches, count=4):
    """Recipes that it asks for, where a quantised rate of 0.003 is the best."""
    found = []
    for _ in range(batches):
        asked = tuner.ask(count)
        tuner.tell([-abs(math.log(r.quantised_rate / 0.003)) for r in asked])
        found += asked
    return found


def test_the_tuner_is_a_function_of_its_seed_and_what_it_is_told():
    first = told(Tuner(3, maximise=True), 4)
    assert told(Tuner(3, maximise=True), 4) == first
    assert told(Tuner(4, maximise=True), 4)[1:] != first[1:]
    assert first[0] == USUAL
    for recipe in first[1:]:
        for name, (low, high) in RANGES.items():
            assert low <= getattr(recipe, name) <= high
        assert recipe.split(100)[0] in range(20, 81, 10)


def test_the_tuner_learns():
    far = [abs(math.log(r.quantised_rate / 0.003)) for r in told(Tuner(1, maximise=True), 15)]
    assert np.mean(far[-20:]) < 0.7 * np.mean(far[:20])


def test_a_failed_trial_is_told_and_not_tried_again():
    tuner = Tuner(1, maximise=False)
    asked = tuner.ask(3)
    tuner.tell([None, 1.0, None])
    assert not set(asked) & set(tuner.ask(3))


# ---- widths


def test_narrower_networks_have_one_bit_less_in_one_place():
    network = Network((6, 4), (Dense(3), Pool("mean"), Dense(2, bits=None)), 5)
    found = dict(widths.narrower(network))
    assert list(found) == [
        (-1, "bits"),
        (0, "weight_bits"),
        (0, "bits"),
        (1, "bits"),
        (2, "weight_bits"),
    ]
    for one in found.values():
        assert bits_of(network) - bits_of(one) == 1
    assert not list(widths.narrower(widths.uniform(network, widths.LEAST)))


def bits_of(network):
    return network.input_bits + sum(
        getattr(layer, name, 0) or 0 for layer in network.layers for name in widths.FIELDS
    )


def test_uniform_widths_leave_exact_sums_alone():
    made = widths.uniform(NETWORK, 4)
    assert made.input_bits == 4
    assert [(d.weight_bits, d.bits) for d in made.layers] == [(4, 4), (4, None)]


def test_mixed_widths_save_area_within_the_tolerance(problem, point):
    base = jobs.measured(
        points.candidate(NETWORK, USUAL, "", "", 1, None),
        NETWORK,
        point.trained,
        jobs.rows_of(problem),
        problem,
    )
    worst = 0.98 * value(base, "accuracy")
    outcome = RUNS["widths"](job("widths", [point], bits=[4], worst=worst), problem)
    made = points.read(outcome.result, outcome.arrays)
    found = {f.candidate.id: f for f in outcome.found}
    assert outcome.found[0].candidate.genotype["training"] == "4 bits"
    end = made[outcome.result["narrowest"]]
    assert value(found[end.candidate], "accuracy") >= worst
    assert value(found[end.candidate], "luts") < value(base, "luts")
    assert bits_of(end.network) < bits_of(NETWORK)
    # nothing lost is followed: every place was narrowed until it lost too much
    mixed = [f for f in outcome.found if f.candidate.genotype["training"] == "mixed widths"]
    assert any(value(f, "accuracy") < worst for f in mixed)


# ---- the whole of it


def search(problem, seed=1, known=None, spec=SPEC):
    front = NeuralFrontend(problem, spec, BUDGET, seed)
    batches = []
    while asked := front.ask():
        outcomes = [(known or {}).get(one.key) or front.run(one, problem) for one in asked]
        front.tell(asked, outcomes)
        batches.append((asked, outcomes))
    return batches


@pytest.fixture(scope="module")
def batches(problem):
    return search(problem)


def kinds(batches):
    return [sorted({one.kind for one in asked}) for asked, _ in batches]


def test_the_stages_follow_each_other(batches):
    local = [kind for kind in kinds(batches) if kind != ["search"]]
    assert local == [["train"], ["train"], ["train"], ["widths"], ["prune"], ["final", "refine"]]
    assert [len(asked) for asked, _ in batches][-6:] == [8, 2, 2, 2, 2, 4]


def test_designs_come_out_of_it(batches):
    asked, outcomes = batches[-1]
    known = {f.candidate.id for _, some in batches for o in some for f in o.found}
    for one, outcome in zip(asked, outcomes, strict=True):
        (found,) = outcome.found
        assert found.candidate.reason == ""
        assert found.graph is not None
        assert set(found.candidate.parents) <= known
        assert json.loads(json.dumps(outcome.result)) == outcome.result
        assert json.loads(json.dumps(one.payload)) == one.payload
    ids = [f.candidate.id for _, some in batches for o in some for f in o.found]
    assert len(set(ids)) == len(ids)


def test_a_replayed_search_asks_the_same_and_finds_the_same(problem, batches):
    known = {
        one.key: replace(outcome, found=outcome.found[::-1])  # the archive keeps no order
        for asked, outcomes in batches[:-1]
        for one, outcome in zip(asked, outcomes, strict=True)
    }
    again = search(problem, known=known)
    assert [[j.key for j in asked] for asked, _ in again] == [
        [j.key for j in asked] for asked, _ in batches
    ]
    assert [o.found for o in again[-1][1]] == [o.found for o in batches[-1][1]]


def test_a_stage_can_be_left_out(problem, batches):
    known = {
        one.key: outcome
        for asked, outcomes in batches
        for one, outcome in zip(asked, outcomes, strict=True)
    }

    def of(**changes):
        local = SPEC.local.model_copy(update=changes)
        front = NeuralFrontend(problem, SPEC.model_copy(update={"local": local}), BUDGET, 1)
        found = []
        while (asked := front.ask()) and asked[0].kind != "final":
            found.append(asked[0].kind)
            front.tell(asked, [known.get(j.key) or front.run(j, problem) for j in asked])
        return found, len(asked)

    assert of(trials=0, rounds=0)[0][-2:] == ["train", "widths"]
    assert of(bits=(), mixed_tolerance=None, criteria=())[0][-2:] == ["train", "train"]
    kinds, finals = of(picks=0)
    assert (set(kinds), finals) == ({"search"}, 1)
    assert of(designs=0)[1] == 1


def test_picks_that_fail_end_the_local_search_and_not_the_study(problem, batches):
    """Every local training fails: the finalists are left."""
    known = {
        one.key: outcome
        for asked, outcomes in batches
        for one, outcome in zip(asked, outcomes, strict=True)
    }
    front, seen = NeuralFrontend(problem, SPEC, BUDGET, 1), []
    while asked := front.ask():
        outcomes = [known[j.key] for j in asked if j.kind in ("search", "final")]
        front.tell(asked, outcomes or [without_result(j) for j in asked])
        seen.append((asked[0].kind, len(asked)))
    assert seen[-4:] == [("train", 8), ("train", 2), ("train", 2), ("final", 1)]


def without_result(asked):
    made = Candidate("network", {"job": asked.key}, 1, "")
    failed = Found(replace(made, reason="training diverged"))
    return Outcome(points.payload([]), {}, (failed,))


def test_recipes_reach_the_training(problem):
    usual = RUNS["train"](training(), problem)
    other = RUNS["train"](training(recipe=asdict(replace(USUAL, l1=0.05))), problem)

    def size(outcome):
        return sum(float(np.abs(a).sum()) for a in outcome.arrays.values())

    assert size(other) < 0.9 * size(usual)
    lesson = lessons.lesson(jobs.rows_of(problem), 5, 1.0, 1, replace(USUAL, decay=0.5))
    assert lesson.decay == 0.5
