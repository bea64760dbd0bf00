"""Training: fake quantisers are Fixed, BatchNorm folds, seeds decide everything."""

import numpy as np
import pytest
import torch

from nacsr.data.events import Events
from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.goal import Rows, Units
from nacsr.frontends.neural.lower import from_brevitas, network
from nacsr.frontends.neural.space import Mlp
from nacsr.frontends.neural.train import (
    TrainingError,
    _fold,
    _initial,
    _quantise,
    batch_size,
    in_units,
    lowered,
    plan,
    quantised_forward,
    train_float,
    train_quantised,
    useful_steps,
)
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


@pytest.mark.parametrize(
    "t",
    [
        Fixed(8, 3, True, Rounding.RND_CONV, Overflow.SAT),
        Fixed(4, 1, True, Rounding.RND_CONV, Overflow.SAT_SYM),
        Fixed(6, -2, True, Rounding.RND_CONV, Overflow.SAT_SYM),
        Fixed(5, 7, False, Rounding.RND_CONV, Overflow.SAT),
        Fixed(24, 10, True, Rounding.RND_CONV, Overflow.SAT_SYM),
    ],
    ids=str,
)
def test_the_fake_quantiser_is_fixed(t):
    ties = np.arange(-40, 40) * t.lsb / 2
    values = np.random.default_rng(1).normal(0, t.max, 5_000).astype(np.float32)
    x = np.concatenate([values, ties.astype(np.float32), np.float32([t.max * 3, t.min * 3])])
    found = _quantise(torch.from_numpy(x), t).numpy()
    assert (found == t.quantize(x.astype(np.float64))).all()


def test_the_gradient_passes_inside_the_range_only():
    t = Fixed(4, 4, False, Rounding.RND_CONV, Overflow.SAT)
    x = torch.tensor([-1.0, 0.4, 7.3, 16.0], requires_grad=True)
    _quantise(x, t).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_folding_batchnorm_keeps_the_function():
    draws = generator()
    layers = [_initial(6, 8, draws), _initial(8, 3, draws)]
    gains = [torch.rand(8, generator=draws) + 0.5]
    x = torch.randn(500, 6, generator=draws)
    with torch.no_grad():
        (w, b), (v, c) = layers
        z = torch.nn.functional.batch_norm(x @ w.T, None, None, gains[0], b, training=True)
        wanted = torch.relu(z) @ v.T + c
        (fw, fb), (fv, fc) = _fold(layers, gains, x)
        found = torch.relu(x @ fw.T + fb) @ fv.T + fc
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batchnorm", [False, True])
@pytest.mark.parametrize("widths", [(8,), (16, 8, 8)])
def test_the_trained_network_is_the_lowered_network(widths, batchnorm):
    mlp = Mlp(widths, "relu", batchnorm, 6, 8)
    events, draws = rows(), generator()
    layers = train_float(mlp, events, 40, draws)
    types = plan(mlp, layers, events.x)
    layers = train_quantised(types, layers, events, 40, draws)
    graph = network(FEATURES, EXTERNAL, lowered(types, layers))
    fresh = words(4_000, seed=9)
    with torch.no_grad():
        wanted = quantised_forward(types, layers, torch.from_numpy(WORD.to_float(fresh)).float())
    out = graph.ops[graph.outputs[0][1]].type
    assert (out.to_float(scores(graph, FEATURES, fresh)) == wanted.double().numpy()).all()


def test_training_learns():
    mlp, events, draws = Mlp((16,), "relu", True, 8, 8), rows(3_000), generator()
    layers = train_float(mlp, events, 150, draws)
    types = plan(mlp, layers, events.x)
    layers = train_quantised(types, layers, events, 100, draws)
    with torch.no_grad():
        right = quantised_forward(types, layers, events.x).argmax(1) == events.y
    assert right.float().mean() > 0.85


def test_the_plan_has_the_bits_of_the_genotype():
    mlp, events = Mlp((8, 8), "relu", False, 5, 7), rows()
    types = plan(mlp, train_float(mlp, events, 5, generator()), events.x)
    assert [t.width for t in types.inputs] == [7, 7, 7]
    assert [t.signed for t in types.inputs] == [True, False, False]
    assert {t.width for t in types.weights} == {5}
    assert [b.frac for b in types.biases] == [
        x.frac + w.frac for x, w in zip(types.inputs, types.weights, strict=True)
    ]


def test_the_generator_alone_decides():
    mlp, events = Mlp((8,), "relu", True, 6, 8), rows()
    before = torch.random.get_rng_state()
    torch.manual_seed(3)
    first = train_float(mlp, events, 20, generator(5))
    torch.manual_seed(4)
    state = torch.random.get_rng_state()
    again = train_float(mlp, events, 20, generator(5))
    other = train_float(mlp, events, 20, generator(6))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.random.set_rng_state(before)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_divergence_is_an_error_with_the_step():
    events = rows()
    events.x[:, 0] = float("nan")
    with pytest.raises(TrainingError, match="diverged: the loss is nan at step 0 of 20"):
        train_float(Mlp((8,)), events, 20, generator())


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
    assert units == Units(91.25, 1)  # to 1/16 of 2
    heavy = np.where(y > 92, 3.0, 0.0)
    assert Units.of(events_of(y, heavy)).centre == pytest.approx(y[y > 92].mean(), abs=0.1)
    assert Units.of(events_of(y * 1e-6)).shift == 1 - 20
    assert Units.of(events_of(np.full(600, 3.0))).shift == 0


def test_targets_are_standardised_exactly_where_float32_holds_them():
    y = np.random.default_rng(2).integers(-500, 500, 600) / 4 + 1_000
    made = Rows.of(np.zeros((600, 1)), events_of(y), 1, "regression")
    assert (made.y.double().numpy() * 2.0**made.units.shift + made.units.centre == y).all()
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
    ((_, _), (_, bias)) = train_float(Mlp((4,)), made, 60, generator())
    assert (bias.item() > 0) == (light == 0)


@pytest.mark.parametrize(
    ("centre", "spread"), [(91.0, 2.5), (0.0, 1.0), (-3e5, 40.0), (1e-4, 1e-6), (5.0, 1e4)]
)
def test_a_regression_in_its_units_is_the_same_network(centre, spread):
    raw = words()
    y = centre + spread * (WORD.to_float(raw)[:, 0] / 4 + np.sin(raw[:, 1]) / 8)
    events, draws = Rows.of(WORD.to_float(raw), events_of(y), 1, "regression"), generator()
    units = events.units
    layers = train_float(Mlp((8,)), events, 40, draws)
    types = plan(Mlp((8,)), layers, events.x)
    layers = train_quantised(types, layers, events, 20, draws)
    moved = in_units(types, layers, units)
    fresh = WORD.to_float(words(2_000, seed=9))
    with torch.no_grad():
        standard = quantised_forward(types, layers, torch.from_numpy(fresh).float())
    wanted = standard.double().numpy() * 2.0**units.shift + units.centre
    graph = network(FEATURES, EXTERNAL, lowered(*moved))
    out = graph.ops[graph.outputs[0][1]].type
    assert (out.to_float(scores(graph, FEATURES, words(2_000, seed=9))) == wanted).all()
    module = qat.build(types, layers).eval()
    assert (qat.outputs(module, fresh) == standard.double().numpy()).all()
    module = qat.build(*in_units(types, qat.layers(module), units)).eval()
    assert (qat.outputs(module, fresh) == wanted).all()
    lowered_module = from_brevitas(module, FEATURES, EXTERNAL)
    out = lowered_module.ops[lowered_module.outputs[0][1]].type
    assert (out.to_float(scores(lowered_module, FEATURES, words(2_000, seed=9))) == wanted).all()


def test_a_classifier_has_no_units():
    events = rows()
    layers = train_float(Mlp((4,)), events, 5, generator())
    types = plan(Mlp((4,)), layers, events.x)
    assert in_units(types, layers, None) == (types, layers)
