"""``LutFunc``: one definition, and every form of it a projection of the same integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from nacsr.errors import FixedError, SpecError, unknown
from nacsr.fixed import Fixed, Raw, span
from nacsr.ir import Builder, Graph, evaluate, verify
from nacsr.ir.ops import cast_fits
from nacsr.luts.cores import addresses
from nacsr.luts.forms import PLAIN, Form
from nacsr.luts.functions import FUNCTIONS, Function, Real
from nacsr.luts.points import asked, check_domain, edges, rounded_entries, sample_points

if TYPE_CHECKING:
    import torch

MAX_ADDRESS_BITS = 12
"""Of a table in hardware."""
MAX_DOMAIN_BITS = 16
"""Of a word whose values are enumerated one by one."""


@dataclass(frozen=True, slots=True)
class LutFunc:
    """A function of fixed-point words, made of tables.

    The argument is cast to ``domain``; what comes then is the ``form``. Whatever that is, the
    function of a domain word is one list of integers, ``table``, which the interpreter computes
    once from the very ops that become firmware, and numpy, torch and sympy read that list.

    The plain form has one entry a domain word: the function at one point of its bin, rounded to
    nearest and saturated at the ends of ``value`` (whose own modes are not used): so does a pole,
    such as ``log_abs(0)``, and nothing is ever infinite or NaN. With a ``TRN`` domain, whose cast
    is free in hardware, the point is the centre of the bin, so that dropping bits costs no
    accuracy; but ``tanh(0)`` is then half a step off zero. With a rounding domain the point is
    the representable value itself, and ``f(0)`` is exact. Beyond the ends of the domain the
    function saturates: its last value holds.

    Attributes:
        name: what formulas and designs call it.
        function: a key of ``FUNCTIONS``; or '' with ``values``, which are then the definition.
        domain: type of the address; must saturate.
        value: type of the result.
        about: a line for people.
        form: how it is computed.
        values: raw integers of ``value``, from the smallest domain word to the largest, instead
            of the computed entries of the plain form: a fitted table.
        input: type of the words it is made for, if known: ``max_error`` counts only these.
        interval: the arguments it is made for, by default those that the domain covers.

    Raises:
        SpecError: for an unknown function, a domain that wraps, tables of more than 2**12
            entries, a form that does not suit the function, or entries that are all equal.

    >>> f = LutFunc("sin", "sin", Fixed.parse("fixed<8,4,TRN,SAT>"), Fixed(8, 1))
    >>> float(f.numpy(1.0)), f.max_error() < 0.04
    (0.859375, True)
    """

    name: str
    function: str
    domain: Fixed
    value: Fixed
    about: str = ""
    form: Form = PLAIN
    values: tuple[int, ...] = ()
    input: Fixed | None = None
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"LUT function {self.name!r}"
        if not (self.name.isidentifier() and self.name.isascii()):
            msg = f"{where}: name must be a plain identifier such as my_tanh"
            raise SpecError(msg)
        if self.function not in FUNCTIONS and not (self.values and not self.function):
            raise SpecError(f"{where}: " + unknown("function", self.function, FUNCTIONS))
        check_domain(where, self.domain, MAX_ADDRESS_BITS if self.form.plain else MAX_DOMAIN_BITS)
        try:
            self._check_form()
        except SpecError as error:
            msg = f"{where}: {error}"
            raise SpecError(msg) from None
        if self.table.min() == self.table.max():
            msg = (
                f"{where}: every entry over {self.domain} is {self.table[0]} in {self.value}, a "
                "constant; use a wider value type or another domain"
            )
            raise SpecError(msg)

    def _check_form(self) -> None:
        if self.values:
            self._check_values()
            return
        self.form.check(self.function, self.domain)
        if self.entries > 1 << MAX_ADDRESS_BITS:
            msg = f"{self.entries} table entries, limit 2**{MAX_ADDRESS_BITS}; use fewer bits"
            raise SpecError(msg)

    def _check_values(self) -> None:
        wanted = 1 << self.domain.width
        if not self.form.plain:
            msg = "values are a plain table; leave the other form keys out"
            raise SpecError(msg)
        if len(self.values) != wanted:
            msg = f"{len(self.values)} values for {self.domain}, which has {wanted} words"
            raise SpecError(msg)
        if min(self.values) < self.value.min_raw or max(self.values) > self.value.max_raw:
            msg = (
                f"values must be raw integers of {self.value}, "
                f"{self.value.min_raw}..{self.value.max_raw}"
            )
            raise SpecError(msg)

    @classmethod
    def sampled(
        cls,
        name: str,
        function: Callable[[Real], Any],
        domain: Fixed,
        value: Fixed,
        about: str = "",
    ) -> LutFunc:
        """A fitted table of any Python function, in the plain form.

        The function gets all sample points at once, in no particular order, float64 of shape
        (2**width,); what is infinite there saturates.

        Raises:
            SpecError: if the function fails, or gives NaN, or not one number a point; and as
                for any ``LutFunc``.
        """
        where = f"LUT function {name!r}"
        check_domain(where, domain, MAX_ADDRESS_BITS)
        raw = addresses(domain)
        exact = asked(where, function, sample_points(domain, raw))
        entries = rounded_entries(exact, value)[np.argsort(raw)]
        return cls(name, "", domain, value, about, values=tuple(entries.tolist()))

    @property
    def table(self) -> Raw:
        """Read-only values by address, the bit pattern of the domain word: int64 (2**width,).

        The whole function; the tables in hardware are smaller unless the form is plain.
        """
        return _enumerated(self.function, self.domain, self.value, self.form, self.values)

    @property
    def roms(self) -> tuple[tuple[int, int], ...]:
        """Entries and bits an entry of every table in hardware."""
        luts = [op for op in self.graph().ops if op.name == "lut"]
        return tuple((op.array("table").size, op.type.width) for op in luts)

    @property
    def entries(self) -> int:
        """Number of entries of the tables in hardware, together."""
        return sum(entries for entries, _ in self.roms)

    def with_types(self, domain: Fixed, value: Fixed) -> LutFunc:
        """The same function as a plain table of another size."""
        return LutFunc(self.name, self.function, domain, value, self.about)

    def address(self, x: ArrayLike) -> Raw:
        """The index into ``table`` of real numbers.

        Raises:
            FixedError: for NaN or infinite values.
        """
        return self.domain.quantize(x) & np.int64((1 << self.domain.width) - 1)

    def exact(self, x: ArrayLike) -> Real:
        """The real function without a table; infinite at its poles.

        A fitted table without a function is its own definition.
        """
        if not self.function:
            return self.numpy(x)
        return FUNCTIONS[self.function](np.asarray(x, dtype=np.float64))

    def numpy(self, x: ArrayLike) -> Real:
        """The function of real numbers of any shape: the very values of the firmware.

        Raises:
            FixedError: for NaN or infinite values.
        """
        return self.value.to_float(self.table[self.address(x)])

    def torch(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """A differentiable function of tensors.

        Forward is the table. Backward is the derivative of the real function at the sample
        point of the bin, as if there were no steps; beyond the ends it is that of the last bin.
        For a fitted table it is the central difference of its entries.
        """
        import torch

        slopes = self._slopes()

        class Table(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
                index = self.address(x.detach().cpu().numpy())
                ctx.save_for_backward(torch.from_numpy(slopes[index]).to(x))
                value = self.value.to_float(self.table[index])
                return torch.from_numpy(value).to(x)

            @staticmethod
            def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
                (slope,) = ctx.saved_tensors
                grad: torch.Tensor = grads[0] * slope
                return grad

        apply: Callable[[torch.Tensor], torch.Tensor] = Table.apply
        return apply

    def _slopes(self) -> Real:
        """The derivative at every sample point, in address order."""
        raw = addresses(self.domain)
        if self.function:
            with np.errstate(all="ignore"):
                found = FUNCTIONS[self.function].slope(sample_points(self.domain, raw))
            return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        slopes = np.empty(raw.size)
        order = np.argsort(raw)
        slopes[order] = np.gradient(self.value.to_float(self.table[order]), self.domain.lsb)
        return slopes

    def sympy(self, argument: Any) -> Any:
        """The function as an undefined sympy function of ``argument``.

        ``sympy.lambdify(x, f.sympy(x), [f.modules, "numpy"])`` evaluates the table.
        """
        import sympy

        return sympy.Function(self.name)(argument)

    @property
    def modules(self) -> dict[str, Callable[[ArrayLike], Real]]:
        """What ``sympy.lambdify`` needs to find the table under the function's name."""
        return {self.name: self.numpy}

    def cpp(self) -> str:
        """The table as a C++ array of raw integers, ``<name>_table``, in address order."""
        bits = next(b for b in (8, 16, 32, 64) if self.value.width + (not self.value.signed) <= b)
        entries = ", ".join(map(str, self.table.tolist()))
        return f"static const int{bits}_t {self.name}_table[{self.table.size}] = {{{entries}}};\n"

    def graph(self, input: Fixed | None = None) -> Graph:
        """The function alone: port x of type ``input`` (by default the domain's) to port y."""
        builder = Builder()
        source = input or self.domain.plain()
        builder.output("y", self.lower(builder, builder.input("x", source)))
        return verify(builder.build())

    def lower(self, builder: Builder, index: int) -> int:
        """Append the cast to the domain and what the form takes; the index of the result."""
        if self.form.plain:
            address = builder.cast(index, self.domain)
            return builder.op(
                "lut", address, type=self.value.plain(), function=self.name, table=self.table
            )
        address = enter(builder, index, self.domain)
        return self.form.lower(builder, address, self.name, self.function, self.domain, self.value)

    def _covered(self) -> tuple[float, float]:
        """The interval that the bins of the domain cover."""
        ends = np.array([self.domain.lowest, self.domain.max_raw + 1])
        low, high = edges(self.domain, ends).tolist()
        return low, high

    def max_error(
        self, low: float | None = None, high: float | None = None, input: Fixed | None = None
    ) -> float:
        """The largest absolute error against the real function; infinite if that has a pole.

        Enumerated over every domain word. With an ``input`` type (by default the attribute) of
        16 bits or fewer, only the words of that type in [low, high] are asked. Otherwise the
        argument may be any real number: within a bin the result is constant and the function
        monotone between its turns, so the ends of the bin (the upper one as a limit) and the
        turns inside it are where the error is largest. Without ``low`` and ``high`` they are the
        ends of ``interval``. Beyond the domain the function saturates, and that counts.

        Raises:
            FixedError: for an interval that is empty, or has no word of ``input``.
        """
        if not self.function:
            return 0.0
        first, last = self.interval or self._covered()
        low, high = first if low is None else low, last if high is None else high
        mask = np.int64((1 << self.domain.width) - 1)
        real, source = FUNCTIONS[self.function], input or self.input
        return largest_error(
            real, self.domain, self.value, lambda w: self.table[w & mask], low, high, source
        )


def largest_error(
    function: Function,
    domain: Fixed,
    value: Fixed,
    values: Callable[[Raw], Raw],
    low: float,
    high: float,
    input: Fixed | None = None,
    few: int | None = None,
) -> float:
    """What ``LutFunc.max_error`` says, for any way to get the ``values`` of domain words.

    With ``few`` only about that many words are asked, which gives a lower bound.
    """
    if not low <= high:
        msg = f"no interval {low}..{high}: give a low end that is not above the high one"
        raise FixedError(msg)
    if input is not None and input.width <= MAX_DOMAIN_BITS:
        first = max(math.ceil(math.ldexp(low, input.frac)), input.lowest)
        last = min(math.floor(math.ldexp(high, input.frac)), input.max_raw)
        if first > last:
            msg = f"no word of {input} lies in {low}..{high}; give a wider interval"
            raise FixedError(msg)
        raw = _some(first, last, few)
        found = value.to_float(values(domain.cast(raw, input)))
        return float(np.abs(function(input.to_float(raw)) - found).max())
    if function.poles_in(low, high).size:
        return math.inf
    first, last = (int(domain.quantize(end)) for end in (low, high))
    words = _some(first, last, few)
    reals = value.to_float(values(words))
    # the first and last word stand for everything beyond the domain too
    starts = np.maximum(edges(domain, words), low)
    ends = np.minimum(edges(domain, words + 1), high)
    starts, ends = np.where(words == first, low, starts), np.where(words == last, high, ends)
    turns = function.turns_in(low, high)
    at = np.searchsorted(ends, turns).clip(max=len(ends) - 1)
    inside = (starts[at] <= turns) & (turns <= ends[at])
    errors = [np.abs(function(x) - reals) for x in (starts, ends)]
    errors.append(np.abs(function(turns) - reals[at])[inside])
    return float(max(e.max(initial=0.0) for e in errors))


def _some(first: int, last: int, few: int | None) -> Raw:
    step = 1 if few is None else max((last - first) // few, 1)
    return np.arange(first, last + 1, step, dtype=np.int64)


def enter(b: Builder, index: int, domain: Fixed) -> int:
    """The argument within the domain, in no more bits than its range needs."""
    source, ends = b.type(index), b.ranges[index]
    if not cast_fits(domain, source, ends):
        return b.cast(index, domain)
    address = b.cast(index, domain.with_modes(domain.rounding))
    narrow = span(*b.ranges[address], b.type(address).frac)
    return b.cast(address, narrow) if narrow.width < domain.width else address


@lru_cache(maxsize=256)
def _enumerated(
    function: str, domain: Fixed, value: Fixed, form: Form, values: tuple[int, ...]
) -> Raw:
    """The function of every domain word, in address order and read-only."""
    raw = addresses(domain)
    if values:
        entries = np.array(values, dtype=np.int64)[raw - domain.min_raw]
    elif form.plain:
        entries = rounded_entries(FUNCTIONS[function](sample_points(domain, raw)), value)
    else:
        entries = enumerate_form(function, domain, value, form, raw)
    entries.setflags(write=False)
    return entries


def enumerate_form(function: str, domain: Fixed, value: Fixed, form: Form, words: Raw) -> Raw:
    """What a form computes for domain words, by the interpreter."""
    return evaluate(form_graph(function, domain, value, form), {"x": words})["y"]


def form_graph(
    function: str, domain: Fixed, value: Fixed, form: Form, input: Fixed | None = None
) -> Graph:
    """A form alone, from port x of type ``input`` (by default the domain's) to port y."""
    b = Builder()
    address = enter(b, b.input("x", input or domain.plain()), domain)
    b.output("y", form.lower(b, address, function, function, domain, value))
    return b.build()
