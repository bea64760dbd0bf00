"""Empty figures, and how they are written: the same bytes every time, text that stays text."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panelled(
    rows: int, columns: int, size: tuple[float, float], share: str = ""
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row.

    Args:
        rows, columns: of panels.
        size: width and height in inches.
        share: axes that all panels have in common, of "x" and "y".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(rows, columns, squeeze=False, sharex="x" in share, sharey="y" in share)
    return drawn, list(panels.flat)


def stable_svg() -> AbstractContextManager[None]:
    """Inside it, SVG files are the same every time and their text can be searched."""
    import matplotlib as mpl

    return mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nacsr"})


def saved(drawn: Figure, stem: Path) -> tuple[Path, Path]:
    """A figure as ``stem.png`` and ``stem.svg``."""
    made = stem.with_suffix(".png"), stem.with_suffix(".svg")
    with stable_svg():
        drawn.savefig(made[0], dpi=150)
        drawn.savefig(made[1], metadata={"Date": None})
    return made
