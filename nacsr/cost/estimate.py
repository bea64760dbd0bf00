"""Cost of a graph: the sum over its ops, and a schedule of them at a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nacsr.cost import vsynth
from nacsr.cost.bands import Band, bands
from nacsr.cost.functions import IMPLEMENTATIONS, calls, whole_words
from nacsr.cost.operations import FLOWS, Rule, elements, held_words, sum_of
from nacsr.cost.schedule import Moment, Slot, balance, chain, period_ns
from nacsr.cost.simplify import Node, simplify
from nacsr.cost.sums import drawn_into_sums
from nacsr.cost.use import WIRES, Use
from nacsr.errors import SpecError, unknown
from nacsr.ir import Graph
from nacsr.measure import HARDWARE, Measurement, tool_name
from nacsr.targets import Target
from nacsr.targets import target as find_target

STAGES = ("csynth", "vsynth")
"""What an estimate can speak of: keys of ``nacsr.measure.STAGES``."""


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
    that is known; ``stage`` (a key of ``nacsr.measure.STAGES``) says what the numbers speak of, and
    ``flags`` which functions were meant, where these are not the graph's own tables.
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
    flags: str = ""

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
        return tuple(
            Measurement(
                metric,
                float(getattr(self, metric)),
                "analytic",
                self.stage,
                tool_name(),
                where,
                digest,
                self._error(metric),
                flags=self.flags,
            )
            for metric in HARDWARE
        )

    def _error(self, metric: str) -> float | None:
        band = self.bands.get(metric)
        return None if band is None else band.half_width(getattr(self, metric))


def estimate(
    graph: Graph,
    target: str,
    clock_mhz: float,
    flow: str = "hls",
    *,
    functions: str = "table",
    stage: str = "csynth",
) -> Cost:
    """Estimate a verified graph.

    Args:
        graph: the design.
        target: name of a device in ``nacsr.targets``.
        clock_mhz: clock frequency.
        flow: ``hls`` (our emitted C++) or ``hls4ml`` (io_parallel, latency strategy, reuse
            factor 1).
        functions: a key of ``nacsr.cost.functions.IMPLEMENTATIONS``. Unlike ``table``, which is
            what the graph has and the only one that is ever emitted, the others take every
            ``lut`` op for a call of its function on a word of its result's type.
        stage: ``csynth``, or ``vsynth``: what logic synthesis would leave of it (cycles stay).

    Raises:
        SpecError: for an unknown target, flow, implementation or stage, a clock that is
            not positive, or a function that no report speaks of.
    """
    find_target(target)  # UltraScale+ chips differ in size, not in their LUTs and DSPs
    if flow not in FLOWS:
        raise SpecError(unknown("flow", flow, FLOWS))
    if functions not in IMPLEMENTATIONS:
        raise SpecError(unknown("implementation of functions", functions, IMPLEMENTATIONS))
    if stage not in STAGES:
        raise SpecError(unknown("stage of the estimate", stage, STAGES))
    called: dict[int, Use] = {}
    if functions != "table":
        called = calls(graph, functions, clock_mhz)
        graph = whole_words(graph)
    nodes = simplify(graph)
    uses = [called.get(i) or _use(nodes, node, FLOWS[flow]) for i, node in enumerate(nodes)]
    slots, held, read = _schedule(nodes, uses, period_ns(clock_mhz))
    latency = max((slots[i].end.cycle for _, i in graph.outputs), default=0)
    uses = drawn_into_sums(graph, nodes, uses, read, latency)
    if stage == "vsynth":
        uses = vsynth.left(nodes, uses, functions)
    rows = tuple(
        _row(i, *parts) for i, parts in enumerate(zip(nodes, uses, slots, held, strict=True))
    )
    if stage == "vsynth":
        share = vsynth.registers_left(graph)
        rows = tuple(replace(row, ffs=round(share * row.ffs)) for row in rows)
    known = bands(graph, clock_mhz, flow, functions)
    return Cost(
        luts=sum(r.luts for r in rows),
        dsps=sum(r.dsps for r in rows),
        ffs=sum(r.ffs for r in rows) + latency + 2,  # one valid bit a cycle and the handshake
        brams=sum(r.brams for r in rows),
        latency_cycles=latency,
        ii_cycles=1,
        rows=rows,
        bands=known if stage == "csynth" else vsynth.bands(graph, functions, known),
        stage=stage,
        flags="" if functions == "table" else f"functions={functions}",
    )


def _use(nodes: list[Node], node: Node, rules: Mapping[str, Rule]) -> Use:
    if not node.spent:
        return WIRES
    if node.op.name in ("add", "sub"):
        return sum_of(node.adders, elements(node.op))
    return rules[node.op.name](node.op, tuple(nodes[a].op for a in node.op.args))


def _schedule(
    nodes: list[Node], uses: list[Use], period: float
) -> tuple[list[Slot], list[int], list[int]]:
    """When every value is computed, over how many clock boundaries its readers need it, and in
    which cycle the last of them reads it."""
    slots: list[Slot] = []
    held, read = [0] * len(nodes), [0] * len(nodes)
    for node, use in zip(nodes, uses, strict=True):
        if node.adders:
            slot, begins = balance([slots[a].end for a in node.args], use.stages, period)
        else:
            ready = max((slots[a].end for a in node.args), default=Moment())
            slot = chain(ready, use.stages, period)
            begins = [slot.begin] * len(node.args)
        for a, begin in zip(node.args, begins, strict=True):
            held[a] = max(held[a], begin - slots[a].end.cycle)
            read[a] = max(read[a], begin)
        slots.append(slot)
    return slots, held, read


def _row(index: int, node: Node, use: Use, slot: Slot, held: int) -> OpCost:
    """A line of the breakdown, with the registers inside the op and behind it."""
    bits = held_words(node.op) * node.op.type.width if node.spent else 0
    ffs = use.ffs + use.live * (slot.end.cycle - slot.begin + slot.waits) + held * bits
    end = slot.end
    return OpCost(index, node.op.name, use.luts, use.dsps, ffs, use.brams, end.cycle, end.ns)
