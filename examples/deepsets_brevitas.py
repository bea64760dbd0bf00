"""Compile a Brevitas deep set whose particles may be absent; every bit is checked.

python examples/deepsets_brevitas.py
"""

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

import nacsr
from nacsr.frontends.neural.lowering.modules import MaskedPool

PARTICLES, FEATURES = 8, 3


def linear(inputs: int, outputs: int) -> qnn.QuantLinear:
    """A layer with 5-bit weights whose scales are powers of two."""
    return qnn.QuantLinear(
        inputs,
        outputs,
        weight_quant=Int8WeightPerTensorFixedPoint,
        weight_bit_width=5,
        bias_quant=Int8BiasPerTensorFixedPointInternalScaling,
    )


def relu() -> qnn.QuantReLU:
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=6)


class DeepSet(nn.Module):
    """A network for every particle, the mean over those that are there, a network."""

    def __init__(self) -> None:
        super().__init__()
        self.words = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6)
        self.phi = nn.Sequential(linear(FEATURES, 8), relu(), linear(8, 6), relu())
        self.pool = MaskedPool("mean", PARTICLES)
        self.mean = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=8)
        self.rho = nn.Sequential(linear(6, 8), relu(), linear(8, 3))

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """x: (events, particles, features); count: how many of the first particles are there."""
        return self.rho(self.mean(self.pool(self.phi(self.words(x)), count=count)))


def main() -> None:
    torch.manual_seed(1)
    model = DeepSet()
    x, count = torch.randn(500, PARTICLES, FEATURES), torch.randint(0, PARTICLES + 1, (500,))
    model(x, count)  # lets the activation quantisers see data
    model.eval()

    design = nacsr.compile(model, input_shape=(PARTICLES, FEATURES), to="hls")
    print(design.title, "as", design.flow)
    # all particles' words, then the count
    values = np.column_stack([x.double().flatten(1).numpy(), count.numpy()])
    ours = design.run(values)
    theirs = model.double()(x.double(), count).detach().numpy()
    print(f"equals Brevitas: {bool((ours == theirs).all())} ({ours.size} scores)")
    cost = design.cost()
    print(f"estimate: {cost.luts} LUT, {cost.dsps} DSP, {cost.latency_cycles} cycles")
    checked = design.verify()
    print(f"{checked.mismatches} of {checked.words} output words differ ({checked.tool})")


if __name__ == "__main__":
    main()
