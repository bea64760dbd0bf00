"""report.html: the front as an interactive plot, a table, the formulas, links to the designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nacsr.design import Setting
from nacsr.report.formulas import Formula, table_svg, table_words
from nacsr.report.measured import Compared, OpenFront
from nacsr.report.picture import COLOURS, MARKERS, events_shown
from nacsr.report.rows import REFERENCE_FAMILIES, Row, either, labels, quality
from nacsr.report.table import count, notes, with_error
from nacsr.resources import folder

SYMBOLS = {"o": "circle", "s": "square", "v": "triangle-down", "D": "diamond", "^": "triangle-up"}


def page(
    rows: Sequence[Row],
    setting: Setting,
    findings: Sequence[str],
    left_out: Mapping[str, str],
    about: Mapping[str, str],
    formulas: Mapping[str, Formula],
    references: Mapping[str, Sequence[str]],
    opened: OpenFront,
    pairs: Sequence[Compared],
    path: Path,
) -> Path:
    """Write the report.

    Args:
        rows: the front by estimates of C-synthesis.
        setting: features, scaling and classes.
        findings: lines about what is not on the front.
        left_out: reason by id of every candidate that failed or breaks a limit.
        about: facts of the study, in the order shown.
        formulas: the expressions of both fronts by id.
        references: what the reference designs of both fronts are, in lines, by id.
        opened: all families by open synthesis.
        pairs: estimates beside measurements, of all designs that have both.
        path: the HTML file to write; links to designs are relative to it.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, autoescape=True)
    environment.filters.update(count=count)
    environment.globals.update(with_error=with_error, table_svg=table_svg, table_words=table_words)
    source = (folder("hls_templates") / "report.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        rows=rows,
        designs=either(opened.rows, rows),
        left_out=left_out,
        about=about,
        formulas=formulas,
        references=references,
        classes=labels(rows, setting.classes),
        quality=quality(rows),
        further=list(dict.fromkeys(name for r in rows for name in r.further)),
        features=_features(setting),
        notes=[*notes(rows), *findings],
        opened=opened,
        compared=pairs,
        plot=_plot(rows, "estimates"),
        opened_plot=_plot(opened.rows, "opened") if opened.rows else "",
    )
    path.write_text(text, encoding="utf-8")
    return path


def _features(setting: Setting) -> list[dict[str, str]]:
    """What a reader needs to compute a formula's variables by hand."""
    scaling = setting.scaling
    return [
        {
            "name": f.name,
            "type": str(f.type.plain()),
            "offset": f"{offset * f.type.lsb:.8g}",
            "factor": f"2^{-shift}",
        }
        for f, offset, shift in zip(setting.features, scaling.offsets, scaling.shifts, strict=True)
    ]


def _plot(rows: Sequence[Row], name: str) -> str:
    """An interactive plot as HTML that needs no network."""
    from plotly.graph_objects import Figure, Scatter

    figure, events = Figure(), events_shown(rows)
    for family, colour in COLOURS.items():
        mine = [r for r in rows if r.family == family]
        if not mine and family in REFERENCE_FAMILIES:
            continue
        figure.add_trace(
            Scatter(
                x=[r.luts for r in mine],
                y=[getattr(r, events) for r in mine],
                error_x={"type": "data", "array": [r.bands.get("luts", 0.0) for r in mine]},
                error_y={
                    "type": "data",
                    "array": [getattr(r, f"{events}_error") or 0.0 for r in mine],
                },
                mode="markers",
                name=family,
                opacity=0.85,
                marker={"color": colour, "size": 11, "symbol": SYMBOLS[MARKERS[family]]},
                customdata=[[r.id, r.title[:160], r.dsps, r.latency_cycles] for r in mine],
                hovertemplate=(
                    f"%{{customdata[1]}}<br>{quality(rows)} "
                    "%{y:.4g}, %{x:,} LUT, %{customdata[2]} DSP, "
                    "%{customdata[3]} cycles<br>%{customdata[0]}<extra></extra>"
                ),
            )
        )
    figure.update_layout(
        template="plotly_white",
        xaxis={"title": "LUT", "type": "log"},
        yaxis={"title": f"{quality(rows)} on {events} events"},
        height=520,
        margin={"t": 30},
    )
    html: str = figure.to_html(full_html=False, include_plotlyjs=name == "estimates", div_id=name)
    return html
