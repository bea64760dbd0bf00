"""Functions compiled by numba, once a machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

REORDER = {"reassoc", "contract", "nsz"}
"""What a compiler may do with sums: use vector units. Rounding needs the order as written."""


def compiled(function: F) -> F:
    """A function that works on numbers and arrays only; arithmetic as written."""
    found: F = njit(cache=True)(function)
    return found


def reordered(function: F) -> F:
    """The same, whose sums may be taken in another order."""
    found: F = njit(cache=True, fastmath=REORDER)(function)
    return found
