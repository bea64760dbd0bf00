"""LUT functions out of TOML files: the shipped ones and a user's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nacsr.errors import FixedError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.luts.cores import CORES, Core
from nacsr.luts.fitting import fit
from nacsr.luts.forms import Form
from nacsr.luts.functions import FUNCTIONS
from nacsr.luts.lut import LutFunc
from nacsr.resources import folder

_NUMBER = (int, float)
_KEYS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "a string"),
    "function": ((str,), "a string"),
    "about": ((str,), "a string"),
    "domain": ((str,), "a string"),
    "value": ((str,), "a string"),
    "input": ((str,), "a string"),
    "form": ((str,), "a string"),
    "segments": ((int,), "an integer"),
    "high": ((*_NUMBER,), "a number"),
    "low": ((*_NUMBER,), "a number"),
    "high_bits": ((int,), "an integer"),
    "middle_bits": ((int,), "an integer"),
    "mantissa_bits": ((int,), "an integer"),
    "phase_bits": ((int,), "an integer"),
    "factor_bits": ((int,), "an integer"),
    "symmetry": ((bool,), "true or false"),
    "max_error": ((*_NUMBER,), "a number"),
    "entries": ((int,), "an integer"),
    "values": ((list,), "a list of integers"),
}
_CORE_KEYS: Mapping[str, Mapping[str, str]] = {
    "table": {},
    "linear": {"segments": "segments"},
    "bipartite": {"high_bits": "high", "middle_bits": "middle"},
    "product": {"high_bits": "high"},
    "leading": {"mantissa_bits": "mantissa"},
}
"""Which keys describe a form, and the attribute of its class that each one is."""
_FORM_KEYS = frozenset(
    {"form", "phase_bits", "factor_bits", "symmetry"}.union(*_CORE_KEYS.values())
)
_TYPE_KEYS = frozenset({"domain", "value", "values"}) | _FORM_KEYS
_FIT_KEYS = frozenset({"max_error", "entries", "low", "high"})


def lut_functions(extra: Path | None = None) -> Mapping[str, LutFunc]:
    """The shipped functions by name, and the user's own out of a folder ``extra``.

    A function of ``extra`` replaces a shipped one of the same name.

    Raises:
        SpecError: naming the file and the key that is wrong.
    """
    if extra is not None and not extra.is_dir():
        msg = f"{extra} is not a folder; LUT functions are read from the *.toml files of one"
        raise SpecError(msg)
    return MappingProxyType(dict(_shipped()) if extra is None else {**_shipped(), **_all(extra)})


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, LutFunc]:
    return _all(folder("lut_funcs"))


def _all(place: Traversable | Path) -> dict[str, LutFunc]:
    files = sorted(place.iterdir(), key=lambda f: f.name)
    found = [_read(file) for file in files if file.name.endswith(".toml")]
    return {lut.name: lut for lut in found}


def _read(file: Traversable | Path) -> LutFunc:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file}: cannot read it as TOML: {error}"
        raise SpecError(msg) from None
    try:
        _check(table)
        return _fitted(table) if _FIT_KEYS & set(table) else _given(table)
    except (SpecError, FixedError) as error:
        msg = f"{file}: {error}"
        raise SpecError(msg) from None


def _check(table: Mapping[str, Any]) -> None:
    """Keys that are known, of the right kind, and go together.

    Raises:
        SpecError: naming the key.
    """
    for key, entry in table.items():
        if key not in _KEYS:
            raise SpecError(unknown("key", key, _KEYS))
        kinds, words = _KEYS[key]
        if not isinstance(entry, kinds) or (isinstance(entry, bool) and bool not in kinds):
            msg = f"{key} must be {words}, not {entry!r}"
            raise SpecError(msg)
    fits = set(table) & _FIT_KEYS
    needed = ["name", "about"] if "values" in table else ["name", "function", "about"]
    needed += ["low", "high"] if fits else ["domain", "value"]
    missing = [key for key in needed if key not in table]
    if missing:
        msg = f"{missing[0]} is missing; this file needs {', '.join(needed)}"
        raise SpecError(msg)
    if fits and not fits & {"max_error", "entries"}:
        msg = "low and high need max_error or entries beside them"
        raise SpecError(msg)
    given = sorted(set(table) & _TYPE_KEYS)
    if fits and given:
        msg = f"{given[0]} is chosen by max_error or entries; leave one of them out"
        raise SpecError(msg)


def _fitted(table: Mapping[str, Any]) -> LutFunc:
    return fit(
        table["function"],
        float(table["low"]),
        float(table["high"]),
        max_error=table.get("max_error"),
        entries=table.get("entries"),
        input=_type(table, "input"),
        name=table["name"],
        about=table["about"],
    )


def _given(table: Mapping[str, Any]) -> LutFunc:
    domain, value = _type(table, "domain"), _type(table, "value")
    if domain is None or value is None:
        msg = "domain and value are both needed"
        raise SpecError(msg)
    values = table.get("values", [])
    if not all(type(v) is int for v in values):
        msg = "values must be a list of integers"
        raise SpecError(msg)
    return LutFunc(
        table["name"],
        table.get("function", ""),
        domain,
        value,
        table["about"],
        _form(table),
        tuple(values),
        _type(table, "input"),
    )


def _form(table: Mapping[str, Any]) -> Form:
    phase, symmetry = table.get("phase_bits", 0), table.get("symmetry", False)
    function = FUNCTIONS.get(table.get("function", ""))
    quarter = bool(phase and symmetry and function is not None and function.fold)
    return Form(_core(table), phase, table.get("factor_bits", 0), symmetry, quarter)


def _core(table: Mapping[str, Any]) -> Core:
    kind = table.get("form", "table")
    if kind not in CORES:
        raise SpecError(unknown("form", kind, CORES))
    sizes = _CORE_KEYS[kind]
    for key in sorted(_FORM_KEYS - {"form", "phase_bits", "factor_bits", "symmetry"}):
        if (key in table) != (key in sizes):
            needs = ", ".join(sizes) or "no size"
            msg = f"{key}: form {kind!r} takes {needs}"
            raise SpecError(msg)
    return CORES[kind](**{name: table[key] for key, name in sizes.items()})


def _type(table: Mapping[str, Any], key: str) -> Fixed | None:
    if key not in table:
        return None
    try:
        return Fixed.parse(table[key])
    except FixedError as error:
        msg = f"{key}: {error}"
        raise SpecError(msg) from None
