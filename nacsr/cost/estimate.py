"""Cost of a graph: the sum over its ops, and a schedule of them at a clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from nacsr.cost import networks, vsynth
from nacsr.cost.bands import Band, bands
from nacsr.cost.build import DEFAULT, Build
from nacsr.cost.functions import IMPLEMENTATIONS, calls, whole_words
from nacsr.cost.operations import FLOWS, Rule, elements, held_words, sum_of
from nacsr.cost.schedule import Moment, Slot, balance, chain, period_ns
from nacsr.cost.simplify import Node, simplify
from nacsr.cost.streams import streamed
from nacsr.cost.sums import drawn_into_sums
from nacsr.cost.use import WIRES, Use
from nacsr.errors import SpecError, unknown
from nacsr.ir import Graph
from nacsr.measure import HARDWARE, Measurement, tool_name
from nacsr.targets import Target, place
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
    """What C-synthesis would report for a design.

    ``latency_cycles`` is csynth's: 0 for a design that fits into one period. ``brams``
    counts 18-kbit blocks. ``bands`` gives for a metric how far reports were from it, where
    that is known; ``stage`` (a key of ``nacsr.measure.STAGES``) says what the numbers speak of,
    ``flags`` what else they assume: how hls4ml builds the layers, which functions were meant;
    ``calibration`` is the digest of what they were refitted with, or "", ``refitted`` which of
    them were.
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
    calibration: str = ""
    refitted: tuple[str, ...] = ()

    def measurements(
        self, target: Target, clock_mhz: float, digest: str
    ) -> tuple[Measurement, ...]:
        """One measurement a metric, with its band's half-width as its error.

        Args:
            target: the device it was estimated for.
            clock_mhz: the clock it was estimated at.
            digest: digest of the graph.
        """
        where = place(target, clock_mhz)
        by = f" + calibration {self.calibration}"
        return tuple(
            Measurement(
                metric,
                float(getattr(self, metric)),
                "analytic",
                self.stage,
                tool_name() + (by if metric in self.refitted else ""),
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
    build: Build = DEFAULT,
    *,
    functions: str = "table",
    stage: str = "csynth",
) -> Cost:
    """Estimate a verified graph.

    Args:
        graph: the design.
        target: name of a device in ``nacsr.targets``.
        clock_mhz: clock frequency.
        flow: ``hls`` (our emitted C++) or ``hls4ml``.
        build: how hls4ml builds the layers.
        functions: a key of ``nacsr.cost.functions.IMPLEMENTATIONS``. Unlike ``table``, which is
            what the graph has and the only one that is ever emitted, the others take every
            ``lut`` op for a call of its function on a word of its result's type.
        stage: ``csynth``, or ``vsynth``: what logic synthesis would leave of it (cycles stay).

    Raises:
        SpecError: for an unknown target, flow, implementation or stage, a clock that is not
            positive, a function that no report speaks of, or options of hls4ml for another flow.
    """
    find_target(target)  # UltraScale+ chips differ in size, not in their LUTs and DSPs
    if functions not in IMPLEMENTATIONS:
        raise SpecError(unknown("implementation of functions", functions, IMPLEMENTATIONS))
    if stage not in STAGES:
        raise SpecError(unknown("stage of the estimate", stage, STAGES))
    rules = rules_of(flow, build)
    called: dict[int, Use] = {}
    if functions != "table":
        called = calls(graph, functions, clock_mhz)
        graph = whole_words(graph)
    nodes = simplify(graph)
    uses = [called.get(i) or _use(nodes, node, rules) for i, node in enumerate(nodes)]
    if flow == "hls4ml":
        uses = _built(nodes, uses, build)
    slots, held, read = _schedule(nodes, uses, period_ns(clock_mhz))
    latency = max((slots[i].end.cycle for _, i in graph.outputs), default=0)
    uses = drawn_into_sums(graph, nodes, uses, read, latency)
    ii, waits = interval(uses, latency, build, period_ns(clock_mhz))
    if stage == "vsynth":
        uses = vsynth.left(nodes, uses, functions)
    rows = tuple(
        _row(i, *parts, ii) for i, parts in enumerate(zip(nodes, uses, slots, held, strict=True))
    )
    if stage == "vsynth":
        share = vsynth.registers_left(graph)
        rows = tuple(replace(row, ffs=round(share * row.ffs)) for row in rows)
    known = bands(graph, clock_mhz, flow, build, functions)
    said = (build.text, "" if functions == "table" else f"functions={functions}")
    if stage == "vsynth":
        known = vsynth.bands(graph, functions, known)
    return added_up(rows, (latency, ii, waits), known, stage, said)


def added_up(
    rows: Sequence[OpCost],
    cycles: tuple[int, int, int],
    known: Mapping[str, Band],
    stage: str,
    flags: Sequence[str],
) -> Cost:
    """The cost of a design: the sum over its rows, with the valid bits and the handshake.

    Args:
        rows: one an op.
        cycles: latency, interval, and how many the last word of an event comes after the first.
        known: bands of the metrics.
        stage: what the rows speak of.
        flags: what else they assume; empty ones are left out.
    """
    latency, ii, waits = cycles
    return Cost(
        luts=sum(r.luts for r in rows),
        dsps=sum(r.dsps for r in rows),
        ffs=sum(r.ffs for r in rows) + math.ceil(latency / ii) + 2,
        brams=sum(r.brams for r in rows),
        latency_cycles=latency + waits,
        ii_cycles=ii,
        rows=tuple(rows),
        bands=known,
        stage=stage,
        flags=", ".join(filter(None, flags)),
    )


def rules_of(flow: str, build: Build) -> Mapping[str, Rule]:
    """The rule of every op for a back end and its options.

    Raises:
        SpecError: for an unknown flow, or options of hls4ml for another one.
    """
    if flow not in FLOWS:
        raise SpecError(unknown("flow", flow, FLOWS))
    if build == DEFAULT:
        return FLOWS[flow]
    if flow != "hls4ml":
        msg = f"{build.text}: options of hls4ml, not of {flow}; choose hls4ml, or leave them out"
        raise SpecError(msg)
    layers = {"dense": networks.dense, "conv": networks.conv}
    return {**FLOWS[flow], **{name: partial(rule, build=build) for name, rule in layers.items()}}


def interval(uses: Sequence[Use], latency: int, build: Build, period: float) -> tuple[int, int]:
    """Cycles between two events, and how many the last word of one comes after the first.

    Strategy latency is one pipeline whose interval is the reuse factor, or less if it is done
    before; with strategy resource, or streams, layers work side by side on different events.
    """
    if build.streams or build.strategy == "resource":
        slowest = max((_busy(use, period) for use in uses), default=1)
        return slowest, max((u.waits for u in uses), default=0)
    return min(build.reuse_factor, latency + 1), 0


def _busy(use: Use, period: float) -> int:
    """Cycles between two events of one layer, which begins at a clock edge."""
    if use.pipelined:
        return use.ii
    alone = after(chain(Moment(), use.stages, period), use.cycles)
    return max(use.ii, alone.end.cycle + 1)


def _built(nodes: list[Node], uses: list[Use], build: Build) -> list[Use]:
    """The uses where an event comes in pixels, or where memories need no registered ports."""
    if build.streams:
        args = [[nodes[a].op for a in node.args] for node in nodes]
        return [streamed(n.op, a, u, n.spent) for n, a, u in zip(nodes, args, uses, strict=True)]
    if build.memories:
        return [
            replace(u, ffs=0) if n.op.name == "input" else u
            for n, u in zip(nodes, uses, strict=True)
        ]
    return uses


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
            slot = after(chain(ready, use.stages, period), use.cycles)
            begins = [slot.begin] * len(node.args)
        for a, begin in zip(node.args, begins, strict=True):
            held[a] = max(held[a], begin - slots[a].end.cycle)
            read[a] = max(read[a], begin)
        slots.append(slot)
    return slots, held, read


def after(slot: Slot, cycles: int) -> Slot:
    """The slot of an op that takes whole cycles besides its operators."""
    end = Moment(slot.end.cycle + cycles)
    return replace(slot, end=end) if cycles else slot


def _row(index: int, node: Node, use: Use, slot: Slot, held: int, ii: int) -> OpCost:
    """A line of the breakdown, with the registers inside the op and behind it.

    A value that waits for ``held`` cycles is there for ``held / ii`` events at once.
    """
    bits = held_words(node.op) * node.op.type.width if node.spent else 0
    inside = slot.end.cycle - slot.begin + slot.waits - use.cycles
    ffs = use.ffs + use.live * math.ceil(inside / ii) + math.ceil(held / ii) * bits
    end = slot.end
    return OpCost(index, node.op.name, use.luts, use.dsps, ffs, use.brams, end.cycle, end.ns)
