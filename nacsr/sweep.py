"""A study of precision: the same formulas at many bit widths, bit-true and costed.

Every point lowers the formulas anew, runs them on events and estimates their hardware; nothing
is searched or fitted again, so that what changes from point to point is the arithmetic alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacsr.design import Design, Setting
from nacsr.entry import Entry
from nacsr.errors import ExpressionError, FixedError, NacsrError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.frontends.base import Events, Problem
from nacsr.frontends.judge import performance
from nacsr.frontends.symbolic.genotype import formulas
from nacsr.frontends.symbolic.language.expr import Expr, evaluate
from nacsr.frontends.symbolic.lowering.budget import lower_within
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import Graph
from nacsr.luts import LutFunc
from nacsr.measure import HARDWARE, METRICS, QUALITY, Measurement
from nacsr.metrics import accuracy, mean_distance, rmse
from nacsr.targets import target as find_target

MAX_WIDTH = 31
"""A product of two words must fit into 63 bits."""

FLOWS: Mapping[str, str] = {"csynth": "hls", "rtl": "rtl"}
"""The flow that a stage of hardware numbers speaks of."""

EVENTS = ("validation", "test")
"""Whom a sweep may ask."""

Arithmetic = Fixed | float
"""A working precision, or the largest error of an output, which chooses every type by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Formulas:
    """What a sweep lowers: expressions by output, and the LUT functions that they call."""

    id: str
    title: str
    expressions: Mapping[str, Expr]
    luts: Mapping[str, LutFunc]

    @classmethod
    def of(cls, entry: Entry, problem: Problem, id_: str = "") -> Formulas:
        """The formulas of an expression design of a run, under its own id or another name.

        Raises:
            SpecError: for a design of another family, or one that failed.
        """
        candidate = entry.candidate
        if candidate.family != "expression":
            msg = (
                f"{entry.id} is a {candidate.family}, and a precision sweep is of expressions; "
                "choose an expression of 'nacsr front'"
            )
            raise SpecError(msg)
        if "expressions" not in candidate.genotype:
            msg = f"{entry.id} is a candidate of the search, not a design; choose one of the front"
            raise SpecError(msg)
        expressions, luts = formulas(candidate.genotype, problem.names, problem.luts)
        return cls(id_ or entry.id, candidate.title, expressions, luts)


@dataclass(frozen=True, slots=True)
class Point:
    """One design in one arithmetic.

    Attributes:
        design: id or name of the design whose formulas these are.
        arithmetic: the working precision, or the error that outputs may have.
        metric: how the task is judged, a key of ``METRICS``.
        reference: that metric of the formulas in float64, through the same tables.
        network: that metric of the best network of the run, if there is one.
        measurements: bit-true metrics of the events, and the estimated hardware.
        reason: why the formulas cannot be lowered so; then there are no measurements.
    """

    design: str
    arithmetic: Arithmetic
    metric: str
    reference: float
    network: float | None = None
    measurements: tuple[Measurement, ...] = ()
    reason: str = ""

    def find(self, metric: str, label: str = "") -> Measurement | None:
        """The measurement of a metric, if it was made."""
        for m in self.measurements:
            if (m.metric, m.label) == (metric, label):
                return m
        return None

    def value(self, metric: str) -> float | None:
        """The number of a metric."""
        found = self.find(metric)
        return None if found is None else found.value

    @property
    def width(self) -> int | None:
        """Bits of the working precision; None where an error chose the types."""
        return self.arithmetic.width if isinstance(self.arithmetic, Fixed) else None

    @property
    def label(self) -> str:
        """The arithmetic in a few characters: ``<16,6>``, or ``error 0.01``."""
        if isinstance(self.arithmetic, Fixed):
            return f"<{self.arithmetic.width},{self.arithmetic.integer}>"
        return f"error {self.arithmetic:g}"

    @property
    def relative(self) -> float | None:
        """Quality in units of the formulas' own in float64: 1 is as good, less is worse."""
        return self._over(self.reference)

    @property
    def relative_network(self) -> float | None:
        """Quality in units of the best network's."""
        return None if self.network is None else self._over(self.network)

    def _over(self, reference: float) -> float | None:
        value = self.value(self.metric)
        if value is None:
            return None
        over, under = (value, reference) if METRICS[self.metric].maximise else (reference, value)
        return over / under if under else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a table: one number a column, None where there is none."""
        fixed = isinstance(self.arithmetic, Fixed)
        quality = self.find(self.metric)
        return {
            "design": self.design,
            "width": self.width,
            "integer": self.arithmetic.integer if isinstance(self.arithmetic, Fixed) else None,
            "max_error": None if fixed else self.arithmetic,
            "metric": self.metric,
            "value": None if quality is None else quality.value,
            "error": None if quality is None else quality.error,
            "float": self.reference,
            "relative_float": self.relative,
            "network": self.network,
            "relative_network": self.relative_network,
            **{name: self.value(name) for name in HARDWARE},
            "physics": "" if quality is None else _source(quality),
            "hardware": self.hardware,
            "reason": self.reason,
        }

    @property
    def hardware(self) -> str:
        """Where the hardware numbers come from, or "" if there are none."""
        found = self.find("luts")
        return "" if found is None else _source(found)


def _source(m: Measurement) -> str:
    return f"{m.method}, {m.stage}, {m.tool}, {m.target}"


def read_widths(text: str) -> tuple[int, ...]:
    """Bit widths as people write them, rising, each once: ``8..18``, or ``8,10,12``, or both.

    Raises:
        SpecError: for anything else.

    >>> read_widths("16, 8..10")
    (8, 9, 10, 16)
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})(?:\.\.(\d{1,3}))?\s*", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            msg = f"cannot read the widths {text!r}; write 8..18, or 8,10,12"
            raise SpecError(msg)
        found |= set(range(low, high + 1))
    return tuple(sorted(found))


def arithmetics(
    widths: Sequence[int], integer: int, max_errors: Sequence[float] = ()
) -> tuple[Arithmetic, ...]:
    """The points of a sweep: working precisions of ``integer`` integer bits, then error budgets.

    Raises:
        SpecError: for a width that leaves no fractional bit or no product, an error that is not
            positive, or nothing at all.
    """
    if not widths and not max_errors:
        msg = "nothing to sweep; give widths such as 8..18, or max_error"
        raise SpecError(msg)
    if widths and not 1 <= integer < MAX_WIDTH:
        msg = f"integer bits must be 1..{MAX_WIDTH - 1}, not {integer}"
        raise SpecError(msg)
    for width in widths:
        if not integer < width <= MAX_WIDTH:
            msg = (
                f"width {width} is out of range; with {integer} integer bits choose "
                f"{integer + 1}..{MAX_WIDTH}"
            )
            raise SpecError(msg)
    for error in max_errors:
        if not 0 < error < float("inf"):
            msg = f"max_error must be a positive number such as 0.01, not {error:g}"
            raise SpecError(msg)
    return (*(Fixed(w, integer) for w in widths), *max_errors)


def check(events_are: str, stage: str) -> None:
    """Refuse unknown events, and a stage without an estimate.

    Raises:
        SpecError: naming the known ones.
    """
    if events_are not in EVENTS:
        raise SpecError(unknown("events", events_are, EVENTS))
    if stage not in FLOWS:
        raise SpecError(unknown("stage", stage, FLOWS))


def sweep(
    designs: Sequence[Formulas],
    problem: Problem,
    events: Events,
    widths: Sequence[int],
    integer: int = 6,
    *,
    max_errors: Sequence[float] = (),
    events_are: str = "validation",
    stage: str = "csynth",
    network: float | None = None,
) -> tuple[Point, ...]:
    """Measure designs at many widths, design by design, widths in their order.

    Args:
        designs: the formulas.
        problem: features, task, device and clock.
        events: whom to ask.
        widths: total bits of the working precision.
        integer: integer bits of the working precision, sign included.
        max_errors: error budgets besides (see ``lower_within``).
        events_are: ``validation`` or ``test``.
        stage: of the hardware numbers, ``csynth`` or ``rtl``.
        network: quality of the best network on the same events, to compare with.

    Raises:
        SpecError: as ``arithmetics`` and ``check`` do.
    """
    settings = arithmetics(widths, integer, max_errors)
    return tuple(
        points(
            designs,
            problem,
            events,
            settings,
            events_are=events_are,
            stage=stage,
            network=network,
        )
    )


def points(
    designs: Sequence[Formulas],
    problem: Problem,
    events: Events,
    settings: Sequence[Arithmetic],
    *,
    events_are: str = "validation",
    stage: str = "csynth",
    network: float | None = None,
) -> Iterator[Point]:
    """The points of ``sweep`` one after the other, as they are measured."""
    check(events_are, stage)
    metric = QUALITY[problem.judged_as][0]
    for design in designs:
        reference = float_quality(design, problem, events)
        for arithmetic in settings:
            try:
                graph = lowered(design, problem, arithmetic)
                measured = performance(graph, problem, events, events_are)
                measured += _hardware(graph, design, problem, stage)
            except NacsrError as failure:  # the other widths go on
                measured, reason = (), str(failure)
            else:
                reason = ""
            yield Point(design.id, arithmetic, metric, reference, network, measured, reason)


def lowered(design: Formulas, problem: Problem, arithmetic: Arithmetic) -> Graph:
    """The formulas in an arithmetic.

    Raises:
        ExpressionError, GraphError: if they cannot be lowered so.
    """
    if isinstance(arithmetic, Fixed):
        return lower(design.expressions, problem.features, problem.scaling, arithmetic, design.luts)
    return lower_within(
        design.expressions, problem.features, problem.scaling, arithmetic, design.luts
    ).graph


def _hardware(
    graph: Graph, design: Formulas, problem: Problem, stage: str
) -> tuple[Measurement, ...]:
    p = problem
    setting = Setting(p.features, p.classes, p.scaling, p.target, p.clock_mhz)
    flow = FLOWS[stage]
    made = Design(graph, setting, "sweep", design.title, flow, calibration=p.calibration)
    cost = made.cost()
    return cost.measurements(find_target(p.target), p.clock_mhz, graph.digest)


def float_quality(design: Formulas, problem: Problem, events: Events) -> float:
    """The task's metric of the formulas in float64: what infinitely many bits would reach.

    Functions go through the same tables, so that it is the limit of the sweep.

    Raises:
        ExpressionError: if a value overflows float64 on some event.
    """
    columns = dict(zip(problem.names, problem.values(events).T, strict=True))
    try:
        values = [evaluate(e, columns, design.luts) for e in design.expressions.values()]
    except FixedError as error:
        msg = f"{design.id} cannot be evaluated in float64: {error}"
        raise ExpressionError(msg) from None
    return _quality(np.stack(values, axis=1), problem, events)


def _quality(values: NDArray[Any], problem: Problem, events: Events) -> float:
    if problem.task == "regression":
        measured = mean_distance if len(problem.classes) > 1 else rmse
        return measured(values, events.y.reshape(values.shape), events.weights)[0]
    return accuracy(values, events.y, events.weights)[0]


def best_formulas(entries: Sequence[Entry], judged_as: str) -> list[Entry]:
    """The expressions among some designs, the most accurate on validation events first.

    A front's own order is that of the study's first objective, which may be any.
    """
    metric = QUALITY[judged_as][0]
    sign = -1 if METRICS[metric].maximise else 1

    def rank(entry: Entry) -> tuple[float, str]:
        found = entry.find(metric, "interpreter", "validation")
        return float("inf") if found is None else sign * found.value, entry.id

    return sorted((e for e in entries if e.candidate.family == "expression"), key=rank)


def best_network(entries: Sequence[Entry], metric: str, events_are: str) -> float | None:
    """The best quality of a network on these events, or None if there is none."""
    found = [
        m.value
        for e in entries
        if e.candidate.family == "network"
        and (m := e.find(metric, "interpreter", events_are)) is not None
    ]
    return (max if METRICS[metric].maximise else min)(found, default=None)
