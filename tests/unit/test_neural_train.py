"""Training: fake quantisers are Fixed, BatchNorm folds, seeds decide everything."""

import numpy as np
import pytest
import torch

from nacsr.data.words import Feature, Scaling
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural.lower import network
from nacsr.frontends.neural.space import Mlp
from nacsr.frontends.neural.train import (
    Rows,
    TrainingError,
    _fold,
    _initial,
    _quantise,
    batch_size,
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
    return Rows.of(WORD.to_float(raw), raw[:, :3].argmax(1), 3)


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
