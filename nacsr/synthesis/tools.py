"""The registry of synthesis tools."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.synthesis.base import Tool
from nacsr.synthesis.open import YOSYS

TOOLS: Mapping[str, Tool] = {
    "yosys": YOSYS,
}
"""What ``nacsr synth --tool`` takes."""
