"""The typer application, and how errors reach the user: one line on stderr, exit code 2."""

from __future__ import annotations

import sys

import typer

from nacsr.cli import build, info, inspect, search
from nacsr.errors import NacsrError

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
app.command()(search.run)
app.command()(inspect.front)
app.command()(inspect.show)
app.command()(build.compile)
app.command()(build.verify)
app.command()(build.cost)
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
