"""How hls4ml builds the layers of a design, as far as their cost depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from nacsr.errors import SpecError

STRATEGIES = ("latency", "resource")
IO_TYPES = ("io_parallel", "io_stream")


@dataclass(frozen=True, slots=True)
class Build:
    """Options of hls4ml.

    Attributes:
        strategy: ``latency`` (weights are constants of the logic) or ``resource`` (with a reuse
            factor they are words of a memory).
        reuse_factor: products that a multiplier computes one after another, at most.
        io_type: ``io_parallel``, or ``io_stream`` (one pixel after another).
        accumulator: bits of the accumulators where they are not as wide as the exact sums
            (nacsr's own projects have exact ones), or None.

    Raises:
        SpecError: for any other value.
    """

    strategy: str = "latency"
    reuse_factor: int = 1
    io_type: str = "io_parallel"
    accumulator: int | None = None

    def __post_init__(self) -> None:
        for name, known in (("strategy", STRATEGIES), ("io_type", IO_TYPES)):
            if getattr(self, name) not in known:
                msg = f"{name} must be {' or '.join(known)}, not {getattr(self, name)!r}"
                raise SpecError(msg)
        if self.reuse_factor < 1:
            msg = f"reuse_factor must be 1 or more, not {self.reuse_factor}"
            raise SpecError(msg)
        if self.accumulator is not None and self.accumulator < 1:
            msg = f"accumulator must be 1 bit or more, not {self.accumulator}; leave it out"
            raise SpecError(msg)

    @property
    def streams(self) -> bool:
        """Whether words travel through streams."""
        return self.io_type == "io_stream"

    @property
    def memories(self) -> bool:
        """Whether weights are words of a memory, so that their values do not count."""
        return self.strategy == "resource" and self.reuse_factor > 1

    @property
    def text(self) -> str:
        """What differs from hls4ml's defaults, for people; "" if nothing does."""
        parts = [] if self.strategy == "latency" else [f"strategy {self.strategy}"]
        parts += [] if self.reuse_factor == 1 else [f"reuse factor {self.reuse_factor}"]
        parts += [self.io_type] if self.streams else []
        parts += [] if self.accumulator is None else [f"accumulators of {self.accumulator} bits"]
        return ", ".join(parts)


DEFAULT = Build()
"""io_parallel, strategy latency, reuse factor 1."""


def layer_reuse(inputs: int, outputs: int, limit: int, rounds: bool = True) -> int:
    """The largest reuse factor up to ``limit`` that strategy resource computes exactly.

    Up to the number of inputs it divides that number; above it is a multiple, where a layer may
    go round its inputs several times (``rounds``: dense layers).

    >>> layer_reuse(16, 64, 10), layer_reuse(16, 64, 70), layer_reuse(16, 64, 70, rounds=False)
    (8, 64, 16)
    """
    found = _divisor(inputs, limit)
    return found * _divisor(outputs, limit // inputs) if found == inputs and rounds else found


def _divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)
