"""BatchNorm before and after folding, and everything that no exact design exists for."""

from __future__ import annotations

import pytest
import torch
from brevitas.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantLinear,
    QuantTanh,
)
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
)
from torch import nn
from torch.nn import functional

from nacsr.errors import GraphError
from nacsr.fixed import Fixed
from nacsr.frontends.neural.lowering import functions
from nacsr.frontends.neural.lowering.fold import fold_batchnorm
from nacsr.frontends.neural.lowering.lower import from_module
from tests.conformance.brevitas_nets import (
    Net,
    W,
    act,
    assert_equal_bits,
    calibrated,
    relu,
)


def test_batchnorm_is_folded_before_quantisation():
    torch.manual_seed(7)
    module = nn.Sequential(
        act(),
        QuantConv2d(2, 4, 3, bias=False, **W),
        nn.BatchNorm2d(4),
        relu(),
        nn.Flatten(),
        nn.Sequential(QuantLinear(16, 5, **W), nn.BatchNorm1d(5)),
    )
    module = calibrated(module, (2, 4, 4))
    with pytest.raises(GraphError, match=r"layer 2 \(BatchNorm2d\).*fold_batchnorm"):
        from_module(module, None, (2, 4, 4))
    folded = fold_batchnorm(module)
    assert isinstance(module[2], nn.BatchNorm2d)
    assert_equal_bits(folded, (2, 4, 4))
    # without quantisers both are the same function
    x = torch.randn(50, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    plain = [nn.functional.conv2d(x, m[1].weight, m[1].bias) for m in (module, folded)]
    assert torch.allclose(module[2](plain[0]), plain[1], atol=1e-5)


BAD_NORMS = {
    "alone": (nn.BatchNorm1d(4), "must follow a QuantLinear"),
    "first": (nn.Sequential(nn.BatchNorm1d(4)), "must follow a QuantLinear"),
    "after ReLU": (
        nn.Sequential(QuantLinear(4, 4, **W), nn.ReLU(), nn.BatchNorm1d(4)),
        r"layer 2 \(BatchNorm1d\) cannot be folded: it must follow",
    ),
    "rounded": (
        nn.Sequential(
            QuantLinear(4, 4, output_quant=Int8ActPerTensorFixedPoint, **W), nn.BatchNorm1d(4)
        ),
        "rounds its output",
    ),
    "no factor": (
        nn.Sequential(QuantLinear(4, 4, **W), nn.BatchNorm1d(4, affine=False)),
        "affine=True",
    ),
    "read twice": (
        Net(
            lambda m, x: (lambda y: m.n(y) + y)(m.l(x)),
            l=QuantLinear(4, 4, **W),
            n=nn.BatchNorm1d(4),
        ),
        "more than once",
    ),
}


@pytest.mark.parametrize("case", BAD_NORMS)
def test_batchnorms_that_cannot_be_folded(case):
    module, message = BAD_NORMS[case]
    with pytest.raises(GraphError, match=message):
        fold_batchnorm(module)


def _branch(m, x):
    return x if x.sum() > 0 else -x


def _residual_in_place(m, x):
    return functional.relu(x, inplace=True) + x


REFUSED = {
    "only zeros": (
        nn.Sequential(Net(lambda m, x: x * 0), relu()),
        r"layer 1.1 \(QuantReLU\): its quantiser saw only zeros",
    ),
    "data decide": (Net(_branch), "not a fixed sequence of calls.*without if or loops on data"),
    "softmax": (Net(lambda m, x: x.softmax(1)), r"softmax\(\) in Net.forward.*leave it out"),
    "unknown function": (Net(lambda m, x: x.cumsum(1)), r"cumsum\(\) in Net.forward.*known are"),
    "unknown layer": (nn.Bilinear(2, 2, 2), r"layer 1 \(Bilinear\).*use one of"),
    "float convolution": (nn.Conv1d(4, 2, 3), r"layer 1 \(Conv1d\).*use QuantConv1d"),
    "float function": (Net(lambda m, x: functional.linear(x, x)), "use QuantLinear"),
    "slope": (nn.LeakyReLU(), r"layer 1 \(LeakyReLU\): slope 0.01 is no power of two"),
    "PReLU": (nn.PReLU(), "use nn.LeakyReLU"),
    "mean without quantiser": (
        nn.Sequential(nn.AvgPool1d(3), QuantConv1d(4, 2, 2, **W)),
        r"layer 1.1 \(QuantConv1d\): its input is a mean over 3 values.*put a QuantIdentity",
    ),
    "mean at the end": (
        Net(lambda m, x: x.mean(2)),
        "output scores is a mean over 6 values.*put a QuantIdentity",
    ),
    "wide table": (
        Net(lambda m, x: m.q(torch.tanh(x * 0.25 + x * 2048)), q=act()),
        "put a QuantIdentity of at most 16 bits in front",
    ),
    "batch": (Net(lambda m, x: x.sum(0)), "mixes events"),
    "batch reshaped": (Net(lambda m, x: x.reshape(-1, 4)), r"reshape\(\) in Net.forward.*mixes"),
    "batch joined": (Net(lambda m, x: torch.cat([x, x])), "mixes events"),
    "padding value": (Net(lambda m, x: functional.pad(x, (1, 1), value=1.0)), "other values"),
    "padding with a fraction": (
        Net(lambda m, x: functional.pad(x, (1, 1), value=0.5)),
        "pads with other values than zero",
    ),
    "padding a table": (
        Net(lambda m, x: m.q(functional.pad(torch.sigmoid(x), (1, 1))), q=act()),
        "put a QuantIdentity",
    ),
    "a mean of a mean": (
        Net(lambda m, x: m.q(x.mean(2) / 5), q=act()),
        "its input is a mean over 6 values.*put a QuantIdentity",
    ),
    "a share of a table": (
        Net(lambda m, x: m.q(torch.sigmoid(x) / 3), q=act()),
        "put a QuantIdentity",
    ),
    "dropout that stays on": (Net(lambda m, x: functional.dropout(x)), "mixes events or"),
    "padding mode": (QuantConv1d(4, 2, 3, padding=1, padding_mode="circular", **W), "use 'zeros'"),
    "shape": (nn.Sequential(nn.Flatten(), QuantLinear(23, 2, **W)), r"layer 1.1 \(QuantLinear\)"),
    "axes": (QuantConv2d(4, 2, 3, **W), r"layer 1 \(QuantConv2d\): its input is \[4, 6\]"),
    "constant": (Net(lambda m, x: x + 0.1), "the constant 0.1 has no short binary form"),
    "quotient": (Net(lambda m, x: x / (x + 4)), "multiply instead"),
    "power": (Net(lambda m, x: x**0.5), "a power of 0.5 is not exact"),
    "ceil_mode": (nn.MaxPool1d(4, ceil_mode=True), "turn it off"),
    "divisor changes": (nn.AvgPool1d(2, padding=1, count_include_pad=False), "turn it on"),
    "uneven places": (nn.AdaptiveAvgPool1d(4), r"\[6\] cannot be divided evenly into \[4\]"),
    "pool indices": (nn.MaxPool1d(2, return_indices=True), "leave them out"),
    "in place": (Net(_residual_in_place), "do not work in place"),
    "computed index": (Net(lambda m, x: x[x > 0]), "constant ones"),
    "number": (Net(lambda m, x: 3), "forward.. must return"),
    "argmax of a matrix": (Net(lambda m, x: x.argmax(1)), "argmax works on a vector"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    layer, message = REFUSED[case]
    if case == "only zeros":
        layer(torch.zeros(8, 4, 6))
    first = calibrated(nn.Sequential(act()), (4, 6))
    with pytest.raises(GraphError, match=message) as caught:
        from_module(nn.Sequential(first[0], layer), Fixed(8, 3), (4, 6))
    assert "\n" not in str(caught.value)


def test_inputs_that_are_not_known():
    tanh = nn.Sequential(QuantTanh(act_quant=Int8ActPerTensorFixedPoint), QuantLinear(4, 2, **W))
    with pytest.raises(GraphError, match="give input_type such as"):
        from_module(calibrated(tanh, (4,)))  # what it quantises first is not its input
    linear = QuantLinear(4, 2, **W)
    with pytest.raises(GraphError, match="give input_type such as"):
        from_module(linear)
    conv = calibrated(nn.Sequential(act(), QuantConv1d(2, 2, 2, **W)), (2, 4))
    with pytest.raises(GraphError, match="give input_shape such as"):
        from_module(conv)
    with pytest.raises(GraphError, match="positive sizes"):
        from_module(conv, None, (2, 0))


def test_arguments_that_are_no_mask():
    class Two(nn.Module):
        def forward(self, x, other):
            return x + other

    with pytest.raises(GraphError, match="argument 'other' of forward"):
        from_module(Two(), Fixed(8, 3), (4,))


def test_a_network_that_differs_is_refused(monkeypatch):
    """The comparison with torch bites: here is a rule that is wrong."""
    monkeypatch.setitem(functions.FUNCTIONS, "neg", functions.relu)
    with pytest.raises(GraphError, match=r"differs from the module in \d+ of 124 outputs"):
        from_module(Net(lambda m, x: -x), Fixed(8, 3), (4,))
