"""Which forms are worth trying for a function, an interval and an error.

The sizes come from textbook estimates: half a bin at the steepest slope for tables, and
``|f''| * length**2 / 16`` for the best line of a segment. They only say where to look: what is
chosen is enumerated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nacsr.fixed import Fixed
from nacsr.luts.cores import LEADING, Bipartite, Core, Leading, Linear, Product
from nacsr.luts.forms import Form
from nacsr.luts.functions import FUNCTIONS, Function
from nacsr.luts.lut import MAX_ADDRESS_BITS, MAX_DOMAIN_BITS
from nacsr.luts.price import digits

POINTS = 513  # at which slopes are estimated
SIZES = 3  # of a kind that are tried, from the estimate on
FINER = 2  # bits by which an argument is finer than its phase

Family = Sequence[tuple[Fixed, Form]]
"""Domains and forms of one kind, from small to large."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A function, the interval of its arguments, its error and the words that arrive."""

    function: str
    low: float
    high: float
    error: float
    input: Fixed | None

    @property
    def real(self) -> Function:
        """The real function."""
        return FUNCTIONS[self.function]

    @property
    def signed(self) -> bool:
        """Whether arguments may be negative."""
        return self.low < 0

    def finest(self, integer: int) -> int:
        """Fractional bits beyond which a domain gains nothing, or is too wide."""
        own = MAX_DOMAIN_BITS if self.input is None else self.input.frac
        return min(own, MAX_DOMAIN_BITS - integer)

    def table_frac(self) -> int:
        """Fractional bits of a domain whose bins are fine enough for a plain table."""
        slopes = self._slopes()
        return math.ceil(math.log2(max(float(np.abs(slopes).max()) / self.error, 1.0))) - 1

    def segment_bits(self, reach: float) -> int:
        """log2 of the number of segments that ``reach`` needs."""
        bend = np.abs(np.diff(self._slopes())).max() * (POINTS - 1) / (self.high - self.low)
        length = math.sqrt(16 * self.error / max(float(bend), self.error))
        return max(math.ceil(math.log2(reach / length)), 1)

    def _slopes(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        with np.errstate(all="ignore"):
            slopes = self.real.slope(np.linspace(self.low, self.high, POINTS))
        return np.asarray(slopes[np.isfinite(slopes)], dtype=np.float64)


def families(w: Wanted) -> Iterator[Family]:
    """Every kind of form that may do, those of few operations first."""
    for integer in _covers(w):
        for mirror in (False, True) if w.signed and w.real.parity else (False,):
            yield _tables(w, integer, mirror)
            least, most = w.table_frac(), w.finest(integer)
            fracs = {min(max(least + n, 3 - integer), most) for n in (1, 2)}
            if w.function in LEADING:  # whose slope at zero has no bound
                fracs.add(most)
            for frac in sorted(fracs):
                for cores in _cores(w, integer, frac, mirror):
                    domains = _domains(w, integer, frac, mirror)
                    yield [(d, Form(core, mirror=mirror)) for core in cores for d in domains]
        if w.real.period:
            yield from _phases(w, integer)


def _covers(w: Wanted) -> list[int]:
    """Integer bits of domains: those that cover the interval, or fewer where it is flat."""
    reach = max(w.high, -w.low)
    most = math.ceil(math.log2(reach)) + w.signed
    if w.high == math.ldexp(1.0, most - w.signed):
        most += 1  # the end itself is an argument, and no word of the smaller domain
    found = [most]
    while len(found) < MAX_DOMAIN_BITS:
        end = math.ldexp(1.0, found[-1] - 1 - w.signed)
        if max(_varies(w, end, w.high), _varies(w, w.low, -end)) > w.error:
            break
        found.append(found[-1] - 1)
    return found[-2:][::-1]


def _varies(w: Wanted, low: float, high: float) -> float:
    if low >= high:
        return 0.0
    values = w.real(np.concatenate([[low, high], w.real.turns_in(low, high)]))
    return float(np.ptp(values)) if np.isfinite(values).all() else math.inf


def _domains(w: Wanted, integer: int, frac: int, mirror: bool) -> list[Fixed]:
    """The domain of these bits: centred bins, or exact words where no bit of the input is lost."""
    if not 2 + mirror <= integer + frac <= MAX_DOMAIN_BITS:
        return []
    t = Fixed(integer + frac, integer, w.signed)
    if w.input is not None and frac >= w.input.frac:
        return [t.with_modes("RND", "SAT_SYM" if mirror else "SAT")]
    return [t.with_modes("TRN", "SAT")]


def _tables(w: Wanted, integer: int, mirror: bool) -> Family:
    most = min(w.finest(integer), MAX_ADDRESS_BITS + mirror - integer)
    least = max(w.table_frac(), 2 + mirror - integer)
    fracs = sorted({min(least + n, most) for n in range(SIZES)})
    domains = [d for frac in fracs for d in _domains(w, integer, frac, mirror)]
    return [(domain, Form(mirror=mirror)) for domain in domains]


def _cores(w: Wanted, integer: int, frac: int, mirror: bool) -> list[list[Core]]:
    """Cores for words that are too many for one table, by kind."""
    width = integer + frac - mirror
    least = w.segment_bits(math.ldexp(1.0, integer - mirror))
    kinds: list[list[Core]] = [
        [Linear(n) for n in range(least, min(least + SIZES, width))],
        [
            Bipartite(high, middle)
            for high in range(width // 3, width // 3 + 3)
            for middle in ((width - high) // 2, (width - high) // 2 + 1)
        ],
    ]
    if w.function == "exp":
        kinds.append([Product(width // 2 + n) for n in (-1, 0, 1)])
    if w.function in LEADING:
        kinds.append([Leading(n) for n in range(2, min(width, MAX_ADDRESS_BITS))])
    return kinds


def _phases(w: Wanted, integer: int) -> Iterator[Family]:
    """Periodic forms: a domain a few times finer than the phase."""
    for mirror in (True, False):
        fold = mirror and bool(w.real.fold)
        sizes = []
        for n in range(SIZES + 1):
            frac = w.table_frac() + n  # of the phase, in units of the argument
            phase = frac + math.ceil(math.log2(w.real.period))
            if 4 <= phase <= MAX_DOMAIN_BITS:
                factor = _factor_bits(w.real.period, phase + integer + 1)
                form = Form(phase=phase, factor=factor, mirror=mirror, fold=fold)
                domains = _domains(w, integer, min(frac + FINER, w.finest(integer)), False)
                sizes += [(d, form) for d in domains]
        yield sizes
        if mirror:
            segments = w.segment_bits(math.ldexp(w.real.period, -mirror - fold))
            for n in (segments, segments + 1):
                yield [(d, replace(form, core=Linear(n))) for d, form in sizes[1:]]


def _factor_bits(period: float, needed: int) -> int:
    """Fractional bits of 1 / period: fewest nonzero digits, within 2**-needed of it."""
    near = []
    for n in range(1, needed + 3):
        exact = math.ldexp(1 / period, n)
        if math.ldexp(abs(round(exact) - exact), -n) <= 2.0**-needed and round(exact):
            near.append((digits(round(exact)), n))
    return min(near)[1]
