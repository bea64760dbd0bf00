"""Hyperparameters of a training by TPE (optuna), batch by batch: ask, then tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nacsr.frontends.neural.lessons import USUAL, Recipe

RANGES = {
    "float_rate": (1e-3, 5e-2),
    "quantised_rate": (5e-4, 2e-2),
    "decay": (1e-2, 1.0),
    "l1": (1e-6, 1e-3),
}
"""What is searched by its logarithm; the low end of L1 is none."""
FLOAT_SHARES = (0.2, 0.8)
DIGITS = 3
"""Significant digits of a hyperparameter."""
RANDOM = 6
"""Trials before the first that the sampler models."""


class Tuner:
    """The TPE of Bergstra et al. (NIPS 2011) over recipes; the usual one is the first.

    A pure function of the seed, the sizes of the batches and what it is told, so that a study
    resumes by telling it the recorded results again.

    Args:
        seed: of every random choice.
        maximise: whether more is better.
    """

    def __init__(self, seed: int, *, maximise: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=seed % (1 << 32), n_startup_trials=RANDOM, constant_liar=True
        )
        self._study = optuna.create_study(
            direction="maximize" if maximise else "minimize", sampler=sampler
        )
        self._study.enqueue_trial({**asdict(USUAL), "l1": RANGES["l1"][0]})
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Recipe]:
        """The next batch; of it the sampler knows only that it is under way."""
        self._asked = [self._study.ask() for _ in range(count)]
        return [_recipe(trial) for trial in self._asked]

    def tell(self, values: Sequence[float | None]) -> None:
        """Take what the last batch reached, in order; None marks a failure."""
        from optuna.trial import TrialState

        for trial, value in zip(self._asked, values, strict=True):
            if value is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)


def _recipe(trial: Any) -> Recipe:
    """What the sampler suggests, rounded so that it can be read."""
    found = {n: trial.suggest_float(n, *ends, log=True) for n, ends in RANGES.items()}
    if found["l1"] == RANGES["l1"][0]:
        found["l1"] = 0.0
    found["float_share"] = trial.suggest_float("float_share", *FLOAT_SHARES, step=0.1)
    return Recipe(**{n: float(f"{v:.{DIGITS}g}") for n, v in found.items()})
