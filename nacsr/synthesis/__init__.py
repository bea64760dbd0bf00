"""Synthesis of a design by a program: every number is measured, and says by what."""

from nacsr.synthesis.base import LIMIT_S, Job, Result, Synthesiser, Tool
from nacsr.synthesis.run import Synthesis, available, synthesise, tool_of
from nacsr.synthesis.tools import TOOLS

__all__ = [
    "LIMIT_S",
    "TOOLS",
    "Job",
    "Result",
    "Synthesis",
    "Synthesiser",
    "Tool",
    "available",
    "synthesise",
    "tool_of",
]
