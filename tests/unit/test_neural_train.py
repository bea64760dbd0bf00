"""Lessons, losses, units and fake quantisers of the network family."""

import numpy as np
import pytest
import torch

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural import chain, model, qat
from nacsr.frontends.neural.goal import Rows, Units
from nacsr.frontends.neural.lessons import batch_size, lesson, useful_steps
from nacsr.frontends.neural.lowering.lower import from_brevitas
from nacsr.frontends.neural.plan import in_units, make_plan, quantise, snapper
from nacsr.frontends.neural.population.trainer import fit
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import scores

WORD = Fixed(12, 4)
EXTERNAL = Scaling("external", (0,) * 6, (0,) * 6)
FEATURES = tuple(Feature(f"x{i}", WORD) for i in range(6))


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def words(events=600, seed=0):
    return np.random.default_rng(seed).integers(WORD.min_raw, WORD.max_raw + 1, (events, 6))


def rows(events=600):
    """Three classes told apart by a linear rule of the words."""
    raw = words(events)
    return Rows.of(WORD.to_float(raw), Events(raw, raw[:, :3].argmax(1)), 3, "classification")


def mlp(width, outputs):
    return Network((6,), (Dense(width, True, "relu"), Dense(outputs, bits=None)))


def trained(network, events, first=40, second=20):
    """Plan and parameters after both parts of a training."""
    (learnt,) = fit(
        [network], [model.initial(network, generator())], lesson(events, first, 1e-2, 1)
    )
    params = model.fold(network, learnt, events.x)
    plan = make_plan(network, params, events.x)
    (learnt,) = fit([network], [params], lesson(events, second, 5e-3, 2), [plan])
    return plan, learnt


@pytest.mark.parametrize(
    "t",
    [
        Fixed(8, 3, True, Rounding.RND_CONV, Overflow.SAT),
        Fixed(4, 1, True, Rounding.RND_CONV, Overflow.SAT_SYM),
        Fixed(6, -2, True, Rounding.RND_CONV, Overflow.SAT_SYM),
        Fixed(5, 7, False, Rounding.RND_CONV, Overflow.SAT),
        Fixed(22, 10, True, Rounding.RND_CONV, Overflow.SAT_SYM),
    ],
    ids=str,
)
def test_the_fake_quantiser_is_fixed(t):
    ties = np.arange(-40, 40) * t.lsb / 2
    values = np.random.default_rng(1).normal(0, t.max, 5_000).astype(np.float32)
    x = np.concatenate([values, ties.astype(np.float32), np.float32([t.max * 3, t.min * 3])])
    found = quantise(torch.from_numpy(x), t).numpy()
    assert (found == t.to_float(t.quantize(x.astype(np.float64)))).all()


def test_the_gradient_passes_inside_the_range_only():
    t = Fixed(4, 4, False, Rounding.RND_CONV, Overflow.SAT)
    x = torch.tensor([-1.0, 0.4, 7.3, 16.0], requires_grad=True)
    quantise(x, t).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_training_learns():
    network, events = mlp(16, 3), rows(3_000)
    plan, params = trained(network, events, 150, 100)
    with torch.no_grad():
        right = model.run(network, params, events.x, snapper(plan)).argmax(1) == events.y
    assert right.float().mean() > 0.85


def test_a_lesson_shows_every_event_once_before_any_again():
    shown = lesson(rows(), 40, 1e-2, 3)
    batch = batch_size(600)
    epoch = 600 // batch
    assert shown.order.shape == (40, batch)
    for begin in (0, epoch):
        assert len(np.unique(shown.order[begin : begin + epoch])) == epoch * batch
    assert (lesson(rows(), 40, 1e-2, 3).order == shown.order).all()
    assert (lesson(rows(), 40, 1e-2, 4).order != shown.order).any()
    assert shown.rates[0] == 1e-2
    assert (np.diff(shown.rates) < 0).all()


@pytest.mark.parametrize(
    ("events", "batch", "steps"),
    [(93_000, 1_024, 5_000), (6_000, 256, 2_813), (600, 32, 2_250), (20, 20, 120)],
)
def test_small_sets_get_small_batches_and_a_limit(events, batch, steps):
    assert batch_size(events) == batch
    assert useful_steps(5_000, events) == steps  # no event is seen more than 120 times


# ---- other tasks, and weights


def events_of(y, weights=None, count=600):
    return Events(words(count), y, weights)


def test_units_are_the_mean_and_a_power_of_two():
    y = np.random.default_rng(2).normal(91.2, 2.4, 5_000)
    units = Units.of(events_of(y))
    assert units == Units((91.25,), 1)  # to 1/16 of 2
    heavy = np.where(y > 92, 3.0, 0.0)
    assert Units.of(events_of(y, heavy)).centre[0] == pytest.approx(y[y > 92].mean(), abs=0.1)
    assert Units.of(events_of(y * 1e-6)).shift == 1 - 20
    assert Units.of(events_of(np.full(600, 3.0))).shift == 0


def test_targets_are_standardised_exactly_where_float32_holds_them():
    y = np.random.default_rng(2).integers(-500, 500, 600) / 4 + 1_000
    made = Rows.of(np.zeros((600, 1)), events_of(y), 1, "regression")
    back = made.y[:, 0].double().numpy() * 2.0**made.units.shift + made.units.centre[0]
    assert (back == y).all()
    assert made.y.std() < 1.5


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_whole_weight_is_a_repeated_event(task):
    raw, times = words(), np.random.default_rng(3).integers(0, 4, 600)
    y = {"regression": raw[:, 0] / 7.0, "binary": raw[:, 0] > 0, "multiclass": raw.argmax(1)}[task]
    outputs, kind = {"regression": (1, task), "binary": (1, ""), "multiclass": (6, "")}[task]
    once = Rows.of(raw * 0.5, Events(raw, y, times.astype(float)), outputs, kind)
    many = np.repeat(np.arange(600), times)
    units = once.units
    found = torch.randn(600, outputs, generator=generator(), dtype=torch.float64)
    repeated = Rows(once.x[many], once.y[many], outputs, None, units)
    index = torch.arange(600)
    one = once.loss(found, index) * 600
    more = repeated.loss(found[torch.from_numpy(many)], torch.arange(len(many))) * len(many)
    torch.testing.assert_close(one, more, rtol=1e-6, atol=0)


def test_the_cross_entropy_of_one_output_is_that_of_two():
    raw = words()
    y = (raw[:, 0] > 0).astype(np.int64)
    two, one = (Rows.of(WORD.to_float(raw), events_of(y), n, "classification") for n in (2, 1))
    found = torch.randn(600, 1, generator=generator())
    index = torch.arange(600)
    both = torch.cat([torch.zeros(600, 1), found], 1)
    torch.testing.assert_close(one.loss(found, index), two.loss(both, index))


@pytest.mark.parametrize("light", [0, 1])
def test_weights_are_learnt(light):
    """Two classes that no input tells apart: the heavier one is guessed."""
    y = np.arange(600) % 2
    events = events_of(y, np.where(y == light, 0.25, 1.75))
    made = Rows.of(np.zeros((600, 6)), events, 1, "classification")
    network = Network((6,), (Dense(4, False, "relu"), Dense(1, bits=None)))
    start = model.initial(network, generator())
    (learnt,) = fit([network], [start], lesson(made, 60, 1e-2, 1))
    assert (learnt[-1][1].item() > 0) == (light == 0)


@pytest.mark.parametrize(
    ("centre", "spread"), [(91.0, 2.5), (0.0, 1.0), (-3e5, 40.0), (1e-4, 1e-6), (5.0, 1e4)]
)
def test_a_regression_in_its_units_is_the_same_network(centre, spread):
    raw, network = words(), mlp(8, 1)
    y = centre + spread * (WORD.to_float(raw)[:, 0] / 4 + np.sin(raw[:, 1]) / 8)
    events = Rows.of(WORD.to_float(raw), events_of(y), 1, "regression")
    units = events.units
    plan, params = trained(network, events)
    moved = in_units(network, plan, params, units)
    fresh = WORD.to_float(words(2_000, seed=9))
    with torch.no_grad():
        standard = model.run(network, params, torch.from_numpy(fresh).float(), snapper(plan))
    wanted = standard.double().numpy() * 2.0**units.shift + units.centre

    def design(graph):
        out = graph.ops[graph.outputs[0][1]].type
        return out.to_float(scores(graph, FEATURES, words(2_000, seed=9)))

    assert (design(chain.lower(network, *moved, FEATURES, EXTERNAL)) == wanted).all()
    module = qat.build(network, plan, params).eval()
    assert (qat.outputs(module, fresh) == standard.double().numpy()).all()
    again = in_units(network, plan, qat.parameters(network, module), units)
    module = qat.build(network, *again).eval()
    assert (qat.outputs(module, fresh) == wanted).all()
    assert (design(from_brevitas(module, FEATURES, EXTERNAL)) == wanted).all()
