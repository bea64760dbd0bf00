"""The registry of synthesis tools."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.synthesis.base import Tool
from nacsr.synthesis.open import YOSYS
from nacsr.synthesis.vendor import VITIS, VIVADO

TOOLS: Mapping[str, Tool] = {"yosys": YOSYS, "vitis": VITIS, "vivado": VIVADO}
"""What ``nacsr synth --tool`` takes."""
