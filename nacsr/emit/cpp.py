"""C++ of a graph: one typed variable a value, in AMD's ``ap_fixed``.

``ROWS`` holds one text function an op. Inferred types are exact, so an assignment never
rounds; only ``cast`` does, by assigning to a type that carries its modes. Tensors are flat
arrays, row-major. Constants are set through their bits, never as decimal literals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.emit.project import Port, ctype
from nacsr.emit.vectors import size
from nacsr.fixed import Fixed, Rounding, hull
from nacsr.ir import Graph
from nacsr.ir.graph import Op

LINE = 96
COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
INTEGERS = ((8, "signed char"), (16, "short"), (32, "int"), (64, "long long"))


@dataclass(frozen=True, slots=True)
class Site:
    """One op at its place in the function.

    Attributes:
        op: the op.
        name: C++ variable of its value.
        args: the ops it reads.
        names: their C++ variables.
    """

    op: Op
    name: str
    args: tuple[Op, ...]
    names: tuple[str, ...]

    @property
    def type(self) -> str:
        """C++ type of an element."""
        return ctype(self.op.type)

    def arg(self, k: int) -> str:
        """Element ``i`` of argument ``k``; a scalar argument is the same for every ``i``."""
        return self.names[k] + ("[i]" if self.args[k].shape else "")

    def arg_as(self, k: int, to: Fixed) -> str:
        """The same, converted to a type that holds it exactly."""
        return self.arg(k) if self.args[k].type == to else f"{ctype(to)}({self.arg(k)})"


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
        body += [_partition(port.identifier)] if port.shape else []
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


def comment(text: str) -> str:
    """Text that cannot leave a comment line: no line end, no backslash, no trigraph.

    >>> comment("a\\nb ??/ sin(x)")
    'a b _/ sin(x)'
    """
    return re.sub(r"[^ -~]|[\\\\?]+", "_", " ".join(text.split()))


def loop(index: str, count: int, body: Sequence[str], start: int = 0) -> list[str]:
    """An unrolled loop."""
    head = f"for (int {index} = {start}; {index} < {count}; ++{index}) {{"
    inner = [line if line.startswith("#") else f"    {line}" for line in body]
    return [head, "#pragma HLS unroll", *inner, "}"]


def integers(name: str, values: NDArray[np.int64]) -> list[str]:
    """A constant array in the narrowest C++ integer that holds all values; it becomes a ROM."""
    low, high = int(values.min()), int(values.max())
    bits = max(high, -low - 1).bit_length() + 1
    kind = next(kind for width, kind in INTEGERS if bits <= width)
    lines, line = [f"static const {kind} {name}[{values.size}] = {{"], "   "
    for value in values.ravel().tolist():
        word = f" {_literal(value)},"
        if len(line) + len(word) > LINE:
            lines.append(line)
            line = "   "
        line += word
    return [*lines, line, "};"]


def _literal(value: int) -> str:
    return str(value) if -(1 << 31) < value < 1 << 31 else f"{value}LL"


def _argument(port: Port, qualifier: str, reference: str) -> str:
    if port.shape:
        return f"{qualifier}{port.ctype} {port.identifier}[{port.words}]"
    return f"{qualifier}{port.ctype} {reference}{port.identifier}"


def _partition(name: str) -> str:
    return f"#pragma HLS array_partition variable={name} complete"


def _array(site: Site) -> list[str]:
    return [f"{site.type} {site.name}[{size(site.op.shape)}];", _partition(site.name)]


def _each(expression: Callable[[Site], str]) -> Callable[[Site], list[str]]:
    """An op that acts on each element alone: a variable, or a loop over an array."""

    def statements(site: Site) -> list[str]:
        text = expression(site)
        if not site.op.shape:
            return [f"const {site.type} {site.name} = {text};"]
        assign = f"{site.name}[i] = {text};"
        return [*_array(site), *loop("i", size(site.op.shape), [assign])]

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


def _shift(site: Site) -> str:
    return f"nacsr::from_bits<{site.type} >({site.arg(0)})"


# --- constants, tables and tensors -----------------------------------------------------


def _input(_: Site) -> list[str]:
    return []  # a port is declared by the function's head


def _const(site: Site) -> list[str]:
    value = site.op.array("value")
    if not site.op.shape:
        word = f"nacsr::from_raw<{site.type} >({int(value)}LL)"
        return [f"const {site.type} {site.name} = {word};"]
    words = f"{site.name}_raw"
    assign = f"{site.name}[i] = nacsr::from_raw<{site.type} >({words}[i]);"
    return [*integers(words, value), *_array(site), *loop("i", value.size, [assign])]


def _lut(site: Site) -> list[str]:
    table = f"{site.name}_table"

    def expression(s: Site) -> str:
        address = f"{s.arg(0)}.range({s.args[0].type.width - 1}, 0).to_uint()"
        return f"nacsr::from_raw<{s.type} >({table}[{address}])"

    return [
        f"// {comment(str(site.op.attrs['function']))}",
        *integers(table, site.op.array("table")),
        *_each(expression)(site),
    ]


def _dense(site: Site) -> list[str]:
    """The accumulator wraps inside its exact type: the sum is exact whatever the order."""
    inputs, outputs = site.op.array("weight").shape
    weight, bias, total = (f"{site.name}_{part}" for part in ("weight", "bias", "sum"))
    factor = f"nacsr::from_raw<{ctype(site.op.fixed('weight_type'))} >({weight}[i * {outputs} + j])"
    start = f"nacsr::from_raw<{ctype(site.op.fixed('bias_type'))} >({bias}[j])"
    body = [f"{site.type} {total} = {start};"]
    body += loop("i", inputs, [f"{total} += {site.arg(0)} * {factor};"])
    body.append(f"{site.name}[j] = {total};")
    return [
        *integers(weight, site.op.array("weight")),
        *integers(bias, site.op.array("bias")),
        *_array(site),
        *loop("j", outputs, body),
    ]


def _stack(site: Site) -> list[str]:
    return [*_array(site), *(f"{site.name}[{k}] = {n};" for k, n in enumerate(site.names))]


def _argmax(site: Site) -> list[str]:
    """The first of equal maxima wins."""
    values, best = site.names[0], f"{site.name}_best"
    body = [f"if ({values}[i] > {best}) {{", f"    {best} = {values}[i];"]
    body += [f"    {site.name} = {site.type}(i);", "}"]
    return [
        f"{ctype(site.args[0].type.plain())} {best} = {values}[0];",
        f"{site.type} {site.name} = 0;",
        *loop("i", size(site.args[0].shape), body, start=1),
    ]


ROWS: Mapping[str, Callable[[Site], list[str]]] = {
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
    "dense": _dense,
    "relu": _each(_relu),
    "stack": _stack,
    "argmax": _argmax,
}
