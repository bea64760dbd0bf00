"""nacsr luts, targets and doctor: what there is to work with."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nacsr.cli.options import Json, print_json

PACKAGES = ("nacsr", "numpy", "torch", "brevitas", "pymoo", "hls4ml", "sympy", "pysr")


Folder = Annotated[
    Path | None, typer.Option("--dir", help="A folder of your own LUT functions, *.toml.")
]


def luts(dir: Folder = None, json: Json = False) -> None:
    """The LUT functions: how each is computed, its types, table entries and true maximum error."""
    from nacsr.luts import lut_functions
    from nacsr.report.table import console

    found = [
        {
            "name": f.name,
            "form": str(f.form),
            "domain": str(f.domain),
            "value": str(f.value),
            "entries": f.entries,
            "max_error": f.max_error(),
            "about": f.about,
        }
        for f in lut_functions(dir).values()
    ]
    if json:
        print_json(found)
        return
    shown = Table(title="LUT functions: the table a model trains with is the table in the firmware")
    for name in ("name", "form", "domain", "value", "entries", "max error", "about"):
        shown.add_column(name, overflow="fold")
    for row in found:
        cells = [str(v) if not isinstance(v, float) else f"{v:.4g}" for v in row.values()]
        shown.add_row(*cells)
    console().print(shown)


def targets(json: Json = False) -> None:
    """The devices, their part numbers and capacities."""
    from nacsr.targets import TARGETS

    if json:
        print_json([asdict(t) for t in TARGETS.values()])
        return
    shown = Table(title="Targets")
    for name in ("name", "part", "LUT", "DSP", "FF", "BRAM18", "SLRs"):
        shown.add_column(name, justify="right")
    for t in TARGETS.values():
        numbers = (t.luts, t.dsps, t.ffs, t.brams, t.slrs)
        shown.add_row(t.name, t.part, *(f"{n:,}" for n in numbers))
    Console().print(shown)


def doctor(json: Json = False) -> None:
    """What works here: packages, compiler, Julia, vendor tools, and what to do about the rest."""
    from nacsr.errors import NacsrError
    from nacsr.frontends.symbolic.engines.pysr import julia
    from nacsr.tools import gxx, headers, iverilog, verilator, vitis, vivado, yosys

    checks: list[dict[str, str]] = [
        {"what": "python", "state": "ok", "detail": sys.version.split()[0]}
    ]
    for name in PACKAGES:
        try:
            checks.append({"what": name, "state": "ok", "detail": version(name)})
        except PackageNotFoundError:
            detail = f"not installed; pip install {name}"
            checks.append({"what": name, "state": "missing", "detail": detail})
    for what, probe, needed in (
        ("g++", gxx.version, True),
        ("ap_types headers", lambda: str(headers.ap_types().name), True),
        ("iverilog (simulates Verilog)", iverilog.version, False),
        ("Verilator (simulates Verilog)", verilator.version, False),
        ("Yosys (nacsr synth)", yosys.version, False),
        ("Julia (engine: pysr)", julia, False),
        ("pyoperon (engine: operon)", _operon, False),
        ("Vitis HLS", vitis.version, False),
        ("Vivado", vivado.version, False),
    ):
        try:
            checks.append({"what": what, "state": "ok", "detail": probe()})
        except NacsrError as error:
            state = "missing" if needed else "optional"
            checks.append({"what": what, "state": state, "detail": str(error)})
    if json:
        print_json(checks)
    else:
        shown = Table(title="nacsr doctor")
        for name in ("what", "state", "detail"):
            shown.add_column(name, overflow="fold")
        for check in checks:
            shown.add_row(*check.values())
        Console().print(shown)
    if any(c["state"] == "missing" for c in checks):
        raise typer.Exit(2)


def _operon() -> str:
    from nacsr.errors import ToolError

    try:
        return version("pyoperon")
    except PackageNotFoundError:
        msg = "not installed; pip install nacsr[operon]"
        raise ToolError(msg) from None
