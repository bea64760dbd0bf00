"""The survivors: quantisation-aware training with Brevitas.

The module is an ordinary Brevitas network that a user could have written: QuantIdentity,
then QuantLinear and QuantReLU, every scale a constant power of two out of a ``Plan``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, Overflow
from nacsr.frontends.neural.model import Parameters, Place
from nacsr.frontends.neural.plan import Plan
from nacsr.frontends.neural.population.trainer import Lesson, descend
from nacsr.frontends.neural.space import Conv, Dense, Flatten, Layer, Network, Pool
from nacsr.frontends.neural.space.layers import LEAK

if TYPE_CHECKING:
    import torch
    from torch import nn


def build(network: Network, plan: Plan, params: Parameters) -> nn.Sequential:
    """A Brevitas network with the plan's quantisers and the given weights."""
    from torch import nn

    modules: list[nn.Module] = []
    if len(network.input) > 1:
        modules.append(nn.Unflatten(1, network.input))
    modules += _identity(plan.get(Place(-1, "after")))
    for number, layer in enumerate(network.layers):
        types = {p.what: t for p, t in plan.items() if p.layer == number}
        modules += _modules(layer, types, params[number])
    return nn.Sequential(*modules)


def _modules(
    layer: Layer, types: dict[str, Fixed], params: Sequence[torch.Tensor]
) -> Iterator[nn.Module]:
    from torch import nn

    from nacsr.frontends.neural.lowering.modules import SetPool

    match layer:
        case Dense(activation=act) | Conv(activation=act):
            yield _weighted(layer, types, params)
            yield from _activation(act, types)
        case Pool(kind=kind):
            yield SetPool(kind)
            yield from _identity(types.get("after"))
        case Flatten():
            yield nn.Flatten()


def _weighted(layer: Dense | Conv, types: dict[str, Fixed], params: Sequence[torch.Tensor]) -> Any:
    import torch
    from brevitas.nn import QuantConv2d, QuantLinear
    from brevitas.quant.solver import BiasQuantSolver, WeightQuantSolver
    from torch import nn

    weight, bias = params
    quantisers = {
        "weight_quant": _quantiser(WeightQuantSolver, types["weight"]),
        "bias_quant": _quantiser(BiasQuantSolver, types["bias"]),
    }
    outputs, inputs = weight.shape[:2]
    with torch.random.fork_rng(devices=[]):  # the layer draws weights that are not used
        if isinstance(layer, Conv):
            made: Any = QuantConv2d(inputs, outputs, layer.kernel, bias=True, **quantisers)
        else:
            made = QuantLinear(inputs, outputs, bias=True, **quantisers)
    # the very numbers: those of a regression's last bias may be exact in float64 only
    made.weight, made.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return made


def _activation(name: str, types: dict[str, Fixed]) -> Iterator[nn.Module]:
    from brevitas.nn import QuantReLU
    from brevitas.quant.solver import ActQuantSolver
    from torch import nn

    after = types.get("after")
    if name == "relu" and after is not None:
        yield QuantReLU(act_quant=_quantiser(ActQuantSolver, after))
        return
    yield from _identity(types.get("before"))
    match name:
        case "relu":
            yield nn.ReLU()
        case "leaky_relu":
            yield nn.LeakyReLU(LEAK)
        case "tanh":
            yield nn.Tanh()
        case "sigmoid":
            yield nn.Sigmoid()
    yield from _identity(after)


def _identity(type_: Fixed | None) -> list[nn.Module]:
    from brevitas.nn import QuantIdentity
    from brevitas.quant.solver import ActQuantSolver

    if type_ is None:
        return []
    return [QuantIdentity(act_quant=_quantiser(ActQuantSolver, type_))]


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


def finetune(module: nn.Sequential, lesson: Lesson) -> None:
    """Train the Brevitas network in place and leave it in eval mode.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    module.train()
    descend(module.parameters(), module, lesson)
    module.eval()


def parameters(network: Network, module: nn.Sequential) -> list[tuple[torch.Tensor, ...]]:
    """Weights and biases of the module's layers, before they are quantised."""
    left: Iterator[Any] = (m for m in module if hasattr(m, "weight_quant"))
    found: list[tuple[torch.Tensor, ...]] = []
    for layer in network.layers:
        made = next(left) if isinstance(layer, Dense | Conv) else None
        found.append(() if made is None else (made.weight.detach(), made.bias.detach()))
    return found


def outputs(module: nn.Sequential, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the module returns in eval mode for standardised values, in float64: exactly."""
    import torch

    exact = copy.deepcopy(module).eval().double()
    with torch.no_grad():
        found = exact(torch.from_numpy(values))
    tensor: torch.Tensor = getattr(found, "value", found)  # the last layer may quantise
    return tensor.numpy()
