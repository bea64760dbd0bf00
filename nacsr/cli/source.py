"""What compile, cost and synth take: a source and how it is lowered."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nacsr.errors import SpecError

if TYPE_CHECKING:
    from nacsr.design import Design
    from nacsr.emit.hls4ml_model import Hls4mlOptions
    from nacsr.luts import Settings

SOURCE = (
    "An expression such as 'sin(x0)*x1', several (one an output), a hall_of_fame.csv, trained "
    "trees (.json of xgboost; .json or .npz of nacsr.save_trees for those of scikit-learn), "
    "RUN:ID, or an emitted project. (Write -- before an expression that begins with a minus.)"
)
Luts = Annotated[
    Path | None, typer.Option(help="A folder of LUT functions (*.toml) besides the shipped ones.")
]
Lut = Annotated[
    list[str] | None,
    typer.Option(
        "--lut", help="Make functions anew: max_error=1e-3, entries=64, or sin.max_error=1e-3."
    ),
]
MaxError = Annotated[
    float | None,
    typer.Option(help="Choose every type for the least cost at this proven absolute error."),
]
Range = Annotated[
    list[str] | None,
    typer.Option("--range", help="With --max-error: clip an input to low <= x < high: x0=-4:4."),
]
Io = Annotated[str | None, typer.Option(help="hls4ml: io_parallel (default) or io_stream.")]
Strategy = Annotated[str | None, typer.Option(help="hls4ml: latency (default) or resource.")]
Reuse = Annotated[
    int | None, typer.Option(min=1, help="hls4ml: products a multiplier computes in turn.")
]


def parse_ranges(texts: list[str] | None) -> dict[str, tuple[float, float]] | None:
    """``x0=-4:4`` as a name and two numbers.

    Raises:
        SpecError: naming the text that is something else.
    """
    found = {}
    for text in texts or ():
        match = re.fullmatch(r"\s*([^=]+?)\s*=\s*([^:]+):([^:]+)", text)
        try:
            low, high = (float(match[k]) for k in (2, 3)) if match else (math.nan, math.nan)
        except ValueError:
            low = high = math.nan
        if match is None or not low <= high:
            msg = f"cannot read the range {text!r}; write NAME=LOW:HIGH, such as x0=-4:4"
            raise SpecError(msg)
        if match[1] in found:
            msg = f"--range names {match[1]!r} twice"
            raise SpecError(msg)
        found[match[1]] = (low, high)
    return found or None


def parse_lut(texts: list[str] | None) -> Settings:
    """``sin.max_error=1e-3`` and the like as settings.

    Raises:
        SpecError: naming the text that is something else.
    """
    found: dict[str, float | dict[str, float]] = {}
    for text in texts or ():
        match = re.fullmatch(r"(?:(\w+)\.)?(\w+)=(\S+)", text.strip())
        try:
            value = float(match[3]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or math.isnan(value):
            msg = f"cannot read --lut {text!r}; write max_error=1e-3 or sin.entries=64"
            raise SpecError(msg)
        if match[1]:
            entry = found.setdefault(match[1], {})
            if isinstance(entry, dict):
                entry[match[2]] = value
        else:
            found[match[2]] = value
    return found


def layer_options(io: str | None, strategy: str | None, reuse: int | None) -> Hls4mlOptions | None:
    """How hls4ml builds the layers; None where nothing is said."""
    from nacsr.emit.hls4ml_model import Hls4mlOptions

    given = {"io_type": io, "strategy": strategy, "reuse_factor": reuse}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return Hls4mlOptions(**chosen) if chosen else None


def design_of(
    source: Sequence[str], *, range_: list[str] | None, lut: list[str] | None, **given: Any
) -> Design:
    """The design that a command line names.

    Args:
        source: one expression, file or RUN:ID, or several expressions.
        range_: of ``--range``.
        lut: of ``--lut``.
        given: as ``nacsr.compile`` takes them.
    """
    from nacsr.compiler import compile as compile_source

    one = source[0] if len(source) == 1 else source
    design = compile_source(one, ranges=parse_ranges(range_), lut=parse_lut(lut), **given)
    if isinstance(one, str) and _like_a_name(one) and not Path(one).exists():
        said = "taken as a formula of one variable; no such file or folder"
        typer.echo(f"nacsr: {one!r} is {said}", err=True)
    return design


def _like_a_name(text: str) -> bool:
    """Whether a formula is one word that may have been meant as a file; ``x`` and ``x0`` not."""
    short = len(text) < 200  # names of files are
    return short and text.isidentifier() and re.fullmatch(r"[A-Za-z]_?\d*", text) is None
