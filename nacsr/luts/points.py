"""Where the words of a domain are sampled, and what becomes of a function's values there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nacsr.errors import SpecError
from nacsr.fixed import Fixed, Overflow, Raw, Rounding
from nacsr.luts.functions import Real


def bin_start(domain: Fixed, words: Raw) -> Real:
    """Where the bin of a word begins, in steps from the word's own value."""
    if domain.rounding is Rounding.TRN:
        return np.zeros(words.shape)
    if domain.rounding is Rounding.TRN_ZERO:
        return np.where(words < 0, -1.0, 0.0)
    return np.full(words.shape, -0.5)


def edges(domain: Fixed, words: Raw) -> Real:
    """Where the bins of words begin; they end where those of their successors do."""
    start = bin_start(domain, words)
    if domain.rounding is Rounding.TRN_ZERO:
        start = np.where(words <= 0, -1.0, 0.0)  # the bin of zero is two steps wide
    return (words + start) * domain.lsb


def sample_points(domain: Fixed, words: Raw) -> Real:
    """Where the plain form takes the value of a word: in the middle of its bin."""
    return (words + bin_start(domain, words) + 0.5) * domain.lsb


def rounded_entries(exact: Real, value: Fixed) -> Raw:
    """Rounded to nearest, and saturated: clipped first, since quantize refuses infinities."""
    return value.with_modes("RND", "SAT").quantize(np.clip(exact, value.min, value.max))


def check_domain(where: str, domain: Fixed, bits: int) -> None:
    """Refuse a domain that wraps, or of more words than ``bits`` number."""
    if domain.overflow not in (Overflow.SAT, Overflow.SAT_SYM):
        msg = f"{where}: domain {domain} must saturate; write it as fixed<8,4,TRN,SAT>"
        raise SpecError(msg)
    if domain.width > bits:
        msg = (
            f"{where}: domain {domain} means 2**{domain.width} entries, limit 2**{bits}; "
            "use fewer fractional bits"
        )
        raise SpecError(msg)


def asked(where: str, function: Callable[[Real], Any], points: Real) -> Real:
    """A user's function at sample points; never NaN."""
    arguments = f"for an array of {points.size} arguments {points.min():g}..{points.max():g}"
    remedy = "write it with numpy functions, or wrap it in np.vectorize"
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(function(points))
    except Exception as error:  # whatever a user's function may raise
        reason = " ".join(str(error).split())
        msg = f"{where}: it raised {type(error).__name__} ({reason}) {arguments}; {remedy}"
        raise SpecError(msg) from None
    if found.shape != points.shape or found.dtype.kind not in "fiub":
        got = f"{found.dtype} of shape {found.shape}"
        msg = f"{where}: it gave {got} {arguments}, not one real number each; {remedy}"
        raise SpecError(msg)
    real: Real = found.astype(np.float64)
    if np.isnan(real).any():
        at = points[np.isnan(real)][0]
        msg = f"{where}: it is NaN at {at:g}; give a number there, or a domain that leaves it out"
        raise SpecError(msg)
    return real
