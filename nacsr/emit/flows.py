"""The back ends by name, and which one a graph is lowered for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nacsr.emit.project import ProjectMeta
from nacsr.errors import EmitError
from nacsr.fixed import Raw
from nacsr.ir import Graph

if TYPE_CHECKING:
    from nacsr.emit.hls4ml_model import Hls4mlOptions


Emit: TypeAlias = (
    "Callable[[Graph, Path, ProjectMeta, Mapping[str, Raw], Hls4mlOptions | None], Path]"
)


@dataclass(frozen=True, slots=True)
class Flow:
    """A back end.

    Attributes:
        about: a line about it.
        emit: writes a project: (graph, folder, meta, vectors, options).
        check: raises EmitError, naming the op, if it cannot express a graph.
    """

    about: str
    emit: Emit
    check: Callable[[Graph], object]


def _hls4ml(
    graph: Graph,
    out: Path,
    meta: ProjectMeta,
    vectors: Mapping[str, Raw],
    options: Hls4mlOptions | None,
) -> Path:
    from nacsr.emit.hls4ml import emit

    return emit(graph, out, meta, vectors, options)


def _without_options(flow: str) -> Emit:
    """The ``emit`` of a back end that takes no options, imported when it is called."""

    def emit(
        graph: Graph,
        out: Path,
        meta: ProjectMeta,
        vectors: Mapping[str, Raw],
        options: Hls4mlOptions | None,
    ) -> Path:
        if options is not None:
            msg = f"io_type, strategy and reuse_factor are hls4ml's; flow {flow} has none of them"
            raise EmitError(msg)
        made: Path = import_module(f"nacsr.emit.{flow}").emit(graph, out, meta, vectors)
        return made

    return emit


def _check_hls(graph: Graph) -> None:
    from nacsr.emit.hls import check

    check(graph)


def _check_hls4ml(graph: Graph) -> None:
    from nacsr.emit.hls4ml_model import Hls4mlOptions, prepared
    from nacsr.emit.layers import to_network

    prepared(to_network(graph), Hls4mlOptions())


def _check_rtl(graph: Graph) -> None:
    from nacsr.emit.rtl import check

    check(graph)


FLOWS: Mapping[str, Flow] = {
    "hls": Flow(
        "Vitis HLS C++, one variable a value, pipelined at II = 1",
        _without_options("hls"),
        _check_hls,
    ),
    "hls4ml": Flow("an hls4ml project of the network's layers", _hls4ml, _check_hls4ml),
    "rtl": Flow(
        "Verilog, unrolled and pipelined for the clock, II = 1", _without_options("rtl"), _check_rtl
    ),
}

LAYERS = frozenset({"dense", "conv"})


def default_flow(graph: Graph) -> str:
    """``hls4ml`` for a network of layers that it can express exactly, ``hls`` for the rest."""
    if not any(op.name in LAYERS for op in graph.ops):
        return "hls"
    try:
        FLOWS["hls4ml"].check(graph)
    except EmitError:
        return "hls"
    return "hls4ml"
