"""From a study file and a dataset to the problem that frontends see, and the test set apart."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.cost.calibration import Calibration
from nacsr.data.arrays import Shape, alike
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
from nacsr.measure import ARCHITECTURE, HARDWARE, QUALITY, judged_as
from nacsr.spec import StudySpec
from nacsr.teacher import taught

_log = logging.getLogger("nacsr")


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


def prepare(
    spec: StudySpec, dataset: Dataset, out: Path, calibration: Calibration | None = None
) -> Prepared:
    """Split once by seed, choose word types and scaling on training events only.

    Args:
        spec: the study.
        dataset: its events.
        out: the run folder.
        calibration: what analytic costs are refitted by, if anything.

    Raises:
        SpecError: if ``inputs.types`` names a feature that is not there, or the events are for
            another task or other objectives.
    """
    if dataset.task != spec.dataset.task:
        msg = (
            f"dataset.task: the study is a {spec.dataset.task}, its events are for a "
            f"{dataset.task}; give both the same task"
        )
        raise SpecError(msg)
    _check_objectives(spec, dataset)
    parts = split(dataset, spec.split, spec.seed)
    x, precision = dataset.x, Fixed.parse(spec.precision)
    if spec.inputs.scaling == "external":
        if spec.inputs.types:
            msg = "inputs.types goes with scaling: folded; external words have the precision's type"
            raise SpecError(msg)
        x = _standardised(x, parts.train, dataset.array)
        word = precision.with_modes(Rounding.RND, Overflow.SAT)
        features = tuple(Feature(n, word) for n in dataset.features)
        zeros = (0,) * len(features)
        scaling = Scaling("external", zeros, zeros)
        words = to_words(x, features)
    else:
        derived = derive_features(
            x[parts.train], dataset.features, spec.inputs.width, dataset.array
        )
        features = _given_types(derived, spec.inputs.types, dataset)
        words = to_words(x, features)
        scaling = fit_scaling(words[parts.train], features, dataset.array)
    check_words(x[parts.train], words[parts.train], features, dataset.array)
    events = Events(words, dataset.y, dataset.weights)
    if calibration is not None and all(r.of != r.stage for r in calibration.rows):
        _log.warning(
            "calibration %s has no factors of csynth at csynth, so it refits nothing that this "
            "study selects by; calibrate with reports of C-synthesis",
            calibration.digest,
        )
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
        digest=_digest(dataset, parts.digest, features, scaling, own, teacher, calibration),
        task=dataset.task,
        luts={**lut_functions(), **own},
        teacher=teacher,
        folder=out,
        calibration=calibration,
        array=dataset.array,
    )
    return Prepared(problem, events.take(parts.test), out)


def _teacher(
    spec: StudySpec, dataset: Dataset, x: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    family = spec.families.expression
    if family is None or family.target is None:
        return None
    return taught(family.target, dataset, x, spec.inputs.scaling)


def _check_objectives(spec: StudySpec, dataset: Dataset) -> None:
    """Refuse an objective that no design of these events will have."""
    fitting = QUALITY[judged_as(dataset.task, len(dataset.classes))]
    for name in spec.objectives:
        if name not in (*HARDWARE, *ARCHITECTURE, *fitting):
            msg = (
                f"objectives: {name} is none of a {dataset.task} of {', '.join(dataset.classes)}; "
                f"choose from {', '.join(fitting)}"
            )
            raise SpecError(msg)


def _standardised(
    x: NDArray[np.float64], train: NDArray[np.int64], array: Shape
) -> NDArray[np.float64]:
    """Mean zero and unit spread on training events, by kind of value."""
    found = np.empty_like(x)
    for columns in alike(array, x.shape[1]):
        some = x[np.ix_(train, columns)]
        spread = some.std() or 1.0  # a constant is refused later, by its name
        found[:, columns] = (x[:, columns] - some.mean()) / spread
    return found


def _given_types(
    derived: tuple[Feature, ...], given: Mapping[str, str], dataset: Dataset
) -> tuple[Feature, ...]:
    """The words with the types that a study gives, by kind of value."""
    for name in given:
        if name not in dataset.kinds:
            raise SpecError("inputs.types: " + unknown("feature", name, dataset.kinds))
    types = {n: Fixed.parse(t).with_modes(Rounding.RND, Overflow.SAT) for n, t in given.items()}
    features = list(derived)
    for kind, columns in zip(dataset.kinds, alike(dataset.array, len(derived)), strict=True):
        for j in columns.tolist() if kind in types else ():
            features[j] = Feature(derived[j].name, types[kind])
    return tuple(features)


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
    calibration: Calibration | None,
) -> str:
    """Of all that recorded work depends on besides the study file."""
    text = f"{dataset.digest} {split_digest} {features} {scaling}"
    text += "".join(f" {lut} {lut.table.tolist()}" for lut in luts.values())
    if teacher is not None:  # the design behind the same name may be another by now
        text += f" {hashlib.sha256(teacher.tobytes()).hexdigest()}"
    if calibration is not None:
        text += f" {calibration.digest}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
