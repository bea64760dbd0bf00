"""nacsr sweep: results per bit width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nacsr.cli.options import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nacsr.entry import Entry
    from nacsr.study import Study
    from nacsr.sweep import Arithmetic, Point


def sweep(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Run folders (the expressions of their fronts), or RUN:ID.", metavar="RUN[:ID]..."
        ),
    ],
    widths: Annotated[str, typer.Option(help="Total bits: 8..18, or 8,10,12.")] = "8..18",
    integer: Annotated[int, typer.Option(help="Integer bits, sign included.")] = 6,
    max_error: Annotated[
        list[float] | None,
        typer.Option(help="Besides: types chosen for the least cost at this proven error."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only so many of each front, the most accurate.")
    ] = None,
    events: Annotated[
        str, typer.Option(help="Whom to ask: validation, which selects, or test.")
    ] = "validation",
    stage: Annotated[
        str, typer.Option(help="What the hardware numbers speak of: csynth or rtl.")
    ] = "csynth",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; 'sweep' in the first run if left.")
    ] = None,
    json: Json = False,
) -> None:
    """Expressions of runs at many bit widths: bit-true quality, LUT, DSP, FF, cycles.

    Writes sweep.csv as it goes, and the figure sweep.png and sweep.svg.

    Example: nacsr sweep runs/jets --widths 8..18 --integer 6
    Example: nacsr sweep runs/jets:3fa2 --max-error 0.1 --max-error 0.01 --stage rtl
    Example: nacsr sweep runs/poly runs/trig runs/exp --top 1 --out runs/published
    """
    from rich.console import Console
    from rich.progress import track

    from nacsr.errors import SpecError
    from nacsr.report.sweep import figure, sheet, table
    from nacsr.report.table import console as wide
    from nacsr.sweep import arithmetics, check, read_widths

    settings = arithmetics(read_widths(widths), integer, max_error or ())
    check(events, stage)
    chosen = [_open(source, top) for source in sources]
    tasks = {study.prepared.problem.task for study, _, _ in chosen}
    if len(tasks) > 1:
        msg = f"runs of one task can be compared, not of {' and '.join(sorted(tasks))}"
        raise SpecError(msg)
    work = [_points(*run, settings, events, stage, several=len(chosen) > 1) for run in chosen]
    total = len(settings) * sum(len(entries) for _, _, entries in chosen)
    folder = out or chosen[0][0].out / "sweep"
    console, bar = wide(stderr=json), Console(stderr=True)
    found: list[Point] = []
    stopped = False
    with sheet(folder / "sweep.csv") as write:
        try:
            made = (point for points in work for point in points)
            for point in track(
                made, "precision sweep", total, console=bar, disable=not bar.is_terminal
            ):
                write(point)
                found.append(point)
        except KeyboardInterrupt:
            stopped = True
    if found:
        names = ", ".join(dict.fromkeys(study.spec.name for study, _, _ in chosen))
        figure(found, f"{names}: precision of expressions", folder / "sweep")
    if json:
        print_json([point.to_dict() for point in found])
    elif found:
        console.print(table(found))
    if stopped:
        console.print(f"Stopped; {len(found)} of {total} points are in {folder}")
        raise typer.Exit(130)
    console.print(f"Written: {folder} (sweep.csv, sweep.png, sweep.svg)")


def _open(source: str, top: int | None) -> tuple[Study, list[Entry], list[Entry]]:
    """A run, its front, and which of its designs to sweep, the most accurate first.

    Raises:
        ArchiveError: if there is no such run or design.
        SpecError: if no expression is on the front.
    """
    from nacsr.errors import SpecError
    from nacsr.study import Study, is_run
    from nacsr.sweep import best_formulas

    run, _, id_ = (source, "", "") if is_run(Path(source)) else source.rpartition(":")
    study = Study.resume(run or source)
    with study.archive as archive:
        front = study.front()
        if id_:
            return study, front, [archive.entry(id_)]
    chosen = best_formulas(front, study.prepared.problem.judged_as)
    if not chosen:
        msg = f"{run}: no expression is on the front; give one by its id, as {run}:ID"
        raise SpecError(msg)
    return study, front, chosen[:top]


def _points(
    study: Study,
    front: list[Entry],
    entries: list[Entry],
    settings: tuple[Arithmetic, ...],
    events: str,
    stage: str,
    *,
    several: bool,
) -> Iterator[Point]:
    """The points of one run, to be measured one by one; of several, ids begin with the run's."""
    from nacsr.measure import QUALITY
    from nacsr.sweep import Formulas, best_network, points

    problem = study.prepared.problem
    run = f"{study.out.name}:" if several else ""
    return points(
        [Formulas.of(entry, problem, f"{run}{entry.id}") for entry in entries],
        problem,
        study.prepared.test if events == "test" else problem.validation,
        settings,
        events_are=events,
        stage=stage,
        network=best_network(front, QUALITY[problem.judged_as][0], events),
    )
