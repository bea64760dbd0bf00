"""A lowered Brevitas network returns what the module returns: every raw integer is equal."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from brevitas.inject.enum import FloatToIntImplType
from brevitas.nn import QuantHardSwish, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFloat,
    Int32Bias,
    ShiftedUint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from torch import nn

from nacsr.data.words import Feature, Scaling, standardise
from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural import qat
from nacsr.frontends.neural.lowering.lower import from_brevitas, read_module
from nacsr.frontends.neural.model import Place
from nacsr.frontends.neural.space import Dense, Network
from nacsr.frontends.stem import scores
from nacsr.ir import parse

EVENTS = 1_000


def folded(count, seed=0):
    """Features of different types and a scaling that the design does itself."""
    rng = np.random.default_rng(seed)
    types = [
        Fixed(int(rng.integers(8, 17)), int(rng.integers(-3, 12)), j % 2 == 0) for j in range(count)
    ]
    features = tuple(Feature(f"f{j}", t) for j, t in enumerate(types))
    offsets = tuple(int(rng.integers(t.min_raw // 2, t.max_raw // 2)) for t in types)
    # leaves values of the order of one
    return features, Scaling("folded", offsets, tuple(t.integer - 2 for t in types))


def random_words(features, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack(
        [rng.integers(f.type.min_raw, f.type.max_raw + 1, EVENTS) for f in features], axis=1
    )


def assert_equal_bits(module, features, scaling, seed=1):
    """Raw integers on the output's own grid, from random words."""
    graph = from_brevitas(module, features, scaling)
    words = random_words(features, seed)
    raw = scores(graph, features, words)
    wanted = qat.outputs(module, standardise(words, features, scaling))
    out = graph.ops[graph.outputs[0][1]].type
    assert (raw == np.ldexp(wanted, out.frac)).all()
    assert len(np.unique(raw)) > 3, "a constant design proves nothing"
    assert parse(str(graph)) == graph
    return graph


def calibrated(module, count, seed=2):
    """Scales that Brevitas learns from data exist only after a look at some."""
    x = torch.randn(256, count, generator=torch.Generator().manual_seed(seed))
    module.train()
    for _ in range(3):
        module(x)
    return module.eval()


def constant_scales(rng, sizes):
    """A module as the search builds it, with random types."""
    modes = (Rounding.RND_CONV, Overflow.SAT)
    layers, plan, params = [], {}, []
    for k, (a, b) in enumerate(pairwise(sizes)):
        bits = rng.integers(3, 11, 2).tolist()
        given = Fixed(bits[0], int(rng.integers(1, 4)), k == 0, *modes)
        weight = Fixed(bits[1], int(rng.integers(0, 3)), True, modes[0], Overflow.SAT_SYM)
        frac = given.frac + weight.frac
        bias = Fixed(24, 24 - frac, True, modes[0], Overflow.SAT_SYM)
        plan |= {Place(k - 1, "after"): given, Place(k, "weight"): weight, Place(k, "bias"): bias}
        layers.append(Dense(b, False, "relu" if k < len(sizes) - 2 else "none"))
        draws = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
        params.append((torch.randn(b, a, generator=draws), torch.randn(b, generator=draws)))
    return qat.build(Network((sizes[0],), tuple(layers)), plan, params)


@pytest.mark.parametrize("seed", range(12))
def test_networks_of_the_search(seed):
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(2, 24, 2 + seed % 3)]
    module = constant_scales(rng, sizes)
    assert_equal_bits(module, *folded(sizes[0], seed), seed=seed)


@pytest.mark.parametrize("bits", [3, 4, 6, 8, 10])
@pytest.mark.parametrize("bias", ["none", "own scale", "scale of the input"])
@pytest.mark.parametrize("depth", [1, 3])
def test_networks_of_a_user(bits, bias, depth):
    """Brevitas' own quantisers, whose scales come from statistics."""
    quantisers = {
        "none": None,
        "own scale": Int8BiasPerTensorFixedPointInternalScaling,
        "scale of the input": Int32Bias,
    }
    torch.manual_seed(bits)
    tensors = bias == "scale of the input"
    layers = [
        QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=tensors
        )
    ]
    for k in range(depth):
        layers.append(
            QuantLinear(
                7 if k == 0 else 9,
                9 if k < depth - 1 else 4,
                bias=bias != "none",
                weight_quant=Int8WeightPerTensorFixedPoint,
                weight_bit_width=bits,
                bias_quant=quantisers[bias],
            )
        )
        if k < depth - 1:
            layers.append(
                QuantReLU(
                    act_quant=Uint8ActPerTensorFixedPoint,
                    bit_width=bits,
                    return_quant_tensor=tensors,
                )
            )
    module = calibrated(nn.Sequential(*layers), 7)
    assert_equal_bits(module, *folded(7, bits))


@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND_TO_ZERO"])
def test_other_roundings(rounding):
    torch.manual_seed(1)
    act = Int8ActPerTensorFixedPoint.let(
        float_to_int_impl_type=FloatToIntImplType[rounding], narrow_range=True
    )
    linear = QuantLinear(5, 3, bias=False, weight_quant=Int8WeightPerTensorFixedPoint)
    module = calibrated(nn.Sequential(QuantIdentity(act_quant=act), linear), 5)
    graph = assert_equal_bits(module, *folded(5))
    assert any(op.name == "cast" and op.type.overflow == "SAT_SYM" for op in graph.ops)


def test_scales_of_channels_inner_quantisers_and_nesting():
    torch.manual_seed(2)
    first = QuantLinear(
        6,
        8,
        bias=False,
        weight_quant=Int8WeightPerChannelFixedPoint,
        input_quant=Int8ActPerTensorFixedPoint,
        output_quant=Int8ActPerTensorFixedPoint,
    )
    with torch.no_grad():
        first.weight *= torch.logspace(-4, 4, 8, base=2)[:, None]
    last = QuantLinear(8, 3, bias=False, weight_quant=Int8WeightPerTensorFixedPoint)
    inner = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Identity(), last)
    assert_equal_bits(calibrated(nn.Sequential(first, inner), 6), *folded(6))


def test_inputs_that_are_standardised_outside():
    module = constant_scales(np.random.default_rng(3), [5, 8, 3])
    network = read_module(module, Fixed(16, 6))
    assert [f.name for f in network.features] == ["x0", "x1", "x2", "x3", "x4"]
    assert network.title == "5-8-3"
    zeros = (0,) * 5
    graph = assert_equal_bits(module, network.features, Scaling("external", zeros, zeros))
    assert graph == network.graph
    assert not {op.name for op in graph.ops} & {"sub", "mul"}


def test_lowering_leaves_the_training_mode():
    module = constant_scales(np.random.default_rng(3), [5, 3]).train()
    from_brevitas(module, *folded(5))
    assert module.training


WEIGHT = Int8WeightPerTensorFixedPoint
ACT = Int8ActPerTensorFixedPoint
REFUSED = {
    "weights not quantised": (nn.Linear(4, 2), "layer 1 .Linear.*not quantised; use QuantLinear"),
    "weight_quant off": (QuantLinear(4, 2, bias=False, weight_quant=None), "unquantised weights"),
    "bias not quantised": (QuantLinear(4, 2, weight_quant=WEIGHT), "unquantised bias; give it"),
    "weight scale": (
        QuantLinear(4, 2, bias=False, weight_quant=Int8WeightPerTensorFloat),
        "weight scale 0.* is not a power of two",
    ),
    "activation scale": (QuantIdentity(act_quant=Int8ActPerTensorFloat), "is not a power of two"),
    "zero point": (QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint), "zero point"),
    "unsigned and narrow": (
        QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, narrow_range=True),
        "narrow_range",
    ),
    "rounding": (
        QuantIdentity(act_quant=ACT, float_to_int_impl_type=FloatToIntImplType.CEIL),
        "rounds by CEIL",
    ),
    "BatchNorm": (nn.BatchNorm1d(4), "layer 1 .BatchNorm1d.*fold the BatchNorm"),
    "no table": (QuantHardSwish(act_quant=ACT), "layer 1 .QuantHardSwish. cannot be lowered"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    layer, message = REFUSED[case]
    module = calibrated(nn.Sequential(QuantIdentity(act_quant=ACT), layer), 4)
    with pytest.raises(GraphError, match=message):
        from_brevitas(module, *folded(4))


def test_a_bias_on_the_grid_of_an_unknown_input():
    layers = [QuantLinear(4, 2, weight_quant=WEIGHT, bias_quant=Int32Bias)]
    with pytest.raises(GraphError, match=r"layer 0 .*its input, which is not quantised"):
        from_brevitas(nn.Sequential(*layers), *folded(4))


def test_modules_whose_order_is_not_known():
    with pytest.raises(GraphError, match=r"cannot read ModuleList .* nn\.Sequential"):
        from_brevitas(nn.ModuleList(), *folded(4))
