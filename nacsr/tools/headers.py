"""AMD's open ``ap_types`` headers (Apache-2.0), taken from the installed hls4ml package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from nacsr.errors import ToolError

FOLDER = "templates/vivado/ap_types"


def ap_types() -> Path:
    """The folder with ``ap_fixed.h``; hls4ml itself is not imported.

    Raises:
        ToolError: if hls4ml is not installed or has no headers.
    """
    spec = find_spec("hls4ml")
    for root in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(root) / FOLDER
        if (folder / "ap_fixed.h").is_file():
            return folder
    msg = "the ap_types headers were not found; install hls4ml==1.3.0, which carries them"
    raise ToolError(msg)


def ap_types_files() -> Mapping[str, bytes]:
    """Every header by its path relative to ``ap_types()``, with the licence of the package.

    Raises:
        ToolError: if the headers are missing.
    """
    root = ap_types()
    found = sorted(p for p in root.rglob("*.h") if p.is_file())
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in found}
    licence = _licence()
    return files | ({"LICENSE": licence} if licence else {})


def _licence() -> bytes:
    """The text of the Apache-2.0 licence as hls4ml ships it."""
    try:
        entries = distribution("hls4ml").files or []
    except PackageNotFoundError:  # a bare checkout on the path has no metadata
        return b""
    texts = [Path(str(e.locate())) for e in entries if e.name == "LICENSE"]
    return next((p.read_bytes() for p in texts if p.is_file()), b"")
