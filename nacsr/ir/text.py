"""The text form of a graph: readable, stable, and parsed back without evaluating anything.

One line an op: ``%2 = lut(%1) {"function": "sin", "table": [...]} : fixed<8,2>[5]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import numpy as np

from nacsr.errors import FixedError, GraphError
from nacsr.fixed import Fixed
from nacsr.ir.graph import Attr, Graph, Op, freeze

HEADER = "nacsr-ir 1"
_LINE = re.compile(
    r"^%(?P<index>\d+) = (?P<name>\w+)\((?P<args>[%\d, ]*)\)(?P<attrs> \{.*\})?"
    r" : (?P<type>[^\[\]]+)(?:\[(?P<shape>[\d, ]*)\])?$"
)
_OUTPUT = re.compile(r"^(?P<name>.+)=%(?P<index>\d+)$")


def show_op(op: Op) -> str:
    """An op without its index: also its identity for sharing."""
    args = ", ".join(f"%{a}" for a in op.args)
    attrs = f" {_dump(op.attrs)}" if op.attrs else ""
    shape = f"[{', '.join(map(str, op.shape))}]" if op.shape else ""
    return f"{op.name}({args}){attrs} : {op.type}{shape}"


def show(graph: Graph) -> str:
    """The whole graph as text."""
    lines = [HEADER]
    lines += [f"%{i} = {show_op(op)}" for i, op in enumerate(graph.ops)]
    lines.append("return " + "; ".join(f"{name}=%{i}" for name, i in graph.outputs))
    return "\n".join(lines)


def parse(text: str) -> Graph:
    """Read a graph back; ``parse(str(graph)) == graph``. Types are checked by ``verify``.

    Raises:
        GraphError: with the line number and what was expected.
    """
    lines = text.strip().splitlines()
    if not lines or lines[0].strip() != HEADER:
        msg = f"line 1: expected {HEADER!r}, the header of this version of the IR"
        raise GraphError(msg)
    if not lines[-1].startswith("return "):
        msg = f"line {len(lines)}: expected 'return name=%index; ...' at the end"
        raise GraphError(msg)
    ops = tuple(_parse_op(line, number) for number, line in enumerate(lines[1:-1]))
    outputs = []
    for part in lines[-1].removeprefix("return ").split("; "):
        match = _OUTPUT.match(part)
        if match is None or int(match["index"]) >= len(ops):
            msg = f"line {len(lines)}: {part!r} does not name a value; write name=%index"
            raise GraphError(msg)
        outputs.append((match["name"], int(match["index"])))
    return Graph(ops, tuple(outputs))


def _parse_op(line: str, index: int) -> Op:
    match = _LINE.match(line)
    where = f"line {index + 2}"
    if match is None:
        msg = f'{where}: expected %{index} = op(%arg, ...) {{"attr": value}} : type[shape]'
        raise GraphError(msg)
    if int(match["index"]) != index:
        msg = f"{where}: value %{match['index']} out of order, expected %{index}"
        raise GraphError(msg)
    try:
        attrs = _load(match["attrs"])
        type_ = Fixed.parse(match["type"])
        args = tuple(int(a.strip().removeprefix("%")) for a in match["args"].split(",") if a)
        shape = tuple(int(n) for n in (match["shape"] or "").split(",") if n.strip())
    except (ValueError, TypeError, OverflowError, FixedError) as error:
        msg = f"{where}: {error}"
        raise GraphError(msg) from None
    return Op(match["name"], args, type_, shape, attrs)


def _dump(attrs: Mapping[str, Attr]) -> str:
    plain: dict[str, object] = {}
    for name, value in attrs.items():
        if isinstance(value, Fixed):
            plain[name] = {"type": str(value)}
        else:
            plain[name] = value.tolist() if isinstance(value, np.ndarray) else value
            if isinstance(value, np.ndarray) and value.ndim == 0:
                plain[name] = {"scalar": int(value)}
    return json.dumps(plain)


def _load(text: str | None) -> Mapping[str, Attr]:
    if text is None:
        return freeze({})
    values: dict[str, object] = {}
    for name, value in json.loads(text).items():
        if isinstance(value, dict) and set(value) == {"type"}:
            values[name] = Fixed.parse(value["type"])
        elif isinstance(value, dict) and set(value) == {"scalar"}:
            values[name] = np.array(value["scalar"])
        else:
            values[name] = value
    return freeze(values)
