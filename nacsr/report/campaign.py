"""A campaign as a table, CSV files and two figures: a colour a family, a style a mode.

The figures are those of Tsoi et al. (EPJ Web Conf. 295, 2024, 09036): relative accuracy, LUT, DSP
and cycles against bit width; and accuracy against cycles and LUT of every design.
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nacsr.campaign import Result
from nacsr.compiler import setting_of
from nacsr.entry import Entry
from nacsr.measure import HARDWARE, METRICS
from nacsr.report.figures import panelled, saved
from nacsr.report.rows import Row, about, labels, rows
from nacsr.report.table import count, with_error
from nacsr.sweep import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 0.01
"""How much worse than the best a design may be, relatively, to be as good in practice."""

LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, slots=True)
class Shown:
    """One design of one variant; ``value`` is its quality on the validation events."""

    result: Result
    row: Row
    value: float
    on_front: bool
    physics: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a table."""
        r = self.row
        return {
            "variant": self.result.name,
            "family": self.result.family,
            "mode": self.result.mode,
            "design": r.id,
            "kind": r.family,
            "on_front": self.on_front,
            "metric": r.quality,
            **{key: getattr(r, key) for key in QUALITIES},
            **{key: getattr(r, key) for key in HARDWARE},
            "physics": self.physics,
            "hardware": r.hardware,
            "title": r.title,
        }


QUALITIES = ("validation", "validation_error", "test", "test_error")


@dataclass(frozen=True, slots=True)
class Summary:
    """One variant.

    Attributes:
        result: the variant.
        designs: how many designs it made.
        best: its most accurate design, of any family.
        formula: its most accurate formulas.
        cheapest: of its formulas within ``NEAR`` of the best those of fewest LUTs.
        bits: fewest bits at which its most accurate formulas are within ``NEAR`` of float64.
    """

    result: Result
    designs: int = 0
    best: Shown | None = None
    formula: Shown | None = None
    cheapest: Shown | None = None
    bits: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: of the most accurate formulas, and those of the cheapest by prefix."""
        best, formula, cheapest = (_plain(s) for s in (self.best, self.formula, self.cheapest))
        named = {"variant": self.result.name, "family": self.result.family}
        found = named | {"mode": self.result.mode, "designs": self.designs}
        found |= {f"best_{key}": best.get(key) for key in ("design", *QUALITIES)}
        found |= {key: formula.get(key) for key in ("metric", "design", *QUALITIES, *HARDWARE)}
        found |= {f"cheapest_{key}": cheapest.get(key) for key in ("design", *QUALITIES, *HARDWARE)}
        auc = self.formula.row.auc if self.formula else {}
        found |= {f"auc_{name}": value for name, value in auc.items()}
        last = {"bits": self.bits, "physics": formula.get("physics")}
        return found | last | {"hardware": formula.get("hardware"), "reason": self.result.reason}


def _plain(shown: Shown | None) -> Mapping[str, Any]:
    return {} if shown is None else shown.to_dict()


def designs(results: Sequence[Result]) -> list[Shown]:
    """Every design of every variant that did not fail, in the order of the variants."""
    found = []
    for result in results:
        if result.study is None:
            continue
        archive, front = result.study.archive, {e.id for e in result.front}
        entries = [e for e in archive.entries(designs_only=True) if not e.failed]
        for entry, row in zip(entries, rows(entries, setting_of(archive)), strict=True):
            if row.validation is not None:
                found.append(
                    Shown(
                        result, row, row.validation, entry.id in front, _physics(entry, row.quality)
                    )
                )
    return found


def _physics(entry: Entry, metric: str) -> str:
    m = entry.find(metric, "interpreter", "validation")
    return "" if m is None else f"{m.method}, {m.stage}, {m.tool}, {m.target}"


def summaries(
    results: Sequence[Result], shown: Sequence[Shown], points: Sequence[Point]
) -> list[Summary]:
    """One line a variant, failed ones too."""
    found = []
    for result in results:
        mine = [s for s in shown if s.result is result]
        front = sorted((s for s in mine if s.on_front), key=_worth, reverse=True)
        formulas = [s for s in front if s.row.family == "expression"]
        near = [s for s in formulas if _near(s, front[0])]
        found.append(
            Summary(
                result,
                len(mine),
                front[0] if front else None,
                formulas[0] if formulas else None,
                min(near, key=_price, default=None),
                _bits(points, f"{result.name}:{formulas[0].row.id}") if formulas else None,
            )
        )
    return found


def _worth(shown: Shown) -> float:
    return shown.value if METRICS[shown.row.quality].maximise else -shown.value


def _near(shown: Shown, best: Shown) -> bool:
    return abs(shown.value - best.value) <= NEAR * abs(best.value)


def _price(shown: Shown) -> tuple[float, ...]:
    numbers = (shown.row.luts, shown.row.dsps, shown.row.latency_cycles)
    return tuple(float("inf") if n is None else n for n in numbers)


def _bits(points: Sequence[Point], design: str) -> int | None:
    widths = [
        p.width
        for p in points
        if p.design == design and p.width and p.relative is not None and p.relative >= 1 - NEAR
    ]
    return min(widths, default=None)


def write(
    found: Sequence[Summary], shown: Sequence[Shown], points: Sequence[Point], title: str, out: Path
) -> list[Path]:
    """Write ``campaign.csv``, ``designs.csv`` and the figures that there is something for."""
    made = [_sheet(out / "campaign.csv", [s.to_dict() for s in found])]
    if shown:
        made.append(_sheet(out / "designs.csv", [s.to_dict() for s in shown]))
        made += saved(scatter(shown, title), out / "figure_designs")
    if points:
        variants = {s.result.name: s.result for s in found}
        made += saved(precision(points, variants, title), out / "figure_precision")
    return made


def _sheet(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    columns = dict.fromkeys(key for record in records for key in record)
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, columns, restval="")
        sheet.writeheader()
        sheet.writerows(records)
    return path


# ---- in a terminal


def table(found: Sequence[Summary]) -> Group:
    """One line a variant, and below what the numbers mean and where they come from."""
    made = [s.formula for s in found if s.formula is not None]
    formulas = [s.row for s in made]
    named = labels(formulas, list(dict.fromkeys(c for r in formulas for c in r.auc)))
    metric = formulas[0].quality if formulas else "quality"
    shown = Table(title=f"{len(found)} variants", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("variant", no_wrap=True)
    first = ("best", f"formulas: test {metric}", "LUT", "DSP", "cycles", "bits")
    within = (f"within {NEAR:.0%}:", "LUT", "DSP", "cycles")
    for name in (*first, *within, *(("AUC " + " ".join(f"{c:>4}" for c in named),) * bool(named))):
        shown.add_column(name, justify="right", no_wrap=True)
    families = [s.result.family for s in found]
    for at, summary in enumerate(found):
        last = at + 1 == len(found) or families[at + 1] != families[at]
        shown.add_row(*_cells(summary, named), end_section=last)
    failed = [f"{s.result.name} failed: {s.result.reason}" for s in found if s.result.reason]
    lines = notes(made)
    return Group(shown, *(Text(line) for line in (*lines, *failed)))


def _cells(summary: Summary, classes: Sequence[str]) -> list[str]:
    cells = [summary.result.name, "-" if summary.best is None else _number(summary.best.value)]
    if summary.formula is None:
        return [*cells, "failed" if summary.result.reason else "no formulas on its front"]
    r = summary.formula.row
    cells += [with_error(r.test, r.test_error), *map(count, (r.luts, r.dsps, r.latency_cycles))]
    cells.append("-" if summary.bits is None else str(summary.bits))
    if summary.cheapest is None:
        cells += ["-"] * 4
    else:
        c = summary.cheapest.row
        cells += [_number(c.validation), *map(count, (c.luts, c.dsps, c.latency_cycles))]
    return [*cells, " ".join(f"{r.auc[n]:.3f}".lstrip("0") for n in classes if n in r.auc)]


def _number(value: float | None) -> str:
    return with_error(value, None)


def notes(made: Sequence[Shown]) -> Iterator[str]:
    """What the numbers mean and where they come from, a line each."""
    if not made:
        return
    metric, events = made[0].row.quality, made[0].row.auc_stage
    yield (
        f"best: validation {metric} of the variant's most accurate design. formulas: its most "
        f"accurate formula design, hardware and AUC ({events} events) too."
    )
    yield (
        f"bits: fewest at which these formulas are within {NEAR:.0%} of float64. within {NEAR:.0%}:"
        f" validation {metric} of the formulas of fewest LUTs that are so near the best."
    )
    yield from _sources([s.physics for s in made], [s.row.hardware for s in made])
    yield about([s.row for s in made]).caveat


def _sources(physics: Iterable[str], hardware: Iterable[str]) -> Iterator[str]:
    """Provenance in a line each kind: events and devices that differ are listed behind it."""
    for name, said in (("Bit-true", physics), ("Hardware", hardware)):
        kinds: dict[str, list[str]] = {}
        for text in sorted(set(said) - {""}):
            kind, _, where = text.rpartition(", ")
            kinds.setdefault(kind, []).append(where)
        yield from (f"{name} numbers: {kind}, {' '.join(at)}." for kind, at in kinds.items())


# ---- figures


def precision(points: Sequence[Point], variants: Mapping[str, Result], title: str) -> Figure:
    """Relative quality, LUT, DSP and cycles against total bits, one line a design."""
    from matplotlib.ticker import MaxNLocator

    records = [p.to_dict() for p in points]
    drawn, panels = panelled(2, 2, (9.5, 7))
    network = all(p.network is not None for p in points)
    quality = "relative_network" if network else "relative_float"
    to = "the best network" if network else "float64"
    styles = Styles.of(list(variants.values()))
    names = {quality: f"{points[0].metric} relative to {to}", "luts": "LUT", "dsps": "DSP"}
    names["latency_cycles"] = "clock cycles"
    for axes, (key, label) in zip(panels, names.items(), strict=True):
        for design in dict.fromkeys(p.design for p in points):
            result = variants[design.partition(":")[0]]
            mine = [r for r in records if r["design"] == design and r[key] is not None]
            line = [(r["width"], r[key]) for r in mine]
            if line:
                style = {"color": styles.colours[result.family], "ls": styles.lines[result.mode]}
                axes.plot(*zip(*line, strict=True), lw=1.3, **style)
        axes.set_ylabel(label)
        axes.set_xlabel(f"total bits W of {points[0].label.replace(str(points[0].width), 'W', 1)}")
        if key in ("dsps", "latency_cycles"):
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    said = _sources([r["physics"] for r in records], [r["hardware"] for r in records])
    _finish(drawn, styles.legend(lines=True), title, said)
    return drawn


def scatter(shown: Sequence[Shown], title: str) -> Figure:
    """Quality against clock cycles and LUTs of all designs; off their front they are hollow."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    drawn, panels = panelled(1, 2, (10, 5.4))
    styles = Styles.of([s.result for s in shown])
    for axes, (key, label) in zip(
        panels, (("latency_cycles", "clock cycles"), ("luts", "LUT")), strict=True
    ):
        for s in shown:
            if (x := getattr(s.row, key)) is not None:
                colour = styles.colours[s.result.family]
                face = colour if s.on_front else "none"
                mark = styles.markers[s.result.mode]
                axes.plot([x], [s.value], mark, mec=colour, mfc=face, ms=5.5, alpha=0.85)
        axes.set_xlabel(label)
        axes.set_ylabel(f"{shown[0].row.quality} on validation events")
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if all(s.row.luts for s in shown):
        panels[1].set_xscale("log")
        panels[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[1].xaxis.set_major_formatter("{x:,.0f}")
        panels[1].xaxis.set_minor_formatter(NullFormatter())
    said = _sources([s.physics for s in shown], [s.row.hardware for s in shown])
    hollow = "Hollow: dominated in its variant."
    _finish(drawn, styles.legend(lines=False), title, [*said, hollow])
    return drawn


@dataclass(frozen=True, slots=True)
class Styles:
    """How families and modes look."""

    colours: Mapping[str, Any]
    lines: Mapping[str, str]
    markers: Mapping[str, str]

    @classmethod
    def of(cls, results: Sequence[Result]) -> Styles:
        """A look for everything that these variants are named after, in their order."""
        import matplotlib as mpl

        families = list(dict.fromkeys(r.family for r in results))
        modes = list(dict.fromkeys(r.mode for r in results))
        palette = mpl.colormaps["tab10" if len(families) <= 10 else "tab20"]
        return cls(
            {name: palette(n % palette.N) for n, name in enumerate(families)},
            {name: LINES[n % len(LINES)] for n, name in enumerate(modes)},
            {name: MARKERS[n % len(MARKERS)] for n, name in enumerate(modes)},
        )

    def legend(self, *, lines: bool) -> list[Any]:
        """Handles: a patch of colour a family, a grey line or marker a mode."""
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        handles: list[Any] = [Patch(color=c, label=name) for name, c in self.colours.items()]
        for name in filter(None, self.lines):
            style, marker = (self.lines[name], None) if lines else ("", self.markers[name])
            handles.append(Line2D([], [], color="0.3", label=name, ls=style, marker=marker))
        return handles


def _finish(drawn: Figure, handles: Sequence[Any], title: str, said: Iterable[str]) -> None:
    for axes in drawn.axes:
        axes.grid(alpha=0.3)
    drawn.legend(handles=handles, loc="outside right upper", fontsize=8)
    drawn.suptitle(title, parse_math=False)
    drawn.supxlabel(textwrap.fill(" ".join(said), 150), fontsize=7, parse_math=False)
