"""Training a generation at once: the same numbers as torch, one network after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural import chain, model
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.plan import TrainingError, _snapped, make_plan, snapper
from nacsr.frontends.neural.population import pack, steps
from nacsr.frontends.neural.population.trainer import Lesson, alone, fit
from nacsr.frontends.neural.space import Attention, Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.stem import scores

WORD, WORDS = Fixed(12, 4), 24
FEATURES = tuple(Feature(f"x{i}", WORD) for i in range(WORDS))
EXTERNAL = Scaling("external", (0,) * WORDS, (0,) * WORDS)


def last(outputs=5):
    return Dense(outputs, False, "none", 6, None)


MLPS = {
    "plain": Network((WORDS,), (Dense(8, False, "relu", 5, 7), last()), 7),
    "every activation": Network(
        (WORDS,),
        (
            Dense(8, True, "relu", 5, 7),
            Dense(7, True, "tanh", 4, 6),
            Dense(6, False, "leaky_relu", 6, 7),
            Dense(9, False, "sigmoid", 5, 5),
            Dense(4, True, "none", 5, 5),
            replace(last(), norm=True),
        ),
    ),
    "linear": Network((WORDS,), (last(),)),
}
SETS = {
    kind: Network(
        (8, 3),
        (Dense(6, True, "relu"), Dense(4), Pool(kind), Dense(7, True, "leaky_relu"), last()),
    )
    for kind in ("mean", "max", "sum")
}
SIX = {"six": Network((6, 4), (Dense(9, False, "relu"), Pool("mean"), last()))}
IMAGES = {
    "convolutions": Network(
        (1, 4, 6),
        (
            Conv(3, 3, True, "relu", 5, 7),
            Conv(2, 1, False, "leaky_relu", 5, 7),
            Conv(4, 2, True, "tanh", 5, 7),
            Flatten(),
            Dense(6, True, "relu"),
            last(),
        ),
    ),
    "channels": Network((2, 3, 4), (Conv(3, 1, False, "relu"), Conv(2, 3), Flatten(), last())),
}
EVERY = MLPS | SETS | SIX | IMAGES


def words(events=600, seed=0):
    return np.random.default_rng(seed).integers(WORD.min_raw, WORD.max_raw + 1, (events, WORDS))


def rows(events=600, weighted=True, outputs=5, task="classification"):
    raw = words(events)
    rng = np.random.default_rng(1)
    y = raw[:, :outputs].argmax(1)
    if task == "regression":
        y = WORD.to_float(raw[:, :outputs]) + np.arange(outputs) * 3
        y = y[:, 0] if outputs == 1 else y
    weights = rng.uniform(0.2, 1.8, events) if weighted else None
    if outputs == 1 and task == "classification":
        y = (raw[:, 0] > 0).astype(np.int64)
    return Rows.of(WORD.to_float(raw), Events(raw, y, weights), outputs, task)


def lesson(rows, steps_=30, batch=64):
    order = np.random.default_rng(2).integers(0, len(rows.x), (steps_, batch))
    return Lesson(rows, order, np.linspace(1e-2, 1e-3, steps_), 0.1)


def begin(network, seed=1):
    """Weights with biases and gains that matter."""
    generator = torch.Generator().manual_seed(seed)
    start = model.initial(network, generator)
    return [tuple(t + 0.1 * torch.randn(t.shape, generator=generator) for t in p) for p in start]


def folded(network, x):
    params = model.fold(network, begin(network), x)
    return params, make_plan(network, params, x)


def packed_gradient(network, params, shown, plan=None):
    """Loss and flat gradient of the first batch."""
    made = pack.program([network], norms=plan is None)
    grids = pack.no_grids(made) if plan is None else pack.grids([network], [plan])
    flat, order, r = pack.flat(network, params), shown.order[0], shown.rows
    room, events = pack.room(made, len(order)), len(order)
    features, image = steps.given(made)
    batch = np.empty((features, WORDS // features * events), np.float32)
    steps.gather(r.x.numpy(), order, image, batch)
    x = np.empty_like(batch)
    steps.snap(batch.ravel(), grids.given[0], x.ravel())
    found = steps.forward(made, grids, 0, flat, x, events, room)
    d = room.d[: found.size].reshape(found.shape)
    weights = np.ones(events, np.float32) if r.weights is None else r.weights.numpy()[order]
    y = r.y.numpy()[order].astype(np.float32).ravel()
    goal = steps.SQUARES if r.units else steps.LOGISTIC if r.outputs == 1 else steps.CROSS_ENTROPY
    loss = steps.loss_of(goal, found, y, weights, d)
    gradient = np.zeros_like(flat)
    steps.backward(made, grids, 0, flat, x, events, room, gradient)
    return loss, gradient, found.T.copy()


def torch_gradient(network, params, shown, plan=None):
    learnt = [tuple(t.clone().requires_grad_() for t in p) for p in params]
    index = torch.from_numpy(shown.order[0])
    snap = model.free if plan is None else snapper(plan)
    found = model.run(network, learnt, shown.rows.x[index], snap)
    loss = shown.rows.loss(found, index)
    loss.backward()
    gradients = [tuple(t.grad for t in p) for p in learnt]
    return loss.item(), pack.flat(network, gradients), found.detach().numpy()


@pytest.mark.parametrize("name", EVERY)
def test_a_float_step_is_that_of_torch(name):
    network, shown = EVERY[name], lesson(rows())
    ours = packed_gradient(network, begin(network), shown)
    theirs = torch_gradient(network, begin(network), shown)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], atol=2e-5 * np.abs(theirs[1]).max())


@pytest.mark.parametrize("name", EVERY)
def test_a_quantised_step_is_that_of_torch_bit_for_bit(name):
    network, shown = EVERY[name], lesson(rows())
    params, plan = folded(network, shown.rows.x)
    ours = packed_gradient(network, params, shown, plan)
    theirs = torch_gradient(network, params, shown, plan)
    assert (ours[2] == theirs[2]).all()
    np.testing.assert_allclose(ours[1], theirs[1], atol=2e-5 * np.abs(theirs[1]).max())


@pytest.mark.parametrize(
    ("outputs", "task"), [(1, "classification"), (1, "regression"), (3, "regression")]
)
def test_other_losses_are_those_of_torch(outputs, task):
    network = Network((WORDS,), (Dense(8, True, "relu"), last(outputs)))
    shown = lesson(rows(outputs=outputs, task=task))
    ours = packed_gradient(network, begin(network), shown)
    theirs = torch_gradient(network, begin(network), shown)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], atol=2e-5 * np.abs(theirs[1]).max())


@pytest.mark.parametrize("name", EVERY)
def test_the_trained_network_is_the_lowered_network(name):
    network, shown = EVERY[name], lesson(rows())
    params, plan = folded(network, shown.rows.x)
    (params,) = fit([network], [params], shown, [plan])
    graph = chain.lower(network, plan, params, FEATURES, EXTERNAL)
    raw = words(3_000, seed=9)
    with torch.no_grad():
        x = torch.from_numpy(WORD.to_float(raw)).float()
        wanted = model.run(network, params, x, snapper(plan)).double().numpy()
    out = graph.ops[graph.outputs[0][1]].type
    assert (out.to_float(scores(graph, FEATURES, raw)) == wanted).all()


@pytest.mark.parametrize("quantised", [False, True])
def test_training_ends_where_torch_ends(quantised):
    network, shown = MLPS["plain"], lesson(rows(), 10)
    params, plan = folded(network, shown.rows.x) if quantised else (begin(network), None)
    (ours,) = fit([network], [params], shown, [plan] if plan else [])
    theirs = alone(network, params, shown, plan)
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine, other, strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def test_zeros_stay_zero_and_l1_pulls_as_in_torch():
    network = MLPS["every activation"]
    shown = replace(lesson(rows(), 10), l1=0.01, sparse=True)
    params, plan = folded(network, shown.rows.x)
    for weight, bias in params:
        weight[:, ::3] = 0
        bias[0] = 0
    (ours,) = fit([network], [params], shown, [plan])
    theirs = alone(network, params, shown, plan)
    for start, mine, other in zip(params, ours, theirs, strict=True):
        for begun, a, b in zip(start, mine, other, strict=True):
            assert ((a == 0) == (begun == 0)).all()
            assert ((b == 0) == (begun == 0)).all()
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)
    (free,) = fit([network], [params], replace(shown, l1=0.0), [plan])
    assert sum(float(t.abs().sum()) for p in ours for t in p) < sum(
        float(t.abs().sum()) for p in free for t in p
    )


@pytest.mark.parametrize("group", [MLPS, SETS], ids=["mlp", "sets"])
def test_neighbours_change_nothing(group):
    networks, shown = list(group.values()), lesson(rows())
    params = [begin(n) for n in networks]
    together = fit(networks, params, shown)
    for network, mine, beside in zip(networks, params, together, strict=True):
        (single,) = fit([network], [mine], shown)
        assert pack.flat(network, single).tolist() == pack.flat(network, beside).tolist()


def test_weights_are_left_as_they_were():
    network, shown = MLPS["plain"], lesson(rows())
    params = begin(network)
    before = pack.flat(network, params).tolist()
    fit([network], [params], shown)
    assert pack.flat(network, params).tolist() == before


def test_a_network_that_diverges_is_told_and_others_go_on():
    networks, shown = [MLPS["plain"], MLPS["linear"]], lesson(rows())
    params = [begin(n) for n in networks]
    (whole,) = fit([networks[1]], [params[1]], shown)
    params[0][0][0][0, 0] = float("inf")
    broken, beside = fit(networks, params, shown)
    assert isinstance(broken, TrainingError)
    assert "diverged: the loss is nan at step 0 of 30" in str(broken)
    assert pack.flat(networks[1], beside).tolist() == pack.flat(networks[1], whole).tolist()


def test_attention_trains_in_torch():
    layers = (Conv(3, 3, True, "relu"), Attention(2), Flatten(), last())
    network = Network((1, 4, 6), layers)
    assert not pack.packs(network)
    shown = lesson(rows(), 60)
    (learnt,) = fit([network], [begin(network)], shown)
    start = torch_gradient(network, begin(network), shown)[0]
    assert torch_gradient(network, learnt, shown)[0] < 0.8 * start


def test_folding_batchnorm_keeps_the_function():
    x = rows().x
    for network in EVERY.values():
        params = begin(network)
        with torch.no_grad():
            wanted = model.run(network, params, x)
            found = model.run(network, model.fold(network, params, x), x)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_plan_has_the_bits_of_the_network():
    network = MLPS["every activation"]
    _, plan = folded(network, rows().x)
    kinds = {place: (t.width, t.signed) for place, t in plan.items()}
    assert kinds[model.Place(-1, "after")] == (8, True)
    assert kinds[model.Place(0, "weight")] == (5, True)
    assert kinds[model.Place(0, "after")] == (7, False)
    assert kinds[model.Place(1, "before")] == (8, True)
    assert kinds[model.Place(2, "after")] == (7, True)
    assert model.Place(5, "after") not in kinds
    for k in range(1, 6):
        above = plan[model.Place(k - 1, "after")].frac
        assert plan[model.Place(k, "bias")].frac == above + plan[model.Place(k, "weight")].frac


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.integers(2, 16),
    st.integers(-8, 8),
    st.booleans(),
    st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
)
def test_a_type_is_chosen_by_what_it_does(values, bits, integer, signed, overflow):
    exact = np.array(values)
    type_ = Fixed(bits, integer, signed, Rounding.RND_CONV, overflow)
    assert (_snapped(exact, type_) == type_.to_float(type_.quantize(exact))).all()
