"""nacsr compile, verify and cost: the compiler on its own."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nacsr.cli.options import Clock, HallRow, Json, Precision, TargetName, print_json
from nacsr.cli.reports import measured
from nacsr.cost import Cost
from nacsr.cost.calibration import Calibration
from nacsr.emit import FLOWS
from nacsr.errors import SpecError
from nacsr.targets import target as find_target

if TYPE_CHECKING:
    from nacsr.emit.hls4ml_model import Hls4mlOptions
    from nacsr.luts import Settings

SOURCE = (
    "An expression such as 'sin(x0)*x1', several (one an output), a hall_of_fame.csv, RUN:ID, or "
    "an emitted project. (Write -- before an expression that begins with a minus.)"
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


def compile(
    source: Annotated[list[str], typer.Argument(help=SOURCE)],
    out: Annotated[Path, typer.Option(help="Folder of the project to write.")],
    to: Annotated[str | None, typer.Option(help=f"Back end: {', '.join(FLOWS)}.")] = None,
    target: TargetName = None,
    clock_mhz: Clock = None,
    precision: Precision = "16,6",
    max_error: MaxError = None,
    range_: Range = None,
    luts: Luts = None,
    lut: Lut = None,
    row: HallRow = None,
    io: Annotated[
        str | None, typer.Option(help="hls4ml: io_parallel (default) or io_stream.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="hls4ml: latency (default) or resource.")
    ] = None,
    reuse: Annotated[
        int | None, typer.Option(min=1, help="hls4ml: products a multiplier computes in turn.")
    ] = None,
) -> None:
    """Compile a source to a self-contained project that a vendor tool can synthesise.

    Variables are input words of the given precision (scaling is external); a design of a run
    keeps its own words, device and clock.

    Example: nacsr compile "0.3*x0*sin(2*x1) - 0.8" --to rtl --target vu9p --out my_trigger
    Example: nacsr compile "gauss(x0)*x1" --max-error 1e-3 --range x0=-4:4 --out my_trigger
    """
    from nacsr.compiler import compile as compile_source

    design = compile_source(
        source[0] if len(source) == 1 else source,
        to=to,
        precision=precision,
        max_error=max_error,
        ranges=parse_ranges(range_),
        luts=luts,
        lut=parse_lut(lut),
        row=row,
        target=target,
        clock_mhz=clock_mhz,
        options=_options(io, strategy, reuse),
    )
    folder = design.emit(out)
    typer.echo(f"{design.flow} project of {design.title} in {folder}")
    typer.echo(
        f"Inputs: {', '.join(f'{f.name} {f.type.plain()}' for f in design.setting.features)}"
    )
    clipped = ", ".join(f"{n} clipped to [{a:g}, {b:g})" for n, (a, b) in design.ranges.items())
    for port, bound in design.bounds.items():
        typer.echo(
            f"Proven: {port} is within {bound:.3g} of the formula for every input word"
            + (f", {clipped}" if clipped else "")
        )
    typer.echo(f"Check it bit for bit with: nacsr verify {folder}")


def _options(io: str | None, strategy: str | None, reuse: int | None) -> Hls4mlOptions | None:
    from nacsr.emit.hls4ml_model import Hls4mlOptions

    given = {"io_type": io, "strategy": strategy, "reuse_factor": reuse}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return Hls4mlOptions(**chosen) if chosen else None


def verify(
    folder: Annotated[Path, typer.Argument(help="An emitted project.")],
    events: Annotated[
        int | None, typer.Option(min=1, help="Random events instead of the shipped vectors.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a project's C++ (g++) or Verilog (iverilog, Verilator) against the interpreter.

    Exit code 1 if any word differs.

    Example: nacsr verify runs/jets/designs/3fa29b1c77d0 --events 100000
    """
    from dataclasses import asdict

    from nacsr.emit.verify import verify as check

    result = check(folder, events)
    if json:
        print_json(asdict(result))
    else:
        typer.echo(
            f"{result.mismatches} of {result.words} output words differ "
            f"({result.events} events, {result.tool})"
        )
        if result.latency_cycles is not None:
            interval = "" if result.ii_cycles is None else f", II = {result.ii_cycles}"
            typer.echo(
                f"Measured: {result.latency_cycles} clock cycles from port to port{interval}"
            )
        if result.mismatches:
            typer.echo(result.first)
        if result.edited:
            typer.echo(f"Edited since it was emitted: {', '.join(result.edited)}")
    if result.mismatches:
        raise typer.Exit(1)


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
    calibration: Annotated[
        Path | None, typer.Option(help="A file of 'nacsr calibrate'; a run's own if left.")
    ] = None,
    by_op: Annotated[bool, typer.Option("--by-op", help="One line an operation.")] = False,
    json: Json = False,
) -> None:
    """Estimated LUT, DSP, FF, BRAM, clock cycles and II, with their bands where known.

    Example: nacsr cost "x0*x1 + 0.5" --target vu9p --clock-mhz 320
    """
    from nacsr.compiler import compile as compile_source

    design = compile_source(
        source[0] if len(source) == 1 else source,
        to=to,
        target=target,
        clock_mhz=clock_mhz,
        precision=precision,
        max_error=max_error,
        ranges=parse_ranges(range_),
        luts=luts,
        lut=parse_lut(lut),
        row=row,
    )
    if calibration is not None:
        design = replace(design, calibration=Calibration.load(calibration))
    where = design.setting
    device = find_target(where.target)
    found = design.cost()
    measurements = found.measurements(device, where.clock_mhz, design.graph.digest)
    if json:
        print_json([m.to_dict() for m in measurements])
        return
    shown = Table(title=f"{design.flow} on {device.part} at {where.clock_mhz:g} MHz")
    for name in ("metric", "estimate", "band", "share of device"):
        shown.add_column(name, justify="right")
    for m in measurements:
        capacity = device.capacity(m.metric)
        share = "" if capacity is None else f"{100 * m.value / capacity:.3f} %"
        band = "" if m.error is None else f"± {m.error:,.0f}"
        shown.add_row(m.metric, f"{m.value:,.0f}", band, share)
    console = Console()
    console.print(shown)
    console.print(f"Method: {measurements[0].method}, stage: {measurements[0].stage}.")
    if found.calibration:
        console.print(f"Refitted by calibration {found.calibration}; the breakdown by op is not.")
    for text in measured(source[0]) if len(source) == 1 else ():
        console.print(f"Measured:{text}", highlight=False)
    if by_op:
        console.print(_by_op(found))


def _by_op(found: Cost) -> Table:
    if found.stage == "rtl":
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
