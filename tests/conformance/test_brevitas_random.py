"""Random modules: layers of every kind in any order, on vectors, sets and images."""

from __future__ import annotations

import random

import pytest
import torch
from brevitas.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantLinear,
)
from torch import nn

from tests.conformance.brevitas_nets import (
    Net,
    W,
    act,
    assert_equal_bits,
    calibrated,
    relu,
)


class Side(nn.Module):
    """Two branches that meet."""

    def __init__(self, a, b, meet):
        super().__init__()
        self.a, self.b, self.meet = a, b, meet

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        return a + b if self.meet == "add" else torch.cat([a, b], 1)


def _linear(r, shape):
    return [act(5), QuantLinear(shape[-1], r.choice([2, 5]), bias=r.random() < 0.5, **W), act()]


def _conv(r, shape):
    kind, rank = (QuantConv1d, 1) if len(shape) == 2 else (QuantConv2d, 2)
    kernel = tuple(r.choice([1, 3]) for _ in range(rank))
    padding = r.choice([0, 1, "same"])
    more = {"stride": r.choice([1, 2]), "dilation": 1 if padding == "same" else r.choice([1, 2])}
    groups = r.choice([1, 2]) if shape[0] % 2 == 0 else 1
    outputs = r.choice([2, 4])
    return [act(5), kind(shape[0], outputs, kernel, padding=padding, groups=groups, **more, **W)]


def _pool(r, shape):
    size = r.choice([1, 2, 3])
    kinds = (nn.MaxPool1d, nn.AvgPool1d) if len(shape) == 2 else (nn.MaxPool2d, nn.AvgPool2d)
    pool = r.choice(kinds)(size, stride=r.choice([None, 1, 2]), padding=r.choice([0, size // 2]))
    return [act(5), pool, act()]


def _global(r, shape):
    return [(nn.AdaptiveAvgPool1d if len(shape) == 2 else nn.AdaptiveAvgPool2d)(1), act()]


def _permute(r, shape):
    axes = [k + 1 for k in range(len(shape))]
    r.shuffle(axes)
    return [Net(lambda m, x: x.permute(0, *axes))]


def _slice(r, shape):
    begin = r.randrange(shape[-1])
    return [Net(lambda m, x: x[..., begin:])]


def _reduce(r, shape):
    axis, name = r.randrange(len(shape)) + 1, r.choice(["sum", "mean", "amax"])
    return [act(5), Net(lambda m, x: getattr(x, name)(dim=axis)), act()]


def _sides(r, shape):
    a, b = (nn.Sequential(*r.choice([_linear, _slice, _conv])(r, shape)) for _ in range(2))
    return [act(5), Side(a, b, r.choice(["add", "concat"])), act()]


ANY = (
    _linear,
    _slice,
    lambda r, shape: [relu(r.choice([4, 6]), return_quant_tensor=r.random() < 0.5)],
    lambda r, shape: [nn.LeakyReLU(2.0 ** -r.choice([1, 3])), act()],
    lambda r, shape: [act(6), nn.Tanh(), act(5)],
    lambda r, shape: [nn.Dropout(0.3)],
)
TENSORS = (_conv, _pool, _global, _permute, _reduce, _sides, lambda r, shape: [nn.Flatten()])
SHAPES = ((6,), (3, 8), (4, 6), (2, 6, 6), (1, 8, 5))


def random_module(seed):
    """A module of a few layers and the shape of its input; layers that do not fit are left out."""
    r = random.Random(seed)
    torch.manual_seed(seed)
    shape = first = r.choice(SHAPES)
    layers = [act()]
    for _ in range(r.randint(3, 7)):
        more = r.choice(ANY + TENSORS * (len(shape) > 1))(r, shape)
        try:
            found = nn.Sequential(*layers, *more)(torch.randn(5, *first))
        except (RuntimeError, TypeError):  # sizes that do not fit; QuantTensors have no slices
            continue
        if found.shape[0] == 5 and bool((getattr(found, "value", found) != 0).any()):
            layers, shape = [*layers, *more], tuple(found.shape[1:])
    return nn.Sequential(*layers, Net(lambda m, x: x * 1)), first


def check(seed):
    module, shape = random_module(seed)
    assert_equal_bits(calibrated(module, shape), shape, varied=False)


@pytest.mark.parametrize("seed", range(8))
def test_random_modules(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_random_modules(seed):
    check(seed)
