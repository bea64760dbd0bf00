"""Where a study's events come from, how they arrive, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nacsr.spec.base import Section, parsed, uncut


class DatasetSpec(Section):
    """Where the events come from.

    ``source`` is a shipped name or a path to ``.npz`` or ``.csv``; ``label`` is the column
    (csv) or array (npz) of class labels, or of the target of a ``regression``; ``weight`` that
    of event weights; ``features`` selects columns by name (all others by default).
    """

    source: str
    task: Literal["classification", "regression"] = "classification"
    label: str | None = None
    weight: str | None = None
    features: tuple[str, ...] | None = None


class InputSpec(Section):
    """The hardware words: width of derived ones, types of given ones, where scaling happens."""

    width: Annotated[int, Field(ge=2, le=32)] = 16
    scaling: Literal["folded", "external"] = "folded"
    types: dict[str, str] = Field(default_factory=dict)

    @field_validator("types", mode="before")
    @classmethod
    def _uncut(cls, value: object) -> object:
        for name, text in value.items() if isinstance(value, Mapping) else ():
            uncut(text, f"{name}: ")
        return value

    @field_validator("types")
    @classmethod
    def _fixed(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            given = parsed(text, f"{name}: ")
            if given != given.plain():
                msg = f"{name}: words are rounded and saturated by the front end; leave out modes"
                raise ValueError(msg)
        return value


class SplitSpec(Section):
    """Shares of the events; they must sum to one."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2

    @model_validator(mode="after")
    def _whole(self) -> SplitSpec:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            msg = "train, validation and test must sum to 1"
            raise ValueError(msg)
        return self
