"""Estimates refitted to the reports of one's own tools: a factor and a band a metric.

A calibration is fitted on designs with reports, for each flow, kind of design, metric and stage:
the factor is the median of report / estimate, the band what covers nine of ten reports of designs
that the factor was not fitted on (leave one out).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from nacsr.cost.bands import Band
from nacsr.cost.estimate import Cost
from nacsr.errors import FileError, SpecError
from nacsr.ir import Graph
from nacsr.measure import HARDWARE, STAGES, tool_name

FORMAT = "nacsr-calibration 1"
LEAST = 5
"""Designs below which nothing is fitted: nine of ten of fewer is no statement."""
COVERED = 0.9

KINDS = ("network", "expression")


def kind_of(graph: Graph) -> str:
    """``network`` for a design with layers, ``expression`` for the rest.

    Linear sums, tables and trees are of the rest: the same rules of scalar operators count them,
    so reports of either refit both. Who wants them apart fits on runs of one family.
    """
    return "network" if any(op.name in ("dense", "conv") for op in graph.ops) else "expression"


@dataclass(frozen=True, slots=True)
class Pair:
    """An estimate and what a tool reported of the same design, part and clock.

    Attributes:
        flow: back end, a key of ``nacsr.emit.FLOWS``.
        kind: one of ``KINDS``.
        metric: one of ``nacsr.measure.HARDWARE``.
        of: stage of the estimate.
        stage: stage of the report.
        estimate: the number expected.
        report: the number measured.
        tool: program and release that measured it.
        target: part and clock.
        source: which design, for people.
    """

    flow: str
    kind: str
    metric: str
    of: str
    stage: str
    estimate: float
    report: float
    tool: str
    target: str
    source: str

    @property
    def key(self) -> Key:
        """What is fitted together."""
        return self.flow, self.kind, self.of, self.stage, self.metric


Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What to make of an estimate: its key, the factor, and the band around the product.

    Attributes:
        flow: back end.
        kind: network or expression.
        of: stage of the estimate.
        stage: stage of the product.
        metric: which number.
        factor: that estimates are multiplied by.
        relative: half-width of the band, part of the value.
        least: half-width that it never goes below, in the metric's unit.
        n: designs that it was fitted on.
        tools: programs and releases.
        targets: parts and clocks.
        sources: the designs.
    """

    flow: str
    kind: str
    of: str
    stage: str
    metric: str
    factor: float
    relative: float
    least: float
    n: int
    tools: tuple[str, ...]
    targets: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def key(self) -> Key:
        """What it was fitted for."""
        return self.flow, self.kind, self.of, self.stage, self.metric


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factors and bands of estimates, and which estimates they were fitted to.

    Attributes:
        rows: one a flow, kind, stage and metric.
        estimator: program and release whose estimates these are.
        too_few: what there were too few designs for, a line each.
    """

    rows: tuple[Fitted, ...]
    estimator: str = field(default_factory=tool_name)
    too_few: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of everything in it, shortened to 12 hex digits."""
        return _digest(self._content())

    def _content(self) -> dict[str, Any]:
        rows = [asdict(row) for row in self.rows]
        content = {"estimator": self.estimator, "rows": rows, "too_few": self.too_few}
        plain: dict[str, Any] = json.loads(json.dumps(content))  # tuples as a file has them
        return plain

    def to_json(self) -> str:
        """As ``from_json`` reads it."""
        content = {"format": FORMAT, "digest": self.digest, **self._content()}
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: Path | str = "calibration") -> Calibration:
        """Read and check a calibration.

        Raises:
            SpecError: if it is not whole, was edited, or is of another release of nacsr.
        """
        try:
            read = json.loads(text)
            if read["format"] != FORMAT:
                msg = f"{where}: expected format {FORMAT!r}, found {read['format']!r}; {_AGAIN}"
                raise SpecError(msg)
            content = {k: read[k] for k in ("estimator", "rows", "too_few")}
            lists = ("tools", "targets", "sources")
            rows = tuple(Fitted(**{**r, **{k: tuple(r[k]) for k in lists}}) for r in read["rows"])
            found = cls(rows, str(read["estimator"]), tuple(read["too_few"]))
            sound = read["digest"] == _digest(content) and all(map(_sound, rows))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{where}: no calibration that can be read ({error!r}); {_AGAIN}"
            raise SpecError(msg) from None
        if not sound:
            msg = f"{where}: its content does not fit its digest; {_AGAIN}"
            raise SpecError(msg)
        if found.estimator != tool_name():
            msg = f"{where}: fitted to estimates of {found.estimator}, not {tool_name()}; {_AGAIN}"
            raise SpecError(msg)
        return found

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a calibration file.

        Raises:
            SpecError: as ``from_json``, or if the file cannot be read.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            msg = f"{path}: cannot be read ({reason}); make one with nacsr calibrate"
            raise SpecError(msg) from None
        return cls.from_json(text, path)

    def save(self, path: Path) -> Path:
        """Write it to a file.

        Raises:
            FileError: if that cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror}; choose a writable place with --out"
            raise FileError(msg) from None
        return path

    def apply(self, cost: Cost, flow: str, graph: Graph, stage: str | None = None) -> Cost:
        """An estimate as the reports would have had it: totals scaled, bands replaced.

        Metrics without a row keep their value and band; so does the breakdown by op, which no
        report has.

        Args:
            cost: of the graph, not yet calibrated.
            flow: back end that it was estimated for.
            graph: the design.
            stage: what the numbers are to speak of; that of the estimate if None.

        Raises:
            SpecError: if another stage is asked for that has no row of every resource (LUTs,
                DSPs, FFs).
        """
        wanted = cost.stage if stage is None else stage
        rows = self._of(flow, graph, cost.stage, wanted)
        lacking = self.lacking(flow, graph, cost.stage, wanted)
        if lacking and wanted != cost.stage:
            msg = f"{lacking}; {_AGAIN} with reports of them"
            raise SpecError(msg)
        if lacking:
            return cost
        values = {m: round(r.factor * getattr(cost, m)) for m, r in rows.items()}
        kept = cost.bands if wanted == cost.stage else {}
        bands = {**kept, **{m: self._band(r) for m, r in rows.items()}}
        return replace(
            cost,
            **values,
            bands=bands,
            stage=wanted,
            calibration=self.digest,
            refitted=tuple(m for m in HARDWARE if m in rows),
        )

    def lacking(self, flow: str, graph: Graph, of: str, stage: str) -> str:
        """What is not there to refit a design's estimate, in words; "" if it can be refitted.

        Between two stages that takes rows of every resource, within one stage any row.

        Args:
            flow: back end.
            graph: the design.
            of: stage of the estimate.
            stage: stage that the product is to speak of.
        """
        rows = self._of(flow, graph, of, stage)
        missing = [m for m in ("luts", "dsps", "ffs") if m not in rows]
        if not missing or (rows and of == stage):
            return ""
        what = ", ".join(missing) if rows else "row"
        has = sorted({f"{r.flow} {r.kind}s {r.of} -> {r.stage}" for r in self.rows})
        return (
            f"calibration {self.digest} has no {what} for flow {flow}, {kind_of(graph)}s, "
            f"{of} -> {stage} (it has {', '.join(has)})"
        )

    def _of(self, flow: str, graph: Graph, of: str, stage: str) -> dict[str, Fitted]:
        """The rows of a design, by metric."""
        ours = (flow, kind_of(graph), of, stage)
        return {r.metric: r for r in self.rows if r.key[:4] == ours}

    def _band(self, row: Fitted) -> Band:
        about = f"{', '.join(row.tools)}, {', '.join(row.targets)}"
        return Band(row.relative, row.least, f"calibration {self.digest}: {row.n} designs, {about}")


_AGAIN = "calibrate again"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _sound(row: Fitted) -> bool:
    numbers = (row.factor, row.relative, row.least)
    names = row.metric in HARDWARE and row.stage in STAGES and row.kind in KINDS
    return names and all(math.isfinite(x) and x >= 0 for x in numbers)


def fit(pairs: Iterable[Pair]) -> Calibration:
    """Fit factors and bands.

    Raises:
        SpecError: if there are too few designs for any of them.
    """
    groups: defaultdict[Key, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.key].append(pair)
    rows, few = [], []
    for key, group in sorted(groups.items()):
        fitted = _fit(group)
        if fitted is None:
            flow, kind, _, stage, metric = key
            few.append(f"{metric} at {stage}, flow {flow}, {kind}s: {len(group)} designs")
        else:
            rows.append(fitted)
    if not rows:
        have = "; ".join(few) or "none has both an estimate and a report"
        msg = f"too few designs to calibrate with, {LEAST} of a kind are needed: {have}"
        raise SpecError(msg)
    return Calibration(tuple(rows), too_few=tuple(few))


def _fit(group: Sequence[Pair]) -> Fitted | None:
    """None for too few. Designs of which nothing was expected have no ratio, only a distance;
    where most are such, as cycles of small designs, the factor stays one."""
    if len(group) < LEAST:
        return None
    scaled = [p for p in group if p.estimate > 0]
    scaled = scaled if len(scaled) >= LEAST else []
    ratios = [p.report / p.estimate for p in scaled]
    factor = float(median(ratios)) if ratios else 1.0
    errors = [
        _off(ratio, float(median(ratios[:i] + ratios[i + 1 :]))) for i, ratio in enumerate(ratios)
    ]
    distances = [abs(p.report - p.estimate) for p in group if not scaled or p.estimate <= 0]
    if any(math.isinf(e) for e in errors):
        return None  # of most designs nothing is left: no band of a factor of zero
    flow, kind, of, stage, metric = group[0].key
    return Fitted(
        flow,
        kind,
        of,
        stage,
        metric,
        factor,
        _covering(errors),
        max(_covering(distances), 0.5),  # half a unit: estimates are rounded
        len(group),
        tuple(sorted({p.tool for p in group})),
        tuple(sorted({p.target for p in group})),
        tuple(sorted({p.source for p in group})),
    )


def _off(ratio: float, factor: float) -> float:
    """How far a report is from its prediction, relative to the prediction."""
    if factor == 0:
        return 0.0 if ratio == 0 else math.inf
    return abs(ratio / factor - 1)


def _covering(values: Sequence[float]) -> float:
    """The smallest of the values that nine of ten do not exceed."""
    if not values:
        return 0.0
    return sorted(values)[math.ceil(COVERED * len(values)) - 1]
