"""nacsr synth: a design through a synthesis tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from nacsr.cli.options import Clock, HallRow, Json, Precision, TargetName, print_json
from nacsr.cli.source import SOURCE, Lut, Luts, MaxError, Range, design_of
from nacsr.measure import METRICS
from nacsr.synthesis.base import LIMIT_S
from nacsr.targets import target as find_target

if TYPE_CHECKING:
    from nacsr.design import Design
    from nacsr.synthesis import Synthesis


def synth(
    source: Annotated[list[str], typer.Argument(help=SOURCE)],
    tool: Annotated[str, typer.Option(help="Who synthesises; 'nacsr doctor' lists them.")] = (
        "yosys"
    ),
    stage: Annotated[
        str | None, typer.Option(help="What the numbers are to speak of, of a vendor's tool.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep sources, script and log in this new folder.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that the tool may take.")] = LIMIT_S,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run even if the result is known; keep nothing.")
    ] = False,
    target: TargetName = None,
    clock_mhz: Clock = None,
    precision: Precision = "16,6",
    max_error: MaxError = None,
    range_: Range = None,
    luts: Luts = None,
    lut: Lut = None,
    row: HallRow = None,
    json: Json = False,
) -> None:
    """Synthesise a design and measure it: LUT, FF, DSP, clock cycles, II.

    With yosys (the default; open) the design's Verilog is written, simulated against the
    interpreter and mapped to UltraScale+. LUTs and FFs are Yosys' own, with their band against
    Vivado; products are counted by the rule that Vivado follows; clock cycles are those of the
    simulation. There is no fmax: that takes a vendor's tool.

    The numbers of a design of a run go into its archive, where 'nacsr front --method yosys' ranks
    by them. Results are kept by what they depend on (sources, tool, version, flags, part), so the
    same design is synthesised once. --out shows what the tool was given and what it said.

    Exit code 1 if a simulated word differs from the interpreter's.

    Example: nacsr synth "0.3*x0*sin(2*x1) - 0.8" --target vu9p
    Example: nacsr synth runs/jets:3fa2 --out synthesised --limit 1200
    """
    from nacsr.compiler import run_and_id
    from nacsr.emit.project import is_project, load
    from nacsr.errors import SpecError
    from nacsr.synthesis import synthesise
    from nacsr.synthesis.ingest import keep

    design = design_of(
        source,
        target=target,
        clock_mhz=clock_mhz,
        precision=precision,
        max_error=max_error,
        range_=range_,
        luts=luts,
        lut=lut,
        row=row,
    )
    folder = Path(source[0])
    if len(source) == 1 and is_project(folder) and (edited := load(folder).edited):
        msg = (
            f"{folder}: {', '.join(edited)} edited since they were emitted, and synth emits the "
            "design anew, so edits would not be measured; run the project's own scripts and "
            "attach the reports with 'nacsr ingest --force', or emit it again"
        )
        raise SpecError(msg)
    bar = Console(stderr=True)
    with bar.status(f"{tool}: synthesis, at most {limit:.0f} s"):
        found = synthesise(design, tool, stage=stage, folder=out, limit_s=limit, cache=not no_cache)
    place = run_and_id(source[0]) if len(source) == 1 else None
    elsewhere = target is not None or clock_mhz is not None
    if place is not None and not elsewhere:  # the run's own device and clock
        keep(*place, found.measurements)
    if json:
        print_json([m.to_dict() for m in found.measurements])
    else:
        _show(found, design)
    wrong = found.find("mismatches")
    if wrong is not None and wrong.value:
        raise typer.Exit(1)


def _show(found: Synthesis, design: Design) -> None:
    """The table of what was measured, and what a reader should know."""
    device = find_target(design.setting.target)
    shown = Table(title=f"{found.version} on {found.measurements[0].target}")
    for name in ("metric", "value", "band", "share of device", "by"):
        shown.add_column(name, justify="left" if name == "by" else "right", overflow="fold")
    for m in found.measurements:
        capacity = device.capacity(m.metric)
        share = "" if capacity is None else f"{100 * m.value / capacity:.3f} %"
        band = "" if m.error is None else "exact" if not m.error else f"± {m.error:,.0f}"
        digits = 0 if float(m.value).is_integer() else 1
        value = f"{m.value:,.{digits}f} {METRICS[m.metric].unit}".strip()
        shown.add_row(m.metric, value, band, share, f"{m.tool}, stage {m.stage}")
    console = Console()
    console.print(shown)
    for note in found.notes:
        console.print(note, highlight=False)
    told = dict.fromkeys(m.flags for m in found.measurements if m.metric in ("luts", "ffs"))
    for line in told:
        console.print(f"Flags: {line}", highlight=False, style="dim")
    took = f"The tool took {found.seconds:.1f} s"
    when = ", in an earlier run whose result was kept." if found.cached else "."
    console.print(took + when, highlight=False)
    if found.folder is not None:
        console.print(f"Sources, script and log: {found.folder}", highlight=False)
