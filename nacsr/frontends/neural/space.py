"""The search space of networks: multilayer perceptrons with their bit widths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nacsr.errors import SpecError
from nacsr.search.nsga2 import Gene
from nacsr.spec import NetworkSpec

ACTIVATIONS = ("relu",)
"""Activations that every trainer and the lowering express exactly."""


@dataclass(frozen=True, slots=True)
class Mlp:
    """The genotype of a multilayer perceptron.

    Attributes:
        widths: neurons of the hidden layers.
        activation: a member of ``ACTIVATIONS``.
        batchnorm: whether the float training normalises hidden layers (folded afterwards).
        weight_bits: bits of every weight.
        activation_bits: bits of the inputs and of every activation.

    Raises:
        SpecError: for an activation that cannot be lowered exactly.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    batchnorm: bool = False
    weight_bits: int = 6
    activation_bits: int = 8

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            msg = (
                f"activation {self.activation!r} is not offered for networks: it cannot be "
                f"trained and lowered to the same bits yet; choose from {', '.join(ACTIVATIONS)}"
            )
            raise SpecError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal networks have equal values."""
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Mlp:
        """The inverse of ``to_dict``."""
        return cls(**{**record, "widths": tuple(record["widths"])})

    @property
    def key(self) -> str:
        """Canonical JSON: one key a network, whatever genes it came from."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def title(self, inputs: int, outputs: int) -> str:
        """For people, such as ``MLP 16-32-16-5 relu w6 a8``."""
        layers = "-".join(str(n) for n in (inputs, *self.widths, outputs))
        norm = " bn" if self.batchnorm else ""
        return f"MLP {layers} {self.activation}{norm} w{self.weight_bits} a{self.activation_bits}"


def genes(spec: NetworkSpec) -> dict[str, Gene]:
    """The genes of a search space: one width a possible layer, of which ``depth`` many count.

    Raises:
        SpecError: for a space with an activation that cannot be lowered exactly.
    """
    for activation in spec.activations:
        Mlp((), activation)
    found = {"depth": Gene(tuple(sorted(set(spec.depth))), ordered=True)}
    widths = Gene(tuple(sorted(set(spec.widths))), ordered=True)
    found |= {f"width{i}": widths for i in range(max(spec.depth))}
    found["activation"] = Gene(tuple(sorted(set(spec.activations))))
    found["batchnorm"] = Gene(tuple(sorted(set(spec.batchnorm))))
    found["weight_bits"] = Gene(tuple(sorted(set(spec.weight_bits))), ordered=True)
    found["activation_bits"] = Gene(tuple(sorted(set(spec.activation_bits))), ordered=True)
    return found


def decode(values: Mapping[str, Any]) -> Mlp:
    """The network that genes stand for; unused width genes leave no trace."""
    return Mlp(
        widths=tuple(int(values[f"width{i}"]) for i in range(int(values["depth"]))),
        activation=str(values["activation"]),
        batchnorm=bool(values["batchnorm"]),
        weight_bits=int(values["weight_bits"]),
        activation_bits=int(values["activation_bits"]),
    )
