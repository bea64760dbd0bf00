"""C++ of a graph: one typed variable a value, in AMD's ``ap_fixed``.

``ROWS`` holds one text function an op. Inferred types are exact, so an assignment never
rounds; only ``cast`` does, by assigning to a type that carries its modes. Tensors are flat
arrays, row-major. Constants are set through their bits, never as decimal literals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nacsr.emit.cpp_parts import Row, Site, comment, from_raw, integers, loop, partition, result
from nacsr.emit.cpp_tensor import TENSOR_ROWS
from nacsr.emit.project import Port, ctype
from nacsr.emit.vectors import size
from nacsr.fixed import Rounding, hull
from nacsr.ir import Graph

COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def declaration(function: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """The prototype of the top function: arrays for tensors, outputs by reference."""
    arguments = [_argument(p, "const ", "") for p in inputs]
    arguments += [_argument(p, "", "&") for p in outputs]
    return f"void {function}(" + ",".join(f"\n    {a}" for a in arguments) + ")"


def definition(graph: Graph, function: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """The whole top function."""
    names = [f"v{i}" for i in range(len(graph.ops))]
    for port, (_, index) in zip(inputs, graph.inputs, strict=True):
        names[index] = port.identifier
    body = ["#pragma HLS pipeline II=1"]
    for port in (*inputs, *outputs):
        body += [partition(port.identifier)] if port.shape else []
    for index, op in enumerate(graph.ops):
        args = tuple(graph.ops[a] for a in op.args)
        site = Site(op, names[index], args, tuple(names[a] for a in op.args))
        body += ROWS[op.name](site)
    for port, (_, index) in zip(outputs, graph.outputs, strict=True):
        if port.shape:
            body += loop("i", port.words, [f"{port.identifier}[i] = {names[index]}[i];"])
        else:
            body.append(f"{port.identifier} = {names[index]};")
    lines = [line if line.startswith("#") else f"    {line}" for line in body]
    return "\n".join([declaration(function, inputs, outputs) + " {", *lines, "}"])


def _argument(port: Port, qualifier: str, reference: str) -> str:
    if port.shape:
        return f"{qualifier}{port.ctype} {port.identifier}[{port.words}]"
    return f"{qualifier}{port.ctype} {reference}{port.identifier}"


def _each(expression: Callable[[Site], str]) -> Row:
    """An op that acts on each element alone: a variable, or a loop over an array."""

    def statements(site: Site) -> list[str]:
        text = expression(site)
        if not site.op.shape:
            return [f"const {site.type} {site.name} = {text};"]
        assign = f"{site.name}[i] = {text};"
        return [*result(site), *loop("i", size(site.op.shape), [assign])]

    return statements


# --- elements --------------------------------------------------------------------------


def _operator(symbol: str) -> Callable[[Site], str]:
    """Sum, difference or product: ``ap_fixed`` operators are exact, as inferred types are."""
    return lambda s: f"{s.arg(0)} {symbol} {s.arg(1)}"


def _cast(site: Site) -> str:
    """Assignment to the type with its modes.

    The headers read the first dropped bit, so a rounding that drops more bits than the
    source has starts from the source with its sign extended.
    """
    source, to = site.args[0].type, site.op.type
    missing = source.frac - to.frac - source.width
    if missing <= 0 or to.rounding is Rounding.TRN:
        return f"{site.type}({site.arg(0)})"
    wide = f"{source.width + missing},{source.integer + missing}"
    return f"{site.type}(ap_{'' if source.signed else 'u'}fixed<{wide}>({site.arg(0)}))"


def _negative(site: Site) -> str:
    return f"{site.arg(0)}[{site.args[0].type.width - 1}]"  # the sign bit


def _abs(site: Site) -> str:
    if not site.args[0].type.signed:
        return site.arg(0)
    return f"{_negative(site)} ? {site.type}(-{site.arg(0)}) : {site.type}({site.arg(0)})"


def _relu(site: Site) -> str:
    if not site.args[0].type.signed:
        return site.arg(0)
    return f"{_negative(site)} ? {site.type}(0) : {site.type}({site.arg(0)})"


def _leaky_relu(site: Site) -> str:
    source = site.args[0].type
    if not source.signed:
        return site.arg(0)
    down = replace(source.plain(), integer=source.integer - site.op.integer("n"))
    low = f"nacsr::from_bits<{ctype(down)} >({site.arg(0)})"
    return f"{_negative(site)} ? {site.type}({low}) : {site.type}({site.arg(0)})"


def _extreme(symbol: str) -> Callable[[Site], str]:
    def expression(site: Site) -> str:
        a, b = (site.arg_as(k, site.op.type) for k in (0, 1))
        return f"{a} {symbol} {b} ? {a} : {b}"

    return expression


def _compare(site: Site) -> str:
    common = hull(site.args[0].type, site.args[1].type)
    symbol = COMPARE[str(site.op.attrs["kind"])]
    return f"{site.type}({site.arg_as(0, common)} {symbol} {site.arg_as(1, common)})"


def _select(site: Site) -> str:
    a, b = (site.arg_as(k, site.op.type) for k in (1, 2))
    return f"{site.arg(0)}[0] ? {a} : {b}"


def _pack(site: Site) -> str:
    below = site.op.type.width
    parts = []
    for k, arg in enumerate(site.args):
        below -= arg.type.width
        bits = f"{site.arg(k)}.range({arg.type.width - 1}, 0).to_uint64()"
        parts.append(f"({bits} << {below})" if below else bits)
    return from_raw(site.op.type, " | ".join(parts))


def _shift(site: Site) -> str:
    return f"nacsr::from_bits<{site.type} >({site.arg(0)})"


# --- constants and tables --------------------------------------------------------------


def _input(_: Site) -> list[str]:
    return []  # a port is declared by the function's head


def _const(site: Site) -> list[str]:
    value = site.op.array("value")
    if not site.op.shape:
        word = from_raw(site.op.type, f"{int(value)}LL")
        return [f"const {site.type} {site.name} = {word};"]
    words = f"{site.name}_raw"
    assign = f"{site.name}[i] = {from_raw(site.op.type, f'{words}[i]')};"
    return [*integers(words, value), *result(site), *loop("i", value.size, [assign])]


def _lut(site: Site) -> list[str]:
    table = f"{site.name}_table"

    def expression(s: Site) -> str:
        address = f"{s.arg(0)}.range({s.args[0].type.width - 1}, 0).to_uint()"
        return from_raw(s.op.type, f"{table}[{address}]")

    return [
        f"// {comment(str(site.op.attrs['function']))}",
        *integers(table, site.op.array("table")),
        *_each(expression)(site),
    ]


ROWS: Mapping[str, Row] = {
    "input": _input,
    "const": _const,
    "cast": _each(_cast),
    "add": _each(_operator("+")),
    "sub": _each(_operator("-")),
    "neg": _each(lambda s: f"-{s.arg(0)}"),
    "mul": _each(_operator("*")),
    "abs": _each(_abs),
    "min": _each(_extreme("<")),
    "max": _each(_extreme(">")),
    "shift": _each(_shift),
    "compare": _each(_compare),
    "select": _each(_select),
    "lut": _lut,
    "pack": _each(_pack),
    "relu": _each(_relu),
    "leaky_relu": _each(_leaky_relu),
    **TENSOR_ROWS,
}
