"""Quantised networks into the IR: own arrays and Brevitas modules take the same way.

A network is a sequence of steps: ``Affine`` (dense layer), ``Relu``, and ``Fixed`` (a
quantiser, which is a cast). The accumulators between them are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nacsr.data.words import Feature, Scaling
from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.frontends.stem import vector_stem
from nacsr.ir import Builder, Graph, verify

if TYPE_CHECKING:
    from torch import nn

OUTPUT_PORT = "scores"

ROUNDINGS = {
    "ROUND": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "ROUND_TO_ZERO": Rounding.TRN_ZERO,
}
"""Brevitas' names of rounding; its ROUND is half to even."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A dense layer in raw integers: weight of shape (inputs, outputs), bias of (outputs,)."""

    weight: Raw
    weight_type: Fixed
    bias: Raw
    bias_type: Fixed


@dataclass(frozen=True, slots=True)
class Relu:
    """Negative values become zero."""


Step = Affine | Relu | Fixed


def network(features: Sequence[Feature], scaling: Scaling, steps: Sequence[Step]) -> Graph:
    """The design from raw words to the class scores, the last layer's exact accumulators.

    Raises:
        GraphError: if shapes do not match or a value would need more than 63 bits.
    """
    builder = Builder()
    value = vector_stem(builder, features, scaling)
    for step in steps:
        if isinstance(step, Fixed):
            value = builder.cast(value, step)
        elif isinstance(step, Relu):
            value = builder.op("relu", value)
        else:
            value = builder.op(
                "dense",
                value,
                weight=step.weight,
                weight_type=step.weight_type,
                bias=step.bias,
                bias_type=step.bias_type,
            )
    builder.output(OUTPUT_PORT, value)
    return verify(builder.build())


def from_brevitas(module: nn.Module, features: Sequence[Feature], scaling: Scaling) -> Graph:
    """Lower a Brevitas network that was trained on standardised values.

    The design's scores are, bit for bit, what the module returns in eval mode.

    Args:
        module: an ``nn.Sequential`` of QuantIdentity, QuantLinear and QuantReLU layers with
            quantised weights and biases and power-of-two scales; ReLU, Identity and Dropout
            are understood too.
        features: the words that arrive, in the order of the module's inputs.
        scaling: how words become the values that the module was trained on.

    Raises:
        GraphError: naming the layer that cannot be expressed exactly, and the remedy.
    """
    return network(features, scaling, read_brevitas(module))


def external_inputs(module: nn.Module, type: Fixed) -> tuple[tuple[Feature, ...], Scaling]:
    """Features ``x0``, ``x1``... of one type, standardised outside, as many as a module reads.

    Raises:
        GraphError: if the module has no dense layer.
    """
    sizes = [getattr(layer, "in_features", None) for _, layer in _layers(module)]
    count = next((n for n in sizes if n is not None), None)
    if count is None:
        msg = "the module has no dense layer; give an nn.Sequential with a QuantLinear"
        raise GraphError(msg)
    zeros = (0,) * int(count)
    features = tuple(Feature(f"x{i}", type) for i in range(int(count)))
    return features, Scaling("external", zeros, zeros)


def read_brevitas(module: nn.Module) -> list[Step]:
    """The steps of a Brevitas module: weights, biases and scales as integers and types.

    Raises:
        GraphError: as ``from_brevitas``.
    """
    training = module.training
    module.eval()
    try:
        steps: list[Step] = []
        scale: float | None = None  # the step of the current value, for biases on its grid
        for where, layer in _layers(module):
            for step in _read_layer(where, layer, scale):
                steps.append(step)
                if isinstance(step, Fixed):
                    scale = step.lsb
                elif isinstance(step, Affine):
                    scale = None
        return steps
    finally:
        module.train(training)


def _layers(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Name and layer of a Sequential and of those inside it, in order of execution."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        msg = (
            f"cannot read {type(module).__name__} as a network: the order of its layers is not "
            "known; give an nn.Sequential"
        )
        raise GraphError(msg)
    for name, child in module.named_children():
        where = f"{prefix}{name}"
        if isinstance(child, nn.Sequential):
            yield from _layers(child, f"{where}.")
        else:
            yield f"layer {where} ({type(child).__name__})", child


def _read_layer(where: str, layer: Any, scale: float | None) -> Iterator[Step]:
    from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
    from torch import nn

    if isinstance(layer, nn.Identity | nn.Dropout):
        return
    if isinstance(layer, QuantLinear):
        if (before := _quantiser(where, layer.input_quant)) is not None:
            yield before
            scale = before.lsb
        yield _affine(where, layer, scale)
        if (after := _quantiser(where, layer.output_quant)) is not None:
            yield after
    elif isinstance(layer, QuantIdentity | QuantReLU):
        if (before := _quantiser(where, layer.input_quant)) is not None:
            yield before
        if isinstance(layer, QuantReLU):
            yield Relu()
        if (after := _quantiser(where, layer.act_quant)) is not None:
            yield after
    elif isinstance(layer, nn.ReLU):
        yield Relu()
    else:
        raise GraphError(_unsupported(where, layer))


def _unsupported(where: str, layer: Any) -> str:
    from torch import nn

    remedy = "use QuantIdentity, QuantLinear and QuantReLU"
    if isinstance(layer, nn.BatchNorm1d):
        remedy = "fold the BatchNorm into the dense layer before it (QuantLinear.merge_bn_in)"
    elif isinstance(layer, nn.Linear):
        remedy = "its weights are not quantised; use QuantLinear"
    return f"{where} cannot be lowered: {remedy}"


def _quantiser(where: str, proxy: Any) -> Fixed | None:
    """The cast that an activation quantiser does, or None if it is disabled."""
    if not proxy.is_quant_enabled:
        return None
    if proxy.rounding_mode not in ROUNDINGS:
        msg = f"{where} rounds by {proxy.rounding_mode}; choose {', '.join(ROUNDINGS)}"
        raise GraphError(msg)
    _need_no_offset(where, proxy.zero_point())
    signed, narrow = bool(proxy.is_signed), bool(proxy.is_narrow_range)
    if narrow and not signed:
        msg = f"{where} is unsigned with narrow_range, which no overflow mode does; turn it off"
        raise GraphError(msg)
    fracs = _fracs(where, "activation", proxy.scale())
    if fracs.size != 1:
        msg = f"{where} has {fracs.size} activation scales; use one for the whole tensor"
        raise GraphError(msg)
    bits = round(float(proxy.bit_width()))
    overflow = Overflow.SAT_SYM if narrow else Overflow.SAT
    return Fixed(bits, bits - int(fracs[0]), signed, ROUNDINGS[proxy.rounding_mode], overflow)


def _affine(where: str, layer: Any, scale: float | None) -> Affine:
    if not layer.weight_quant.is_quant_enabled:
        msg = f"{where} has unquantised weights; give it a weight_quant"
        raise GraphError(msg)
    weight = layer.quant_weight()
    raw, type_ = _parameter(where, "weight", weight)
    if layer.bias is None:
        return Affine(raw.T, type_, np.zeros(raw.shape[0], dtype=np.int64), Fixed(1, 1))
    if not layer.bias_quant.is_quant_enabled:
        msg = f"{where} has an unquantised bias; give it a bias_quant such as Int16Bias"
        raise GraphError(msg)
    bias, bias_type = _parameter(where, "bias", _quant_bias(where, layer, weight.scale, scale))
    return Affine(raw.T, type_, bias, bias_type)


def _quant_bias(where: str, layer: Any, weight_scale: Any, scale: float | None) -> Any:
    from brevitas.quant_tensor import IntQuantTensor

    if not layer.bias_quant.requires_input_scale:
        return layer.quant_bias()
    if scale is None:
        msg = f"{where}: the scale of its bias comes from its input, which is not quantised"
        raise GraphError(msg)
    grid = (weight_scale * scale).view(-1)
    parts = layer.bias_quant.tensor_quant(layer.bias, grid)
    return IntQuantTensor(*parts, signed=layer.bias_quant.is_signed, training=False)


def _parameter(where: str, what: str, tensor: Any) -> tuple[Raw, Fixed]:
    """Raw integers and type of a quantised parameter, on the finest of its grids."""
    _need_no_offset(where, tensor.zero_point)
    fracs = _fracs(where, what, tensor.scale)
    finest, coarsest = int(fracs.max()), int(fracs.min())
    bits = round(float(tensor.bit_width))
    exact = np.ldexp(tensor.value.detach().cpu().numpy().astype(np.float64), finest)
    if not np.array_equal(exact, np.rint(exact)):
        msg = f"{where}: its quantised {what} holds values off the grid 2^-{finest}"
        raise GraphError(msg)
    try:
        type_ = Fixed(bits + finest - coarsest, bits - coarsest, bool(tensor.signed))
    except FixedError as error:
        msg = f"{where}: {what}: {error}"
        raise GraphError(msg) from None
    return exact.astype(np.int64), type_


def _fracs(where: str, what: str, scale: Any) -> Raw:
    """Fractional bits of scales; they must be powers of two."""
    values = np.asarray(scale.detach().cpu().numpy(), dtype=np.float64).reshape(-1)
    mantissas, exponents = np.frexp(values)
    if not (mantissas == 0.5).all():
        bad = float(values[mantissas != 0.5][0])
        msg = (
            f"{where}: {what} scale {bad:.6g} is not a power of two; use the FixedPoint "
            "quantisers of brevitas.quant (restrict_scaling_type POWER_OF_TWO)"
        )
        raise GraphError(msg)
    return 1 - exponents.astype(np.int64)


def _need_no_offset(where: str, zero_point: Any) -> None:
    if bool((zero_point != 0).any()):
        msg = f"{where} has a zero point; use a symmetric quantiser"
        raise GraphError(msg)
