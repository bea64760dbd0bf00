"""Where a study's events come from, how they arrive, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nacsr.spec.base import Positive, Section, parsed, uncut


class GenerateSpec(Section):
    """What to draw of a generated source.

    Attributes:
        events: how many.
        seed: of what is drawn; the study's own seed splits it.
        background: least and most counts under every pixel of a Bragg patch.
    """

    events: Annotated[int, Field(ge=1)] = 20_000
    seed: Annotated[int, Field(ge=0)] = 0
    background: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (5.0, 30.0)

    @field_validator("background")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            msg = f"must be the least and the most counts, got {list(value)}"
            raise ValueError(msg)
        return value


class DatasetSpec(Section):
    """Where the events come from.

    Attributes:
        source: a shipped name (``jets``), a generated one (``bragg``), or a path to ``.npz`` or
            ``.csv``.
        task: what is learnt from them.
        label: the column (csv) or array (npz) of class labels, or of the target of a
            ``regression``; several names are several targets. A target array of an npz may have a
            second axis of targets.
        weight: the column or array of event weights.
        features: selects columns, or the values of a particle or the channels of an image, by
            name; all others by default.
        data: the npz array of features, ``features`` by default. With shape (events, particles,
            values) events are sets, with (events, channels, rows, columns) images.
        particles: how many particles of every set to keep, the first ones; all by default.
        generate: what to draw of a generated source.
    """

    source: str
    task: Literal["classification", "regression"] = "classification"
    label: str | tuple[str, ...] | None = None
    weight: str | None = None
    features: tuple[str, ...] | None = None
    data: str | None = None
    particles: Positive | None = None
    generate: GenerateSpec = GenerateSpec()

    @model_validator(mode="after")
    def _labels(self) -> DatasetSpec:
        if isinstance(self.label, tuple):
            if not self.label or len(set(self.label)) < len(self.label):
                msg = "label: name one target at least, and none twice"
                raise ValueError(msg)
            if len(self.label) > 1 and self.task != "regression":
                msg = "label: several labels are targets; set task: regression"
                raise ValueError(msg)
        return self

    @property
    def targets(self) -> int:
        """How many targets are named, as far as this section tells."""
        return len(self.label) if isinstance(self.label, tuple) else 1


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
