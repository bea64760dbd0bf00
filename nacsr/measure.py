"""Measurements: a number, its unit, and how it was obtained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

from nacsr.errors import SpecError, unknown


@dataclass(frozen=True, slots=True)
class Metric:
    """A named quantity: its unit, whether more is better, and a line of explanation."""

    unit: str
    maximise: bool
    about: str


def minimised(metric: str, value: float) -> float:
    """A value of which less is better: that of a metric to be maximised is negated."""
    return -value if metric in METRICS and METRICS[metric].maximise else value


def usual_objectives(judged_as: str) -> tuple[str, ...]:
    """What a study is for unless it says otherwise, by a key of ``QUALITY``."""
    return QUALITY[judged_as][0], "luts", "dsps", "latency_cycles"


@lru_cache(maxsize=1)  # reading it takes milliseconds, and every measurement has it
def tool_name() -> str:
    """This program and its version, as measurements name it."""
    return f"nacsr {version('nacsr')}"


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("", True, "share of events classified correctly, bit-true"),
    "auc": Metric(
        "",
        True,
        "area under the ROC curve, one class against the rest, by softmax",
    ),
    "rmse": Metric(
        "", False, "root of the mean squared error over all targets, in their units, bit-true"
    ),
    "mean_distance": Metric(
        "", False, "mean Euclidean distance between prediction and target, in their units, bit-true"
    ),
    "median_error": Metric("", False, "median of |prediction / target - 1|, bit-true"),
    "p95_error": Metric("", False, "95th percentile of |prediction / target - 1|, bit-true"),
    "luts": Metric("LUT", False, "look-up tables"),
    "dsps": Metric("DSP", False, "DSP48E2 blocks"),
    "ffs": Metric("FF", False, "flip-flops"),
    "brams": Metric("BRAM18", False, "18-kbit block RAMs"),
    "latency_cycles": Metric("cycles", False, "clock cycles from input to output"),
    "ii_cycles": Metric("cycles", False, "initiation interval: cycles between events"),
    "fmax_mhz": Metric("MHz", True, "clock at which the slowest path would just fit"),
    "bops": Metric("BOP", False, "bit operations (Eq. A.1-A.5 of NAC), from the architecture"),
    "mismatches": Metric("words", False, "output words that differ from the interpreter"),
}

HARDWARE = ("luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles")
"""Metrics of a design's hardware."""

TIMING = ("fmax_mhz",)
"""Metrics of hardware that only a vendor's tool gives: a front of them has no other designs."""

QUALITY: Mapping[str, tuple[str, ...]] = {
    "classification": ("accuracy",),
    "location": ("mean_distance", "rmse"),
    "regression": ("rmse", "median_error", "p95_error"),
}
"""Metrics of how good a design is, by what it is judged as; the first is the usual objective. A
regression of several targets is a location."""


def judged_as(task: str, targets: int) -> str:
    """A key of ``QUALITY``, for a task and how many names its outputs have."""
    return "location" if task == "regression" and targets > 1 else task


ARCHITECTURE = ("bops",)
"""Metrics of a network, whatever its flow; formulas have none."""

OBJECTIVES = (
    *dict.fromkeys(m for metrics in QUALITY.values() for m in metrics),
    *HARDWARE,
    *ARCHITECTURE,
)
"""Metrics that designs have before the test events are read: a front is made of these."""

METHODS: Mapping[str, str] = {
    "analytic": "rules fitted to published reports (nacsr.cost), or published formulas",
    "interpreter": "bit-true run of the design on raw words",
    "da": "da4ml's cost of shift-add logic, place-and-route-like",
    "yosys": "emitted Verilog synthesised by yosys and simulated; DSPs by rule",
    "vitis": "reports of Vitis HLS or Vivado HLS",
    "vivado": "reports of Vivado",
    "training": "fake-quantised run of a network in torch, not bit-true",
    "g++": "the emitted C++ compiled with g++ and run",
    "simulation": "the emitted Verilog in iverilog or Verilator",
}

STAGES: Mapping[str, str] = {
    "csynth": "what HLS C-synthesis would report; LUTs there overstate, expressions more",
    "rtl": "the emitted Verilog's operators and registers, before logic synthesis",
    "vsynth": "after logic synthesis, before placement",
    "pnr": "after placement and routing",
    "architecture": "a network before it has weights",
    "train": "training events",
    "validation": "validation events, used for selection",
    "test": "test events, read once for the final front",
    "csim": "C simulation",
    "rtlsim": "RTL simulation",
    "cosim": "co-simulation of HLS",
}


class Basis(NamedTuple):
    """How hardware numbers were obtained, and what they speak of; one of each ranks a front."""

    method: str
    stage: str

    @classmethod
    def parse(cls, text: str) -> Basis:
        """``method/stage``, such as ``analytic/rtl``.

        Raises:
            SpecError: for another form, or an unknown method or stage.
        """
        method, slash, stage = text.partition("/")
        if not slash:
            msg = f"cannot read {text!r}; write METHOD/STAGE, such as analytic/rtl"
            raise SpecError(msg)
        return cls.checked(method, stage)

    @classmethod
    def checked(cls, method: str, stage: str) -> Basis:
        """Of known names.

        Raises:
            SpecError: for an unknown method or stage.
        """
        check_name("method", method, dict.fromkeys(USUAL_STAGE))
        check_name("stage", stage, dict.fromkeys(HARDWARE_STAGES))
        return cls(method, stage)

    def __str__(self) -> str:
        """As ``parse`` reads it."""
        return f"{self.method}/{self.stage}"


ESTIMATED = Basis("analytic", "csynth")
"""What a search selects by."""

VERILOG = Basis("analytic", "rtl")
"""Estimates of the Verilog that every family has, so fairer between them."""

OPEN = Basis("yosys", "vsynth")
"""What all families are compared by: one flow, measured with open tools."""


HARDWARE_STAGES = ("csynth", "rtl", "vsynth", "pnr", "cosim")
"""Stages that a design's hardware numbers can speak of."""

USUAL_STAGE: Mapping[str, str] = {
    "analytic": "csynth",
    "da": "pnr",
    "yosys": "vsynth",
    "vitis": "csynth",
    "vivado": "pnr",
}
"""What the hardware numbers of a method speak of, unless something else is asked for."""


def check_name(kind: str, name: str, table: Mapping[str, object]) -> None:
    """Refuse a name that is not in its registry.

    Raises:
        SpecError: listing the known names.
    """
    if name not in table:
        raise SpecError(unknown(kind, name, table))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its provenance.

    Attributes:
        metric: a key of ``METRICS``.
        value: the number, in the metric's unit.
        method: how it was obtained, a key of ``METHODS``.
        stage: which quantity it speaks of, a key of ``STAGES``.
        tool: program and version, such as ``nacsr 0.1.0``.
        target: part and clock for hardware numbers, dataset digest for physics numbers.
        digest: digest of the design it speaks of.
        error: half-width of the known band (absolute), or None where none is known.
        label: which of several (a class name for ``auc``), or "".
        flags: what the tool was told, or what else a rule assumed, or "".
    """

    metric: str
    value: float
    method: str
    stage: str
    tool: str
    target: str
    digest: str
    error: float | None = None
    label: str = ""
    flags: str = ""

    def __post_init__(self) -> None:
        check_name("metric", self.metric, METRICS)
        check_name("method", self.method, METHODS)
        check_name("stage", self.stage, STAGES)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Measurement:
        """The inverse of ``to_dict``.

        Raises:
            TypeError: for a record with other fields, or a value that is no number.
        """
        if not isinstance(record["value"], int | float):
            msg = f"the value of {record['metric']} is no number"
            raise TypeError(msg)
        return cls(**record)
