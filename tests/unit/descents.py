"""Networks, words and tasks for tests of what makes networks smaller."""

from dataclasses import replace

import numpy as np

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.neural.descents import Task
from nacsr.frontends.neural.space import Dense, Network, Pool
from nacsr.frontends.neural.tables.state import State, begun
from tests.unit.tiny_problem import tiny_problem

PERCEPTRON = Network((3,), (Dense(4, activation="relu"), Dense(3, activation="relu"), Dense(2)))
SETS = {
    kind: Network(
        (4, 3), (Dense(5, activation="relu"), Pool(kind), Dense(3, activation="relu"), Dense(2))
    )
    for kind in ("mean", "max", "sum")
}
ALL = [PERCEPTRON, *SETS.values()]


def words(network: Network, rng: np.random.Generator, events: int = 40):
    """Random words of that network's events, and their standardised values."""
    shared = [Fixed(8, 4), Fixed(9, 3), Fixed(7, 2, False)]
    offsets, shifts = [5, -17, 30], [1, -1, 0]
    count = int(np.prod(network.input)) // 3
    features = tuple(
        Feature(f"p{p}_{i}", type_) for p in range(count) for i, type_ in enumerate(shared)
    )
    scaling = Scaling("folded", tuple(offsets * count), tuple(shifts * count))
    raw = np.stack([rng.integers(f.type.min_raw, f.type.max_raw + 1, events) for f in features], 1)
    lsb = np.array([f.type.lsb for f in features])
    values = (raw - np.array(scaling.offsets)) * lsb * 2.0 ** -np.array(scaling.shifts)
    return features, scaling, raw, values


def task(network: Network, events: int = 400, seed: int = 3) -> Task:
    """Two classes by the sign of a sum."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (events, int(np.prod(network.input)))).astype(np.float32)
    y = (x.reshape(events, *network.input)[..., 0].reshape(events, -1).sum(1) > 0).astype(
        np.float32
    )
    inputs = network.input[-1]
    ends = np.full(inputs, -8.0), np.full(inputs, 7.75)
    words = {"ends": ends, "centre": np.zeros(inputs), "signed": np.ones(inputs, np.bool_)}
    weights = np.ones(events, np.float32)
    return Task(x=x, y=y[:, None], weights=weights, goal=0, batch=64, seed=seed, **words)


def regression(targets: int) -> Problem:
    """The tiny problem with one or two real targets, about 90 and -40."""
    problem = tiny_problem()

    def real(events: Events) -> Events:
        x = problem.values(events)
        y = np.stack([90 + 5 * x[:, 0], -40 + 5 * x[:, 1]], 1)[:, :targets]
        return Events(events.words, y if targets > 1 else y[:, 0])

    return replace(
        problem,
        task="regression",
        classes=("row", "column")[:targets],
        train=real(problem.train),
        validation=real(problem.validation),
    )


def drawn_tables(network: Network, rng: np.random.Generator) -> State:
    """A random state that pruning could have come to."""
    state = begun(network, 4, rng)
    for layer in state:
        layer.bias[:] = rng.normal(0, 0.5, layer.bias.shape)
        layer.live &= rng.random(layer.live.shape) < 0.6
        layer.steps[:] = rng.integers(-1, 5, layer.steps.shape)
        layer.reads[:] = rng.integers(-1, 4, layer.reads.shape)
        layer.tops[:] = rng.integers(-1, 3, layer.tops.shape)
        layer.tops[:] = np.maximum(layer.tops, -layer.reads)
    state[0].signed[:] = rng.random(state[0].signed.shape) < 0.5
    state[0].away[:] = rng.integers(-20, 20, state[0].away.shape) / 8
    return state
