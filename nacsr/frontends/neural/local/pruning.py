"""Iterative pruning with the quantisers in place: by magnitude, or by loss for area saved.

A pruned weight is a parameter of exactly zero, and ``Lesson.sparse`` keeps it there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.rules import csd_digits
from nacsr.errors import NacsrError
from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import jobs, lessons
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.local.points import Point, Record, quantised, read
from nacsr.frontends.neural.model import Place, run
from nacsr.frontends.neural.plan import CALIBRATION, Plan, snapper
from nacsr.frontends.neural.population.trainer import Learnt
from nacsr.frontends.neural.space import Dense, Network

if TYPE_CHECKING:
    import torch

Scores = dict[int, NDArray[np.float64]]
"""A number for every weight, by the number of its layer."""
BATCHES = 16
"""Into which the calibration events are split to see how gradients differ."""


def prune(job: Job, problem: Problem) -> Outcome:
    """Rounds of some points, each by its criterion: take weights out, train on.

    A payload has points of one recipe, ``criteria`` (one a point), ``rounds``, ``share`` (of the
    weights that are left, taken out in a round), ``every`` (rounds between those recorded),
    ``worst`` (of the metric: a point that is recorded as worse is left there), ``steps`` (of a
    round) and ``seed``.
    """
    p, record = job.payload, Record(job, problem)
    left = list(zip(read(p, job.arrays), p["criteria"], strict=True))
    rounds, every, worst = int(p["rounds"]), int(p["every"]), float(p["worst"])
    with jobs.one_thread():
        for number in range(1, rounds + 1):
            if not left:
                break
            trained = _round(left, number, job, record.rows)
            going = []
            for (point, criterion), result in zip(left, trained, strict=True):
                failed = isinstance(result, NacsrError)
                if failed or number % every == 0 or number == rounds:
                    training = f"{criterion} pruning, round {number}"
                    record.add(point.network, point.recipe, result, training, point.candidate)
                    if not record.keeps(worst):
                        continue
                if not isinstance(result, NacsrError):
                    plan, params = result
                    going.append((replace(point, plan=plan, params=params), criterion))
            left = going
    return record.outcome()


def _round(
    left: list[tuple[Point, str]], number: int, job: Job, rows: Rows
) -> list[jobs.Trained | NacsrError]:
    """All trained on together, without some of their weights."""
    share, steps = float(job.payload["share"]), int(job.payload["steps"])
    order = lessons.stream(job.payload["seed"], "prune", number)
    recipe = left[0][0].recipe
    lesson = lessons.lesson(rows, steps, recipe.quantised_rate, order, recipe, sparse=True)
    networks = [point.network for point, _ in left]
    begun = [
        jobs.planned(point.network, cut(point, share, criterion, rows), rows)
        for point, criterion in left
    ]
    return jobs.train_on(networks, begun, lesson)


def cut(point: Point, share: float, criterion: str, rows: Rows) -> Learnt:
    """Parameters without that share of the weights that are left, those of the lowest score."""
    scores = CRITERIA[criterion](point, rows)
    layers = list(scores)
    values = np.concatenate([scores[i].ravel() for i in layers])
    alive = np.concatenate([(point.params[i][0] != 0).numpy().ravel() for i in layers])
    values[~alive] = np.inf
    worst = np.argsort(values, kind="stable")[: math.floor(share * alive.sum())]
    alive[worst] = False
    params = [tuple(t.clone() for t in mine) for mine in point.params]
    for i in layers:
        weight = params[i][0]
        mine, alive = np.split(alive, [weight.numel()])
        weight[~_like(mine, weight)] = 0
    return tidied(params)


def tidied(params: Learnt) -> Learnt:
    """Without weights of neurons that read nothing or that nothing reads, in place."""
    weighted = [mine for mine in params if mine]
    pairs = [(a, b) for a, b in pairwise(weighted) if _joined(a, b)]
    for (weight, _), (later, _) in pairs:
        later[:, ~_used(weight, 0)] = 0
    for (weight, bias), (later, _) in reversed(pairs):
        weight[~_used(later, 1)] = 0
        bias[~_used(later, 1)] = 0
    return params


def _joined(before: tuple[torch.Tensor, ...], after: tuple[torch.Tensor, ...]) -> bool:
    """Whether a layer reads the neurons of the other one by one."""
    return before[0].shape[0] == after[0].shape[1]


def _used(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """Which of a layer's outputs (axis 0) or inputs (1) have weights."""
    return (weight != 0).transpose(0, axis).flatten(1).any(1)


def _like(flat: NDArray[np.bool_], weight: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(flat.reshape(weight.shape))


# --- criteria -------------------------------------------------------------------------------


def magnitude(point: Point, _: Rows) -> Scores:
    """The rank of every weight among those of its layer: each layer loses the same share."""
    found: Scores = {}
    for number in quantised(point.plan, point.params):
        size = np.abs(point.params[number][0].double().numpy())
        ranks = np.argsort(np.argsort(size, axis=None, kind="stable"), kind="stable")
        gone = int((size == 0).sum())
        found[number] = ((ranks - gone) / max(size.size - gone, 1)).reshape(size.shape)
    return found


def cost_aware(point: Point, rows: Rows) -> Scores:
    """What the loss gains without a weight, for every bit of an adder that is saved.

    What is zero on the chip already costs nothing and goes first.
    """
    prices = saved(point.network, point.plan, point.params)
    losses = saliency(point, rows)
    return {i: np.where(prices[i] > 0, losses[i] / np.maximum(prices[i], 1), -1) for i in prices}


CRITERIA: Mapping[str, Callable[[Point, Rows], Scores]] = {
    "magnitude": magnitude,
    "cost": cost_aware,
}


def saved(network: Network, plan: Plan, params: Learnt) -> Scores:
    """Bits of adders that go with a weight: its canonical signed digits times its input's bits.

    That is a product by shifts and additions, wherever it stands: once a particle, once a pixel.
    """
    found: Scores = {}
    shape, bits = network.input, plan[Place(-1, "after")].width
    raws = quantised(plan, params)
    for number, (layer, result) in enumerate(zip(network.layers, network.shapes, strict=True)):
        if number in raws:
            places = math.prod(shape[:-1] if isinstance(layer, Dense) else result[1:])
            found[number] = csd_digits(raws[number]).astype(np.float64) * (bits * places)
        after = plan.get(Place(number, "after"))
        shape, bits = result, bits if after is None else after.width
    return found


def saliency(point: Point, rows: Rows) -> Scores:
    """How much the loss depends on every weight: the mean of (gradient x weight) squared.

    The empirical Fisher form of LeCun's optimal brain damage (Molchanov et al., CVPR 2019), from
    the gradients of batches. Weights stand on their grids already: the gradient does not stop
    where they are saturated.
    """
    import torch

    quantise = snapper(point.plan)

    def snap(place: Place, values: torch.Tensor) -> torch.Tensor:
        return values if place.what == "weight" else quantise(place, values)

    learnt, layers = list(point.params), list(quantised(point.plan, point.params))
    for i in layers:
        weight, *rest = point.params[i]
        on_grid = quantise(Place(i, "weight"), weight).requires_grad_()
        learnt[i] = (on_grid, *rest)
    total = {i: np.zeros(tuple(learnt[i][0].shape), np.float64) for i in layers}
    for index in torch.arange(min(CALIBRATION, len(rows.x))).chunk(BATCHES):
        loss = rows.loss(run(point.network, learnt, rows.x[index], snap), index)
        grads = torch.autograd.grad(loss, [learnt[i][0] for i in layers])
        for i, grad in zip(layers, grads, strict=True):
            total[i] += np.square((grad * learnt[i][0].detach()).double().numpy())
    return total
