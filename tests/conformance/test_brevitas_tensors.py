"""Modules of any shape: convolutions, pooling, functions; every raw integer is equal.

``read_module`` compares a few events itself; here are more, and words of both ends.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantEltwiseAdd,
    QuantLinear,
    QuantSigmoid,
    QuantTanh,
)
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn
from torch.nn import functional

from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.neural.lowering.lower import from_module, read_module
from nacsr.ir import evaluate
from tests.conformance.brevitas_nets import (
    EVENTS,
    Net,
    W,
    act,
    assert_equal_bits,
    calibrated,
    names,
    parameters,
    relu,
)

# --- convolutions ----------------------------------------------------------------------


@pytest.mark.parametrize("bits", [3, 6, 8])
@pytest.mark.parametrize("pool", ["max", "average"])
def test_cnn(bits, pool):
    torch.manual_seed(bits)
    pooling = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)
    module = nn.Sequential(
        act(bits),
        QuantConv2d(2, 4, 3, padding=1, **parameters(bits)),
        relu(bits),
        pooling,
        QuantConv2d(4, 3, (2, 3), stride=(1, 2), **parameters(bits)),
        nn.LeakyReLU(0.125),
        act(bits),
        nn.Flatten(),
        QuantLinear(12, 5, **parameters(bits)),
    )
    graph = assert_equal_bits(calibrated(module, (2, 6, 10)), (2, 6, 10))
    # the dense layer takes its inputs as they lie: flattening moves nothing
    assert "take" not in names(graph)
    assert graph.ops[0].shape == (6, 10, 2)
    kind = "max" if pool == "max" else "sum"
    title = read_module(module, None, (2, 6, 10)).title
    assert title == f"6x10x2-conv4-{kind}-conv3-5"


CONVOLUTIONS_1D = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 5, "padding": "same"},
    "same with stride": {"kernel_size": 4, "padding": "same", "stride": 3},
    "padding": {"kernel_size": 3, "padding": 2, "stride": 2},
    "groups": {"kernel_size": 3, "groups": 2},
    "dilation": {"kernel_size": 3, "dilation": 2, "padding": "same"},
    "no bias": {"kernel_size": 1, "bias": False},
}


@pytest.mark.parametrize("case", CONVOLUTIONS_1D)
def test_conv1d(case):
    torch.manual_seed(1)
    module = nn.Sequential(act(), QuantConv1d(4, 6, **CONVOLUTIONS_1D[case], **W), act(5))
    graph = assert_equal_bits(calibrated(module, (4, 11)), (4, 11))
    assert "take" not in names(graph)


CONVOLUTIONS_2D = {
    "same": {"kernel_size": (5, 3), "padding": "same"},
    "same with stride": {"kernel_size": (4, 3), "padding": "same", "stride": (3, 2)},
    "padding": {"kernel_size": 3, "padding": (2, 0), "stride": (1, 2)},
    "depthwise and dilated": {"kernel_size": 2, "groups": 2, "dilation": (1, 2)},
}


@pytest.mark.parametrize("case", CONVOLUTIONS_2D)
def test_conv2d(case):
    torch.manual_seed(1)
    module = nn.Sequential(act(), QuantConv2d(2, 4, **CONVOLUTIONS_2D[case], **W))
    assert_equal_bits(calibrated(module, (2, 7, 8)), (2, 7, 8))


POOLS = {
    "max 1d": ((3, 9), nn.MaxPool1d(3, stride=2)),
    "max padded": ((3, 9), nn.MaxPool1d(3, padding=1)),
    "max 2d padded": ((2, 6, 7), nn.MaxPool2d((2, 3), stride=1, padding=1)),
    "average 1d": ((3, 8), nn.AvgPool1d(4, stride=2)),
    "average padded": ((3, 8), nn.AvgPool1d(4, padding=2)),
    "average of three": ((3, 9), nn.AvgPool1d(3)),
    "average 2d of six": ((2, 6, 6), nn.AvgPool2d((2, 3))),
    "other divisor": ((2, 6, 6), nn.AvgPool2d(3, divisor_override=8)),
    "adaptive average": ((2, 6, 8), nn.AdaptiveAvgPool2d((3, 2))),
    "global average": ((2, 5, 7), nn.AdaptiveAvgPool2d(1)),
    "adaptive maximum": ((3, 8), nn.AdaptiveMaxPool1d(2)),
    "ceil_mode that changes nothing": ((3, 8), nn.MaxPool1d(2, ceil_mode=True)),
}


@pytest.mark.parametrize("case", POOLS)
def test_pools(case):
    shape, pool = POOLS[case]
    assert_equal_bits(calibrated(nn.Sequential(act(), pool, act(5)), shape), shape)


def test_a_power_of_two_average_is_a_shift():
    module = calibrated(nn.Sequential(act(), nn.AvgPool1d(4)), (3, 8))
    assert "mul" not in names(assert_equal_bits(module, (3, 8)))


# --- functions -------------------------------------------------------------------------


def _chunks(m, x):
    a, b = x.chunk(2, dim=1)
    return a - b


CALLS = {
    "relu": lambda m, x: functional.relu(x),
    "leaky_relu": lambda m, x: functional.leaky_relu(x, 0.25),
    "clamp": lambda m, x: x.clamp(-0.5, 0.75),
    "relu6": lambda m, x: functional.relu6(x * 8),
    "residual": lambda m, x: m.q(x * 0.5) + x,
    "minus": lambda m, x: 1 - x / 4 - m.q(x),
    "negative": lambda m, x: -x + abs(x),
    "square": lambda m, x: x**2 - torch.square(x) * 3,
    "in place": lambda m, x: m.q(x).mul_(2),
    "weights of forward": lambda m, x: x * m.factors + m.factors,
    "channel factors": lambda m, x: x * m.factors[:, :1],
    "product": lambda m, x: x * m.q(x[:, :1]),
    "extremes": lambda m, x: torch.maximum(x, m.q(x)) - torch.min(x, m.factors),
    "slice": lambda m, x: x[..., 1:3],
    "steps": lambda m, x: x[:, ::2, -2:],
    "chunks": _chunks,
    "concatenated": lambda m, x: torch.cat([x, m.q(x[..., :2])], dim=-1),
    "concatenated channels": lambda m, x: torch.cat([functional.relu(x), x], 1),
    "concatenated vectors": lambda m, x: torch.cat([x.flatten(1), x.sum(2)], dim=1),
    "stacked": lambda m, x: torch.stack([x[:, 0], x[:, 3]], dim=1),
    "reshaped": lambda m, x: x.view(x.size(0), 2, -1).amax(2),
    "permuted": lambda m, x: x.permute(0, 2, 1).reshape(x.shape[0], -1),
    "flipped and rolled": lambda m, x: torch.flip(x, [1]) + x.roll(1, dims=2),
    "padded": lambda m, x: functional.pad(x, (1, 2)),
    "expanded": lambda m, x: x[:, :, :1].expand(-1, -1, 3) * 0.5,
    "sum": lambda m, x: x.sum(-1, keepdim=True) + x,
    "sum over two axes": lambda m, x: torch.sum(x, dim=(1, 2)),
    "mean of six": lambda m, x: m.q(x.mean(dim=2)),
    "mean and a slice": lambda m, x: m.q(x.mean(dim=2)[:, 1:]),
    "ReLU of a mean": lambda m, x: m.r(x.mean(dim=2)),
    "a third": lambda m, x: m.q(x / 3),
    "maximum": lambda m, x: x.max(dim=1).values - x.max(1)[0] - x.amin(1),
    "where": lambda m, x: torch.where(x > 0.25, x, -0.5),
    "masked": lambda m, x: x.masked_fill(x <= 0, 0.125),
    "functional pools": lambda m, x: functional.max_pool1d(x, 2) - functional.avg_pool1d(x, 2),
    "sine": lambda m, x: m.q(torch.sin(x)),
}


@pytest.mark.parametrize("case", CALLS)
def test_functions(case):
    module = Net(CALLS[case], first=act(), q=act(7), r=relu())
    module.register_buffer("factors", torch.tensor([[0.5, -1.25, 3, 0, 0.375, 7]] * 4)[None])
    whole = nn.Sequential(module.first, module)
    assert_equal_bits(calibrated(whole, (4, 6)), (4, 6))


def test_classes_and_thresholds():
    module = Net(
        lambda m, x: {"logits": m.l(m.q(x)), "class": m.l(m.q(x)).argmax(1), "hit": x[:, 0] > 0.5},
        q=act(),
        l=QuantLinear(5, 4, **W),
    )
    module = calibrated(module, (5,))
    network = read_module(module, Fixed(8, 3))
    raw = np.random.default_rng(1).integers(-128, 128, (EVENTS, 5))
    found = evaluate(network.graph, {"x": raw})
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy(Fixed(8, 3).to_float(raw)))
    types = {n: network.graph.ops[i].type for n, i in network.graph.outputs}
    assert set(found) == {"logits", "class", "hit"}
    for name, raw in found.items():
        assert (types[name].to_float(raw) == wanted[name].numpy()).all()


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.Hardtanh(), nn.ReLU6()])
def test_activations_by_table(layer):
    module = nn.Sequential(act(7), QuantLinear(4, 3, **W), act(8), layer, act(6))
    graph = assert_equal_bits(calibrated(module, (4,)), None)
    assert ("lut" in names(graph)) == (type(layer).__name__ in ("Tanh", "Sigmoid", "SiLU"))


@pytest.mark.parametrize("kind", [QuantTanh, QuantSigmoid])
def test_quantised_tables(kind):
    quant = Int8ActPerTensorFixedPoint if kind is QuantTanh else Uint8ActPerTensorFixedPoint
    module = nn.Sequential(act(9), kind(act_quant=quant, bit_width=6))
    assert "lut" in names(assert_equal_bits(calibrated(module, (4,)), (4,)))


# --- layers that meet --------------------------------------------------------------------


def test_residual_block_of_quantised_tensors():
    """Scales travel with Brevitas' tensors, and a bias on the accumulator's grid reads them."""
    torch.manual_seed(2)

    def conv(a, b, **more):
        return QuantConv2d(
            a,
            b,
            3,
            padding=1,
            weight_quant=Int8WeightPerTensorFixedPoint,
            weight_bit_width=4,
            bias_quant=Int32Bias,
            **more,
        )

    def forward(m, x):
        x = m.q(x)
        y = m.pool(m.ra(m.a(x)))
        return m.out(m.add(m.b(y), m.side(m.pool(x))).flatten(1))

    module = Net(
        forward,
        q=act(return_quant_tensor=True),
        a=conv(2, 3),
        ra=relu(return_quant_tensor=True),
        b=conv(3, 2),
        side=act(),
        pool=nn.MaxPool2d(2),
        add=QuantEltwiseAdd(
            input_quant=Int8ActPerTensorFixedPoint, output_quant=Int8ActPerTensorFixedPoint
        ),
        out=QuantLinear(2 * 3 * 3, 4, **W),
    )
    graph = assert_equal_bits(calibrated(module, (2, 6, 6)), (2, 6, 6))
    assert "take" not in names(graph)


def test_layers_used_twice_and_nested_modules():
    inner = Net(lambda m, x: m.r(m.l(x)) + x, l=QuantLinear(4, 4, **W), r=relu())
    module = Net(lambda m, x: m.inner(m.q(m.inner(m.q(x)))), q=act(), inner=inner)
    graph = assert_equal_bits(calibrated(module, (4,)), None)
    assert names(graph).count("dense") == 2


def test_a_single_layer():
    module = QuantLinear(4, 3, input_quant=Int8ActPerTensorFixedPoint, **W)
    assert_equal_bits(calibrated(module, (4,)), None)


def test_the_type_of_the_input():
    module = calibrated(nn.Sequential(nn.Flatten(), act(5), QuantLinear(6, 3, **W)), (2, 3))
    own = read_module(module, None, (2, 3))
    assert own.input_type.width == 5
    assert own.input_type.overflow is Overflow.SAT
    assert own.title == "2x3-3"
    wide = assert_equal_bits(module, (2, 3), input_type=Fixed(12, 5))
    assert str(wide.ops[0].type) == "fixed<12,5>"
    assert from_module(module, Fixed(12, 5), (2, 3)) == wide


def test_reading_leaves_the_module_as_it_is():
    module = calibrated(nn.Sequential(act(), QuantLinear(3, 2, **W)), (3,)).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    from_module(module)
    assert module.training
    assert all((v == before[k]).all() for k, v in module.state_dict().items())
    assert module[1].weight.dtype == torch.float32
