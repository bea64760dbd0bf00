"""Words and scaling: what is derived, and what is refused because it would be lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nacsr.data.words import (
    Feature,
    check_words,
    derive_features,
    fit_scaling,
    standardise,
    to_words,
)
from nacsr.errors import DataError
from nacsr.fixed import Fixed

RNG = np.random.default_rng(0)


def test_types_follow_the_training_range() -> None:
    x = np.stack([RNG.uniform(0, 900, 500), RNG.normal(size=500), RNG.uniform(0, 0.2, 500)], 1)
    types = [str(f.type.plain()) for f in derive_features(x, ["pt", "eta", "c"])]
    assert types == ["ufixed<16,10>", "fixed<16,3>", "ufixed<16,-2>"]


def test_standardised_values_are_of_order_one_and_exact() -> None:
    x = np.stack([RNG.uniform(0, 900, 500), RNG.normal(5, 0.1, 500)], 1)
    features = derive_features(x, ["pt", "eta"])
    words = to_words(x, features)
    z = standardise(words, features, fit_scaling(words, features))
    assert (np.abs(np.median(z, axis=0)) < 1 / 8).all()
    assert ((z.std(axis=0) > 0.7) & (z.std(axis=0) < 1.5)).all()


def test_a_few_outliers_do_not_set_the_scale() -> None:
    x = RNG.normal(size=(2000, 1))
    x[:4] = 500
    features = derive_features(x, ["a"])
    words = to_words(x, features)
    z = standardise(words, features, fit_scaling(words, features))
    assert 0.5 < np.std(z[4:]) < 2


@pytest.mark.parametrize("column", [1e6 + 0.01 * RNG.normal(size=300), np.r_[1e9, np.ones(299)]])
def test_a_feature_that_its_words_would_lose_is_refused(column: np.ndarray) -> None:
    x = np.stack([RNG.normal(size=300), column], axis=1)
    if len(np.unique(column)) == 2:
        x[1:, 1] += 1e-3 * RNG.normal(size=299)
    features = derive_features(x, ["fine", "lost"])
    with pytest.raises(DataError, match=r"'lost'.*inputs\.types"):
        check_words(x, to_words(x, features), features)


def test_a_feature_that_is_constant_in_training_is_refused() -> None:
    x = np.stack([RNG.normal(size=50), np.full(50, 3.0)], axis=1)
    features = derive_features(x, ["a", "still"])
    with pytest.raises(DataError, match="'still' is constant in the training events"):
        check_words(x, to_words(x, features), features)


@given(
    st.integers(0, 2**16 - 1),
    st.integers(1, 5_000),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_an_offset_is_near_the_median_on_a_coarse_grid(
    centre: int, spread: int, signed: bool, seed: int
) -> None:
    type_ = Fixed(16, 6, signed)
    noise = np.random.default_rng(seed).normal(0, spread, 200)
    raw = np.clip(np.rint(centre - (2**15 if signed else 0) + noise), type_.min_raw, type_.max_raw)
    words = raw.astype(np.int64)[:, None]
    low, high = np.quantile(words, (0.25, 0.75))
    assume(high - low > np.std(words) / 4)  # few are clipped
    (offset,) = fit_scaling(words, [Feature("a", type_)]).offsets
    step = float(np.std(words)) / 8
    assert type_.min_raw <= offset <= type_.max_raw
    assert offset % 2 ** max(0, int(np.floor(np.log2(step)))) == 0
    assert abs(offset - np.median(words)) <= max(2 * step, 1)


def test_a_median_below_the_grid_is_not_centred() -> None:
    type_ = Feature("a", Fixed(16, 6))
    base = np.arange(-1600, 1601)[:, None]  # spread 924 words, grid 128
    medians = {0: 0, 127: 0, -127: 0, 128: 128, 191: 128, 193: 256, -130: -128, 1000: 1024}
    found = {m: fit_scaling(base + m, [type_]).offsets[0] for m in medians}
    assert found == medians


def test_an_offset_never_leaves_the_word() -> None:
    type_ = Feature("a", Fixed(16, 0, False))
    words = np.r_[np.zeros(40), np.full(160, 65535)].astype(np.int64)[:, None]
    (offset,) = fit_scaling(words, [type_]).offsets
    assert offset == 65536 - 4096
