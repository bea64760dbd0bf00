"""Vendor tools: found where the user has them, never needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from nacsr.errors import ToolError


def vitis_hls() -> str:
    """The Vitis HLS program: ``$VITIS_HLS``, or on PATH.

    Raises:
        ToolError: if it is not there.
    """
    return _find("VITIS_HLS", ("vitis-run", "vitis_hls"))


def vivado() -> str:
    """The Vivado program: ``$VIVADO``, or on PATH.

    Raises:
        ToolError: if it is not there.
    """
    return _find("VIVADO", ("vivado",))


def _find(variable: str, names: Sequence[str]) -> str:
    given = os.environ.get(variable)
    for name in [given] if given else names:
        found = shutil.which(name)
        if found:
            return found
    msg = f"{' or '.join(names)} not found on PATH; set {variable}. Synthesis waits for it"
    raise ToolError(msg)
