"""Texts from templates (Jinja2), each compiled once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def render(text: str, **values: object) -> str:
    """Render a Jinja2 template; a name that it needs and is not given is an error."""
    return _template(text).render(**values)


@lru_cache(maxsize=32)
def _template(text: str) -> Template:
    """A compiled template: compiling costs far more than rendering."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(text)
