"""Bit widths: the same network at some widths, and each of its words as narrow as it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nacsr.errors import NacsrError
from nacsr.frontends.base import Job, Outcome, Problem
from nacsr.frontends.neural import chain, jobs, lessons
from nacsr.frontends.neural.local.points import Point, Record, read
from nacsr.frontends.neural.model import run
from nacsr.frontends.neural.plan import CALIBRATION, snapper
from nacsr.frontends.neural.space import Network
from nacsr.targets import target

LEAST = 2
"""Bits of the narrowest word."""
Place = tuple[int, str]
FIELDS = ("weight_bits", "bits")
LEVEL = 1e-4
"""A smaller rise of the loss is taken for this one: it is noise, and may be a fall."""


def widths(job: Job, problem: Problem) -> Outcome:
    """A point at uniform widths, and with mixed ones.

    A payload has a point, ``bits`` (uniform widths), ``worst`` (of the metric, with mixed widths;
    or None for none), ``steps`` (after every change) and ``seed``. The result's ``narrowest`` is
    the number of the last mixed point that is no worse.
    """
    p, record = job.payload, Record(job, problem)
    (begin,) = read(p, job.arrays)
    with jobs.one_thread():
        for bits in p["bits"]:
            network = uniform(begin.network, int(bits))
            if network != begin.network:
                _trained_on(begin, network, f"{bits} bits", record)
        found = None if p["worst"] is None else _mixed(begin, float(p["worst"]), record)
    number = None if found is None else record.points.index(found)
    return record.outcome(narrowest=number)


def uniform(network: Network, bits: int) -> Network:
    """The same network with that many bits in every weight and value."""
    layers: list[Any] = list(network.layers)
    for number, layer in enumerate(layers):
        has = [name for name in FIELDS if getattr(layer, name, None) is not None]
        layers[number] = replace(layer, **dict.fromkeys(has, bits))
    return replace(network, layers=tuple(layers), input_bits=bits)


def narrower(network: Network) -> Iterator[tuple[Place, Network]]:
    """Every network with one bit less in one place, and the place: a layer (-1: the input)."""
    if network.input_bits > LEAST:
        yield (-1, "bits"), replace(network, input_bits=network.input_bits - 1)
    for number, layer in enumerate(network.layers):
        for name in FIELDS:
            bits = getattr(layer, name, None)
            if bits is not None and bits > LEAST:
                changed: Any = replace(layer, **{name: bits - 1})
                layers = (*network.layers[:number], changed, *network.layers[number + 1 :])
                yield (number, name), replace(network, layers=layers)


def _trained_on(point: Point, network: Network, training: str, record: Record) -> Point | None:
    """A point's network with other bits, trained on from its parameters."""
    recipe, rows = point.recipe, record.rows
    order = lessons.stream(record.job.payload["seed"], "widths", network.key)
    steps = int(record.job.payload["steps"])
    lesson = lessons.lesson(rows, steps, recipe.quantised_rate, order, recipe)
    begun = jobs.planned(network, point.params, rows)
    (trained,) = jobs.train_on([network], [begun], lesson)
    return record.add(network, recipe, trained, training, point.candidate)


def _mixed(begin: Point, worst: float, record: Record) -> Point | None:
    """Bit by bit, what saves most area for the loss that it costs, while the metric allows.

    A place whose narrower word loses too much is left alone from there.
    """
    best, found, left_alone = begin, None, set[Place]()
    while options := _options(best, left_alone, record):
        place, network = max(options, key=lambda option: option[0])[1:]
        made = _trained_on(best, network, "mixed widths", record)
        if made is not None and record.keeps(worst):
            best = found = made
        else:
            left_alone.add(place)
    return found


def _options(
    point: Point, left_alone: set[Place], record: Record
) -> list[tuple[float, Place, Network]]:
    """Narrower networks: area saved for the rise of the loss, before any training; and places."""
    loss, area = _loss_and_area(point.network, point.trained, record)
    found = []
    for place, network in narrower(point.network):
        trained = jobs.planned(network, point.params, record.rows)
        if place in left_alone or isinstance(trained, NacsrError):
            continue
        worse, less = _loss_and_area(network, trained, record)
        if less < area:
            found.append(((area - less) / max(worse - loss, LEVEL), place, network))
    return found


def _loss_and_area(network: Network, trained: jobs.Trained, record: Record) -> tuple[float, float]:
    """Of training events, and in LUTs."""
    import torch

    plan, params = trained
    problem, rows = record.problem, record.rows
    index = torch.arange(min(CALIBRATION, len(rows.x)))
    with torch.no_grad():
        loss = rows.loss(run(network, params, rows.x[index], snapper(plan)), index)
    graph = chain.lower(network, plan, params, problem.features, problem.scaling)
    cost = problem.cost(graph, jobs.FLOW)
    return float(loss), target(problem.target).area(cost.luts, cost.dsps)
