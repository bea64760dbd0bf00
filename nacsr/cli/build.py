"""nacsr compile and verify: the compiler on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nacsr.cli.options import Clock, HallRow, Json, Precision, TargetName, print_json
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
from nacsr.emit import FLOWS


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
    io: Io = None,
    strategy: Strategy = None,
    reuse: Reuse = None,
) -> None:
    """Compile a source to a self-contained project that a vendor tool can synthesise.

    Variables are input words of the given precision (scaling is external); a design of a run
    keeps its own words, device and clock.

    Example: nacsr compile "0.3*x0*sin(2*x1) - 0.8" --to rtl --target vu9p --out my_trigger
    Example: nacsr compile "gauss(x0)*x1" --max-error 1e-3 --range x0=-4:4 --out my_trigger
    Example: nacsr compile model.json --precision 12,4 --to rtl --out my_trees
    """
    design = design_of(
        source,
        to=to,
        precision=precision,
        max_error=max_error,
        range_=range_,
        luts=luts,
        lut=lut,
        row=row,
        target=target,
        clock_mhz=clock_mhz,
        options=layer_options(io, strategy, reuse),
    )
    folder = design.emit(out)
    typer.echo(f"{design.flow} project of {design.title} in {folder}")
    typer.echo(
        f"Inputs: {', '.join(f'{f.name} {f.type.plain()}' for f in design.setting.features)}"
    )
    clipped = ", ".join(f"{n} clipped to [{a:g}, {b:g})" for n, (a, b) in design.ranges.items())
    for port, bound in design.bounds.items():
        typer.echo(
            f"Proven: {port} is within {bound:.3g} of the exact value for every input word"
            + (f", {clipped}" if clipped else "")
        )
    typer.echo(f"Check it bit for bit with: nacsr verify {folder}")


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
