"""The study file: a versioned, checked document. Unknown keys and wrong values are refused."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from nacsr.errors import FixedError, SpecError, unknown
from nacsr.fixed import Fixed
from nacsr.measure import OBJECTIVES
from nacsr.targets import TARGETS

T = TypeVar("T")

BudgetName = Literal["quick", "default", "thorough"]
Positive = Annotated[int, Field(ge=1)]
Bits = Annotated[int, Field(ge=2, le=16)]


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
    "quick": Budget(2_000, 1, 1_500, 4, 6, 2, 150, 2, 800),
    "default": Budget(20_000, 1, 5_000, 18, 16, 6, 400, 8, 3_000),
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

    @field_validator("types")
    @classmethod
    def _fixed(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            given = _parsed(text, f"{name}: ")
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


class ConstraintSpec(Section):
    """Upper limits of a design; a design beyond one is kept, but not on the front."""

    latency_cycles: Annotated[int, Field(gt=0)] | None = None
    luts: Annotated[int, Field(gt=0)] | None = None
    dsps: Annotated[int, Field(ge=0)] | None = None


class ExpressionSpec(Section):
    """The expression search.

    ``functions`` are names in ``lut_funcs`` or of the folder ``lut_folder``; ``lut`` makes them
    anew within a ``max_error`` or a number of ``entries``, for all of them or by name;
    ``max_size`` counts nodes of one expression.
    """

    engine: Literal["embedded", "pysr"] = "embedded"
    operators: tuple[Literal["add", "sub", "mul", "min", "max", "abs", "square"], ...] = (
        "add",
        "sub",
        "mul",
        "min",
        "max",
        "abs",
        "square",
    )
    functions: tuple[str, ...] = ("sin", "exp", "gauss", "tanh")
    lut_folder: str | None = None
    lut: dict[str, float | dict[str, float]] = Field(default_factory=dict)
    max_size: Annotated[int, Field(ge=3, le=200)] = 60
    max_cycles: Annotated[int, Field(ge=1)] = 12

    @field_validator("operators")
    @classmethod
    def _choices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _some(value)


class NetworkSpec(Section):
    """The network search space: every gene's choices."""

    depth: tuple[Positive, ...] = (1, 2, 3)
    widths: tuple[Positive, ...] = (8, 16, 32, 64)
    activations: tuple[Literal["relu", "tanh"], ...] = ("relu",)
    batchnorm: tuple[bool, ...] = (False, True)
    weight_bits: tuple[Bits, ...] = (4, 6, 8)
    activation_bits: tuple[Bits, ...] = (6, 8, 10)

    @field_validator(
        "depth", "widths", "activations", "batchnorm", "weight_bits", "activation_bits"
    )
    @classmethod
    def _choices(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        return _some(value)


class FamiliesSpec(Section):
    """Which families are searched; leave one out (null) to skip it."""

    expression: ExpressionSpec | None = ExpressionSpec()
    network: NetworkSpec | None = NetworkSpec()

    @model_validator(mode="after")
    def _one(self) -> FamiliesSpec:
        if self.expression is None and self.network is None:
            msg = "both families are null, so there is nothing to search; keep one at least"
            raise ValueError(msg)
        return self


class StudySpec(Section):
    """A whole study. In a file ``dataset: jets`` is short for ``dataset: {source: jets}``."""

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^\w[\w. -]*$")] = "study"
    seed: Annotated[int, Field(ge=0)] = 1
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

    @field_validator("dataset", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("target")
    @classmethod
    def _known_target(cls, value: str) -> str:
        if value not in TARGETS:
            raise ValueError(unknown("target", value, TARGETS))
        return value

    @field_validator("precision")
    @classmethod
    def _fixed(cls, value: str) -> str:
        given = _parsed(value)
        if given != Fixed(given.width, given.integer):
            msg = f"must be signed and without modes, such as fixed<16,6>, not {value}"
            raise ValueError(msg)
        return str(given)

    @field_validator("objectives")
    @classmethod
    def _metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for i, name in enumerate(_some(value)):
            if name not in OBJECTIVES:
                raise ValueError(unknown("objective", name, OBJECTIVES))
            if name in value[:i]:
                msg = f"names {name!r} twice"
                raise ValueError(msg)
        return value

    @classmethod
    def from_mapping(cls, document: object, where: str = "study") -> StudySpec:
        """The study of a mapping as a YAML document has it: lists stand for tuples.

        Args:
            document: keys and values.
            where: name of the file, for messages.

        Raises:
            SpecError: one line with the file, the key, what was given and what was expected.
        """
        if not isinstance(document, Mapping):
            given = "nothing" if document is None else _shown(document)
            msg = f"{where}: expected keys such as 'dataset: jets', got {given}"
            raise SpecError(msg)
        try:
            return cls.model_validate(_tuples(document))
        except ValidationError as error:
            msg = f"{where}: {_explain(error.errors())}"
            raise SpecError(msg) from None

    def to_yaml(self) -> str:
        """The whole study as YAML, defaults included; it loads back to an equal study."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_spec(path: str | Path) -> StudySpec:
    """Read a study file.

    Raises:
        SpecError: one line with the file, the line or key, and what was expected.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        msg = f"{path}: cannot be read ({reason}); give the path of a study file (YAML)"
        raise SpecError(msg) from None
    return StudySpec.from_mapping(read_yaml(text, str(path)), str(path))


# ---- YAML


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


# ---- messages


def _tuples(value: object) -> object:
    """Lists as tuples all the way down: YAML has lists only."""
    if isinstance(value, Mapping):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _parsed(text: str, prefix: str = "") -> Fixed:
    """A fixed-point type; its error becomes a ValueError, which pydantic collects."""
    try:
        return Fixed.parse(text)
    except FixedError as error:
        msg = f"{prefix}{error}"
        raise ValueError(msg) from None


def _some(value: tuple[T, ...]) -> tuple[T, ...]:
    if not value:
        msg = "give at least one choice"
        raise ValueError(msg)
    return value


def _explain(errors: list[ErrorDetails]) -> str:
    """One line for the first error, and how many more there are."""
    first = errors[0]
    *outer, last = first["loc"] or ("",)
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        inside = f"{key.rpartition('.')[0]}: " if outer else ""
        text = inside + unknown("key", last, _section(outer).model_fields)
    elif first["type"] == "missing":
        text = f"{key}: is missing; add it, for example '{last}: jets'"
    elif first["type"] == "value_error":
        reason = str(first["ctx"]["error"])
        text = f"{key}: {reason}" if key else reason
    else:
        text = f"{key}: {_expected(first)}, got {_shown(first['input'])}"
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


def _section(path: list[int | str]) -> type[Section]:
    """The section that a path of keys leads to."""
    section: type[Section] = StudySpec
    for key in path:
        annotation = section.model_fields[str(key)].annotation
        options = (annotation, *get_args(annotation))
        section = next(o for o in options if isinstance(o, type) and issubclass(o, Section))
    return section


def _shown(value: object) -> str:
    """A value as a YAML file has it, shortened."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
