"""The fixed-point types of a network's quantisers, and training with them in place.

The fake quantiser is ``Fixed`` in float32: clamp, then round half to even (``RND_CONV``), with
the gradient passed straight through inside the range. Powers of two scale exactly, so trained
integers go into the IR unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nacsr.errors import NacsrError
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.neural.goal import CENTRE_BITS, Units
from nacsr.frontends.neural.model import Parameters, Place, run
from nacsr.frontends.neural.space import Conv, Dense, Network, Pool

if TYPE_CHECKING:
    import torch

Plan = Mapping[Place, Fixed]
"""The type of every quantiser of a network; exact sums have none."""

CALIBRATION = 4096
"""Training events that BatchNorm statistics and ranges are taken from."""
BIAS_BITS = 22
"""Biases lie on the accumulator's grid; 22 bits are exact in float32 and free in hardware."""
TABLE_BITS = 2
"""Bits that the sum before a table has more than what the table gives."""
STEP_CHOICES = 4
"""How many powers of two below the one that holds the maximum are tried for a step."""
SIGNED = {"relu": False, "sigmoid": False}
"""Whether an activation gives negative values; True if it is not here."""


FAULTS = (NacsrError, RuntimeError, MemoryError)
"""What ends the training of one network and not the study; torch raises RuntimeError."""


class TrainingError(NacsrError):
    """A training that diverged, or ended otherwise."""

    @classmethod
    def of(cls, error: BaseException) -> TrainingError:
        """One of ``FAULTS``, by its name where its message does not speak for itself."""
        if isinstance(error, NacsrError):
            return error if isinstance(error, cls) else cls(str(error))
        return cls(f"training ended with {type(error).__name__}: {error}".rstrip(": "))


def make_plan(network: Network, params: Parameters, x: torch.Tensor) -> Plan:
    """Types for a float network without BatchNorm: the step of least squared error each.

    Args:
        network: gives the bit widths.
        params: trained and folded.
        x: standardised events to take the ranges of activations from.

    Raises:
        TrainingError: if a value is infinite or NaN.
    """
    import torch

    planner = _Planner(network)
    with torch.no_grad():
        run(network, params, x[:CALIBRATION], planner.snap)
    return planner.found


@dataclass(slots=True)
class _Planner:
    """Chooses a type wherever the evaluator passes, and leaves values as they are."""

    network: Network
    found: dict[Place, Fixed]
    frac: int
    signed: bool

    def __init__(self, network: Network) -> None:
        self.network, self.found, self.frac, self.signed = network, {}, 0, True

    def snap(self, place: Place, values: torch.Tensor) -> torch.Tensor:
        type_ = self._type(place, values.numpy())
        if type_ is not None:
            self.found[place] = type_
        return values

    def _type(self, place: Place, values: NDArray[np.float32]) -> Fixed | None:
        layer = self.network.layers[place.layer] if place.layer >= 0 else None
        match place.what, layer:
            case "weight", Dense(weight_bits=bits) | Conv(weight_bits=bits):
                found = best_type(values, bits, True, Overflow.SAT_SYM)
                self.frac += found.frac
                return found
            case "bias", _:
                modes = (Rounding.RND_CONV, Overflow.SAT_SYM)
                return Fixed(BIAS_BITS, BIAS_BITS - self.frac, True, *modes)
            case "before", Dense(bits=bits) | Conv(bits=bits):
                return best_type(values, (bits or 0) + TABLE_BITS, True, Overflow.SAT)
            case "after", None:
                return self._value(values, self.network.input_bits, True)
            case "after", Dense(bits=bits, activation=act) | Conv(bits=bits, activation=act):
                return self._value(values, bits, SIGNED.get(act, True)) if bits else None
            case "after", Pool(bits=bits, kind=kind):  # a maximum lies on the grid already
                return self._value(values, bits, self.signed) if bits and kind != "max" else None
        return None

    def _value(self, values: NDArray[np.float32], bits: int, signed: bool) -> Fixed:
        found = best_type(values, bits, signed, Overflow.SAT)
        self.frac, self.signed = found.frac, signed
        return found


def in_units(
    network: Network, plan: Plan, params: Parameters, units: Units
) -> tuple[Plan, list[tuple[torch.Tensor, ...]]]:
    """The same network with its output in the units of a regression's target, exactly.

    The last layer's grids move by a power of two, and the centres are added to its quantised
    bias, whose type grows to hold the sum. That layer becomes float64, in which it is exact.
    """
    import torch

    at = len(network.layers) - 1
    weight, bias = params[at]
    w_type, b_type = plan[Place(at, "weight")], plan[Place(at, "bias")]
    moved = replace(b_type, integer=b_type.integer + units.shift)
    values = moved.to_float(b_type.quantize(bias.numpy())) + np.array(units.centre)
    frac = max(moved.frac, CENTRE_BITS - units.shift)
    width = math.frexp(max(float(np.abs(values).max()), moved.lsb))[1] + frac + 1  # and a sign
    types = {
        Place(at, "weight"): replace(w_type, integer=w_type.integer + units.shift),
        Place(at, "bias"): replace(moved, width=width, integer=width - frac),
    }
    last = (weight.double() * 2.0**units.shift, torch.from_numpy(values))
    return {**plan, **types}, [*params[:at], last]


def best_type(values: NDArray[np.float32], bits: int, signed: bool, overflow: Overflow) -> Fixed:
    """Of the types that many bits wide, the one of least squared error.

    Raises:
        TrainingError: if a value is infinite or NaN.
    """
    top = max(float(np.abs(values).max()), 2.0**-30)
    if not math.isfinite(top):
        msg = "training diverged: a value is infinite or NaN"
        raise TrainingError(msg)
    integer = math.floor(math.log2(top)) + 1 + signed
    modes = (signed, Rounding.RND_CONV, overflow)
    types = [Fixed(bits, integer - i, *modes) for i in range(STEP_CHOICES)]
    exact = values.astype(np.float64)
    return min(types, key=lambda t: float(np.square(_snapped(exact, t) - exact).mean()))


def _snapped(values: NDArray[np.float64], t: Fixed) -> NDArray[np.float64]:
    """``t.to_float(t.quantize(values))`` for RND_CONV and a type that saturates, but faster."""
    steps = np.rint(values * 2.0**t.frac)
    return np.clip(steps, t.lowest, t.max_raw, out=steps) * 2.0**-t.frac


def snapper(plan: Plan) -> Callable[[Place, torch.Tensor], torch.Tensor]:
    """What quantises wherever the plan has a type, differentiable."""

    def snap(place: Place, values: torch.Tensor) -> torch.Tensor:
        found = plan.get(place)
        return values if found is None else quantise(values, found)

    return snap


def rehearse(
    network: Network, plan: Plan, params: Parameters, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fake-quantised scores in float64, in which sums of 53 bits are exact.

    Args:
        network: the architecture; attention stays in floating point.
        plan: types of its quantisers.
        params: of every layer.
        values: standardised values, shape (events, words).

    Returns:
        Shape (events, outputs).
    """
    import torch

    exact = [tuple(t.double() for t in mine) for mine in params]
    with torch.no_grad():
        found = [
            run(network, exact, torch.from_numpy(values[at : at + CALIBRATION]), snapper(plan))
            for at in range(0, len(values), CALIBRATION)
        ]
    return np.concatenate([part.numpy() for part in found])


def quantise(x: torch.Tensor, t: Fixed) -> torch.Tensor:
    """Real numbers to the grid of ``t``, differentiable; exact for 22 bits and fewer."""
    from torch.nn import functional as f

    low = -t.max_raw if t.overflow is Overflow.SAT_SYM else t.min_raw
    clamped = f.hardtanh(x * 2.0**t.frac, float(low), float(t.max_raw))
    return _straight_through()(clamped) * 2.0**-t.frac


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
