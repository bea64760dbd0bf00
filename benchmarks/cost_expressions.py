"""The analytic cost of published expression designs beside their C-synthesis reports.

Reports: github.com/hftsoi/symbolic_regression (xcvu9p, 5 ns, Vivado HLS 2020.1), transcribed in
``shared/data/symbolic/csynth_dev.json`` beside the repository: polynomials, and formulas of sines
and cosines as ``hls_math``, the stock table function or user tables of 1024 entries over [-8, 8).
Designs whose tables are degenerate are left out. Their C++ is rebuilt as written: every constant
has the design's type, products and sums are exact, a function's argument and every output are
cast.

    python benchmarks/cost_expressions.py [csynth_dev.json]
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nacsr.cost import estimate
from nacsr.cost.simplify import simplify
from nacsr.fixed import Fixed, Rounding
from nacsr.ir import Graph, Op

DATA = Path(__file__).resolve().parents[1].parent / "shared/data/symbolic/csynth_dev.json"
COLUMNS = {"LUT": "luts", "DSP": "dsps", "FF": "ffs", "BRAM": "brams"}
HANDSHAKE = 40
"""LUTs of the ports' handshake in the published designs: 36 of multiplexers in each of the three
breakdowns, and a few gates."""
INDEX = Fixed(10, 4, signed=False)
"""Where in its 1024 entries over [-8, 8) a user table is read."""
METRICS = {**COLUMNS, "cycles": "latency_cycles"}
CALLS = ("hls_math", "lut")
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

    def add(self, name: str, args: tuple[int, ...], type_: Fixed, /, **attrs: Any) -> int:
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


class Row(NamedTuple):
    """One design: (estimate, report) by column of the report, and of cycles.

    ``inside`` says for each whether the report lies within the estimate's band.
    """

    name: str
    kind: str
    family: str
    pairs: dict[str, tuple[float, float]]
    inside: dict[str, bool]


def compare(record: dict[str, Any], stage: str = "csynth") -> Row:
    """A design's estimate beside its report of a stage."""
    kind, report = record["function_impl"], record[stage]
    graph = build(record)
    cost = estimate(graph, "vu9p", 200.0, functions=FUNCTIONS[kind], stage=stage)
    pairs = {}
    for column, metric in COLUMNS.items():
        known = report.get("RAMB18" if stage == "vsynth" and column == "BRAM" else column)
        pairs[column] = float(getattr(cost, metric)), known
    if stage == "csynth":
        nodes = [node for node in simplify(graph) if node.spent and node.op.name == "input"]
        # one wide port: all its bits are registered, also those that nothing reads
        unread = record["n_inputs"] * record["W"] - sum(node.op.type.width for node in nodes)
        pairs["LUT"] = cost.luts + HANDSHAKE, report["LUT"]
        pairs["FF"] = cost.ffs + unread, report["FF"]
        pairs["cycles"] = cost.latency_cycles, report["latency_cycles_max"]
    name = f"{record['family']} {kind} <{record['W']},{record['I']}>"
    halves = {c: cost.bands[METRICS[c]].half_width(a) for c, (a, _) in pairs.items()}
    inside = {c: abs(a - b) <= halves[c] for c, (a, b) in pairs.items()}
    return Row(name, kind, record["family"], pairs, inside)


def show(row: Row) -> str:
    """A line of estimates and reports."""
    return f"{row.name:<24}" + "  ".join(f"{c} {a:>6g}/{b:<6g}" for c, (a, b) in row.pairs.items())


def summary(rows: list[Row]) -> str:
    """Errors over some designs: the mean of |error|, and for DSPs also their sum.

    Means of DSPs and BRAMs are over designs whose report has some; the share of all sums counts
    what is predicted where the report has none.
    """
    parts = [f"n {len(rows)}"]
    for column in COLUMNS:
        pairs = [row.pairs[column] for row in rows]
        errors = [abs(a / b - 1) for a, b in pairs if b]
        total = sum(b for _, b in pairs)
        if total:
            parts.append(f"{column} {np.mean(errors):.1%}")
        if total and column == "DSP":
            parts[-1] += f" (of the sum {sum(abs(a - b) for a, b in pairs) / total:.1%})"
    off = [abs(a - b) for a, b in (row.pairs["cycles"] for row in rows)]
    parts.append(f"cycles within 1: {np.mean([o <= 1 for o in off]):.0%}, worst {max(off):g}")
    return "  ".join(parts)


def main(path: Path) -> None:
    """Print every design and the errors, those that constants were chosen on apart."""
    records = [r for r in json.loads(path.read_text()) if not r["degenerate"]]
    rows = [compare(record) for record in records]
    for row in rows:
        print(show(row))
    for text, kept in GROUPS.items():
        chosen = [row for row in rows if kept(row)]
        if chosen:
            print(f"{text}: {summary(chosen)}")
    print("After logic synthesis (the stock function's comparators are black boxes in reports):")
    for record in records:
        if "vsynth" in record:
            print(show(compare(record, "vsynth")))


GROUPS: dict[str, Callable[[Row], bool]] = {
    "fitted, polynomials": lambda row: row.kind == "none",
    "arithmetic held out, sin with calls": lambda row: row.kind in CALLS and row.family == "sin",
    "arithmetic held out, sincos with calls": lambda row: (
        row.kind in CALLS and row.family == "sincos"
    ),
    "resources held out, user tables": lambda row: row.kind == "userlut",
    "all": lambda row: True,
}
"""The polynomials chose what narrow adders take and which products are drawn into sums; they and
the user tables chose the delay of a product. What a call takes was read off the modules in the
reports of both families (their LUTs and FFs are mostly those), so only the arithmetic around calls
is a prediction; DSPs show it."""


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
