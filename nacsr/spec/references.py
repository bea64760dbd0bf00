"""What the reference families may search: linear sums, sums of tables, sums of trees."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from nacsr.spec.base import Positive, Section, T, some

Bits = Annotated[int, Field(ge=1, le=8)]
Questions = Annotated[int, Field(ge=1, le=6)]


def once(value: tuple[T, ...]) -> tuple[T, ...]:
    """Choices in their order, each one once: a study has no two jobs that are the same."""
    return tuple(dict.fromkeys(value))


class ReferenceSpec(Section):
    """What all of them have in common.

    Attributes:
        rows: training events that are fitted, at most; drawn by the study's seed.
        designs: how many a family keeps, about: those that no other one of its ladder dominates.
    """

    rows: Annotated[int, Field(ge=100)] = 40_000
    designs: Positive = 6


class LinearSpec(ReferenceSpec):
    """Sums of words by weights of few signed powers of two; and sums of one cut a feature.

    Attributes:
        word_bits: bits that are left of a word, the highest that matter.
        digits: signed powers of two of a weight, at most.
        cuts: whether there are sums of one cut a feature as well.
    """

    word_bits: tuple[Bits, ...] = (4, 6)
    digits: tuple[Annotated[int, Field(ge=1, le=6)], ...] = (1, 2)
    cuts: bool = True

    @field_validator("word_bits", "digits")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return once(value)

    @field_validator("digits")
    @classmethod
    def _choices(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return some(value)

    @model_validator(mode="after")
    def _something(self) -> LinearSpec:
        if not (self.word_bits or self.cuts):
            msg = "word_bits: [] and cuts: false leave nothing; give one of them, or linear: null"
            raise ValueError(msg)
        return self


class AdditiveSpec(ReferenceSpec):
    """Sums of tables: of one feature each, and of one or two.

    Attributes:
        address_bits: of tables of one feature each; a LUT holds a bit of an entry for 6 of them.
        steps: fractional bits of entries: of log-odds, or beyond an eighth of the spread of what
            a regression predicts.
        pairs: tables in the largest design of one or two features a table, chosen by gain; 0:
            none of two.
    """

    address_bits: tuple[Bits, ...] = (6,)
    steps: tuple[Annotated[int, Field(ge=0, le=8)], ...] = (1, 3)
    pairs: Annotated[int, Field(ge=0, le=64)] = 10

    @field_validator("address_bits", "steps")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return once(value)

    @field_validator("steps")
    @classmethod
    def _choices(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return some(value)

    @model_validator(mode="after")
    def _something(self) -> AdditiveSpec:
        if not (self.address_bits or self.pairs):
            msg = "address_bits: [] and pairs: 0 leave nothing; give one of them, or tables: null"
            raise ValueError(msg)
        return self


class TreesSpec(ReferenceSpec):
    """Sums of small trees, grown for LUTs, whose comparisons are shared.

    Attributes:
        rounds: trees an output, of every design of a ladder.
        shapes: questions of a tree and bits of its leaves, of every ladder: ``[6, 3]`` takes three
            LUTs a tree.
        price: gain in nats an event that a LUT of a new comparator must bring.
    """

    rounds: tuple[Annotated[int, Field(ge=1, le=64)], ...] = (1, 2, 3, 5)
    shapes: tuple[tuple[Questions, Bits], ...] = ((4, 2), (6, 3), (6, 4))
    price: Annotated[float, Field(ge=0)] = 7e-5

    @field_validator("rounds", "shapes")
    @classmethod
    def _choices(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted(once(some(value))))
