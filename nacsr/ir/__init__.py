"""The common IR: a typed fixed-point graph in SSA form that all families lower to."""

from nacsr.ir.build import Builder
from nacsr.ir.graph import Graph, Op
from nacsr.ir.interp import evaluate
from nacsr.ir.ops import OPS
from nacsr.ir.text import parse
from nacsr.ir.verify import verify

__all__ = ["OPS", "Builder", "Graph", "Op", "evaluate", "parse", "verify"]
