"""Fitted tables: smooth functions of one subexpression, found by regression, one lookup each.

A table has a grid, the words of its address, and a basis of shapes on it: linear B-splines
whose knots are quantiles of the data (Eilers and Marx, Statistical Science 11, 1996, 89), so
its entries are linear in a few coefficients and are fitted together with the weights of all
other terms. In hardware whatever came out is one ROM: 64 entries are one LUT6 per output bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nacsr.fixed import Fixed, span
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


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The grid of a table and what may be written there.

    Attributes:
        domain: type of the address.
        basis: shapes by domain word, from the smallest, of shape (2**width, shapes); over the
            sample that they were made from they have mean zero, unit variance and no
            correlation.
    """

    domain: Fixed
    basis: Real

    def place(self, u: Real) -> NDArray[np.int64]:
        """Row of the basis for every value."""
        return self.domain.quantize(u) - self.domain.min_raw

    def columns(self, u: Real) -> Real:
        """The shapes for every value, shape (events, shapes)."""
        return self.basis[self.place(u)]

    def lut(self, name: str, coefficients: Real, frac: int) -> LutFunc | None:
        """The table of some coefficients with ``frac`` fractional bits; None if it is constant."""
        raw = np.rint(np.ldexp(self.basis @ coefficients, frac)).astype(np.int64)
        low, high = int(raw.min()), int(raw.max())
        if low == high:
            return None
        return LutFunc(name, "", self.domain, span(low, high, frac), values=tuple(raw.tolist()))


def grid(u: Real, bits: int) -> Fixed | None:
    """The address type whose steps resolve the bulk of the data; None if that is one value."""
    low, high = np.quantile(u, CORE).tolist()
    if not math.isfinite(low) or high - low < LEAST_SPREAD:
        return None
    signed = low < 0
    reach = max(high, -low)
    integer = math.ceil(math.log2(reach)) + signed
    return Fixed(bits, integer, signed).with_modes("TRN", "SAT")


def shape(u: Real, weights: Real | None, bits: int, knots: int = KNOTS) -> Shape | None:
    """The grid and the basis of a subexpression; None if it hardly varies on any grid.

    Args:
        u: values of the subexpression, shape (events,).
        weights: how much each event counts, with a mean of one; None: all the same.
        bits: of the address.
        knots: of the splines, at most.
    """
    domain = grid(u, bits)
    if domain is None:
        return None
    place = domain.quantize(u) - domain.min_raw
    share = np.bincount(place, weights, 1 << bits) / len(u)
    at = np.unique(np.searchsorted(np.cumsum(share), np.linspace(0, 1, knots)[1:-1]))
    filled = np.flatnonzero(share)
    at = np.unique([filled[0], *at.clip(filled[0], filled[-1]), filled[-1]])
    if len(at) < 2:
        return None
    words = np.arange(1 << bits)
    hats = np.stack([np.interp(words, at, row) for row in np.eye(len(at))[1:]], axis=1)
    return Shape(domain, _uncorrelated(hats, share))


def _uncorrelated(columns: Real, share: Real) -> Real:
    """The columns turned so that they have mean zero and unit covariance under ``share``."""
    centred = columns - share @ columns
    values, vectors = np.linalg.eigh(centred.T @ (share[:, None] * centred))
    kept = values > 1e-4 * values[-1]  # what remains of others is noise of a few events
    turned: Real = centred @ (vectors[:, kept] / np.sqrt(values[kept]))
    return turned
