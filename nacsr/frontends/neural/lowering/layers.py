"""Layers of torch and Brevitas: one row a class.

A rule takes the call (where it stands, the layer, what its input was in torch) and the
call's arguments, tensors as ``View``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacsr.errors import GraphError
from nacsr.fixed import Fixed, Raw
from nacsr.frontends.neural.lowering import functions
from nacsr.frontends.neural.lowering.arithmetic import binary
from nacsr.frontends.neural.lowering.layout import (
    View,
    arrange,
    axes_of,
    channels_last,
    covers,
    flat,
    framed,
    order,
    quantise,
)
from nacsr.frontends.neural.lowering.pooling import adaptive
from nacsr.frontends.neural.lowering.quantisers import parameters, quantiser
from nacsr.frontends.neural.lowering.sets import pool_set
from nacsr.ir import Builder


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A layer that is called.

    Attributes:
        builder: of the graph.
        where: names the layer in messages.
        layer: the torch module, in eval mode and float64.
        seen: some values of its first argument, as torch has them.
    """

    builder: Builder
    where: str
    layer: Any
    seen: Any

    def type(self, proxy: str) -> Fixed | None:
        """The type of one of the layer's quantisers."""
        return quantiser(self.where, getattr(self.layer, proxy))

    def quantised(self, x: View, proxy: str) -> View:
        """The value after one of the layer's quantisers."""
        return quantise(self.builder, x, self.type(proxy))

    def parameters(self) -> tuple[Raw, Fixed, Raw, Fixed]:
        """Weight, its type, bias and its type, in torch's order."""
        return parameters(self.where, self.layer, self.layer.input_quant(self.seen))


Rule = Callable[..., Any]

MOVES = frozenset(
    "AlphaDropout Dropout Dropout1d Dropout2d Flatten Identity Unflatten ZeroPad1d "
    "ZeroPad2d".split()
)
"""Layers that only move elements, or put zeros around them."""


def linear(call: Call, x: View) -> View:
    """On vectors the weights take the order in which the words lie, so that none moves."""
    b = call.builder
    x = call.quantised(x, "input_quant")
    weight, weight_type, bias, bias_type = call.parameters()
    weight = weight.T
    if x.places.ndim == 1 and covers(b, x):
        value, index = flat(b, x), order(b, x).ravel()
        weight = weight[index] if len(weight) == len(index) else weight
        axes: tuple[int, ...] = (0,)
    else:
        now = axes_of(x)
        last = x.places.ndim - 1
        axes = now if now is not None and now[-1] == last else tuple(range(last + 1))
        value = arrange(b, x, axes)
    value = b.op(
        "dense", value, weight=weight, weight_type=weight_type, bias=bias, bias_type=bias_type
    )
    return call.quantised(framed(b, value, axes), "output_quant")


def conv(call: Call, x: View) -> View:
    """Groups and dilation become zeros among the weights, which cost nothing."""
    b, layer = call.builder, call.layer
    x = call.quantised(x, "input_quant")
    weight, weight_type, bias, bias_type = call.parameters()
    weight = _dilated(_ungrouped(weight, layer.groups), layer.dilation)
    rank = weight.ndim - 2
    if x.places.ndim != rank + 1:
        msg = f"its input is {list(x.shape)}; expected channels and {rank} axes"
        raise GraphError(msg)
    axes = channels_last(rank + 1)
    value = b.op(
        "conv",
        arrange(b, x, axes),
        weight=np.moveaxis(weight, (0, 1), (-1, -2)),
        weight_type=weight_type,
        bias=bias,
        bias_type=bias_type,
        stride=layer.stride,
        padding=_padding(layer, x.shape[1:], weight.shape[2:]),
    )
    return call.quantised(framed(b, value, axes), "output_quant")


def _ungrouped(weight: Raw, groups: int) -> Raw:
    outputs, inputs = weight.shape[:2]
    wide = np.zeros((outputs, inputs * groups, *weight.shape[2:]), dtype=np.int64)
    each = outputs // groups
    for g in range(groups):
        rows = slice(g * each, (g + 1) * each)
        wide[rows, g * inputs : (g + 1) * inputs] = weight[rows]
    return wide


def _dilated(weight: Raw, dilation: Sequence[int]) -> Raw:
    sizes = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    wide = np.zeros((*weight.shape[:2], *sizes), dtype=np.int64)
    wide[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = weight
    return wide


def _padding(layer: Any, sizes: Sequence[int], window: Sequence[int]) -> list[tuple[int, int]]:
    """Zeros before and after each axis: torch's ``same`` and Brevitas' own with strides."""
    if layer.padding_mode != "zeros":
        msg = f"padding_mode={layer.padding_mode!r} cannot be lowered; use 'zeros'"
        raise GraphError(msg)
    if layer.is_same_padded_strided:
        steps = zip(sizes, window, layer.stride, strict=True)
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in steps]
    elif layer.padding == "same":
        total = [k - 1 for k in window]
    elif layer.padding == "valid":
        total = [0] * len(window)
    else:
        return [(p, p) for p in layer.padding]
    return [(t // 2, t - t // 2) for t in total]


def activation(function: functions.Rule | None) -> Rule:
    """A layer that quantises its input, applies a function and quantises again."""

    def rule(call: Call, x: View) -> View:
        if hasattr(call.layer, "input_quant"):
            x = call.quantised(x, "input_quant")
        if function is not None:
            x = function(call.builder, x)
        return call.quantised(x, "act_quant")

    return rule


def eltwise_add(call: Call, x: View, other: View) -> View:
    a, b = (call.quantised(v, "input_quant") for v in (x, other))
    return call.quantised(binary(call.builder, "add", a, b), "output_quant")


def max_pool(call: Call, x: View) -> View:
    m = call.layer
    return functions.max_pool(
        call.builder,
        x,
        m.kernel_size,
        m.stride,
        m.padding,
        m.dilation,
        m.ceil_mode,
        m.return_indices,
    )


def avg_pool(call: Call, x: View) -> View:
    m = call.layer
    divisor = getattr(m, "divisor_override", None)
    return functions.avg_pool(
        call.builder,
        x,
        m.kernel_size,
        m.stride,
        m.padding,
        m.ceil_mode,
        m.count_include_pad,
        divisor,
    )


def _adaptive(kind: str) -> Rule:
    return lambda call, x: adaptive(call.builder, x, kind, call.layer.output_size)


def masked_pool(call: Call, x: View, mask: Any = None, count: Any = None) -> View:
    b, layer = call.builder, call.layer
    if x.places.ndim != 2 or x.shape[0] != layer.size:
        msg = f"its input is {list(x.shape)}; expected [{layer.size}, channels]"
        raise GraphError(msg)
    masks = {
        name: None if v is None else arrange(b, v, tuple(range(v.places.ndim)))
        for name, v in (("mask", mask), ("count", count))
    }
    value = pool_set(b, arrange(b, x, (0, 1)), layer.kind, bits=layer.bits, **masks)
    return framed(b, value, (0,))


def _table(what: str) -> Rule:
    """A torch layer without parameters, as a table of its values."""
    return lambda call, x: functions.pointwise(what, call.layer)(call.builder, x)


TABLES = ("ELU", "GELU", "Hardswish", "SELU", "SiLU", "Sigmoid", "Softplus", "Tanh")

LAYERS: Mapping[str, Rule] = {
    "AdaptiveAvgPool1d": _adaptive("mean"),
    "AdaptiveAvgPool2d": _adaptive("mean"),
    "AdaptiveMaxPool1d": _adaptive("max"),
    "AdaptiveMaxPool2d": _adaptive("max"),
    "AvgPool1d": avg_pool,
    "AvgPool2d": avg_pool,
    "Hardtanh": lambda call, x: functions.clamp(
        call.builder, x, call.layer.min_val, call.layer.max_val
    ),
    "LeakyReLU": lambda call, x: functions.leaky_relu(call.builder, x, call.layer.negative_slope),
    "MaskedPool": masked_pool,
    "MaxPool1d": max_pool,
    "MaxPool2d": max_pool,
    "QuantConv1d": conv,
    "QuantConv2d": conv,
    "QuantEltwiseAdd": eltwise_add,
    "QuantHardTanh": activation(functions.FUNCTIONS["hardtanh"]),
    "QuantIdentity": activation(None),
    "QuantLinear": linear,
    "QuantReLU": activation(functions.relu),
    "QuantSigmoid": activation(functions.FUNCTIONS["sigmoid"]),
    "QuantTanh": activation(functions.FUNCTIONS["tanh"]),
    "ReLU": lambda call, x: functions.relu(call.builder, x),
    "SetPool": lambda call, x: functions.FUNCTIONS[
        {"max": "amax"}.get(call.layer.kind, call.layer.kind)
    ](call.builder, x, 1),
    **{name: _table(name.lower()) for name in TABLES},
}
"""Rules by the name of a class of torch.nn, brevitas.nn or nacsr."""

REMEDIES: Mapping[str, str] = {
    "BatchNorm1d": "fold the BatchNorm into the layer before it: fold_batchnorm(module), or "
    "merge_bn_in of that layer",
    "BatchNorm2d": "fold the BatchNorm into the layer before it: fold_batchnorm(module), or "
    "merge_bn_in of that layer",
    "Conv1d": "its weights are not quantised; use QuantConv1d",
    "Conv2d": "its weights are not quantised; use QuantConv2d",
    "LayerNorm": "it divides by a root of its input; use BatchNorm and fold it",
    "Linear": "its weights are not quantised; use QuantLinear",
    "LogSoftmax": "leave it out: the largest logit has the largest probability",
    "QuantCat": "use torch.cat of what QuantIdentity layers return",
    "PReLU": "use nn.LeakyReLU with a slope that is a power of two",
    "Softmax": "leave it out: the largest logit has the largest probability",
    "TruncAdaptiveAvgPool2d": "use nn.AdaptiveAvgPool2d and a QuantIdentity",
    "TruncAvgPool2d": "use nn.AvgPool2d and a QuantIdentity",
}
