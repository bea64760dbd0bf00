"""FPGA targets: part numbers and capacities (AMD UltraScale+ product tables, DS890)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nacsr.errors import SpecError, unknown


@dataclass(frozen=True, slots=True)
class Target:
    """A device: capacities of the whole chip, and its super logic regions (SLRs).

    ``brams`` counts 18-kbit blocks.
    """

    name: str
    part: str
    luts: int
    dsps: int
    ffs: int
    brams: int
    slrs: int

    def capacity(self, metric: str) -> int | None:
        """How many of a resource metric the chip has; None for metrics that are not resources."""
        found: int | None = getattr(self, metric, None) if metric in RESOURCES else None
        return found

    def area(self, luts: float, dsps: float) -> float:
        """LUTs and DSPs as one number: a DSP counts as many LUTs as the chip has for each."""
        return luts + dsps * self.luts / self.dsps


RESOURCES = ("luts", "dsps", "ffs", "brams")

TARGETS: Mapping[str, Target] = {
    t.name: t
    for t in (
        Target("vu9p", "xcvu9p-flga2577-2-e", 1_182_240, 6_840, 2_364_480, 4_320, 3),
        Target("vu13p", "xcvu13p-flga2577-2-e", 1_728_000, 12_288, 3_456_000, 5_376, 4),
    )
}


def place(device: Target, clock_mhz: float) -> str:
    """Part and clock, as measurements of hardware name them."""
    return f"{device.part} @ {clock_mhz:g} MHz"


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        SpecError: for an unknown name, listing the known ones.
    """
    if name not in TARGETS:
        raise SpecError(unknown("target", name, TARGETS))
    return TARGETS[name]
