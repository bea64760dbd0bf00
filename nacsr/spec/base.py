"""What the parts of a study file share: strictness, and values that are checked in many places."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from nacsr.errors import FixedError
from nacsr.fixed import Fixed

T = TypeVar("T")

Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of every part of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def uncut(text: object, prefix: str = "") -> None:
    """Refuse a type that YAML cut at its comma, as it does inside {} and [] without quotes."""
    if isinstance(text, str) and (cut := re.fullmatch(r"\s*(\w+)<[^<>]*", text)):
        msg = (
            f"{prefix}got only {text!r}, because YAML splits at commas inside {{}} and []; put it "
            f"in quotes, such as '{cut[1]}<16,6>'"
        )
        raise ValueError(msg)


def parsed(text: str, prefix: str = "") -> Fixed:
    """A fixed-point type; its error becomes a ValueError, which pydantic collects."""
    uncut(text, prefix)
    try:
        return Fixed.parse(text)
    except FixedError as error:
        msg = f"{prefix}{error}"
        raise ValueError(msg) from None


def working(text: str) -> str:
    """A working precision, written in full: signed and without modes."""
    given = parsed(text)
    if given != Fixed(given.width, given.integer):
        msg = f"must be signed and without modes, such as fixed<16,6>, not {text}"
        raise ValueError(msg)
    return str(given)


def some(value: tuple[T, ...]) -> tuple[T, ...]:
    """A list of choices with one at least."""
    if not value:
        msg = "give at least one choice"
        raise ValueError(msg)
    return value
