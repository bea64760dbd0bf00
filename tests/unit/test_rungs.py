"""Who is trained on from rung to rung, and who becomes a finalist: objectives and limits."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from nacsr.frontends.neural.frontend import NeuralFrontend
from nacsr.frontends.neural.space import Network
from nacsr.search.goals import Goals
from nacsr.search.pareto import nondominated
from nacsr.spec import MlpSpec
from tests.unit.network_search import BUDGET, SPEC, networks, outcome_of, search
from tests.unit.tiny_problem import tiny_problem


@pytest.fixture(scope="module")
def problem():
    return tiny_problem()


def priced(job, _):
    """Wide networks are better, and 40 times as large; more bits are slower."""
    if job.kind == "final":
        return outcome_of(job)
    made = [Network.from_dict(n) for n in networks(job)]
    wide = [n.layers[0].width == 8 for n in made]
    cycles = [float(n.layers[0].weight_bits) for n in made]
    every = [(0.1, 4000.0, c) if w else (0.5, 100.0, c) for w, c in zip(wide, cycles, strict=True)]
    return outcome_of(job, *every)


def finalists(batches):
    return [Network.from_dict(job.payload["network"]) for job in batches[-1][0]]


def widths(batches):
    return {network.layers[0].width for network in finalists(batches)}


def test_whoever_is_beyond_a_limit_is_neither_trained_on_nor_a_finalist(problem):
    assert widths(search(problem, run=priced)) == {4, 8}
    goals = Goals(("accuracy", "luts", "dsps"), "vu13p", {"luts": 1000.0})
    batches = search(problem, run=priced, goals=goals)
    assert widths(batches) == {4}
    later = [n["layers"][0]["width"] for n in networks(batches[1][0][0])]
    assert later == [4, 4]


def test_the_front_of_every_rung_of_all_generations_goes_on(problem):
    reached = [{} for _ in range(BUDGET.rungs)]

    def drawn(job, _):
        if job.kind == "final":
            return outcome_of(job)
        made = [Network.from_dict(n).key for n in networks(job)]
        rung = job.payload["rung"]
        some = [
            np.random.default_rng(zlib.crc32(f"{rung} {key}".encode())).random(3) for key in made
        ]
        assert not set(made) & set(reached[rung])
        reached[rung] |= dict(zip(made, some, strict=True))
        return outcome_of(job, *map(tuple, some))

    batches = search(problem, run=drawn)
    late = [job.payload["rung"] for jobs, _ in batches for job in jobs if job.kind == "search"]
    assert late[BUDGET.generations * BUDGET.rungs :]  # left behind in their generations
    for rung, points in enumerate(reached[:-1]):
        front = nondominated(np.array(list(points.values())))
        assert {key for key, on in zip(points, front, strict=True) if on} <= set(reached[rung + 1])
        assert set(reached[rung + 1]) <= set(points)
    assert {network.key for network in finalists(batches)} <= set(reached[0])


def test_who_fails_on_the_way_to_the_end_is_not_tried_again(problem):
    def told(job, _):
        if job.kind == "final" or not job.payload["rung"]:
            return outcome_of(job, *([(0.5, 1.0, 1.0)] if job.kind == "search" else []))
        return outcome_of(job, None)

    batches = search(problem, run=told)
    tried = [
        (n.key, j.payload["rung"])
        for jobs, _ in batches[:-1]
        for j in jobs
        for n in map(Network.from_dict, networks(j))
    ]
    assert len(tried) == len(set(tried))
    assert {job.kind for job in batches[-1][0]} == {"final"}


def test_where_all_are_beyond_the_limits_the_nearest_are_finalists(problem):
    goals = Goals(("accuracy", "luts", "dsps"), "vu13p", {"luts": 10.0})
    batches = search(problem, run=priced, goals=goals)
    assert widths(batches) == {4}
    assert len(batches[-1][0]) == BUDGET.finalists


@pytest.mark.parametrize(
    ("objectives", "expected"), [(("luts",), {4}), (("accuracy",), {8}), (("dsps", "luts"), {4})]
)
def test_the_objectives_of_the_study_decide(problem, objectives, expected):
    batches = search(problem, run=priced, goals=Goals(objectives, "vu13p"))
    assert widths(batches) == expected


def test_without_rungs_all_are_trained_to_the_end(problem):
    budget = replace(BUDGET, rungs=1, generations=1)
    front = NeuralFrontend(problem, SPEC, budget, 1)
    (job,) = front.ask()
    assert (job.payload["steps"], len(networks(job))) == (BUDGET.search_steps, BUDGET.population)
    front.tell([job], [outcome_of(job, (0.5, 1.0, 1.0))])
    assert {job.kind for job in front.ask()} == {"final"}


def test_rungs_grow_by_the_factor_of_the_budget(problem):
    budget = replace(BUDGET, population=16, factor=4.0, search_steps=160)
    front = NeuralFrontend(problem, MlpSpec(), budget, 1)
    sizes = []
    for _ in range(3):
        jobs = front.ask()
        sizes.append((sum(len(networks(job)) for job in jobs), jobs[0].payload["steps"]))
        front.tell(jobs, [outcome_of(job, (0.5, 1.0, 1.0)) for job in jobs])
    assert sizes == [(16, 10), (4, 40), (2, 160)]
