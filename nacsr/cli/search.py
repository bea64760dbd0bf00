"""nacsr run: the main job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nacsr.cli.options import Json, print_json


def run(
    spec: Annotated[Path, typer.Argument(help="A study file (YAML), or a run folder to resume.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/<name of the study> if left.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the study's seed.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="quick, default or thorough, instead of the study's.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; one a core if left. 0: no subprocess.")
    ] = None,
    json: Json = False,
) -> None:
    """Search both families, emit and verify the front, write the report.

    The same command goes on where an interrupted run stopped; Ctrl-C loses only the jobs in
    flight. The result depends on the study and its seed alone, not on the number of workers.

    Example: nacsr run examples/jets.yaml --budget quick --out runs/first
    """
    from nacsr.cli.progress import Progress
    from nacsr.compiler import setting_of
    from nacsr.errors import SpecError
    from nacsr.report import write
    from nacsr.report.rows import absent, rows
    from nacsr.report.table import console as wide
    from nacsr.report.table import table
    from nacsr.spec import StudySpec, load_spec
    from nacsr.study import Study, default_out, is_run

    if is_run(spec):
        if (out, seed, budget) != (None, None, None):
            msg = "a run folder keeps its own study; for another give the study file and --out"
            raise SpecError(msg)
        study = Study.resume(spec)
    else:
        given = {"seed": seed, "budget": budget}
        changes = {name: value for name, value in given.items() if value is not None}
        wanted = StudySpec.from_mapping(load_spec(spec).model_dump() | changes, "options")
        study = Study(wanted, out or default_out(wanted), base=spec.parent)
    console = wide(stderr=json)
    try:
        with Progress(study, Console(stderr=True)) as progress:
            front = study.run(workers, progress)
    except KeyboardInterrupt:
        console.print(f"Stopped; finished work is kept. Go on with: nacsr run {study.out}")
        raise typer.Exit(130) from None
    setting = setting_of(study.archive)
    shown = rows(front, setting)
    write.report(study.archive, study.spec, shown, study.out)
    if json:
        print_json([row.to_dict() for row in shown])
        return
    console.print(table(shown, setting.classes, absent(study.archive, shown)))
    place = os.path.relpath(study.out)
    console.print(f"Run folder: {place} (report.html, front.png, designs/, archive.sqlite)")
