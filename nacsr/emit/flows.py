"""The back ends by name, and which one a graph is lowered for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nacsr.emit.project import ProjectMeta
from nacsr.fixed import Raw
from nacsr.ir import Graph

Emit = Callable[[Graph, Path, ProjectMeta, Mapping[str, Raw]], Path]


@dataclass(frozen=True, slots=True)
class Flow:
    """A back end: a line about it, and the function that writes a project."""

    about: str
    emit: Emit


def _hls(graph: Graph, out: Path, meta: ProjectMeta, vectors: Mapping[str, Raw]) -> Path:
    from nacsr.emit.hls import emit

    return emit(graph, out, meta, vectors)


def _hls4ml(graph: Graph, out: Path, meta: ProjectMeta, vectors: Mapping[str, Raw]) -> Path:
    from nacsr.emit.hls4ml import emit

    return emit(graph, out, meta, vectors)


FLOWS: Mapping[str, Flow] = {
    "hls": Flow("Vitis HLS C++ with one variable a value, pipelined at II = 1", _hls),
    "hls4ml": Flow("an hls4ml project, io_parallel, latency strategy, reuse factor 1", _hls4ml),
}

_LAYERED = frozenset({"input", "const", "sub", "mul", "cast", "dense", "relu", "lut"})


def default_flow(graph: Graph) -> str:
    """``hls4ml`` for a network of layers that it can express exactly, ``hls`` for the rest."""
    names = {op.name for op in graph.ops}
    return "hls4ml" if "dense" in names and names <= _LAYERED else "hls"
