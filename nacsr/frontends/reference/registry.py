"""The reference families by name: a row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacsr.frontends.reference import linear, tables
from nacsr.frontends.reference.base import Propose
from nacsr.frontends.reference.trees import ladder as trees
from nacsr.spec.references import AdditiveSpec, LinearSpec, ReferenceSpec, TreesSpec


@dataclass(frozen=True, slots=True)
class Reference:
    """One family.

    Attributes:
        spec: its section of a study.
        parts: splits a section into those whose ladders can be made apart, a job each.
        propose: fits and lowers.
    """

    spec: type[ReferenceSpec]
    parts: Callable[[Any], Sequence[ReferenceSpec]]
    propose: Propose


REFERENCES: Mapping[str, Reference] = {
    "linear": Reference(LinearSpec, linear.parts, linear.propose),
    "tables": Reference(AdditiveSpec, tables.parts, tables.propose),
    "trees": Reference(TreesSpec, trees.parts, trees.propose),
}
