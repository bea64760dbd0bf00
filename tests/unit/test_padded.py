"""Padded training, as for a GPU, on the CPU: the numbers of torch, one network after the other.

No GPU runs these tests; what a device does to last bits is said in ``padded``.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nacsr.frontends.neural import jobs, model
from nacsr.frontends.neural.plan import TrainingError, make_plan, snapper
from nacsr.frontends.neural.population import pack, padded, trainer
from nacsr.frontends.neural.population.trainer import alone, fit
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Network, Pool
from nacsr.frontends.neural.space.layers import ACTIVATIONS
from tests.unit.test_population import MLPS, SETS, SIX, WORDS, begin, lesson, rows
from tests.unit.test_population import folded as quantised

ROWS = rows()
"""Events, drawn once."""


@st.composite
def dense(draw, bits=None):
    return Dense(
        draw(st.integers(1, 9)),
        draw(st.booleans()),
        draw(st.sampled_from(ACTIVATIONS)),
        draw(st.integers(2, 8)),
        draw(st.integers(2, 8)) if bits is None else bits,
    )


@st.composite
def generations(draw):
    """Networks of all forms, with inputs of one shape."""
    last, sets = Dense(5, False, "none", 6, None), draw(st.booleans())

    def network():
        first = draw(st.lists(dense(), min_size=int(sets), max_size=3))
        second = draw(st.lists(dense(), max_size=2)) if sets else []
        pool = [Pool(draw(st.sampled_from(["mean", "max", "sum"])), draw(st.integers(2, 8)))] * sets
        return Network((6, 4) if sets else (WORDS,), (*first, *pool, *second, last), 7)

    return [network() for _ in range(draw(st.integers(1, 5)))]


def run(networks, params, lesson, plans=()):
    """Of every group its members, their scores of the first batch, and the padded parameters."""
    for some, device in trainer._groups(networks, "cpu"):
        assert device == "cpu"
        mine = [networks[i] for i in some]
        made = pack.program(mine, norms=not plans)
        grids = pack.grids(mine, [plans[i] for i in some]) if plans else pack.no_grids(made)
        flat = np.concatenate([pack.flat(networks[i], params[i]) for i in some])
        learnt = [padded._take(flat, place, "cpu") for place in padded._places(made)]
        x = lesson.rows.x[torch.from_numpy(lesson.order[0])]
        yield some, padded.forward(padded.group(made, grids, "cpu"), learnt, x), learnt


def gradients(networks, params, shown, plans=()):
    """Loss and flat gradient of the first batch, of every network."""
    found, index = {}, torch.from_numpy(shown.order[0])
    for some, scores, learnt in run(networks, params, shown, plans):
        made = pack.program([networks[i] for i in some], norms=not plans)
        losses = [shown.rows.loss(mine, index) for mine in scores]
        torch.stack(losses).sum().backward()
        flat = np.zeros(made.parameters[-1], np.float32)
        for place, p in zip(padded._places(made), learnt, strict=True):
            if p.grad is not None:
                flat[place[place >= 0]] = p.grad.numpy()[place >= 0]
        parts = np.split(flat, made.parameters[1:-1])
        found |= {i: (z.item(), g) for i, z, g in zip(some, losses, parts, strict=True)}
    return [found[i] for i in range(len(networks))]


def reference(network, params, shown, plan=None):
    learnt = [tuple(t.clone().requires_grad_() for t in p) for p in params]
    index = torch.from_numpy(shown.order[0])
    snap = model.free if plan is None else snapper(plan)
    loss = shown.rows.loss(model.run(network, learnt, shown.rows.x[index], snap), index)
    loss.backward()
    return loss.item(), pack.flat(network, [tuple(t.grad for t in p) for p in learnt])


@settings(max_examples=30, deadline=None)
@given(generations(), st.integers(0, 99))
def test_a_float_step_is_that_of_torch(networks, seed):
    shown = lesson(ROWS)
    params = [begin(n, seed) for n in networks]
    for ours, one, mine in zip(gradients(networks, params, shown), networks, params, strict=True):
        theirs = reference(one, mine, shown)
        assert ours[0] == pytest.approx(theirs[0], abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(generations(), st.integers(0, 99))
def test_quantised_scores_are_those_of_torch_bit_for_bit(networks, seed):
    shown = lesson(ROWS)
    params = [model.fold(n, begin(n, seed), shown.rows.x) for n in networks]
    plans = [make_plan(n, p, shown.rows.x) for n, p in zip(networks, params, strict=True)]
    x = shown.rows.x[torch.from_numpy(shown.order[0])]
    seen = []
    for some, found, _ in run(networks, params, shown, plans):
        for i, scores in zip(some, found, strict=True):
            wanted = model.run(networks[i], params[i], x, snapper(plans[i]))
            assert (scores == wanted).all()
        seen += some
    assert sorted(seen) == list(range(len(networks)))


@pytest.mark.parametrize("group", [MLPS, SETS, SIX], ids=["mlp", "sets", "six"])
@pytest.mark.parametrize("snaps", [False, True], ids=["float", "quantised"])
def test_gradients_are_those_of_torch(group, snaps):
    networks, shown = list(group.values()), lesson(ROWS)
    begun = [quantised(n, shown.rows.x) if snaps else (begin(n), None) for n in networks]
    params, plans = zip(*begun, strict=True)
    found = gradients(networks, params, shown, plans if snaps else ())
    for one, mine, plan, (loss, ours) in zip(networks, params, plans, found, strict=True):
        wanted, theirs = reference(one, mine, shown, plan)
        assert loss == pytest.approx(wanted, abs=1e-5)
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def test_the_ends_of_a_grid_pass_no_gradient_as_in_torch():
    x = torch.tensor([-2.0, -1.75, -0.3, 0.0, 0.1, 1.5, 1.75, 3.0], requires_grad=True)
    network = MLPS["plain"]
    (type_,) = {quantised(network, ROWS.x)[1][model.Place(0, "weight")]}
    low, high = -float(type_.max_raw), float(type_.max_raw)
    values = torch.cat([x * type_.lsb, torch.tensor([low, high, low - 1, 0.5, 1.5]) * type_.lsb])
    values = values.detach().requires_grad_()
    ours = padded._snap()(values, *(torch.tensor(v) for v in (2.0**type_.frac, low, high)))
    theirs = snapper({model.Place(0, "weight"): type_})(model.Place(0, "weight"), values)
    assert (ours == theirs).all()
    assert (
        torch.autograd.grad(ours.sum(), values)[0] == torch.autograd.grad(theirs.sum(), values)[0]
    ).all()


@pytest.mark.parametrize(
    ("outputs", "task"), [(1, "classification"), (1, "regression"), (3, "regression")]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_training_ends_where_torch_ends(outputs, task, weighted):
    shown = lesson(rows(weighted=weighted, outputs=outputs, task=task), 10)
    networks = [
        Network((WORDS,), (Dense(8, True, "relu"), Dense(outputs, bits=None))),
        Network((WORDS,), (Dense(5, False, "sigmoid"), Dense(outputs, bits=None))),
        Network((WORDS,), (Dense(outputs, bits=None),)),
    ]
    params = [begin(n) for n in networks]
    for network, mine, ours in zip(
        networks, params, fit(networks, params, shown, device="cpu"), strict=True
    ):
        same(ours, alone(network, mine, shown))


def same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine, other, strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def test_zeros_stay_zero_and_l1_pulls_as_in_torch():
    networks = [MLPS["every activation"], MLPS["linear"], MLPS["plain"], MLPS["plain"]]
    shown = replace(lesson(ROWS, 10), l1=0.01, sparse=True)
    params, plans = zip(*(quantised(n, shown.rows.x) for n in networks), strict=True)
    for weight, bias in (pair for mine in params[:-1] for pair in mine):
        weight[:, ::3] = 0
        bias[0] = 0
    found = fit(networks, params, shown, plans, "cpu")
    for network, begun, plan, ours in zip(networks, params, plans, found, strict=True):
        same(ours, alone(network, begun, shown, plan))
        kept = pack.flat(network, begun) == 0
        assert ((pack.flat(network, ours) == 0) == kept).all()


def test_what_is_padded_stays_zero():
    """A sigmoid of 0 is no 0: what reads a neuron that is not there would learn from it."""
    networks = [
        Network((WORDS,), (Dense(width, True, "sigmoid"), Dense(5, bits=None))) for width in (3, 9)
    ]
    shown = lesson(ROWS, 10)
    together = fit(networks, [begin(n) for n in networks], shown, device="cpu")
    for network, ours in zip(networks, together, strict=True):
        same(ours, alone(network, begin(network), shown))


def test_a_network_that_diverges_is_told_and_others_go_on():
    networks, shown = [MLPS["plain"], MLPS["plain"]], lesson(ROWS)
    params = [begin(n) for n in networks]
    whole = fit(networks, params, shown, device="cpu")
    params[0][0][0][0, 0] = float("inf")
    broken, beside = fit(networks, params, shown, device="cpu")
    assert isinstance(broken, TrainingError)
    assert "diverged: the loss is nan at step 0 of 30" in str(broken)
    assert pack.flat(networks[1], beside).tolist() == pack.flat(networks[1], whole[1]).tolist()


def test_the_same_training_gives_the_same_bits():
    networks, shown = list(SETS.values()), lesson(ROWS)
    params = [begin(n) for n in networks]
    before = [pack.flat(n, p).tolist() for n, p in zip(networks, params, strict=True)]
    first, second = (fit(networks, params, shown, device="cpu") for _ in range(2))
    for network, a, b in zip(networks, first, second, strict=True):
        assert pack.flat(network, a).tolist() == pack.flat(network, b).tolist()
    assert before == [pack.flat(n, p).tolist() for n, p in zip(networks, params, strict=True)]


@pytest.mark.parametrize("snaps", [False, True], ids=["float", "quantised"])
def test_all_tensors_are_on_the_device(monkeypatch, snaps):
    """On torch's device without data a step runs, and refuses what lies elsewhere."""
    optimiser = torch.optim.AdamW
    slow = {"fused": False, "foreach": False}
    monkeypatch.setattr(torch.optim, "AdamW", lambda p, **k: optimiser(p, **{**k, **slow}))
    networks, shown = list(SETS.values()), replace(lesson(ROWS, 3), l1=0.1, sparse=True)
    begun = [quantised(n, shown.rows.x) if snaps else (begin(n), None) for n in networks]
    params, plans = zip(*begun, strict=True)
    made = pack.program(networks, norms=not snaps)
    grids = pack.grids(networks, plans) if snaps else pack.no_grids(made)
    flat = np.concatenate([pack.flat(n, p) for n, p in zip(networks, params, strict=True)])
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        padded.train(made, grids, shown, flat, np.zeros((3, 3)), "meta")


def test_groups_are_of_one_form_and_images_stay_where_they_were():
    layers = (Conv(3, 3, True, "relu"), Flatten(), Dense(5, bits=None))
    network = Network((1, 4, 6), layers)
    assert not padded.pads(network)
    assert trainer._groups([network, network], "cpu") == [([0, 1], None)]
    mixed = [MLPS["plain"], MLPS["linear"], MLPS["plain"]]
    assert trainer._groups(mixed, "cpu") == [([0, 2], "cpu"), ([1], "cpu")]
    assert trainer._groups(mixed, None) == [([0, 1, 2], None)]


def test_a_device_that_fails_is_the_reason(monkeypatch):
    """Out of memory with others beside it is not the end of a network."""

    def train(made, *_):
        if len(made.first) > 2 or made.outputs[0] == 8:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(padded, "train", train)
    other = replace(MLPS["plain"], layers=(Dense(6), *MLPS["plain"].layers[1:]))
    networks = [MLPS["plain"], other]
    broken, beside = fit(networks, [begin(n) for n in networks], lesson(ROWS), device="cpu")
    assert str(broken) == "training ended with OutOfMemoryError: CUDA out of memory"
    assert pack.flat(other, beside).tolist() == pack.flat(other, begin(other)).tolist()


@pytest.mark.parametrize("there", [False, True])
def test_the_device_is_the_gpu_if_torch_finds_one(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert trainer.device() == ("cuda" if there else None)


def test_jobs_train_on_that_device(monkeypatch):
    devices, train = [], padded.train

    def spied(*args):
        devices.append(args[-1])
        train(*args)

    monkeypatch.setattr(padded, "train", spied)
    monkeypatch.setattr(jobs, "device", lambda: "cpu")
    networks = [MLPS["plain"], MLPS["linear"]]
    begun = jobs.in_float(networks, ROWS, 3, 0)
    found = jobs.train_on(networks, begun, lesson(ROWS, 3))
    assert devices == ["cpu"] * 4
    assert [plan for plan, _ in found] == [plan for plan, _ in begun]
