"""The analytic cost of published expression designs beside their C-synthesis reports.

Reports: github.com/hftsoi/symbolic_regression (xcvu9p, 5 ns, Vivado HLS 2020.1), transcribed in
``shared/data/symbolic/csynth_dev.json`` beside the repository. Only what our IR can express
is compared: the polynomials and the designs with user tables of 1024 entries over [-8, 8).
Their C++ is rebuilt as written: every constant has the design's type, products and sums are
exact (low bits are cut where that takes more than our 63), a table's argument and every output
are cast.

    python benchmarks/cost_expressions.py [csynth_dev.json]
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.cost import estimate
from nacsr.fixed import Fixed, Rounding
from nacsr.ir import Graph, Op

DATA = Path(__file__).resolve().parents[1].parent / "shared/data/symbolic/csynth_dev.json"
COLUMNS = {"LUT": "luts", "DSP": "dsps", "FF": "ffs", "BRAM": "brams"}
HANDSHAKE = 40
"""LUTs of the ports' handshake in the published designs: 36 of multiplexers in each of the three
breakdowns, and a few gates."""
INDEX = Fixed(10, 4, signed=False)
"""Where in its 1024 entries over [-8, 8) a user table is read."""
FUNCTIONS = {"none": "table", "userlut": "table", "hls_math": "math", "lut": "stock"}


class Wide(Fixed):
    """A type of any width: HLS multiplies words of more than our 63 bits."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Any width will do."""


class Writer(ast.NodeVisitor):
    """The ops of parsed formulas; equal ops are one."""

    def __init__(self, precision: Fixed, user_tables: bool) -> None:
        self.precision, self.user_tables = precision, user_tables
        self.ops: list[Op] = []
        self.known: dict[Any, int] = {}

    def add(
        self, name: str, args: tuple[int, ...], type_: Fixed, /, **attrs: Any) -> int:
        """Append an op, or find the one that is the same."""
        key = name, args, type_, tuple((k, str(v)) for k, v in attrs.items())
        if key not in self.known:
            self.known[key] = len(self.ops)
            self.ops.append(Op(name, args, type_, (), attrs))
        return self.known[key]

    def const(self, value: float, type_: Fixed) -> int:
        """A constant of a type."""
        return self.add("const", (), type_, value=type_.quantize(value))

    def visit_Constant(self, node: ast.Constant) -> int:
        """A number, in the design's type."""
        return self.const(node.value, self.precision)

    def visit_Name(self, node: ast.Name) -> int:
        """An input port."""
        return self.add("input", (), self.precision, name=node.id)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> int:
        """A minus sign; the number behind it is cut to its type first."""
        if isinstance(node.operand, ast.Constant):
            raw = -self.precision.quantize(node.operand.value)
            return self.add("const", (), self.precision, value=raw)
        value = self.visit(node.operand)
        t = self.ops[value].type
        return self.add("neg", (value,), Wide(t.width + 1, t.integer + 1))

    def visit_BinOp(self, node: ast.BinOp) -> int:
        """A sum or product."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Mult):
            return self.product(left, right)
        types = [self.ops[i].type for i in (left, right)]
        integer, frac = max(t.integer for t in types) + 1, max(t.frac for t in types)
        name = "add" if isinstance(node.op, ast.Add) else "sub"
        return self.add(name, (left, right), Wide(integer + frac, integer))

    def product(self, left: int, right: int) -> int:
        """An exact product."""
        a, b = (self.ops[i].type for i in (left, right))
        return self.add("mul", (left, right), Wide(a.width + b.width, a.integer + b.integer))

    def visit_Call(self, node: ast.Call) -> int:
        """A function of an argument in the design's type."""
        argument = self.add("cast", (self.visit(node.args[0]),), self.precision)
        index = self.index(argument) if self.user_tables else self.add("cast", (argument,), INDEX)
        values = getattr(np, node.func.id)(np.arange(1024) / 64 - 8)
        table = self.precision.quantize(values)
        return self.add("lut", (index,), self.precision, function=node.func.id, table=table)

    def index(self, argument: int) -> int:
        """``int((x + 8) * 64)``, clipped: what the user table's operator computes."""
        integer = self.precision.integer + 1
        moved = Fixed(self.precision.width + 1, integer)
        eight = self.const(8.0, Fixed(6, 6))
        moved_ = self.add("add", (argument, eight), moved)
        whole = Fixed(integer + INDEX.frac, integer, rounding=Rounding.TRN_ZERO)
        value = self.add("cast", (moved_,), whole)
        value = self.add("max", (value, self.const(0.0, whole)), whole)
        value = self.add("min", (value, self.const(16 - 2**-6, whole)), whole)
        return self.add("cast", (value,), INDEX)


POWER = re.compile(r"(\w+)\*\*(\d+)")


def unrolled(power: re.Match[str]) -> str:
    """``x*x*x`` for ``x**3``, as the C++ has it: a product is computed from left to right."""
    return "*".join([power[1]] * int(power[2]))


def build(record: dict[str, Any]) -> Graph:
    """The graph of one design; it may have words that are wider than ``Builder`` allows."""
    precision = Fixed(record["W"], record["I"])
    writer = Writer(precision, record["function_impl"] == "userlut")
    outputs = []
    for i, text in enumerate(record["expressions"]):
        value = writer.visit(ast.parse(POWER.sub(unrolled, text), mode="eval").body)
        outputs.append((f"y{i}", writer.add("cast", (value,), precision)))
    return Graph(tuple(writer.ops), tuple(outputs))


def main(path: Path) -> None:
    """Print every comparable design and the errors."""
    ratios: dict[str, list[list[float]]] = {}
    for record in json.loads(path.read_text()):
        kind = record["function_impl"]
        if record["degenerate"]:
            continue
        name = f"{record['family']} <{record['W']},{record['I']}>"
        graph = build(record)
        cost = estimate(graph, "vu9p", 200.0, functions=FUNCTIONS[kind])
        report = record["csynth"]
        pairs = {c: (getattr(cost, m), report[c]) for c, m in COLUMNS.items()}
        unread = record["n_inputs"] - len(graph.inputs)  # one wide port: all of it is registered
        pairs["LUT"] = cost.luts + HANDSHAKE, report["LUT"]
        pairs["FF"] = cost.ffs + unread * record["W"], report["FF"]
        cycles = cost.latency_cycles, report["latency_cycles_max"]
        text = "  ".join(f"{c} {a:>5}/{b:<5}" for c, (a, b) in pairs.items())
        print(f"{name:<14}{text}  cycles {cycles[0]:>2}/{cycles[1]}")
        scores = [a / b - 1 if b else float(a) for a, b in pairs.values()]
        ratios.setdefault(kind, []).append([*scores, cycles[0] - cycles[1]])
    for kind, errors in ratios.items():
        mean, bias = np.abs(errors).mean(0), np.mean(errors, axis=0)
        text = "  ".join(
            f"{c} {m:.0%} ({b:+.0%})" for c, m, b in zip(COLUMNS, mean, bias, strict=False)
        )
        print(f"{kind}: mean |error| (bias) {text}  cycles {mean[4]:.2f} ({bias[4]:+.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
