"""The typer application, and how errors reach the user: one line on stderr, exit code 2."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nacsr.cli import build, complexities, cost, info, inspect, reports, search, sweep, synth
from nacsr.errors import NacsrError
from nacsr.measure import tool_name

app = typer.Typer(
    help=(
        "One Pareto front of neural networks and closed-form expressions for FPGA triggers.\n\n"
        "A study file goes in (nacsr run); a front comes out whose every design is emitted as "
        "an HLS project and checked bit for bit."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(tool_name())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


app.command()(search.run)
app.command()(inspect.front)
app.command()(inspect.show)
app.command()(sweep.sweep)
app.command()(build.compile)
app.command()(build.verify)
app.command()(cost.cost)
app.command()(synth.synth)
app.command()(reports.ingest)
app.command()(reports.calibrate)
app.command()(complexities.complexities)
app.command()(info.luts)
app.command()(info.targets)
app.command()(info.doctor)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except NacsrError as error:
        sys.stderr.write(f"nacsr: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"nacsr: {where}{error.strerror or error}\n")
        sys.exit(2)
