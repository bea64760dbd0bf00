"""A picture of a graph: values as boxes from inputs to outputs, coloured by their LUTs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nacsr.cost import Cost
from nacsr.errors import SpecError
from nacsr.ir import Graph, Op
from nacsr.report.figures import stable_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 400
"""Boxes that a picture can hold legibly."""
BOX = (0.8, 0.56)
SWEEPS = 4


def draw(graph: Graph, cost: Cost, out: Path, title: str) -> Path:
    """Write a picture of a graph, as SVG or whatever the suffix of ``out`` says.

    Args:
        graph: the design; constants are written into the boxes that read them.
        cost: of the same graph, for the colours and the numbers.
        out: the file.
        title: a line above.

    Raises:
        SpecError: for a graph of more than ``LIMIT`` values, or a suffix that is not known.
    """
    from matplotlib.figure import Figure

    shown = [i for i, op in enumerate(graph.ops) if op.name != "const"]
    if len(shown) > LIMIT:
        msg = f"the graph has {len(shown)} values, a picture holds {LIMIT}; print it with --ir"
        raise SpecError(msg)
    places = layout(graph, shown)
    columns = 1 + max((x for x, _ in places.values()), default=0)
    rows = 1 + max((y for _, y in places.values()), default=0)
    figure = Figure(figsize=(max(1.9 * columns, 4), max(0.8 * rows, 1.2) + 0.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(rows - 0.4, -0.9)
    axes.axis("off")
    axes.text(-0.5, -0.75, title[:120], fontsize=9, parse_math=False)
    outputs = {i: name for name, i in graph.outputs}
    _edges(axes, graph, places)
    _boxes(axes, graph, cost, places, outputs)
    with stable_svg():
        try:
            figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
        except (ValueError, OSError) as error:
            msg = f"cannot write the picture {out}: {error}"
            raise SpecError(msg) from None
    return out


def layout(graph: Graph, shown: Sequence[int]) -> Mapping[int, tuple[int, float]]:
    """Column (longest way from an input) and row of every value; a few barycentre sweeps
    (Sugiyama et al. 1981) keep lines short."""
    wanted = set(shown)
    column: dict[int, int] = {}
    for i in shown:
        column[i] = 1 + max((column[a] for a in graph.ops[i].args if a in wanted), default=-1)
    layers: list[list[int]] = [[] for _ in range(1 + max(column.values(), default=0))]
    for i in shown:
        layers[column[i]].append(i)
    row = {i: float(k) for layer in layers for k, i in enumerate(layer)}
    readers = graph.users()
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else layers[::-1]:
            near = {i: graph.ops[i].args if forward else readers[i] for i in layer}
            means = {i: [row[n] for n in near[i] if n in row] for i in layer}
            layer.sort(key=lambda i: float(np.mean(means[i])) if means[i] else row[i])
            for k, i in enumerate(layer):
                row[i] = float(k)
    tallest = max((len(layer) for layer in layers), default=1)
    for layer in layers:  # centred
        for k, i in enumerate(layer):
            row[i] = k + (tallest - len(layer)) / 2
    return {i: (column[i], row[i]) for i in shown}


def _edges(axes: Axes, graph: Graph, places: Mapping[int, tuple[int, float]]) -> None:
    for i, (x, y) in places.items():
        for a in graph.ops[i].args:
            if a in places:
                begin = (places[a][0] + BOX[0] / 2, places[a][1])
                style = {"arrowstyle": "-|>", "color": "0.6", "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", (x - BOX[0] / 2, y), begin, arrowprops=style)


def _boxes(
    axes: Axes,
    graph: Graph,
    cost: Cost,
    places: Mapping[int, tuple[int, float]],
    outputs: Mapping[int, str],
) -> None:
    import matplotlib as mpl
    from matplotlib.patches import FancyBboxPatch

    luts = {row.index: row.luts for row in cost.rows}
    most = max((luts.get(i, 0) for i in places), default=0)
    colours = mpl.colormaps["YlOrRd"]
    for i, (x, y) in places.items():
        share = luts.get(i, 0) / most if most else 0.0
        corner = (x - BOX[0] / 2, y - BOX[1] / 2)
        face = colours(0.75 * share) if share else "white"
        style = "round,pad=0,rounding_size=0.06"
        edge = "black" if i in outputs else "0.4"
        axes.add_patch(FancyBboxPatch(corner, *BOX, boxstyle=style, fc=face, ec=edge, lw=0.8))
        text = "\n".join(_label(graph, i, luts.get(i, 0), outputs))
        axes.text(x, y, text, ha="center", va="center", fontsize=6, parse_math=False)


def _label(graph: Graph, index: int, luts: int, outputs: Mapping[int, str]) -> list[str]:
    op = graph.ops[index]
    shape = f"[{','.join(map(str, op.shape))}]" if op.shape else ""
    lines = [f"%{index} {_name(op)}{_constants(graph, op)}", f"{op.type.plain()}{shape}"]
    if index in outputs:
        lines.append(f"→ {outputs[index][:18]}")
    return [*lines, f"{luts:,} LUT"] if luts else lines


def _name(op: Op) -> str:
    for attr in ("name", "function", "kind"):
        if attr in op.attrs:
            return f"{op.name} {str(op.attrs[attr])[:12]}"
    return op.name


def _constants(graph: Graph, op: Op) -> str:
    """Scalar constants that the op reads, as numbers."""
    read = [graph.ops[a] for a in op.args if graph.ops[a].name == "const"]
    texts = [
        f"{float(c.type.to_float(c.array('value'))):.4g}" if not c.shape else "const" for c in read
    ]
    return f" {', '.join(texts)}" if texts else ""
