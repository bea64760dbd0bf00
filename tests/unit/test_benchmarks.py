"""Every script of benchmarks/ still imports, so that none breaks silently; long runs are theirs."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ELSEWHERE = {"keras", "hgq"}
"""Packages of the script that has an environment of its own."""


@pytest.fixture(autouse=True)
def begun_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python begins a script: its folder on the path, and variables that it may set."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.mark.parametrize("name", sorted(p.stem for p in BENCHMARKS.glob("*.py")))
def test_a_benchmark_imports(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name not in ELSEWHERE:
            raise
        pytest.skip(f"no {missing.name} here")


def test_the_budget_of_the_large_search_is_whole() -> None:
    asked = argparse.Namespace(population=50, generations=40, finalists=8)
    budget = importlib.import_module("paper_search").budget(1000, asked)
    assert (budget.population, budget.generations, budget.finalists) == (50, 40, 8)
    assert (budget.picks, budget.trials) == (0, 0)
    assert budget.factor**2 == pytest.approx(15)
