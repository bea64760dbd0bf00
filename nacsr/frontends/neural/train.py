"""Training in plain torch: float with BatchNorm first, then fake-quantised, both by steps.

The fake quantiser is ``Fixed`` in float32: clamp, then round half to even (``RND_CONV``),
with the gradient passed straight through inside the range. Powers of two scale exactly, so
trained integers go into the IR unchanged. A regression is trained on standardised targets;
``in_units`` puts its scale and centre into the last layer afterwards, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import NacsrError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural.goal import CENTRE_BITS, Rows, Units
from nacsr.frontends.neural.lower import Affine, Relu, Step
from nacsr.frontends.neural.space import Mlp

if TYPE_CHECKING:
    import torch

MAX_BATCH = 1024
MIN_BATCHES = 24
"""Batches an epoch at least, where there are events enough: the noise of small batches
keeps small sets from being learnt by heart (6,000 events: 1-3 % of accuracy)."""
EPOCHS = 120
"""No event is trained on more often: beyond, small sets are only learnt by heart."""
CALIBRATION = 4096
"""Training events that BatchNorm statistics and activation ranges are taken from."""
FLOAT_RATE = 1e-2
QUANTISED_RATE = 5e-3
WEIGHT_DECAY = 0.2
"""Strong: networks this small overfit thousands of events, and small weights quantise well."""
BIAS_BITS = 24
"""Biases lie on the accumulator's grid; 24 bits are exact in float32 and free in hardware."""
STEP_CHOICES = 4
"""How many powers of two below the one that holds the maximum are tried for a step."""

Layers = Sequence[tuple["torch.Tensor", "torch.Tensor"]]
"""Weight (outputs, inputs) and bias (outputs,) of every dense layer."""


class TrainingError(NacsrError):
    """A training that diverged."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The fixed-point type of every quantiser of a network, one entry a dense layer.

    ``inputs[k]`` is what layer ``k`` reads: the network's input first, then activations.
    """

    inputs: tuple[Fixed, ...]
    weights: tuple[Fixed, ...]
    biases: tuple[Fixed, ...]


# --- float -----------------------------------------------------------------------------


def train_float(mlp: Mlp, rows: Rows, steps: int, generator: torch.Generator) -> Layers:
    """Train in float32; BatchNorm is folded into the layers that are returned.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    import torch
    from torch.nn import functional as f

    sizes = (rows.x.shape[1], *mlp.widths, rows.outputs)
    layers = [_initial(a, b, generator) for a, b in pairwise(sizes)]
    gains = [torch.ones(n, requires_grad=True) for n in mlp.widths] if mlp.batchnorm else []

    def forward(x: torch.Tensor) -> torch.Tensor:
        for k, (weight, bias) in enumerate(layers):
            if k < len(gains):
                x = f.batch_norm(f.linear(x, weight), None, None, gains[k], bias, training=True)
            else:
                x = f.linear(x, weight, bias)
            if k < len(layers) - 1:
                x = f.relu(x)
        return x

    parameters = [p for layer in layers for p in layer] + gains
    fit(parameters, forward, rows, steps, FLOAT_RATE, generator)
    with torch.no_grad():
        return _fold(layers, gains, rows.x[:CALIBRATION])


def _initial(
    inputs: int, outputs: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Uniform weights of variance 2 / inputs (He et al., ICCV 2015), zero bias."""
    import torch

    reach = math.sqrt(6.0 / inputs)
    weight = (torch.rand(outputs, inputs, generator=generator) * 2 - 1) * reach
    return weight.requires_grad_(), torch.zeros(outputs, requires_grad=True)


def _fold(layers: Layers, gains: Sequence[torch.Tensor], x: torch.Tensor) -> Layers:
    """The same function without BatchNorm, whose statistics are those of ``x``."""
    import torch
    from torch.nn import functional as f

    folded = []
    for k, (weight, bias) in enumerate(layers):
        if k < len(gains):
            z = f.linear(x, weight)
            scale = gains[k] / torch.sqrt(z.var(0, unbiased=False) + 1e-5)
            weight, bias = weight * scale[:, None], bias - z.mean(0) * scale
        folded.append((weight.detach().clone(), bias.detach().clone()))
        x = f.relu(f.linear(x, weight, bias))
    return folded


# --- quantisers ------------------------------------------------------------------------


def plan(mlp: Mlp, layers: Layers, x: torch.Tensor) -> Plan:
    """Types for a trained float network: the power-of-two step of least squared error each.

    Args:
        mlp: gives the bit widths.
        layers: the trained layers without BatchNorm.
        x: standardised events to take the ranges of activations from.
    """
    from torch.nn import functional as f

    x = x[:CALIBRATION]
    inputs, weights, biases = [], [], []
    for k, (weight, bias) in enumerate(layers):
        signed = k == 0
        modes = (Rounding.RND_CONV, Overflow.SAT)
        inputs.append(_best_type(x.numpy(), mlp.activation_bits, signed, *modes))
        modes = (Rounding.RND_CONV, Overflow.SAT_SYM)
        weights.append(_best_type(weight.numpy(), mlp.weight_bits, True, *modes))
        frac = inputs[k].frac + weights[k].frac
        biases.append(Fixed(BIAS_BITS, BIAS_BITS - frac, True, *modes))
        x = f.relu(f.linear(x, weight, bias))
    return Plan(tuple(inputs), tuple(weights), tuple(biases))


def _best_type(
    values: NDArray[np.float32], bits: int, signed: bool, rounding: Rounding, overflow: Overflow
) -> Fixed:
    top = max(float(np.abs(values).max()), 2.0**-30)
    if not math.isfinite(top):
        msg = "training diverged: a value is infinite or NaN"
        raise TrainingError(msg)
    integer = math.floor(math.log2(top)) + 1 + signed
    types = [Fixed(bits, integer - i, signed, rounding, overflow) for i in range(STEP_CHOICES)]
    exact = values.astype(np.float64)
    errors = [float(np.square(t.to_float(t.quantize(exact)) - exact).mean()) for t in types]
    return types[int(np.argmin(errors))]


def _quantise(x: torch.Tensor, t: Fixed) -> torch.Tensor:
    """Real numbers to raw integers of ``t``, differentiable; exact below 2**24."""
    return _round_clamped(x * 2.0**t.frac, t)


def _round_clamped(x: torch.Tensor, t: Fixed) -> torch.Tensor:
    """Clamp to the range of ``t`` and round, for ``x`` in units of its step."""
    from torch.nn import functional as f

    low = -t.max_raw if t.overflow is Overflow.SAT_SYM else t.min_raw
    return _straight_through()(f.hardtanh(x, float(low), float(t.max_raw)))


@lru_cache(maxsize=1)
def _straight_through() -> Callable[[torch.Tensor], torch.Tensor]:
    """Rounding half to even with the gradient of the identity (Bengio et al., 1308.3432)."""
    import torch

    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return torch.round(x)

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return grads[0]

    apply: Callable[[torch.Tensor], torch.Tensor] = Round.apply
    return apply


# --- quantised -------------------------------------------------------------------------


def train_quantised(
    plan: Plan, layers: Layers, rows: Rows, steps: int, generator: torch.Generator
) -> Layers:
    """Train on with every quantiser of the plan in place; the layers stay real numbers.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    tuned = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in layers]
    parameters = [p for layer in tuned for p in layer]
    forward = partial(quantised_forward, plan, tuned)
    fit(parameters, forward, rows, steps, QUANTISED_RATE, generator)
    return [(w.detach(), b.detach()) for w, b in tuned]


def quantised_forward(plan: Plan, layers: Layers, x: torch.Tensor) -> torch.Tensor:
    """Class scores of the quantised network for standardised events.

    Activations are kept in raw integers, the powers of two go into the small weight matrices.
    """
    from torch.nn import functional as f

    h = _quantise(x, plan.inputs[0])
    for k, (weight, bias) in enumerate(layers):
        after = plan.inputs[k + 1] if k + 1 < len(layers) else None
        up = after.frac if after else 0
        w_type, b_type = plan.weights[k], plan.biases[k]
        w = _quantise(weight, w_type) * 2.0 ** (up - w_type.frac - plan.inputs[k].frac)
        b = _quantise(bias, b_type) * 2.0 ** (up - b_type.frac)
        h = f.linear(h, w, b)
        if after:
            h = _round_clamped(h, after)  # unsigned: this is the relu too
    return h


def in_units(plan: Plan, layers: Layers, units: Units | None) -> tuple[Plan, Layers]:
    """The same network with its output in the units of the target, exactly.

    The last layer's grids move by a power of two, and the centre is added to its quantised
    bias, whose type grows to hold the sum. That layer becomes float64, in which it is exact.
    """
    import torch

    if units is None:
        return plan, layers
    (weight, bias), w_type, b_type = layers[-1], plan.weights[-1], plan.biases[-1]
    moved = replace(b_type, integer=b_type.integer + units.shift)
    values = moved.to_float(b_type.quantize(bias.numpy())) + units.centre
    frac = max(moved.frac, CENTRE_BITS - units.shift)
    width = math.frexp(max(float(np.abs(values).max()), moved.lsb))[1] + frac + 1  # and a sign
    grown = replace(moved, width=width, integer=width - frac)
    types = Plan(
        plan.inputs,
        (*plan.weights[:-1], replace(w_type, integer=w_type.integer + units.shift)),
        (*plan.biases[:-1], grown),
    )
    last = (weight.double() * 2.0**units.shift, torch.from_numpy(values))
    return types, [*layers[:-1], last]


def lowered(plan: Plan, layers: Layers) -> list[Step]:
    """The quantised network as IR steps."""
    steps: list[Step] = []
    for k, (weight, bias) in enumerate(layers):
        if k > 0:
            steps.append(Relu())
        w_type, b_type = plan.weights[k], plan.biases[k]
        w = w_type.quantize(weight.numpy().T)
        steps += [plan.inputs[k], Affine(w, w_type, b_type.quantize(bias.numpy()), b_type)]
    return steps


def useful_steps(steps: int, events: int) -> int:
    """A budget of steps, cut where every event has been seen ``EPOCHS`` times."""
    return min(steps, math.ceil(EPOCHS * events / batch_size(events)))


def batch_size(events: int) -> int:
    """A power of two that gives ``MIN_BATCHES`` batches an epoch, up to ``MAX_BATCH``."""
    fitting = 1 << round(math.log2(max(events / MIN_BATCHES, 32)))
    return min(fitting, MAX_BATCH, events)


def fit(
    parameters: Iterable[torch.Tensor],
    forward: Callable[[torch.Tensor], torch.Tensor],
    rows: Rows,
    steps: int,
    rate: float,
    generator: torch.Generator,
) -> None:
    """Minimise the loss in place: AdamW, learning rate ``rate`` falling by a cosine.

    Raises:
        TrainingError: if the loss becomes infinite or NaN.
    """
    import torch

    optimiser = torch.optim.AdamW(list(parameters), weight_decay=WEIGHT_DECAY, fused=True)
    for i, index in enumerate(_batches(len(rows.x), steps, generator)):
        for group in optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * i / steps))
        loss = rows.loss(forward(rows.x[index]), index)
        if not math.isfinite(loss.item()):
            msg = f"training diverged: the loss is {loss.item()} at step {i} of {steps}"
            raise TrainingError(msg)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()


def _batches(events: int, steps: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Indices of one batch a step, drawn without replacement until all events were seen."""
    import torch

    size = batch_size(events)
    order = torch.randperm(events, generator=generator)
    at = 0
    for _ in range(steps):
        if at + size > events:
            order, at = torch.randperm(events, generator=generator), 0
        yield order[at : at + size]
        at += size
