"""A precision sweep as a table, a CSV file and a figure against total bit width."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nacsr.errors import FileError
from nacsr.report.figures import panelled, saved
from nacsr.report.table import count, with_error
from nacsr.sweep import Point

COLUMNS = (
    *("design", "width", "integer", "max_error", "metric", "value", "error", "float"),
    *("relative_float", "network", "relative_network", "luts", "dsps", "ffs", "brams"),
    *("latency_cycles", "ii_cycles", "physics", "hardware", "reason"),
)
"""Columns of the CSV file: the keys of ``Point.to_dict``."""

NAMED = 12
"""Designs that a legend can tell apart."""


class Writer(Protocol):
    """Takes the points of a sweep one by one."""

    def __call__(self, point: Point) -> None:
        """Write one."""


@contextmanager
def sheet(path: Path) -> Iterator[Writer]:
    """A CSV file that holds every point as soon as it is written.

    Raises:
        FileError: if it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}); choose another folder with --out"
        raise FileError(msg) from None
    with file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()

        def write(point: Point) -> None:
            rows.writerow(point.to_dict())
            file.flush()

        yield write


def table(points: Sequence[Point]) -> Group:
    """One line a point, and below them what the numbers mean and where they come from."""
    metric = points[0].metric
    shown = Table(title=f"Precision: {len(points)} points", box=box.SIMPLE_HEAD)
    network = any(p.network is not None for p in points)
    quality = ("relative", *(("to network",) if network else ()))
    numbers = ("LUT", "DSP", "FF", "BRAM", "cycles", "II")
    shown.add_column("design", no_wrap=True)
    shown.add_column("precision", no_wrap=True)
    for name in (metric, *quality, *numbers):
        shown.add_column(name, justify="right", no_wrap=True)
    for at, point in enumerate(points):
        last = at + 1 == len(points) or points[at + 1].design != point.design
        shown.add_row(*_cells(point, network), end_section=last)
    failed = [f"{p.design} {p.label}: {p.reason}" for p in points if p.reason]
    return Group(shown, *(Text(line) for line in (*notes(points), *failed)))


def _cells(point: Point, network: bool) -> list[str]:
    quality = point.find(point.metric)
    value, error = (None, None) if quality is None else (quality.value, quality.error)
    hardware = ("luts", "dsps", "ffs", "brams", "latency_cycles", "ii_cycles")
    return [
        point.design,
        point.label,
        with_error(value, error),
        _ratio(point.relative),
        *((_ratio(point.relative_network),) if network else ()),
        *(count(point.value(name)) for name in hardware),
    ]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def notes(points: Sequence[Point]) -> list[str]:
    """What the numbers mean and where they come from, a line each."""
    metric = points[0].metric
    floats = {p.design: p.reference for p in points}
    said = ", ".join(f"{id_} {value:.4f}" for id_, value in floats.items())
    lines = [
        f"relative: to the same formulas in float64 through the same tables ({metric} {said})."
    ]
    networks = dict.fromkeys(f"{p.network:.4f}" for p in points if p.network is not None)
    if networks:
        lines.append(f"to network: to the best network of the front ({', '.join(networks)}).")
    if any(p.width is None for p in points):
        lines.append("error: every type chosen for the least cost at that proven absolute error.")
    return [*lines, *sources(points)]


def sources(points: Sequence[Point]) -> list[str]:
    """Provenance of the numbers, a line each kind."""
    records = [p.to_dict() for p in points]
    kinds = (("physics", "Bit-true numbers"), ("hardware", "Hardware numbers"))
    return [
        f"{name}: {said}."
        for key, name in kinds
        for said in sorted({r[key] for r in records} - {""})
    ]


def figure(points: Sequence[Point], title: str, stem: Path) -> tuple[Path, Path]:
    """Relative quality, LUT, DSP and cycles against total bit width, one line a design.

    The four panels of Tsoi et al. (EPJ Web Conf. 295, 2024, 09036). Quality is relative to the
    best network where there is one, as there, and to float64 otherwise. Error budgets choose
    their own widths, so they are not on it.

    Args:
        points: of one sweep.
        title: a line above.
        stem: path without suffix; ``.png`` and ``.svg`` are written.
    """
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    drawn, panels = panelled(2, 2, (9, 6.6), share="x")
    network = all(p.network is not None for p in points)
    quality = "relative_network" if network else "relative_float"
    to = "best network" if network else "float64"
    axes_of = {
        quality: f"{points[0].metric} relative to {to}",
        "luts": "LUT",
        "dsps": "DSP",
        "latency_cycles": "clock cycles",
    }
    designs = list(dict.fromkeys(p.design for p in points))
    colours = mpl.colormaps["viridis"].resampled(max(len(designs), 2))
    for axes, (key, label) in zip(panels, axes_of.items(), strict=True):
        for n, design in enumerate(designs):
            mine = [p for p in points if p.design == design and p.width is not None]
            line = [(p.width, value) for p in mine if (value := p.to_dict()[key]) is not None]
            if line:
                x, y = zip(*line, strict=True)
                axes.plot(x, y, "o-", color=colours(n), ms=3.5, lw=1.2, label=design)
        axes.set_ylabel(label)
        if key in ("dsps", "latency_cycles"):
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylim(-0.2, max((p.value(key) or 0 for p in points), default=0) * 1.05 + 0.2)
        axes.grid(alpha=0.3)
    for axes in drawn.axes[2:]:
        integer = {p.to_dict()["integer"] for p in points} - {None}
        axes.set_xlabel(f"total bits W of <W,{', '.join(map(str, sorted(integer)))}>")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(designs) <= NAMED and any(p.width is not None and not p.reason for p in points):
        drawn.axes[1].legend(fontsize=7)
    drawn.suptitle(title, parse_math=False)
    drawn.supxlabel(textwrap.fill(" ".join(sources(points)), 140), fontsize=7, parse_math=False)
    return saved(drawn, stem)
