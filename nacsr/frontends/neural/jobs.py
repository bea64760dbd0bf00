"""The jobs of the network family: a short training of some networks, a whole training of one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from nacsr.errors import GraphError, NacsrError
from nacsr.fixed import Fixed
from nacsr.frontends.base import Candidate, Found, Job, Outcome, Problem
from nacsr.frontends.judge import measure, rehearsed
from nacsr.frontends.neural import chain, lessons, qat
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.lowering.lower import from_brevitas
from nacsr.frontends.neural.model import Place, fold, initial
from nacsr.frontends.neural.plan import (
    CALIBRATION,
    FAULTS,
    Plan,
    TrainingError,
    in_units,
    make_plan,
    rehearse,
)
from nacsr.frontends.neural.population.trainer import Learnt, Lesson, fit
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.space.bops import bops
from nacsr.frontends.stem import scores
from nacsr.ir import Graph
from nacsr.measure import Measurement, tool_name

if TYPE_CHECKING:
    from torch import nn

FAMILY = "network"
FLOW = "hls4ml"
FLOAT_SHARE = 0.6
"""Share of a training's steps that are done in float; the others are quantised."""
CHECKED = 4096
"""Validation events on which a lowered network must equal Brevitas bit for bit."""


def search(job: Job, problem: Problem) -> Outcome:
    """One rung of some networks: train them (on), lower them, measure them.

    A payload has ``networks``, ``steps``, ``rung`` and ``seed``; after the first rung also
    ``plans``, and the job's arrays hold the parameters, ``<network>.<layer>.<number>``.
    """
    p = job.payload
    networks = [Network.from_dict(n) for n in p["networks"]]
    rows = _rows(problem)
    with one_thread():
        trained = _trained(job, networks, rows)
        found = [
            _measured(n, t, rows, problem, job) for n, t in zip(networks, trained, strict=True)
        ]
    arrays: dict[str, NDArray[Any]] = {}
    plans: list[dict[str, str] | None] = []
    for i, one in enumerate(trained):
        plans.append(None if isinstance(one, NacsrError) else write_plan(one[0]))
        if not isinstance(one, NacsrError):
            arrays |= _named(i, one[1])
    return Outcome({"plans": plans}, arrays, tuple(found))


Trained = tuple[Plan, Learnt]


def _trained(job: Job, networks: Sequence[Network], rows: Rows) -> list[Trained | NacsrError]:
    """Plan and parameters of every network after this rung, or why it has none."""
    p = job.payload
    steps, rung, seed = int(p["steps"]), int(p["rung"]), int(p["seed"])
    begun: list[Trained | NacsrError]
    if rung:
        pairs = zip(networks, p["plans"], strict=True)
        begun = [(read_plan(text), _learnt(i, n, job.arrays)) for i, (n, text) in enumerate(pairs)]
    else:
        first = round(steps * FLOAT_SHARE)
        steps -= first
        begun = _begun(networks, rows, first, seed)
    lesson = lessons.lesson(
        rows, steps, lessons.QUANTISED_RATE, lessons.stream(seed, "quantised", rung)
    )
    return _train_on(networks, begun, lesson)


def _begun(
    networks: Sequence[Network], rows: Rows, steps: int, seed: int
) -> list[Trained | NacsrError]:
    """Trained in float, BatchNorm folded, types chosen."""
    start = [initial(n, lessons.generator(seed, n.key)) for n in networks]
    lesson = lessons.lesson(rows, steps, lessons.FLOAT_RATE, lessons.stream(seed, "float"))
    return [
        _planned(network, params, rows)
        for network, params in zip(networks, fit(networks, start, lesson), strict=True)
    ]


def _planned(network: Network, params: Learnt | NacsrError, rows: Rows) -> Trained | NacsrError:
    import torch

    if isinstance(params, NacsrError):
        return params
    try:
        with torch.no_grad():
            folded = fold(network, params, rows.x[:CALIBRATION])
        return make_plan(network, folded, rows.x), folded
    except FAULTS as error:
        return TrainingError.of(error)


def _train_on(
    networks: Sequence[Network], begun: Sequence[Trained | NacsrError], lesson: Lesson
) -> list[Trained | NacsrError]:
    """Quantised, from where they are."""
    found = list(begun)
    alive = [(i, one) for i, one in enumerate(begun) if not isinstance(one, NacsrError)]
    learnt = fit(
        [networks[i] for i, _ in alive],
        [params for _, (_, params) in alive],
        lesson,
        [plan for _, (plan, _) in alive],
    )
    for (i, (plan, _)), result in zip(alive, learnt, strict=True):
        found[i] = result if isinstance(result, NacsrError) else (plan, result)
    return found


def final(job: Job, problem: Problem) -> Outcome:
    """One network trained to the end, with Brevitas from where its types are known."""
    network = Network.from_dict(job.payload["network"])
    candidate = _candidate(network, "brevitas", job)
    try:
        with one_thread():
            graph = _finalist(network, problem, job)
        measured = _costed(network, graph, problem)
    except FAULTS as error:
        return Outcome(found=(Found(replace(candidate, reason=str(TrainingError.of(error)))),))
    return Outcome(found=(Found(candidate, measured, graph),))


def _finalist(network: Network, problem: Problem, job: Job) -> Graph:
    rows, p = _rows(problem), job.payload
    seed, steps = int(p["seed"]), lessons.useful_steps(int(p["steps"]), len(rows.x))
    first = round(steps * FLOAT_SHARE)
    (begun,) = _begun([network], rows, first, seed)
    if isinstance(begun, NacsrError):
        raise begun
    plan, params = begun
    module = qat.build(network, plan, params)
    seed = lessons.stream(seed, "brevitas")
    qat.finetune(module, lessons.lesson(rows, steps - first, lessons.QUANTISED_RATE, seed))
    if rows.units is not None:
        found = in_units(network, plan, qat.parameters(network, module), rows.units)
        module = qat.build(network, *found)
    graph = from_brevitas(module, problem.features, problem.scaling)
    check(graph, module, problem)
    return graph


def check(graph: Graph, module: nn.Sequential, problem: Problem) -> None:
    """Compare a lowered network with Brevitas on validation events, bit for bit.

    Raises:
        GraphError: if a score differs.
    """
    raw = scores(graph, problem.features, problem.validation.words[:CHECKED])
    ours = graph.ops[graph.outputs[0][1]].type.to_float(raw)
    theirs = qat.outputs(module, problem.values(problem.validation)[:CHECKED])
    wrong = int((ours != theirs).sum())
    if wrong:
        msg = (
            f"the lowered network differs from Brevitas in {wrong} of {ours.size} scores; "
            "this is a fault of nacsr, please report it"
        )
        raise GraphError(msg)


def _measured(
    network: Network, trained: Trained | NacsrError, rows: Rows, problem: Problem, job: Job
) -> Found:
    """What is recorded of a short training: no design, so no graph."""
    candidate = searched(network, job)
    try:
        if isinstance(trained, NacsrError):
            raise trained
        plan, params = trained
        if rows.units is not None:
            plan, params = in_units(network, plan, params, rows.units)
        if not network.lowers:
            return Found(
                replace(candidate, reason=chain.NO_DESIGN),
                _rehearsed(network, plan, params, problem, candidate.id),
            )
        graph = chain.lower(network, plan, params, problem.features, problem.scaling)
        return Found(candidate, _costed(network, graph, problem))
    except FAULTS as error:
        return Found(replace(candidate, reason=str(TrainingError.of(error))))


def _costed(network: Network, graph: Graph, problem: Problem) -> tuple[Measurement, ...]:
    """Bit-true quality and hardware of a design, and its bit operations."""
    return (*measure(graph, problem, FLOW), operations(network, graph.digest))


def _rehearsed(
    network: Network, plan: Plan, params: Learnt, problem: Problem, digest: str
) -> tuple[Measurement, ...]:
    """What is known of a network that no design can be made of."""
    values = rehearse(network, plan, params, problem.values(problem.validation))
    return (*rehearsed(values, problem, digest), operations(network, digest))


def operations(network: Network, digest: str) -> Measurement:
    """Bit operations of a network, on whatever device; ``digest`` names it."""
    count = bops(network)
    return Measurement("bops", count, "analytic", "architecture", tool_name(), "any device", digest)


def searched(network: Network, job: Job) -> Candidate:
    """A network as a rung of the search trains it."""
    return _candidate(network, f"search, rung {job.payload['rung']}", job)


def _candidate(network: Network, training: str, job: Job) -> Candidate:
    genotype = {**network.to_dict(), "training": training}
    parent = str(job.payload.get("parent", ""))
    parents = (parent,) if parent else ()
    return Candidate(FAMILY, genotype, int(job.payload["seed"]), network.title, parents)


def _rows(problem: Problem) -> Rows:
    train, outputs = problem.train, len(problem.outputs)
    return Rows.of(problem.values(train), train, outputs, problem.task)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums in another order would change results."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- what a rung hands to the next --------------------------------------------------------


def write_plan(plan: Plan) -> dict[str, str]:
    """A plan as plain values."""
    return {f"{place.layer} {place.what}": str(type_) for place, type_ in plan.items()}


def read_plan(record: Mapping[str, str]) -> Plan:
    """The inverse of ``write_plan``."""
    found = {}
    for key, text in record.items():
        layer, what = key.split()
        found[Place(int(layer), what)] = Fixed.parse(text)
    return found


def _named(network: int, params: Learnt) -> dict[str, NDArray[Any]]:
    """Parameters as named arrays."""
    return {
        f"{network}.{layer}.{number}": tensor.numpy()
        for layer, mine in enumerate(params)
        for number, tensor in enumerate(mine)
    }


def _learnt(network: int, made: Network, arrays: Mapping[str, NDArray[Any]]) -> Learnt:
    """The inverse of ``_named``."""
    import torch

    found: Learnt = []
    for layer in range(len(made.layers)):
        names = (f"{network}.{layer}.{number}" for number in itertools.count())
        mine = itertools.takewhile(arrays.__contains__, names)
        found.append(tuple(torch.from_numpy(arrays[name]) for name in mine))
    return found


RUNS = {"search": search, "final": final}
"""What runs each kind of job."""
