"""nacsr: one Pareto front of neural networks and closed-form expressions for FPGA triggers.

Everything below is loaded on first use, so that ``import nacsr`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nacsr import targets
    from nacsr.archive import Archive
    from nacsr.checkpoint import load_module
    from nacsr.compiler import compile
    from nacsr.data.dataset import from_arrays
    from nacsr.design import Design
    from nacsr.errors import NacsrError
    from nacsr.fixed import Fixed
    from nacsr.frontends.reference.trees.models import save_trees
    from nacsr.spec import StudySpec, load_spec
    from nacsr.study import Study

__all__ = [
    "Archive",
    "Design",
    "Fixed",
    "NacsrError",
    "Study",
    "StudySpec",
    "compile",
    "from_arrays",
    "load_module",
    "load_spec",
    "save_trees",
    "targets",
]

_HOMES = {
    "Archive": ("nacsr.archive", "Archive"),
    "Design": ("nacsr.design", "Design"),
    "Fixed": ("nacsr.fixed", "Fixed"),
    "NacsrError": ("nacsr.errors", "NacsrError"),
    "Study": ("nacsr.study", "Study"),
    "StudySpec": ("nacsr.spec", "StudySpec"),
    "compile": ("nacsr.compiler", "compile"),
    "from_arrays": ("nacsr.data.dataset", "from_arrays"),
    "load_module": ("nacsr.checkpoint", "load_module"),
    "load_spec": ("nacsr.spec", "load_spec"),
    "save_trees": ("nacsr.frontends.reference.trees.models", "save_trees"),
}


def __getattr__(name: str) -> Any:
    if name == "targets":
        value: Any = importlib.import_module("nacsr.targets")
    elif name == "__version__":
        value = importlib.import_module("importlib.metadata").version("nacsr")
    elif name in _HOMES:
        module, attribute = _HOMES[name]
        value = getattr(importlib.import_module(module), attribute)
    else:
        msg = f"module 'nacsr' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value
