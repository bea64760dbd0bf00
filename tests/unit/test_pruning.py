"""Pruning: what is cut, what is saved, and that it stays cut."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nacsr.cost import estimate
from nacsr.frontends.neural import jobs
from nacsr.frontends.neural.lessons import USUAL
from nacsr.frontends.neural.local import points, pruning
from nacsr.frontends.neural.local.points import Point
from nacsr.frontends.neural.local.pruning import cut, saliency, saved, tidied
from nacsr.frontends.neural.local.search import RUNS
from nacsr.frontends.neural.model import Place
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.neural.space.bops import bops
from tests.unit.local_points import NETWORK, graph_of, job, learnt, training, value, zeros
from tests.unit.tiny_problem import tiny_problem


@pytest.fixture(scope="module")
def problem():
    return tiny_problem()


@pytest.fixture(scope="module")
def point(problem):
    return learnt(problem)


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
