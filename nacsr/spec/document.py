"""The study file: a versioned, checked document. Unknown keys and wrong values are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from nacsr.errors import SpecError, unknown
from nacsr.measure import (
    ARCHITECTURE,
    HARDWARE,
    OBJECTIVES,
    QUALITY,
    judged_as,
    usual_objectives,
)
from nacsr.spec.base import Section, some, working
from nacsr.spec.budget import BudgetName
from nacsr.spec.events import DatasetSpec, InputSpec, SplitSpec
from nacsr.spec.families import FamiliesSpec
from nacsr.spec.messages import explained, shown
from nacsr.spec.reading import read_yaml, tuples
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
    verify: Literal["open", "bits"] = "open"
    """``bits``: every finalist is emitted and compared with the interpreter; ``open``: and
    synthesised with open tools, where they are installed, so that all families are compared by
    one measurement."""
    calibration: Annotated[str, Field(min_length=1)] | None = None
    """A file of 'nacsr calibrate' that analytic costs are refitted by."""
    families: FamiliesSpec = FamiliesSpec()

    @model_validator(mode="before")
    @classmethod
    def _goals(cls, value: Any) -> Any:
        """Objectives that are not given are those of the task."""
        if isinstance(value, Mapping) and "objectives" not in value:
            kind = _judged_as(value.get("dataset"))
            kind = kind if kind in QUALITY else "classification"
            value = {**value, "objectives": usual_objectives(kind)}
        return value

    @model_validator(mode="after")
    def _of_task(self) -> StudySpec:
        given = self.dataset
        fitting = QUALITY[judged_as(given.task, given.targets)]
        if given.targets == 1:  # or of a regression as many as its array has
            fitting = (*fitting, *QUALITY[judged_as(given.task, 2)])
        for name in self.objectives:
            if name not in (*HARDWARE, *ARCHITECTURE, *fitting):
                choices = ", ".join(dict.fromkeys(fitting))
                msg = f"objectives: {name} is none of a {given.task}: {choices}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _of_networks(self) -> StudySpec:
        for name in self.objectives:
            if name in ARCHITECTURE and self.families.expression is not None:
                msg = (
                    f"objectives: {name} is of networks only, formulas have none; leave it out, or "
                    "search networks alone with families: {expression: null}"
                )
                raise ValueError(msg)
            if name in ARCHITECTURE and self.families.network is None:
                msg = (
                    f"objectives: {name} is of networks only, and families.network is null, so "
                    "nothing is left to search; leave it out, or search networks"
                )
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
            given = "nothing" if document is None else shown(document)
            msg = f"{where}: expected keys such as 'dataset: jets', got {given}"
            raise SpecError(msg)
        try:
            return cls.model_validate(tuples(document))
        except ValidationError as error:
            msg = f"{where}: {explained(error, cls)}"
            raise SpecError(msg) from None

    def to_yaml(self) -> str:
        """The whole study as YAML, defaults included; it loads back to an equal study."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def up_to_date(text: str) -> str:
    """The YAML text of a stored study, as it would be stored today: reference families that it does
    not name came later, so it was run without them.

    Raises:
        SpecError: if it is no YAML text.
    """
    document = read_yaml(text, "the stored study")
    families = document.get("families") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(families, Mapping):
        return text
    later = {n: None for n in FamiliesSpec().references if n not in families}
    if not later:
        return text
    return yaml.safe_dump({**document, "families": {**families, **later}}, sort_keys=False)


def _judged_as(dataset: Any) -> str:
    """A key of ``QUALITY``, as far as the dataset of a study tells before it is checked."""
    if isinstance(dataset, DatasetSpec):
        return judged_as(dataset.task, dataset.targets)
    given = dataset if isinstance(dataset, Mapping) else {}
    label = given.get("label")
    return judged_as(str(given.get("task")), len(label) if isinstance(label, list | tuple) else 1)


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
