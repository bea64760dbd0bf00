"""The registry of synthesis tools."""

from __future__ import annotations

from collections.abc import Mapping

from nacsr.synthesis.base import Tool

TOOLS: Mapping[str, Tool] = {}
"""What ``nacsr synth --tool`` takes."""
