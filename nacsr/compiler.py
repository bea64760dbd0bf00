"""The compiler's front door: a formula, a hall of fame, a Brevitas network or a design of a
study goes in, a ``Design`` comes out, which runs, is costed, emitted and verified."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacsr.archive import Archive
from nacsr.data.words import Feature, Scaling
from nacsr.design import Design, Setting, check_place
from nacsr.emit import FLOWS, default_flow
from nacsr.emit.project import load
from nacsr.errors import (
    ExpressionError,
    GraphError,
    SpecError,
    unknown,
)
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.symbolic.expr import OPERATORS, Expr, variables
from nacsr.frontends.symbolic.hall import read_hall
from nacsr.frontends.symbolic.lower import lower
from nacsr.frontends.symbolic.parse import ALIASES, names_in, parse
from nacsr.frontends.symbolic.show import to_text
from nacsr.ir import Graph
from nacsr.luts import LutFunc, lut_functions

if TYPE_CHECKING:
    from torch.nn import Module

CONSTANTS = frozenset({"pi", "e", "E", "inf", "nan", "oo"})
"""Names that a formula's author would mean as numbers."""


Lowered = tuple[Graph, tuple[Feature, ...], Scaling]
Source = str | Path | Sequence[str] | Mapping[str, str]


def compile(
    source: Source | Module,
    *,
    to: str | None = None,
    target: str = "vu13p",
    clock_mhz: float = 200.0,
    precision: str = "fixed<16,6>",
    input_type: str | None = None,
    row: int | None = None,
    name: str = "design",
) -> Design:
    """Compile one source to a design.

    Args:
        source: an expression, several (a list, or a mapping from output names), the path of a
            PySR ``hall_of_fame*.csv``, ``RUN:ID`` of a study, or a Brevitas ``Sequential``.
        to: back end, a key of ``nacsr.emit.FLOWS``; by default hls4ml for networks, hls
            otherwise.
        target: device.
        clock_mhz: clock frequency.
        precision: working precision of expressions, and type of their input words.
        input_type: type of a network's input words; its input quantiser's by default.
        row: complexity of the row of a hall of fame; its most accurate row by default.
        name: identifier of the emitted project.

    Raises:
        NacsrError: naming what cannot be compiled, and why.

    Inputs of expressions and modules are taken as they are (external scaling).
    """
    check_place(target, clock_mhz)
    if to is not None and to not in FLOWS:
        raise SpecError(unknown("back end", to, FLOWS))
    if isinstance(source, str | Path) and (found := _run_and_id(str(source))):
        return from_run(*found, to=to, name=name)
    if isinstance(source, str | Path | Sequence | Mapping):
        expressions = _read(source, row)
        graph, features, scaling = _lower_expressions(expressions, Fixed.parse(precision))
        title = "; ".join(to_text(e, digits=3) for e in expressions.values())
        classes = tuple(expressions)
    else:
        graph, features, scaling = _lower_module(source, input_type)
        sizes = [op.array("weight").shape for op in graph.ops if op.name == "dense"]
        title = "network " + "-".join(str(n) for n in [sizes[0][0], *(b for _, b in sizes)])
        classes = tuple(f"y{i}" for i in range(sizes[-1][1]))
    setting = Setting(features, classes, scaling, target, clock_mhz)
    return Design(graph, setting, name, title, to or default_flow(graph))


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
    return Design(project.graph, setting, meta.name, meta.title, meta.flow)


def from_run(run: Path, id_: str, *, to: str | None = None, name: str = "design") -> Design:
    """A design of a study, for its own device and clock.

    Raises:
        ArchiveError: if the run or the id is not there, or never became a design.
    """
    with Archive(run) as archive:
        entry, where = archive.entry(id_), setting_of(archive)
        graph = entry.graph
    return Design(graph, where, name, entry.candidate.title, to or default_flow(graph))


def setting_of(archive: Archive) -> Setting:
    """Ports, device and clock of a run's designs.

    Raises:
        ArchiveError: if the archive lacks them.
    """
    return Setting.from_json(archive.meta("setting") or "{}")


def _run_and_id(source: str) -> tuple[Path, str] | None:
    match = re.fullmatch(r"(.+):([0-9a-fA-F]{1,12})", source)  # no formula has a colon
    return None if match is None else (Path(match[1]), match[2].lower())


def _read(source: Source, row: int | None) -> dict[str, Expr]:
    """Expressions by output name."""
    luts = lut_functions()
    if isinstance(source, Path) or (isinstance(source, str) and _is_hall(source)):
        rows = read_hall(Path(source))
        chosen = [r for r in rows if row is None or r.complexity == row]
        if not chosen:
            had = ", ".join(str(r.complexity) for r in rows)
            msg = f"{source}: no row of complexity {row}; it has {had}"
            raise ExpressionError(msg)
        return {"y": min(chosen, key=lambda r: r.loss).expr}
    if isinstance(source, str):
        texts: Mapping[str, str] = {"y": source}
    elif isinstance(source, Mapping):
        texts = source
    else:
        texts = {f"y{i}": text for i, text in enumerate(source)}
    if not texts:
        msg = "no expression given; write one such as 'x0*x1 + 0.5'"
        raise ExpressionError(msg)
    return {out: parse(text, _variables(text, luts), luts) for out, text in texts.items()}


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


def _lower_expressions(expressions: Mapping[str, Expr], precision: Fixed) -> Lowered:
    names = {name for expr in expressions.values() for name in variables(expr)}
    if not names:
        msg = "the expression has no variable, so there is nothing to compile; use one such as x0"
        raise ExpressionError(msg)
    word = precision.with_modes(Rounding.RND, Overflow.SAT)
    features = tuple(Feature(n, word) for n in sorted(names, key=_natural))
    zeros = (0,) * len(features)
    scaling = Scaling("external", zeros, zeros)
    try:
        return lower(expressions, features, scaling, precision, lut_functions()), features, scaling
    except GraphError as error:
        msg = f"{error}, or choose a narrower precision than {precision}"
        raise ExpressionError(msg) from None


def _lower_module(module: Module, input_type: str | None) -> Lowered:
    from nacsr.frontends.neural.lower import external_inputs, from_brevitas, read_brevitas

    first = read_brevitas(module)[0]
    if input_type is not None:
        word = Fixed.parse(input_type)
    elif isinstance(first, Fixed):
        word = first
    else:
        msg = "the module does not quantise its input; give input_type such as fixed<16,6>"
        raise SpecError(msg)
    features, scaling = external_inputs(module, word)
    return from_brevitas(module, features, scaling), features, scaling


def _natural(name: str) -> list[Any]:
    """Sort key that puts x2 before x10."""
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]
