"""Distillation: the outputs of a trained design for the training events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nacsr.compiler import from_project, from_run
from nacsr.data.dataset import Dataset
from nacsr.emit.project import is_project
from nacsr.errors import NacsrError, SpecError

CHUNK = 10_000


def taught(
    source: str, dataset: Dataset, x: NDArray[np.float64], scaling: str
) -> NDArray[np.float64]:
    """What a design answers, shape (events, outputs), in its own units: scores of the classes,
    one for two classes, or predictions.

    Args:
        source: ``RUN:ID`` or an emitted project.
        dataset: names of the features and classes.
        x: values of the features, shape (events, features).
        scaling: of the study's inputs; the design must have the same.

    Raises:
        SpecError: if there is no such design, or it is of other features or classes.
    """
    where = f"families.expression.target: {source}"
    run, colon, id_ = source.rpartition(":")
    if not colon and not is_project(Path(source)):  # a formula, say, which has never been trained
        msg = f"{where}: is no emitted project; give RUN:ID of a design, see nacsr front RUN"
        raise SpecError(msg)
    try:
        design = from_run(Path(run), id_) if colon else from_project(Path(source))
    except NacsrError as error:
        msg = f"{where}: {error}"
        raise SpecError(msg) from None
    names, other = dataset.features, [f.name for f in design.setting.features]
    missing = [n for n in other if n not in names]
    if missing:
        msg = f"{where}: reads {missing[0]!r}, this study has {', '.join(names)}; add that feature"
        raise SpecError(msg)
    if design.setting.classes != dataset.classes:
        its = ", ".join(design.setting.classes)
        msg = f"{where}: is for {its}, this study for {', '.join(dataset.classes)}; give another"
        raise SpecError(msg)
    if design.setting.scaling.mode != scaling:
        its = design.setting.scaling.mode
        msg = f"{where}: its inputs.scaling is {its}, here {scaling}; make both the same"
        raise SpecError(msg)
    columns = x[:, [names.index(n) for n in other]]
    parts = [design.run(columns[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
    answers: NDArray[np.float64] = np.concatenate(parts).reshape(len(x), -1)
    two = dataset.task == "classification" and len(dataset.classes) == 2
    if two and answers.shape[1] == 2:
        answers = answers[:, 1:] - answers[:, :1]
    return answers
