"""nacsr cost: what a design is estimated to take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from nacsr.cli.options import Clock, HallRow, Json, Precision, TargetName, print_json
from nacsr.cli.reports import measured
from nacsr.cli.source import (
    SOURCE,
    Io,
    Lut,
    Luts,
    MaxError,
    Range,
    Reuse,
    Strategy,
    design_of,
    layer_options,
)
from nacsr.cost import Cost
from nacsr.cost.calibration import Calibration
from nacsr.cost.da import STAGE, DaCost, da_cost
from nacsr.errors import SpecError, unknown
from nacsr.targets import target as find_target

if TYPE_CHECKING:
    from nacsr.design import Design


def cost(
    source: Annotated[list[str], typer.Argument(help=SOURCE)],
    to: Annotated[str | None, typer.Option(help="Back end whose cost is meant.")] = None,
    target: TargetName = None,
    clock_mhz: Clock = None,
    precision: Precision = "16,6",
    max_error: MaxError = None,
    range_: Range = None,
    luts: Luts = None,
    lut: Lut = None,
    row: HallRow = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="csynth (hls and hls4ml), vsynth: what logic synthesis leaves, or rtl; vsynth "
            "and pnr of any flow with a calibration that leads there."
        ),
    ] = None,
    io: Io = None,
    strategy: Strategy = None,
    reuse: Reuse = None,
    method: Annotated[
        str, typer.Option(help="analytic, or da: da4ml's cost of shift-add logic.")
    ] = "analytic",
    calibration: Annotated[
        Path | None, typer.Option(help="A file of 'nacsr calibrate'; a run's own if left.")
    ] = None,
    by_op: Annotated[bool, typer.Option("--by-op", help="One line an operation.")] = False,
    json: Json = False,
) -> None:
    """Estimated LUT, DSP, FF, BRAM, clock cycles and II, with their bands where known.

    Example: nacsr cost "x0*x1 + 0.5" --target vu9p --clock-mhz 320
    Example: nacsr cost "x0*x1 + 0.5" --to hls --stage vsynth
    Example: nacsr cost "0.37*x0 - 1.21*x1" --method da
    """
    design = design_of(
        source,
        to=to,
        target=target,
        clock_mhz=clock_mhz,
        precision=precision,
        max_error=max_error,
        range_=range_,
        luts=luts,
        lut=lut,
        row=row,
        options=layer_options(io, strategy, reuse),
    )
    if calibration is not None:
        design = replace(design, calibration=Calibration.load(calibration))
    where = design.setting
    device = find_target(where.target)
    found = _cost(design, method, stage)
    measurements = found.measurements(device, where.clock_mhz, design.graph.digest)
    refitted = found.refitted if isinstance(found, Cost) else ()
    if design.calibration is not None and not refitted:
        typer.echo(_not_refitted(design, method, stage), err=True)
    if json:
        print_json([m.to_dict() for m in measurements])
        return
    shown = Table(title=f"{design.flow} on {device.part} at {where.clock_mhz:g} MHz")
    for name in ("metric", "estimate", "band", "share of device", "of one SLR"):
        shown.add_column(name, justify="right")
    for m in measurements:
        capacity = device.capacity(m.metric)
        share = 0.0 if capacity is None else 100 * m.value / capacity
        shares = (
            ("", "") if capacity is None else (f"{share:.3f} %", f"{share * device.slrs:.3f} %")
        )
        band = "" if m.error is None else f"± {m.error:,.0f}"
        shown.add_row(m.metric, f"{m.value:,.0f}", band, *shares)
    console = Console()
    console.print(shown)
    first = measurements[0]
    flags = f" ({first.flags})" if first.flags else ""
    console.print(f"Method: {first.method}, stage: {first.stage}{flags}. By {first.tool}.")
    if isinstance(found, Cost) and refitted:
        what = ", ".join(refitted)
        console.print(f"Refitted by calibration {found.calibration}: {what}; nothing else.")
    for text in measured(source[0]) if len(source) == 1 else ():
        console.print(f"Measured:{text}", highlight=False)
    if by_op:
        rtl = design.flow == "rtl"
        console.print(_by_op(found, rtl) if isinstance(found, Cost) else _by_kind(found))


def _cost(design: Design, method: str, stage: str | None) -> Cost | DaCost:
    """What ``--method`` names.

    Raises:
        SpecError: for another method, or options of one for the other.
    """
    if method == "analytic":
        return design.cost(stage)
    if method != "da":
        raise SpecError(unknown("method", method, ("analytic", "da")))
    if stage not in (None, STAGE):
        msg = f"da4ml's cost is of stage {STAGE}, not {stage}; leave --stage out"
        raise SpecError(msg)
    return da_cost(design.graph)


def _not_refitted(design: Design, method: str, stage: str | None) -> str:
    """A line on a calibration that changes nothing."""
    if method == "analytic":
        return f"not refitted: {design.not_refitted(stage)}"
    return f"not refitted: a calibration is of analytic estimates, not of method {method}"


def _by_kind(found: DaCost) -> Table:
    shown = Table(title="By kind of operation of the unrolled design")
    for column in ("kind", "LUT"):
        shown.add_column(column, justify="right")
    for kind, luts in found.parts.items():
        shown.add_row(kind, f"{luts:,.1f}")
    return shown


def _by_op(found: Cost, rtl: bool) -> Table:
    if rtl:
        shown = Table(title="By operation of the unrolled design: the stage that computes it")
        columns: tuple[str, ...] = ("value", "op", "LUT", "DSP", "FF", "BRAM18", "stage")
    else:
        shown = Table(title="By operation: the cycle and time at which its value is there")
        columns = ("value", "op", "LUT", "DSP", "FF", "BRAM18", "cycle", "ns")
    for name in columns:
        shown.add_column(name, justify="right")
    for r in found.rows:
        numbers = (r.luts, r.dsps, r.ffs, r.brams, r.cycle)
        cells = [f"%{r.index}", r.name, *(f"{n:,}" for n in numbers), f"{r.ns:.2f}"]
        shown.add_row(*cells[: len(columns)])
    return shown
