"""nacsr run: the main job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nacsr.cli.options import Json, print_json

if TYPE_CHECKING:
    from nacsr.campaign import Campaign, Result
    from nacsr.report.measured import OpenFront
    from nacsr.report.rows import Row
    from nacsr.study import Study
    from nacsr.sweep import Point


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
    """Search all families, emit and verify the front, write the report.

    The same command goes on where an interrupted run stopped; Ctrl-C loses only the jobs in
    flight. The result depends on the study and its seed alone, not on the number of workers.

    A file with variants of a study runs every one, then the best formulas of each at many bit
    widths, and compares them in a table and figures.

    Example: nacsr run examples/jets.yaml --budget quick --out runs/first
    Example: nacsr run examples/sr_on_fpga.yaml
    """
    from nacsr.campaign import Campaign
    from nacsr.errors import SpecError
    from nacsr.spec import CampaignSpec, StudySpec, load_study
    from nacsr.study import Study, default_out, is_run

    if is_run(spec):
        if (out, seed, budget) != (None, None, None):
            msg = "a run folder keeps its own study; for another give the study file and --out"
            raise SpecError(msg)
        _study(Study.resume(spec), workers, json)
        return
    given = {"seed": seed, "budget": budget}
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = load_study(spec)
    if isinstance(wanted, CampaignSpec):
        variants = wanted.changed(**changes)
        folder = out or Path("runs") / wanted.name
        options = "".join(f" --{name} {value}" for name, value in changes.items())
        again = f"nacsr run {spec} --out {os.path.relpath(folder)}{options}"
        _campaign(Campaign(variants, folder, base=spec.parent), again, workers, json)
        return
    study = StudySpec.from_mapping(wanted.model_dump() | changes, "options")
    _study(Study(study, out or default_out(study), base=spec.parent), workers, json)


def _study(study: Study, workers: int | None, json: bool) -> None:
    from nacsr.cli.progress import Progress
    from nacsr.compiler import setting_of
    from nacsr.errors import SpecError
    from nacsr.report import measured
    from nacsr.report.findings import findings
    from nacsr.report.table import console as wide
    from nacsr.report.table import table

    console = wide(stderr=json)
    try:
        with Progress(study, Console(stderr=True)) as progress:
            study.run(workers, progress)
    except KeyboardInterrupt:
        console.print(f"Stopped; finished work is kept. Go on with: nacsr run {study.out}")
        raise typer.Exit(130) from None
    shown, opened = _reported(study)
    said = findings(study.archive, study.spec, shown)
    if json:
        print_json([row.to_dict() for row in shown])
    else:
        console.print(table(shown, setting_of(study.archive).classes, said))
        console.print(measured.table(opened))
        place = os.path.relpath(study.out)
        console.print(f"Run folder: {place} (report.html, front.png, designs/, archive.sqlite)")
    if not shown:
        msg = f"the front is empty. {' '.join(said)} Raise the limits that are named, or others"
        raise SpecError(msg)


def _reported(study: Study) -> tuple[list[Row], OpenFront]:
    """The rows of a finished study's front and open synthesis, after its report is written."""
    from nacsr.compiler import setting_of
    from nacsr.report import write
    from nacsr.report.rows import rows

    shown = rows(study.front(), setting_of(study.archive))
    return shown, write.report(study.archive, study.spec, shown, study.out)


def _campaign(campaign: Campaign, again: str, workers: int | None, json: bool) -> None:
    from nacsr.report import campaign as report
    from nacsr.report.table import console as wide

    console = wide(stderr=json)
    try:
        results = _variants(campaign, workers)
        points = _precision(campaign, results)
    except KeyboardInterrupt:
        console.print(f"Stopped; finished work is kept. Go on with: {again}")
        raise typer.Exit(130) from None
    shown = report.designs(results)
    found = report.summaries(results, shown, points)
    files = report.write(found, shown, points, campaign.spec.name, campaign.out)
    if json:
        print_json([summary.to_dict() for summary in found])
    else:
        console.print(report.table(found))
        names = ", ".join([*(path.name for path in files), *(["sweep.csv"] if points else [])])
        console.print(f"Written: {os.path.relpath(campaign.out)} ({names}; a run folder a variant)")
    if any(result.reason for result in results):
        raise typer.Exit(2)


def _variants(campaign: Campaign, workers: int | None) -> list[Result]:
    """Run every variant, and write the report of each as it ends."""
    from nacsr.cli.progress import Progress

    bars = Console(stderr=True)

    def watch(name: str, study: Study) -> Progress:
        bars.print(f"variant {name}", highlight=False)
        return Progress(study, bars)

    results = []
    for result in campaign.run(workers, watch):
        results.append(result)
        if result.study is None:
            bars.print(f"variant {result.name} failed: {result.reason}", highlight=False)
        else:
            _reported(result.study)
    return results


def _precision(campaign: Campaign, results: list[Result]) -> list[Point]:
    """Sweep the variants; a point is in the file as soon as it is measured."""
    from rich.progress import track

    from nacsr.report.sweep import sheet

    if campaign.spec.sweep is None:
        return []
    bar, total, points = Console(stderr=True), campaign.expected_points, []
    with sheet(campaign.out / "sweep.csv") as write:
        for point in track(
            campaign.points(results),
            "precision sweep",
            total,
            console=bar,
            disable=not bar.is_terminal,
        ):
            write(point)
            points.append(point)
    return points
