"""Fixed against exact fractions, one rounding rule and one overflow rule at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacsr.errors import FixedError
from nacsr.fixed import Fixed, Overflow, Rounding, hull, span


def exact(value: Fraction, to: Fixed) -> int:
    """The definition, written from the ap_fixed manual on exact fractions."""
    scaled = value * Fraction(2) ** to.frac
    low = math.floor(scaled)
    rest = scaled - low
    half = Fraction(1, 2)
    up = {
        Rounding.TRN: False,
        Rounding.TRN_ZERO: rest > 0 and scaled < 0,
        Rounding.RND: rest >= half,
        Rounding.RND_MIN_INF: rest > half,
        Rounding.RND_INF: rest > half or (rest == half and scaled > 0),
        Rounding.RND_ZERO: rest > half or (rest == half and scaled < 0),
        Rounding.RND_CONV: rest > half or (rest == half and low % 2 == 1),
    }[to.rounding]
    raw = low + up
    top, bottom = to.max_raw, to.min_raw
    if to.overflow is Overflow.WRAP:
        raw %= 1 << to.width
        return raw - (1 << to.width) if raw > top else raw
    if to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1:  # as the headers do
        bottom = -top
    if bottom <= raw <= top:
        return raw
    if to.overflow is Overflow.SAT_ZERO:
        return 0
    return top if raw > top else bottom


types = st.builds(
    Fixed,
    st.integers(1, 63),
    st.integers(-70, 70),
    st.booleans(),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)


@st.composite
def conversions(draw: st.DrawFn) -> tuple[Fixed, list[int], Fixed]:
    source = draw(types)
    near = draw(st.integers(-6, 6))  # most targets overlap the source's bits, some do not
    to = draw(types)
    if draw(st.booleans()):
        to = Fixed(to.width, source.integer + near, to.signed, to.rounding, to.overflow)
    ends = st.sampled_from([source.min_raw, source.max_raw, 0, source.min_raw + 1])
    raws = draw(st.lists(st.integers(source.min_raw, source.max_raw) | ends, min_size=1))
    return source, raws, to


@given(conversions())
def test_cast_is_exact(case: tuple[Fixed, list[int], Fixed]) -> None:
    source, raws, to = case
    expected = [exact(Fraction(r) / Fraction(2) ** source.frac, to) for r in raws]
    assert to.cast(raws, source).tolist() == expected


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1),
    types,
)
def test_quantize_is_exact(values: list[float], to: Fixed) -> None:
    assert to.quantize(values).tolist() == [exact(Fraction(v), to) for v in values]


@given(types)
def test_text_parses_back(t: Fixed) -> None:
    assert Fixed.parse(str(t)) == t


@given(st.lists(types, min_size=1, max_size=3))
def test_hull_holds_every_value(parts: list[Fixed]) -> None:
    try:
        whole = hull(*parts)
    except FixedError:
        return
    for t in parts:
        ends = np.array([t.min_raw, t.max_raw])
        for raw, cast in zip(ends, whole.cast(ends, t), strict=True):
            assert Fraction(int(raw)) / Fraction(2) ** t.frac == (
                Fraction(int(cast)) / Fraction(2) ** whole.frac
            )


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40), st.integers(-8, 8))
def test_span_is_the_narrowest(lo: int, size: int, frac: int) -> None:
    t = span(lo, lo + size, frac)
    assert t.min_raw <= lo <= lo + size <= t.max_raw
    if t.width > 1:
        narrow = Fixed(t.width - 1, t.integer - 1, t.signed)
        assert lo < narrow.min_raw or lo + size > narrow.max_raw


@pytest.mark.parametrize("text", ["", "16", "fixed<a,b>", "fixed<16,6,UP>", "float", "fixed<1>"])
def test_bad_text_says_what_was_expected(text: str) -> None:
    with pytest.raises(FixedError, match="fixed<"):
        Fixed.parse(text)


def test_widths_and_values_out_of_reach_are_refused() -> None:
    with pytest.raises(FixedError, match=r"1\.\.63 bits, not 64"):
        Fixed(64, 3)
    with pytest.raises(FixedError, match="1023 at most, not 2000"):
        Fixed(8, 2000)
    with pytest.raises(FixedError, match="NaN or infinite"):
        Fixed(8, 3).quantize([np.nan])


def test_values_beyond_float_range_saturate_without_a_warning() -> None:
    t = Fixed(8, -900, overflow=Overflow.SAT)
    assert t.quantize([1e300, -1e300, 0.0]).tolist() == [127, -128, 0]
