"""The network family: deterministic, resumable by replay, failures recorded, finalists designs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nacsr.data.events import Events
from nacsr.errors import GraphError, SpecError
from nacsr.frontends.base import Job
from nacsr.frontends.neural import jobs as work
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.frontend import NeuralFrontend, spread
from nacsr.frontends.neural.plan import TrainingError
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import scores
from nacsr.metrics import accuracy
from nacsr.spec import MlpSpec
from tests.unit.network_search import BUDGET, SPEC, networks, outcome_of, search
from tests.unit.tiny_problem import tiny_problem


@pytest.fixture(scope="module")
def problem():
    return tiny_problem()


@pytest.fixture(scope="module")
def batches(problem):
    return search(problem)


def fingerprint(batches):
    return [
        sorted((f.candidate.id, f.measurements, str(f.graph)) for o in outcomes for f in o.found)
        for _, outcomes in batches
    ]


def test_the_same_seed_finds_the_same(problem, batches):
    assert fingerprint(search(problem)) == fingerprint(batches)


def test_another_seed_finds_others(problem, batches):
    other = search(problem, seed=2, run=lambda job, _: outcome_of(job, (0.5, 1.0, 1.0)))
    assert other[0][0] != batches[0][0]


def test_a_replayed_study_asks_for_the_same_jobs(problem, batches):
    known = {
        job.key: outcome
        for jobs, outcomes in batches[:-1]
        for job, outcome in zip(jobs, outcomes, strict=True)
    }
    again = search(problem, known=known)
    assert [[j.key for j in jobs] for jobs, _ in again] == [
        [j.key for j in jobs] for jobs, _ in batches
    ]
    assert fingerprint(again[-1:]) == fingerprint(batches[-1:])


def test_no_network_is_trained_twice(batches):
    keys = [job.key for jobs, _ in batches for job in jobs]
    assert len(set(keys)) == len(keys)
    ids = [f.candidate.id for _, outcomes in batches for o in outcomes for f in o.found]
    assert len(set(ids)) == len(ids)


def test_payloads_and_results_are_json(batches):
    for jobs, outcomes in batches:
        for job, outcome in zip(jobs, outcomes, strict=True):
            assert json.loads(json.dumps(job.payload)) == job.payload
            assert json.loads(json.dumps(outcome.result)) == outcome.result
            genotype = outcome.found[0].candidate.genotype
            assert json.loads(json.dumps(genotype)) == genotype


def test_short_trainings_are_no_designs(batches):
    for jobs, outcomes in batches[:-1]:
        assert {job.kind for job in jobs} == {"search"}
        for outcome in outcomes:
            for found in outcome.found:
                assert found.graph is None
                assert found.candidate.genotype["training"].startswith("search, rung ")


def test_finalists_are_designs_with_a_parent_on_the_front(problem, batches):
    parents = {f.candidate.id for _, outcomes in batches[:-1] for o in outcomes for f in o.found}
    jobs, outcomes = batches[-1]
    assert {job.kind for job in jobs} == {"final"}
    assert 1 <= len(jobs) <= BUDGET.finalists
    for outcome in outcomes:
        (found,) = outcome.found
        assert found.candidate.reason == ""
        assert found.candidate.genotype["training"] == "brevitas"
        assert set(found.candidate.parents) <= parents
        assert len(found.candidate.parents) == 1
        raw = scores(found.graph, problem.features, problem.validation.words)
        value = {m.metric: m for m in found.measurements}
        assert value["accuracy"].value == accuracy(raw, problem.validation.y)[0]
        assert (value["accuracy"].method, value["accuracy"].stage) == ("interpreter", "validation")
        assert (value["luts"].method, value["luts"].stage) == ("analytic", "csynth")
        assert {m.digest for m in found.measurements} == {found.graph.digest}


def value_of(found, name):
    return next(m.value for m in found.measurements if m.metric == name)


def test_a_rung_goes_on_where_the_one_before_ended(problem, batches):
    """Of every generation a third is trained on, from its own weights, and gets better."""
    rungs = [[job.payload["rung"] for job in jobs] for jobs, _ in batches[:-1]]
    assert rungs[: BUDGET.rungs] == [[0], [1], [2]]
    sizes = [len(jobs[0].payload["networks"]) for jobs, _ in batches[: BUDGET.rungs]]
    assert sizes == [6, 2, 2]
    first, second = batches[0][1][0], batches[1][0][0]
    names = [work.searched(Network.from_dict(n), batches[0][0][0]).id for n in networks(second)]
    assert second.payload["begun"] == names
    assert set(names) <= {f.candidate.id for f in first.found}
    place = [n for n in networks(batches[0][0][0])].index(networks(second)[0])
    handed = {k: v for k, v in first.arrays.items() if k.startswith(f"{place}.")}
    assert handed
    for name, array in handed.items():
        assert (second.arrays[name.replace(f"{place}.", "0.", 1)] == array).all()


def test_networks_learn(problem, batches):
    short = batches[0][0][0]
    job = replace(short, payload={**short.payload, "steps": 600})
    outcome = NeuralFrontend.run(job, problem)
    largest = np.bincount(problem.validation.y).max() / len(problem.validation.y)
    assert largest < 0.55
    assert min(value_of(f, "accuracy") for f in outcome.found) > 0.7
    assert max(value_of(f, "accuracy") for f in outcome.found) > 0.8


TASKS = {
    "regression": (("mass",), lambda z: 90 + 4 * z[:, 0] - z[:, 1] * z[:, 2]),
    "classification": (("bkg", "sig"), lambda z: (z[:, 0] > 0.2).astype(np.int64)),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["search", "final"])
def test_tasks_of_one_output(problem, task, kind):
    classes, rule = TASKS[task]
    events = [
        Events(e.words, rule(problem.values(e)), np.random.default_rng(1).uniform(0, 2, len(e)))
        for e in (problem.train, problem.validation)
    ]
    told = replace(problem, task=task, classes=classes, train=events[0], validation=events[1])
    network = Network((4,), (Dense(8, True, "relu", 6), Dense(1, False, "none", 6, None)))
    same = {"steps": 400, "seed": 1}
    payload = {
        "search": {"networks": [network.to_dict()], "rung": 0} | same,
        "final": {"network": network.to_dict(), "parent": ""} | same,
    }[kind]
    outcome = NeuralFrontend.run(Job("network", kind, payload, ""), told)
    (found,) = outcome.found
    assert found.candidate.reason == ""  # the lowered network equals Brevitas bit for bit
    assert found.candidate.title == "MLP 4-8-1 relu bn w6 a8"
    value = {m.metric: m for m in found.measurements}
    if task == "regression":
        assert value["rmse"].value < 2
        assert value["median_error"].value < value["p95_error"].value < 0.1
    else:
        assert value["accuracy"].value > 0.9
        assert value["auc"].label == "sig"
    assert (found.graph is None) == (kind == "search")


def test_a_failed_training_is_recorded_and_the_others_go_on(problem, monkeypatch):
    job = NeuralFrontend(problem, SPEC, BUDGET, 1).ask()[0]
    whole = NeuralFrontend.run(job, problem)
    fit = work.fit

    def fails(networks, params, lesson, plans=(), device=None):
        learnt = fit(networks, params, lesson, plans, device)
        if not plans:
            learnt[1] = TrainingError("training diverged: the loss is nan at step 3 of 12")
        return learnt

    monkeypatch.setattr(work, "fit", fails)
    outcome = NeuralFrontend.run(job, problem)
    found = outcome.found[1]
    assert "diverged" in found.candidate.reason
    assert found.measurements == ()
    assert outcome.result["plans"][1] is None
    assert not any(name.startswith("1.") for name in outcome.arrays)
    for i in (0, 2, 3, 4, 5):
        assert outcome.found[i] == whole.found[i]


def test_a_network_that_cannot_be_lowered_fails_alone(problem, monkeypatch):
    lower = work.chain.lower

    def refuses(network, *rest):
        if network.layers[0].width == 8:
            msg = "%4 dense: needs 71 bits, limit 63"
            raise GraphError(msg)
        return lower(network, *rest)

    monkeypatch.setattr(work.chain, "lower", refuses)
    outcome = NeuralFrontend.run(NeuralFrontend(problem, SPEC, BUDGET, 1).ask()[0], problem)
    reasons = {f.candidate.reason for f in outcome.found}
    assert reasons == {"", "%4 dense: needs 71 bits, limit 63"}


def test_only_successes_become_finalists(problem):
    def told(job, _):
        if job.kind == "final":
            return outcome_of(job)
        wide = [n["layers"][0]["width"] == 8 for n in networks(job)]
        return outcome_of(job, *((0.5, 1.0, 1.0) if w else None for w in wide))

    last = search(problem, run=told)[-1][0]
    assert {job.kind for job in last} == {"final"}
    assert all(job.payload["network"]["layers"][0]["width"] == 8 for job in last)


def test_architectures_that_are_given_are_trained_first_and_once(problem):
    start = ({"widths": (8, 4), "weight_bits": 6}, {"widths": (8, 4), "weight_bits": 6})
    spec = SPEC.model_copy(update={"start": start})
    (job,) = NeuralFrontend(problem, spec, BUDGET, 1).ask()
    titles = [Network.from_dict(n).title for n in networks(job)]
    assert titles.count("MLP 4-8-4-3 relu w6 a6") == 1
    assert len(set(titles)) == len(titles) <= BUDGET.population


def test_genes_that_leave_no_trace_train_nothing_twice(problem):
    """Many genotypes, few networks: every generation is mostly known already."""
    spec = SPEC.model_copy(update={"depth": (0, 1), "mixed": True, "activations": ("relu", "none")})
    batches = search(problem, spec=spec, run=lambda job, _: outcome_of(job, (0.5, 1.0, 1.0)))
    first = [
        Network.from_dict(n).key
        for jobs, _ in batches[:-1]
        for job in jobs
        if not job.payload["rung"]
        for n in networks(job)
    ]
    assert len(set(first)) == len(first)


def test_a_start_outside_of_the_space_is_refused_before_training(problem):
    spec = SPEC.model_copy(update={"start": ({"widths": (8, 5)},)})
    with pytest.raises(SpecError, match=r"start\[0\]: width1 5 is not in the search space"):
        NeuralFrontend(problem, spec, BUDGET, 1)


def test_a_study_whose_networks_all_fail_ends(problem):
    batches = search(problem, run=lambda job, _: outcome_of(job, None))
    assert {job.kind for jobs, _ in batches for job in jobs} == {"search"}


def test_a_space_of_one_network_ends(problem):
    spec = MlpSpec(
        depth=(1,),
        widths=(4,),
        batchnorm=(False,),
        weight_bits=(4,),
        activation_bits=(6,),
        local=None,
        lean=None,
        tables=None,
    )
    batches = search(problem, spec=spec, run=lambda job, _: outcome_of(job, (0.5, 1.0, 1.0)))
    kinds = [[job.kind for job in jobs] for jobs, _ in batches]
    assert kinds == [["search"]] * BUDGET.rungs + [["final"]]


def test_a_design_that_differs_from_brevitas_fails(problem, batches, monkeypatch):
    exact = qat.outputs

    def off_by_one_step(module, values):
        found = exact(module, values)
        found[0, 0] += 2.0**-20
        return found

    monkeypatch.setattr(qat, "outputs", off_by_one_step)
    outcome = NeuralFrontend.run(batches[-1][0][0], problem)
    assert "differs from Brevitas in 1 of" in outcome.found[0].candidate.reason


def test_spread_takes_both_ends_of_the_front():
    points = np.array([[0.5, 1.0], [0.1, 9.0], [0.3, 4.0], [0.2, 5.0], [0.4, 2.0], [0.5, 9.0]])
    assert spread(points, 3) == [1, 2, 0]
    assert spread(points, 2) == [1, 0]
    assert spread(points, 9) == [1, 3, 2, 4, 0]
    assert spread(points[:0], 3) == []


def test_spread_keeps_the_cheapest_where_the_third_objective_bends_the_front():
    points = np.array([[0.1, 9.0, 9.0], [0.2, 1.0, 5.0], [0.3, 3.0, 4.0], [0.4, 4.0, 1.0]])
    assert spread(points, 1) == [0]
    assert spread(points, 2) == [0, 1]
    assert spread(points, 3) == [0, 1, 2]


def test_the_job_key_covers_the_steps(problem):
    longer = replace(BUDGET, search_steps=40)
    keys = [{j.key for j in NeuralFrontend(problem, SPEC, b, 1).ask()} for b in (BUDGET, longer)]
    assert not keys[0] & keys[1]
    assert isinstance(NeuralFrontend(problem, SPEC, BUDGET, 1).ask()[0], Job)
