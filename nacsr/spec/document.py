"""The study file: a versioned, checked document. Unknown keys and wrong values are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from nacsr.errors import SpecError, unknown
from nacsr.measure import HARDWARE, OBJECTIVES, QUALITY
from nacsr.spec.base import Section, some, working
from nacsr.spec.budget import BudgetName
from nacsr.spec.events import DatasetSpec, InputSpec, SplitSpec
from nacsr.spec.families import FamiliesSpec
from nacsr.spec.reading import read_yaml
from nacsr.targets import TARGETS


class ConstraintSpec(Section):
    """Upper limits of a design; a design beyond one is kept, but not on the front."""

    latency_cycles: Annotated[int, Field(gt=0)] | None = None
    luts: Annotated[int, Field(gt=0)] | None = None
    dsps: Annotated[int, Field(ge=0)] | None = None


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
    objectives: tuple[str, ...] = ()
    budget: BudgetName = "default"
    families: FamiliesSpec = FamiliesSpec()

    @model_validator(mode="before")
    @classmethod
    def _goals(cls, value: Any) -> Any:
        """Objectives that are not given are those of the task."""
        if isinstance(value, Mapping) and "objectives" not in value:
            dataset = value.get("dataset")
            task = dataset.get("task") if isinstance(dataset, Mapping) else None
            task = dataset.task if isinstance(dataset, DatasetSpec) else task
            quality = QUALITY.get(str(task), QUALITY["classification"])[0]
            value = {**value, "objectives": (quality, "luts", "dsps", "latency_cycles")}
        return value

    @model_validator(mode="after")
    def _of_task(self) -> StudySpec:
        fitting = QUALITY[self.dataset.task]
        for name in self.objectives:
            if name not in HARDWARE and name not in fitting:
                msg = f"objectives: {name} is none of a {self.dataset.task}: {', '.join(fitting)}"
                raise ValueError(msg)
        return self

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
        return working(value)

    @field_validator("objectives")
    @classmethod
    def _metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for i, name in enumerate(some(value)):
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


# ---- messages


def _tuples(value: object) -> object:
    """Lists as tuples all the way down: YAML has lists only."""
    if isinstance(value, Mapping):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


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
