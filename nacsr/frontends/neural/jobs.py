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
from nacsr.frontends.neural.population.trainer import Learnt, Lesson, device, fit
from nacsr.frontends.neural.space import Network
from nacsr.frontends.neural.space.bops import bops
from nacsr.frontends.stem import scores
from nacsr.ir import Graph
from nacsr.measure import Measurement, tool_name

if TYPE_CHECKING:
    from torch import nn

FAMILY = "network"
FLOW = "hls4ml"
CHECKED = 4096
"""Validation events on which a lowered network must equal Brevitas bit for bit."""


def search(job: Job, problem: Problem) -> Outcome:
    """One rung of some networks: train them (on), lower them, measure them.

    A payload has ``networks``, ``steps``, ``rung`` and ``seed``; after the first rung also
    ``plans``, and the job's arrays hold the parameters, ``<network>.<layer>.<number>``.
    """
    p = job.payload
    networks = [Network.from_dict(n) for n in p["networks"]]
    rows = rows_of(problem)
    with one_thread():
        trained = _trained(job, networks, rows)
        found = [
            measured(searched(n, job), n, t, rows, problem)
            for n, t in zip(networks, trained, strict=True)
        ]
    arrays: dict[str, NDArray[Any]] = {}
    plans: list[dict[str, str] | None] = []
    for i, one in enumerate(trained):
        plans.append(None if isinstance(one, NacsrError) else write_plan(one[0]))
        if not isinstance(one, NacsrError):
            arrays |= named(i, one[1])
    return Outcome({"plans": plans}, arrays, tuple(found))


Trained = tuple[Plan, Learnt]


def _trained(job: Job, networks: Sequence[Network], rows: Rows) -> list[Trained | NacsrError]:
    """Plan and parameters of every network after this rung, or why it has none."""
    p = job.payload
    steps, rung, seed = int(p["steps"]), int(p["rung"]), int(p["seed"])
    begun: list[Trained | NacsrError]
    if rung:
        pairs = zip(networks, p["plans"], strict=True)
        begun = [(read_plan(text), learnt(i, n, job.arrays)) for i, (n, text) in enumerate(pairs)]
    else:
        first, steps = lessons.USUAL.split(steps)
        begun = in_float(networks, rows, first, seed)
    lesson = lessons.lesson(
        rows, steps, lessons.USUAL.quantised_rate, lessons.stream(seed, "quantised", rung)
    )
    return train_on(networks, begun, lesson)


def in_float(
    networks: Sequence[Network],
    rows: Rows,
    steps: int,
    seed: int,
    recipe: lessons.Recipe = lessons.USUAL,
) -> list[Trained | NacsrError]:
    """Trained in float, BatchNorm folded, types chosen."""
    start = [initial(n, lessons.generator(seed, n.key)) for n in networks]
    order = lessons.stream(seed, "float")
    lesson = lessons.lesson(rows, steps, recipe.float_rate, order, recipe)
    trained = fit(networks, start, lesson, device=device())
    return [
        planned(network, params, rows) for network, params in zip(networks, trained, strict=True)
    ]


def planned(network: Network, params: Learnt | NacsrError, rows: Rows) -> Trained | NacsrError:
    """Without BatchNorms, and with the types that its values ask for."""
    import torch

    if isinstance(params, NacsrError):
        return params
    try:
        with torch.no_grad():
            folded = fold(network, params, rows.x[:CALIBRATION])
        return make_plan(network, folded, rows.x), folded
    except FAULTS as error:
        return TrainingError.of(error)


def train_on(
    networks: Sequence[Network], begun: Sequence[Trained | NacsrError], lesson: Lesson
) -> list[Trained | NacsrError]:
    """Quantised, from where they are."""
    found = list(begun)
    alive = [(i, one) for i, one in enumerate(begun) if not isinstance(one, NacsrError)]
    results = fit(
        [networks[i] for i, _ in alive],
        [params for _, (_, params) in alive],
        lesson,
        [plan for _, (plan, _) in alive],
        device(),
    )
    for (i, (plan, _)), result in zip(alive, results, strict=True):
        found[i] = result if isinstance(result, NacsrError) else (plan, result)
    return found


def final(job: Job, problem: Problem) -> Outcome:
    """One network trained to the end, with Brevitas from where its types are known."""
    network = Network.from_dict(job.payload["network"])
    p, rows = job.payload, rows_of(problem)
    recipe, seed = lessons.USUAL, int(p["seed"])
    candidate = _candidate(network, "brevitas", job)
    try:
        with one_thread():
            steps = lessons.useful_steps(int(p["steps"]), len(rows.x))
            first, steps = recipe.split(steps)
            (begun,) = in_float([network], rows, first, seed, recipe)
            order = lessons.stream(seed, "brevitas")
            lesson = lessons.lesson(rows, steps, recipe.quantised_rate, order, recipe)
            plan, params, graph = with_brevitas(network, begun, lesson, problem)
        numbers = costed(network, graph, problem)
    except FAULTS as error:
        return Outcome(found=(Found(replace(candidate, reason=str(TrainingError.of(error)))),))
    found = Found(candidate, numbers, graph)
    return Outcome({"plan": write_plan(plan)}, named(0, params), (found,))


def with_brevitas(
    network: Network, begun: Trained | NacsrError, lesson: Lesson, problem: Problem
) -> tuple[Plan, Learnt, Graph]:
    """A network trained on with Brevitas; its design, which is that module bit for bit.

    Raises:
        NacsrError: if it failed before, diverges, or cannot be lowered.
    """
    if isinstance(begun, NacsrError):
        raise begun
    plan, params = begun
    module = qat.build(network, plan, params)
    qat.finetune(module, lesson)
    found = qat.parameters(network, module)
    if lesson.rows.units is not None:
        plan, found = in_units(network, plan, found, lesson.rows.units)
        module = qat.build(network, plan, found)
    graph = from_brevitas(module, problem.features, problem.scaling)
    check(graph, module, problem)
    return plan, found, graph


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


def measured(
    candidate: Candidate,
    network: Network,
    trained: Trained | NacsrError,
    rows: Rows,
    problem: Problem,
    density: Sequence[float] = (),
) -> Found:
    """What is recorded of a short training: no design, so no graph.

    ``density`` is the share of weights that are not zero, one a layer that has any.
    """
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
        return Found(candidate, costed(network, graph, problem, density))
    except FAULTS as error:
        return Found(replace(candidate, reason=str(TrainingError.of(error))))


def costed(
    network: Network, graph: Graph, problem: Problem, density: Sequence[float] = ()
) -> tuple[Measurement, ...]:
    """Bit-true quality and hardware of a design, and its bit operations."""
    return (*measure(graph, problem, FLOW), operations(network, graph.digest, density))


def _rehearsed(
    network: Network, plan: Plan, params: Learnt, problem: Problem, digest: str
) -> tuple[Measurement, ...]:
    """What is known of a network that no design can be made of."""
    values = rehearse(network, plan, params, problem.values(problem.validation))
    return (*rehearsed(values, problem, digest), operations(network, digest))


def operations(network: Network, digest: str, density: Sequence[float] = ()) -> Measurement:
    """Bit operations of a network, on whatever device; ``digest`` names it."""
    count = bops(network, density)
    return Measurement("bops", count, "analytic", "architecture", tool_name(), "any device", digest)


def searched(network: Network, job: Job) -> Candidate:
    """A network as a rung of the search trains it."""
    return _candidate(network, f"search, rung {job.payload['rung']}", job)


def _candidate(network: Network, training: str, job: Job) -> Candidate:
    genotype = {**network.to_dict(), "training": training}
    parent = str(job.payload.get("parent", ""))
    parents = (parent,) if parent else ()
    return Candidate(FAMILY, genotype, int(job.payload["seed"]), network.title, parents)


def rows_of(problem: Problem) -> Rows:
    """The training events as networks see them."""
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


def named(network: int, params: Learnt) -> dict[str, NDArray[Any]]:
    """Parameters as named arrays."""
    return {
        f"{network}.{layer}.{number}": tensor.numpy()
        for layer, mine in enumerate(params)
        for number, tensor in enumerate(mine)
    }


def learnt(network: int, made: Network, arrays: Mapping[str, NDArray[Any]]) -> Learnt:
    """The inverse of ``named``."""
    import torch

    found: Learnt = []
    for layer in range(len(made.layers)):
        names = (f"{network}.{layer}.{number}" for number in itertools.count())
        mine = itertools.takewhile(arrays.__contains__, names)
        found.append(tuple(torch.from_numpy(arrays[name]) for name in mine))
    return found


RUNS = {"search": search, "final": final}
"""What runs each kind of job of the global search and its end."""
