"""Words and scaling: what is derived, and what is refused because it would be lost."""

from __future__ import annotations

import numpy as np
import pytest

from nacsr.data.words import check_words, derive_features, fit_scaling, standardise, to_words
from nacsr.errors import DataError

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
    assert (np.abs(np.median(z, axis=0)) == 0).all()
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
