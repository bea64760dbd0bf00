"""LUT functions: one definition, and every form of it a projection of the same integers.

The domain of a ``LutFunc`` is a ``Fixed``, so its address is a cast: a bit slice, saturated
at the ends. Its table is computed once and is what numpy, torch and sympy evaluate and what
the firmware holds: the table a user trains with is the table on the chip.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nacsr.errors import FixedError, SpecError, unknown
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.resources import folder

if TYPE_CHECKING:
    import torch

Real = NDArray[np.float64]

MAX_ADDRESS_BITS = 12
STEPS = 64  # points a bin at which max_error looks, besides its ends


def _erf(x: Real) -> Real:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float64)


def _sigmoid(x: Real) -> Real:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _sech2(x: Real) -> Real:
    return 1.0 - np.tanh(x) ** 2


@dataclass(frozen=True, slots=True)
class Function:
    """A real function, its derivative, and where it is infinite; vectorised, never NaN."""

    value: Callable[[Real], Real]
    slope: Callable[[Real], Real]
    poles: tuple[float, ...] = ()


_TAN_POLES = tuple([(k + 0.5) * math.pi for k in range(-1000, 1000)])

FUNCTIONS: Mapping[str, Function] = {
    "sin": Function(np.sin, np.cos),
    "cos": Function(np.cos, lambda x: -np.sin(x)),
    "tan": Function(np.tan, lambda x: 1.0 + np.tan(x) ** 2, _TAN_POLES),
    "exp": Function(np.exp, np.exp),
    "gauss": Function(lambda x: np.exp(-x * x), lambda x: -2.0 * x * np.exp(-x * x)),
    "log_abs": Function(lambda x: np.log(np.abs(x)), lambda x: 1.0 / x, (0.0,)),
    "tanh": Function(np.tanh, _sech2),
    "sqrt_abs": Function(
        lambda x: np.sqrt(np.abs(x)), lambda x: np.sign(x) / (2.0 * np.sqrt(np.abs(x)))
    ),
    "inverse": Function(lambda x: 1.0 / x, lambda x: -1.0 / (x * x), (0.0,)),
    "sigmoid": Function(_sigmoid, lambda x: 0.25 * _sech2(0.5 * x)),
    "sinh": Function(np.sinh, np.cosh),
    "cosh": Function(np.cosh, np.sinh),
    "erf": Function(_erf, lambda x: 2.0 / math.sqrt(math.pi) * np.exp(-x * x)),
    "softplus": Function(lambda x: np.logaddexp(0.0, x), _sigmoid),
}


class Builds(Protocol):
    """The part of ``nacsr.ir.Builder`` that a LUT function needs to lower itself."""

    def cast(self, arg: int, type: Fixed) -> int:
        """Convert a value."""
        ...

    def op(self, name: str, /, *args: int, type: Fixed | None, function: str, table: Raw) -> int:
        """Append an op."""
        ...


@dataclass(frozen=True, slots=True)
class LutFunc:
    """A function as a table over a fixed-point domain.

    An entry is the function at one point of its bin, rounded to nearest and saturated at the
    ends of ``value`` (whose own modes are not used): so does a pole, such as ``log_abs(0)``,
    and nothing is ever infinite or NaN. With a ``TRN`` domain, whose cast is free in
    hardware, the point is the centre of the bin, so that dropping bits costs no accuracy;
    but ``tanh(0)`` is then half a step off zero. With a rounding domain the point is the
    representable value itself, and ``f(0)`` is exact.

    Attributes:
        name: what formulas and designs call it.
        function: a key of ``FUNCTIONS``.
        domain: type of the address; must saturate.
        value: type of the entries.
        about: a line for people.

    Raises:
        SpecError: for an unknown function, a domain that wraps or has more than 2**12
            values, or a table whose entries are all equal.

    >>> f = LutFunc("sin", "sin", Fixed.parse("fixed<8,4,TRN,SAT>"), Fixed(8, 1))
    >>> float(f.numpy(1.0)), f.max_error() < 0.04
    (0.859375, True)
    """

    name: str
    function: str
    domain: Fixed
    value: Fixed
    about: str = ""

    def __post_init__(self) -> None:
        where = f"LUT function {self.name!r}"
        if not (self.name.isidentifier() and self.name.isascii()):
            msg = f"{where}: name must be a plain identifier such as my_tanh"
            raise SpecError(msg)
        if self.function not in FUNCTIONS:
            raise SpecError(f"{where}: " + unknown("function", self.function, FUNCTIONS))
        if self.domain.overflow not in (Overflow.SAT, Overflow.SAT_SYM):
            msg = f"{where}: domain {self.domain} must saturate; write it as fixed<8,4,TRN,SAT>"
            raise SpecError(msg)
        if self.domain.width > MAX_ADDRESS_BITS:
            msg = (
                f"{where}: domain {self.domain} means 2**{self.domain.width} entries, limit "
                f"2**{MAX_ADDRESS_BITS}; use fewer fractional bits"
            )
            raise SpecError(msg)
        if self.table.min() == self.table.max():
            msg = (
                f"{where}: every entry over {self.domain} is {self.table[0]} in {self.value}, a "
                "constant; use a wider value type or another domain"
            )
            raise SpecError(msg)

    @property
    def table(self) -> Raw:
        """Read-only entries by address, the bit pattern of the domain word: int64 (2**width,)."""
        return _tables(self.function, self.domain, self.value)[0]

    def with_types(self, domain: Fixed, value: Fixed) -> LutFunc:
        """The same function with another size of table."""
        return replace(self, domain=domain, value=value)

    def address(self, x: ArrayLike) -> Raw:
        """The table index of real numbers.

        Raises:
            FixedError: for NaN or infinite values.
        """
        return self.domain.quantize(x) & np.int64((1 << self.domain.width) - 1)

    def exact(self, x: ArrayLike) -> Real:
        """The real function without a table; infinite at its poles."""
        with np.errstate(all="ignore"):
            return np.asarray(FUNCTIONS[self.function].value(np.asarray(x, dtype=np.float64)))

    def numpy(self, x: ArrayLike) -> Real:
        """The table at real numbers of any shape: the very values of the firmware.

        Raises:
            FixedError: for NaN or infinite values.
        """
        return self.value.to_float(self.table[self.address(x)])

    def torch(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """A differentiable function of tensors.

        Forward is the table. Backward is the derivative of the real function at the sample
        point of the bin, as if there were no steps; beyond the ends it is that of the last bin.
        """
        import torch

        slopes = _tables(self.function, self.domain, self.value)[1]

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

    def lower(self, builder: Builds, index: int) -> int:
        """Append the cast to the domain and the ``lut`` op; the index of the result."""
        address = builder.cast(index, self.domain)
        return builder.op(
            "lut", address, type=self.value.plain(), function=self.name, table=self.table
        )

    def max_error(self, low: float | None = None, high: float | None = None) -> float:
        """The largest absolute error against the real function, infinite if that has a pole.

        Every bin is looked at in its ends (the upper one as a limit) and ``STEPS - 1`` points
        between. Without ``low`` and ``high`` the interval is the one covered by the domain,
        from its smallest value to the end of its last bin; beyond it the table saturates.
        """
        lsb = self.domain.lsb
        words = np.arange(self.domain.min_raw, self.domain.max_raw + 1)
        edges = (words + _bin_start(self.domain, words))[:, None] * lsb
        points = edges + np.linspace(0.0, lsb, STEPS + 1)
        low = points.min() if low is None else low
        high = points.max() if high is None else high
        wanted = (points >= low) & (points <= high)
        if not wanted.any():
            msg = f"{self.name}: {low}..{high} lies outside {self.domain}; no error to report"
            raise FixedError(msg)
        if any(low <= pole <= high for pole in FUNCTIONS[self.function].poles):
            return math.inf
        errors = np.abs(self.exact(points) - self.value.to_float(self.table[words])[:, None])
        return float(errors[wanted].max())


def _bin_start(domain: Fixed, words: Raw) -> Real:
    """Where the bin of a word begins, in steps from the word's own value."""
    if domain.rounding is Rounding.TRN:
        return np.zeros(words.shape)
    if domain.rounding is Rounding.TRN_ZERO:
        return np.where(words < 0, -1.0, 0.0)
    return np.full(words.shape, -0.5)


@lru_cache(maxsize=256)
def _tables(function: str, domain: Fixed, value: Fixed) -> tuple[Raw, Real]:
    """Entries, and slopes of the real function, both in address order and read-only."""
    words = np.arange(1 << domain.width, dtype=np.int64)
    if domain.signed:
        words = np.where(words > domain.max_raw, words - (1 << domain.width), words)
    centres = (words + _bin_start(domain, words) + 0.5) * domain.lsb
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[function].value(centres)
        slopes = FUNCTIONS[function].slope(centres)
    # a pole saturates: clip first, since quantize refuses infinities
    entries = value.with_modes("RND", "SAT").quantize(np.clip(exact, value.min, value.max))
    slopes = np.nan_to_num(slopes, nan=0.0, posinf=0.0, neginf=0.0)
    entries.setflags(write=False)
    slopes.setflags(write=False)
    return entries, slopes


def lut_functions(extra: Path | None = None) -> Mapping[str, LutFunc]:
    """The shipped functions by name, and the user's own out of a folder ``extra``.

    A function of ``extra`` replaces a shipped one of the same name.

    Raises:
        SpecError: naming the file and the key that is wrong.
    """
    if extra is not None and not extra.is_dir():
        msg = f"{extra} is not a folder; LUT functions are read from the *.toml files of one"
        raise SpecError(msg)
    found: dict[str, LutFunc] = {}
    for place in (folder("lut_funcs"), extra):
        files = [] if place is None else sorted(place.iterdir(), key=lambda f: f.name)
        for file in files:
            if file.name.endswith(".toml"):
                lut = _read(file)
                found[lut.name] = lut
    return MappingProxyType(found)


_KEYS = ("name", "function", "domain", "value", "about")


def _read(file: Traversable | Path) -> LutFunc:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file}: cannot read it as TOML: {error}"
        raise SpecError(msg) from None
    for key, entry in table.items():
        if key not in _KEYS:
            raise SpecError(f"{file}: " + unknown("key", key, _KEYS))
        if not isinstance(entry, str):
            msg = f"{file}: {key} must be a string, not {entry!r}"
            raise SpecError(msg)
    missing = [key for key in _KEYS if key not in table]
    if missing:
        msg = f"{file}: {missing[0]} is missing; a file needs {', '.join(_KEYS)}"
        raise SpecError(msg)
    types = {}
    for key in ("domain", "value"):
        try:
            types[key] = Fixed.parse(table[key])
        except FixedError as error:
            msg = f"{file}: {key}: {error}"
            raise SpecError(msg) from None
    try:
        return LutFunc(
            table["name"], table["function"], types["domain"], types["value"], table["about"]
        )
    except SpecError as error:
        msg = f"{file}: {error}"
        raise SpecError(msg) from None
