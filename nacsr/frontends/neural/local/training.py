"""Training by a recipe, from the beginning; and with Brevitas, from where a point is."""

from __future__ import annotations

from dataclasses import replace

from nacsr.frontends.base import Found, Job, Outcome, Problem
from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.lessons import Recipe
from nacsr.frontends.neural.local.points import Record, candidate, density, read
from nacsr.frontends.neural.plan import FAULTS, TrainingError
from nacsr.frontends.neural.space import Network


def train(job: Job, problem: Problem) -> Outcome:
    """A network from the beginning, by a recipe.

    A payload has ``network``, ``recipe``, ``steps``, ``parent``, ``training`` (in words) and
    ``seed``.
    """
    p, record = job.payload, Record(job, problem)
    network, recipe, seed = Network.from_dict(p["network"]), Recipe(**p["recipe"]), int(p["seed"])
    first, steps = recipe.split(int(p["steps"]))
    with jobs.one_thread():
        begun = jobs.in_float([network], record.rows, first, seed, recipe)
        order = lessons.stream(seed, "quantised", p["training"])
        lesson = lessons.lesson(record.rows, steps, recipe.quantised_rate, order, recipe)
        (trained,) = jobs.train_on([network], begun, lesson)
        record.add(network, recipe, trained, p["training"], p["parent"])
    return record.outcome()


def refine(job: Job, problem: Problem) -> Outcome:
    """A point trained on with Brevitas: a design. What was pruned stays pruned.

    A payload has a point, ``steps``, ``training`` (what made the point, in words) and ``seed``.
    """
    p, rows = job.payload, jobs.rows_of(problem)
    (point,) = read(p, job.arrays)
    recipe, seed, network = point.recipe, int(p["seed"]), point.network
    training = f"brevitas after {p['training']}"
    named = candidate(network, recipe, training, point.candidate, seed, point.trained)
    try:
        with jobs.one_thread():
            order = lessons.stream(seed, "brevitas")
            steps, rate = int(p["steps"]), recipe.quantised_rate
            lesson = lessons.lesson(rows, steps, rate, order, recipe, sparse=True)
            plan, params, graph = jobs.with_brevitas(network, point.trained, lesson, problem)
        named = candidate(network, recipe, training, point.candidate, seed, (plan, params))
        measured = jobs.costed(network, graph, problem, density(plan, params))
    except FAULTS as error:
        failed = replace(named, reason=str(TrainingError.of(error)))
        return Outcome(found=(Found(failed),))
    found = Found(named, measured, graph)
    return Outcome({"plan": jobs.write_plan(plan)}, jobs.named(0, params), (found,))
