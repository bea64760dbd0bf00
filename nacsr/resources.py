"""The only place that finds the texts beside the code: templates and LUT functions."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nacsr.errors import NacsrError


def folder(name: str) -> Traversable:
    """A data folder: inside the installed package, or beside it in a checkout.

    Raises:
        NacsrError: if the installation lacks it.
    """
    inside = files("nacsr") / name
    if inside.is_dir():
        return inside
    beside = Path(__file__).resolve().parent.parent / name
    if beside.is_dir():
        return beside
    msg = f"the folder {name!r} is missing from this installation of nacsr; install it again"
    raise NacsrError(msg)
