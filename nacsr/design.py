"""A design: a lowered model at a device and clock, which runs, is costed, emitted and verified."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.archive import Archive
from nacsr.cost import Build, Cost, estimate
from nacsr.cost.calibration import Calibration
from nacsr.cost.estimate import STAGES as ESTIMATES
from nacsr.cost.rtl import estimate_rtl
from nacsr.data.words import Feature, Scaling, to_words
from nacsr.emit import FLOWS
from nacsr.emit.hls4ml_model import Hls4mlOptions
from nacsr.emit.project import ProjectMeta
from nacsr.emit.rtl import prepare
from nacsr.emit.rtl_pipeline import Pipeline
from nacsr.emit.verify import Verification, verify
from nacsr.errors import ArchiveError, DataError, FixedError, SpecError, unknown
from nacsr.fixed import Fixed, Raw
from nacsr.frontends.stem import bind
from nacsr.ir import Graph, evaluate
from nacsr.measure import HARDWARE_STAGES, check_name
from nacsr.targets import place
from nacsr.targets import target as find_target

CLOCK_MHZ = (50.0, 800.0)
"""Clocks that the cost rules can speak of."""

RANDOM_WORDS: Mapping[str, int] = {"hls": 1_000, "hls4ml": 1_000, "rtl": 200}
"""Random events that verify a design besides its data, by flow: a simulator is slow."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a design lives: its ports, its device and its clock.

    Attributes:
        features: the words that arrive.
        classes: names of the outputs.
        scaling: how words become the values that formulas and networks speak of.
        target: name of the device.
        clock_mhz: clock frequency.
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    scaling: Scaling
    target: str
    clock_mhz: float

    @property
    def place(self) -> str:
        """Part and clock, as measurements name them."""
        return place(find_target(self.target), self.clock_mhz)

    def to_json(self) -> str:
        """As the archive keeps it."""
        features = [[f.name, str(f.type)] for f in self.features]
        return json.dumps(
            {
                "features": features,
                "classes": self.classes,
                "scaling": asdict(self.scaling),
                "target": self.target,
                "clock_mhz": self.clock_mhz,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Setting:
        """The inverse of ``to_json``.

        Raises:
            ArchiveError: if the text is not that.
        """
        try:
            read = json.loads(text)
            features = tuple(Feature(n, Fixed.parse(t)) for n, t in read["features"])
            given = read["scaling"]
            scaling = Scaling(given["mode"], tuple(given["offsets"]), tuple(given["shifts"]))
            clock = float(read["clock_mhz"])
            return cls(features, tuple(read["classes"]), scaling, str(read["target"]), clock)
        except (ValueError, KeyError, TypeError, FixedError) as error:
            msg = f"the run's features cannot be read ({error!r}); restore a copy of its archive"
            raise ArchiveError(msg) from None


@dataclass(frozen=True, slots=True)
class Design:
    """A lowered model for a flow.

    Attributes:
        graph: the IR.
        setting: ports, device, clock.
        name: identifier of the emitted project.
        title: formula or architecture, for people.
        flow: the back end, a key of ``nacsr.emit.FLOWS``.
        options: how hls4ml builds the layers, None for its defaults and other back ends.
        bounds: proven largest absolute error by output, if it was compiled under a budget.
        ranges: what inputs are clipped to, by name, low <= x < high; the bounds speak of these.
        calibration: refits the analytic cost to reports of one's own tools, if there is one.
    """

    graph: Graph
    setting: Setting
    name: str
    title: str
    flow: str
    options: Hls4mlOptions | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    calibration: Calibration | None = field(default=None, repr=False, compare=False)

    @property
    def period_ns(self) -> float:
        """The clock period, to the picosecond that tools read."""
        return round(1000.0 / self.setting.clock_mhz, 3)

    def words(self, x: ArrayLike) -> Raw:
        """Raw words of shape (events, features): an integer array holds words already, all
        else (lists too) holds physical values, which are quantised as the front end would.

        Raises:
            DataError: for another number of columns, or words outside their type.
        """
        given = np.asarray(x)
        if given.ndim != 2 or given.shape[1] != len(self.setting.features):
            names = ", ".join(f.name for f in self.setting.features)
            wanted = f"(events, {len(self.setting.features)})"
            msg = f"expected shape {wanted} for {names}; got {list(given.shape)}"
            raise DataError(msg)
        if given.dtype.kind not in "iuf":
            msg = f"expected numbers, got {given.dtype}; convert the values first"
            raise DataError(msg)
        if isinstance(x, np.ndarray) and given.dtype.kind in "iu":
            return given.astype(np.int64)
        return to_words(given.astype(np.float64), self.setting.features)

    def run(self, x: ArrayLike) -> NDArray[np.float64]:
        """Bit-true outputs for many events.

        Args:
            x: shape (events, features): physical values, or an integer array of words.

        Returns:
            Output values, shape (events, outputs); exact multiples of the output's LSB.
        """
        words = self.words(x)
        outputs = evaluate(self.graph, bind(self.graph, self.setting.features, words))
        columns = [
            self.graph.ops[i]
            .type.to_float(outputs[n])
            .reshape(len(words), math.prod(self.graph.ops[i].shape))
            for n, i in self.graph.outputs
        ]
        return np.concatenate(columns, axis=1)

    def moved(self, target: str | None = None, clock_mhz: float | None = None) -> Design:
        """The same design on another device or at another clock; None leaves it as it is.

        Raises:
            SpecError: for an unknown device, or a clock beyond the rules.
        """
        setting = replace(
            self.setting,
            target=self.setting.target if target is None else target,
            clock_mhz=self.setting.clock_mhz if clock_mhz is None else clock_mhz,
        )
        check_place(setting.target, setting.clock_mhz)
        return replace(self, setting=setting)

    def to(self, flow: str) -> Design:
        """The same design for another back end.

        Raises:
            SpecError: for an unknown one.
        """
        if flow not in FLOWS:
            raise SpecError(unknown("back end", flow, FLOWS))
        return replace(self, flow=flow, options=self.options if flow == self.flow else None)

    def cost(self, stage: str | None = None) -> Cost:
        """Analytic cost at the setting's device and clock: of C-synthesis for hls and hls4ml,
        of the scheduled operators for rtl; refitted by the calibration, if there is one that has
        rows for that.

        Args:
            stage: ``vsynth`` for what logic synthesis would leave of hls or hls4ml; any stage
                that the calibration leads to from the flow's own (``csynth``, or ``rtl``).

        Raises:
            SpecError: for options of hls4ml in another flow, or another stage.
            EmitError, GraphError: if the design cannot be unrolled for rtl.
        """
        calibration, beyond = self.calibration, stage not in (None, self.own_stage)
        if calibration is not None and beyond and not self.not_refitted(stage):
            return calibration.apply(self._estimated(None), self.flow, self.graph, stage)
        found = self._estimated(stage)
        return found if calibration is None else calibration.apply(found, self.flow, self.graph)

    @property
    def own_stage(self) -> str:
        """What the flow's estimates speak of if nothing else is asked for."""
        return "rtl" if self.flow == "rtl" else "csynth"

    def not_refitted(self, stage: str | None = None) -> str:
        """Why ``cost(stage)`` is not refitted, in words; "" if it is."""
        if self.calibration is None:
            return "there is no calibration"
        wanted = stage or self.own_stage
        return self.calibration.lacking(self.flow, self.graph, self.own_stage, wanted)

    def _estimated(self, stage: str | None) -> Cost:
        known = ("rtl",) if self.flow == "rtl" else ESTIMATES
        if stage is not None and stage not in known:
            check_name("stage", stage, dict.fromkeys(HARDWARE_STAGES))
            msg = f"flow {self.flow} has estimates of stage {', '.join(known)}, not {stage}"
            if stage in ("vsynth", "pnr"):  # what Vivado's reports can lead to
                msg += f", which takes a calibration: {self.not_refitted(stage)}"
            msg += "; leave the stage out"
            raise SpecError(msg)
        if self.flow == "rtl":
            scalar, timing = prepare(self.graph, self.period_ns)
            return estimate_rtl(scalar, timing, Pipeline(scalar, timing).kept())
        build = Build() if self.options is None else Build(**asdict(self.options))
        where = self.setting.target, self.setting.clock_mhz
        chosen = stage or "csynth"
        return estimate(self.graph, *where, self.flow, build, stage=chosen)

    def emit(self, out: Path | str, words: Raw | None = None, seed: int = 0) -> Path:
        """Write the self-contained project.

        Args:
            out: folder to make.
            words: raw words for the testbench, shape (events, features); random ones if None.
            seed: of the random ones.

        Raises:
            EmitError: if the flow cannot express the graph, or the folder cannot be written.
        """
        if words is None:
            words = self.random_words(RANDOM_WORDS[self.flow], seed)
        device = find_target(self.setting.target)
        meta = ProjectMeta(
            name=self.name,
            title=self.title,
            flow=self.flow,
            target=device.name,
            part=device.part,
            clock_mhz=self.setting.clock_mhz,
            features=self.setting.features,
            classes=self.setting.classes,
            scaling=self.setting.scaling.mode,
            options={} if self.options is None else asdict(self.options),
            bounds=self.bounds,
            ranges=self.ranges,
        )
        vectors = bind(self.graph, self.setting.features, words)
        return FLOWS[self.flow].emit(self.graph, Path(out), meta, vectors, self.options)

    def verify(self, folder: Path | str | None = None, events: int | None = None) -> Verification:
        """Run the emitted C++ (g++) or Verilog (a simulator) and compare every output word with
        the interpreter's.

        Args:
            folder: an emitted project of this design; a temporary one if None.
            events: random events instead of the shipped vectors.
        """
        if folder is not None:
            return verify(Path(folder), events, extra=0 if events else RANDOM_WORDS[self.flow])
        with tempfile.TemporaryDirectory(prefix="nacsr_") as scratch:
            return verify(self.emit(Path(scratch) / self.name), events)

    def random_words(self, events: int, seed: int) -> Raw:
        """Words spread over the whole range of every feature, shape (events, features)."""
        rng = np.random.default_rng(seed)
        types = [f.type for f in self.setting.features]
        columns = [rng.integers(t.min_raw, t.max_raw, events, endpoint=True) for t in types]
        return np.stack(columns, axis=1)


def stored_calibration(archive: Archive) -> Calibration | None:
    """What a run's estimates are refitted by, if anything.

    Raises:
        SpecError: if it is of another release of nacsr.
    """
    text = archive.meta("calibration")
    return Calibration.from_json(text, archive.path) if text else None


def check_place(target: str, clock_mhz: float) -> None:
    """Refuse a device or a clock that the cost rules do not know.

    Raises:
        SpecError: naming the known ones.
    """
    find_target(target)
    if not CLOCK_MHZ[0] <= clock_mhz <= CLOCK_MHZ[1]:
        msg = f"clock_mhz must be {CLOCK_MHZ[0]:g}..{CLOCK_MHZ[1]:g}, not {clock_mhz:g}"
        raise SpecError(msg)
