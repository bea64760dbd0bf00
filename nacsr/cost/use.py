"""What one op of a graph uses; rules return it, ``estimate`` adds it up."""

from __future__ import annotations

from dataclasses import dataclass

from nacsr.cost.schedule import Stage


@dataclass(frozen=True, slots=True)
class Use:
    """Resources of one op, its delay chain and what it registers.

    Attributes:
        luts: look-up tables at csynth.
        dsps: DSP48E2 blocks.
        ffs: flip-flops wherever it is placed in time.
        brams: 18-kbit block RAMs.
        stages: its operators in order, on the longest path.
        live: bits registered at every clock boundary inside it, were it cut there.
        soft: multipliers in LUTs among it, which a sum behind them may draw into DSPs.
        soft_luts: the LUTs of those multipliers.
        cycles: whole cycles that it takes besides, one step after another.
        ii: cycles between two events that it can take.
        waits: cycles between its first pixel and its last, where an event comes in pixels.
        pipelined: False if it takes an event only when it is done with the one before.
    """

    luts: int = 0
    dsps: int = 0
    ffs: int = 0
    brams: int = 0
    stages: tuple[Stage, ...] = ()
    live: int = 0
    soft: int = 0
    soft_luts: int = 0
    cycles: int = 0
    ii: int = 1
    waits: int = 0
    pipelined: bool = True


WIRES = Use()
