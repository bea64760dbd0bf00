"""What is wrong with a study file, in one line and in the words of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nacsr.errors import unknown
from nacsr.spec.base import Section


def explained(error: ValidationError, root: type[Section], under: str = "") -> str:
    """One line for the first error, and how many more there are.

    Args:
        error: what pydantic collected.
        root: the section that was read.
        under: its own key, if it has one.
    """
    errors = error.errors()
    first = errors[0]
    *outer, last = first["loc"] or ("",)
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]]
    key = "".join([under, *parts]).lstrip(".")
    if first["type"] == "extra_forbidden":
        inside = f"{key.rpartition('.')[0]}: " if outer or under else ""
        text = inside + unknown("key", last, _section(root, outer).model_fields)
    elif first["type"] == "missing":
        text = f"{key}: is missing; add it, for example '{last}: jets'"
    elif first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        text = f"{key}: {reason}" if key else reason
    else:
        text = f"{key}: {_expected(first)}, got {shown(first['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return text + more


def _expected(error: ErrorDetails) -> str:
    """What pydantic expected, in the words of a YAML file."""
    if error["type"] in _PLAIN:
        return f"expected {_PLAIN[error['type']]}"
    return error["msg"].replace("Input should be", "expected", 1)


_PLAIN: Mapping[str, str] = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "invalid_key": "text as a key",
}


def _section(root: type[Section], path: list[int | str]) -> type[Section]:
    """The section that a path of keys leads to."""
    section = root
    for key in path:
        annotation = section.model_fields[str(key)].annotation
        options = (annotation, *get_args(annotation))
        section = next(o for o in options if isinstance(o, type) and issubclass(o, Section))
    return section


def shown(value: object) -> str:
    """A value as a YAML file has it, shortened."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
