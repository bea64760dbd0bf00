"""Compile a Brevitas CNN: convolutions, LeakyReLU, pooling, a residual; every bit is checked.

python examples/cnn_brevitas.py
"""

import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

import nacsr
from nacsr.frontends.neural.lowering.fold import fold_batchnorm

WEIGHTS = {
    "weight_quant": Int8WeightPerTensorFixedPoint,
    "weight_bit_width": 5,
    "bias_quant": Int8BiasPerTensorFixedPointInternalScaling,
}


class Cnn(nn.Module):
    """8 x 8 pixels to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6)
        self.first = qnn.QuantConv2d(1, 4, 3, padding=1, **WEIGHTS)
        self.norm = nn.BatchNorm2d(4)
        self.relu = qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=6)
        self.pool = nn.MaxPool2d(2)
        self.second = qnn.QuantConv2d(4, 4, 3, padding=1, **WEIGHTS)
        self.leaky = nn.LeakyReLU(0.125)  # a power of two: two shifts and a choice
        self.sum = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6)
        self.average = nn.AvgPool2d(2)
        self.scores = qnn.QuantLinear(16, 3, **WEIGHTS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.norm(self.first(self.pixels(x)))))
        x = self.sum(x + self.leaky(self.second(x)))
        return self.scores(self.average(x).flatten(1))


def main() -> None:
    torch.manual_seed(1)
    model = Cnn()
    images = torch.randn(500, 1, 8, 8)
    model(images)  # lets BatchNorm and the activation quantisers see data
    model = fold_batchnorm(model.eval())

    design = nacsr.compile(model, input_shape=(1, 8, 8))
    print(design.title, "as", design.flow)
    # torch has channels first, a design has them last
    values = images.double().permute(0, 2, 3, 1).flatten(1).numpy()
    ours = design.run(values)
    theirs = model.double()(images.double()).detach().numpy()
    print(f"equals Brevitas: {bool((ours == theirs).all())} ({ours.size} scores)")
    cost = design.cost()
    print(f"estimate: {cost.luts} LUT, {cost.dsps} DSP, {cost.latency_cycles} cycles")
    checked = design.verify()
    print(f"{checked.mismatches} of {checked.words} output words differ ({checked.tool})")


if __name__ == "__main__":
    main()
