"""A problem of three classes that tests of the network family share."""

import numpy as np

from nacsr.data.events import Events
from nacsr.data.words import derive_features, fit_scaling, to_words
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem


def tiny_problem() -> Problem:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4)) * [1, 10, 0.1, 100] + [0, 5, 1, -30]
    y = (x[:, 0] * 10 + x[:, 1] > 5).astype(np.int64) + (x[:, 2] > 1)
    features = derive_features(x[:600], ["a", "b", "c", "d"])
    words = to_words(x, features)
    return Problem(
        features=features,
        classes=("none", "one", "both"),
        scaling=fit_scaling(words[:600], features),
        train=Events(words[:600], y[:600]),
        validation=Events(words[600:], y[600:]),
        target="vu13p",
        clock_mhz=200.0,
        precision=Fixed(16, 6),
        digest="events",
    )
