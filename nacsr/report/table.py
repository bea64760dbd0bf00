"""The front in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from nacsr.measure import QUALITY
from nacsr.report.rows import Row, about, labels, mixed, quality

FORMULA = 30  # characters of a formula that a row shows; report.html has all of it
WIDTH = 164  # narrower than this, columns of numbers would break


RELATIVE = ("median_error", "p95_error")
FURTHER = {"rmse": "median, 95 % error", "mean_distance": "rmse"}
"""What a front shows besides the metric that it is ranked by."""
UNITS = {
    "mean_distance": "mean_distance: Euclidean, between prediction and target, in their units.",
    "rmse": "rmse: root of the mean squared error over all targets, in their units.",
}
SCALINGS = {
    "folded": "Input scaling: folded, raw words arrive and centring and shifting are counted.",
    "external": "Input scaling: external (ext), standardised words arrive, uncounted.",
}


def console(*, stderr: bool = False) -> Console:
    """A console on which the table keeps its shape, also in a log file."""
    width = max(Console().width, WIDTH)
    return Console(stderr=stderr, width=width)


def table(rows: Sequence[Row], classes: Sequence[str], findings: Sequence[str]) -> Group:
    """A rich table of the front, and below it where its numbers come from."""
    shown = Table(title=f"Front: {len(rows)} designs", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("id", "family", "formula or architecture"):
        shown.add_column(name, no_wrap=True)
    named = labels(rows, classes)
    wide = any(r.further for r in rows)
    more = FURTHER[quality(rows)] if wide else "AUC " + " ".join(f"{c:>4}" for c in named)
    numbers = ("LUT", "DSP", "FF", "BRAM", "cycles", "II", "wrong")
    several = bool(mixed(rows))
    for name in ("val.", f"test {quality(rows)}", more, *numbers):
        shown.add_column(name, justify="right", no_wrap=True)
    if several:
        shown.add_column("by", no_wrap=True)
    for row in rows:
        shown.add_row(*cells(row, named), *([str(row.basis)] if several else []))
    return Group(shown, *(Text(line) for line in (*notes(rows), *findings)))


def cells(row: Row, classes: Sequence[str]) -> list[str]:
    """One row as text."""
    more = [f"{row.auc[c]:.3f}".lstrip("0") for c in classes if c in row.auc]
    more += [
        f"{100 * value:#.3g} %" if name in RELATIVE else with_error(value, None)
        for name, value in row.further.items()
    ]
    return [
        row.id,
        row.family if row.scaling == "folded" else f"{row.family} (ext)",
        row.title if len(row.title) <= FORMULA else row.title[: FORMULA - 1] + "…",
        with_error(row.validation, None),
        with_error(row.test, row.test_error),
        " ".join(more),
        count(row.luts),
        count(row.dsps),
        count(row.ffs),
        count(row.brams),
        count(row.latency_cycles),
        count(row.ii_cycles),
        count(row.mismatches),
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers above mean and where they come from, a line each."""
    if not rows:
        return ["No design is on this front."]
    lines = [
        f"Designs were selected by validation {quality(rows)}; test events were read once, "
        "afterwards.",
        *_meanings(rows),
        "Formulas show constants to 3 digits; nacsr show prints them exactly.",
        *about(rows).lines,
    ]
    lines += [f"Hardware numbers: {said}." for said in sorted({r.hardware for r in rows})]
    lines += [warning] if (warning := mixed(rows)) else []
    checks = sorted({r.verified for r in rows} - {""})
    lines += [f"Checked bit for bit: {said}." for said in checks]
    lines += [SCALINGS[said] for said in sorted({r.scaling for r in rows})]
    return [*lines, about(rows).caveat]


def _meanings(rows: Sequence[Row]) -> Iterator[str]:
    """What the physics columns are, a line each."""
    events = " and ".join(sorted({r.auc_stage for r in rows}))
    named = {c for r in rows for c in r.auc}
    if len(named) == 1:
        yield f"AUC: {min(named)} against the other class on {events} events, by bit-true score."
    elif named:
        yield (
            f"AUC: one class against the rest on {events} events, by the softmax of the bit-true "
            "scores, off chip."
        )
    if any(name in RELATIVE for r in rows for name in r.further):
        yield f"Errors: median and 95th percentile of |prediction / target - 1| on {events} events."
    metrics = next((q for q in QUALITY.values() if quality(rows) == q[0]), ())
    yield from (UNITS[name] for name in metrics if name in UNITS)


def with_error(value: float | None, error: float | None) -> str:
    """A number with its error, or a dash; four decimals for numbers of order one."""
    if value is None:
        return "-"
    plain = 0.01 <= abs(value) < 10 or not value
    shown = f"{value:.4f}" if plain else f"{value:#.4g}"
    if error is None:
        return shown
    return f"{shown} ± {error:.4f}" if plain else f"{shown} ± {error:#.2g}"


def count(value: float | None) -> str:
    """A count, or a dash."""
    return "-" if value is None else f"{value:,.0f}"
