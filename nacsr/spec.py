"""The study file: a versioned, checked document. Unknown keys and wrong values are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nacsr.fixed import Fixed
from nacsr.measure import METRICS
from nacsr.targets import target

BudgetName = Literal["quick", "default", "thorough"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work a study does. Counts, never seconds, so that a seed reproduces.

    Attributes:
        evaluations: expression evaluations of one engine run.
        restarts: engine runs a class.
        rows: training rows an engine run works on.
        taggers: expression taggers lowered and measured at the end.
        population: networks a generation.
        generations: generations of the network search.
        search_steps: optimiser steps of the short training.
        finalists: networks trained again with Brevitas.
        final_steps: optimiser steps of that training.
    """

    evaluations: int
    restarts: int
    rows: int
    taggers: int
    population: int
    generations: int
    search_steps: int
    finalists: int
    final_steps: int


BUDGETS: Mapping[str, Budget] = {
    "quick": Budget(2_000, 1, 1_500, 4, 6, 2, 60, 2, 150),
    "default": Budget(20_000, 1, 5_000, 12, 12, 5, 300, 6, 1_500),
    "thorough": Budget(200_000, 3, 10_000, 24, 24, 20, 600, 12, 12_000),
}


class Section(BaseModel):
    """Base of every part of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetSpec(Section):
    """Where the events come from.

    ``source`` is a shipped name or a path to ``.npz`` or ``.csv``; ``label`` is the column
    (csv) or array (npz) of class labels; ``features`` selects columns by name (all others by
    default).
    """

    source: str
    label: str | None = None
    features: tuple[str, ...] | None = None


class InputSpec(Section):
    """The hardware words: width of derived ones, types of given ones, where scaling happens."""

    width: Annotated[int, Field(ge=2, le=32)] = 16
    scaling: Literal["folded", "external"] = "folded"
    types: dict[str, str] = Field(default_factory=dict)


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


class ConstraintSpec(Section):
    """Upper limits of a design; a design beyond one is kept, but not on the front."""

    latency_cycles: Annotated[int, Field(gt=0)] | None = None
    luts: Annotated[int, Field(gt=0)] | None = None
    dsps: Annotated[int, Field(ge=0)] | None = None


class ExpressionSpec(Section):
    """The expression search.

    ``functions`` are names in ``lut_funcs``; ``max_size`` counts nodes of one expression.
    """

    engine: Literal["embedded", "pysr"] = "embedded"
    operators: tuple[Literal["add", "sub", "mul", "min", "max", "abs", "square"], ...] = (
        "add",
        "sub",
        "mul",
    )
    functions: tuple[str, ...] = ("sin", "exp", "gauss", "tanh")
    max_size: Annotated[int, Field(ge=3, le=200)] = 30
    max_cycles: Annotated[int, Field(ge=1)] = 12


class NetworkSpec(Section):
    """The network search space: every gene's choices."""

    depth: tuple[int, ...] = (1, 2, 3)
    widths: tuple[int, ...] = (8, 16, 32, 64)
    activations: tuple[Literal["relu", "tanh"], ...] = ("relu",)
    batchnorm: tuple[bool, ...] = (False, True)
    weight_bits: tuple[int, ...] = (4, 6, 8)
    activation_bits: tuple[int, ...] = (6, 8, 10)

    @field_validator("depth", "widths", "activations", "batchnorm", "weight_bits")
    @classmethod
    def _choices(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if not value:
            msg = "give at least one choice"
            raise ValueError(msg)
        return value


class FamiliesSpec(Section):
    """Which families are searched; leave one out (null) to skip it."""

    expression: ExpressionSpec | None = ExpressionSpec()
    network: NetworkSpec | None = NetworkSpec()


class StudySpec(Section):
    """A whole study."""

    version: Literal[1] = 1
    name: str = "study"
    seed: int = 1
    dataset: DatasetSpec
    inputs: InputSpec = InputSpec()
    split: SplitSpec = SplitSpec()
    target: str = "vu13p"
    clock_mhz: Annotated[float, Field(ge=50, le=800)] = 200.0
    precision: str = "fixed<16,6>"
    constraints: ConstraintSpec = ConstraintSpec()
    objectives: tuple[str, ...] = ("accuracy", "luts", "dsps", "latency_cycles")
    budget: BudgetName = "default"
    families: FamiliesSpec = FamiliesSpec()

    @field_validator("target")
    @classmethod
    def _known_target(cls, value: str) -> str:
        target(value)
        return value

    @field_validator("precision")
    @classmethod
    def _fixed(cls, value: str) -> str:
        return str(Fixed.parse(value))

    @field_validator("objectives")
    @classmethod
    def _metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in METRICS:
                msg = f"unknown objective {name!r}; choose from {', '.join(METRICS)}"
                raise ValueError(msg)
        return value
