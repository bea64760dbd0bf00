"""The package's additive tables on the tasks of these benchmarks."""

from __future__ import annotations

from symbolic_data import Task

from nacsr.data.words import Scaling
from nacsr.design import Design, Setting
from nacsr.fixed import Fixed
from nacsr.frontends.base import Problem
from nacsr.frontends.reference.additive import Additive, Group, fit_tables
from nacsr.frontends.reference.tables import proposed
from nacsr.frontends.reference.work import Work


def work(task: Task, target: str, clock_mhz: float) -> Work:
    """All training events of a task."""
    zeros = (0,) * len(task.features)
    problem = Problem(
        features=task.features,
        classes=task.classes,
        scaling=Scaling("external", zeros, zeros),
        train=task.train,
        validation=task.train,  # nothing is selected by it here
        target=target,
        clock_mhz=clock_mhz,
        precision=Fixed(16, 6),
        digest=f"{task.name} {task.seed}",
    )
    return Work.of(problem, len(task.train), task.seed)


def fit(found: Work, bits: int) -> Additive:
    """A table of every feature, by likelihood."""
    groups = [Group((j,), (found.cut(j, bits),)) for j in range(len(found.problem.features))]
    return fit_tables(groups, found.words, found.goal)


def design(found: Work, model: Additive, step: int, name: str) -> Design:
    """The design of entries in steps of ``2**-step``.

    Raises:
        ValueError: if no table is left of it.
    """
    made = proposed(found, model, step)
    if made is None:
        msg = f"{name}: steps of 2^{-step} leave no table; take finer ones"
        raise ValueError(msg)
    p = found.problem
    setting = Setting(p.features, p.classes, p.scaling, p.target, p.clock_mhz)
    return Design(made.graph, setting, "additive", name, "hls")
