"""The front as a PNG for a talk."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nacsr.report.figures import panelled
from nacsr.report.rows import Row, about, quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "expression": "#c1440e",
    "network": "#1f5fa8",
    "linear": "#7a7a7a",
    "tables": "#8a3fa0",
    "trees": "#2e8b57",
}
MARKERS = {"expression": "o", "network": "s", "linear": "v", "tables": "D", "trees": "^"}
AXES = (("luts", "LUT"), ("latency_cycles", "clock cycles"))
SAID_WIDTH = 150


def events_shown(rows: Sequence[Row]) -> str:
    """The events whose quality a plot shows: one kind for all its points."""
    return "test" if rows and all(r.test is not None for r in rows) else "validation"


def picture(fronts: Sequence[Sequence[Row]], name: str, path: Path) -> Path:
    """Quality against LUTs and against clock cycles, all families, with errors and bands.

    Args:
        fronts: a line of panels each; their numbers are different quantities.
        name: title of the study.
        path: the PNG to write.
    """
    shown = [rows for rows in fronts if rows] or [()]
    columns = len(AXES)
    figure, panels = panelled(len(shown), columns, (10, 4.8 * len(shown)))
    for place, rows in enumerate(shown):
        _line(panels[place * columns : (place + 1) * columns], rows)
    figure.suptitle(name)
    sources = [f"{_sources(rows)}. {about(rows).caveat}" for rows in shown if rows]
    figure.supxlabel("\n".join(textwrap.fill(s, SAID_WIDTH) for s in sources), fontsize=7)
    figure.savefig(path, dpi=150)
    return path


def _line(panels: Sequence[Axes], rows: Sequence[Row]) -> None:
    """One front: a panel for every axis."""
    events = events_shown(rows)
    for axes, (metric, label) in zip(panels, AXES, strict=True):
        for family in COLOURS:
            mine = [r for r in rows if r.family == family and getattr(r, metric) is not None]
            if mine:
                axes.errorbar(
                    [getattr(r, metric) for r in mine],
                    [getattr(r, events) for r in mine],
                    xerr=[min(r.bands.get(metric, 0.0), getattr(r, metric)) for r in mine],
                    yerr=[getattr(r, f"{events}_error") or 0.0 for r in mine],
                    fmt=MARKERS[family],
                    color=COLOURS[family],
                    ecolor=COLOURS[family] + "66",
                    label=family,
                )
        axes.set_xlabel(f"{label} ({rows[0].basis})" if rows else label)
        axes.grid(alpha=0.3)
    if rows and all(r.luts for r in rows):
        panels[0].set_xscale("log")
    panels[0].set_ylabel(f"{quality(rows)} on {events} events")
    if rows:
        panels[0].legend()


def _sources(rows: Sequence[Row]) -> str:
    return "; ".join(sorted({r.hardware for r in rows}))
