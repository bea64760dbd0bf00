"""The front in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from nacsr.report.rows import CAVEAT, Row

FORMULA = 36  # characters of a formula that a row shows; show and the report have all of it
WIDTH = 150  # narrower than this, columns of numbers would break


def console(*, stderr: bool = False) -> Console:
    """A console on which the table keeps its shape, also in a log file."""
    width = max(Console().width, WIDTH)
    return Console(stderr=stderr, width=width)


def table(rows: Sequence[Row], classes: Sequence[str]) -> Group:
    """A rich table of the front, and below it where its numbers come from."""
    events = rows[0].accuracy_stage if rows else "validation"
    title = f"Front: {len(rows)} designs, accuracy and AUC on {events} events"
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("id", "family", "formula or architecture"):
        shown.add_column(name, no_wrap=True)
    aucs = "AUC " + " ".join(f"{c:>4}" for c in classes)
    for name in ("accuracy", aucs, "LUT", "DSP", "FF", "cycles", "II", "wrong"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(*cells(row, classes))
    return Group(shown, *(Text(line) for line in notes(rows)))


def cells(row: Row, classes: Sequence[str]) -> list[str]:
    """One row as text."""
    aucs = " ".join(f"{row.auc[c]:.3f}".lstrip("0") for c in classes if c in row.auc)
    return [
        row.id,
        row.family,
        row.title if len(row.title) <= FORMULA else row.title[: FORMULA - 1] + "…",
        with_error(row.accuracy, row.accuracy_error),
        aucs,
        count(row.luts),
        count(row.dsps),
        count(row.ffs),
        count(row.latency_cycles),
        count(row.ii_cycles),
        count(row.mismatches),
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """Provenance of the numbers above, a line each."""
    lines = ["wrong: output words of the emitted C++ that differ from the interpreter."]
    lines.append(
        "AUC: one class against the rest, by the softmax of the bit-true scores (off chip)."
    )
    lines += [f"Hardware numbers: {said}." for said in sorted({r.hardware for r in rows})]
    lines += [
        f"Checked bit for bit: {said}." for said in sorted({r.verified for r in rows}) if said
    ]
    lines += [f"Input scaling: {said}." for said in sorted({r.scaling for r in rows})]
    families = {r.family for r in rows}
    for family in ("expression", "network"):
        if rows and family not in families:
            lines.append(f"No {family} is on this front: every one found is dominated.")
    return [*lines, CAVEAT] if rows else ["No design is on this front."]


def with_error(value: float | None, error: float | None) -> str:
    """A number with its error, or a dash."""
    if value is None:
        return "-"
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def count(value: float | None) -> str:
    """A count, or a dash."""
    return "-" if value is None else f"{value:,.0f}"
