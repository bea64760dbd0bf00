"""nacsr front and nacsr show: what a run found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nacsr.cli.options import Json, Precision, print_json
from nacsr.cli.reports import measured

if TYPE_CHECKING:
    from nacsr.archive import Archive
    from nacsr.design import Design
    from nacsr.entry import Entry
    from nacsr.report.formulas import Formula

Run = Annotated[Path, typer.Argument(help="A run folder.")]


def front(
    run: Run,
    objectives: Annotated[
        str | None, typer.Option(help="Metrics, comma-separated; the study's own if left.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="How hardware numbers were obtained: analytic, yosys, vitis ...")
    ] = "analytic",
    stage: Annotated[
        str | None,
        typer.Option(help="What they speak of: csynth, rtl, vsynth, pnr; that of the method."),
    ] = None,
    instead: Annotated[
        list[str] | None,
        typer.Option(
            "--or", help="METHOD/STAGE for designs without such numbers: this mixes quantities."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """The designs that no other one dominates, of all families.

    Numbers of one method and one stage are compared; --or mixes them, and every row says which.

    Example: nacsr front runs/jets --objectives accuracy,latency_cycles
    Example: nacsr front runs/jets --method yosys --or analytic/rtl
    """
    from nacsr.archive import Archive
    from nacsr.compiler import setting_of
    from nacsr.errors import SpecError
    from nacsr.fronts import limits
    from nacsr.measure import ESTIMATED, USUAL_STAGE, Basis
    from nacsr.report.findings import findings
    from nacsr.report.rows import rows, unknown_to
    from nacsr.report.table import console, table
    from nacsr.study import stored_spec

    first = Basis.checked(method, stage or USUAL_STAGE.get(method, ESTIMATED.stage))
    others = [Basis.parse(text) for text in instead or ()]
    with Archive(run) as archive:
        spec = stored_spec(archive)
        names = objectives.split(",") if objectives else spec.objectives
        names = [n.strip() for n in names]
        found = archive.front(names, *first, limits(spec), others)
        setting = setting_of(archive)
        shown = rows(found, setting, (first, *others), [*names, *limits(spec)])
        said = findings(archive, spec, shown, names)
        if not found and first not in archive.bases():
            known = ", ".join(map(str, archive.bases())) or "none"
            msg = f"{run}: no design has hardware numbers of {first}; it has {known}"
            raise SpecError(msg)
        if not found and (why := unknown_to(archive, names, limits(spec), (first, *others))):
            msg = f"{run}: {why}"
            raise SpecError(msg)
    if json:
        print_json([row.to_dict() for row in shown])
    else:
        console().print(table(shown, setting.classes, said))


def show(
    source: Annotated[
        str, typer.Argument(help="A run folder, an emitted project, or what compile takes.")
    ],
    id: Annotated[
        str | None, typer.Argument(help="A candidate's id, or its beginning, in a run folder.")
    ] = None,
    ir: Annotated[bool, typer.Option("--ir", help="Print the design's IR as text.")] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print an expression design's formulas as LaTeX.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option(help="Draw the design's IR, coloured by its LUTs (.svg, .png or .pdf)."),
    ] = None,
    precision: Precision = "16,6",
    json: Json = False,
) -> None:
    """Everything recorded about one candidate, or the IR of any design, as text or picture.

    Example: nacsr show runs/jets 3fa2 --ir
    Example: nacsr show runs/jets 3fa2 --latex
    Example: nacsr show "0.3*x0*sin(2*x1) - 0.8" --svg formula.svg
    """
    from nacsr.archive import Archive
    from nacsr.errors import SpecError

    if id is None:
        if latex:
            msg = "--latex prints the formulas of a design of a run; give RUN and ID"
            raise SpecError(msg)
        _show_design(source, precision, svg, json)
        return
    with Archive(Path(source)) as archive:
        entry = archive.entry(id)
        formula = _formula(archive, entry)
    if svg is not None:
        from nacsr.compiler import from_run

        _draw(from_run(Path(source), entry.id), svg)
    elif latex and not json:
        if formula is None:
            msg = f"{entry.id} has no formulas that can be read here; choose another design"
            raise SpecError(msg)
        typer.echo(formula.latex())
    elif ir and not json:
        typer.echo(str(entry.graph))
    else:
        _show_entry(entry, formula, ir, json)


def _formula(archive: Archive, entry: Entry) -> Formula | None:
    """The design's formulas for people, if it has any."""
    from nacsr.compiler import setting_of
    from nacsr.report.formulas import described
    from nacsr.study import stored_spec

    if "expressions" not in entry.candidate.genotype:
        return None
    names = [f.name for f in setting_of(archive).features]
    return described([entry], stored_spec(archive), names).get(entry.id)


def _show_design(source: str, precision: str, svg: Path | None, json: bool) -> None:
    from nacsr.compiler import compile, from_project
    from nacsr.emit.project import is_project

    if is_project(Path(source)):
        design = from_project(Path(source))
    else:
        design = compile(source, precision=precision)
    if svg is not None:
        _draw(design, svg)
    elif json:
        print_json({"title": design.title, "flow": design.flow, "ir": str(design.graph)})
    else:
        typer.echo(str(design.graph))
        for text in measured(source):
            typer.echo(f"# measured:{text}")


def _draw(design: Design, out: Path) -> None:
    from nacsr.emit.rtl import prepare
    from nacsr.report.drawing import draw

    cost = design.cost()
    graph = prepare(design.graph, design.period_ns)[0] if design.flow == "rtl" else design.graph
    typer.echo(f"Picture of {design.title}: {draw(graph, cost, out, design.title)}")


def _show_entry(entry: Entry, formula: Formula | None, ir: bool, json: bool) -> None:
    from dataclasses import asdict

    from nacsr.report.formulas import words
    from nacsr.report.references import described as reference_lines

    measurements = [m.to_dict() for m in entry.measurements]
    if json:
        record = {"id": entry.id, **asdict(entry.candidate), "measurements": measurements}
        record |= {} if formula is None else {"formula": formula.to_dict()}
        print_json(record | ({"ir": entry.graph_text} if ir else {}))
        return
    candidate = entry.candidate
    typer.echo(f"{entry.id}  {candidate.family}  seed {candidate.seed}")
    typer.echo(candidate.title)
    known = reference_lines(entry)
    for line in known:
        typer.echo(f"  {line}")
    for name, gene in candidate.genotype.items() if not known else ():
        if name == "tables" and formula is not None:
            continue  # hundreds of integers, which words() sums up
        if isinstance(gene, dict):
            for key, value in gene.items():
                typer.echo(f"  {key} = {value}")
        else:
            typer.echo(f"  {name}: {gene}")
    for line in words(formula) if formula is not None else ():
        typer.echo(f"  {line}")
    if entry.failed:
        typer.echo(f"failed: {entry.failed}")
    for m in entry.measurements:
        error = "" if m.error is None else f" ± {m.error:.4g}"
        name = f"{m.metric} {m.label}".strip()
        origin = ", ".join(t for t in (m.method, m.stage, m.tool, m.target, m.flags) if t)
        typer.echo(f"  {name:16} {m.value:.6g}{error}  ({origin})")
