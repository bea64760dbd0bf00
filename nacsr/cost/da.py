"""da4ml's cost of a design: LUTs of its shift-add logic, as after placement and routing.

The graph is unrolled as for RTL (da4ml's solver shares the additions of constant matrices) and
traced into da4ml's logic op by op, which knows what each costs: an adder its overlapping bits,
a multiplexer half of them, a table its truth table in LUTs. Nothing here was fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from nacsr.cost.bands import Band, has_layers
from nacsr.cost.da_fast import da_fast
from nacsr.errors import EmitError, GraphError
from nacsr.ir import Graph
from nacsr.ir.passes.scalar import check, unrolled
from nacsr.measure import Measurement
from nacsr.targets import Target, place

if TYPE_CHECKING:
    from da4ml.types import CombLogic

STAGE = "pnr"
FLAGS = "unrolled as for rtl; adder_size=1, carry_size=-1"
BAND = Band(
    0.133,
    0.0,
    "LUT / cost 0.969..1.132 (mean 1.051) of 20 JEDI-linear networks, Vivado place and route, "
    "xcvu13p, 2 ns (github.com/calad0i/JEDI-linear, Apache-2.0)",
)
"""What its authors' own designs say; those are adders and multiplexers, hardly any tables."""

LIMIT = 80_000
"""Largest design, in LUTs as ``da_fast`` counts them: da4ml's solver takes about a minute for it.

One matrix takes more than twice the time for twice the LUTs: of dense weights of 8 bits 64 x 64
are 52,000 LUTs and 19 s of CPU time, 96 x 96 are 111,000 and two minutes on the same machine.
"""

PARTS: Mapping[int, str] = {
    0: "adders",
    1: "adders",
    4: "adders",
    2: "multiplexers",
    6: "multiplexers",
    3: "negations",
    8: "tables",
    9: "bits",
    10: "bits",
}
"""What an operation of da4ml is, by its code without sign; inputs and constants are free."""


@dataclass(frozen=True, slots=True)
class DaCost:
    """LUTs of a design's logic; shift-add logic has no DSP and no BRAM.

    Attributes:
        luts: da4ml's cost.
        parts: the same by kind of operation, see ``PARTS``.
        operations: how many operations it has.
    """

    luts: float
    parts: Mapping[str, float]
    operations: int

    def measurements(
        self, target: Target, clock_mhz: float, digest: str
    ) -> tuple[Measurement, ...]:
        """The LUTs with their band, and no DSPs.

        Args:
            target: a device whose LUTs have 6 inputs, as all in ``nacsr.targets``.
            clock_mhz: a clock; the cost does not follow it.
            digest: of the graph.
        """
        where, tool = place(target, clock_mhz), f"da4ml {version('da4ml')}"
        rows = (("luts", self.luts, BAND.half_width(self.luts)), ("dsps", 0.0, None))
        return tuple(
            Measurement(metric, value, "da", STAGE, tool, where, digest, error, flags=FLAGS)
            for metric, value, error in rows
        )


def da_cost(graph: Graph) -> DaCost:
    """da4ml's cost of a verified graph, of scalars or of layers.

    Raises:
        EmitError: for a design too large to unroll or to solve (see ``LIMIT``), too deep for
            da4ml, or with an operation of which its cost does not speak, such as a product of
            two variables.
    """
    return cost_of(logic(graph))


def logic(graph: Graph) -> CombLogic:
    """The logic of da4ml that computes a graph bit for bit.

    Raises:
        EmitError: as ``da_cost``.
    """
    from nacsr.cost.da_trace import traced

    try:
        check(graph, "da4ml")
        _check_time(graph)
        return traced(unrolled(graph))
    except GraphError as error:
        msg = f"no da cost: {error}"
    except RecursionError:  # it looks for what is read from the outputs up, a call an operation
        msg = (
            f"no da cost: {len(graph.ops)} operations are chained deeper than da4ml can follow; "
            "ask for the analytic cost, or cut the chain into shorter designs"
        )
    raise EmitError(msg) from None


def _check_time(graph: Graph) -> None:
    """Refuse constant matrices that keep da4ml's solver busy for minutes."""
    if not has_layers(graph):
        return
    luts = da_fast(graph)
    if luts > LIMIT:
        msg = (
            f"no da cost: about {luts:,.0f} LUTs of shift-add logic would keep da4ml's solver busy "
            f"for minutes; the limit is {LIMIT:,}. Ask for the analytic cost, or for this estimate "
            "from Python: nacsr.cost.da_fast"
        )
        raise EmitError(msg)


def cost_of(comb: CombLogic) -> DaCost:
    """What a logic of da4ml costs."""
    parts = dict.fromkeys(PARTS.values(), 0.0)
    for op in comb.ops:
        if op.cost:
            parts[PARTS[abs(op.opcode)]] += float(op.cost)
    return DaCost(float(comb.cost), parts, len(comb.ops))
