"""Cost of a graph: the sum over its ops, and a schedule of them at a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nacsr.cost.bands import Band, bands
from nacsr.cost.operations import FLOWS, Rule, elements, held_words, sum_of
from nacsr.cost.schedule import Moment, Slot, balance, chain, period_ns
from nacsr.cost.simplify import Node, simplify
from nacsr.cost.use import WIRES, Use
from nacsr.errors import SpecError, unknown
from nacsr.ir import Graph
from nacsr.measure import HARDWARE, Measurement, tool_name
from nacsr.targets import Target
from nacsr.targets import target as find_target


@dataclass(frozen=True, slots=True)
class OpCost:
    """A row of the breakdown: resources of op ``index``, and when its value is there.

    ``ffs`` counts the registers inside the op and those that hold its value until its last
    reader; ``ns`` is the time since ``cycle`` began.
    """

    index: int
    name: str
    luts: int
    dsps: int
    ffs: int
    brams: int
    cycle: int
    ns: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What C-synthesis would report for a design, unrolled and pipelined with II = 1.

    ``latency_cycles`` is csynth's: 0 for a design that fits into one period. ``brams``
    counts 18-kbit blocks. ``bands`` gives for a metric how far reports were from it, where
    that is known; ``stage`` (a key of ``nacsr.measure.STAGES``) says what the numbers speak of;
    ``calibration`` is the digest of what they were refitted with, or "".
    """

    luts: int
    dsps: int
    ffs: int
    brams: int
    latency_cycles: int
    ii_cycles: int
    rows: tuple[OpCost, ...]
    bands: Mapping[str, Band] = field(repr=False)
    stage: str = "csynth"
    calibration: str = ""

    def measurements(
        self, target: Target, clock_mhz: float, digest: str
    ) -> tuple[Measurement, ...]:
        """One measurement a metric, with its band's half-width as its error.

        Args:
            target: the device it was estimated for.
            clock_mhz: the clock it was estimated at.
            digest: digest of the graph.
        """
        where = f"{target.part} @ {clock_mhz:g} MHz"
        refitted = f" + calibration {self.calibration}" if self.calibration else ""
        tool = tool_name() + refitted
        return tuple(
            Measurement(
                metric,
                float(getattr(self, metric)),
                "analytic",
                self.stage,
                tool,
                where,
                digest,
                self._error(metric),
            )
            for metric in HARDWARE
        )

    def _error(self, metric: str) -> float | None:
        band = self.bands.get(metric)
        return None if band is None else band.half_width(getattr(self, metric))


def estimate(graph: Graph, target: str, clock_mhz: float, flow: str = "hls") -> Cost:
    """Estimate a verified graph.

    Args:
        graph: the design.
        target: name of a device in ``nacsr.targets``.
        clock_mhz: clock frequency.
        flow: ``hls`` (our emitted C++) or ``hls4ml`` (io_parallel, latency strategy, reuse
            factor 1).

    Raises:
        SpecError: for an unknown target or flow, or a clock that is not positive.
    """
    find_target(target)  # UltraScale+ chips differ in size, not in their LUTs and DSPs
    if flow not in FLOWS:
        raise SpecError(unknown("flow", flow, FLOWS))
    nodes = simplify(graph)
    uses = [_use(nodes, node, FLOWS[flow]) for node in nodes]
    slots, held = _schedule(nodes, uses, period_ns(clock_mhz))
    rows = tuple(
        _row(i, *parts) for i, parts in enumerate(zip(nodes, uses, slots, held, strict=True))
    )
    latency = max((slots[i].end.cycle for _, i in graph.outputs), default=0)
    return Cost(
        luts=sum(r.luts for r in rows),
        dsps=sum(r.dsps for r in rows),
        ffs=sum(r.ffs for r in rows) + latency + 2,  # one valid bit a cycle and the handshake
        brams=sum(r.brams for r in rows),
        latency_cycles=latency,
        ii_cycles=1,
        rows=rows,
        bands=bands(graph, clock_mhz, flow),
    )


def _use(nodes: list[Node], node: Node, rules: Mapping[str, Rule]) -> Use:
    if not node.spent:
        return WIRES
    if node.op.name in ("add", "sub"):
        return sum_of(node.adders, elements(node.op))
    return rules[node.op.name](node.op, tuple(nodes[a].op for a in node.op.args))


def _schedule(nodes: list[Node], uses: list[Use], period: float) -> tuple[list[Slot], list[int]]:
    """When every value is computed, and over how many clock boundaries its readers need it."""
    slots: list[Slot] = []
    held = [0] * len(nodes)
    for node, use in zip(nodes, uses, strict=True):
        if node.adders:
            slot, begins = balance([slots[a].end for a in node.args], use.stages, period)
        else:
            ready = max((slots[a].end for a in node.args), default=Moment())
            slot = chain(ready, use.stages, period)
            begins = [slot.begin] * len(node.args)
        for a, begin in zip(node.args, begins, strict=True):
            held[a] = max(held[a], begin - slots[a].end.cycle)
        slots.append(slot)
    return slots, held


def _row(index: int, node: Node, use: Use, slot: Slot, held: int) -> OpCost:
    """A line of the breakdown, with the registers inside the op and behind it."""
    bits = held_words(node.op) * node.op.type.width if node.spent else 0
    ffs = use.ffs + use.live * (slot.end.cycle - slot.begin) + held * bits
    end = slot.end
    return OpCost(index, node.op.name, use.luts, use.dsps, ffs, use.brams, end.cycle, end.ns)
