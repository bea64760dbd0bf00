"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
TargetName = Annotated[
    str | None,
    typer.Option("--target", help="Device ('nacsr targets'); the design's own, or vu13p, if left."),
]
Clock = Annotated[
    float | None,
    typer.Option("--clock-mhz", help="Clock in MHz; the design's own, or 200, if left."),
]
Precision = Annotated[
    str, typer.Option("--precision", help="Working type of expressions: W,I or fixed<W,I>.")
]
HallRow = Annotated[
    int | None,
    typer.Option("--row", help="Row of a hall of fame, by complexity; the most accurate if left."),
]


def print_json(value: Any) -> None:
    """Write JSON to stdout."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")
