"""Accuracy by name: ``{"max_error": 1e-3}`` or ``{"sin": {"entries": 64}}`` as LUT functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from nacsr.errors import SpecError, unknown
from nacsr.luts.fitting import fit
from nacsr.luts.functions import FUNCTIONS
from nacsr.luts.lut import LutFunc

KEYS = ("max_error", "entries")

Setting = Mapping[str, float]
Settings = Mapping[str, "float | Setting"]


def refitted(
    luts: Mapping[str, LutFunc], settings: Settings, names: Iterable[str]
) -> dict[str, LutFunc]:
    """The functions with those of ``names`` made anew, as cheap as their settings allow.

    Each covers what its domain covers, so formulas mean what they meant. A setting for all
    leaves functions with a pole in their domain (log_abs, inverse, tan) as they are.

    Args:
        luts: the functions by name.
        settings: ``max_error`` or ``entries`` for all of ``names``, or such settings by name.
        names: the functions in use; the others are left as they are.

    Raises:
        SpecError: for an unknown name or key, or a setting that no table keeps.
    """
    by_name = _by_name(luts, settings, tuple(names))
    found = dict(luts)
    for name, setting in by_name.items():
        old = luts[name]
        if not old.function:
            msg = f"lut: {name} is a table of given values; its accuracy cannot be chosen"
            raise SpecError(msg)
        error, entries = setting.get("max_error"), setting.get("entries")
        limit = None if entries is None else int(entries)
        found[name] = fit(old, old.domain.min, old.domain.max, max_error=error, entries=limit)
    return found


def _by_name(
    luts: Mapping[str, LutFunc], settings: Settings, names: tuple[str, ...]
) -> dict[str, Setting]:
    common: dict[str, float] = {}
    found: dict[str, Setting] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if key not in luts:
                raise SpecError("lut: " + unknown("function", key, luts))
            found[key] = _checked(f"lut.{key}", value)
        else:
            common[key] = value
    if common:
        setting = _checked("lut", common)
        found = {n: setting for n in names if not _pole(luts[n])} | found
    return {name: setting for name, setting in found.items() if name in names}


def _pole(lut: LutFunc) -> bool:
    """Whether a function is infinite somewhere in its domain: no table of it is accurate there."""
    return bool(lut.function) and bool(
        FUNCTIONS[lut.function].poles_in(lut.domain.min, lut.domain.max).size
    )


def _checked(where: str, setting: Setting) -> Setting:
    for key, value in setting.items():
        if key not in KEYS:
            raise SpecError(f"{where}: " + unknown("key", key, KEYS))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or (key == "entries" and value != int(value)):
            kind = "a whole number" if key == "entries" else "a number"
            msg = f"{where}.{key} must be {kind}, not {value!r}"
            raise SpecError(msg)
    if len(setting) != 1:
        msg = f"{where}: give max_error or entries, one of them"
        raise SpecError(msg)
    return setting
