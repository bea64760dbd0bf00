"""What each family may search."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from nacsr.spec.base import Positive, Section, parsed, some, uncut, working
from nacsr.spec.networks import MlpSpec, NetworkSpec, preset
from nacsr.spec.references import AdditiveSpec, LinearSpec, ReferenceSpec, TreesSpec

Nesting = dict[str, dict[str, Annotated[int, Field(ge=0)]]]

Operator = Literal["add", "sub", "mul", "min", "max", "abs", "square", "greater", "cond", "select"]


SMALLEST_SIZE = 5
"""Nodes of a weighted input and an offset, the least that a search can give."""


class ExpressionSpec(Section):
    """The expression search.

    Attributes:
        engine: ``embedded``, ``pysr``, ``operon``, or ``hof``, which reads finished PySR runs.
        operators: ``greater(a, b)`` is 1 or 0, ``cond(a, b)`` is b where a > 0 and else 0,
            ``select(a, b, c)`` is b where a > 0 and else c.
        functions: names in ``lut_funcs`` or of ``lut_folder``.
        custom: operators of the user's own by name, as formulas of ``a``, ``b`` and ``c``.
        lut_folder: a folder with the user's own LUT functions, from where the command is run, as
            ``target`` and ``halls`` are.
        lut: makes the functions anew within a ``max_error`` or a number of ``entries``, for all
            of them or by name.
        tables: whether a term may be a fitted table of one input or subexpression.
        table_bits: address bits of such a table.
        max_size: nodes of one expression, 5 at least; ``max_depth``: levels of one term of it.
        max_cycles, max_luts, max_dsps: limits of one expression, by the search's own estimate.
        nesting: how often a function may sit inside another, ``{sin: {exp: 0}}``; by default no
            function sits inside any.
        complexities: what makes an expression expensive: ``auto``, its true clock cycles (and
            area, where an engine can); or one sum over its operators, of ``ones`` or of their
            clock cycles at a type, ``cycles<16,6>``, as in latency-aware training.
        implementation: whether these cycles are of ``lut`` tables or of HLS ``math`` functions.
        features: names of the inputs to use, or how many of the most important.
        importance: what decides which those are: a random ``forest`` or ``permutation``.
        target: ``RUN:ID`` of a design whose outputs the search fits instead of the labels.
        precisions: types at which classifiers are measured beside the study's precision.
        halls: finished runs of PySR: where ``hof`` reads, and others start from. One a class,
            ``{g: outputs/g/hall_of_fame.csv}``.
        pysr: more keyword arguments for ``PySRRegressor``, such as ``{procs: 4}``.
    """

    engine: Literal["embedded", "pysr", "operon", "hof"] = "embedded"
    operators: tuple[Operator, ...] = ("add", "sub", "mul", "min", "max", "abs", "square")
    functions: tuple[str, ...] = ("sin", "exp", "gauss", "tanh")
    custom: dict[str, str] = Field(default_factory=dict)
    lut_folder: str | None = None
    lut: dict[str, float | dict[str, float]] = Field(default_factory=dict)
    tables: bool = True
    table_bits: Annotated[int, Field(ge=3, le=10)] = 6
    max_size: Annotated[int, Field(le=200)] = 60
    max_depth: Annotated[int, Field(ge=1, le=12)] = 5
    max_cycles: Annotated[int, Field(ge=1)] = 12
    max_luts: Positive | None = None
    max_dsps: Annotated[int, Field(ge=0)] | None = None
    nesting: Nesting | None = None
    complexities: str = "auto"
    implementation: Literal["lut", "math"] = "lut"
    features: Positive | tuple[str, ...] | None = None
    importance: Literal["forest", "permutation"] = "forest"
    target: str | None = None
    precisions: tuple[str, ...] = ()
    halls: dict[str, str] = Field(default_factory=dict)
    pysr: dict[str, Any] = Field(default_factory=dict)

    @field_validator("operators")
    @classmethod
    def _choices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return some(value)

    @field_validator("max_size")
    @classmethod
    def _smallest(cls, value: int) -> int:
        if value < SMALLEST_SIZE:
            msg = f"must be {SMALLEST_SIZE} or more, for weight*input + offset; got {value}"
            raise ValueError(msg)
        return value

    @field_validator("complexities")
    @classmethod
    def _complexities(cls, value: str) -> str:
        if value not in ("ones", "auto"):
            if not value.startswith("cycles<"):
                msg = f"must be ones, auto, or cycles<16,6>, not {value!r}"
                raise ValueError(msg)
            uncut(value)
            parsed(value.replace("cycles", "fixed", 1))
        return value

    @field_validator("precisions")
    @classmethod
    def _fixed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(working(v) for v in value)

    @model_validator(mode="after")
    def _halls(self) -> ExpressionSpec:
        if self.engine == "hof" and not self.halls:
            msg = "engine: hof needs halls: {class: outputs/.../hall_of_fame.csv}"
            raise ValueError(msg)
        return self


class FamiliesSpec(Section):
    """Which families are searched; leave one out (null) to skip it.

    ``linear``, ``tables`` and ``trees`` are references: what anyone would try first, in seconds.
    """

    expression: ExpressionSpec | None = ExpressionSpec()
    network: NetworkSpec | None = MlpSpec()
    linear: LinearSpec | None = LinearSpec()
    tables: AdditiveSpec | None = AdditiveSpec()
    trees: TreesSpec | None = TreesSpec()

    @property
    def references(self) -> dict[str, ReferenceSpec]:
        """The reference families that are asked for, by name."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return {n: s for n, s in sections.items() if isinstance(s, ReferenceSpec)}

    @field_validator("network", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return preset(value)

    @model_validator(mode="after")
    def _one(self) -> FamiliesSpec:
        if self.expression is None and self.network is None and not self.references:
            msg = "all families are null, so there is nothing to search; keep one at least"
            raise ValueError(msg)
        return self
