"""nacsr complexities: what operators cost, for searches on one complexity such as PySR's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nacsr.cli.options import Json, Precision, print_json

if TYPE_CHECKING:
    from nacsr.cost import OperatorCost

OPERATORS = "add,sub,mul,min,max,abs,square"


def complexities(
    precision: Precision = "16,6",
    impl: Annotated[
        str, typer.Option(help="lut: our tables. math: hls_math functions, as measured at 200 MHz.")
    ] = "lut",
    target: Annotated[str, typer.Option(help="Device ('nacsr targets').")] = "vu9p",
    clock: Annotated[
        float, typer.Option("--clock", "--clock-mhz", help="Clock in MHz of operators and tables.")
    ] = 200.0,
    operators: Annotated[
        str, typer.Option(help="Operators, with commas; greater, cond and select are others.")
    ] = OPERATORS,
    functions: Annotated[
        str | None,
        typer.Option(help="Functions ('nacsr luts'), with commas; all that are known if left."),
    ] = None,
    dir: Annotated[
        Path | None, typer.Option("--dir", help="A folder of your own LUT functions, *.toml.")
    ] = None,
    json: Json = False,
) -> None:
    """Clock cycles of every operator, and the arguments of PySRRegressor that search on them.

    A search that knows what operators cost finds formulas that are as accurate in fewer clock
    cycles. In a study, complexities: cycles<16,6> means this table at <16,6>, and
    implementation: math the cycles of HLS functions instead of tables.

    Example: nacsr complexities --precision 16,6 --impl math
    Example: nacsr complexities --precision "fixed<12,6>" --impl lut --functions sin,exp
    """
    from nacsr.errors import SpecError
    from nacsr.fixed import Fixed
    from nacsr.frontends.symbolic.engines import complexities as costs
    from nacsr.luts import lut_functions

    luts, at = lut_functions(dir), Fixed.parse(precision)
    wanted = _list(operators)
    given = _list(functions) if functions is not None else list(luts)
    if impl == "math" and functions is None:
        given = [f for f in given if costs.measured(f, luts)]
    if not wanted and not given:
        msg = "complexities: there are neither operators nor functions; give --operators add,mul"
        raise SpecError(msg)
    rows = costs.table(wanted, given, at, clock, target, impl, luts)
    cycles = costs.complexities("auto", wanted, given, at, clock, target, impl, luts)
    if json:
        print_json(
            [
                {"operator": name, "cycles": cycles[name], **_figures(name, cost, impl)}
                for name, cost in rows.items()
            ]
        )
        return
    _show(f"{impl} at <{at.width},{at.integer}>, {target}, {clock:g} MHz", rows, cycles, impl)
    typer.echo("\nPySRRegressor(")
    for line in costs.pysr_text(cycles, wanted, given).splitlines():
        typer.echo(f"    {line}")
    typer.echo(")")


def _list(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _figures(name: str, cost: OperatorCost, impl: str) -> dict[str, float | None]:
    """Delay in ns, LUTs and DSPs; of functions of HLS only the cycles are known."""
    from nacsr.frontends.symbolic.language.expr import OPERATORS as BASE

    if impl == "math" and name not in BASE:
        return {"delay_ns": None, "luts": None, "dsps": None}
    return {"delay_ns": round(cost.delay_ns, 3), "luts": round(cost.luts), "dsps": cost.dsps}


def _show(title: str, rows: dict[str, OperatorCost], cycles: dict[str, int], impl: str) -> None:
    from rich.table import Table

    from nacsr.report.table import console

    shown = Table(title=f"Complexities: {title}")
    shown.add_column("operator")
    for column in ("cycles", "delay ns", "LUT", "DSP"):
        shown.add_column(column, justify="right")
    for name, cost in rows.items():
        figures = _figures(name, cost, impl).values()
        shown.add_row(name, str(cycles[name]), *("" if f is None else f"{f:g}" for f in figures))
    console().print(shown)
