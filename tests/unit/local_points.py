"""What tests of the local search share: a network, its training, and jobs on it."""

from dataclasses import asdict

from nacsr.frontends.base import Job
from nacsr.frontends.neural import chain
from nacsr.frontends.neural.lessons import USUAL
from nacsr.frontends.neural.local import points
from nacsr.frontends.neural.local.search import RUNS
from nacsr.frontends.neural.space import Dense, Network

NETWORK = Network((4,), (Dense(8, True, "relu", 5, 6), Dense(3, False, "none", 5, None)), 6)


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


def learnt(problem):
    """A network that learnt something."""
    made = RUNS["train"](training(steps=300), problem)
    return points.read(made.result, made.arrays)[0]
