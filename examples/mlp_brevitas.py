"""Compile your own Brevitas MLP to an hls4ml project whose every output bit is checked.

python examples/mlp_brevitas.py
"""

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

import nacsr


def linear(inputs: int, outputs: int) -> qnn.QuantLinear:
    """A layer with 6-bit weights (power-of-two scale) and a bias on the accumulator's grid."""
    return qnn.QuantLinear(
        inputs,
        outputs,
        bias=True,
        weight_quant=Int8WeightPerTensorFixedPoint,
        weight_bit_width=6,
        bias_quant=Int32Bias,
    )


def main() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        qnn.QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, bit_width=8, return_quant_tensor=True
        ),
        linear(4, 8),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=8, return_quant_tensor=True),
        linear(8, 3),
    )
    model.train()
    x = torch.randn(2000, 4)
    model(x)  # lets the activation quantisers see data
    model.eval()

    design = nacsr.compile(model, target="vu13p")
    print(design.title, "as", design.flow)
    values = x[:5].numpy().astype(np.float64)
    print("bit-true outputs", *design.run(values), sep="\n  ")
    theirs = model(x[:5]).detach().numpy()
    print("equals Brevitas:", bool((design.run(values) == theirs).all()))
    cost = design.cost()
    print(f"estimate: {cost.luts} LUT, {cost.dsps} DSP, {cost.latency_cycles} cycles")
    checked = design.verify()
    print(f"{checked.mismatches} of {checked.words} output words differ ({checked.tool})")


if __name__ == "__main__":
    main()
