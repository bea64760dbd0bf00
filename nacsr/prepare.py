"""From a study file and a dataset to the problem that frontends see, and the test set apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.data.dataset import Dataset
from nacsr.data.events import Events
from nacsr.data.split import split
from nacsr.data.words import (
    Feature,
    Scaling,
    check_words,
    derive_features,
    fit_scaling,
    to_words,
)
from nacsr.errors import SpecError, unknown
from nacsr.fixed import Fixed, Overflow, Rounding
from nacsr.frontends.base import Problem
from nacsr.luts import LutFunc, lut_functions, refitted
from nacsr.spec import StudySpec
from nacsr.teacher import taught


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a study works on: the problem, and what frontends must not see.

    Attributes:
        problem: all that frontends see.
        test: test events, read for the final front only.
        out: the run folder.
    """

    problem: Problem
    test: Events
    out: Path


def prepare(spec: StudySpec, dataset: Dataset, out: Path) -> Prepared:
    """Split once by seed, choose word types and scaling on training events only.

    Raises:
        SpecError: if ``inputs.types`` names a feature that is not there, or the events are for
            another task.
    """
    if dataset.task != spec.dataset.task:
        msg = (
            f"dataset.task: the study is a {spec.dataset.task}, its events are for a "
            f"{dataset.task}; give both the same task"
        )
        raise SpecError(msg)
    parts = split(dataset, spec.split, spec.seed)
    x, precision = dataset.x, Fixed.parse(spec.precision)
    if spec.inputs.scaling == "external":
        if spec.inputs.types:
            msg = "inputs.types goes with scaling: folded; external words have the precision's type"
            raise SpecError(msg)
        mean, spread = x[parts.train].mean(0), x[parts.train].std(0)
        spread = np.where(spread > 0, spread, 1.0)  # a constant is refused below, by its name
        x = (x - mean) / spread
        word = precision.with_modes(Rounding.RND, Overflow.SAT)
        features = tuple(Feature(n, word) for n in dataset.features)
        zeros = (0,) * len(features)
        scaling = Scaling("external", zeros, zeros)
        words = to_words(x, features)
    else:
        derived = derive_features(x[parts.train], dataset.features, spec.inputs.width)
        features = _given_types(derived, spec.inputs.types)
        words = to_words(x, features)
        scaling = fit_scaling(words[parts.train], features)
    check_words(x[parts.train], words[parts.train], features)
    events = Events(words, dataset.y, dataset.weights)
    own = _own_luts(spec)
    teacher = _teacher(spec, dataset, x[parts.train])
    problem = Problem(
        features=features,
        classes=dataset.classes,
        scaling=scaling,
        train=events.take(parts.train),
        validation=events.take(parts.validation),
        target=spec.target,
        clock_mhz=spec.clock_mhz,
        precision=precision,
        digest=_digest(dataset, parts.digest, features, scaling, own, teacher),
        task=dataset.task,
        luts={**lut_functions(), **own},
        teacher=teacher,
        folder=out,
    )
    return Prepared(problem, events.take(parts.test), out)


def _teacher(
    spec: StudySpec, dataset: Dataset, x: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    family = spec.families.expression
    if family is None or family.target is None:
        return None
    return taught(family.target, dataset, x, spec.inputs.scaling)


def _given_types(derived: tuple[Feature, ...], given: Mapping[str, str]) -> tuple[Feature, ...]:
    names = [f.name for f in derived]
    for name in given:
        if name not in names:
            raise SpecError("inputs.types: " + unknown("feature", name, names))
    types = {n: Fixed.parse(t).with_modes(Rounding.RND, Overflow.SAT) for n, t in given.items()}
    return tuple(Feature(f.name, types.get(f.name, f.type)) for f in derived)


def _own_luts(spec: StudySpec) -> dict[str, LutFunc]:
    """The LUT functions that the study brings or makes anew.

    Raises:
        SpecError: naming the key of the study and what is wrong.
    """
    family = spec.families.expression
    if family is None:
        return {}
    shipped = lut_functions()
    folder = None if family.lut_folder is None else Path(family.lut_folder)
    try:
        luts = refitted(lut_functions(folder), family.lut, family.functions)
    except SpecError as error:
        msg = f"families.expression: {error}"
        raise SpecError(msg) from None
    return {name: lut for name, lut in luts.items() if lut != shipped.get(name)}


def _digest(
    dataset: Dataset,
    split_digest: str,
    features: tuple[Feature, ...],
    scaling: Scaling,
    luts: Mapping[str, LutFunc],
    teacher: NDArray[np.float64] | None,
) -> str:
    """Of all that recorded work depends on besides the study file."""
    text = f"{dataset.digest} {split_digest} {features} {scaling}"
    text += "".join(f" {lut} {lut.table.tolist()}" for lut in luts.values())
    if teacher is not None:  # the design behind the same name may be another by now
        text += f" {hashlib.sha256(teacher.tobytes()).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
