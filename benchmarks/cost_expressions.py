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
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nacsr.cost import estimate
from nacsr.fixed import Fixed, Overflow
from nacsr.ir import Builder, Graph

DATA = Path(__file__).resolve().parents[1].parent / "shared/data/symbolic/csynth_dev.json"
ADDRESS = Fixed(10, 4, overflow=Overflow.SAT)
COLUMNS = {"LUT": "luts", "DSP": "dsps", "FF": "ffs", "BRAM": "brams"}
OPERATORS = {ast.Add: "add", ast.Sub: "sub"}
MAX_WIDTH, MAX_FRAC = 56, 36  # bits of an exact product, and below its point


class Writer(ast.NodeVisitor):
    """Appends a parsed formula to a builder."""

    def __init__(self, precision: Fixed) -> None:
        self.builder, self.precision = Builder(), precision

    def visit_Constant(self, node: ast.Constant) -> int:
        """A number, in the design's type."""
        return self.builder.const(self.precision.quantize(node.value), self.precision)

    def visit_Name(self, node: ast.Name) -> int:
        """An input port."""
        return self.builder.input(node.id, self.precision)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> int:
        """A minus sign; of a number it is part of the number."""
        if isinstance(node.operand, ast.Constant):
            return self.visit(ast.Constant(-node.operand.value))
        return self.builder.op("neg", self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> int:
        """A sum or product; a power is a chain of products."""
        if isinstance(node.op, ast.Pow):
            base = power = self.visit(node.left)
            for _ in range(node.right.value - 1):
                power = self.product(power, base)
            return power
        if isinstance(node.op, ast.Mult):
            return self.product(self.visit(node.left), self.visit(node.right))
        left, right = self.visit(node.left), self.visit(node.right)
        above = max(self.builder.type(i).integer for i in (left, right))
        return self.builder.op(
            OPERATORS[type(node.op)], self.cut(left, 60 - above), self.cut(right, 60 - above)
        )

    def cut(self, index: int, frac: int) -> int:
        """The value without the bits below ``frac``."""
        t = self.builder.type(index)
        excess = max(t.frac - frac, 0)
        return self.builder.cast(index, Fixed(t.width - excess, t.integer, t.signed))

    def product(self, left: int, right: int) -> int:
        """A product, exact up to the limits; beyond, the wider operand loses low bits."""
        narrow, wide = sorted((left, right), key=lambda i: self.builder.type(i).width)
        a, b = self.builder.type(narrow), self.builder.type(wide)
        excess = max(a.width + b.width - MAX_WIDTH, a.frac + b.frac - MAX_FRAC, 0)
        return self.builder.op("mul", narrow, self.cut(wide, b.frac - excess))

    def visit_Call(self, node: ast.Call) -> int:
        """A table lookup."""
        words = np.arange(1 << ADDRESS.width)
        words = np.where(words > ADDRESS.max_raw, words - len(words), words)
        table = self.precision.quantize(getattr(np, node.func.id)(ADDRESS.to_float(words)))
        address = self.builder.cast(self.visit(node.args[0]), ADDRESS)
        return self.builder.op(
            "lut", address, type=self.precision, function=node.func.id, table=table
        )


def build(record: dict[str, Any]) -> Graph:
    """The graph of one design."""
    precision = Fixed(record["W"], record["I"])
    writer = Writer(precision)
    for i, text in enumerate(record["expressions"]):
        value = writer.visit(ast.parse(text, mode="eval").body)
        writer.builder.output(f"y{i}", writer.builder.cast(value, precision))
    return writer.builder.build()


def main(path: Path) -> None:
    """Print every comparable design and the errors."""
    ratios: dict[str, list[list[float]]] = {}
    for record in json.loads(path.read_text()):
        kind = record["function_impl"]
        if kind not in ("none", "userlut") or record["degenerate"]:
            continue
        name = f"{record['family']} <{record['W']},{record['I']}>"
        graph = build(record)
        cost = estimate(graph, "vu9p", 200.0)
        report = record["csynth"]
        pairs = {c: (getattr(cost, m), report[c]) for c, m in COLUMNS.items()}
        unread = record["n_inputs"] - len(graph.inputs)  # one wide port: all of it is registered
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
