"""The survivors: quantisation-aware training with Brevitas.

The module is an ordinary Brevitas network that a user could have written: QuantIdentity,
then QuantLinear and QuantReLU, every scale a constant power of two out of a ``Plan``.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.neural.goal import Rows
from nacsr.frontends.neural.train import QUANTISED_RATE, Layers, Plan, fit

if TYPE_CHECKING:
    import torch
    from torch import nn


def build(plan: Plan, layers: Layers) -> nn.Sequential:
    """A Brevitas network with the plan's quantisers and the given weights."""
    import torch
    from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
    from brevitas.quant.solver import ActQuantSolver, BiasQuantSolver, WeightQuantSolver
    from torch import nn

    modules: list[nn.Module] = []
    for k, (weight, bias) in enumerate(layers):
        act = QuantReLU if k else QuantIdentity
        modules.append(act(act_quant=_quantiser(ActQuantSolver, plan.inputs[k])))
        outputs, inputs = weight.shape
        with torch.random.fork_rng(devices=[]):  # the layer draws weights that are not used
            linear = QuantLinear(
                inputs,
                outputs,
                bias=True,
                weight_quant=_quantiser(WeightQuantSolver, plan.weights[k]),
                bias_quant=_quantiser(BiasQuantSolver, plan.biases[k]),
            )
        # the very numbers: those of a regression's last bias may be exact in float64 only
        linear.weight, linear.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        modules.append(linear)
    return nn.Sequential(*modules)


def _quantiser(solver: Any, t: Fixed) -> Any:
    """A Brevitas quantiser that does what a cast to ``t`` (RND_CONV) does."""
    from brevitas.core.zero_point import ZeroZeroPoint
    from brevitas.inject.enum import (
        BitWidthImplType,
        FloatToIntImplType,
        QuantType,
        RestrictValueType,
        ScalingImplType,
        ScalingPerOutputType,
    )

    return solver.let(
        quant_type=QuantType.INT,
        bit_width_impl_type=BitWidthImplType.CONST,
        bit_width=t.width,
        signed=t.signed,
        narrow_range=t.overflow is Overflow.SAT_SYM,
        float_to_int_impl_type=FloatToIntImplType.ROUND,
        zero_point_impl=ZeroZeroPoint,
        scaling_impl_type=ScalingImplType.CONST,
        scaling_per_output_type=ScalingPerOutputType.TENSOR,
        restrict_scaling_type=RestrictValueType.POWER_OF_TWO,
        # Brevitas divides this by 2**(bits - signed), and gets the step
        scaling_init=2.0 ** (t.integer - t.signed),
        requires_input_scale=False,
    )


def finetune(module: nn.Sequential, rows: Rows, steps: int, generator: torch.Generator) -> None:
    """Train the Brevitas network in place and leave it in eval mode.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    module.train()
    fit(module.parameters(), module, rows, steps, QUANTISED_RATE, generator)
    module.eval()


def layers(module: nn.Sequential) -> Layers:
    """Weights and biases of the module's dense layers, before they are quantised."""
    dense: list[Any] = list(module)[1::2]
    return [(m.weight.detach(), m.bias.detach()) for m in dense]


def outputs(module: nn.Sequential, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the module returns in eval mode for standardised values, in float64: exactly."""
    import torch

    exact = copy.deepcopy(module).eval().double()
    with torch.no_grad():
        found = exact(torch.from_numpy(values))
    tensor: torch.Tensor = getattr(found, "value", found)  # the last layer may quantise
    return tensor.numpy()
