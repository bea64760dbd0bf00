"""The keyword arguments of ``PySRRegressor``: nacsr's own, and the user's beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nacsr.cost import OperatorCost
from nacsr.errors import SpecError, unknown
from nacsr.frontends.symbolic.engines import julia_code
from nacsr.frontends.symbolic.engines.complexities import with_custom
from nacsr.frontends.symbolic.engines.request import Config
from nacsr.luts import LutFunc

SMALLEST_MAXSIZE = 7  # PySR refuses less; larger formulas are dropped afterwards
ITERATIONS = 1_000_000  # far beyond reach: the budget is counted in evaluations

_OPERATORS = "give operators and functions of families.expression instead"
_FOLDER = "nacsr decides where a run is kept"
_COMPLEXITIES = "give complexities of families.expression instead"
_SEED = "give the study's seed instead; procs: N searches with N threads, not reproducibly"
OWN: Mapping[str, str] = {
    "operators": _OPERATORS,
    "binary_operators": _OPERATORS,
    "unary_operators": _OPERATORS,
    "extra_sympy_mappings": "nacsr reads the formulas itself",
    "nested_constraints": "give nesting of families.expression instead",
    "complexity_of_operators": _COMPLEXITIES,
    "complexity_mapping": _COMPLEXITIES,
    "maxsize": "give max_size of families.expression instead",
    "max_evals": "give evaluations of the budget instead",
    "random_state": _SEED,
    "deterministic": _SEED,
    "guesses": "give halls of families.expression instead",
    "warm_start": "give halls of families.expression instead",
    "output_directory": _FOLDER,
    "run_id": _FOLDER,
    "temp_equation_file": _FOLDER,
    "tempdir": _FOLDER,
    "delete_tempfiles": _FOLDER,
    "input_stream": "PySR runs in the background",
    "progress": "PySR runs in the background",
}
"""Keyword arguments that are nacsr's own, and what to do instead."""


def options(
    config: Config,
    costs: Mapping[str, OperatorCost],
    luts: Mapping[str, LutFunc],
    seed: int,
    guesses: Sequence[str] = (),
) -> dict[str, Any]:
    """Keyword arguments of ``PySRRegressor``, JSON-able.

    Functions are tables, so their gradients are zero nearly everywhere: constants are fitted
    by Nelder-Mead. Without complexities of its own, a search is on the critical path.

    Raises:
        SpecError: for an argument in ``config.extra`` that nacsr sets itself, or that names an
            operator which the search does not have.
    """
    extra = _extra(config)
    extra.pop("procs", None)
    serial = threads(config) == "1"
    return {
        "operators": {
            arity: [julia_code.source(s, config, luts) for s in group]
            for arity, group in julia_code.by_arity(config).items()
        },
        **_complexity(config, costs),
        "nested_constraints": _nesting(config),
        "niterations": ITERATIONS,
        "max_evals": config.evaluations,
        "optimizer_algorithm": "NelderMead",
        "deterministic": serial,
        "parallelism": "serial" if serial else "multithreading",
        "random_state": seed % 2**32,
        "guesses": list(guesses) or None,
        "batching": False,
        "precision": 32,
        "input_stream": "devnull",
        "progress": False,
        "verbosity": 0,
    } | extra


def threads(config: Config) -> str:
    """Threads that Julia starts with, as juliacall's environment variable has it."""
    if config.extra.get("procs"):
        return str(config.extra["procs"])
    return "1" if config.extra.get("parallelism", "serial") == "serial" else "auto"


def _complexity(config: Config, costs: Mapping[str, OperatorCost]) -> dict[str, Any]:
    """One integer: the critical path, or the sum of every operator's own."""
    if not config.complexities:
        most = max(config.max_cycles, SMALLEST_MAXSIZE)
        return {
            "maxsize": most,
            "maxdepth": config.max_size,
            "complexity_mapping": julia_code.critical_path(config, costs, most + 1),
        }
    given = with_custom(config.complexities, config.custom)
    used = [s for group in julia_code.by_arity(config).values() for s in group]
    missing = [s for s in used if s not in given]
    if missing:
        msg = f"no complexity is given for {missing[0]!r}; give one for every operator and function"
        raise SpecError(msg)
    return {
        "maxsize": max(config.max_size, SMALLEST_MAXSIZE),
        "complexity_of_operators": {julia_code.name(s): given[s] for s in used},
    }


def _nesting(config: Config) -> dict[str, dict[str, int]] | None:
    if config.nesting is None:
        nesting: Mapping[str, Mapping[str, int]] = {
            f: dict.fromkeys(config.functions, 0) for f in config.functions
        }
    else:
        nesting = config.nesting
    where = "families.expression.nesting"
    return {
        _named(outer, config, where): {_named(i, config, where): n for i, n in inner.items()}
        for outer, inner in nesting.items()
    } or None


def _extra(config: Config) -> dict[str, Any]:
    """The user's own arguments, checked as far as that is possible without PySR."""
    where = "families.expression.pysr"
    for key in config.extra:
        if key in OWN:
            msg = f"{where}: {key} is set by nacsr; {OWN[key]}"
            raise SpecError(msg)
    try:
        extra: dict[str, Any] = json.loads(json.dumps(dict(config.extra)))
    except (TypeError, ValueError) as error:
        msg = f"{where}: {error}; give numbers, texts, lists and mappings only"
        raise SpecError(msg) from None
    if extra.get("parallelism") == "multiprocessing":
        msg = (
            f"{where}: parallelism: multiprocessing does not carry tables to other processes; use "
            "multithreading, or procs: N for N threads"
        )
        raise SpecError(msg)
    limits = extra.get("constraints")
    if isinstance(limits, dict):
        extra["constraints"] = {
            _named(s, config, f"{where}.constraints"): n for s, n in limits.items()
        }
    return extra


def _named(symbol: str, config: Config, where: str) -> str:
    """PySR's name of an operator or function of the search, given by either of its names."""
    used = {s: julia_code.name(s) for g in julia_code.by_arity(config).values() for s in g}
    if symbol in used:
        return used[symbol]
    if symbol in used.values():
        return symbol
    raise SpecError(f"{where}: " + unknown("operator", symbol, used))
