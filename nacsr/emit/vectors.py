"""Test vectors: raw integer words as text, one event a line, ports in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nacsr.errors import EmitError
from nacsr.fixed import Fixed, Raw
from nacsr.ir import Graph
from nacsr.ir.graph import Shape

Layout = Sequence[tuple[str, Fixed, Shape]]
"""Name, type and shape of the ports whose words make a line."""


def input_layout(graph: Graph) -> Layout:
    """The input ports of a graph, in order."""
    return [(n, graph.ops[i].type, graph.ops[i].shape) for n, i in graph.inputs]


def output_layout(graph: Graph) -> Layout:
    """The output ports of a graph, in order."""
    return [(n, graph.ops[i].type, graph.ops[i].shape) for n, i in graph.outputs]


def flatten(words: Mapping[str, Raw], layout: Layout) -> Raw:
    """Words of all ports as one array of shape (events, words an event).

    Without any port there is one event, as in the interpreter.
    """
    parts = [words[n].reshape(len(words[n]), size(shape)) for n, _, shape in layout]
    return np.concatenate(parts, axis=1) if parts else np.empty((1, 0), dtype=np.int64)


def unflatten(table: Raw, layout: Layout) -> dict[str, Raw]:
    """The ports again: arrays of shape (events, *shape)."""
    words, start = {}, 0
    for name, _, shape in layout:
        stop = start + size(shape)
        part = table[:, start:stop].reshape(len(table), *shape)
        words[name], start = np.ascontiguousarray(part), stop
    return words


def size(shape: Shape) -> int:
    """Number of words of a port."""
    return int(np.prod(shape, dtype=np.int64))


def show(table: Raw) -> str:
    """Text of a table: integers separated by blanks, one event a line."""
    return "".join(" ".join(map(str, row)) + "\n" for row in table.tolist())


def read(path: Path, layout: Layout) -> Raw:
    """Read a table back.

    Raises:
        EmitError: if the file is missing, a line is short or long, or a word is no word.
    """
    width = sum(size(shape) for _, _, shape in layout)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}; emit the project again"
        raise EmitError(msg) from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = [int(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != width or any(not -(1 << 63) <= word < 1 << 63 for word in row):
            msg = f"{path}, line {number}: expected {width} integers; emit the project again"
            raise EmitError(msg)
        rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)


def random_words(graph: Graph, events: int, seed: int) -> dict[str, Raw]:
    """Words over the whole range of every input port, corners among them.

    The first events hold min, max, 0 and their neighbours in every port alike; later ones
    are uniform, with a fifth of all words at a corner so that ties and both ends meet.
    """
    rng = np.random.default_rng(seed)
    words = {}
    for name, t, shape in input_layout(graph):
        corners = _corners(t)
        full = rng.integers(t.min_raw, t.max_raw, (events, *shape), np.int64, endpoint=True)
        corner = rng.choice(corners, (events, *shape))
        mixed = np.where(rng.random((events, *shape)) < 0.2, corner, full)
        head = min(events, len(corners))
        mixed[:head] = corners[:head].reshape(head, *(1 for _ in shape))
        words[name] = mixed
    return words


def _corners(t: Fixed) -> Raw:
    wanted = (t.min_raw, t.max_raw, 0, -1, 1, t.min_raw + 1, t.max_raw - 1)
    return np.array([min(max(w, t.min_raw), t.max_raw) for w in wanted], dtype=np.int64)
