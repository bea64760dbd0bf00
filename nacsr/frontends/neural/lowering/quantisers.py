"""Brevitas' quantisers and quantised parameters as types and integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding

ROUNDINGS = {
    "ROUND": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "ROUND_TO_ZERO": Rounding.TRN_ZERO,
}
"""Brevitas' names of rounding; its ROUND is half to even."""
NO_SCALE = 1e-9
"""Brevitas' scale of values that are all zero is 1e-10."""


def quantiser(where: str, proxy: Any) -> Fixed | None:
    """The cast that an activation quantiser does, or None if it is disabled.

    Raises:
        GraphError: naming the layer, for rounding, scales or ends that no cast has.
    """
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


def parameters(where: str, layer: Any, x: Any) -> tuple[Raw, Fixed, Raw, Fixed]:
    """Weight and bias of a layer in torch's order, as raw integers and types.

    Args:
        where: names the layer in messages.
        layer: a Brevitas layer with weights.
        x: some value of its input after its input quantiser; a bias on the grid of the
            accumulator takes its scale from it.

    Raises:
        GraphError: for parameters that are not quantised or have no fixed-point type.
    """
    if not layer.weight_quant.is_quant_enabled:
        msg = f"{where} has unquantised weights; give it a weight_quant"
        raise GraphError(msg)
    quantised = layer.quant_weight(x)
    weight, weight_type = _integers(where, "weight", quantised)
    if layer.bias is None:
        return weight, weight_type, np.zeros(layer.weight.shape[0], dtype=np.int64), Fixed(1, 1)
    if not layer.bias_quant.is_quant_enabled:
        msg = f"{where} has an unquantised bias; give it a bias_quant such as Int16Bias"
        raise GraphError(msg)
    bias, bias_type = _integers(where, "bias", _quant_bias(where, layer, x, quantised))
    return weight, weight_type, bias, bias_type


def _quant_bias(where: str, layer: Any, x: Any, weight: Any) -> Any:
    from brevitas.quant_tensor import QuantTensor

    if not layer.bias_quant.requires_input_scale:
        return layer.quant_bias()
    if not isinstance(x, QuantTensor):
        msg = (
            f"{where}: the scale of its bias comes from its input, which is not quantised; give "
            "the layer before it return_quant_tensor=True, or this one an input_quant"
        )
        raise GraphError(msg)
    return layer.bias_quant(layer.bias, x, weight)


def _integers(where: str, what: str, tensor: Any) -> tuple[Raw, Fixed]:
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
        if bad < NO_SCALE:
            msg = f"{where}: its quantiser saw only zeros; calibrate it on data or remove the layer"
            raise GraphError(msg)
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
