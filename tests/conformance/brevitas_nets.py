"""What the tests of Brevitas modules share: small layers, and the comparison of every bit."""

from __future__ import annotations

import numpy as np
import torch
from brevitas.nn import QuantIdentity, QuantReLU
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

from nacsr.frontends.neural import qat
from nacsr.frontends.neural.lowering.lower import read_module
from nacsr.ir import evaluate, parse

EVENTS = 300

torch.set_num_threads(1)  # these tensors are small: threads only wait for each other


def parameters(bits=5):
    return {
        "weight_quant": Int8WeightPerTensorFixedPoint,
        "weight_bit_width": bits,
        "bias_quant": Int8BiasPerTensorFixedPointInternalScaling,
    }


W = parameters()


def act(bits=6, **more):
    return QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=bits, **more)


def relu(bits=6, **more):
    return QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=bits, **more)


def calibrated(module, shape, *more, seed=3):
    """Scales that Brevitas learns from data exist only after a look at some."""
    draw = torch.Generator().manual_seed(seed)
    module.train()
    for _ in range(2):
        module(torch.randn(64, *shape, generator=draw), *more)
    return module.eval()


def assert_equal_bits(module, shape, *, input_type=None, varied=True):
    """The graph of a module, whose outputs are the module's on random words."""
    network = read_module(module, input_type, shape)
    graph = network.graph
    ((_, port),) = graph.inputs
    rng = np.random.default_rng(5)
    t = graph.ops[port].type
    raw = rng.integers(t.min_raw, t.max_raw + 1, (EVENTS, *graph.ops[port].shape))
    raw[0], raw[1] = t.min_raw, t.max_raw
    back = np.argsort(network.input_axes)
    values = np.ascontiguousarray(t.to_float(raw).transpose(0, *(a + 1 for a in back)))
    assert (network.words(values) == raw.reshape(EVENTS, -1)).all()
    found = evaluate(graph, {"x": raw})
    ((name, out),) = graph.outputs
    axes = network.output_axes[name]
    wanted = qat.outputs(module, values).transpose(0, *(a + 1 for a in axes))
    assert (graph.ops[out].type.to_float(found[name]) == wanted).all()
    assert not varied or len(np.unique(found[name])) > 3, "a constant design proves nothing"
    assert parse(str(graph)) == graph
    return graph


def names(graph):
    return [op.name for op in graph.ops]


class Net(nn.Module):
    """A forward() of a few lines over named layers."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)
