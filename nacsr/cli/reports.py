"""nacsr ingest and nacsr calibrate: results of the user's own vendor tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nacsr.cli.options import Json, print_json

if TYPE_CHECKING:
    from nacsr.measure import Measurement
    from nacsr.synthesis.ingest import Ingested


def ingest(
    reports: Annotated[
        Path,
        typer.Argument(help="Folder with reports of Vitis HLS or Vivado, at any depth, or one."),
    ],
    design: Annotated[
        str | None,
        typer.Option(help="RUN:ID or an emitted project; the project they lie in if left."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Although top, part or clock differ; numbers say so.")
    ] = False,
    json: Json = False,
) -> None:
    """Attach results that were made elsewhere to the design that they are of.

    Reads csynth (.xml or .rpt), utilisation, timing and co-simulation reports of releases 2018.2
    to 2025. They must be of the design's top function, part and clock. Doing it again changes
    nothing.

    Example: nacsr ingest my_trigger
    Example: nacsr ingest /scratch/build_7 --design runs/jets:3fa29b1c77d0
    """
    found = _ingested(reports, design, force)
    if json:
        records = [m.to_dict() for m in found.measurements]
        print_json({"design": found.name, "notes": found.notes, "measurements": records})
        return
    for m in found.measurements:
        typer.echo(line(m))
    for note in found.notes:
        typer.echo(f"Note: {note}")
    what = "Known already" if found.known else f"{len(found.measurements)} measurements attached"
    typer.echo(f"{what}: {found.name}, in {found.where}")


def _ingested(reports: Path, design: str | None, force: bool) -> Ingested:
    from nacsr.compiler import run_and_id
    from nacsr.errors import SpecError
    from nacsr.synthesis.ingest import into_project, into_run, project_of

    named = run_and_id(design) if design is not None else None
    if named is not None:
        return into_run(*named, reports, force)
    folder = project_of(reports) if design is None else Path(design)
    if folder is None:
        msg = f"{reports} lies in no emitted project; say with --design RUN:ID what it is of"
        raise SpecError(msg)
    return into_project(folder, reports, force)


def calibrate(
    reports: Annotated[
        list[Path],
        typer.Argument(help="Run folders, emitted projects with reports, or folders of these."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("calibration.json"),
    json: Json = False,
) -> None:
    """Refit the estimates' factors and bands to the reports of your own tools.

    Takes five designs or more of a flow (hls, hls4ml, rtl) and kind (network, expression). A
    study uses the file with the key 'calibration', 'nacsr cost' with --calibration.

    Example: nacsr calibrate runs/jets runs/jets/designs --out vitis_2023.json
    """
    from rich.table import Table

    from nacsr.cost.calibration import fit
    from nacsr.report.table import console
    from nacsr.synthesis.pairs import pairs

    found, without = pairs(reports)
    made = fit(found)
    made.save(out)
    if json:
        from json import loads

        print_json(loads(made.to_json()))
        return
    tools = ", ".join(sorted({tool for row in made.rows for tool in row.tools}))
    shown = Table(title=f"Calibration {made.digest}: reports of {tools}")
    columns = ("flow", "kind", "estimate of", "reports of", "metric", "factor", "band", "designs")
    for name in columns:
        shown.add_column(name)
    for r in made.rows:
        band = f"± {100 * r.relative:.1f} %, at least {r.least:g}"
        cells = (r.flow, r.kind, r.of, r.stage, r.metric, f"{r.factor:.3f}", band, str(r.n))
        shown.add_row(*cells)
    console().print(shown)
    for text in (*without, *(f"Too few: {few}" for few in made.too_few)):
        typer.echo(f"Note: {text}")
    typer.echo(f"Written to {out}; name it in a study with 'calibration: {out}'")


def measured(source: str) -> list[str]:
    """What reports attached to an emitted project say, a line each; none for other sources."""
    from nacsr.emit.project import is_project
    from nacsr.synthesis.ingest import stored

    return [line(m) for m in stored(Path(source))] if is_project(Path(source)) else []


def line(m: Measurement) -> str:
    """A measurement with where it comes from."""
    origin = ", ".join(t for t in (m.method, m.stage, m.tool, m.target, m.flags) if t)
    return f"  {m.metric:16} {m.value:.6g}  ({origin})"
