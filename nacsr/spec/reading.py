"""Reading YAML: plain values only, no key twice, no aliases."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from nacsr.errors import SpecError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, stricter: no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in [k for k, _ in node.value if isinstance(k, yaml.ScalarNode)]:
            if key.value in seen:
                problem, mark = f"the key {key.value!r} is there twice", key.start_mark
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, where: str) -> object:
    """The document in a YAML text, of plain values only.

    Raises:
        SpecError: with the line and column of the first thing that is wrong.
    """
    try:
        for event in yaml.parse(text, _Loader):
            if isinstance(event, yaml.AliasEvent):  # they can nest without end
                msg = f"{where}: {_at(event.start_mark)}aliases (*{event.anchor}) are not allowed"
                raise SpecError(msg + "; write the value out")
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        what = f"{_at(error.problem_mark)}{error.problem}"
        msg = f"{where}: {what}; check indentation, colons and quotes"
        raise SpecError(msg) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = str(error).splitlines()[0]
        msg = f"{where}: is not a YAML text ({what}); write keys and values as in examples/"
        raise SpecError(msg) from None


def _at(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def tuples(value: object) -> object:
    """Lists as tuples all the way down: YAML has lists only."""
    if isinstance(value, Mapping):
        return {key: tuples(v) for key, v in value.items()}
    return tuple(tuples(v) for v in value) if isinstance(value, list | tuple) else value
