"""What is wrong with a study file, in one line and in the words of YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nacsr.errors import unknown
from nacsr.spec.base import Section

_Path = tuple[int | str, ...]


def explained(error: ValidationError, root: type[Section], under: str = "") -> str:
    """One line for the first error, and how many more there are.

    Args:
        error: what pydantic collected.
        root: the section that was read.
        under: its own key, if it has one.
    """
    errors = error.errors()
    first = errors[0]
    place, branches = _choice(root, first["loc"])
    *outer, last = place or ("",)
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in place]
    key = "".join([under, *parts]).lstrip(".")
    if branches:
        text = f"{key}: expected {' or '.join(map(_words, branches))}, got {shown(first['input'])}"
    elif first["type"] == "extra_forbidden":
        inside = f"{key.rpartition('.')[0]}: " if outer or under else ""
        text = inside + unknown("key", str(last), _section(root, first["loc"][:-1]).model_fields)
    elif first["type"] == "union_tag_invalid":
        tags = first["ctx"]["expected_tags"].replace("'", "")
        text = f"{key}.kind: expected one of {tags}, got {shown(first['ctx']['tag'])}"
    elif first["type"] == "missing":
        text = f"{key}: is missing; add it, for example '{last}: jets'"
    elif first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        text = f"{key}: {reason}" if key else reason
    else:
        text = f"{key}: {_expected(first)}, got {shown(first['input'])}"
    others = len({_choice(root, e["loc"])[0] for e in errors}) - 1
    return text + (f" (and {others} more)" if others else "")


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


_KINDS: Mapping[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    tuple: "a list of names",
    dict: "keys and values",
}


def _choice(root: type[Section], path: _Path) -> tuple[_Path, Sequence[Any]]:
    """The keys of a path, without pydantic's names of types, and the types if it had several."""
    if path[-1:] == ("[key]",):  # a key of the file is wrong itself
        return path, ()
    kind: Any = root
    keys: list[int | str] = []
    for key in path:
        options = _options(kind)
        if len(options) > 1:
            return tuple(keys), options
        if not _tagged(options[0]):  # else the key is no key of the file, but names one kind
            keys.append(key)
        kind = _inside(options[0], key)
    return tuple(keys), ()


def _options(kind: Any) -> tuple[Any, ...]:
    """The types that a value may be of, None left out."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return tuple(o for o in options if o is not NoneType)


def _tagged(kind: Any) -> Mapping[int | str, type[Section]]:
    """The sections that a key ``kind`` chooses from, by its value; empty if it is no such type."""
    if get_origin(kind) is not Annotated:
        return {}
    sections = [s for s in _options(get_args(kind)[0]) if _is_section(s)]
    return {get_args(s.model_fields["kind"].annotation)[0]: s for s in sections}


def _inside(kind: Any, key: int | str) -> Any:
    """The type of what a key leads to."""
    inner = {dict: 1, tuple: 0}.get(get_origin(kind))
    if inner is not None:
        return get_args(kind)[inner]
    if tagged := _tagged(kind):
        return tagged.get(key)
    field = kind.model_fields.get(key) if _is_section(kind) else None
    return None if field is None else field.annotation


def _words(kind: Any) -> str:
    """What a type is called in a YAML file: ``an integer from 1``."""
    if get_origin(kind) is not Annotated:
        return _KINDS[get_origin(kind) or kind]
    plain, *limits = get_args(kind)
    least = [m.ge for limit in limits for m in limit.metadata if hasattr(m, "ge")]
    return " from ".join([_KINDS[plain], *map(str, least)])


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _section(root: type[Section], path: _Path) -> type[Section]:
    """The section that a path of keys leads to."""
    kind: Any = root
    for key in path:
        (kind,) = _options(_inside(kind, key))
    section: type[Section] = kind
    return section


def difference(there: Mapping[str, Any], here: Mapping[str, Any], under: str = "") -> str:
    """The first key that differs between two studies, and its values; "" if none does.

    >>> difference({"seed": 1, "split": {"train": 0.6}}, {"seed": 1, "split": {"train": 0.5}})
    'split.train is 0.6 there, 0.5 here'
    """
    for key in dict.fromkeys([*here, *there]):
        old, new = there.get(key), here.get(key)
        if old != new:
            if isinstance(old, Mapping) and isinstance(new, Mapping):
                return difference(old, new, f"{under}{key}.")
            return f"{under}{key} is {shown(old)} there, {shown(new)} here"
    return ""


def shown(value: object) -> str:
    """A value as a YAML file has it, shortened."""
    if value is None:
        return "null"
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
