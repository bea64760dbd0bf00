"""report.html: the front as an interactive plot, a table, the formulas, links to the designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nacsr.report.picture import COLOURS, MARKERS
from nacsr.report.rows import Row
from nacsr.report.table import count, notes, with_error
from nacsr.resources import folder

SYMBOLS = {"o": "circle", "s": "square"}


def page(
    rows: Sequence[Row],
    left_out: Mapping[str, str],
    about: Mapping[str, str],
    classes: Sequence[str],
    path: Path,
) -> Path:
    """Write the report.

    Args:
        rows: the front.
        left_out: reason by id of every candidate that failed or breaks a limit.
        about: facts of the study, in the order shown.
        classes: class names.
        path: the HTML file to write; links to designs are relative to it.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, autoescape=True)
    environment.filters.update(count=count)
    environment.globals.update(with_error=with_error)
    source = (folder("hls_templates") / "report.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        rows=rows,
        left_out=left_out,
        about=about,
        classes=classes,
        notes=notes(rows),
        plot=_plot(rows),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _plot(rows: Sequence[Row]) -> str:
    """The interactive plot as HTML that needs no network."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for family, colour in COLOURS.items():
        mine = [r for r in rows if r.family == family]
        figure.add_trace(
            Scatter(
                x=[r.luts for r in mine],
                y=[r.accuracy for r in mine],
                error_y={"type": "data", "array": [r.accuracy_error or 0.0 for r in mine]},
                mode="markers",
                name=family,
                marker={"color": colour, "size": 11, "symbol": SYMBOLS[MARKERS[family]]},
                customdata=[[r.id, r.title[:160], r.dsps, r.latency_cycles] for r in mine],
                hovertemplate=(
                    "%{customdata[1]}<br>accuracy %{y:.4f}, %{x:,} LUT, %{customdata[2]} DSP, "
                    "%{customdata[3]} cycles<br>%{customdata[0]}<extra></extra>"
                ),
            )
        )
    figure.update_layout(
        template="plotly_white",
        xaxis={"title": "LUT", "type": "log"},
        yaxis={"title": "accuracy"},
        height=520,
        margin={"t": 30},
    )
    html: str = figure.to_html(full_html=False, include_plotlyjs=True, div_id="front")
    return html
