"""nacsr compile, verify and cost: the compiler on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nacsr.cli.options import Clock, HallRow, Json, Precision, TargetName, print_json
from nacsr.compiler import from_project
from nacsr.cost import Cost
from nacsr.design import Design
from nacsr.targets import target as find_target

SOURCE = (
    "An expression such as 'sin(x0)*x1', several (one an output), a hall_of_fame.csv, or RUN:ID."
)


def _design(
    source: list[str],
    to: str | None,
    target: str | None,
    clock_mhz: float | None,
    precision: str,
    row: int | None,
) -> Design:
    from nacsr.compiler import compile as compile_source

    one_or_more: str | list[str] = source[0] if len(source) == 1 else source
    design = compile_source(one_or_more, to=to, precision=precision, row=row)
    return design.moved(target, clock_mhz)


def compile(
    source: Annotated[list[str], typer.Argument(help=SOURCE)],
    out: Annotated[Path, typer.Option(help="Folder of the project to write.")],
    to: Annotated[str | None, typer.Option(help="Back end: hls or hls4ml.")] = None,
    target: TargetName = None,
    clock_mhz: Clock = None,
    precision: Precision = "16,6",
    row: HallRow = None,
) -> None:
    """Compile a source to a self-contained project that a vendor tool can synthesise.

    Variables are input words of the given precision (scaling is external); a design of a run
    keeps its own words, device and clock.

    Example: nacsr compile "0.3*x0*sin(2*x1) - 0.8" --to hls --target vu9p --out my_trigger
    """
    design = _design(source, to, target, clock_mhz, precision, row)
    folder = design.emit(out)
    typer.echo(f"{design.flow} project of {design.title} in {folder}")
    typer.echo(
        f"Inputs: {', '.join(f'{f.name} {f.type.plain()}' for f in design.setting.features)}"
    )
    typer.echo(f"Check it bit for bit with: nacsr verify {folder}")


def verify(
    folder: Annotated[Path, typer.Argument(help="An emitted project.")],
    events: Annotated[
        int | None, typer.Option(min=1, help="Random events instead of the shipped vectors.")
    ] = None,
    json: Json = False,
) -> None:
    """Compile a project with g++ and compare every output word with the interpreter.

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
        if result.mismatches:
            typer.echo(result.first)
        if result.edited:
            typer.echo(f"Edited since it was emitted: {', '.join(result.edited)}")
    if result.mismatches:
        raise typer.Exit(1)


def cost(
    source: Annotated[list[str], typer.Argument(help=SOURCE + " Or an emitted project.")],
    to: Annotated[str | None, typer.Option(help="Back end whose cost is meant.")] = None,
    target: TargetName = None,
    clock_mhz: Clock = None,
    precision: Precision = "16,6",
    row: HallRow = None,
    by_op: Annotated[bool, typer.Option("--by-op", help="One line an operation.")] = False,
    json: Json = False,
) -> None:
    """Estimated LUT, DSP, FF, BRAM, clock cycles and II, with their bands.

    Example: nacsr cost "x0*x1 + 0.5" --target vu9p --clock-mhz 320
    """
    from nacsr.emit.project import is_project

    if len(source) == 1 and is_project(Path(source[0])):
        design = from_project(Path(source[0])).moved(target, clock_mhz)
    else:
        design = _design(source, to, target, clock_mhz, precision, row)
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
    if by_op:
        console.print(_by_op(found))


def _by_op(found: Cost) -> Table:
    shown = Table(title="By operation: the cycle and time at which its value is there")
    for name in ("value", "op", "LUT", "DSP", "FF", "BRAM18", "cycle", "ns"):
        shown.add_column(name, justify="right")
    for r in found.rows:
        numbers = (r.luts, r.dsps, r.ffs, r.brams, r.cycle)
        shown.add_row(f"%{r.index}", r.name, *(f"{n:,}" for n in numbers), f"{r.ns:.2f}")
    return shown
