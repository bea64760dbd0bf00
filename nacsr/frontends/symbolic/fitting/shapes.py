"""Fitted tables: smooth functions of one subexpression, found by regression, one lookup each.

A table has a grid, the words of its address, and a basis of shapes on it: linear B-splines
whose knots are quantiles of the data (Eilers and Marx, Statistical Science 11, 1996, 89), so
its entries are linear in a few coefficients and are fitted together with the weights of all
other terms. In hardware whatever came out is one ROM: 64 entries are one LUT6 per output bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, span
from nacsr.frontends.symbolic.language.expr import Call, Expr, Num
from nacsr.luts import LutFunc

Real = NDArray[np.float64]

TABLE = "table"
"""The operator of a term that is still to be fitted: ``table(x + y)``."""

OPEN = LutFunc(TABLE, "", Fixed(2, 2).with_modes("TRN", "SAT"), Fixed(2, 2), values=(-2, -1, 0, 1))
"""Stands for the table in a formula until there is one."""
KNOTS = 10
CORE = (0.005, 0.995)
"""Quantiles that a grid resolves; what lies beyond saturates to its ends."""
LEAST_SPREAD = 1e-6
FINER = 3
STARTS = (0.0, 0.4, 1.0)
"""Grids that are tried: finer by powers of two, and which part of the bulk these cover."""
MORE = 1.005
"""How much more a finer grid must explain."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The grid of a table and what may be written there.

    Attributes:
        domain: type of the address.
        start: what is taken off the argument before.
        basis: shapes by domain word, from the smallest, of shape (2**width, shapes); over the
            sample that they were made from they have mean zero, unit variance and no
            correlation.
    """

    domain: Fixed
    start: float
    basis: Real

    def place(self, u: Real) -> NDArray[np.int64]:
        """Row of the basis for every value."""
        return self.domain.quantize(u - self.start) - self.domain.min_raw

    def argument(self, u: Expr) -> Expr:
        """What the table reads, for an expression."""
        if self.start == 0:
            return u
        return Call("sub" if self.start > 0 else "add", (u, Num(abs(self.start))))

    def columns(self, u: Real) -> Real:
        """The shapes for every value, shape (events, shapes)."""
        return self.basis[self.place(u)]

    def lut(self, name: str, coefficients: Real, frac: int, offset: float = 0.0) -> LutFunc | None:
        """The table of some coefficients with ``frac`` fractional bits; None if it is constant."""
        raw = np.rint(np.ldexp(self.basis @ coefficients + offset, frac)).astype(np.int64)
        low, high = int(raw.min()), int(raw.max())
        if low == high:
            return None
        return LutFunc(name, "", self.domain, span(low, high, frac), values=tuple(raw.tolist()))


def grids(u: Real, bits: int) -> Iterator[tuple[Fixed, float]]:
    """Address types and where they start: the one that covers the bulk of the data, then finer
    ones that cover less of it. None if the data is one value.

    A step is a power of two, and a start the roundest number of steps that serves.
    """
    low, high = np.quantile(u, CORE).tolist()
    if not math.isfinite(low) or high - low < LEAST_SPREAD:
        return
    size = 1 << bits
    frac = math.floor(math.log2((size - 1) / (high - low)))
    yield _aligned(low, high, bits, frac)
    for finer in range(1, FINER + 1):
        reach = math.ldexp(size - 1, -frac - finer)
        for share in STARTS:
            at = low + share * max(high - low - reach, 0.0)
            yield _aligned(at, at + reach, bits, frac + finer)


def _aligned(low: float, high: float, bits: int, frac: int) -> tuple[Fixed, float]:
    size = 1 << bits
    first, last = math.floor(math.ldexp(low, frac)), math.floor(math.ldexp(high, frac))
    if -size // 2 <= first and last < size // 2:
        return Fixed(bits, bits - frac).with_modes("TRN", "SAT"), 0.0
    starts = (first >> k << k for k in range(bits, -1, -1))
    start = next(s for s in starts if last <= s + size)
    return Fixed(bits, bits - frac, signed=False).with_modes("TRN", "SAT"), math.ldexp(start, -frac)


def best_grid(
    u: Real, weights: Real | None, bits: int, targets: Real | None
) -> tuple[Fixed, float] | None:
    """The grid whose steps explain most of the targets; the first one if there are none."""
    found = list(grids(u, bits))
    if targets is None or len(found) < 2:
        return found[0] if found else None
    finest = max(domain.frac for domain, _ in found)
    words = np.floor(np.ldexp(u, finest)).astype(np.int64)
    best, told = found[0], 0.0
    for domain, start in found:
        first = domain.min_raw + math.floor(math.ldexp(start, domain.frac))
        place = np.clip((words >> (finest - domain.frac)) - first, 0, (1 << bits) - 1)
        explained = _explained(place, weights, 1 << bits, targets)
        if explained > told * MORE:
            best, told = (domain, start), explained
    return best


def _explained(place: NDArray[np.int64], weights: Real | None, size: int, targets: Real) -> float:
    """Variance of the targets between steps, summed over them."""
    w = np.ones(len(place)) if weights is None else weights
    share = np.bincount(place, w, size)
    total = 0.0
    for target in targets.T:
        sums = np.bincount(place, w * target, size)
        total += float((sums**2 / np.maximum(share, 1e-9)).sum() - sums.sum() ** 2 / share.sum())
    return total


def shape(
    u: Real,
    weights: Real | None,
    bits: int,
    knots: int = KNOTS,
    targets: Real | None = None,
    read: Callable[[Fixed], Real] | None = None,
) -> Shape | None:
    """The grid and the basis of a subexpression; None if it hardly varies on any grid.

    Args:
        u: values of the subexpression, shape (events,).
        weights: how much each event counts, with a mean of one; None: all the same.
        bits: of the address.
        knots: of the splines, at most.
        targets: what the table is for, shape (events, outputs): its steps are where these change.
        read: the values as a table of a domain reads them; None: as they are.
    """
    found = best_grid(u, weights, bits, targets)
    if found is None:
        return None
    domain, start = found
    place = domain.quantize((u if read is None else read(domain)) - start) - domain.min_raw
    share = np.bincount(place, weights, 1 << bits) / len(u)
    at = np.unique(np.searchsorted(np.cumsum(share), np.linspace(0, 1, knots)[1:-1]))
    filled = np.flatnonzero(share)
    at = np.unique([filled[0], *at.clip(filled[0], filled[-1]), filled[-1]])
    if len(at) < 2:
        return None
    words = np.arange(1 << bits)
    hats = np.stack([np.interp(words, at, row) for row in np.eye(len(at))[1:]], axis=1)
    return Shape(domain, start, _uncorrelated(hats, share))


def _uncorrelated(columns: Real, share: Real) -> Real:
    """The columns turned so that they have mean zero and unit covariance under ``share``."""
    centred = columns - share @ columns
    values, vectors = np.linalg.eigh(centred.T @ (share[:, None] * centred))
    kept = values > 1e-4 * values[-1]  # what remains of others is noise of a few events
    turned: Real = centred @ (vectors[:, kept] / np.sqrt(values[kept]))
    return turned
