"""The compiler's front door: a formula, a hall of fame, a Brevitas network or a design of a
study goes in, a ``Design`` comes out, which runs, is costed, emitted and verified."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nacsr.archive import Archive, runs_in
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting, check_place, stored_calibration
from nacsr.emit import FLOWS, default_flow
from nacsr.emit.hls4ml_model import Hls4mlOptions
from nacsr.emit.project import is_project, load
from nacsr.errors import (
    ExpressionError,
    GraphError,
    SpecError,
    unknown,
)
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.reference.trees.models import of_model, package
from nacsr.frontends.reference.trees.read import is_file, read
from nacsr.frontends.symbolic.engines.hall import HallRow, read_hall
from nacsr.frontends.symbolic.language.expr import OPERATORS, Expr, functions, variables
from nacsr.frontends.symbolic.language.parse import ALIASES, names_in, parse
from nacsr.frontends.symbolic.language.show import to_text
from nacsr.frontends.symbolic.lowering.budget import lower_within
from nacsr.frontends.symbolic.lowering.lower import lower
from nacsr.ir import Graph
from nacsr.luts import LutFunc, Settings, lut_functions, refitted

if TYPE_CHECKING:
    from torch.nn import Module

    from nacsr.frontends.neural.lowering.lower import Lowered

CONSTANTS = frozenset({"pi", "e", "E", "inf", "nan", "oo"})
"""Names that a formula's author would mean as numbers."""


_log = logging.getLogger("nacsr")

TARGET, CLOCK_MHZ = "vu13p", 200.0
"""Where a design lives that names no place of its own."""

Source = str | Path | Sequence[str] | Mapping[str, str]
Ranges = Mapping[str, tuple[float, float]]


def compile(
    source: Source | Module | object,
    *,
    to: str | None = None,
    target: str | None = None,
    clock_mhz: float | None = None,
    precision: str = "fixed<16,6>",
    max_error: float | None = None,
    ranges: Ranges | None = None,
    luts: str | Path | Mapping[str, LutFunc] | None = None,
    lut: Settings | None = None,
    input_type: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    row: int | None = None,
    name: str = "trigger",
    options: Hls4mlOptions | None = None,
) -> Design:
    """Compile one source to a design.

    Args:
        source: an expression, several (a list, or a mapping from output names), the path of a
            PySR ``hall_of_fame*.csv``, a fitted model of trees of xgboost or scikit-learn, or a
            file of one (``.json`` of xgboost, ``.json`` or ``.npz`` of ``nacsr.save_trees``),
            ``RUN:ID`` of a study, an emitted project, or a torch module of Brevitas layers.
        to: back end, a key of ``nacsr.emit.FLOWS``; by default hls4ml for networks that it can
            express, hls otherwise.
        target: device; by default the design's own, or vu13p.
        clock_mhz: clock frequency; by default the design's own, or 200.
        precision: type of an expression's input words, and its working precision; of trees the
            words of all inputs, and the width of leaves.
        max_error: largest absolute error of an expression's outputs; every type inside is then
            chosen for the least cost, nothing saturates, and ``Design.bounds`` holds the proven
            bounds. Of trees: of their scores, for the words that arrive.
        ranges: with ``max_error``: (low, high) of inputs by name, in the units of their words.
        luts: a folder of LUT functions besides the shipped ones, or such functions by name.
        lut: ``{"max_error": 1e-3}``, ``{"entries": 64}``, or such settings by function: the
            expression's functions are made anew, as cheap as that allows. (With ``max_error``
            of the outputs every call gets a table of its own.)
        input_type: type of a network's input words; its input quantiser's by default.
        input_shape: torch's shape of a network's input without batch, such as (1, 16, 16).
        row: complexity of the row of a hall of fame; its most accurate row by default.
        name: identifier of the emitted project.
        options: how hls4ml builds the layers, if it is the back end.

    Raises:
        NacsrError: naming what cannot be compiled, and why.

    Inputs of expressions and modules are taken as they are (external scaling).
    """
    check_place(target or TARGET, clock_mhz or CLOCK_MHZ)
    if to is not None and to not in FLOWS:
        raise SpecError(unknown("back end", to, FLOWS))
    if ranges is not None and max_error is None:
        msg = "ranges go with max_error; without it the precision bounds every input"
        raise SpecError(msg)
    if lut and max_error is not None:
        msg = "lut goes without max_error, which gives every call the table that it needs"
        raise SpecError(msg)
    if isinstance(source, str | Path) and (design := _finished(str(source), to, name)):
        given = {"max_error": max_error, "lut": lut, "luts": luts, "row": row}
        if unused := [key for key, value in given.items() if value is not None and value != {}]:
            msg = f"{source} is a finished design; {', '.join(unused)} cannot change it"
            raise SpecError(msg)
        return replace(design.moved(target, clock_mhz), options=options or design.options)
    if _has_trees(source):
        shown = Path(source).name if isinstance(source, str | Path) else type(source).__name__
        extra: dict[str, object] = {"lut": lut, "luts": luts, "row": row, "ranges": ranges}
        if unused := [key for key, value in extra.items() if value is not None and value != {}]:
            msg = f"{shown} holds trained trees; {', '.join(unused)} cannot change them"
            raise SpecError(msg)
        graph, features, bounds = _lower_trees(source, Fixed.parse(precision), max_error)
        classes, title = tuple(n for n, _ in graph.outputs), f"trees of {shown}"
    elif isinstance(source, str | Path | Sequence | Mapping):
        tables = _functions(luts)
        expressions = _read(source, row, tables)
        if lut:
            tables = refitted(tables, lut, functions(expressions.values(), tables))
        graph, features, bounds = _lower_expressions(
            expressions, Fixed.parse(precision), tables, max_error, ranges
        )
        title = "; ".join(to_text(e, digits=3) for e in expressions.values())
        classes = tuple(expressions)
    elif package(source) != "torch":
        msg = (
            f"cannot compile {source!r:.60}; give a formula, a file, RUN:ID, a torch module, or a "
            "fitted model of trees of xgboost or scikit-learn"
        )
        raise SpecError(msg)
    else:
        network = _lower_module(cast("Module", source), input_type, input_shape)
        graph, features, bounds = network.graph, network.features, {}
        title = f"network {network.title}"
        classes = tuple(f"y{i}" for i in range(sum(_sizes(graph))))
    scaling = Scaling("external", (0,) * len(features), (0,) * len(features))
    setting = Setting(features, classes, scaling, target or TARGET, clock_mhz or CLOCK_MHZ)
    flow = to or default_flow(graph)
    return Design(graph, setting, name, title, flow, options, bounds, ranges or {})


def _finished(source: str, to: str | None, name: str) -> Design | None:
    """The design that a source names, if it is no formula: ``RUN:ID`` or an emitted project.

    Raises:
        SpecError: for any other folder.
        ArchiveError, EmitError: if there is no such design.
    """
    if found := run_and_id(source):
        return from_run(*found, to=to, name=name)
    folder = Path(source)
    if not source.strip() or not _is_folder(folder):
        return None
    if not is_project(folder):
        inside = runs_in(folder)
        of = f", with RUN one of {', '.join(map(str, inside))}" if inside else ""
        msg = f"{source} is a folder, but no project; give RUN:ID for a design of a run{of}"
        raise SpecError(msg)
    design = from_project(folder)
    return design if to is None else design.to(to)


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except OSError:  # a formula may be longer than any name of a file
        return False


def from_project(folder: Path) -> Design:
    """The design of an emitted project, for the device and clock that its manifest names.

    Raises:
        EmitError: if the folder is no project, or not whole.
    """
    project = load(folder)
    meta = project.meta
    zeros = (0,) * len(meta.features)  # the offsets are inside the graph
    scaling = Scaling(meta.scaling, zeros, zeros)
    setting = Setting(meta.features, meta.classes, scaling, meta.target, meta.clock_mhz)
    options = Hls4mlOptions.read(meta.options) if meta.options else None
    return Design(
        project.graph,
        setting,
        meta.name,
        meta.title,
        meta.flow,
        options,
        meta.bounds,
        meta.ranges,
    )


def from_run(run: Path, id_: str, *, to: str | None = None, name: str = "trigger") -> Design:
    """A design of a study, for its own device and clock.

    Raises:
        ArchiveError: if the run or the id is not there, or never became a design.
    """
    with Archive(run) as archive:
        entry, where = archive.entry(id_), setting_of(archive)
        graph, calibration = entry.graph, stored_calibration(archive)
    flow = to or default_flow(graph)
    return Design(graph, where, name, entry.candidate.title, flow, calibration=calibration)


def setting_of(archive: Archive) -> Setting:
    """Ports, device and clock of a run's designs.

    Raises:
        ArchiveError: if the archive lacks them.
    """
    return Setting.from_json(archive.meta("setting") or "{}")


def run_and_id(source: str) -> tuple[Path, str] | None:
    """The parts of ``RUN:ID``, or None if it is none."""
    match = re.fullmatch(r"(.+):([0-9a-fA-F]{1,12})", source)  # no formula has a colon
    return None if match is None else (Path(match[1]), match[2].lower())


def _sizes(graph: Graph) -> list[int]:
    """Number of words of every output port."""
    return [math.prod(graph.ops[i].shape) for _, i in graph.outputs]


def _read(source: Source, row: int | None, luts: Mapping[str, LutFunc]) -> dict[str, Expr]:
    """Expressions by output name."""
    if isinstance(source, Path) or (isinstance(source, str) and _is_hall(source)):
        return {"y": _of_hall(source, row, luts)}
    if isinstance(source, str):
        texts: Mapping[str, str] = {"y": source}
    elif isinstance(source, Mapping):
        texts = source
    else:
        texts = {f"y{i}": text for i, text in enumerate(source)}
    for out, text in texts.items():
        if not isinstance(text, str) or not isinstance(out, str):
            msg = f"an expression must be text, not {text!r}; write one such as 'x0*x1 + 0.5'"
            raise ExpressionError(msg)
        if not out.isprintable() or not out.strip() or ";" in out:
            msg = f"cannot name an output {out!r}; use printable text without ';'"
            raise ExpressionError(msg)
    if not texts:
        msg = "no expression given; write one such as 'x0*x1 + 0.5'"
        raise ExpressionError(msg)
    return {out: parse(text, _variables(text, luts), luts) for out, text in texts.items()}


def _of_hall(source: str | Path, row: int | None, luts: Mapping[str, LutFunc]) -> Expr:
    """The formula of a hall of fame that is meant: of a complexity, or the most accurate."""
    rows = read_hall(Path(source), luts=luts)
    usable = [r for r in rows if r.tree is not None and not math.isnan(r.loss)]
    chosen = usable if row is None else [r for r in rows if r.complexity == row]
    if not chosen:
        wanted = "that can be read and has a loss" if row is None else f"of complexity {row}"
        msg = f"{source}: no row {wanted}; it has {_complexities(rows)}"
        raise ExpressionError(msg)
    if row is None and len(usable) < len(rows):
        lost = _complexities([r for r in rows if r not in usable])
        _log.warning("%s: left out what cannot be read or has no loss: complexity %s", source, lost)
    return min(chosen, key=lambda r: r.loss).expr


def _complexities(rows: Sequence[HallRow]) -> str:
    return ", ".join(str(r.complexity) for r in rows)


def _functions(luts: str | Path | Mapping[str, LutFunc] | None) -> Mapping[str, LutFunc]:
    """The shipped functions and the given ones."""
    if isinstance(luts, Mapping):
        return {**lut_functions(), **luts}
    return lut_functions(None if luts is None else Path(luts))


def _variables(text: str, luts: Mapping[str, LutFunc]) -> tuple[str, ...]:
    """The names that a formula reads; constants and functions are not meant as inputs."""
    names = names_in(text)
    for name in names:
        if name in CONSTANTS:
            msg = f"{name!r} is not known as a constant; write its value, such as 3.14159"
            raise ExpressionError(msg)
        if name in luts or name in OPERATORS or name in ALIASES:
            msg = f"{name!r} is a function; call it, as in {name}(x0), or rename the variable"
            raise ExpressionError(msg)
    return names


def _is_hall(source: str) -> bool:
    return re.search(r"\.(csv|bak|bkup)$", source) is not None


def _lower_expressions(
    expressions: Mapping[str, Expr],
    precision: Fixed,
    luts: Mapping[str, LutFunc],
    max_error: float | None,
    ranges: Ranges | None,
) -> tuple[Graph, tuple[Feature, ...], Mapping[str, float]]:
    """Graph, input words, and the proven error of every output under a budget."""
    names = {name for expr in expressions.values() for name in variables(expr)}
    if not names:
        msg = "the expression has no variable, so there is nothing to compile; use one such as x0"
        raise ExpressionError(msg)
    word = precision.with_modes(Rounding.RND, Overflow.SAT)
    features = tuple(Feature(n, word) for n in sorted(names, key=_natural))
    zeros = (0,) * len(features)
    scaling = Scaling("external", zeros, zeros)
    if max_error is not None:
        found = lower_within(expressions, features, scaling, max_error, luts, ranges)
        return found.graph, features, found.bounds
    try:
        return lower(expressions, features, scaling, precision, luts), features, {}
    except GraphError as error:
        msg = f"{error}, or choose a narrower precision than {precision}"
        raise ExpressionError(msg) from None


def _has_trees(source: object) -> bool:
    """Whether a source is a file of trees, or a model of a package that fits trees."""
    if isinstance(source, str | Path):
        return is_file(source)
    return package(source) in ("sklearn", "xgboost")


def _lower_trees(
    source: object, precision: Fixed, max_error: float | None
) -> tuple[Graph, tuple[Feature, ...], Mapping[str, float]]:
    """Graph, input words, and the proven error of every score."""
    from nacsr.frontends.reference.trees.lower import lower as lower_trees

    trained = read(Path(source)) if isinstance(source, str | Path) else of_model(source)
    word = precision.with_modes(Rounding.RND, Overflow.SAT)
    features = tuple(map(Feature, trained.features, trained.words(word)))
    if max_error is None:
        frac = trained.frac(precision.width)
    elif max_error > 0:
        frac = trained.frac_within(max_error)
    else:
        msg = f"max_error must be above zero, not {max_error:g}"
        raise SpecError(msg)
    types = [f.type for f in features]
    ensemble = trained.ensemble(types, frac)
    if beyond := trained.beyond(types):
        said = "some thresholds lie beyond the words of %s; give a wider precision than %s"
        _log.warning(said, ", ".join(beyond), precision.plain())
    if not ensemble.tests:
        msg = (
            f"no score depends on the words {precision.plain()}: thresholds lie beyond them, or "
            "leaves are the same; give another precision, or a smaller max_error"
        )
        raise SpecError(msg)
    bounds = {n: trained.bound(k, frac) for k, n in enumerate(trained.outputs)}
    return lower_trees(ensemble, features, trained.outputs), features, bounds


def _lower_module(
    module: Module, input_type: str | None, input_shape: tuple[int, ...] | None
) -> Lowered:
    from nacsr.frontends.neural.lowering.lower import read_module

    word = None if input_type is None else Fixed.parse(input_type)
    return read_module(module, word, input_shape)


def _natural(name: str) -> list[Any]:
    """Sort key that puts x2 before x10."""
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]
