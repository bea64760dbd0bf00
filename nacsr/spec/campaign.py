"""The campaign file: variants of one study, on the same events, to be compared with each other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from nacsr.errors import SpecError
from nacsr.spec.base import Positive, Section
from nacsr.spec.document import StudySpec, load_spec
from nacsr.spec.messages import explained
from nacsr.spec.reading import read_yaml

COMMON = ("version", "name", "seed", "dataset", "split")
"""What every variant has from the base, so that their numbers are of the same events."""

JOIN = "-"
"""Between the parts of a variant's name: what varies first, and what varies besides."""


class SweepSpec(Section):
    """At which precisions the best formulas of every variant are measured.

    Attributes:
        widths: total bits, as ``8..18``, ``8,10,12``, or a list.
        integer: integer bits, sign included.
        top: how many formula designs of a variant, the most accurate ones.
    """

    widths: str = "8..18"
    integer: Annotated[int, Field(ge=1)] = 6
    top: Positive = 1

    @field_validator("widths", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        many = value if isinstance(value, list | tuple) else (value,)
        plain = all(isinstance(v, int) and not isinstance(v, bool) for v in many)
        return ",".join(map(str, many)) if plain else value


class CampaignSpec(Section):
    """Studies by the names of their variants, and the sweep that follows (None: no sweep)."""

    name: str
    variants: dict[str, StudySpec]
    sweep: SweepSpec | None = SweepSpec()

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any], where: str = "campaign") -> CampaignSpec:
        """The campaign of a mapping as a YAML document has it.

        ``variants`` are partial studies by name, merged over the rest of the document; a list of
        such mappings means every combination, ``a-b``, merged in that order.

        Args:
            document: keys and values.
            where: name of the file, for messages.

        Raises:
            SpecError: one line with the file, the variant, the key, and what was expected.
        """
        base = {key: value for key, value in document.items() if key not in ("variants", "sweep")}
        variants = {}
        for name, partials in _combinations(document["variants"], where):
            study = base
            for partial in partials:
                study = merged(study, partial)
            study = study | {"name": f"{base.get('name', 'study')} {name}"}
            variants[name] = StudySpec.from_mapping(study, f"{where}: variant {name}")
        return cls(
            name=str(base.get("name", "study")),
            variants=variants,
            sweep=_sweep(document.get("sweep", {}), where),
        )

    def changed(self, **fields: Any) -> CampaignSpec:
        """The campaign with keys of all its studies replaced, such as ``budget``.

        Raises:
            SpecError: for a wrong value.
        """
        studies = {
            name: StudySpec.from_mapping(study.model_dump() | fields, "options")
            for name, study in self.variants.items()
        }
        return self.model_copy(update={"variants": studies})


def load_study(path: str | Path) -> StudySpec | CampaignSpec:
    """Read a file that holds a study, or variants of one.

    Raises:
        SpecError: one line with the file, the line or key, and what was expected.
    """
    path = Path(path)
    try:
        document = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError):
        return load_spec(path)  # which says what is wrong with the file
    if isinstance(document, Mapping) and "variants" in document:
        return CampaignSpec.from_mapping(document, str(path))
    return load_spec(path)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two documents in one: mappings are merged, anything else is replaced.

    >>> merged({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2]}, "d": None})
    {'a': {'b': 1, 'c': [2]}, 'd': None}
    """
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = merged(old, value)
        else:
            found[key] = value
    return found


def _combinations(
    variants: object, where: str
) -> Iterator[tuple[str, tuple[Mapping[str, Any], ...]]]:
    """Names and what is merged for them: every choice of one partial study a mapping."""
    axes = variants if isinstance(variants, list | tuple) else [variants]
    if not axes:
        msg = f"{where}: variants: there are none; give one at least, as name: {{budget: quick}}"
        raise SpecError(msg)
    choices = [list(_named(axis, where)) for axis in axes]
    seen = set()
    for chosen in itertools.product(*choices):
        name = JOIN.join(part for part, _ in chosen)
        if name in seen:
            msg = f"{where}: variants: {name} comes from two combinations; rename one"
            raise SpecError(msg)
        seen.add(name)
        yield name, tuple(partial for _, partial in chosen)


def _named(axis: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(axis, Mapping) or not axis:
        msg = (
            f"{where}: variants: expected names with what each changes, such as "
            f"'small: {{budget: quick}}', got {axis!r:.60}"
        )
        raise SpecError(msg)
    for name, partial in axis.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w-]*", name):
            msg = (
                f"{where}: variants: {name!r:.60} names a folder, so write it with letters, "
                "digits, _ and - only"
            )
            raise SpecError(msg)
        if not isinstance(partial, Mapping):
            msg = f"{where}: variant {name}: expected keys of a study, got {partial!r:.60}"
            raise SpecError(msg)
        for key in COMMON:
            if key in partial:
                msg = (
                    f"{where}: variant {name}: {key} is the same for all variants, so that they "
                    "can be compared; give it beside 'variants'"
                )
                raise SpecError(msg)
        yield name, partial


def _sweep(given: object, where: str) -> SweepSpec | None:
    if given is None:
        return None
    try:
        return SweepSpec.model_validate(given)
    except ValidationError as error:
        msg = f"{where}: {explained(error, SweepSpec, 'sweep')}"
        raise SpecError(msg) from None
