"""The local search: recipes, bit widths, pruning, and the designs that come of them."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from nacsr.cost import estimate
from nacsr.frontends.base import Job
from nacsr.frontends.neural import chain, jobs, lessons
from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.lessons import USUAL
from nacsr.frontends.neural.local import points, pruning, widths
from nacsr.frontends.neural.local.points import Point
from nacsr.frontends.neural.local.pruning import cut, saliency, saved, tidied
from nacsr.frontends.neural.local.search import RUNS
from nacsr.frontends.neural.local.tpe import RANGES, Tuner
from nacsr.frontends.neural.model import Place
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.neural.space.bops import bops
from nacsr.records import Candidate, Found, Outcome
from nacsr.spec import BUDGETS, LocalSpec, MlpSpec
from tests.unit.tiny_problem import tiny_problem

NETWORK = Network((4,), (Dense(8, True, "relu", 5, 6), Dense(3, False, "none", 5, None)), 6)
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
    """A network that learnt something."""
    made = RUNS["train"](training(steps=300), problem)
    return points.read(made.result, made.arrays)[0]


def training(**changes):
    payload = {
        "network": NETWORK.to_dict(),
        "recipe": asdict(USUAL),
        "steps": 60,
        "parent": "begin",
        "training": "tuned",
        "seed": 1,
    }
    return Job("network", "train", payload | changes)


def job(kind, some, **more):
    payload = points.payload(some) | {"seed": 1, "steps": 20} | more
    return Job("network", kind, payload, "", points.arrays(some))


def value(found, metric):
    return next(m.value for m in found.measurements if m.metric == metric)


def graph_of(point, problem):
    return chain.lower(point.network, *point.trained, problem.features, problem.scaling)


def zeros(params):
    return [int((mine[0] == 0).sum()) for mine in params if mine]


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


# ---- pruning


@pytest.fixture
def untidied(monkeypatch):
    """What is cut, and not what has no purpose after it."""
    monkeypatch.setattr(pruning, "tidied", lambda params: params)


@pytest.mark.usefixtures("untidied")
def test_a_cut_takes_the_share_that_is_left(problem, point):
    rows = jobs.rows_of(problem)
    for criterion in pruning.CRITERIA:
        params, left = point.params, sum(p[0].numel() for p in point.params)
        for _ in range(2):
            before, params = params, cut(replace(point, params=params), 0.2, criterion, rows)
            left -= math.floor(0.2 * left)
            assert sum(p[0].numel() for p in params) - sum(zeros(params)) == left
            for old, new in zip(before, params, strict=True):
                assert ((new[0] == 0) | (new[0] == old[0])).all()
    assert not any(zeros(point.params))  # the point itself is left as it was


def test_magnitude_takes_the_smallest_of_each_layer(problem, point):
    params = cut(point, 0.25, "magnitude", jobs.rows_of(problem))
    assert zeros(params) == [8, 6]
    for old, new in zip(point.params, params, strict=True):
        gone = new[0] == 0
        assert old[0][gone].abs().max() < old[0][~gone].abs().min()


def test_neurons_without_purpose_lose_all_their_weights():
    first, second, last = torch.ones(3, 2), torch.ones(2, 3), torch.ones(2, 2)
    first[0] = 0  # reads nothing
    second[:, 1] = 0  # nothing reads its first layer's neuron 1
    last[:, 0] = 0
    params = [(first, torch.ones(3)), (), (second, torch.ones(2)), (last, torch.ones(2))]
    tidied(params)
    assert first.tolist() == [[0, 0], [0, 0], [1, 1]]
    assert second.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert last.tolist() == [[0, 1], [0, 1]]
    assert params[0][1].tolist() == [0, 0, 1]
    assert params[2][1].tolist() == [0, 1]


def test_what_is_saved_is_digits_times_bits_wherever_a_product_stands():
    network = Network((6, 4), (Dense(1), Pool("max"), Dense(2, bits=None)), 5)
    plan = {
        Place(-1, "after"): jobs.Fixed(5, 2),
        Place(0, "weight"): jobs.Fixed(6, 6),
        Place(0, "after"): jobs.Fixed(7, 3),
        Place(2, "weight"): jobs.Fixed(6, 6),
    }
    params = [
        (torch.tensor([[0.0, 1.0, 7.0, 11.0]]), torch.zeros(1)),
        (),
        (torch.tensor([[-8.0], [5.0]]), torch.zeros(2)),
    ]
    found = saved(network, plan, params)
    assert found[0].tolist() == [[0, 6 * 5, 6 * 5 * 2, 6 * 5 * 3]]  # once a particle
    assert found[2].tolist() == [[7], [14]]  # the pool keeps the words' width


def test_a_saturated_weight_counts(problem, point):
    """The gradient of a weight that is clipped stops; how much the loss needs it does not."""
    weight = point.params[0][0].clone()
    place = np.unravel_index(int(weight.abs().argmax()), weight.shape)
    weight[place] *= 100
    heavy = replace(point, params=[(weight, point.params[0][1]), *point.params[1:]])
    found = saliency(heavy, jobs.rows_of(problem))[0]
    assert found[place] > np.median(found)


@pytest.mark.usefixtures("untidied")
def test_cost_aware_pruning_saves_more_area_than_magnitude(problem):
    """Inputs of 12 bits are dearer than hidden values of 3: same count, fewer LUTs."""
    layers = (Dense(12, False, "relu", 6, 3), Dense(3, False, "none", 6, None))
    network = Network((4,), layers, 12)
    rows = jobs.rows_of(problem)
    generator = torch.Generator().manual_seed(1)
    params = [
        (torch.randn(12, 4, generator=generator), torch.zeros(12)),
        (torch.randn(3, 12, generator=generator), torch.zeros(3)),
    ]
    plan, params = jobs.planned(network, params, rows)
    begin = Point(network, USUAL, plan, params, "")
    area, count = {}, {}
    for criterion in ("magnitude", "cost"):
        made = replace(begin, params=cut(begin, 0.4, criterion, rows))
        count[criterion] = sum(zeros(made.params))
        area[criterion] = estimate(graph_of(made, problem), "vu13p", 200.0, "hls4ml").luts
    assert count["cost"] == count["magnitude"]
    assert area["cost"] < area["magnitude"]


def pruned(problem, point, **more):
    given = {
        "criteria": ["cost", "magnitude"],
        "rounds": 4,
        "share": 0.3,
        "every": 2,
        "worst": 0,
    } | more
    return RUNS["prune"](job("prune", [point, point], **given), problem)


@pytest.fixture(scope="module")
def sparse(problem, point):
    """A pruning and its points, the sparsest last."""
    outcome = pruned(problem, point)
    return outcome, points.read(outcome.result, outcome.arrays)


def test_every_so_many_rounds_a_pruned_network_is_recorded(problem, point, sparse):
    outcome, made = sparse
    words = [f.candidate.genotype["training"] for f in outcome.found]
    assert words == [f"{c} pruning, round {n}" for n in (2, 4) for c in ("cost", "magnitude")]
    weights = sum(p[0].numel() for p in point.params)
    left = weights
    for number in range(4):
        left -= math.floor(0.3 * left)
        if number % 2:
            assert all(
                weights - sum(zeros(p.params)) <= left for p in made[number - 1 : number + 1]
            )
    first, last = outcome.found[0], outcome.found[2]
    share = np.average(last.candidate.genotype["density"], weights=[32, 24])
    assert last.candidate.title == f"{NETWORK.title}, {share:.0%} of weights"
    for metric in ("luts", "bops"):
        assert value(last, metric) < value(first, metric)
    kept = points.density(*made[2].trained)
    assert last.candidate.genotype["density"] == [round(d, 4) for d in kept]
    assert value(last, "bops") == bops(NETWORK, kept)
    assert {f.candidate.parents for f in outcome.found} == {(point.candidate,)}


def test_densities_are_those_of_the_lowered_network(problem, sparse):
    for point in sparse[1]:
        dense = [op for op in graph_of(point, problem).ops if op.name == "dense"]
        shares = [float(np.mean(op.array("weight") != 0)) for op in dense]
        assert shares == points.density(*point.trained)


def test_pruning_together_is_pruning_alone(problem, point, sparse):
    alone = RUNS["prune"](
        job("prune", [point], criteria=["magnitude"], rounds=4, share=0.3, every=2, worst=0),
        problem,
    )
    whole = {f.candidate.id: f for f in sparse[0].found}
    for found in alone.found:
        assert found == whole[found.candidate.id]


def test_what_was_pruned_stays_pruned_with_brevitas_and_in_the_design(problem, sparse):
    begin = sparse[1][-1]
    outcome = RUNS["refine"](job("refine", [begin], training="pruning", steps=40), problem)
    (found,) = outcome.found
    assert found.candidate.reason == ""  # equal to Brevitas bit for bit
    learnt = jobs.learnt(0, NETWORK, outcome.arrays)
    dense = [op for op in found.graph.ops if op.name == "dense"]
    for (old, _), (new, _), op in zip(begin.params, learnt, dense, strict=True):
        assert (old == 0).any()
        assert ((new == 0) == (old == 0)).all()
        assert (op.array("weight")[(old == 0).numpy().T] == 0).all()
        assert (new[old != 0] != old[old != 0]).any()  # the others went on
    assert found.candidate.genotype["training"] == "brevitas after pruning"
    assert found.candidate.parents == (begin.candidate,)


@pytest.mark.parametrize(
    ("array", "layers"),
    [
        ((2, 2), (Dense(6, True, "relu"), Pool("mean"), Dense(3, bits=None))),
        ((1, 2, 2), (Conv(4, 2, False, "relu"), Flatten(), Dense(3, bits=None))),
    ],
    ids=["sets", "image"],
)
def test_sets_and_images_are_pruned_and_narrowed(problem, array, layers):
    told = replace(problem, array=array)
    network = Network(array, layers, 6)
    made = RUNS["train"](training(network=network.to_dict(), steps=30), told)
    (begin,) = points.read(made.result, made.arrays)
    given = {"criteria": ["cost"], "rounds": 2, "share": 0.3, "every": 2, "worst": 0}
    outcome = RUNS["prune"](job("prune", [begin], **given), told)
    (end,) = points.read(outcome.result, outcome.arrays)
    assert sum(zeros(end.params)) > 0
    refined = RUNS["refine"](job("refine", [end], training="pruning"), told)
    assert refined.found[0].candidate.reason == ""
    learnt = jobs.learnt(0, network, refined.arrays)
    assert zeros(learnt) == zeros(end.params)
    narrow = RUNS["widths"](job("widths", [begin], bits=[3], worst=1.0), told)
    assert not any(f.candidate.reason for f in narrow.found)
    assert narrow.result["narrowest"] is None


def test_a_point_that_fails_leaves_the_others(problem, point, sparse, monkeypatch):
    fit = jobs.fit

    def fails(networks, params, lesson, plans=(), device=None):
        learnt = fit(networks, params, lesson, plans, device)
        if len(learnt) == 2:
            learnt[0] = TrainingError("training diverged: the loss is nan at step 3 of 20")
        return learnt

    monkeypatch.setattr(jobs, "fit", fails)
    outcome = pruned(problem, point)
    failed = [f for f in outcome.found if f.candidate.reason]
    assert [f.candidate.genotype["training"] for f in failed] == ["cost pruning, round 1"]
    assert "diverged" in failed[0].candidate.reason
    others = [f for f in outcome.found if not f.candidate.reason]
    assert others == [f for f in sparse[0].found if "magnitude" in f.candidate.genotype["training"]]


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
    assert of(picks=0) == (["search"] * 3, 1)
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
